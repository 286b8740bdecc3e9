"""`harness data fetch`: bring a suite's data below the data root, whole or not at all.

In: a suite and a data root. Out: a folder DATA_ROOT/NAME with a receipt. The archive (or each file) is downloaded into
DATA_ROOT/.downloads, checked, unpacked beside its final place, compared with what the data set should hold, and renamed.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.classes import read_class_list
from harness.core.errors import UserError, did_you_mean
from harness.core.progress import ProgressCallback
from harness.core.suites import SuiteFile
from harness.data.dataset_cards import KnownFile, Variant, load_known
from harness.data.fetch.obtain import check_given, discard, obtain
from harness.data.sources.base import open_source

RECEIPT = ".harness-source.json"


_WORKING = ".unpacking-"


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did.

    Attributes:
        folder: where the data lie; None: they need no folder.
        about: which data set and variant they are.
        here_before: they were there already.
        sha256: of each download (hex, commas between); empty where it was there before.
        declared: checksums were declared, so that the downloads are known to be the right ones.
        is_suites_own: the suite reads this folder unless told otherwise.
    """

    folder: Path | None
    about: str
    here_before: bool = False
    sha256: str = ""
    declared: bool = True
    is_suites_own: bool = True


def fetch(
    file: SuiteFile,
    data_root: Path,
    report: ProgressCallback,
    *,
    variant: str | None = None,
    archive: Path | None = None,
    keep_archive: bool = False,
) -> Fetched:
    """Fetch the data of a suite.

    Args:
        file: the suite.
        data_root: folder that the data's folder is put into; made if needed.
        report: told the progress.
        variant: which form of the data set; None: its first.
        archive: an archive, or a folder of files, that is here already, instead of a download.
        keep_archive: do not delete what was downloaded.

    Raises:
        UserError: the data cannot be fetched (says how to get them), something is in the way, or the
            download or the archive is not what it should be. Nothing is left of it but what a new try can go on from.
    """
    if not origins(file):
        return _needs_none(file, data_root)
    known, name, chosen = _choose(file, variant)
    about, final = known.source.about(name), data_root / chosen.root
    own = file.suite.source.get("root") == chosen.root
    if final.exists() or final.is_symlink():
        return Fetched(final, _receipt_of(final, known, name), here_before=True, is_suites_own=own)
    elsewhere = open_source(file.suite.source, (), data_root).place
    if own and elsewhere is not None and archive is None:
        return Fetched(elsewhere, about, here_before=True)
    check_given(chosen, archive, known.source.title)
    sha256 = _make(known, name, data_root, report, archive, keep_archive)
    declared = all(one.md5 or one.sha256 for one in chosen.downloads)
    return Fetched(final, about, sha256=sha256, declared=declared, is_suites_own=own)


