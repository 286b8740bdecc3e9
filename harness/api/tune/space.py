"""What is tuned of each method: its options with their ranges, its default, and the lists of options that are tried.

In: a checked request. Out: a `MethodSpace` per method, and points of it: option -> value, options named METHOD.OPTION.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.core import seeds
from harness.core.config.base import checked
from harness.core.config.protocol import Protocol
from harness.core.config.search import Dimension, declared_space, parse_dimension
from harness.core.errors import UserError, did_you_mean
from harness.core.plugin.method import Method

Point = dict[str, Any]

_TRIES = 200
"""Draws of a point that is not there yet, before the space is taken for used up."""


@dataclass(frozen=True)
class MethodSpace:
    """What is tuned of one method.

    Attributes:
        dimensions: by METHOD.OPTION, or protocol.FIELD.
        default: the values that the suite and the request give these options.
        notes: what was changed of declared ranges.
    """

    method: str
    dimensions: dict[str, Dimension]
    default: Point
    notes: tuple[str, ...] = ()

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Return whether every value of a point is one that its dimension may take."""
        return all(_holds(dimension, point[name]) for name, dimension in self.dimensions.items())


def _holds(dimension: Dimension, value: Any) -> bool:
    if dimension.scale == "choice":
        return any(_same(value, choice) for choice in dimension.values)
    low, high = dimension.values
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def method_space(
    cls: type[Method], name: str, config: Mapping[str, Any], fixed: Mapping[str, Any], texts: Mapping[str, str]
) -> MethodSpace:
    """Return the space of one method.

    Args:
        cls: its class.
        name: of the method.
        config: values that suite and request give its options.
        fixed: options that the request sets: they are not tuned unless `texts` names them.
        texts: the user's ranges by option.

    Raises:
        UserError: an unknown option, an empty range, or one with values that the option refuses.
    """
    asked = _asked(cls.Config, name, texts)
    declared = {option: found for option, found in declared_space(cls.Config).items() if option not in fixed}
    dimensions, notes = dict[str, Dimension](), list[str]()
    for option, dimension in {**declared, **asked}.items():
        if option not in asked:
            dimension = _with_default(f"{name}.{option}", dimension, config[option], notes)
        _check_values(cls.Config, name, option, dimension, config)
        dimensions[f"{name}.{option}"] = dimension
    default = {key: config[key.partition(".")[2]] for key in dimensions}
    return MethodSpace(name, dimensions, default, tuple(notes))


def _asked(
    model: type[Any], target: str, texts: Mapping[str, str], names: tuple[str, ...] = ()
) -> dict[str, Dimension]:
    """Return the user's ranges of a target's options; `names` are further options that must be known."""
    known = list(model.model_fields)
    for option in (*texts, *names):
        if option not in known:
            where = f"--space {target}.{option}" if option in texts else f"--tune-protocol {option}"
            raise UserError(
                f"{where}: unknown option {option!r}.{did_you_mean(option, known)} Known: {', '.join(known)}."
            )
    return {option: parse_dimension(text, f"--space {target}.{option}") for option, text in texts.items()}


