"""`harness data fetch SUITE --hub OWNER/NAME`: make class folders of an image data set from the Hugging Face hub.

In: a data set whose splits lie in Parquet files with an image column and a class-label column, as `datasets` writes them. Out: a
folder DATA_ROOT/OWNER--NAME with train/CLASS and val/CLASS, files as they were encoded, and a receipt. Nothing of the
data set's own code is run.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.classes import ClassInfo, read_class_list
from harness.core.errors import UserError
from harness.core.hub import hub_id
from harness.core.progress import ProgressCallback
from harness.core.suites import SuiteFile
from harness.data.fetch.suite_data import RECEIPT, Fetched, workplace

_SPLITS = {"train": ("train",), "val": ("validation", "val", "valid", "test")}
"""Our split -> the hub's names for it, the first found counts."""


_ENDINGS = ((b"\xff\xd8", ".JPEG"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


_BATCH = 256


@dataclass(frozen=True)
class _Columns:
    """Where a Parquet file has its images and labels, and what the labels are called, in order."""

    image: str
    label: str
    names: tuple[str, ...]


def fetch_from_hub(file: SuiteFile, data_root: Path, repo: str, report: ProgressCallback) -> Fetched:
    """Fetch the classes of a suite from a data set of the hub.

    Args:
        file: the suite; its classes are found by id or by name among the data set's labels.
        data_root: folder that the data's folder is put into; made if needed.
        repo: "owner/name" or "owner/name@revision".
        report: told the progress.

    Raises:
        UserError: pyarrow is missing, the hub does not give the data set, it is no image data set in Parquet files, or it lacks
            a class or a split. No folder appears then.
    """
    parsed = hub_id(repo)
    if parsed is None:
        raise UserError(f"--hub {repo!r}: expected OWNER/NAME, or OWNER/NAME@REVISION, of a data set on the hub.")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            "--hub reads Parquet files with the package pyarrow; install it: pip install 'distillation-harness[hub]'."
        ) from None
    root = parsed[0].replace("/", "--")
    final, about = data_root / root, f"{parsed[0]} from the Hugging Face hub"
    own = file.suite.source.get("root") == root
    if final.exists() or final.is_symlink():
        return Fetched(final, about, here_before=True, is_suites_own=own)
    classes = read_class_list(file.class_list)
    with workplace(data_root, root) as (downloads, working):
        folder, commit = _download(parsed[0], parsed[1], downloads / root)
        num = {ours: _unpack(folder, names, classes, working / root / ours, report) for ours, names in _SPLITS.items()}
        receipt = {
            "data_set": about,
            "variant": commit,
            "num_images": num,
            "fetched": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        (working / root / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
        (working / root).rename(final)
        shutil.rmtree(folder)  # the downloaded files would take as much room again
    return Fetched(final, about, is_suites_own=own)


def _download(repo: str, revision: str | None, folder: Path) -> tuple[Path, str]:
    """Download the Parquet files of a data set; what broke off goes on. Return their folder and the commit."""
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        info = HfApi(endpoint=endpoint).dataset_info(repo, revision=revision)
        snapshot_download(
            repo,
            repo_type="dataset",
            revision=info.sha,
            allow_patterns=["*.parquet"],
            local_dir=folder,
            endpoint=endpoint,
        )
    except Exception as error:  # the hub client raises many kinds: no connection, not found, gated, disk full
        brief = str(error).strip().split("\n")[0]
        raise UserError(
            f"--hub {repo}: the download from the hub failed ({type(error).__name__}: {brief}). Check the spelling "
            "and the connection; for a gated data set, log in with `hf auth login`."
        ) from error
    return folder, str(info.sha)


def _unpack(
    folder: Path, names: Sequence[str], classes: Sequence[ClassInfo], target: Path, report: ProgressCallback
) -> int:
    """Write the images of a split into class folders; return their number."""
    import pyarrow.parquet as pq

    files = _files(folder, names)
    total, done = sum(pq.read_metadata(f).num_rows for f in files), 0
    written: Counter[str] = Counter()
    for c in classes:
        (target / c.id).mkdir(parents=True)
    for path in files:
        columns = _columns(path)
        wanted = _matched(columns.names, classes, path)
        for batch in pq.ParquetFile(path).iter_batches(_BATCH, columns=[columns.image, columns.label]):
            for image, label in zip(batch[columns.image].to_pylist(), batch[columns.label].to_pylist(), strict=True):
                class_id = wanted.get(label)
                if class_id is not None:
                    content = _content(image, path)
                    name = f"{written[class_id]:06d}{_ending(content)}"
                    (target / class_id / name).write_bytes(content)
                    written[class_id] += 1
            done += batch.num_rows
            report("reading", done, total, "image")
    empty = [c.id for c in classes if not written[c.id]]
    if empty:
        raise UserError(f"split {names[0]} of the data set has no images of class {', '.join(empty[:10])}.")
    return sum(written.values())


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the Parquet files of the first split name that there is, in order: "data/train-00000-of-00004.parquet"."""
    found = sorted(folder.rglob("*.parquet"))
    for name in names:
        own = [f for f in found if re.match(rf"{name}(-\d|\.|$)", f.name) or f.parent.name == name]
        if own:
            return own
    raise UserError(
        f"the data set has no split {' or '.join(names)} in Parquet files; it has "
        f"{', '.join(f.name for f in found[:5]) or 'none'}."
    )


def _columns(path: Path) -> _Columns:
    """Find the image and the class-label column by the features that `datasets` notes in the file.

    Raises:
        UserError: there are none, or more than one of a kind.
    """
    import pyarrow.parquet as pq

    noted = (pq.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
    features: Mapping[str, Any] = json.loads(noted).get("info", {}).get("features", {})
    of_kind = {
        kind: [n for n, f in features.items() if isinstance(f, dict) and f.get("_type") == kind]
        for kind in ("Image", "ClassLabel")
    }
    if any(len(found) != 1 for found in of_kind.values()):
        raise UserError(
            f"{path.name}: expected one column of images and one of class labels, with the feature types of "
            f"`datasets`; found {of_kind['Image'] or 'no images'} and {of_kind['ClassLabel'] or 'no class labels'}."
        )
    image, label = of_kind["Image"][0], of_kind["ClassLabel"][0]
    return _Columns(image, label, tuple(map(str, features[label]["names"])))


def _matched(names: Sequence[str], classes: Sequence[ClassInfo], path: Path) -> dict[int, str]:
    """Return label -> class id for the suite's classes; a label may be called by the class's id or by its name.

    Raises:
        UserError: a class is not among the labels, or two labels fit it.
    """
    place: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for word in {_plain(name), *(_plain(part) for part in name.split(","))}:
            place.setdefault(word, []).append(number)
    found = {c.id: sorted({*place.get(_plain(c.id), []), *place.get(_plain(c.name), [])}) for c in classes}
    wrong = [class_id for class_id, numbers in found.items() if len(numbers) != 1]
    if wrong:
        raise UserError(
            f"{path.name}: its labels ({', '.join(names[:5])}, ...) do not match the classes {', '.join(wrong[:10])}; "
            "each label must be the id or the name of a class in the suite's class list."
        )
    return {numbers[0]: class_id for class_id, numbers in found.items()}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().lower())


def _content(image: Any, path: Path) -> bytes:
    content = image.get("bytes") if isinstance(image, dict) else None
    if not isinstance(content, bytes):
        raise UserError(f"{path.name}: contains paths instead of images; expected the images themselves.")
    return content


def _ending(content: bytes) -> str:
    return next((ending for start, ending in _ENDINGS if content.startswith(start)), ".img")