def _make(
    known: KnownFile, name: str, data_root: Path, report: ProgressCallback, given: Path | None, keep_archive: bool
) -> str:
    """Bring what a variant consists of and make the data set's folder of it; return the SHA-256 of each download."""
    variant = known.source.variants[name]
    with workplace(data_root, variant.root) as (downloads, working):
        brought = obtain(variant, given, downloads, working, report)
        _compare(known, variant, working)
        receipt = {
            "data_set": known.source.name,
            "variant": name,
            "url": ", ".join(one.file.url for one in brought),
            "sha256": ", ".join(one.sha256 for one in brought),
            "fetched": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        (working / variant.root / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
        (working / variant.root).rename(data_root / variant.root)
        if not keep_archive:
            discard(brought)
    return receipt["sha256"]


def origins(file: SuiteFile) -> list[KnownFile]:
    """Return the known data sets that hold a suite's classes.

    Raises:
        UserError: the suite's source is wrong or names an unknown one.
    """
    config = open_source(file.suite.source, (), Path()).config
    return [load_known(name) for name in getattr(config, "origins", ())]


def can_fetch(file: SuiteFile) -> bool:
    """Return whether `fetch` can bring the folder that a suite reads.

    Raises:
        UserError: as `origins`.
    """
    own = file.suite.source.get("root")
    return any(
        one.downloads and own in (None, one.root) for known in origins(file) for one in known.source.variants.values()
    )


def how_to_get(file: SuiteFile, data_root: Path) -> str:
    """Return what to do for each data set that a suite can use, as text of several lines; empty where none is known."""
    lines = []
    for known in origins(file):
        if known.source.how:
            lines.append(f"{known.source.title}:\n  {known.source.how.strip().replace(chr(10), chr(10) + '  ')}")
        roots = [v.root for v in known.source.variants.values() if (data_root / v.root).is_dir()]
        if any(v.downloads for v in known.source.variants.values()):
            names = list(known.source.variants)
            which = (f" ({', '.join(names)})", " --variant NAME") if len(names) > 1 else ("", "")
            lines.append(
                f"{known.source.title}{which[0]}: `harness data fetch {file.suite.name}{which[1]}` downloads it."
            )
        lines += [
            f"{data_root / root} exists: use it with --set data.root={root}"
            for root in roots
            if root != file.suite.source.get("root")
        ]
    return "\n".join(lines)


def _needs_none(file: SuiteFile, data_root: Path) -> Fetched:
    """Return where data that no known data set holds are, such as the embedded digits.

    Raises:
        UserError: they are not there, and nobody said where they come from.
    """
    source = open_source(file.suite.source, tuple(c.id for c in read_class_list(file.class_list)), data_root)
    try:
        source.check()
    except UserError as error:
        raise UserError(f"suite {file.suite.name}: its source has no `origins` to download from. {error}") from None
    return Fetched(None, source.describe(), here_before=True)


def _choose(file: SuiteFile, variant: str | None) -> tuple[KnownFile, str, Variant]:
    known = origins(file)
    offered = [(k, name, v) for k in known for name, v in k.source.variants.items() if v.downloads]
    if not offered:
        how = "\n".join(k.source.how for k in known)
        raise UserError(f"suite {file.suite.name}: its data cannot be downloaded.\n{how}")
    if variant is None:
        return offered[0]
    for found in offered:
        if found[1] == variant:
            return found
    names = [name for _, name, _ in offered]
    raise UserError(
        f"suite {file.suite.name} has no variant {variant!r} to download.{did_you_mean(variant, names)} Known: "
        f"{', '.join(names)}."
    )


def _receipt_of(final: Path, known: KnownFile, variant: str) -> str:
    """Return what a folder's receipt says it is.

    Raises:
        UserError: it has none, or is another data set: it is not ours to touch.
    """
    try:
        receipt = json.loads((final / RECEIPT).read_text(encoding="utf-8"))
        if (receipt["data_set"], receipt["variant"]) == (known.source.name, variant):
            return known.source.about(variant)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(
        f"{final} exists, but is not a download of {known.source.about(variant)}. It was not changed: inspect it with "
        "`harness data check`, or move it away and fetch again."
    )


@contextlib.contextmanager
def workplace(data_root: Path, root: str) -> Iterator[tuple[Path, Path]]:
    """Give a folder for downloads and an empty one to unpack into, to one process at a time; the latter is removed."""
    from filelock import FileLock, Timeout

    downloads = data_root / ".downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        lock = FileLock(downloads / f"{root}.lock", timeout=0)
        lock.acquire()
        working = Path(tempfile.mkdtemp(dir=data_root, prefix=f"{_WORKING}{root}-"))
    except Timeout:
        raise UserError(
            f"{root} is being downloaded to {data_root} by another process; wait for it to finish."
        ) from None
    except OSError as error:
        raise UserError(
            f"data root {data_root}: cannot be written ({error.strerror or error}). Choose another one with "
            "--data-root."
        ) from None
    try:
        for left in data_root.glob(f"{_WORKING}{root}-*"):
            if left != working:  # of a process that was killed: we hold its lock
                shutil.rmtree(left, ignore_errors=True)
        working.chmod(0o755)
        yield downloads, working
    finally:
        shutil.rmtree(working, ignore_errors=True)
        lock.release()


def _compare(known: KnownFile, variant: Variant, below: Path) -> None:
    """Check that what was unpacked has every class, no empty image, and the stated number of images."""
    source = known.source
    folders = {"kind": "image_folder", "train_dir": source.train_dir, "test_dir": source.test_dir}
    opened = open_source({**(source.source or folders), "root": variant.root}, known.class_ids, below)
    try:
        opened.check()
        found = {split: len(opened.split(split)) for split in ("train", "test")}
    except UserError as error:
        text = str(error).replace(str(below), "ARCHIVE")
        raise UserError(
            f"the archive of {source.title} is not complete; no unpacked files were kept.\n{text}"
        ) from None
    if found != source.num_images:
        raise UserError(
            f"the archive of {source.title} holds {found['train']:,} training and {found['test']:,} test images, "
            f"expected {source.num_images['train']:,} and {source.num_images['test']:,}; no unpacked files were kept."
        )
