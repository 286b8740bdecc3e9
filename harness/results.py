"""Read a run that has ended: its records, tables, figures and page. Nothing here runs a job.

In: a run, by name, folder or as `harness.run` returned it. Out: a DataFrame, tables, files in the run's folder.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError, did_you_mean
from harness.format import shorten, times
from harness.merge import check_agreement, read_about
from harness.remote_runs import RECORDS, RUN, fetch_run, fetch_runs
from harness.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from harness.inspection import Inspection
    from harness.reporters.table import Table


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        name: its name under `folder`'s parent.
        folder: run.json, records.json, index.html, tables/, images/, errors/.
        executed: jobs that were run now, by how they ended.
        errors: title of each job that did not end well -> one line.
        num_done: records with a result.
        causes: title of each job that could not run -> title of the failed job that it needs.
    """

    name: str
    folder: Path
    executed: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    num_done: int = 0
    causes: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or 1 when a job failed or no requested method could run."""
        return 1 if self.errors or not self.num_done else 0

    def failures(self) -> list[str]:
        """Return a line for each job that failed by itself, with the number of those that could not run without it."""
        waiting = Counter(self.causes.values())
        return [
            f"{title}: {shorten(error, 300)}"
            + (f" ({times(waiting[title], 'job')} could not run without it)" if waiting[title] else "")
            for title, error in self.errors.items()
            if title not in self.causes
        ]

    def _lines(self) -> list[str]:
        """Return what was done, what failed, and where the page is, seen from the working directory."""
        jobs = ", ".join(f"{number} {state}" for state, number in self.executed.items() if number)
        done = f"{times(self.num_done, 'result')}; jobs: {jobs or 'none to run, all were in the store'}"
        failed = [f"failed: {line}" for line in self.failures()]
        return [done, *failed, f"page: {os.path.relpath(self.folder / 'index.html')}"]

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it."""
        lines = "".join(f"<li>{escape(line)}</li>" for line in self._lines())
        return f"<strong>Run {escape(self.name)}</strong><ul>{lines}</ul>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the run as IPython shows it without HTML."""
        printer.text("\n  ".join([f"Run {self.name}", *self._lines()]))


def find_run(run: Run | Path | str | None, store: str | Path = "results") -> Path:
    """Return the folder of a run: a `Run`, a folder, a name under the store, or None for the newest.

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
    if (Path(run) / RUN).is_file():
        return Path(run)
    name = str(run)
    if place.is_remote and (Path(run).parent == place.runs or Path(name).name == name):
        fetch_run(place, Path(run).name)
    if (place.runs / name / RUN).is_file():
        return place.runs / name
    known = sorted(path.parent.name for path in fetch_runs(place).glob(f"*/{RUN}"))
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
    finished = sorted(
        fetch_runs(Store(store)).glob(f"*/{RECORDS}"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    folders = [path.parent for path in finished]
    return [f for f in folders if suite is None or read_about(f).get("suite", {}).get("name") == suite]


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
    return _frame(_read_records(find_run(run, store)))


def _read_records(folder: Path) -> list[dict[str, Any]]:
    path = folder / RECORDS
    if not path.is_file():
        raise UserError(
            f"run {folder.name} was stopped before it had results. The same `harness run` command finishes it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
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


def report(
    run: Run | Path | str | Sequence[Run | Path | str] | None = None,
    store: str | Path = "results",
    *,
    layout: str | None = None,
    published: bool = False,
) -> dict[str, Table]:
    """Return the tables of a run by name: leaderboard, paper, timing, and those that plugins add.

    Args:
        run: as for `load_results`; several runs give one set of tables.
        store: where runs are looked for by name.
        layout: one kind of table only: one of the above, or statistics, comparisons, published.
        published: add the published numbers of the suite beside the measured ones.

    Raises:
        UserError: no such run or layout, runs that do not fit into one table (the message says why), no published number
            for the suite, or no such table in this run.
    """
    from harness.reporters import build_reports, reporters

    if layout is not None and layout not in reporters:
        known = reporters.names()
        raise UserError(f"unknown layout {layout!r}.{did_you_mean(layout, known)} Known: {', '.join(known)}.")
    folders = _agreeing(run, store)
    records = _merged(folders)
    tables = build_reports(records, None if layout is None else [layout])
    if not tables:
        raise UserError(f"layout {layout!r}: {', '.join(f.name for f in folders)} holds nothing for such a table.")
    if published and layout != "published":
        tables |= build_reports(records, ["published"])
    return tables


def _agreeing(run: Run | Path | str | Sequence[Run | Path | str] | None, store: str | Path) -> list[Path]:
    """Return the folders of runs that may stand in one table."""
    several = [run] if run is None or isinstance(run, Run | Path | str) else list(run)
    folders = list(dict.fromkeys(find_run(one, store).resolve() for one in several or [None]))
    check_agreement(folders)
    return folders


def _merged(folders: list[Path]) -> pd.DataFrame:
    return _frame([record for folder in folders for record in _read_records(folder)])


def write_page(run: Run | Path | str | None = None, store: str | Path = "results", *, published: bool = False) -> Path:
    """Write the page of a run again and return its path: one HTML file with everything, which loads nothing.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are looked for by name.
        published: add the published numbers of the suite beside the measured ones.

    Raises:
        UserError: no such run, it was killed before its records were written, or no number was published for the suite.
    """
    from harness import page

    folder = find_run(run, store)
    place = store_of(folder)
    if folder.parent == place.runs:
        fetch_run(place, folder.name)  # its images and figures too
    return page.write_page(folder, report(folder, published=published))


def store_of(folder: Path) -> Store:
    """Return the store that a run's artefacts lie in: the one that its folder lies in, or the remote one of its request."""
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    uri = str(about["request"]["store"])
    return Store(uri) if Store(uri).is_remote else Store(folder.resolve().parent.parent)


