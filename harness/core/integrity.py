"""Whether an artefact is what was written: its files by the sums in its manifest, its manifest by the sum over itself.

In: the folder of an artefact. Out: what is wrong with it, in a few words. Sums are compared when a process first reads an
artefact; after that its files must only be there at their full size. What is damaged is renamed, never removed.
"""

from __future__ import annotations

import stat
import uuid
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import file_sha256
from harness.core.manifest import is_edited, parse_manifest
from harness.core.paths import is_regular, leads_elsewhere

MANIFEST = "manifest.json"


ASIDE = ".damaged-"
"""Begins the name of an artefact that was set aside; its key follows, and some digits that tell several apart."""


_State = tuple[int, int, int, int]


_SOUND: dict[str, _State] = {}
"""Folders that this process found sound, with the state that their manifest had then."""


class DamagedArtefact(FileNotFoundError):
    """An artefact that is there and is not what was written. Who needs it lets it be made again.

    Attributes:
        kind, key: of its job.
    """

    def __init__(self, kind: str, key: str, told: str) -> None:
        super().__init__(told)
        self.kind = kind
        self.key = key


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest in a folder; None where there is none.

    Raises:
        UserError: a name in it leads out of the folder, or it may not be read.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(path.read_text(encoding="utf-8")) if is_regular(path) else None
    except PermissionError as error:
        raise _no_access(path, error) from None
    except (OSError, UnicodeDecodeError):
        return None


def flaw(folder: Path, *, sums: bool) -> str:
    """Return what is wrong with an artefact; nothing where it is whole.

    Args:
        folder: of the artefact.
        sums: compare the content of its files too, not only their sizes.

    Raises:
        UserError: as `read_manifest`; or a file may not be read.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is missing or cannot be read"
    if is_edited(manifest):
        return f"{MANIFEST} was changed after it was written"
    files = manifest["files"]
    inner = {parent for name in files if (parent := name.rpartition("/")[0])}
    if any(leads_elsewhere(folder, parent) for parent in inner):
        return "it contains a symbolic link"
    for name, info in files.items():
        if told := _file_flaw(folder / name, info, sums):
            return f"{name} {told}"
    return ""


def _file_flaw(path: Path, info: dict[str, Any], sums: bool) -> str:
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return "is not a regular file"
        if about.st_size != info["size"]:
            return f"has {about.st_size:,} bytes, expected {info['size']:,}"
        if sums and info.get("sha256") and file_sha256(path) != info["sha256"]:
            return "has different content than was written"
    except PermissionError as error:
        raise _no_access(path, error) from None
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def damage(folder: Path) -> str:
    """Return what is wrong with an artefact that is there; sums are compared once in a process.

    Raises:
        UserError: it may not be read.
    """
    told = ""
    for _ in range(3):
        state = state_of(folder)
        told = flaw(folder, sums=state is None or _SOUND.get(str(folder)) != state)
        if state is not None and not told:
            _SOUND[str(folder)] = state
        if state_of(folder) == state:  # else another process made it again meanwhile
            break
    return told


def state_of(folder: Path) -> _State | None:
    """Return what changes when an artefact is replaced; None where there is none."""
    try:
        about = (folder / MANIFEST).lstat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size


def note_sound(folder: Path, written: _State | None) -> None:
    """Note that an artefact is the one that this process wrote, whose sums it has just computed."""
    if written is not None and state_of(folder) == written:
        _SOUND[str(folder)] = written


def set_aside(folder: Path) -> Path | None:
    """Rename a damaged artefact, so that it can be made again, and return where it is; None where that is refused."""
    aside = folder.with_name(f"{ASIDE}{folder.name}-{uuid.uuid4().hex[:8]}")
    if folder.parent.is_symlink():
        return None
    try:
        folder.rename(aside)
    except FileNotFoundError:
        pass  # another process did it
    except OSError:
        return None
    return aside


def _no_access(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be read ({error.strerror}). Ask its owner for access, or choose another --store DIR."
    )
