"""Options of `harness report` that shape a table for a paper: methods, names, order, caption."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.core.errors import UserError, did_you_mean
from harness.reporters.tables.choice import Choice
from harness.reporters.tables.latex import CAPTIONS, Caption

Methods = Annotated[
    str | None,
    typer.Option(help="Methods to show, such as `dm,rded`; `full` for the full data. Tests compare these only."),
]
Rename = Annotated[
    list[str] | None, typer.Option(help='Another name for a method, such as `my_method="Ours"`; may be repeated.')
]
Order = Annotated[
    str | None, typer.Option(help="Methods that come first as columns (--layout paper), such as `rded,dm`.")
]
CaptionOption = Annotated[
    str, typer.Option("--caption", help="Caption in LaTeX: `short` (one sentence), `full` or `none`.")
]


def read_choice(methods: str | None, rename: list[str] | None, order: str | None, *, layout: str | None) -> Choice:
    """Return what the options say.

    Raises:
        UserError: an option has no name or no `=`, names something twice, or does not fit the layout.
    """
    names: dict[str, str] = {}
    for text in rename or ():
        name, sign, title = text.partition("=")
        if not sign or not name.strip():
            raise UserError(f'--rename {text!r}: expected METHOD="Name", such as --rename my_method="Ours".')
        if name.strip() in names:
            raise UserError(f"--rename names {name.strip()} twice.")
        names[name.strip()] = title.strip()
    choice = Choice(_names("--methods", methods), names, _names("--order", order))
    if choice.order and layout != "paper":
        raise UserError(
            "--order is for --layout paper, where methods are columns; other tables are sorted by their numbers."
        )
    if choice and layout == "published":
        raise UserError(
            "--methods and --rename do not apply to --layout published, which lists every published number."
        )
    return choice


def read_caption(text: str, form: str | None) -> Caption:
    """Return which caption is wanted.

    Raises:
        UserError: there is no such caption, or the format is not LaTeX.
    """
    found = next((known for known in CAPTIONS if known == text), None)
    if found is None:
        raise UserError(f"--caption {text!r}: expected {', '.join(CAPTIONS)}.{did_you_mean(text, list(CAPTIONS))}")
    if found != "short" and form != "latex":
        raise UserError("--caption is for --format latex; a terminal shows captions with --captions.")
    return found


def _names(option: str, text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (text or "").split(",")) if text is not None else ()
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"{option} {text!r}: expected different methods separated by commas, such as {option} dm,rded.")
    return names
