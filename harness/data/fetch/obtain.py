"""Bring one form of a data set below a working folder: an archive unpacked, or files as they are.

In: a `Variant`, a folder for downloads and an empty one. Out: the data set's folder in the latter, and what was brought.
Nothing is used that fails a declared length or checksum.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.progress import ProgressCallback
from harness.core.text import byte_size
from harness.data.dataset_cards import Archive, Variant
from harness.data.fetch.http import download, verify
from harness.data.fetch.unpack import unpack


@dataclass(frozen=True)
class Download:
    """One file that was brought.

    Attributes:
        file: its address and what is declared of it.
        path: where it lies.
        is_given: the user had it already; it stays.
        sha256: hex.
    """

    file: Archive
    path: Path
    is_given: bool
    sha256: str = ""


def obtain(
    variant: Variant, given: Path | None, downloads: Path, working: Path, report: ProgressCallback
) -> list[Download]:
    """Make the folder `variant.root` in `working`; return what was brought for it.

    Args:
        variant: which form; it has something to download.
        given: the archive, or the folder with the files, that the user has; None: they are downloaded.
        downloads: folder for downloads; files stay there until `discard`.
        working: an empty folder.
        report: told the progress.

    Raises:
        UserError: the disk is too full, a download failed, or a file is not what it should be.
    """
    wanted = [_place(variant, file, given, downloads) for file in variant.downloads]
    _check_space(working, wanted)
    brought = [Download(w.file, w.path, w.is_given, _bring(w, report)) for w in wanted]
    if variant.archive:
        unpack(brought[0].path, working, variant.root, report)
    else:
        folder = working / variant.root
        folder.mkdir()
        for one in brought:
            shutil.copyfile(one.path, folder / one.file.file_name)
    return brought


def discard(brought: Sequence[Download]) -> None:
    """Delete what was downloaded; what the user had stays."""
    for one in brought:
        if not one.is_given:
            one.path.unlink()


def check_given(variant: Variant, given: Path | None, title: str) -> None:
    """See that what the user has is there.

    Raises:
        UserError: it is not, or is a file where a folder of several is meant.
    """
    if given is None:
        return
    names = [file.file_name for file in variant.files]
    if names and given.is_file():
        raise UserError(
            f"--archive {given}: {title} consists of several files; pass the folder that contains {', '.join(names)}."
        )
    lacking = [name for name in names if not (given / name).is_file()]
    if lacking or (not names and not given.is_file()):
        what = f"; {', '.join(lacking)} were expected in it" if lacking else ""
        raise UserError(f"--archive {given}: file not found{what}.")


def _place(variant: Variant, file: Archive, given: Path | None, downloads: Path) -> Download:
    if given is not None:
        return Download(file, given / file.file_name if variant.files else given, True)
    # the files of two data sets may have equal names, as MNIST's and Fashion-MNIST's have
    name = f"{variant.root}-{file.file_name}" if variant.files else file.file_name
    return Download(file, downloads / name, False)


def _check_space(working: Path, wanted: Sequence[Download]) -> None:
    """Images hardly compress: what is unpacked takes as much as the archive; a part may be here already."""
    needed = 0
    for one in wanted:
        if one.file.num_bytes is not None:
            part = one.path.with_name(one.path.name + ".part")
            here = next((path.stat().st_size for path in (one.path, part) if path.is_file()), 0)
            needed += int(one.file.num_bytes * 2.05) - here
    free = shutil.disk_usage(working).free
    if free < needed:
        raise UserError(
            f"data root {working.parent}: {byte_size(needed)} are needed (downloads and images), but only "
            f"{byte_size(free)} are free. Free some space, or choose another folder with --data-root."
        )


def _bring(wanted: Download, report: ProgressCallback) -> str:
    """Have a file on disk and checked; return its SHA-256. A download that fails its check is deleted."""
    path = wanted.path
    if wanted.is_given:
        return verify(path, wanted.file, report)
    if not path.exists():
        download(wanted.file, path, report)
    try:
        return verify(path, wanted.file, report, record=path.with_name(path.name + ".sha256"))
    except UserError:
        path.unlink()
        raise
