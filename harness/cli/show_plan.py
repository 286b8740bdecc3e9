"""What a dry run prints: the totals first, then what a run would do and take; each job with `--verbose`. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.core.environment import device_name
from harness.core.store import Store
from harness.core.text import DASH, byte_size, duration, times
from harness.jobs.job import KINDS
from harness.planning.estimate import Expected, estimate
from harness.planning.plan import Plan
from harness.planning.real_images import describe_images
from harness.planning.remarks import remarks
from harness.planning.rerun import rerun_reasons
from harness.planning.resolve import Resolved

REASONS_SHOWN = 50
"""Reasons that a dry run gives for jobs that run again."""


def print_plan(resolved: Resolved, plan: Plan, console: Console, *, verbose: bool = False) -> None:
    """Print how many jobs there are and what they will take, then what is skipped, the jobs of each kind, and the estimate.

    Args:
        resolved, plan: what a run would do.
        console: where to.
        verbose: list every job with its key too.
    """
    store, lines = resolved.context.store, estimate(resolved, plan)
    here = {key for key, job in plan.jobs.items() if store.has(job.kind, key)}
    stored = f"{len(here):,} in the store, {len(plan.jobs) - len(here):,} to run"
    console.print(Text(f"{times(len(plan.jobs), 'job')} for {times(len(plan.rows), 'record')}: {stored}", style="bold"))
    if lines:
        console.print(Text(_expected(resolved, lines)))
    for line in remarks(resolved):
        console.print(Text(line), soft_wrap=True)
    for method in resolved.plan_input.methods:
        if method.skip:
            console.print(Text(f"skipped: {method.name}: {method.skip}"))
    if not resolved.request.fresh:
        _print_reruns(rerun_reasons(plan, store), console)
    console.print()
    _print_kinds(plan, store, here, console)
    if lines:
        console.print()
        _print_estimate(_unit(resolved), lines, console)
    for line in describe_images(resolved, plan):
        console.print(Text(line), soft_wrap=True)
    if verbose:
        console.print()
        for job in plan.jobs.values():
            console.print(
                Text(f"{job.key[:12]}  {job.title}{'  (in the store)' if job.key in here else ''}"), soft_wrap=True
            )
    console.print()
    more = "" if verbose else " --verbose lists the jobs."
    console.print(f"Dry run: nothing was run or written.{more}")


def _unit(resolved: Resolved) -> str:
    return "device time" if resolved.context.device != "cpu" else "CPU time"


def _expected(resolved: Resolved, lines: Sequence[Expected]) -> str:
    """Return the sum of an estimate, and what it leaves out."""
    seconds, disk = sum(line.device_s or 0 for line in lines), sum(line.disk_bytes or 0 for line in lines)
    left_out = [f"{line.stage} {line.what}" for line in lines if line.device_s is None]
    more = f"; no estimate for: {'; '.join(left_out)}" if left_out else ""
    name = device_name(resolved.context.device)
    return f"expected: {duration(seconds)} of {_unit(resolved)} on {name}, {byte_size(disk)} of disk{more}"


def _print_kinds(plan: Plan, store: Store, here: set[str], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("jobs", "planned", "in the store", "per job"):
        table.add_column(column, justify="left" if column in ("jobs", "per job") else "right")
    for kind in KINDS:
        jobs = [job for job in plan.jobs.values() if job.kind == kind]
        if jobs:
            asks = jobs[0].resources
            gpus = f", {times_of(asks.gpus, 'GPU')}" if asks.gpus else ""
            ready = sum(job.key in here for job in jobs)
            table.add_row(
                kind, str(len(jobs)), str(ready), f"{times_of(asks.cpus, 'CPU')}{gpus}, {asks.memory_gb:g} GB"
            )
    console.print(table)


def times_of(number: float, word: str) -> str:
    """Return "1 CPU", "4 CPUs" or "0.5 GPUs"."""
    return f"{number:g} {word}{'' if number == 1 else 's'}"


def _print_reruns(reasons: list[str], console: Console) -> None:
    """Print why jobs run again that the store has under another key."""
    if reasons:
        console.print(
            Text("runs again, because its key differs from that of the newest job with this name in the store:")
        )
    for reason in reasons[:REASONS_SHOWN]:
        console.print(Text(f"  {reason}"), soft_wrap=True)
    if len(reasons) > REASONS_SHOWN:
        console.print(Text(f"  ... and {len(reasons) - REASONS_SHOWN:,} more reasons"))


def _print_estimate(unit: str, lines: Sequence[Expected], console: Console) -> None:
    """Print what the jobs to come will take on this device, by stage."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "of", "jobs to run", unit, "disk", "based on"):
        table.add_column(
            column, justify="right" if column in ("jobs to run", unit, "disk") else "left", overflow="fold"
        )
    for line in lines:
        size = byte_size(line.disk_bytes) if line.disk_bytes is not None else DASH
        table.add_row(line.stage, line.what, str(line.num_jobs), duration(line.device_s), size, line.basis)
    console.print(table)
