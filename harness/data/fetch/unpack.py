"""Unpack an archive of images: regular files below one folder, nothing else, or nothing at all.

In: a tar file, compressed or not, and an empty folder. Out: the archive's one folder in it. Links, devices, absolute names
and `..` are refused whatever they point at: a data set needs none of them.
"""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from harness.core.errors import UserError
from harness.core.paths import is_plain
from harness.core.progress import BYTE, ProgressCallback

_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


_BLOCK = 1 << 20


def unpack(archive: Path, into: Path, top: str, report: ProgressCallback) -> None:
    """Unpack `archive` into the folder `into`, which then holds the folder `top`.

    Args:
        archive: a tar file; .tgz and the like are told by their content.
        into: an empty folder; the caller removes it where this raises.
        top: the only folder that the archive may have at its top.
        report: told the progress, in bytes of the archive.

    Raises:
        UserError: the archive is damaged or cut off, or has a member that it should not have; names it.
    """
    total = archive.stat().st_size
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
            for member in tar:
                _check(member, archive, top)
                tar.extract(member, into, set_attrs=False, filter="data")
                report("unpacking", raw.tell(), total, BYTE)
            while tar.fileobj.read(_BLOCK):  # up to the end: there the compression's checksum stands
                pass
            report("unpacking", total, total, BYTE)
    except _DAMAGED as error:
        raise UserError(f"{archive} is damaged or cut off ({error}); nothing of it was kept.") from None
    except OSError as error:
        raise UserError(f"{archive} cannot be unpacked into {into.parent}: {error}; nothing of it was kept.") from None
    if not (into / top).is_dir():
        raise UserError(f"{archive} has no folder {top!r}; nothing of it was kept.")


def _check(member: tarfile.TarInfo, archive: Path, top: str) -> None:
    path = PurePosixPath(member.name)
    wrong = None
    if not (member.isreg() or member.isdir()):
        kinds = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link"}
        wrong = f"is {kinds.get(member.type, 'no regular file')}"
    elif path.parts and not is_plain(member.name):
        wrong = "would lie outside its folder"
    elif path.parts and path.parts[0] != top:
        wrong = f"lies outside {top}/"
    elif len(path.parts) == 1 and not member.isdir():
        wrong = "is no folder"
    if wrong:
        raise UserError(
            f"{archive}: member {member.name!r} {wrong}. The archive is not what it should be; nothing was kept."
        )
