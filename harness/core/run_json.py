"""The JSON files of a run's folder: their names, how much of one is read, and texts that lose what a terminal would obey.

In: files that may come from anybody. Out: parsed JSON; what it must hold is checked elsewhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.paths import is_regular
from harness.core.run_schema import MOST_RECORDS
from harness.core.text import without_controls

RUN = "run.json"


RECORDS = "records.json"


STATUS = "status.json"


EVENTS = "events.jsonl"


JOBS = "jobs.json"


MOST_BYTES = {RUN: 20_000_000, RECORDS: 200_000_000, STATUS: 5_000_000, EVENTS: 500_000_000, JOBS: 200_000_000}
"""Of a file that is read."""


MOST_PARTS = 4 * MOST_RECORDS
"""Lists and objects of a file, those in its texts included; forty times as many values."""


_SUSPECT = re.compile(
    r"\\[bfr]|\\u(?:00[0189]|007f|20[0246]|d[89a-f])|[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", re.I
)
"""JSON whose texts may hold control characters."""


def is_suspect(text: str) -> bool:
    """Return whether texts in this JSON may hold control characters."""
    return _SUSPECT.search(text) is not None


def check_file(path: Path) -> None:
    """Refuse a file that is none of ours.

    Raises:
        UserError: it is a link or too large.
    """
    if not is_regular(path):
        raise UserError(f"{path}: cannot be read: it is a symbolic link or not a regular file.")
    most = MOST_BYTES[path.name]
    if (size := path.stat().st_size) > most:
        raise UserError(f"{path}: cannot be read: size {size:,} bytes exceeds the limit of {most:,}.")


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds; its texts without control characters. NaN and Infinity, no JSON, are null.

    Raises:
        UserError: it is a link or too large, or cannot be read.
    """
    check_file(path)
    try:
        return parse_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def parse_json(text: str, where: str, *, strict: bool = False) -> Any:
    """Return what JSON of anybody says; its texts without control characters.

    Args:
        text: the JSON.
        where: what a message calls it.
        strict: refuse NaN and Infinity, which else are null.

    Raises:
        UserError: it is none, or too large.
    """
    try:
        _check_extent(text)
        value = json.loads(text, parse_constant=_refuse if strict else lambda _: None)
        return without_controls_within(value) if is_suspect(text) else value
    except ValueError as error:
        raise UserError(f"{where}: cannot be read: {error}") from None
    except RecursionError:
        raise UserError(f"{where}: cannot be read: lists and objects are nested too deeply.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _check_extent(text: str) -> None:
    """Refuse JSON that would take many times its size in memory.

    Raises:
        ValueError: it would.
    """
    if text.count("{") + text.count("[") > MOST_PARTS or text.count(",") > 40 * MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS:,} lists and objects, or {40 * MOST_PARTS:,} values")


def without_controls_within(value: Any) -> Any:
    """Return parsed JSON, not too deep, whose texts and names hold no control characters."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, list):
        return [without_controls_within(one) for one in value]
    if isinstance(value, dict):
        return {without_controls(name): without_controls_within(one) for name, one in value.items()}
    return value
