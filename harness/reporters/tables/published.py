"""Published numbers by themselves, before anything was measured: a table for each source, as papers lay them out.

In: the rows of results/published. Out: tables. What states no protocol, IPC or student stands apart, as context.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.core.errors import UserError, did_you_mean
from harness.core.text import DASH, known
from harness.reporters.published_numbers import PublishedNumber, load_published, of_suite
from harness.reporters.tables.columns import Cell, Column, first, ipc_column, mean_spread, student_column, word_column
from harness.reporters.tables.paper import MEANING
from harness.reporters.tables.table import Table

_CAPTION = (
    "Top-1 accuracy in percent ({metric}), mean ± standard deviation, as published; methods and test models have their "
    "names in this harness. full: students trained on all training images, independent of IPC. {dash}: not published. "
    "This harness measured none of these numbers."
)


_CONTEXT = (
    "Percent, as published, in the metric named. Do not compare measured numbers with these: the source states no protocol, "
    "IPC or test model, or the number is second-hand."
)


def report_published(
    suite: str,
    numbers: Sequence[PublishedNumber] | None = None,
    *,
    protocol: str | None = None,
    ipc: int | None = None,
) -> dict[str, Table]:
    """Return the published numbers of a suite by file stem: published, published_2, ..., and published_context.

    Args:
        suite: name of the suite; it needs no data and no run.
        numbers: published numbers; None: those of results/published.
        protocol: numbers of this protocol only; None: of all.
        ipc: numbers of this IPC only, and of the full data; None: of all.

    Returns:
        One table for each source, protocol and metric: a row per IPC and test model, a column per method, the full data
        last. Then, where there are any, the numbers that are context only, one a row.

    Raises:
        UserError: no such published number is known for the suite, or a file of them is wrong.
    """
    own = _chosen(of_suite(load_published() if numbers is None else numbers, suite), protocol, ipc)
    stated, context = ([n for n in own if n.is_context is flag] for flag in (False, True))
    places = dict.fromkeys((n.source, n.protocol, n.metric) for n in stated)
    tables = [_paper([n for n in stated if (n.source, n.protocol, n.metric) == place]) for place in places]
    found = {"published" if i == 1 else f"published_{i}": table for i, table in enumerate(tables, start=1)}
    return found | ({"published_context": _context(context)} if context else {})


def _chosen(numbers: list[PublishedNumber], protocol: str | None, ipc: int | None) -> list[PublishedNumber]:
    """Return the numbers of a protocol and an IPC."""
    suite, protocols = numbers[0].suite, sorted({n.protocol for n in numbers})
    if protocol is not None:
        numbers = [n for n in numbers if n.protocol == protocol]
        if not numbers:
            raise UserError(
                f"no published number for suite {suite} under protocol {protocol!r}."
                f"{did_you_mean(protocol, protocols)} There are some for {', '.join(protocols)}."
            )
    if ipc is None:
        return numbers
    if not any(n.ipc == ipc for n in numbers):
        ipcs = ", ".join(map(str, sorted({n.ipc for n in numbers if isinstance(n.ipc, int)}))) or "none"
        where = f" under protocol {protocol}" if protocol else ""
        raise UserError(f"no published number for suite {suite}{where} at IPC {ipc}; there are some for IPC {ipcs}.")
    return [n for n in numbers if n.ipc in (ipc, "full")]


def _paper(numbers: list[PublishedNumber]) -> Table:
    one, own = numbers[0], [n for n in numbers if n.ipc != "full"]
    methods = dict.fromkeys(n.method for n in [*own, *numbers])  # those of the full data last
    ipcs: list[int | None] = [*sorted({n.ipc for n in own if isinstance(n.ipc, int)})] or [None]
    students = dict.fromkeys(n.student for n in numbers)
    lines, frame = list(itertools.product(ipcs, students)), _frame(numbers)

    def at(method: str, ipc: int | None, student: str | None) -> tuple[int, ...]:
        own = [i for i, n in enumerate(numbers) if n.student == student and n.method == method]
        return tuple(i for i in own if numbers[i].ipc in (ipc, "full"))

    columns = (
        ipc_column(rows=[first([n.ipc for n in numbers], ipc) for ipc, _ in lines]),
        student_column(frame, rows=[first([n.student for n in numbers], student) for _, student in lines]),
        *(Column(m, _NUMBER, _published, rows=[at(m, *line) for line in lines]) for m in methods),
    )
    metric = f"{one.metric}: {MEANING[one.metric]}" if one.metric in MEANING else one.metric
    return Table(
        f"Published: {one.suite}, protocol {one.protocol}",
        f"{_CAPTION.format(metric=metric, dash=DASH)} Source: {one.source}.",
        frame,
        columns,
        group="IPC",
        brief=f"Published top-1 accuracy in percent on {one.suite} (protocol {one.protocol}; {metric}): mean ± standard "
        "deviation.",
    )


def _context(numbers: list[PublishedNumber]) -> Table:
    sources = "; ".join(dict.fromkeys(n.source for n in numbers))
    frame = _frame(numbers)
    title = f"Published, context only: {numbers[0].suite}"
    return Table(title, f"{_CONTEXT} Source: {sources}.", frame, _context_columns(frame))


def _published(mean: float, std: float) -> Cell:
    """Return the number with the decimals that it was published with, at least one."""
    digits = max(len(str(value).partition(".")[2]) for value in (mean, std if known(std) else 0.0))
    return mean_spread(mean, std, digits=digits)


_NUMBER = ("published_mean_percent", "published_std_percent")


def _context_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    return (
        word_column("Method", "method"),
        word_column("Metric", "metric"),
        ipc_column("all_data"),
        student_column(frame),
        Column("Published", _NUMBER, _published),
    )


def _frame(numbers: list[PublishedNumber]) -> pd.DataFrame:
    """Return one row per number, named as in the table of published beside measured."""
    lines: list[dict[str, Any]] = [
        {
            "suite": n.suite,
            "published_protocol": n.protocol,
            "ipc": n.ipc if isinstance(n.ipc, int) else pd.NA,
            "all_data": n.ipc == "full",
            "student": n.student or "",
            "method": n.method,
            "metric": n.metric,
            "published_mean_percent": n.mean,
            "published_std_percent": float("nan") if n.std is None else n.std,
            "source_text": n.source,
        }
        for n in numbers
    ]
    return pd.DataFrame(lines).astype({"ipc": "Int64"})
