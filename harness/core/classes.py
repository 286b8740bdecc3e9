"""The classes of a suite: ids, names, and class lists read from files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.text import shorten

MOST_BYTES = 200
"""Of a class id; file systems allow names of 255."""

_COMMENT = re.compile(r"(^|\s)#.*$")


def read_class_list(path: Path | str) -> tuple[ClassInfo, ...]:
    """Return the classes of a list, in file order: the first is label 0.

    One class a line: its id (the folder name), then optionally a TAB or spaces and a readable name. An id that
    contains spaces needs the TAB form. `#` at the start of a line or after a space begins a comment.

    Raises:
        UserError: the file is missing, not UTF-8 or without classes, or an id is repeated or no folder name.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"class list {path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UserError(f"class list {path} cannot be read: {error.strerror or error}") from None
    classes: list[ClassInfo] = []
    line_of: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        class_id, name = _parse(line)
        if not _names_a_folder(class_id):
            raise UserError(
                f"class list {path}, line {number}: {shorten(repr(class_id), 80)} is not a valid folder name: "
                f"expected at most {MOST_BYTES} bytes, without /, \\ and control characters."
            )
        if class_id in line_of:
            raise UserError(
                f"class list {path}, line {number}: {class_id!r} is a duplicate class id (first on line "
                f"{line_of[class_id]}). Remove one of the two lines."
            )
        line_of[class_id] = number
        classes.append(ClassInfo(class_id, len(classes), name or class_id))
    if not classes:
        raise UserError(f"class list {path} is empty: expected one class id per line")
    return tuple(classes)


def _names_a_folder(class_id: str) -> bool:
    plain = class_id.isprintable() and not {"/", "\\"} & set(class_id) and class_id not in {".", ".."}
    return plain and len(class_id.encode()) <= MOST_BYTES


def _parse(line: str) -> tuple[str, str]:
    class_id, name = line.split("\t", 1) if "\t" in line else (*line.split(maxsplit=1), "")[:2]
    return class_id.strip(), name.strip()


@dataclass(frozen=True)
class ClassInfo:
    """One class of a suite.

    Attributes:
        id: folder name, such as "n02096294" or "7".
        label: position in the suite's class list; the students' label.
        name: readable name, such as "Australian terrier"; the id where none is known.
    """

    id: str
    label: int
    name: str