def figures(
    run: Run | Path | str | Sequence[Run | Path | str] | None = None,
    store: str | Path = "results",
    *,
    kinds: Sequence[str] = ("accuracy", "curves"),
    bars: str = "ci95",
    metric: str = "best",
    to: str | Path | None = None,
) -> dict[str, tuple[Path, Path]]:
    """Draw the figures of a run, or of several together, as PNG and PDF.

    Args:
        run: as for `report`; the training curves are those that the store of the first run has.
        store: where runs are looked for by name.
        kinds: accuracy (against IPC, time, bytes, device-seconds), curves (of trainings and fits), published (measured
            against published, each in the metric of the published number).
        bars: ci95, Student's t interval of the mean, or std, one sample standard deviation.
        metric: best of the evaluations, as papers report, or the last, of the final model.
        to: folder for the files, which is made if needed; None: figures/ of the run.

    Returns:
        Name -> (PNG, PDF).

    Raises:
        UserError: no such run, runs that do not fit together, an unknown choice, several runs without `to`, no published
            number for the suite, or there is nothing to draw.
    """
    from harness.plots import write_figures

    folders = _agreeing(run, store)
    if to is None and len(folders) > 1:
        raise UserError("figures of several runs belong to none of them: name a folder for them, to=FOLDER.")
    first, folder = folders[0], Path(to) if to is not None else folders[0] / "figures"
    done = write_figures(_merged(folders), store_of(first), folder, kinds=tuple(kinds), bars=bars, metric=metric)
    if not done:
        names = ", ".join(folder.name for folder in folders)
        if tuple(kinds) == ("published",):
            raise UserError(
                f"{names}: nothing to compare: no finished training has protocol, IPC, test model and method of a published "
                "number. `harness.report(run, layout='published')` lists them with the reason."
            )
        raise UserError(
            f"run {names} has nothing to draw: no training of a method is done. `harness report {names}` "
            "shows what failed; the same `harness run` command goes on after it is mended."
        )
    return done


def inspect(
    run: Run | Path | str | None = None,
    store: str | Path = "results",
    *,
    features: str = "teacher",
    projection: str = "pca",
    data_root: str | None = None,
    device: str = "auto",
) -> Inspection:
    """Compare a run's distilled images with the real training images in a feature space; write into its figures/.

    It reads the store and the real training images, computes, and is no part of the benchmark: no record changes.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store.
        store: where runs are looked for by name.
        features: the network: "teacher", that of the run's jobs, or "timm:NAME" with its pretrained weights.
        projection: of the maps: "pca" or "tsne".
        data_root: folder under which image folders lie; None: where they lay when the run was made.
        device: where features are computed: "auto", "cpu" or "cuda".

    Returns:
        The table of representativeness, diversity, density and coverage, and the figures by name.

    Raises:
        UserError: no such run, unknown features or projection, or data, sets or teacher are not there.
    """
    from harness.inspection import inspect_run
    from harness.inspection.opened import open_run

    folder = find_run(run, store)
    opened = open_run(folder, load_results(folder), store_of(folder), data_root, device)
    return inspect_run(opened, folder / "figures", features, projection)
