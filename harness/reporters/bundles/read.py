"""Read a bundle of anybody: a description, records, what keys are hashed from, contact sheets. Data only, and nothing is written.

In: a zip or a folder. Out: a `Bundle`, or one message. Tables and figures in it are compared with the list of files and not
read: what a report shows is made of the records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.bundle_files import read_files, refusal, unpacked_gzip
from harness.core.errors import UserError
from harness.core.run_json import RUN, parse_json
from harness.core.run_schema import CURE, MOST_LEVELS, check_about, check_records, depth_of
from harness.reporters.bundles.keys import KeyCheck, record_title

RECORDS, IDENTITIES = "records.json.gz", "identities.json.gz"


MOST_IDENTITIES = 200_000


_WANTED = re.compile(rf"{re.escape(RUN)}|{re.escape(RECORDS)}|{re.escape(IDENTITIES)}|images/[^/]+\.png")


_NOT_NEGATIVE = re.compile(r".*_(?:s|bytes|j)")


_IN_PERCENT = re.compile(r".*_accuracy_(?:last|best)|top[15]_(?:last|best)")


_SCORES = ("top1_last", "top1_best", "top5_last", "top5_best", "num_images", "epochs")
"""What a record that is done has."""


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds.

    Attributes:
        path: the zip or folder.
        name: of the run.
        about: run.json.
        records: one dict a row.
        identities: key of a job -> what it is hashed from.
        sheets: name -> PNG of a contact sheet, not yet decoded.
        num_bytes: of the zip; of a folder, of the files that it lists.
    """

    path: Path
    name: str
    about: dict[str, Any]
    records: list[dict[str, Any]]
    identities: dict[str, dict[str, Any]]
    sheets: dict[str, bytes]
    num_bytes: int


def read_bundle(path: str | Path) -> Bundle:
    """Return what a bundle holds, every value of it checked.

    Raises:
        UserError: it is none, too large, damaged or forged; one message says which file and what was expected.
    """
    place = Path(path)
    name, num_bytes, files = read_files(place, _WANTED)
    for needed in (RUN, RECORDS, IDENTITIES):
        if needed not in files:
            raise refusal(place, f"it holds no {needed}")
    about = _json(place, RUN, files[RUN])
    records = _json(place, RECORDS, files[RECORDS])
    identities = _json(place, IDENTITIES, files[IDENTITIES])
    try:
        check_contents(about, records, identities)
    except ValueError as error:
        raise refusal(place, str(error).removesuffix(CURE).rstrip(".")) from None
    sheets = {file.partition("/")[2]: content for file, content in files.items() if file.startswith("images/")}
    return Bundle(place, name, {**about, "name": about.get("name", name)}, records, identities, sheets, num_bytes)


def check_contents(about: Any, records: Any, identities: Any) -> None:
    """Refuse a description, records and identities that are none, or do not fit each other.

    Raises:
        ValueError: names the first that is wrong, without an end to the sentence.
    """
    _check_about(about)
    check_records(records, RECORDS)
    _check_numbers(records)
    _check_identities_kind(identities)
    KeyCheck(about, identities).check(records)


def _json(path: Path, name: str, content: bytes) -> Any:
    """Return what a file of JSON holds, packed or not."""
    try:
        plain = unpacked_gzip(content, name) if name.endswith(".gz") else content
        text = plain.decode("utf-8")
    except UserError as error:
        raise refusal(path, str(error)) from None
    except UnicodeDecodeError:
        raise refusal(path, f"{name} is no UTF-8") from None
    return parse_json(text, f"bundle {path}: {name}", strict=True)


def _check_about(about: Any) -> None:
    check_about(about, RUN)
    for name in ("suite", "protocol", "source", "data_fingerprint", "classes", "name"):
        if not about.get(name):
            raise ValueError(f"{RUN} does not say {name!r}")


def _check_numbers(records: list[dict[str, Any]]) -> None:
    """Refuse numbers that no run has: a done record without accuracy, percent beyond 100, costs below 0."""
    if not records:
        raise ValueError(f"{RECORDS} holds no record")
    for record in records:
        title = record_title(record)
        lacking = [name for name in _SCORES if record.get(name) is None]
        if record["status"] == "done" and lacking:
            raise ValueError(f"{RECORDS}: {title}: it is done and has no {lacking[0]}")
        if record["training_seed"] is None or record["distillation_seed"] is None or record.get("config") is None:
            raise ValueError(f"{RECORDS}: {title}: it does not say its seeds and config")
        for name, value in record.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                most = 100 if _IN_PERCENT.fullmatch(name) else float("inf")
                least = 0 if most == 100 or _NOT_NEGATIVE.fullmatch(name) else float("-inf")
                if not least <= value <= most:
                    raise ValueError(f"{RECORDS}: {title}: {name} is {value}; expected {least} to {most}")


def _check_identities_kind(identities: Any) -> None:
    if not isinstance(identities, dict) or len(identities) > MOST_IDENTITIES or depth_of(identities) > MOST_LEVELS:
        raise ValueError(
            f"{IDENTITIES}: expected at most {MOST_IDENTITIES:,} jobs by key, at most {MOST_LEVELS} levels deep"
        )
