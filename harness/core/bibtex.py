"""BibTeX: read entries, check them, write them again.

In: text of a method's `bibtex` or of a .bib file. Out: entries that `bibtex` and `biber` read. Values keep their TeX code;
`@string`, `@preamble` and `#` (joined values) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.core.errors import UserError
from harness.core.text import shorten

REQUIRED = {
    "article": ("author", "title", "journal", "year"),
    "inproceedings": ("author", "title", "booktitle", "year"),
    "techreport": ("author", "title", "institution", "year"),
    "misc": ("title",),
}
"""Fields that the standard styles expect of an entry; `bibtex` warns where one is missing."""


_HEAD = re.compile(r"\s*@\s*([A-Za-z]+)\s*\{\s*([^\s,{}()=#%~\\\"']+)\s*,")


_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*")


@dataclass(frozen=True)
class Entry:
    """One BibTeX entry.

    Attributes:
        kind: article, inproceedings, misc, ...; lower case.
        key: what \\cite takes.
        fields: lower-case name -> value without its outer braces.
    """

    kind: str
    key: str
    fields: dict[str, str]

    def missing(self) -> list[str]:
        """Return the fields that an entry of this kind lacks."""
        return [name for name in REQUIRED.get(self.kind, ("title",)) if not self.fields.get(name, "").strip()]

    def __str__(self) -> str:
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"]) + "\n"


def parse_bibtex(text: str) -> list[Entry]:
    """Return the entries of a text. Text before the first `@` is a comment; between entries there is none.

    Raises:
        UserError: there is no entry, braces do not balance, or a field cannot be read.
    """
    if not isinstance(text, str):
        raise UserError(f"expected text with a BibTeX entry, found {type(text).__name__}")
    found, at = [], max(0, text.find("@"))
    while text[at:].strip():
        entry, at = _entry(text, at)
        found.append(entry)
    if not found:
        raise UserError("expected a BibTeX entry such as `@article{key, author = {...}, ...}`, found nothing")
    return found


def _entry(text: str, at: int) -> tuple[Entry, int]:
    head = _HEAD.match(text, at)
    if head is None:
        raise UserError(f"expected a BibTeX entry such as `@article{{key, ...}}`, found {_here(text, at)}")
    fields: dict[str, str] = {}
    at = head.end()
    while not (end := re.compile(r"\s*,?\s*\}").match(text, at)):
        if fields and text[at : at + 1] != ",":
            raise UserError(f"entry {head[2]!r}: expected a comma or `}}` before {_here(text, at)}")
        at += bool(fields)
        name = _FIELD.match(text, at)
        if name is None:
            raise UserError(f"entry {head[2]!r}: expected `field = {{value}}`, found {_here(text, at)}")
        if name[1].lower() in fields:
            raise UserError(f"entry {head[2]!r}: field {name[1]!r} occurs twice")
        value, at = _value(text, name.end(), head[2])
        fields[name[1].lower()] = " ".join(value.split())
        at += len(text[at:]) - len(text[at:].lstrip())
    return Entry(head[1].lower(), head[2], fields), end.end()


def _value(text: str, at: int, key: str) -> tuple[str, int]:
    """Return a value in braces or quotes, or a number, and where it ends."""
    if number := re.compile(r"\d+").match(text, at):
        return number[0], number.end()
    quoted = text[at : at + 1] == '"'
    if not quoted and text[at : at + 1] != "{":
        raise UserError(f"entry {key!r}: expected a value in braces, found {_here(text, at)}")
    depth, place = 0, at + quoted
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 1  # `\{` and `\}` are signs, not braces
        elif quoted and sign == '"' and depth == 0:
            return text[at + 1 : place], place + 1
        elif sign in "{}":
            depth += 1 if sign == "{" else -1
            if depth < 0:
                break
            if depth == 0 and not quoted:
                return text[at + 1 : place], place + 1
        place += 1
    raise UserError(f"entry {key!r}: the braces of the value {_here(text, at)} do not balance")


def _here(text: str, at: int) -> str:
    return repr(shorten(text[at : at + 60], 40)) if text[at:].strip() else "the end of the text"


def unique(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield each entry once; of two different entries with one key the second is renamed KEY-2: `bibtex` stops at repeats."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        key, number = entry.key, 1
        # Keys that differ in case only are the same to BibTeX.
        while (other := seen.get(key.lower())) and (other.kind, other.fields) != (entry.kind, entry.fields):
            number += 1
            key = f"{entry.key}-{number}"
        if other is None:
            seen[key.lower()] = Entry(entry.kind, key, entry.fields)
            yield seen[key.lower()]
