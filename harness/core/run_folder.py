"""The folder of a run: the names of its files, and the one way in which they are opened and written.

In: a folder that may come from anybody. Out: checked values and paths. What stands in it is data: nothing that it names is
loaded, no link in it is followed, and texts lose what a terminal would obey.
"""

from __future__ import annotations

import errno
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import write_text_atomically, writing
from harness.core.paths import is_regular
from harness.core.run_schema import MOST_RECORDS, check_about, check_records
from harness.core.text import without_controls

RUN = "run.json"


RECORDS = "records.json"


PAGE = "index.html"


MOST_BYTES = {RUN: 20_000_000, RECORDS: 200_000_000}
"""Of a file that is read."""


MOST_PARTS = 4 * MOST_RECORDS
"""Lists and objects of a file, those in its texts included; forty times as many values."""


_SUSPECT = re.compile(
    r"\\[bfr]|\\u(?:00[0189]|007f|20[0246]|d[89a-f])|[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", re.I
)
"""JSON whose texts may hold control characters."""


class RunFolder:
    """One run on disk.

    Args:
        path: its folder; it need not exist yet.

    Attributes:
        tables, figures, images, errors: folders within it; each may be missing.
        page: the page, one HTML file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.about_file = self.path / RUN
        self.records_file = self.path / RECORDS
        self.page = self.path / PAGE
        self.tables = self.path / "tables"
        self.figures = self.path / "figures"
        self.images = self.path / "images"
        self.errors = self.path / "errors"

    @classmethod
    def all_in(cls, runs: Path) -> list[RunFolder]:
        """Return the runs whose folders lie in `runs`, the newest first."""
        found = [path for path in runs.glob(f"*/{RUN}") if is_regular(path)]
        return [cls(path.parent) for path in sorted(found, key=lambda path: path.lstat().st_mtime, reverse=True)]

    @property
    def exists(self) -> bool:
        """Whether it is the folder of a run at all."""
        return self.about_file.is_file()

    @property
    def has_records(self) -> bool:
        """Whether the run has ended."""
        return self.records_file.is_file()

    @cached_property
    def about(self) -> dict[str, Any]:
        """What run.json says; `suite` and `methods` are always there, `request` at least as an empty dict.

        Raises:
            UserError: it cannot be read, or is no description of a run.
        """
        about = _read_json(self.about_file)
        check_about(about, str(self.about_file))
        return {"name": self.name, "request": {}, **about}

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What records.json holds, one dict a row.

        Raises:
            UserError: the run has none yet, or they cannot be read, or are no records.
        """
        if not self.has_records:
            raise UserError(
                f"run {self.name} was stopped before it had results. The same `harness run` command finishes it."
            )
        records = _read_json(self.records_file)
        check_records(records, str(self.records_file))
        return records

    def ready(self, folder: Path) -> Path:
        """Return one of its folders, made if needed, for files to be written into.

        Raises:
            UserError: it is a link, which would lead the files elsewhere, or it cannot be made.
        """
        if folder.is_symlink():
            raise UserError(f"{folder} is a link; nothing is written through it. Remove it, or move the run.")
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_about(self, about: dict[str, Any]) -> None:
        """Write run.json; on a full disk over the old one, which had room for it."""
        try:
            write_text_atomically(self.about_file, json.dumps(about, indent=1))
        except OSError as error:
            text = json.dumps(about).encode()
            room = self.about_file.stat().st_size if is_regular(self.about_file) else 0
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or len(text) > room:
                raise
            with self.about_file.open("r+b") as handle:
                handle.write(text.ljust(room))

    def write_records(self, records: list[dict[str, Any]]) -> None:
        """Write records.json."""
        write_text_atomically(self.records_file, json.dumps(records, indent=1))

    def write_page(self, text: str) -> Path:
        """Write the page and return its path."""
        with writing(self.path):
            write_text_atomically(self.page, text)
        return self.page

    def write_error(self, title: str, trace: str, log: str) -> None:
        """Write traceback and log of a failed job."""
        name = re.sub(r"[/\\\x00-\x1f\x7f]", "-", title.replace(" ", "_"))[:200]
        for ending, text in ((".txt", trace), (".log", log)):
            if text or ending == ".txt":
                write_text_atomically(self.ready(self.errors) / f"{name}{ending}", text)

    def not_used(self, **named: Any) -> list[str]:
        """Return what run.json names and the caller does not, with the option that would name it.

        Args:
            **named: what the caller names, of plugins, store, data_root and suite; one that is left out is not needed.
        """
        request = self.about["request"]
        plugins = {str(Path(path).resolve()) for path in named.get("plugins", ())}
        wanted = request.get("plugins", []) if "plugins" in named else []
        found = [f"--plugin {path}" for path in wanted if str(Path(path).resolve()) not in plugins]
        own = {
            "store": _remote(request.get("store")),
            "data_root": _other_than("data", request.get("data_root")),
            "suite": _file(request.get("suite")),
        }
        for name, value in own.items():
            if name in named and value is not None and value != str(named[name]):
                found.append(f"--{name.replace('_', '-')} {value}")
        return found


def _remote(store: str | None) -> str | None:
    return store if store and "://" in store else None


def _other_than(default: str, value: str | None) -> str | None:
    return None if value == default else value


def _file(suite: str | None) -> str | None:
    return suite if suite and ("/" in suite or suite.endswith((".yaml", ".yml"))) else None


def _read_json(path: Path) -> Any:
    """Return what a file of JSON holds; its texts without control characters. NaN and Infinity, no JSON, are null.

    Raises:
        UserError: it is a link or too large, or cannot be read.
    """
    if not is_regular(path):
        raise UserError(f"{path}: cannot be read: it is a link or no regular file.")
    most = MOST_BYTES[path.name]
    if (size := path.stat().st_size) > most:
        raise UserError(f"{path}: cannot be read: it has {size:,} bytes; at most {most:,} are read.")
    try:
        text = path.read_text(encoding="utf-8")
        _check_extent(text)
        value = json.loads(text, parse_constant=lambda _: None)
        return _clean(value) if _SUSPECT.search(text) else value
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: cannot be read: too many lists and objects lie within each other.") from None


def _check_extent(text: str) -> None:
    """Refuse JSON that would take many times its size in memory.

    Raises:
        ValueError: it would.
    """
    if text.count("{") + text.count("[") > MOST_PARTS or text.count(",") > 40 * MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS:,} lists and objects, or {40 * MOST_PARTS:,} values")


def _clean(value: Any) -> Any:
    """Return parsed JSON, not too deep, whose texts and names hold no control characters."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {without_controls(name): _clean(one) for name, one in value.items()}
    return value
