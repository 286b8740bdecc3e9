"""Clocks and fingerprints: wall and device seconds, peak memory, energy where the device tells it, the environment.

Device clocks are read only after the device has finished its work; time spent loading weights is kept apart.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "timm", "ray", "numpy", "scikit-learn", "pillow")


class Clock:
    """Measure one job. Use as a context manager; read `result` afterwards.

    Args:
        device: what is synchronised before each reading.
        num_devices: how many devices the job holds: its GPUs, or its CPU threads where there is no GPU.
    """

    def __init__(self, device: torch.device, num_devices: float) -> None:
        self.device = device
        self.num_devices = num_devices
        self._whole_device = float(num_devices).is_integer()  # a shared card's counter holds the others' energy too
        self.load_s = 0.0
        self.result: dict[str, float | None] = {}

    def _now(self) -> float:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def __enter__(self) -> Clock:
        _reset_peaks(self.device)
        self._energy = _energy_j(self.device)
        self._start = self._now()
        return self

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Count the time inside as loading, not as work."""
        start = self._now()
        try:
            yield
        finally:
            self.load_s += self._now() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time inside at all: what the harness does with a result."""
        start = self._now()
        try:
            yield
        finally:
            self._start += self._now() - start

    def elapsed_s(self) -> float:
        """Return the working seconds so far, those of a killed run that left a checkpoint included."""
        return self._now() - self._start - self.load_s

    def add_earlier(self, seconds: float) -> None:
        """Count the working seconds of a run that was killed and is now resumed."""
        self._start -= seconds

    def __exit__(self, *exc: object) -> None:
        wall_s = self.elapsed_s()
        energy = _energy_j(self.device) if self._whole_device else None
        self.result = {
            "wall_s": wall_s,
            "device_s": wall_s * self.num_devices,
            "load_s": self.load_s,
            "peak_host_bytes": _peak_host_bytes(),
            "peak_device_bytes": _peak_device_bytes(self.device),
            "energy_j": None if energy is None or self._energy is None else energy - self._energy,
        }


def _reset_peaks(device: torch.device) -> None:
    """Forget earlier peaks; a worker process serves many jobs."""
    import contextlib

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def _peak_host_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _peak_device_bytes(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)


def _energy_j(device: torch.device) -> float | None:
    """Return the device's energy counter in joules since its driver was loaded, or None where it has none."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        import torch

        # By UUID: CUDA_VISIBLE_DEVICES renumbers devices for torch and not for NVML.
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except Exception:
        return None  # no NVML, or a device without the counter: energy is then unknown, never zero


@cache
def has_cuda() -> bool:
    """Return whether a CUDA device can be used; torch is only imported where a driver is present."""
    if not (Path("/proc/driver/nvidia").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):
        return False
    import torch

    return torch.cuda.is_available()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number; "missing" where one is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


@cache
def cpu_name() -> str:
    """Return the CPU's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device_name(device: str) -> str:
    """Return the name of a device: its GPU model, or the CPU model."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else "a GPU of the cluster"
    return cpu_name()


def git_state() -> dict[str, Any]:
    """Return the commit of the harness's checkout and whether it has uncommitted changes; None outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        run = lambda *args: subprocess.run(  # noqa: E731
            ["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        return {"commit": run("rev-parse", "HEAD"), "dirty": bool(run("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def environment(device: str) -> dict[str, Any]:
    """Return the environment fingerprint that goes into every run."""
    return {
        "device": device,
        "device_name": device_name(device),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "git": git_state(),
    }