def _with_default(name: str, dimension: Dimension, value: Any, notes: list[str]) -> Dimension:
    """Return a declared dimension, widened where the suite's value lies outside; a value that is not a number stays outside."""
    if _holds(dimension, value):
        return dimension
    if dimension.scale == "choice":
        wider = replace(dimension, values=(*dimension.values, value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = dimension.values
        wider = replace(dimension, values=(min(low, value), max(high, value)))
    else:
        return dimension
    notes.append(f"{name}: the declared {dimension} was widened to {wider} to include the suite's {value}.")
    return wider


def _check_values(model: type[Any], target: str, option: str, dimension: Dimension, config: Mapping[str, Any]) -> None:
    """Refuse a dimension of which the option refuses an end, the middle, or a choice."""
    values = dimension.values if dimension.scale == "choice" else [*dimension.values, _at(dimension, 0.5)]
    for value in values:
        checked(model, {**config, option: value}, f"--space {target}.{option}={dimension}")


def with_protocol(
    space: MethodSpace, protocol: Protocol, names: tuple[str, ...], texts: Mapping[str, str]
) -> MethodSpace:
    """Return a space with fields of the protocol too.

    Raises:
        UserError: an unknown field, one without a declared or given range, or a range that it refuses.
    """
    asked, declared, config = (
        _asked(Protocol, "protocol", texts, names),
        declared_space(Protocol),
        protocol.model_dump(),
    )
    dimensions, notes = dict(space.dimensions), list(space.notes)
    for name in dict.fromkeys([*names, *asked]):
        dimension = asked.get(name, declared.get(name))
        if dimension is None:
            known = ", ".join(declared)
            raise UserError(
                f"--tune-protocol {name}: it has no declared range; declared: {known}. Add one with --space "
                f"'protocol.{name}=log(LOW,HIGH)'."
            )
        if name not in asked:
            dimension = _with_default(f"protocol.{name}", dimension, config[name], notes)
        _check_values(Protocol, "protocol", name, dimension, config)
        dimensions[f"protocol.{name}"] = dimension
    default = space.default | {f"protocol.{name}": config[name] for name in dict.fromkeys([*names, *asked])}
    return replace(space, dimensions=dimensions, default=default, notes=tuple(notes))


def _at(dimension: Dimension, share: float) -> Any:
    """Return the value at a share, 0 to 1, of a range."""
    low, high = dimension.values
    if dimension.scale == "log":
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    value = low + share * (high - low)
    return round(value) if dimension.scale == "integers" else value


def drawn(space: MethodSpace, seed: int, most: int) -> list[Point]:
    """Return up to `most` points by chance, none twice and none the default; the first of them do not depend on `most`."""
    stream = random.Random(seeds.derive("tune", space.method, seed))
    seen, found = {_text(space.default)}, list[Point]()
    while len(found) < most and space.dimensions:
        for _ in range(_TRIES):
            point = {name: _draw(dimension, stream) for name, dimension in space.dimensions.items()}
            if _text(point) not in seen:
                break
        else:
            break
        seen.add(_text(point))
        found.append(point)
    return found


def _draw(dimension: Dimension, stream: random.Random) -> Any:
    if dimension.scale == "choice":
        return stream.choice(dimension.values)
    if dimension.scale == "integers":
        return stream.randint(*dimension.values)
    low, high = dimension.values
    return min(max(_at(dimension, stream.random()), low), high)


def grid(space: MethodSpace, most: int) -> list[Point]:
    """Return a full grid of at most `most` points, without the default; as many values of each range as fit, evenly spaced.

    Raises:
        UserError: the choices alone make more points.
    """
    if not space.dimensions:
        return []
    best: list[Point] | None = None
    for resolution in range(1, most + 1):
        points = list(itertools.islice(_grid(space, resolution), most + 2))
        others = [point for point in points if _text(point) != _text(space.default)]
        if len(others) > most:
            break
        best = others
    if best is None:
        raise UserError(
            f"--sampler grid: the choices of {space.method} alone give more than {most} points; allow more --trials, "
            "or narrow the space with --space."
        )
    return best


def _grid(space: MethodSpace, resolution: int) -> Iterator[Point]:
    axes = [_axis(dimension, resolution) for dimension in space.dimensions.values()]
    for values in itertools.product(*axes):
        yield dict(zip(space.dimensions, values, strict=True))


def _axis(dimension: Dimension, resolution: int) -> list[Any]:
    if dimension.scale == "choice":
        return list(dimension.values)
    low, high = dimension.values
    shares = [0.5] if resolution == 1 else [i / (resolution - 1) for i in range(resolution)]
    return list(dict.fromkeys(min(max(_at(dimension, share), low), high) for share in shares))


def _text(point: Mapping[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)


def distributions(space: MethodSpace) -> dict[str, Any]:
    """Return a space as Optuna knows it; a choice by the JSON texts of its values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for name, dimension in space.dimensions.items():
        if dimension.scale == "choice":
            found[name] = CategoricalDistribution([json.dumps(value) for value in dimension.values])
        elif dimension.scale == "integers":
            found[name] = IntDistribution(*dimension.values)
        else:
            low, high = map(float, dimension.values)
            found[name] = FloatDistribution(low, high, log=dimension.scale == "log")
    return found


def encoded(space: MethodSpace, point: Mapping[str, Any]) -> Point:
    """Return a point as Optuna knows it."""
    choices = {name for name, dimension in space.dimensions.items() if dimension.scale == "choice"}
    return {name: json.dumps(point[name]) if name in choices else point[name] for name in space.dimensions}


def decoded(space: MethodSpace, params: Mapping[str, Any]) -> Point:
    """Return a point that Optuna chose."""
    choices = {name for name, dimension in space.dimensions.items() if dimension.scale == "choice"}
    return {name: json.loads(params[name]) if name in choices else params[name] for name in space.dimensions}
