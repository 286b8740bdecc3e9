"""The base of every config, and marks for fields that do not count in every key."""

from __future__ import annotations

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
