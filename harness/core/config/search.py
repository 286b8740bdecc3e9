"""Which values of an option `harness tune` may try: a range or a list, stated where the option is declared.

In: `Field(..., json_schema_extra=search("log", 1e-4, 1e-1))` in a config, or the text `log(1e-4,1e-1)` of a user. Out: a
dimension of a search space. What is tried is checked by the option's own rules before anything runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.core.errors import UserError
from harness.core.yaml_text import parse_yaml

Scale = Literal["linear", "log", "integers", "choice"]

_MARK = "search"

_FORM = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True)
class Dimension:
    """The values that one option may take.

    Attributes:
        scale: linear or log: a number between two bounds, drawn evenly or evenly in its logarithm; integers: a whole number
            between two bounds, both included; choice: one of a list.
        values: the two bounds, or the list.
    """

    scale: Scale
    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.scale}({', '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in self.values)})"

    def problem(self) -> str:
        """Return what is wrong with it; empty where nothing is."""
        if self.scale == "choice":
            return "" if len(self.values) > 1 else "a choice needs at least two values"
        if len(self.values) != 2 or not all(_is_number(v) for v in self.values):
            return f"{self.scale} needs two numbers, the lower and the upper bound"
        low, high = self.values
        if not low < high:
            return f"the range is empty: {low} is not below {high}"
        if self.scale == "integers" and not all(isinstance(v, int) for v in self.values):
            return "integers needs two integers"
        return "a log range must start above 0" if self.scale == "log" and low <= 0 else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def search(scale: Scale, *values: Any) -> dict[str, Any]:
    """Return the mark of a tunable option; combined with another mark: `AFTER_FIT | search("linear", 1, 4)`.

    Args:
        scale: "linear", "log" or "integers" with lower and upper bound, or "choice" with all values.
        values: see `Dimension`.

    Raises:
        UserError: the range is empty or invalid.
    """
    _checked(Dimension(scale, values), "search")
    return {_MARK: [scale, *values]}


def _checked(dimension: Dimension, where: str) -> Dimension:
    if problem := dimension.problem():
        raise UserError(f"{where}: {dimension}: {problem}.")
    return dimension


def declared(info: FieldInfo) -> Dimension | None:
    """Return the dimension that an option was declared with."""
    extra = info.json_schema_extra
    found: Any = extra.get(_MARK) if isinstance(extra, dict) else None
    return Dimension(found[0], tuple(found[1:])) if found else None


def declared_space(model: type[BaseModel]) -> dict[str, Dimension]:
    """Return the options of a config that may be tuned, in the order in which they are declared."""
    return {name: found for name, info in model.model_fields.items() if (found := declared(info)) is not None}


def parse_dimension(text: str, where: str) -> Dimension:
    """Read `log(1e-4, 1e-1)`, `linear(0, 1)`, `integers(1, 8)` or `choice(ddim, ddpm)`.

    Raises:
        UserError: it is none of these, or the range is empty.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None or form[1] not in Scale.__args__:  # type: ignore[attr-defined]
        raise UserError(
            f"{where}: {text!r} is not a search range; expected linear(LOW, HIGH), log(LOW, HIGH), integers(LOW, "
            "HIGH) or choice(A, B, ...)."
        )
    values = parse_yaml(f"[{form[2]}]", where)[1]
    numbers = tuple(_number(v) for v in values)
    return _checked(Dimension(form[1], numbers), where)  # type: ignore[arg-type]


def _number(value: Any) -> Any:
    """Return a number that YAML takes for a text: 1e-4 without a point."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
