"""Seconds, floating-point operations and the device's own peak. In: work to call. Out: measurements that devices share.

A share of the peak is operations per second over those of a large matrix product in the same precision, both measured here.
Operations are those of matrix products, convolutions and attention, as torch counts them; the rest costs time and no share.
On a GPU torch runs float32 convolutions in TF32 and float32 matrix products not: a VAE or a student may pass 100 %.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        part: finetune, sampling, vae or students.
        what: what was done.
        precision: of the matrix products.
        batch: images at once.
        num_images: images of one call.
        wall_s: median seconds of one call.
        spread_s: slowest less fastest call, seconds.
        num_calls: calls timed.
        images_per_s: of the median.
        tflops: 10^12 operations per second.
        peak_share: of the measured peak in that precision, in [0, 1].
        peak_device_mb: largest device memory, 10^6 bytes; None on a CPU.
        note: what a reader should know.
    """

    part: str
    what: str
    precision: str
    batch: int
    num_images: int
    wall_s: float
    spread_s: float
    num_calls: int
    images_per_s: float
    tflops: float
    peak_share: float
    peak_device_mb: float | None
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, *, calls: int, warm_up: int | None = None) -> list[float]:
    """Return the seconds of each of `calls` calls, after `warm_up` calls that do not count (None: a GPU gets more)."""
    for _ in range((3 if device.type == "cuda" else 1) if warm_up is None else warm_up):
        work()
    spent = []
    for _ in range(calls):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        spent.append(time.perf_counter() - start)
    return spent


def operations(work: Callable[[], object]) -> int:
    """Return the floating-point operations of one call. The call is made, uncompiled."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


class Peaks:
    """The device's operations per second in a large matrix product, measured once per precision.

    Args:
        device: what is measured.
        side: rows and columns of the matrices; 8192 keeps a large GPU busy.
    """

    def __init__(self, device: torch.device, side: int) -> None:
        self.device, self.side = device, side
        self.per_s: dict[str, float] = {}

    def __getitem__(self, precision: str) -> float:
        if precision not in self.per_s:
            one, two = (torch.randn(self.side, self.side, device=self.device).to(DTYPES[precision]) for _ in range(2))
            spent = seconds(lambda: one @ two, self.device, calls=10, warm_up=3)
            self.per_s[precision] = 2 * self.side**3 / min(spent)
        return self.per_s[precision]


def measure(
    part: str,
    what: str,
    work: Callable[[], object],
    *,
    device: torch.device,
    peaks: Peaks,
    precision: str,
    batch: int,
    num_images: int,
    num_operations: float,
    calls: int,
    note: Callable[[], str] = lambda: "",
) -> Row:
    """Time `work` and put it into a row; `num_operations` and `num_images` are those of one call. `note` is asked last."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent = seconds(work, device, calls=calls)
    return to_row(
        part,
        what,
        spent,
        device=device,
        peaks=peaks,
        precision=precision,
        batch=batch,
        num_images=num_images,
        num_operations=num_operations,
        note=note(),
    )


def to_row(
    part: str,
    what: str,
    spent: list[float],
    *,
    device: torch.device,
    peaks: Peaks,
    precision: str,
    batch: int,
    num_images: int,
    num_operations: float,
    note: str = "",
) -> Row:
    """Return the row of calls that were timed already."""
    wall = statistics.median(spent)
    memory = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
    rate = num_operations / wall
    return Row(
        part, what, precision, batch, num_images, wall, max(spent) - min(spent), len(spent),
        num_images / wall, rate / 1e12, rate / peaks[precision], memory, note,
    )  # fmt: skip
