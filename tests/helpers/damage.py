"""Artefacts that are no longer what was written, as disks and people leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.core import integrity


def flip_bit(path: Path) -> None:
    """Flip one bit in the middle of a file; its size and time stay."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_json(path: Path, **changes: Any) -> None:
    """Change fields of a JSON object, or of what stands in its `result`."""
    value = json.loads(path.read_text())
    for name, new in changes.items():
        (value if name in value else value["result"])[name] = new
    path.write_text(json.dumps(value, indent=1, sort_keys=True))


def as_new_process() -> None:
    """Forget what this process found sound: the next run reads it as if it were another."""
    integrity._SOUND.clear()


def set_aside(store: Path) -> list[Path]:
    """Return what was set aside in a store."""
    return sorted(store.glob(f"store/*/{integrity.ASIDE}*"))


def temporary_folders(store: Path) -> list[Path]:
    """Return hidden files and folders in a store, but for what was set aside."""
    return [path for path in store.rglob(".*") if not path.name.startswith(integrity.ASIDE)]
