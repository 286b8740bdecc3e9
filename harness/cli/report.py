"""`harness report`: the tables, figures and page of runs that have ended, and of bundles that somebody sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.api import report as api_report
from harness.cli import options, output, report_choice
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
            help="Names or folders of runs, or bundles; several are combined in one table. Default: the newest run.",
            metavar="[RUN]...",
        ),
    ] = None,
    html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Write the page (index.html) again. For several runs, one page in the file that --to names.",
        ),
    ] = False,
    store: options.Store = "results",
    plugin: options.Plugins = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Kind of table: leaderboard, paper, timing, ...; statistics, comparisons or published."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print only the table, as latex, md, csv or html.")
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Show published numbers next to the measured ones, with difference and source."
        ),
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Print all tables, not only the leaderboard.")] = False,
    captions: Annotated[
        bool,
        typer.Option("--captions", help="Print the caption of each table: data, protocol, meaning of the numbers."),
    ] = False,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures",
            help="Also draw figures (PNG, PDF, SVG): accuracy against cost, training curves. For several runs add --to.",
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
            help="Error bars: `ci95` (95 % confidence interval of the mean, the default) or `std` (default of --paper)."
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="Accuracy in figures and in --layout paper: `best` (best evaluation) or `last` (final model)."
        ),
    ] = "best",
    methods: report_choice.Methods = None,
    rename: report_choice.Rename = None,
    order: report_choice.Order = None,
    caption: report_choice.CaptionOption = "short",
    rank_by: Annotated[
        str,
        typer.Option(
            "--rank-by",
            help="Accuracy that the leaderboard ranks and tests: `last` (final model) or `best` (best evaluation).",
        ),
    ] = "last",
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Output folder for figures, a .html file for the page, or a new folder to unpack a bundle into.",
        ),
    ] = None,
) -> int:
    """Show the leaderboard of one or several runs; --all adds the paper-style table and the times.

    A bundle (`harness bundle`) is read as data, never as code: it is checked completely first, and nothing is written.
    For a folder of bundles, each one is shown.

    Examples: `harness report`, `harness report RUN --layout paper --format latex --rename my_method="Ours"`,
    `harness report RUN1 RUN2 --layout comparisons`, `harness report RUN1 RUN2 --html --to both.html`,
    `harness report RUN --figures --paper column`, `harness report THEIRS.zip RUN`,
    `harness report THEIRS.zip --to theirs --html`.
    """
    if form is not None:
        check_format(form)
        if html or figures:
            raise UserError("--html and --figures write files, --format prints tables; use one of them.")
    if not figures and ((paper, bars) != (None, None) or (metric != "best" and layout != "paper")):
        raise UserError(
            "--paper and --bars apply to figures, --metric to figures and to --layout paper; add --figures. "
            "--layout leaderboard shows both accuracies."
        )
    choice = report_choice.read_choice(methods, rename, order, layout=layout)
    words = report_choice.read_caption(caption, form)
    if choice and (html or figures or published):
        raise UserError(
            "--methods, --rename and --order change printed tables only; leave out --html, --figures and --published."
        )
    if paper not in (None, "column", "page"):
        raise UserError(f"--paper {paper!r} is not known; choose column or page.")
    discovery.discover()  # HARNESS_PLUGINS and --plugin may add tables
    for path in plugin or ():
        discovery.load_plugin(path)
    _check_several(runs, html=html, figures=figures, to=to)
    file = to if html and to is not None and to.suffix == ".html" else None
    apart = figures and to is not None and not (runs and len(runs) == 1 and is_bundle(runs[0]))
    if to is not None and file is None and not apart:
        runs = [_kept(runs, to)]
    several = bundles_in(runs[0]) if runs and len(runs) == 1 else []
    together: list[list[str | None]] = [[str(path)] for path in several] or [[*runs] if runs else [None]]
    found = [[ended_runs.find_run(run, store) for run in group] for group in together]
    if (html and file is None) or (figures and not apart):
        for folder in (folder for group in found for folder in group):
            refuse_writing(folder)
    shown = [
        (
            group,
            api_report.report(
                group, store, layout=layout, published=published, rank_by=rank_by, metric=metric, **vars(choice)
            ),
        )
        for group in found
    ]
    if form is not None:
        sys.stdout.write("\n".join(render(tables, form, words) for _, tables in shown))
        return 0
    whole = every or layout is not None or published
    for folders, tables in shown:
        _show(folders, tables, several=bool(several), whole=whole, captions=captions)
        if len(folders) == 1 and bundle_of(folders[0]) is None and not choice and metric == "best":
            api_report.save_tables(folders[0], tables)  # last: tables can be read where nothing can be written
    drawn = (
        api_report.figures(found[0], store, bars=bars, metric=metric, paper=paper, to=to if apart else None)
        if figures
        else {}
    )
    if drawn and (paper or apart):
        output.print_figures(drawn)
    if file is not None:
        every_one = [folder for group in found for folder in group]
        page = api_report.write_page(every_one, store, published=published, rank_by=rank_by, to=file)
        print_line(f"page  {page}")
        return 0
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
    """Refuse a page of several runs without a file of its own, and figures of several without a folder.

    Raises:
        UserError: says which command does it.
    """
    if to is not None and to.suffix == ".html" and (figures or not html):
        raise UserError(f"--to {to} is a page: add --html, and use --figures in a separate command.")
    if not _several(runs):
        return
    if html and (to is None or to.suffix != ".html" or to.is_dir()):
        raise UserError("the page of several runs needs an output file: add --to FILE.html.")
    if figures and to is None:
        raise UserError("--figures of several runs need an output folder: add --to FOLDER.")
    if to is not None and not figures and not html:
        raise UserError(
            f"--to {to}: with several runs, --to works only with --figures or --html; without them it unpacks one bundle."
        )


def _show(folders: list[Path], tables: dict[str, Table], *, several: bool, whole: bool, captions: bool) -> None:
    """Print tables, of a bundle with its name."""
    sent = bundle_of(folders[0])
    if several and sent:
        stdout(soft_wrap=True).print(plain(f"bundle {sent}"), style="bold")
    print_screen(tables, every=whole, captions=captions)


def _kept(runs: list[str] | None, to: Path) -> str:
    """Make a run of the one bundle that is named, and return its folder."""
    if not runs or len(runs) > 1 or not is_bundle(runs[0]):
        raise UserError(f"--to {to}: it unpacks one bundle; name the bundle: `harness report FILE.zip --to FOLDER`.")
    return str(unpack(Path(runs[0]), to))
