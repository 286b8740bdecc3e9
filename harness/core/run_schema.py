"""What may stand in run.json and records.json: kinds and sizes of every value that the harness looks at.

In: parsed JSON of anybody. Out: nothing, or one message about the first thing that is wrong. Values are not changed.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError, create_model

from harness.core.errors import UserError
from harness.core.paths import plain_name
from harness.core.text import shorten

MOST_RECORDS = 200_000
"""Of one run; the largest plans have some thousands."""


_USUAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
"""A name that needs no closer look; for speed."""


def _is_name(name: str) -> str:
    try:
        return name if _USUAL.fullmatch(name) else plain_name(name)
    except UserError as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """Return JSON out of a text; None where it is none, or too deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if depth_of(value) > MOST_LEVELS else value


def _is_object(text: str) -> str:
    if text and not isinstance(_parsed(text), dict):
        raise ValueError("expected a JSON object, as text")
    return text


def _is_shares(text: str) -> str:
    for value in (_parsed(_is_object(text)) or {}).values():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100
        ):
            raise ValueError("expected percent by class, as text")
    return text


MOST_LEVELS = 32
"""Of lists and objects within each other."""


def depth_of(value: Any) -> int:
    """Return how many lists and objects lie within each other; more than MOST_LEVELS are not counted."""
    level, layer = 0, [value] if isinstance(value, (dict, list)) else []
    while layer and level <= MOST_LEVELS:
        level += 1
        layer = [
            inner
            for one in layer
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
    return level


Folder = Annotated[str, AfterValidator(_is_name)]
Name = Annotated[Folder, Field(max_length=100)]
Words = Annotated[str, Field(max_length=2000)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Number = Annotated[float, Field(ge=-1e15, le=1e15)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Config = Annotated[str, AfterValidator(_is_object)]
Shares = Annotated[str, AfterValidator(_is_shares)]


class _Known(BaseModel):
    """Kinds are strict: no text for a number, no yes or no for one; what is not named may be anything."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Row(_Known):
    """One row; what is not named is one plain value, as plugins may add."""

    __pydantic_extra__: dict[str, Whole | Number | bool | str | None] = Field(init=False)

    suite: Name
    source: Words
    method: Name
    student: Words
    protocol: Words
    status: Literal["done", "failed", "skipped", "interrupted"]
    ipc: Count | None
    distillation_seed: Whole | None
    training_seed: Whole | None
    suite_version: Count | None = None
    protocol_version: Count | None = None
    method_version: Count | None = None
    run: Words | None = None
    method_title: Words | None = None
    error: str | None = None
    cause: str | None = None
    device: Words | None = None
    host: Words | None = None
    attempts: Count | None = None
    lost_to: str | None = None
    variant: Words | None = None
    labels: Words | None = None
    metrics: Words | None = None
    notes: str | None = None
    config: Config | None = None
    class_accuracy_last: Shares | None = None
    class_accuracy_best: Shares | None = None
    reference_row: bool | None = None
    random_subset: bool | None = None
    given: bool | None = None
    top1_last: Percent | None = None
    top1_best: Percent | None = None
    top5_last: Percent | None = None
    top5_best: Percent | None = None
    best_epoch: Count | None = None
    epochs: Count | None = None
    num_images: Count | None = None
    duplicates: Count | None = None
    draws: Count | None = None
    synthesized_ipc: Count | None = None
    redraw_every: Count | None = None
    train_key: Folder | Literal[""] | None = None
    label_key: Folder | Literal[""] | None = None
    distilled_key: Folder | Literal[""] | None = None


NUMBERS = (
    "train_wall_s", "fit_wall_s", "fit_device_s", "synthesize_wall_s", "synthesize_device_s", "load_s", "redraw_s",
    "energy_j", "lost_s", "distill_lost_s",
    *(f"{name}_{which}" for which in ("last", "best")
      for name in ("average_accuracy", "kappa", "head_accuracy", "medium_accuracy", "tail_accuracy", "many_shot_accuracy",
                   "medium_shot_accuracy", "few_shot_accuracy")),
)  # fmt: skip
"""Further fields of a record that are a number or null."""


WHOLE = (
    "storage_bytes", "shared_bytes", "teacher_bytes", "label_bytes", "budget_bytes", "peak_host_bytes",
    "peak_device_bytes", "image_size",
)  # fmt: skip
"""The same for whole numbers."""


_FIELDS: dict[str, Any] = dict.fromkeys(NUMBERS, (Number | None, None)) | dict.fromkeys(WHOLE, (Whole | None, None))


_Record = create_model("_Record", __base__=_Row, **_FIELDS)


class _Request(_Known):
    suite: Words | None = None
    methods: list[Words] | None = None
    plugins: list[Words] = []
    settings: dict[str, dict[str, Any]] = {}
    store: Words | None = None
    data_root: Words | None = None
    weights_root: Words | None = None
    validation: Number | None = None
    validation_seed: Count = 0


class _Suite(_Known):
    name: Name
    version: Count | None = None
    source: dict[str, Any] = {}


class _Protocol(_Known):
    name: Words | None = None
    version: Count | None = None


class _Method(_Known):
    name: Words | None = None
    title: Words | None = None
    version: Whole | None = None
    reference: str | None = None
    bibtex: str | None = None
    config: dict[str, Any] | None = None
    code: Words | None = None
    skipped: str | None = None
    given: bool | None = None


class _Git(_Known):
    commit: Words | None = None
    dirty: bool | None = None


class _Environment(_Known):
    git: _Git = _Git()
    packages: dict[str, Words] = {}


class _Loss(_Known):
    job: Words
    reason: str
    host: Words = ""
    key: Folder | None = None
    seconds: Number = 0.0


class _About(_Known):
    suite: _Suite
    methods: dict[Name, _Method]
    name: Words | None = None
    started: Words | None = None
    ended: Words | None = None
    status: Literal["running", "done", "failed", "interrupted"] | None = None
    error: str | None = None
    request: _Request = _Request()
    source: Words | None = None
    data_fingerprint: Words | None = None
    classes: list[Folder] = []
    class_names: list[Words] = []
    protocol: _Protocol = _Protocol()
    planned: dict[str, Whole] = {}
    jobs: dict[str, Whole] = {}
    losses: Annotated[list[_Loss], Field(max_length=MOST_RECORDS)] = []
    environment: _Environment = _Environment()


_ABOUT = TypeAdapter(_About)
_RECORDS: TypeAdapter[Any] = TypeAdapter(Annotated[list[_Record], FailFast()])


def check_about(value: Any, where: str) -> None:
    """Refuse what is no run.json.

    Raises:
        UserError: names the first field that is wrong.
    """
    if depth_of(value) > MOST_LEVELS:
        raise UserError(f"{where}: lists and objects are nested more than {MOST_LEVELS} levels deep.{CURE}")
    _check(_ABOUT, value, where)
    names, ids = value.get("class_names"), value.get("classes", [])
    if len(set(ids)) < len(ids) or (names and len(names) != len(ids)):
        raise UserError(f"{where}: classes: duplicate ids, or the numbers of names and ids differ.{CURE}")


def check_records(value: Any, where: str) -> None:
    """Refuse what is no list of records.

    Raises:
        UserError: names the first record and field that are wrong.
    """
    if isinstance(value, list) and len(value) > MOST_RECORDS:
        raise UserError(f"{where}: {len(value):,} records; the limit is {MOST_RECORDS:,}.{CURE}")
    _check(_RECORDS, value, where)


CURE = " The folder was not written by `harness run`, or was changed afterwards; ask the sender for it again."


def _check(schema: TypeAdapter[Any], value: Any, where: str) -> None:
    try:
        schema.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = shorten(".".join(map(str, first["loc"])) or "the whole file", 100)
        raise UserError(f"{where}: {place}: {shorten(first['msg'], 200)}{_found(first['input'])}.{CURE}") from None


def _found(value: Any) -> str:
    """Say what was found; of lists and objects nothing, for they may be large."""
    return f"; found {shorten(repr(value)[:200], 80)}" if isinstance(value, str | int | float) else ""
