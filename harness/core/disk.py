"""What the file system refuses while something is written: recognised, whoever wrapped it, and put into one message.

In: an exception. Out: where it was and why, or nothing. Nobody can do anything about a full disk but the user.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.errors import UserError

_ANYWHERE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Said of writing only."""


_OURS = {errno.EACCES, errno.EPERM}
"""Said of reading too, so only of files in the folder that is written."""


_WORDS = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "File too large": errno.EFBIG,
}
"""In texts of libraries that keep no number: safetensors."""


CURE = "Fix this, then run the same command again to resume."


def refusal(error: BaseException, folder: Path) -> str:
    """Return where and why nothing could be written, such as "results/store: No space left on device"; "" if it is not that.

    Args:
        error: what was raised; what it was raised from is looked at too.
        folder: what was being written, where the error does not say.
    """
    for one in _chain(error):
        place = str(one.filename) if isinstance(one, OSError) and isinstance(one.filename, str | Path) else ""
        if isinstance(one, OSError):
            ours = not place or Path(place).absolute().is_relative_to(folder.absolute())
            if one.errno in _ANYWHERE or (one.errno in _OURS and place and ours):
                return f"{_visible(Path(place)) if place else folder}: {one.strerror or one}"
        else:
            for words in _WORDS:
                if words in str(one):
                    return f"{folder}: {words}"
    return ""


def _visible(path: Path) -> Path:
    """Return the folder that people know, for a hidden one that is gone by then."""
    hidden = [number for number, part in enumerate(path.parts) if part.startswith(".") and part != ".."]
    return Path(*path.parts[: hidden[-1]]) if hidden else path


@contextmanager
def one_message(what: str, folder: Path, kept: str) -> Iterator[None]:
    """Turn such a refusal into one message.

    Args:
        what: could not be written.
        folder: where.
        kept: says what is there nevertheless.

    Raises:
        UserError: with all three, and what to do.
    """
    try:
        yield
    except Exception as error:
        if not (refused := refusal(error, folder)):
            raise
        raise UserError(f"{what}. {refused}. {kept} {CURE}") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
