"""What one call of `harness tune` asks for, with every field explained; nothing is looked up yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.core.config.base import ConfigModel, checked
from harness.core.errors import UserError
from harness.core.text import parse_duration
from harness.core.yaml_text import parse_yaml
from harness.planning.request import RunRequest, make_request

Objective = Literal["accuracy", "time"]

_NOT_HERE = ("ray_address", "wait_for_nodes", "job_timeout", "fresh", "scores", "log", "config")
"""Fields of a run that have no place in a tuning."""


class TuneRequest(ConfigModel):
    """One call of `harness tune`."""

    run: RunRequest = Field(description="the run that each trial performs, with default options")
    trials: int = Field(20, ge=1, le=100_000, description="trials per method; the first uses the default options")
    time_s: float | None = Field(None, gt=0, description="seconds per method, summed over its trials; none: no limit")
    metric: Literal["top1_last", "top1_best"] = Field("top1_last", description="accuracy to maximise")
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="how options are chosen")
    space: dict[str, str] = Field(
        default_factory=dict, description="search ranges that replace or extend the declared ones: METHOD.OPTION"
    )
    tune_protocol: tuple[str, ...] = Field((), description="protocol fields that are tuned separately for each method")
    objectives: tuple[Objective, ...] = Field(("accuracy",), description="accuracy, or accuracy and distillation time")
    validation: float = Field(0.2, gt=0, lt=1, description="fraction of the training split used to score trials")
    validation_seed: int = Field(0, ge=0, description="seed that selects these training images")
    seed: int = Field(0, ge=0, description="seed of the sampler")
    workers: int = Field(1, ge=1, description="number of parallel trials")
    early_stopping: bool = Field(
        True, description="stop trials early if their first results are in the worse half (ASHA)"
    )
    name: str | None = Field(None, description="name of the tuning; none: suite and a hash of the request")
    final: bool = Field(
        True, description="at the end, run default and tuned options on the test split and compare them"
    )


def make_tune_request(**fields: Any) -> TuneRequest:
    """Build a request from Python or the command line.

    Args:
        **fields: fields of `TuneRequest`, and of `RunRequest` those that an ordinary run has: methods, suite, ipc, ... (its
            `executor` is that of the two runs in the end); `time` as seconds or "2h" in place of time_s; None: as if left out.

    Raises:
        UserError: an unknown field or a value of the wrong kind.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    given["space"] = parse_space(given.get("space", ()))
    own = {name: given.pop(name) for name in list(given) if name in TuneRequest.model_fields}
    if "time" in given:
        own["time_s"] = _seconds(given.pop("time"))
    for name in ("tune_protocol", "objectives"):
        if isinstance(own.get(name), str):
            own[name] = (own[name],)
    for name in _NOT_HERE:
        if name in given:
            raise UserError(f"tune: field {name!r} is an option of `harness run`, not of tuning.")
    own["run"] = make_request(**given)
    request: TuneRequest = checked(TuneRequest, own, "tune")
    if request.objectives not in (("accuracy",), ("accuracy", "time")):
        raise UserError("--objectives: expected accuracy, or accuracy,time.")
    return request


def parse_space(given: Any) -> dict[str, str]:
    """Return ranges by METHOD.OPTION from such a mapping, from "minimax.lambda_r=log(1e-4,1e-1)", or from YAML files of them.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(given, Mapping):
        return _flat(given, "--space")
    found: dict[str, str] = {}
    for text in (given,) if isinstance(given, str) else given:
        if text.endswith((".yaml", ".yml")) and "=" not in text:
            found |= _flat(_read(text), f"--space {text}")
            continue
        key, equals, form = text.partition("=")
        if not equals:
            raise UserError(f"--space {text!r}: expected METHOD.OPTION=log(LOW,HIGH), or a YAML file with such lines.")
        found |= _flat({key.strip(): form}, "--space")
    return found


def _read(path: str) -> Any:
    try:
        return parse_yaml(Path(path).read_text(encoding="utf-8"), f"--space {path}")[1]
    except (OSError, ValueError) as error:
        raise UserError(f"--space {path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _flat(values: Any, where: str) -> dict[str, str]:
    """Return METHOD.OPTION -> range from {minimax: {lambda_r: log(1e-4, 1e-1)}} or {minimax.lambda_r: ...}."""
    found: dict[str, str] = {}
    for key, value in values.items() if isinstance(values, Mapping) else [("", values)]:
        if isinstance(value, Mapping):
            found |= {f"{key}.{option}": str(text) for option, text in value.items()}
        elif not re.fullmatch(r"[^.\s]+\.[^.\s]+", str(key)):
            raise UserError(
                f"{where} {key!r}: expected METHOD.OPTION and a range, e.g. minimax.lambda_r=log(1e-4,1e-1)."
            )
        else:
            found[str(key)] = str(value)
    return found


def _seconds(value: float | str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UserError(f"--time: {error}.") from None
