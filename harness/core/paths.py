"""Names out of manifests, records, archives and listings: plain relative paths below their folder, and no link on the way.

In: a name that somebody else wrote. Out: the same name, or a refusal. Whoever joins such a name to a folder asks here first.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path, PurePosixPath

from harness.core.errors import UserError

MOST_BYTES = 255
"""Of one part of a path; no usual file system keeps more."""


_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:")
"""Another system's separator or drive, and characters that no name needs."""


_USUAL = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}/)*[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
"""A path that needs no closer look; for speed."""


def is_plain(name: object) -> bool:
    """Return whether a name is a relative path that stays below its folder on every system."""
    if isinstance(name, str) and _USUAL.fullmatch(name):
        return True
    if not isinstance(name, str) or _FORBIDDEN.search(name):
        return False
    path = PurePosixPath(name)
    short = all(len(part.encode("utf-8", "surrogatepass")) <= MOST_BYTES for part in path.parts)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and short


def plain_path(name: str) -> str:
    """Return a relative path that stays below its folder.

    Raises:
        UserError: it does not.
    """
    if not is_plain(name):
        raise UserError(
            f"{_short(name)} is not a plain relative path; a file of that name is neither read nor written."
        )
    return name


def plain_name(name: str) -> str:
    """Return the name of one file or folder: a plain path of one part.

    Raises:
        UserError: it is none.
    """
    if not is_plain(name) or "/" in name:
        raise UserError(f"{_short(name)} is not a plain file or folder name; it is neither read nor written.")
    return name


def below(folder: Path, name: str) -> Path:
    """Return folder/name.

    Raises:
        UserError: the name does not stay below the folder, or leads through a link.
    """
    path = folder / plain_path(name)
    if leads_elsewhere(folder, name):
        raise UserError(
            f"{path} is a symbolic link, or below one; nothing is read or written through it. Remove the link."
        )
    return path


def leads_elsewhere(folder: Path, name: str) -> bool:
    """Return whether a part of a plain path is a symbolic link; `folder` itself may be one."""
    place = folder
    for part in PurePosixPath(name).parts:
        place = place / part
        if place.is_symlink():
            return True
    return False


def is_regular(path: Path) -> bool:
    """Return whether there is a regular file: no link, folder, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def regular_files(folder: Path, *patterns: str) -> list[Path]:
    """Return the regular files in a folder that match, by name; none where the folder is a link or not there."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if is_regular(path))


def _short(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 100 else f"{text[:99]}…"
