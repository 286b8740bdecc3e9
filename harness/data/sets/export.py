"""Write a distilled set in a format of other tools: class folders, WebDataset shards, Parquet, or the files of authors' code.

In: the PNG files of a set with their classes, as they lie in the store. Out: files below a folder; equal sets give equal
files. No image is decoded: the bytes are copied.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError, did_you_mean
from harness.core.paths import plain_name
from harness.data.sets.export_set import ExportedSet
from harness.data.sets.export_tensors import write_dc, write_ddranking, write_mtt, write_sre2l
from harness.data.sets.soft_labels import save_labels

MANIFEST = "manifest.json"


SHARD = 10_000
"""Images of one WebDataset shard or Parquet row group, at most."""


def write_imagefolder(given: ExportedSet, folder: Path) -> None:
    """Write CLASS/00000.png, soft labels beside them."""
    for c, number, path in given.items():
        own = folder / plain_name(c.id)
        own.mkdir(exist_ok=True)
        shutil.copyfile(path, own / f"{number:05d}.png")
    if given.labels is not None:
        save_labels(folder, given.labels, given.classes)


def write_webdataset(given: ExportedSet, folder: Path) -> None:
    """Write train-00000.tar, ...: of each image KEY.png, KEY.cls (the label) and KEY.json."""
    items = list(given.items())
    for shard, start in enumerate(range(0, len(items), SHARD)):
        with tarfile.open(folder / f"train-{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for place, (c, number, path) in enumerate(items[start : start + SHARD], start=start):
                about = {"label": c.label, "class_id": c.id, "class_name": c.name}
                if (soft := given.soft_label(c, number)) is not None:
                    about["soft_label"] = soft
                key = f"{place:08d}"
                _add(tar, f"{key}.png", path.read_bytes())
                _add(tar, f"{key}.cls", str(c.label).encode())
                _add(tar, f"{key}.json", json.dumps(about).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file without owner and time, so that equal sets give equal archives."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_parquet(given: ExportedSet, folder: Path) -> None:
    """Write data/train-00000-of-00001.parquet, which Hugging Face `datasets` opens with images decoded.

    Columns: image (struct of bytes and path), label, class_id, class_name, and soft_label where there are any.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(
            "--format parquet needs the package pyarrow: pip install 'distillation-harness[hub]', or choose another format."
        ) from None
    fields = [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("class_id", pa.string()),
        ("class_name", pa.string()),
    ]
    if given.labels is not None:
        fields.append(("soft_label", pa.list_(pa.float32())))
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": _features(given)}})})
    (folder / "data").mkdir()
    items = list(given.items())
    with pq.ParquetWriter(folder / "data" / "train-00000-of-00001.parquet", schema) as writer:
        for start in range(0, len(items), SHARD):
            rows = [_row(given, *item) for item in items[start : start + SHARD]]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _row(given: ExportedSet, c: ClassInfo, number: int, path: Path) -> dict[str, Any]:
    image = {"bytes": path.read_bytes(), "path": f"{c.id}/{number:05d}.png"}
    row = {"image": image, "label": c.label, "class_id": c.id, "class_name": c.name}
    soft = given.soft_label(c, number)
    return row if soft is None else {**row, "soft_label": soft}


def _features(given: ExportedSet) -> dict[str, Any]:
    """Return the columns as Hugging Face `datasets` describes them. Class ids name the labels: names may repeat."""
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": [c.id for c in given.classes], "_type": "ClassLabel"},
        "class_id": text,
        "class_name": text,
    }
    if given.labels is not None:
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    return features


def write_manifest(given: ExportedSet, folder: Path) -> None:
    """Write manifest.json: where the set comes from, and its classes."""
    classes = [{"id": c.id, "label": c.label, "name": c.name} for c in given.classes]
    text = json.dumps({**given.about, "classes": classes}, indent=1)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


FORMATS: dict[str, Callable[[ExportedSet, Path], None]] = {
    "imagefolder": write_imagefolder,
    "webdataset": write_webdataset,
    "parquet": write_parquet,
    "dc": write_dc,
    "mtt": write_mtt,
    "ddranking": write_ddranking,
    "sre2l": write_sre2l,
}


def known_format(name: str) -> Callable[[ExportedSet, Path], None]:
    """Return the writer of a format.

    Raises:
        UserError: there is none of that name.
    """
    if name not in FORMATS:
        raise UserError(f"unknown format {name!r}.{did_you_mean(name, list(FORMATS))} Known: {', '.join(FORMATS)}.")
    return FORMATS[name]


def numbered(files: Sequence[Path]) -> list[Path]:
    """Return the PNGs of a class folder in the order of their numbers: 100000.png stands after 99999.png."""
    return sorted(files, key=lambda path: (len(path.name), path.name))
