"""What one call of `harness run` asks for, with every field explained; nothing is looked up yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.core.config.base import ConfigModel, checked
from harness.core.errors import UserError
from harness.core.overrides import parse_overrides
from harness.core.text import parse_duration
from harness.planning.budget import as_sizes
from harness.planning.request_file import beside_file, read_request

Names = str | Sequence[str]
"""One name, or several."""

Numbers = int | Sequence[int]
"""One whole number, or several."""

Sizes = int | str | Sequence[int | str]
"""One size in bytes ("8kB"), or several."""

Paths = str | Path | Sequence[str | Path]
"""One path, or several."""

Settings = Mapping[str, Any] | Sequence[str]
"""Overrides: {"protocol.lr": 0.02}, or ["protocol.lr=0.02"]."""


class RunRequest(ConfigModel):
    """One call of `harness run`. Fields left None take the suite's value."""

    methods: tuple[str, ...] = Field(("all",), description="method names, or all")
    suite: str = Field(description="suite name, or path of a suite YAML")
    ipc: tuple[int, ...] | None = Field(None, description="images per class, instead of the suite's")
    bytes: tuple[int, ...] | None = Field(
        None, description="size limit of a set in bytes (8000, '8kB'), instead of IPCs"
    )
    students: tuple[str, ...] | None = Field(None, description="student names, instead of the suite's")
    protocol: str | None = Field(None, description="training protocol, or its YAML file, instead of the suite's")
    seeds: tuple[int, ...] | None = Field(None, description="training seeds, instead of the suite's")
    distill_seeds: tuple[int, ...] | None = Field(None, description="distillation seeds, instead of the suite's")
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="overrides by target and field")
    plugins: tuple[str, ...] = Field((), description="plugin files or folders")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="device for the jobs; auto: a GPU if available")
    executor: str = Field("ray", description="ray, or local: in this process")
    ray_address: str | None = Field(
        None, description="address of a running Ray cluster; none: start a local one for this run"
    )
    workers: int | None = Field(None, ge=1, description="number of CPUs for a local Ray; none: all")
    job_timeout: float | None = Field(
        None,
        gt=0,
        description=(
            "time limit of a job ('2h', '90m', or seconds), after which it is stopped and counts as failed; none: no "
            "limit"
        ),
    )
    retries: int = Field(2, ge=0, description="how many times a job is retried after its worker or node was lost")
    wait_for_nodes: float = Field(
        0, ge=0, description="seconds to wait for a cluster node that is large enough for a job"
    )
    store: str = Field("results", description="folder or fsspec URI for artefacts and runs")
    data_root: str = Field("data", description="folder that contains the image folders")
    weights_root: str | None = Field(
        None, description="folder that contains pretrained weights; none: DATA_ROOT/weights, then the hub's cache"
    )
    scores: bool = Field(
        False, description="also compute label- and augmentation-robust scores (trains additional students)"
    )
    reference: bool = Field(True, description="with soft labels: also train on a random real subset, for comparison")
    name: str | None = Field(None, description="name of the run; none: suite and time")
    log: tuple[str, ...] = Field((), description="loggers for the trainings: tensorboard, mlflow, wandb")
    fresh: bool = Field(False, description="run every job again, even if its result is in the store")
    validation: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="fraction of the training split used to measure accuracy instead of the test split",
    )
    validation_seed: int = Field(0, ge=0, description="seed that selects these training images")


_LISTS = ("ipc", "bytes", "seeds", "distill_seeds")
"""Fields of numbers; one number alone is a list of one."""


def make_request(*, config: str | Path | None = None, **fields: Any) -> RunRequest:
    """Build a request from Python or the command line.

    Args:
        config: a file with a whole request, such as a run's request.yaml; the fields given beside it win.
        **fields: those of `RunRequest`; None: as if left out.

    Raises:
        UserError: an unknown field or a value of the wrong kind.
    """
    fields["settings"] = parse_overrides(fields.get("settings") or {})
    if config is not None:
        fields = beside_file(read_request(config), fields)
    for name in ("methods", "students", "plugins", "log", *_LISTS):
        value = fields.get(name)
        if isinstance(value, str | int | Path):
            fields[name] = (value,)
    if fields.get("bytes") is not None:
        fields["bytes"] = as_sizes(fields["bytes"])
    if fields.get("ipc") is not None and fields.get("bytes") is not None:
        raise UserError("give the budget either as IPC or as bytes: omit --ipc or --bytes.")
    fields["plugins"] = tuple(str(p) for p in fields.get("plugins") or ())
    given = {k: v for k, v in fields.items() if v is not None}
    if "job_timeout" in given:
        given["job_timeout"] = _as_seconds(given["job_timeout"])
    for name in ("methods", "students", *_LISTS):
        if name in given and not len(given[name]):
            raise UserError(f"{name}: the list is empty; give at least one value, or omit it to use the suite's.")
    for name in ("store", "data_root", "weights_root", "suite", "protocol"):
        if name in given:
            given[name] = str(given[name])
    request: RunRequest = checked(RunRequest, given, "request")
    check_name(request.name)
    if request.wait_for_nodes and not request.ray_address:
        raise UserError("--wait-for-nodes: only a cluster can get more nodes; give its address with --ray-address.")
    if request.executor == "local" and (request.ray_address or request.workers):
        raise UserError("--ray-address and --workers need --executor ray; the local executor runs one job at a time.")
    if request.executor == "local" and request.job_timeout:
        raise UserError(
            "--job-timeout needs --executor ray: the local executor runs jobs in its own process, which cannot be "
            "stopped."
        )
    return request


def check_name(name: str | None) -> None:
    """Refuse the name of a run that is no plain folder name.

    Raises:
        UserError: says so.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", name):
        raise UserError(f"--name {name!r}: expected a plain folder name of at most 100 letters, digits, _ . + or -.")


def _as_seconds(text: str | float) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserError(f"job_timeout: {error}.") from None
