"""Find and read runs that have ended: folders, records, the store that their artefacts lie in."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.bundle_files import is_bundle
from harness.core.errors import UserError, did_you_mean
from harness.core.remote import cached_uri
from harness.core.remote_runs import fetch_run, fetch_runs
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.text import shorten, times
from harness.reporters.bundles.unpacked import opened

if TYPE_CHECKING:
    import pandas as pd


FLOAT_TITLE = " (float32 pixels)"
"""Ends the title of a given set whose pixels were neither clipped nor rounded, in every table."""


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        name: its name under `folder`'s parent.
        folder: what it left; `RunFolder` knows the names in it.
        executed: jobs that were run now, by how they ended.
        errors: title of each job that did not end well -> one line.
        num_done: records with a result.
        causes: title of each job that could not run -> title of the failed job that it needs.
        places: title of a failed job -> FILE:LINE in the code of its method or plugin; "" where it failed elsewhere.
    """

    name: str
    folder: Path
    executed: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    num_done: int = 0
    causes: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or 1 when a job failed or no requested method could run."""
        return 1 if self.errors or not self.num_done else 0

    def failures(self) -> list[str]:
        """Return a line for each job that failed by itself, with the number of those that could not run without it."""
        waiting = Counter(self.causes.values())
        return [
            f"{title}: {shorten(self.errors[title], 300)}"
            + (f" ({self.places[title]})" if self.places.get(title) else "")
            + (f" ({times(waiting[title], 'job')} could not run without it)" if waiting[title] else "")
            for title in self.failed
        ]

    @property
    def failed(self) -> list[str]:
        """Titles of the jobs that failed by themselves, in the order of `failures`."""
        return [title for title in self.errors if title not in self.causes]

    def _lines(self) -> list[str]:
        """Return what was done, what failed, and where the page is, seen from the working directory."""
        jobs = ", ".join(f"{number} {state}" for state, number in self.executed.items() if number)
        done = f"{times(self.num_done, 'result')}; jobs: {jobs or 'none to run, all were in the store'}"
        failed = [f"failed: {line}" for line in self.failures()]
        return [done, *failed, f"page: {os.path.relpath(RunFolder(self.folder).page)}"]

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it."""
        lines = "".join(f"<li>{escape(line)}</li>" for line in self._lines())
        return f"<strong>Run {escape(self.name)}</strong><ul>{lines}</ul>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the run as IPython shows it without HTML."""
        printer.text("\n  ".join([f"Run {self.name}", *self._lines()]))


def find_run(run: Run | Path | str | None, store: str | Path = "results") -> Path:
    """Return the folder of a run: a `Run`, a folder, a name under the store, or None for the newest.

    Of a bundle (`harness bundle`) it is a temporary folder, once all of it is checked.

    Raises:
        UserError: there is no such run.
    """
    if isinstance(run, Run):
        return run.folder
    place = Store(store)
    if run is None:
        finished = find_runs(store=store)
        if not finished:
            raise UserError(
                f"no finished run in {_runs_text(place)}. `harness run --suite digits` makes one; --store DIR looks elsewhere."
            )
        return fetch_run(place, finished[0].name)
    if is_bundle(run):
        return opened(Path(run))
    if RunFolder(run).exists:
        return Path(run)
    name = str(run)
    if place.is_remote and (Path(run).parent == place.runs or Path(name).name == name):
        fetch_run(place, Path(run).name)
    if RunFolder(place.runs / name).exists:
        return place.runs / name
    known = sorted(one.name for one in RunFolder.all_in(fetch_runs(place)))
    raise UserError(
        f"no run {name!r} in {_runs_text(place)}.{did_you_mean(name, known)} `harness list runs` shows them; "
        "--store DIR looks elsewhere."
    )


def _runs_text(place: Store) -> str:
    return f"{place.uri}/runs" if place.is_remote else str(place.runs)


def find_runs(suite: str | None = None, store: str | Path = "results") -> list[Path]:
    """Return the folders of the runs that have results, the newest first; an empty list where there are none.

    Args:
        suite: only runs of this suite; None: of all.
        store: where runs are looked for.

    Raises:
        UserError: the run.json of one of them cannot be read.
    """
    found = [one for one in RunFolder.all_in(fetch_runs(Store(store))) if one.has_records]
    found.sort(key=lambda one: one.records_file.stat().st_mtime, reverse=True)
    return [one.path for one in found if suite is None or one.about["suite"]["name"] == suite]


def load_results(run: Run | Path | str | None = None, store: str | Path = "results") -> pd.DataFrame:
    """Return the records of a run, one row per suite, method, IPC, student, protocol and pair of seeds.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are looked for by name.

    Returns:
        A DataFrame; accuracies in percent, times in seconds, sizes in bytes. `ipc` is missing for the reference row.

    Raises:
        UserError: no such run, or it was killed before its records were written.
    """
    return as_frame(RunFolder(find_run(run, store)).records)


def as_frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return records as a frame, whole numbers as such."""
    import pandas as pd

    frame = pd.DataFrame(records)
    for column in frame.columns:
        if column in INTEGERS:
            frame[column] = frame[column].astype("Int64")
    return frame


INTEGERS = (
    "suite_version", "method_version", "protocol_version", "ipc", "distillation_seed", "training_seed", "best_epoch",
    "epochs", "num_images", "draws", "synthesized_ipc", "duplicates", "storage_bytes", "shared_bytes",
    "teacher_bytes", "label_bytes", "budget_bytes", "redraw_every",
    "peak_host_bytes", "peak_device_bytes",
)  # fmt: skip


def store_of(folder: Path, store: str | Path = "results") -> Store:
    """Return the store that a run's artefacts lie in: the one that its folder lies in, else the one that the caller names.

    What run.json says of a store is not asked: a run that somebody sent could name any.
    """
    parent = folder.resolve().parent
    if parent.name == "runs":
        if uri := cached_uri(parent.parent):
            return Store(uri)
        if Store(parent.parent).folder.is_dir():
            return Store(parent.parent)
    return Store(store)
