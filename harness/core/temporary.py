"""Folders in progress: a name says whose each is, and so when one that was left behind may be removed.

A process number means something within one PID namespace of one running system only: containers with equal host names, or
machines that share a folder, each have a process 17. So names carry an identity of both.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

LEFT_S = 7 * 24 * 3600.0
"""After so long without a change, seconds, a folder of another machine, or of this one before it was started anew, is left."""


_REPLACED = re.compile(r"\.[0-9a-f]+-old-[0-9a-f]+")


@cache
def identity() -> str:
    """Return what tells apart the running systems and PID namespaces that share a store; the host where neither is known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except (OSError, UnicodeDecodeError):
        return platform.node().replace("-", "_") or "localhost"
    return "@" + hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]  # no host name holds an @


def make_folder(parent: Path, key: str) -> Path:
    """Make and return a folder of this process."""
    return Path(tempfile.mkdtemp(prefix=f".{key[:12]}-{identity()}-{os.getpid()}-", dir=parent))


def replaced_name(key: str) -> str:
    """Return the name of a folder that is removed right after it was renamed so."""
    return f".{key[:12]}-old-{os.urandom(8).hex()}"


def sweep(store: Path) -> None:
    """Remove the temporary folders in a store whose makers are gone, and what they had replaced and not yet removed."""
    for path in store.glob("*/.*-*-*"):
        if not path.parent.is_symlink() and _is_left(path, store / "partial"):
            shutil.rmtree(path, ignore_errors=True)


def _is_left(path: Path, checkpoints: Path) -> bool:
    if _REPLACED.fullmatch(path.name):
        return True
    first, owner, pid, *rest = path.name.rsplit("-", 3)
    if not rest or not pid.isdigit():  # an artefact that was set aside, or nothing of ours
        return False
    if owner == identity():
        return not _is_alive(int(pid))
    own = [path, *checkpoints.glob(f"{first[1:]}*")]
    return all(_age_s(folder) > LEFT_S for folder in own)


def _age_s(folder: Path) -> float:
    """Return how long nothing in a folder has changed; 0 where that is not known."""
    try:
        newest = max(one.lstat().st_mtime for one in (folder, *folder.rglob("*")))
    except OSError:
        return 0.0
    return time.time() - newest


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives and belongs to somebody else
    return True
