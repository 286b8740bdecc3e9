"""What a mutation is."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """One deliberate mistake.

    Attributes:
        name: what it gets wrong; unique.
        file: path below the project's folder.
        old: text that stands exactly once in the file.
        new: what it becomes.
        tests: test files, or single tests (FILE::NAME or FILE::NAME[CASE]), separated by spaces.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
