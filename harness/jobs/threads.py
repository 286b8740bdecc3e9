"""CPU settings of a job's process: threads, and keeping freed pages.

Half of the CPU time of a training step is page faults, because glibc gives large blocks back to the system after every
step (docs/protocols.md, "Speed on a CPU"). Keeping them doubles the speed with bit-equal results; it works in the process's
main thread only, so both executors run jobs there.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1  # constants of glibc's malloc.h


_M_MMAP_MAX = -4


def keep_pages() -> bool:
    """Tell the allocator to keep freed memory in the process. Return False where there is no glibc to tell."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL("libc.so.6")
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, -1))


def release_pages() -> None:
    """Give memory that earlier jobs of this process have freed back to the system, so that a job's peak is its own."""
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def set_threads(num_threads: int) -> None:
    """Give torch exactly `num_threads`: two processes of two threads on two cores do 40 % less than of one each."""
    import torch

    torch.set_num_threads(num_threads)
