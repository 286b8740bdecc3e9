"""The manifest of an artefact: what it must hold before anything of it is used.

In: JSON of anybody. Out: the manifest, or None for what is none.
"""

from __future__ import annotations

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
