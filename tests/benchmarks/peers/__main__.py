"""`python -m tests.benchmarks.peers`: time what the given checkouts allow, print a table, and write it with all values."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.measure import OURS, THEIRS, Peer, Side, rows, serve

_PARTS = {"students": "minimax", "generators": "minimax", "matching": "dc", "crops": "rded"}
"""Modules of this folder, each with the checkout that it needs."""


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 2 for what was asked wrongly."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    from harness.core.errors import UserError

    try:
        return _serve(options) if options.serve else _compare(options, given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare(options: Any, given: list[str]) -> int:
    """Measure row by row and write `peers.md` and `peers.json` after each, so that an interrupted run keeps what it has."""
    from harness.core import environment
    from harness.core.errors import UserError
    from tests.benchmarks.peers.checkout import check

    folders = {"--minimax": options.minimax, "--dc": options.dc, "--rded": options.rded}
    if not any(folders.values()):
        raise UserError(f"no checkout: give at least one of {', '.join(folders)} with the folder of the authors' code")
    for (option, folder), needs in zip(folders.items(), ("train.py", "main_DM.py", "synthesize/utils.py"), strict=True):
        if folder:
            check(folder, needs, option)
    device = _device(options)
    about = {**environment.environment(str(device)), "num_threads": options.threads, "rounds": options.rounds}
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"environment": about, "rows": []}
    command = [sys.executable, "-m", __spec__.name, *given]
    with (options.out / "log.txt").open("w") as log:
        for row in _rows(command, log, options):
            found["rows"].append(row)
            print(f"{row['what']}: " + ", ".join(f"{way} {_cell(row, way)}" for way in row["seconds"]), flush=True)
            (options.out / "peers.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
            (options.out / "peers.md").write_text(markdown(found), encoding="utf-8")
    if not found["rows"]:
        raise UserError(f"--only {options.only!r}: no row has this in its name")
    print(f"\n{markdown(found)}")
    return 0


def _rows(command: list[str], log: Any, options: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of every part, each part in two new processes.

    In a process that worked with large images before, small ones take less time: its allocator kept more pages.
    """
    for part in [name for name, option in _PARTS.items() if getattr(options, option)]:
        own = [*command, "--part", part, "--serve"]
        with Side([*own, THEIRS], log) as theirs, Side([*own, OURS], log) as ours:
            yield from rows(theirs, ours, options.rounds, options.only)


def _serve(options: Any) -> int:
    """Be one of the two processes that work."""
    import torch

    from harness.jobs import threads
    from tests.benchmarks.peers.checkout import on_this_device

    if options.serve == OURS:
        threads.keep_pages()
    torch.set_num_threads(options.threads)
    device = _device(options)
    with on_this_device(device):
        serve(_peers(options, device), device)
    return 0


def _device(options: Any) -> Any:
    import torch

    from harness.core import environment

    return torch.device("cuda" if environment.has_cuda() and options.device != "cpu" else "cpu")


def _peers(options: Any, device: Any) -> Iterator[Peer]:
    """Yield the rows of a part."""
    part = importlib.import_module(f"tests.benchmarks.peers.{options.part}")
    yield from getattr(part, options.part)(getattr(options, _PARTS[options.part]), device, options.share)


def markdown(found: dict[str, Any]) -> str:
    """Return the report: the device, and a table of seconds and ratios."""
    from tabulate import tabulate

    about, ways = found["environment"], list(dict.fromkeys(way for row in found["rows"] for way in row["seconds"]))
    table = [[row["what"], *(_cell(row, way) for way in ways)] for row in found["rows"]]
    kind = "seconds" if about["device"].startswith("cuda") else "CPU seconds"
    return (
        f"{about['device_name']}, {about['num_threads']} thread, torch {about['packages']['torch']}: median {kind} of "
        f"{about['rounds']} rounds in turns; in brackets how many times faster than the authors' code.\n\n"
        f"{tabulate(table, ['work', *ways], tablefmt='github', disable_numparse=True)}\n"
    )


def _cell(row: dict[str, Any], way: str) -> str:
    if way not in row["seconds"]:
        return ""
    text = f"{row['seconds'][way]:.3g} s"
    return text if way == THEIRS else f"{text} ({row['ratio'][way]:.1f}x)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description="Time the authors' own code beside ours, in turns."
    )
    parser.add_argument("--minimax", type=Path, help="checkout of vimar-gu/MinimaxDiffusion: students, step, sampling")
    parser.add_argument("--dc", type=Path, help="checkout of VICO-UoE/DatasetCondensation: DM")
    parser.add_argument("--rded", type=Path, help="checkout of LINs-lab/RDED: crops")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is timed, after a warm-up")
    parser.add_argument("--share", type=float, default=1.0, help="of the images or steps of a row, for a quick look")
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--out", type=Path, default=Path("build/peers"), help="folder for peers.md, peers.json and log.txt"
    )
    parser.add_argument("--serve", choices=[THEIRS, OURS], help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=list(_PARTS), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
