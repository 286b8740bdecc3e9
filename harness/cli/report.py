"""`harness report`: the tables, figures and page of runs that have ended, and of bundles that somebody sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.api import report as api_report
from harness.cli import options, output
from harness.cli.consoles import plain, stdout
from harness.cli.output import print_paths, print_screen
from harness.core.bundle_files import is_bundle
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.remote_runs import upload_reports
from harness.reporters import runs as ended_runs
from harness.reporters.bundles.unpacked import bundle_of, bundles_in, refuse_writing, unpack
from harness.reporters.tables.render import check_format, render

if TYPE_CHECKING:
    from harness.reporters import Table


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names or folders of runs, or bundles, several for one table; default: the newest.", metavar="[RUN]..."
        ),
    ] = None,
    html: Annotated[
        bool,
        typer.Option("--html", help="Write the page of one run, index.html, again: tables, figures, images, errors."),
    ] = False,
    store: options.Store = "results",
    plugin: options.Plugins = None,
    layout: Annotated[
        str | None,
        typer.Option(help="One kind of table: leaderboard, paper, timing, ...; statistics, comparisons or published."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print as latex, md, csv or html, and nothing else.")
    ] = None,
    published: Annotated[
        bool,
        typer.Option("--published", help="Published numbers beside the measured ones, with difference and source."),
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Print every table whole, not the leaderboard alone.")] = False,
    captions: Annotated[
        bool, typer.Option("--captions", help="Print the caption of each table: data, protocol, what the numbers are.")
    ] = False,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures",
            help="Draw figures too (PNG, PDF, SVG): accuracy against costs, training curves. Several runs: with --to.",
        ),
    ] = False,
    paper: Annotated[
        str | None,
        typer.Option(
            help="Figures for a paper: `column` (3.25 in) or `page` (6.75 in) wide, 8 pt text, PDF and SVG, caption as LaTeX."
        ),
    ] = None,
    bars: Annotated[
        str | None,
        typer.Option(
            help="Error bars: `ci95`, the 95 % interval of the mean (default), or `std` (default of --paper)."
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="Accuracy in figures: `best` evaluation or `last`.")] = "best",
    rank_by: Annotated[
        str,
        typer.Option(
            "--rank-by", help="Accuracy that the leaderboard ranks and tests: `last`, the final model, or `best`."
        ),
    ] = "last",
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for figures; or a new one, for a run made of one bundle."),
    ] = None,
) -> int:
    """Show the leaderboard of a run again, or of several together; with --all the paper-style table and the times too.

    A bundle (`harness bundle`) of anybody is read as data: all of it is checked first, and nothing is written. Of a folder of
    bundles each is shown.

    Examples: `harness report`, `harness report RUN --layout paper --format latex`, `harness report RUN1 RUN2
    --layout comparisons`, `harness report RUN --figures --paper column`,
    `harness report THEIRS.zip RUN`, `harness report THEIRS.zip --to theirs --html`.
    """
    if form is not None:
        check_format(form)
        if html or figures:
            raise UserError("--html and --figures write files, --format prints tables; give one.")
    if not figures and (paper, bars, metric) != (None, None, "best"):
        raise UserError(
            "--paper, --bars and --metric are for figures; add --figures. Tables have both accuracies: --layout leaderboard."
        )
    if paper not in (None, "column", "page"):
        raise UserError(f"--paper {paper!r} is not known; choose column or page.")
    discovery.discover()  # HARNESS_PLUGINS and --plugin may add tables
    for path in plugin or ():
        discovery.load_plugin(path)
    _check_several(runs, html=html, figures=figures, to=to)
    apart = figures and to is not None and not (runs and len(runs) == 1 and is_bundle(runs[0]))
    if to is not None and not apart:
        runs = [_kept(runs, to)]
    several = bundles_in(runs[0]) if runs and len(runs) == 1 else []
    together: list[list[str | None]] = [[str(path)] for path in several] or [[*runs] if runs else [None]]
    found = [[ended_runs.find_run(run, store) for run in group] for group in together]
    if html or (figures and not apart):
        for folder in (folder for group in found for folder in group):
            refuse_writing(folder)
    shown = [
        (group, api_report.report(group, store, layout=layout, published=published, rank_by=rank_by)) for group in found
    ]
    if form is not None:
        sys.stdout.write("\n".join(render(tables, form) for _, tables in shown))
        return 0
    whole = every or layout is not None or published
    for folders, tables in shown:
        _show(folders, tables, several=bool(several), whole=whole, captions=captions)
    drawn = (
        api_report.figures(found[0], store, bars=bars, metric=metric, paper=paper, to=to if apart else None)
        if figures
        else {}
    )
    if drawn and (paper or apart):
        output.print_figures(drawn)
    if _several(runs):
        if not whole:
            output.print_more(runs or [])
        return 0
    folder = found[0][0]
    if html:
        api_report.write_page(folder, store, published=published, rank_by=rank_by)
    if html or (figures and not apart):
        output.print_not_uploaded(folder, upload_reports(ended_runs.store_of(folder, store), folder))
    if figures:
        output.print_not_used(folder, store=store)
    if bundle_of(folder) is None:
        print_paths(folder, () if paper or apart else drawn)
    elif not whole:
        output.print_more(runs or [])
    return 0


def _several(runs: list[str] | None) -> bool:
    return len(runs or ()) > 1


def _check_several(runs: list[str] | None, *, html: bool, figures: bool, to: Path | None) -> None:
    """Refuse a page of several runs, and figures of several without a folder of their own.

    Raises:
        UserError: says which command does it.
    """
    if not _several(runs):
        return
    if html:
        raise UserError(
            "--html writes the page of one run, and several are named. Write one for each: `harness report RUN --html`."
        )
    if figures and to is None:
        raise UserError("--figures of several runs belong to none of them: name a folder for them, --to FOLDER.")
    if to is not None and not figures:
        raise UserError(
            f"--to {to}: several runs are named; it takes the figures of several (--figures), or makes a run of one bundle."
        )


def _show(folders: list[Path], tables: dict[str, Table], *, several: bool, whole: bool, captions: bool) -> None:
    """Print tables, and keep those of a run of our own in its folder: tables of several runs belong to none of them."""
    sent = bundle_of(folders[0])
    if several and sent:
        stdout(soft_wrap=True).print(plain(f"bundle {sent}"), style="bold")
    print_screen(tables, every=whole, captions=captions)  # first: they can be read where nothing can be written
    if len(folders) == 1 and sent is None:
        api_report.save_tables(folders[0], tables)


def _kept(runs: list[str] | None, to: Path) -> str:
    """Make a run of the one bundle that is named, and return its folder."""
    if not runs or len(runs) > 1 or not is_bundle(runs[0]):
        raise UserError(f"--to {to}: it makes a run of one bundle; name it, `harness report FILE.zip --to FOLDER`.")
    return str(unpack(Path(runs[0]), to))
