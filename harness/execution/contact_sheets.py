"""A PNG contact sheet of every distilled set of a run, for people who would rather look than read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.paths import plain_name
from harness.data.sets.folder import contact_sheet
from harness.data.sources.folder_reader import FolderReader
from harness.data.split import Split

_LOG = logging.getLogger(__name__)


SHOWN = 20
"""Images of each class on a sheet, at most."""


SHOWN_CLASSES = 100
"""Classes on a sheet, at most; only theirs are read."""


def write_sheets(records: list[dict[str, Any]], classes: tuple[ClassInfo, ...], folder: Path) -> list[Path]:
    """Write METHOD_ipcN_seedS.png for each distilled set that the records name; return the paths.

    A set whose images cannot be read is left out, with a warning: its row is told elsewhere.
    """
    sets = {
        (r["method"], r["ipc"], r["distillation_seed"]): (Path(r["image_folder"]), r["image_size"])
        for r in records
        if r.get("image_folder")
    }
    paths = []
    for (method, ipc, seed), (source, size) in sets.items():
        try:
            split = Split(FolderReader(source), [c.id for c in classes], labels={c.id: c.label for c in classes})
            images = {
                c.id: split.load(c.id, range(min(ipc, SHOWN)), size=size, crop="resize")
                for c in classes[:SHOWN_CLASSES]
            }
        except (UserError, FileNotFoundError) as error:
            _LOG.warning("no contact sheet for %s, IPC %s, seed %s: %s", method, ipc, seed, error)
            continue
        path = folder / plain_name(f"{method}_ipc{ipc}_seed{seed}.png")
        contact_sheet(images, classes, path, per_row=SHOWN, max_classes=SHOWN_CLASSES)
        paths.append(path)
    return paths
