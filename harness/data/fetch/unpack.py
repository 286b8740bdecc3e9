"""Unpack an archive of images: regular files below one folder, nothing else, or nothing at all.

In: a tar file, compressed or not, or a zip file, and an empty folder. Out: the archive's one folder in it. Links, devices,
absolute names and `..` are refused whatever they point at: a data set needs none of them.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from harness.core.errors import UserError
from harness.core.paths import is_plain
from harness.core.progress import BYTE, ProgressCallback
from harness.core.text import byte_size

_DAMAGED = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    NotImplementedError,
)


_BLOCK = 1 << 20


def unpack(archive: Path, into: Path, top: str, report: ProgressCallback) -> None:
    """Unpack `archive` into the folder `into`, which then holds the folder `top`.

    Args:
        archive: a tar or zip file; .tgz and the like are told by their content.
        into: an empty folder; the caller removes it where this raises.
        top: the only folder that the archive may have at its top.
        report: told the progress, in bytes of the archive.

    Raises:
        UserError: the archive is damaged or cut off, or has a member that it should not have; names it.
    """
    try:
        with archive.open("rb") as raw:
            is_zip = raw.read(4) == b"PK\x03\x04"
        (_unpack_zip if is_zip else _unpack_tar)(archive, into, top, report)
    except _DAMAGED as error:
        raise UserError(f"{archive} is damaged or truncated ({error}); no unpacked files were kept.") from None
    except OSError as error:
        raise UserError(
            f"{archive} cannot be unpacked into {into.parent}: {error}; no unpacked files were kept."
        ) from None
    if not (into / top).is_dir():
        raise UserError(f"{archive} has no folder {top!r}; no unpacked files were kept.")


def _unpack_tar(archive: Path, into: Path, top: str, report: ProgressCallback) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
        for member in tar:
            kinds = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link"}
            is_plain_kind = member.isreg() or member.isdir()
            kind = "" if is_plain_kind else kinds.get(member.type, "not a regular file")
            _check(member.name, kind, member.isdir(), archive, top)
            tar.extract(member, into, set_attrs=False, filter="data")
            report("unpacking", raw.tell(), total, BYTE)
        while tar.fileobj.read(_BLOCK):  # up to the end: there the compression's checksum stands
            pass
        report("unpacking", total, total, BYTE)


def _unpack_zip(archive: Path, into: Path, top: str, report: ProgressCallback) -> None:
    with zipfile.ZipFile(archive) as file:
        members, done = file.infolist(), 0
        for member in members:
            mode = member.external_attr >> 16
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "encrypted" if member.flag_bits & 1 else ""
            _check(member.filename, kind, member.is_dir(), archive, top)
        total, free = sum(member.file_size for member in members), shutil.disk_usage(into).free
        if total > free:
            raise UserError(
                f"{archive} needs {byte_size(total)} unpacked, but only {byte_size(free)} are free; no unpacked files were kept."
            )
        for member in members:
            file.extract(member, into)
            done += member.file_size
            report("unpacking", done, total, BYTE)


def _check(name: str, kind: str, is_folder: bool, archive: Path, top: str) -> None:
    """See that a member is a file or folder below `top`; `kind` says what it is where it is neither."""
    path = PurePosixPath(name)
    wrong = None
    if kind:
        wrong = f"is {kind}"
    elif path.parts and not is_plain(name):
        wrong = "would be outside its folder"
    elif path.parts and path.parts[0] != top:
        wrong = f"is outside {top}/"
    elif len(path.parts) == 1 and not is_folder:
        wrong = "is not a folder"
    if wrong:
        raise UserError(
            f"{archive}: member {name!r} {wrong}. The archive is not as expected; no unpacked files were kept."
        )
