"""The manifest of an artefact: what it must hold before anything of it is used, and the sum that tells whether it was edited.

In: JSON of anybody. Out: the manifest, or None for what is none.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from harness.core.paths import plain_path
from harness.core.run_schema import MOST_LEVELS, depth_of


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    size: int = Field(ge=0)
    sha256: str = ""


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    files: dict[str, _File]
    deps: dict[str, list[str]] = {}
    spec: dict[str, Any] = {}
    result: dict[str, Any] = {}
    measured: dict[str, Any] = {}


_SCHEMA = TypeAdapter(_Manifest)


def parse_manifest(text: str) -> dict[str, Any] | None:
    """Return a manifest, or None for what is none.

    Raises:
        UserError: one of its files would not lie below its folder.
    """
    try:
        manifest = json.loads(text)
        _SCHEMA.validate_python(manifest)
    except (ValueError, RecursionError):  # pydantic's own error is a ValueError
        return None
    if depth_of(manifest) > MOST_LEVELS:
        return None
    for name in manifest["files"]:
        plain_path(name)
    return manifest


SUM = "sum"
"""The field with the SHA-256 of the others; manifests from before it was kept have none."""


def sealed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a manifest as JSON gives them back, with the sum over them."""
    plain = json.loads(json.dumps(fields))
    return {**plain, SUM: _sum(plain)}


def is_edited(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest has a sum that is not that of its other fields."""
    return SUM in manifest and manifest[SUM] != _sum(manifest)


def _sum(manifest: dict[str, Any]) -> str:
    others = {name: value for name, value in manifest.items() if name != SUM}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
