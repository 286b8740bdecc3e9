"""Tables, figures and the page of runs that have ended."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError, did_you_mean
from harness.core.io import write_text_atomically, writing
from harness.core.remote_runs import fetch_run
from harness.core.run_folder import RunFolder
from harness.reporters import build_reports, page, reporters
from harness.reporters.bundles.unpacked import CLAIM, bundle_of, marked, refuse_writing, sheets_of
from harness.reporters.compatibility import check_agreement
from harness.reporters.runs import Run, as_frame, find_run, store_of
from harness.reporters.tables.choice import Choice

if TYPE_CHECKING:
    import pandas as pd

    from harness.core.store import Store
    from harness.reporters.tables.table import Table


def report(
    run: Run | Path | str | Sequence[Run | Path | str] | None = None,
    store: str | Path = "results",
    *,
    layout: str | None = None,
    published: bool = False,
    rank_by: str = "last",
    metric: str = "best",
    methods: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
) -> dict[str, Table]:
    """Return the tables of a run by name: leaderboard, paper, timing, and those that plugins add.

    Args:
        run: as for `load_results`; several runs give one set of tables.
        store: where runs are found by name.
        layout: only this kind of table: one of the above, or statistics, comparisons, published.
        published: add the published numbers of the suite next to the measured ones.
        rank_by: accuracy that the leaderboard ranks and tests: `last`, of the final model, or `best` evaluation. Also that
            of the layouts statistics and comparisons.
        metric: accuracy in the paper layout: `best`, as papers do, or `last`.
        methods: methods to show, by registered name (`full`: the full data); empty: all. Tests and ranks are among these.
        rename: method -> its name in the tables.
        order: methods that come first in the paper layout.

    Raises:
        UserError: no such run, layout, method or accuracy, runs that do not fit into one table (the message says why), no
            published number for the suite, or no such table in this run.
    """
    if layout is not None and layout not in reporters:
        known = reporters.names()
        raise UserError(f"unknown layout {layout!r}.{did_you_mean(layout, known)} Known: {', '.join(known)}.")
    folders = _agreeing(run, store)
    records = _merged(folders)
    tables = build_reports(
        records,
        None if layout is None else [layout],
        rank_by=rank_by,
        metric=metric,
        choice=Choice(methods, rename or {}, order),
    )
    if not tables:
        raise UserError(f"layout {layout!r}: {', '.join(f.name for f in folders)} has no data for this table.")
    if published and layout != "published":
        tables |= build_reports(records, ["published"])
    note = _sources(folders)
    return {name: replace(table, notes=(*table.notes, *note)) for name, table in tables.items()} if note else tables


def _sources(folders: list[Path]) -> list[str]:
    """Return a note on the bundles among the runs of a table; none where there is none."""
    names = [sent.name for folder in folders if (sent := bundle_of(folder))]
    return [f"Source: {', '.join(names)}: {CLAIM}."] if names else []


def save_tables(folder: Path, tables: dict[str, Table]) -> None:
    """Write tables into the folder of a run.

    Raises:
        UserError: its folder of tables is a link, or cannot be written, or it is a bundle.
    """
    refuse_writing(folder)
    run = RunFolder(folder)
    with writing(run.tables):
        for name, table in tables.items():
            table.save(run.ready(run.tables), name)


def _agreeing(run: Run | Path | str | Sequence[Run | Path | str] | None, store: str | Path) -> list[Path]:
    """Return the folders of runs that may stand in one table."""
    several = [run] if run is None or isinstance(run, Run | Path | str) else list(run)
    folders = list(dict.fromkeys(find_run(one, store).resolve() for one in several or [None]))
    check_agreement(folders)
    return folders


def _merged(folders: list[Path]) -> pd.DataFrame:
    """Return the records of all; of several runs those of a bundle under the name of their bundle."""
    if len(folders) == 1:
        return as_frame(RunFolder(folders[0]).records)
    return as_frame([record for folder in folders for record in marked(RunFolder(folder).records, folder)])


def write_page(
    run: Run | Path | str | Sequence[Run | Path | str] | None = None,
    store: str | Path = "results",
    *,
    published: bool = False,
    rank_by: str = "last",
    to: str | Path | None = None,
) -> Path:
    """Write the page of a run again, or one of several together, and return its path: one HTML file which loads nothing.

    Args:
        run: what `run` returned, a run's name or folder; None: the newest run of the store. Several give one page.
        store: where runs are found by name.
        published: add the published numbers of the suite next to the measured ones.
        rank_by: as for `report`.
        to: the file; None: index.html of the run. A page of several runs, or of a bundle, needs one.

    Raises:
        UserError: no such run, it was killed before its records were written, runs that do not fit together, several runs
            without `to`, or no number was published for the suite.
    """
    folders = _agreeing(run, store)
    if to is None and len(folders) > 1:
        raise UserError("the page of several runs needs an output file: to=FILE.html.")
    if to is None:
        refuse_writing(folders[0])
    for folder in folders:
        place = store_of(folder, store)
        if folder.parent == place.runs:
            fetch_run(place, folder.name)  # its images and figures too
    tables = report(folders, store, published=published, rank_by=rank_by)
    stores = [store_of(folder, store) for folder in folders]
    if to is None:
        return page.write_page(folders[0], tables, page.Sources(stores=stores))
    return _write_page_to(Path(to), folders, tables, stores)


def _write_page_to(target: Path, folders: list[Path], tables: dict[str, Table], stores: list[Store]) -> Path:
    """Write the page of runs into a file; figures of several, and of a bundle, are drawn for it."""
    if len(folders) > 1 and target.resolve() in {RunFolder(folder).page.resolve() for folder in folders}:
        raise UserError(f"{target} is the page of one of these runs, which stays as it is. Name another file.")
    with tempfile.TemporaryDirectory() as scratch:
        base, records = Path(scratch), _merged(folders)
        own = RunFolder(folders[0]).figures if len(folders) == 1 and not bundle_of(folders[0]) else base / "figures"
        if own.parent == base:
            own.mkdir()
            with contextlib.suppress(UserError):  # only the full data are done: there is nothing to draw
                figures(folders, stores[0].uri, kinds=("accuracy",), to=own)
        images = {folder: sheets_of(folder, base / str(i)) for i, folder in enumerate(folders) if bundle_of(folder)}
        text = page.page_of(folders, tables, page.Sources(records, stores, own, images))
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(target, text)
    return target


def figures(
    run: Run | Path | str | Sequence[Run | Path | str] | None = None,
    store: str | Path = "results",
    *,
    kinds: Sequence[str] = ("accuracy", "curves"),
    bars: str | None = None,
    metric: str = "best",
    paper: str | None = None,
    to: str | Path | None = None,
) -> dict[str, tuple[Path, ...]]:
    """Draw the figures of a run, or of several together, as PNG, PDF and SVG; for a paper as PDF and SVG at its final width.

    Args:
        run: as for `report`; the training curves are those that the store of the first run has.
        store: where runs are found by name, and training curves if the run is not in a store.
        kinds: accuracy (against IPC, time, bytes, device-seconds), curves (of trainings and fits), published (measured
            against published, each in the metric of the published number).
        bars: ci95, Student's t interval of the mean, or std, one sample standard deviation; None: ci95, for a paper std.
        metric: best of the evaluations, as papers report, or the last, of the final model.
        paper: column (3.25 inches) or page (6.75 inches): 8 pt text and no title; the caption is in a LaTeX file beside each
            figure. None: for a screen.
        to: folder for the files, which is made if needed; None: figures/ of the run, for a paper figures/paper/.

    Returns:
        Name -> (PNG, PDF, SVG); for a paper (PDF, SVG, TEX).

    Raises:
        UserError: no such run, runs that do not fit together, an unknown choice, several runs without `to`, no published
            number for the suite, or there is nothing to draw.
    """
    from harness.reporters.figures import write_figures

    folders = _agreeing(run, store)
    if to is None and len(folders) > 1:
        raise UserError("figures of several runs need an output folder: to=FOLDER.")
    first, records = folders[0], _merged(folders)
    if to is None:
        refuse_writing(first)
        own = RunFolder(first)
        folder = own.ready(own.figures)
        folder = own.ready(folder / "paper") if paper else folder  # figures of one name for a screen stay
    else:
        folder = Path(to)
    with writing(folder):
        done = write_figures(
            records, store_of(first, store), folder, kinds=tuple(kinds), bars=bars, metric=metric, paper=paper
        )
    if not done:
        names = ", ".join(folder.name for folder in folders)
        if tuple(kinds) == ("published",):
            raise UserError(
                f"{names}: nothing to compare: no finished training matches a published number in protocol, IPC, test "
                "model and method. `harness.report(run, layout='published')` lists the published numbers with the "
                "reason."
            )
        raise UserError(
            f"run {names} has nothing to plot: no method has a finished training. See `harness report {names}` for "
            "failures; fix the cause, then run the same `harness run` command to resume."
        )
    return done
