"""What the command line itself refuses (an unknown option, a word too many), in the form of all other errors."""

from __future__ import annotations

import re
import sys

from harness.cli.consoles import message

_LISTS = ("--methods", "--suite", "--students", "--ipc", "--seeds", "--distill-seeds", "--bytes")
"""Options that take several values with commas."""


def is_misuse(error: Exception) -> bool:
    """Return whether an error is one of the parser, for people."""
    return type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message")


def say_misuse(error: Exception) -> None:
    """Print the error in one line, with what to do."""
    text = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    message("error:", f"{text}. {_hint(text, sys.argv[1:])}")


def _hint(text: str, words: list[str]) -> str:
    """Return what to write: a list with commas where words follow the first value of a list, else where help is."""
    extra = re.match(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", text)
    first = extra[1].split()[0] if extra else ""
    if first in words:
        at = words.index(first)
        option = next((word for word in reversed(words[:at]) if word.startswith("-")), "")
        if option in _LISTS:
            values = words[words.index(option) + 1 : at]
            return (
                f"Separate several values with commas: {option} {','.join([*values, *extra[1].split()])}."
                if extra
                else ""
            )
    command = next((word for word in words if not word.startswith("-")), "")
    return f"`harness {command + ' ' if command else ''}--help` lists what is available."
