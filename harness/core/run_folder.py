"""The folder of a run: the names of its files, and the one way in which they are opened and written.

In: a folder that may come from anybody. Out: checked values and paths. What stands in it is data: nothing that it names is
loaded, no link in it is followed, and texts lose what a terminal would obey.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import write_text_atomically, writing
from harness.core.paths import is_regular
from harness.core.run_json import (
    EVENTS,
    JOBS,
    RECORDS,
    RUN,
    STATUS,
    check_file,
    is_suspect,
    read_json,
    without_controls_within,
)
from harness.core.run_schema import check_about, check_records
from harness.core.run_status import Event, RunStatus, parse_event, parse_status

REQUEST = "request.yaml"
"""What `harness run --config` takes. Nothing reads it by itself."""


PAGE = "index.html"


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
        self.status_file = self.path / STATUS
        self.events_file = self.path / EVENTS
        self.jobs_file = self.path / JOBS
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
        about = read_json(self.about_file)
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
                f"run {self.name} was stopped before it had results. Run the same `harness run` command to finish it."
            )
        records = read_json(self.records_file)
        check_records(records, str(self.records_file))
        return records

    def status(self) -> RunStatus | None:
        """Return how the run is, read anew; None where nothing is said: it has not begun, or is from before that was kept.

        Raises:
            UserError: status.json cannot be read, or is none.
        """
        if not self.status_file.exists():
            return None
        return read_status(read_json(self.status_file), str(self.status_file))

    def events(self) -> Iterator[Event]:
        """Yield what happened, in order; lines that are torn are left out.

        Raises:
            UserError: events.jsonl is a link or too large.
        """
        if self.events_file.exists() or self.events_file.is_symlink():
            check_file(self.events_file)
            with self.events_file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    event = parse_event(line)
                    if event is not None:
                        yield cleaned(event) if is_suspect(line) else event

    @cached_property
    def jobs(self) -> dict[str, tuple[str, str]]:
        """Key of each job of the run's plan -> (kind, title); empty for runs from before that was kept.

        Raises:
            UserError: jobs.json cannot be read.
        """
        found = read_json(self.jobs_file) if self.jobs_file.exists() else {}
        if not isinstance(found, dict) or not all(
            isinstance(job, list) and len(job) == 2 and all(isinstance(x, str) for x in job) for job in found.values()
        ):
            raise UserError(f"{self.jobs_file}: cannot be read: expected kind and title of each job, by key.")
        return {key: (kind, title) for key, (kind, title) in found.items()}

    def ready(self, folder: Path) -> Path:
        """Return one of its folders, made if needed, for files to be written into.

        Raises:
            UserError: it is a link, which would lead the files elsewhere, or it cannot be made.
        """
        if folder.is_symlink():
            raise UserError(
                f"{folder} is a symbolic link, and the harness does not write through links. Remove it, or move the "
                "run."
            )
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

    def write_request(self, text: str) -> None:
        """Write request.yaml."""
        write_text_atomically(self.path / REQUEST, text)

    def write_records(self, records: list[dict[str, Any]]) -> None:
        """Write records.json."""
        write_text_atomically(self.records_file, json.dumps(records, indent=1))

    def write_status(self, status: RunStatus) -> None:
        """Write status.json; nothing where the run's folder is gone."""
        if self.path.is_dir():
            write_text_atomically(self.status_file, status.model_dump_json(indent=1))

    def write_jobs(self, jobs: Mapping[str, tuple[str, str]]) -> None:
        """Write jobs.json: (kind, title) by key."""
        write_text_atomically(self.jobs_file, json.dumps(jobs))

    def write_page(self, text: str) -> Path:
        """Write the page and return its path."""
        with writing(self.path):
            write_text_atomically(self.page, text)
        return self.page

    def write_error(self, title: str, trace: str, log: str) -> None:
        """Write traceback and log of a failed job."""
        for ending, text in ((".txt", trace), (".log", log)):
            if text or ending == ".txt":
                self.write_log(title, text, ending)

    def write_log(self, title: str, text: str, ending: str) -> None:
        """Write what a failed job, or a lost try of one, left: beside its traceback."""
        write_text_atomically(self.ready(self.errors) / self.error_file(title, ending).name, text)

    def error_file(self, title: str, ending: str) -> Path:
        """Return a file of a failed job: its traceback (".txt"), its log (".log"), that of its first lost try (".lost1.log")."""
        name = re.sub(r"[/\\\x00-\x1f\x7f]", "-", title.replace(" ", "_"))[:200]
        return self.errors / f"{name}{ending}"

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


def read_status(value: Any, where: str) -> RunStatus:
    """Return how a run is.

    Raises:
        UserError: that is no status.
    """
    status = parse_status(value)
    if isinstance(status, str):
        raise UserError(f"{where}: cannot be read: {status}. It was not written by this version of `harness run`.")
    return status


def cleaned(event: Event) -> Event:
    """Return an event whose texts hold no control characters."""
    return Event.model_validate(without_controls_within(event.model_dump()))
