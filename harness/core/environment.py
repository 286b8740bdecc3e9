"""The environment of a run: devices, package versions, the commit of the harness."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tomllib
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "timm", "ray", "numpy", "scikit-learn", "pillow")


DISTRIBUTION = "distillation-harness"


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


def _harness() -> ModuleType:
    return import_module(__name__.partition(".")[0])


@cache
def code_version() -> str:
    """Return the version of the harness, and a hash of all Python files of the packages `harness` and `methods`.

    Two machines of equal text run equal code: a checkout changes without its version number.
    """
    digest = hashlib.sha256()
    package = Path(str(_harness().__file__)).resolve().parent
    for folder in (package, package.parent / "methods"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\x1f{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return f"{_harness().__version__} ({digest.hexdigest()[:8]})"


def git_state(package: Path | None = None) -> dict[str, Any]:
    """Return the commit of the harness's own checkout and whether it has uncommitted changes; None outside of one.

    An installed harness may lie inside somebody else's repository: that commit says nothing about it.

    Args:
        package: the folder of the package `harness`; None: of the one that runs.
    """
    folder = package or Path(str(_harness().__file__)).resolve().parent
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel")).resolve()
        project = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        if top != folder.resolve().parent or project.get("name") != DISTRIBUTION:
            return {"commit": None, "dirty": None}
        return {"commit": _git(folder, "rev-parse", "HEAD"), "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, ValueError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def free_memory() -> int:
    """Return the bytes of memory that nobody uses now, caches of files counted as free; where that is not told, all of it."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
        "harness": _harness().__version__,
        "git": git_state(),
    }
