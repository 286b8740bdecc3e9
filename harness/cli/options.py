"""Options that several commands share, and how lists on the command line are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.consoles import message
from harness.core.errors import UserError

Store = Annotated[
    str, typer.Option("--store", help="Folder (or fsspec URI) for artefacts and runs.", envvar="HARNESS_STORE")
]


DataRoot = Annotated[
    str, typer.Option("--data-root", help="Folder that contains the image folders.", envvar="HARNESS_DATA")
]


WeightsRoot = Annotated[
    str | None,
    typer.Option(
        "--weights-root",
        help="Folder that contains pretrained weights; default: DATA_ROOT/weights, then the hub's cache.",
        envvar="HARNESS_WEIGHTS",
    ),
]


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        help=(
            "Python file, or folder of files, that defines your own methods; repeatable. HARNESS_PLUGINS: plugin "
            "folders for all commands."
        ),
    ),
]


Students = Annotated[
    str | None, typer.Option("--students", help="Student networks, comma-separated; `timm:NAME` is any timm model.")
]


ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help="Training protocol: a name or a YAML file; default: the suite's.")
]


Seeds = Annotated[
    str | None,
    typer.Option("--seeds", help="Training seeds, `0-4` or `0,1,2`: one student per seed and distilled set."),
]


DistillSeeds = Annotated[
    str | None,
    typer.Option(
        "--distill-seeds", help="Distillation seeds, `0-4` or `0,1,2`: one distilled set (or selection) per seed."
    ),
]


Executor = Annotated[str, typer.Option("--executor", help="`ray`, or `local` (one job at a time in this process).")]


RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", help="Address of a running Ray cluster; default: start Ray on this machine for this run."
    ),
]


WaitForNodes = Annotated[
    float,
    typer.Option(
        "--wait-for-nodes",
        min=0,
        metavar="SECONDS",
        help=(
            "On an autoscaling cluster: wait this long for a node that is large enough for a job, instead of "
            "rejecting the job immediately."
        ),
    ),
]


Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Number of CPUs for the local Ray; default: all.")
]


JobTimeout = Annotated[
    str | None,
    typer.Option(
        "--job-timeout",
        metavar="DURATION",
        help=(
            "Stop a job that runs longer than this, e.g. `2h` or `90m`; it counts as failed and is not retried. "
            "Default: no limit."
        ),
    ),
]


Retries = Annotated[
    int, typer.Option("--retries", min=0, help="How many times to retry a job whose worker or node was lost.")
]


Device = Annotated[str, typer.Option("--device", help="`cpu`, `cuda`, or `auto` (a GPU if available).")]


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override a field: `minimax.epochs=4`, `protocol.lr=0.02`; repeatable. `harness show` lists the fields.",
    ),
]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress: only results, failures and errors.")]


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="With --dry-run: list every job with its key.")]


DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything and print the jobs and their estimated cost, without running them."
    ),
]


Scores = Annotated[
    bool,
    typer.Option(
        "--scores",
        help="Also compute label- and augmentation-robust scores (trains additional students).",
    ),
]


Reference = Annotated[
    bool,
    typer.Option(
        "--reference/--no-reference",
        help="With soft labels: also run a random real subset, to show what soft labels alone achieve.",
    ),
]


Fresh = Annotated[bool, typer.Option("--fresh", help="Run every job again, even if its result is in the store.")]


RunName = Annotated[str | None, typer.Option("--name", help="Name of the run; default: suite name and time.")]


Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        help=(
            "Also log the curves and final results of each training to `tensorboard`, `mlflow` or `wandb`; "
            "comma-separated."
        ),
    ),
]


Config = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Read the whole request from a file, e.g. request.yaml of a run or best.yaml of a tuning; flags on the "
            "command line override it. Plugins that it names are loaded and their code runs."
        )
    ),
]


Validation = Annotated[
    float | None,
    typer.Option(
        help=(
            "Measure accuracy on this share of the training split instead of the test split, e.g. 0.2; methods see "
            "the rest."
        )
    ),
]


ValidationSeed = Annotated[int, typer.Option(min=0, help="Seed that selects these training images.")]


def names(text: str | None) -> tuple[str, ...] | None:
    """Split "a,b" into names."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str | None, option: str, least: int) -> tuple[int, ...] | None:
    """Split "10,50" into whole numbers of at least `least`."""
    return None if text is None else _numbers(text, option, least, f"{option} 10,50")


def seeds(text: str | None, option: str) -> tuple[int, ...] | None:
    """Split "0-4" or "0-2,7" into seeds; a lone number such as 5 gets a note: it is one seed, not five."""
    if text is None:
        return None
    parts: list[str] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", part)
        if ends is None:
            parts.append(part)
            continue
        first, last = int(ends[1]), int(ends[2])
        if not 0 <= last - first < MOST_SEEDS:
            raise UserError(
                f"{option} {text!r}: {part.strip()} is not a range; write the smaller seed first: {option} 0-4."
            )
        parts += map(str, range(first, last + 1))
    found = _numbers(",".join(parts), option, 0, f"{option} 0-4 or {option} 0,1,2")
    if len(found) == 1 and found[0] > 1 and "-" not in text:
        message(
            "note:",
            f"{option} {text} means the single seed {found[0]}; for {found[0]} seeds write {option} 0-{found[0] - 1}",
        )
    return found


MOST_SEEDS = 1000
"""Of one range: more are a slip of the finger."""


def _numbers(text: str, option: str, least: int, example: str) -> tuple[int, ...]:
    """Split a text at its commas into whole numbers.

    Raises:
        UserError: one is none, or is too small.
    """
    found = []
    for part in text.split(","):
        try:
            number = int(part.strip())
        except ValueError:
            raise UserError(
                f"{option} {text!r}: {part.strip()!r} is not an integer. Expected a comma-separated list, e.g. "
                f"{example}."
            ) from None
        if number < least:
            raise UserError(f"{option} {text!r}: {number} is too small; the minimum is {least}.")
        found.append(number)
    return tuple(found)


_PARAMETERS = {"bytes": "size", "plugins": "plugin"}
"""Field of a request -> the name that its option has in the code, where they differ."""


def given(context: typer.Context, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields whose options were typed, or stand in the environment; the others are defaults."""
    sources = {name: context.get_parameter_source(_PARAMETERS.get(name, name)) for name in fields}
    return {name: value for name, value in fields.items() if getattr(sources[name], "name", "") != "DEFAULT"}
