"""Which methods a table shows, under which names and in which order: records in, records out.

Everything is computed from the methods that are chosen: tests, ranks and bold type are about them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Choice:
    """What to show; methods are named as they are registered, the full data is `full`.

    Attributes:
        methods: those to show; empty: all.
        rename: method -> its name in the tables.
        order: methods that come first, where methods are columns; the others follow as they were run.
    """

    methods: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.methods or self.rename or self.order)

    def named(self, records: pd.DataFrame) -> pd.DataFrame:
        """Return the records of all methods, renamed and in order.

        Raises:
            UserError: a method is named that no record has, or is not chosen, or two would have one name.
        """
        known = list(dict.fromkeys(records["method"]))
        for option, names in (("--methods", self.methods), ("--rename", self.rename), ("--order", self.order)):
            for name in names:
                _check(option, name, known)
                if self.methods and name not in self.methods:
                    raise UserError(f"{option}: method {name!r} is not among --methods {','.join(self.methods)}.")
        titles = records["method_title"] if "method_title" in records else records["method"]
        renamed = [self.rename.get(name, title) for name, title in zip(records["method"], titles, strict=True)]
        for title in self.rename.values():
            if (
                len({name for name, new in zip(records["method"], renamed, strict=True) if new == title}) > 1
                or not title
            ):
                raise UserError(f"--rename: {title!r} is the name of another method, or empty; choose another one.")
        records = records.assign(method_title=renamed)
        place = {name: i for i, name in enumerate(self.order)}
        return records.sort_values(
            "method", key=lambda own: own.map(lambda name: place.get(name, len(place))), kind="stable"
        )

    def chosen(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the methods to show; `frame` has a column `method`."""
        return frame[frame["method"].isin(list(self.methods))].reset_index(drop=True) if self.methods else frame


def _check(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise UserError(
            f"{option}: no method {name!r} in this run.{did_you_mean(name, known)} It has {', '.join(known)}."
        )
