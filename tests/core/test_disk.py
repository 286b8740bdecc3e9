"""A full disk is recognised whoever reports it, and nothing else is taken for one."""

import errno
from pathlib import Path

import pytest

from harness.core import disk
from harness.core.errors import UserError

STORE = Path("results/store")


def raised(raise_it):
    try:
        raise_it()
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def wrapped():
    try:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    except OSError as error:
        raise RuntimeError("the image could not be saved") from error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "results/store: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device"),
        (OSError(errno.EFBIG, "File too large"), "results/store: File too large"),
        (OSError(errno.EROFS, "Read-only file system", "results/store/a"), "results/store/a: Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "results/store/a"), "results/store/a: Permission denied"),
        (
            OSError(errno.EROFS, "Read-only file system", "/home/.u/r/fit/.a-1/x"),
            "/home/.u/r/fit: Read-only file system",
        ),
        (raised(wrapped), "results/store: Disk quota exceeded"),
        (ValueError("I/O error: No space left on device (os error 28)"), "results/store: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/imagenet/x.jpg"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file", "results/store/a"), ""),
        (ValueError("class 3: no images"), ""),
    ],
)
def test_what_was_refused_is_told_with_its_place(error, told):
    assert disk.refusal(error, STORE) == told


def test_one_message_says_what_where_and_what_is_kept():
    with (
        pytest.raises(
            UserError, match=r"no page. results/store: No space left on device. The rest is kept. Fix this, then run"
        ),
        disk.one_message("no page", STORE, "The rest is kept."),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyError), disk.one_message("no page", STORE, "The rest is kept."):
        raise KeyError("a mistake of ours")
