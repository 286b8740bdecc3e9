"""Axes of quantities that differ by factors: log scales with ticks in units that people use.

Labels are plain text, "10 ms", "4 KiB": matplotlib's own powers of ten would be formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.core.text import byte_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes


_TIMES = {
    1e-3: "1 ms", 1e-2: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 60.0: "1 min", 600.0: "10 min", 3600.0: "1 h",
    36_000.0: "10 h", 86_400.0: "1 d", 864_000.0: "10 d", 8_640_000.0: "100 d",
}  # fmt: skip


def set_ipc_axis(ax: Axes, ipcs: Iterable[float]) -> None:
    """Show images per class on a log axis, with a tick at every IPC."""
    values = sorted(set(ipcs))
    ax.set_xscale("log")
    ax.set_xlim(values[0] / 1.5, values[-1] * 1.5)
    _ticks(ax, values, lambda value: f"{value:,.0f}")


def set_cost_axis(ax: Axes, values: Iterable[float], kind: str, most_ticks: int = 6) -> None:
    """Show costs on a log axis (linear where one is zero); `kind` is "time", "seconds" or "bytes"."""
    known = [v for v in values if not math.isnan(v)]
    low, high = min(known), max(known)
    if low <= 0:
        ax.xaxis.set_major_locator(MaxNLocator(most_ticks))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _label(value, kind)))
        return
    ax.set_xscale("log")
    ax.set_xlim(low / 1.6, high * 1.6)
    places = [v for v in _candidates(low / 1.6, high * 1.6, kind) if low / 1.6 <= v <= high * 1.6]
    if len(places) < 2:
        places = [low] if high < 1.1 * low else [low, high]
    _ticks(ax, places[:: -(-len(places) // most_ticks)], lambda value: _label(value, kind))


def _candidates(low: float, high: float, kind: str) -> list[float]:
    if kind == "time":
        return list(_TIMES)
    base = 10 if kind == "seconds" else 2
    return [float(base) ** p for p in range(math.floor(math.log(low, base)), math.ceil(math.log(high, base)) + 1)]


def _label(value: float, kind: str) -> str:
    if kind == "bytes":
        return byte_size(value).replace(".0 ", " ")
    if kind == "seconds":
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return _TIMES.get(value, f"{value:.3g} s")


def _ticks(ax: Axes, places: list[float], label: Callable[[float], str]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
