"""What goes wrong at a remote store: one error, which says whether another try may go well.

In: an error of any file system. Out: `RemoteError`.
"""

from __future__ import annotations

import errno
from typing import Any

from harness.core.errors import UserError

_LOST = {"HTTPClientError", "ConnectionError", "ClientConnectionError", "ClientPayloadError", "TimeoutError"}
"""Errors of a connection that do not derive from OSError: botocore's and aiohttp's."""


_REFUSED = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_NOT_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOSYS)


class RemoteError(OSError, UserError):
    """A remote store did not do what it was asked.

    Attributes:
        reason: what its file system said.
        lost: another try may go well: the connection broke, or the server failed.
    """

    def __init__(self, text: str, reason: str, *, lost: bool) -> None:
        super().__init__(text)
        self.reason = reason
        self.lost = lost

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with all three."""
        return _made_again, (str(self), self.reason, self.lost)


def _made_again(text: str, reason: str, lost: bool) -> RemoteError:
    return RemoteError(text, reason, lost=lost)


def is_lost(error: BaseException) -> bool:
    """Return whether what failed may go well at another try: a broken connection, a server that failed."""
    if isinstance(error, RemoteError):
        return error.lost
    if isinstance(error, OSError):
        return error.errno not in _NOT_LOST and not isinstance(error, _REFUSED)
    return any(base.__name__ in _LOST for base in type(error).__mro__)
