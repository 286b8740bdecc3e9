"""`harness report`: the tables, figures and page of runs that have ended, and of bundles that somebody sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.api import report as api_report
from harness.cli import options, output
from harness.cli.consoles import plain, print_line, stdout
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
        typer.Option(
            "--html",
            help="Write the page again: index.html of a run; of several runs together into the file that --to names.",
        ),
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
            help="Draw figures too (PNG, PDF): accuracy against costs, training curves. Several runs: with --to.",
        ),
    ] = False,
    bars: Annotated[str, typer.Option(help="Error bars: `ci95`, the 95 % interval of the mean, or `std`.")] = "ci95",
    metric: Annotated[str, typer.Option(help="Accuracy in figures: `best` evaluation or `last`.")] = "best",
    rank_by: Annotated[
        str,
        typer.Option(
            "--rank-by", help="Accuracy that the leaderboard ranks and tests: `last`, the final model, or `best`."
        ),
    ] = "last",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="A file .html for the page (--html); a folder for figures of several runs; or a new one, for a run made of one "
            "bundle.",
        ),
    ] = None,
) -> int:
    """Show the leaderboard of a run again, or of several together; with --all the paper-style table and the times too.

    A bundle (`harness bundle`) of anybody is read as data: all of it is checked first, and nothing is written. Of a folder of
    bundles each is shown.

    Examples: `harness report`, `harness report RUN --layout paper --format latex`, `harness report RUN1 RUN2
    --layout comparisons`, `harness report RUN1 RUN2 --html --to both.html`, `harness report THEIRS.zip --to theirs --html`.
    """
    if form is not None:
        check_format(form)
        if html or figures:
            raise UserError("--html and --figures write files, --format prints tables; give one.")
    if not figures and (bars, metric) != ("ci95", "best"):
        raise UserError(
            "--bars and --metric are of figures; add --figures. Tables hold both accuracies: --layout leaderboard."
        )
    discovery.discover()  # HARNESS_PLUGINS and --plugin may add tables
    for path in plugin or ():
        discovery.load_plugin(path)
    _check_several(runs, html=html, figures=figures, to=to)
    file = to if html and to is not None and to.suffix == ".html" else None
    if to is not None and file is None and not _several(runs):
        runs = [_kept(runs, to)]
    several = bundles_in(runs[0]) if runs and len(runs) == 1 else []
    together: list[list[str | None]] = [[str(path)] for path in several] or [[*runs] if runs else [None]]
    found = [[ended_runs.find_run(run, store) for run in group] for group in together]
    if (html and file is None) or (figures and not _several(runs)):
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
        api_report.figures(found[0], store, bars=bars, metric=metric, to=to if _several(runs) else None)
        if figures
        else {}
    )
    if file is not None:
        every_one = [folder for group in found for folder in group]
        page = api_report.write_page(every_one, store, published=published, rank_by=rank_by, to=file)
        print_line(f"page  {page}")
        return 0
    if _several(runs):
        if drawn:
            print_line(f"figures  {to} ({', '.join(drawn)})")
        if not whole:
            output.print_more(runs or [])
        return 0
    folder = found[0][0]
    if html:
        api_report.write_page(folder, store, published=published, rank_by=rank_by)
    if html or figures:
        output.print_not_uploaded(folder, upload_reports(ended_runs.store_of(folder, store), folder))
    if figures:
        output.print_not_used(folder, store=store)
    if bundle_of(folder) is None:
        print_paths(folder, drawn)
    elif not whole:
        output.print_more(runs or [])
    return 0


def _several(runs: list[str] | None) -> bool:
    return len(runs or ()) > 1


def _check_several(runs: list[str] | None, *, html: bool, figures: bool, to: Path | None) -> None:
    """Refuse a page of several runs without a file of its own, and figures of several without a folder.

    Raises:
        UserError: says which command does it.
    """
    if to is not None and to.suffix == ".html" and (figures or not html):
        raise UserError(f"--to {to} names a page: give --html with it, and --figures in a command of its own.")
    if not _several(runs):
        return
    if html and (to is None or to.suffix != ".html" or to.is_dir()):
        raise UserError("the page of several runs belongs to none of them: name a file for it, --html --to FILE.html.")
    if figures and to is None:
        raise UserError("--figures of several runs belong to none of them: name a folder for them, --to FOLDER.")
    if to is not None and not figures and not html:
        raise UserError(
            f"--to {to}: several runs are named. Add --html for a page of them or --figures for their figures; alone it makes a "
            "run of one bundle."
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
