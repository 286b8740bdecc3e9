"""Which process this is, so that another on the same machine can tell whether it has ended.

In: nothing, or what another process wrote of itself. Out: JSON with the boot of the machine, the PID namespace, the PID and
the start time of the process. Only Linux has them; elsewhere nothing is known.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def own_process() -> str:
    """Return what identifies this process, as JSON."""
    return json.dumps({"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())})


def gone_from_here(text: str) -> bool:
    """Return True where the process that wrote `text` ran on this machine and has ended; False where that is not known."""
    try:
        about = json.loads(text)
        machine, pid, started = about["machine"], int(about["pid"]), about["started"]
    except (ValueError, TypeError, KeyError):
        return False
    return machine is not None and machine == _machine() and started is not None and _started(pid) != started


def _machine() -> str | None:
    """Return this boot of this machine and the PID namespace: containers of one host count their processes apart."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return the start time of a process, in clock ticks since boot; None where it has ended, a zombie included."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in ("Z", "X") else fields[18]
