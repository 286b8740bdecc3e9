"""Numbers from papers: results/published/*.csv, read and checked.

In: a folder of CSV files and names.yaml. Out: one `PublishedNumber` a row. Every mistake is told with file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, NonNegativeFloat, PositiveInt, ValidationError, field_validator

from harness.core.config.base import ConfigModel, checked, explain
from harness.core.errors import UserError
from harness.core.io import data_folder

UNSTATED = "unstated"
"""What stands for a protocol that the source does not name."""

SECOND_HAND = "second-hand"
"""How the source of a number begins that was read in notes or reviews only, and not where its authors show it."""


class PublishedNumber(ConfigModel):
    """One row of a file: an accuracy as a paper or its results page shows it."""

    suite: str = Field(min_length=1, description="suite name, as on the command line")
    protocol: str = Field(min_length=1, description="protocol name; unstated: context only")
    ipc: PositiveInt | Literal["full"] | None = Field(description="images per class; full: all data; empty: unstated")
    student: str | None = Field(description="student name; empty: unstated")
    method: str = Field(min_length=1, description="method name")
    metric: str = Field(min_length=1, description="top1_best or top1_last; others are context")
    mean: float = Field(ge=0, le=100, allow_inf_nan=False, description="percent")
    std: NonNegativeFloat | None = Field(description="percentage points; empty: unstated")
    source: str = Field(min_length=1, description="citation, table, and where it was read")

    @field_validator("ipc", "student", "std", mode="before")
    @classmethod
    def _empty_is_unstated(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def is_second_hand(self) -> bool:
        """Return whether the number was not read where its authors show it."""
        return self.source.startswith(SECOND_HAND)

    @property
    def is_context(self) -> bool:
        """Return whether nothing may be measured against the number: its making is not stated, or it is second-hand."""
        return self.protocol == UNSTATED or self.ipc is None or self.student is None or self.is_second_hand


class Names(ConfigModel):
    """Other names for methods, and for students by suite, or else by protocol."""

    methods: dict[str, str] = Field(default_factory=dict, description="name in a file -> method here")
    students: dict[str, dict[str, str]] = Field(default_factory=dict, description="suite -> name in a file -> here")
    students_by_protocol: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="protocol -> name in a file -> here; a suite's own names come first"
    )


def load_published(folder: Path | None = None) -> list[PublishedNumber]:
    """Return all rows of all CSV files of a folder, methods and students under the names that this harness uses.

    Args:
        folder: None: the project's results/published.

    Raises:
        UserError: a file cannot be read, lacks a column or has an unknown one, or a value is wrong; with file and line.
    """
    folder = folder or data_folder("results/published")
    names = _read_names(folder / "names.yaml")
    return [_renamed(row, names) for path in sorted(folder.glob("*.csv")) for row in _read(path)]


def of_suite(numbers: Sequence[PublishedNumber], suite: str) -> list[PublishedNumber]:
    """Return the numbers of a suite.

    Raises:
        UserError: there is none; names the suites that have some.
    """
    own = [number for number in numbers if number.suite == suite]
    if not own:
        known_suites = ", ".join(sorted({number.suite for number in numbers})) or "none"
        raise UserError(
            f"no published number for suite {suite!r}; there are some for {known_suites}. Leave it out, or "
            "add rows to results/published."
        )
    return own


def _read(path: Path) -> list[PublishedNumber]:
    columns = list(PublishedNumber.model_fields)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if sorted(reader.fieldnames or []) != sorted(columns):
                raise UserError(
                    f"{path}, line 1: expected the columns {','.join(columns)}; found {','.join(reader.fieldnames or [])}."
                )
            return [_check(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from None


def _check(row: dict[str, str], where: str) -> PublishedNumber:
    if None in row or None in row.values():
        raise UserError(
            f"{where}: expected {len(PublishedNumber.model_fields)} fields; quote a text that holds a comma."
        )
    try:
        return PublishedNumber.model_validate(row)
    except ValidationError as error:
        told = dict.fromkeys(explain(PublishedNumber, {**d, "loc": d["loc"][:1]}) for d in error.errors())
        raise UserError("\n".join(f"{where}: {text}" for text in told)) from None


def _read_names(path: Path) -> Names:
    if not path.is_file():
        return Names()
    try:
        return checked(Names, yaml.safe_load(path.read_text(encoding="utf-8")) or {}, str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from None


def _renamed(row: PublishedNumber, names: Names) -> PublishedNumber:
    ours = names.students_by_protocol.get(row.protocol, {}) | names.students.get(row.suite, {})
    student = row.student and ours.get(row.student, row.student)
    return row.model_copy(update={"method": names.methods.get(row.method, row.method), "student": student})
