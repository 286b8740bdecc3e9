"""The base of every config, how values are checked, and marks for fields that do not count in every key."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from harness.core.errors import UserError, did_you_mean

UNHASHED: dict[str, Any] = {"in_key": False}
"""`Field(..., json_schema_extra=UNHASHED)` marks an option that changes speed or memory and never the result."""


AFTER_FIT: dict[str, Any] = {"in_key_of": "synthesize"}
"""`Field(..., json_schema_extra=AFTER_FIT)` marks an option that `fit` does not look at: changing it fits nothing anew."""


def is_marked(info: FieldInfo, mark: dict[str, Any]) -> bool:
    """Return whether an option was declared with a mark, alone or beside others."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and mark.items() <= extra.items()


class ConfigModel(BaseModel):
    """Base of every config: immutable, no unknown keys, no infinities, no yes or no taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and "bool" not in str(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("expected a value, not a boolean")
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
        f"is a {type(value).__name__} ({str(value)[:40]}), which cannot be hashed into a key. Use numbers, strings, "
        "booleans, and lists and dicts of these"
    )


def explain(model: type[BaseModel], detail: Any) -> str:
    """Say in one sentence what pydantic found wrong, with the closest known field for an unknown one."""
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return f"unknown field {name!r}.{did_you_mean(str(detail['loc'][-1]), known)}"
    if detail["type"] == "missing":
        return f"field {name!r} is missing."
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"field {name!r}: {message}; found {detail['input']!r}."


def checked(model: type[BaseModel], values: dict[str, Any], where: str) -> Any:
    """Build a config model, telling mistakes as a `UserError` that begins with `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(f"{where}: {explain(model, detail)}" for detail in error.errors())) from None
