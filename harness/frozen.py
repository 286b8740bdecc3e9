"""The base of every config, and marks for fields that do not count in every key."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

UNHASHED: dict[str, Any] = {"in_key": False}
"""`Field(..., json_schema_extra=UNHASHED)` marks an option that changes speed or memory and never the result."""

AFTER_FIT: dict[str, Any] = {"in_key_of": "synthesize"}
"""`Field(..., json_schema_extra=AFTER_FIT)` marks an option that `fit` does not look at: changing it fits nothing anew."""


class Frozen(BaseModel):
    """Base of every config: immutable, no unknown keys, no infinities, no yes or no taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and "bool" not in str(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("expected a value, not yes or no")
        return value


def plain(value: Any) -> Any:
    """Return a config's value as plain JSON that is equal in every process: sets are sorted, paths and enums are texts.

    Raises:
        ValueError: it is something else, such as a function or an array, whose text says too little for a key.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=str)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(
        f"is a {type(value).__name__} ({str(value)[:40]}), which a key cannot be made of. "
        "Use numbers, texts, yes or no, and lists and dicts of these"
    )
