"""`harness report`: the tables, figures and page of runs that have ended, and of bundles that somebody sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.api import report as api_report
from harness.cli import options, output, report_choice
from harness.cli.consoles import plain, stdout
from harness.cli.output import print_screen
from harness.cli.report_files import Files
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.reporters import runs as ended_runs
from harness.reporters.bundles.unpacked import bundle_of, bundles_in
from harness.reporters.tables.choice import Choice
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
    choice = report_choice.read_choice(methods, rename, order, layout=layout)
    words = report_choice.read_caption(caption, form)
    _check(form, choice, files := html or figures, published=published)
    if not figures and ((paper, bars) != (None, None) or (metric != "best" and layout != "paper")):
        raise UserError(
            "--paper and --bars apply to figures, --metric to figures and to --layout paper; add --figures. "
            "--layout leaderboard shows both accuracies."
        )
    wanted = Files(tuple(runs or ()), html, figures, paper, bars, to)
    wanted.check()
    discovery.discover()  # HARNESS_PLUGINS and --plugin may add tables
    for path in plugin or ():
        discovery.load_plugin(path)
    groups = _groups(wanted.unpacked(), store)
    folders = [folder for group in groups for folder in group]
    wanted.check_places(folders)
    shown = [
        api_report.report(
            group, store, layout=layout, published=published, rank_by=rank_by, metric=metric, **vars(choice)
        )
        for group in groups
    ]
    if form is not None:
        sys.stdout.write("\n".join(render(tables, form, words) for tables in shown))
        return 0
    whole = every or layout is not None or published
    for group, tables in zip(groups, shown, strict=True):
        _show(group, tables, named=len(groups) > 1, whole=whole, captions=captions)
        if len(group) == 1 and bundle_of(group[0]) is None and not choice and metric == "best":
            api_report.save_tables(group[0], tables)  # last: tables can be read where nothing can be written
    wanted.write(folders, store, metric=metric, published=published, rank_by=rank_by)
    if not whole and not files and (wanted.several or bundle_of(folders[0]) is not None):
        output.print_more(runs or [])
    return 0


def _check(form: str | None, choice: Choice, files: bool, *, published: bool) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: says which to leave out.
    """
    if form is not None:
        check_format(form)
        if files:
            raise UserError("--html and --figures write files, --format prints tables; use one of them.")
    if choice and (files or published):
        raise UserError(
            "--methods, --rename and --order change printed tables only; leave out --html, --figures and --published."
        )


def _groups(runs: list[str], store: str) -> list[list[Path]]:
    """Return the folders of the runs of each screen: all runs in one, but each bundle of a folder in its own."""
    bundles = bundles_in(runs[0]) if len(runs) == 1 else []
    groups: list[list[str | None]] = [[str(path)] for path in bundles] or [[*runs] if runs else [None]]
    return [[ended_runs.find_run(run, store) for run in group] for group in groups]


def _show(folders: list[Path], tables: dict[str, Table], *, named: bool, whole: bool, captions: bool) -> None:
    """Print tables, of one bundle among several with its name."""
    sent = bundle_of(folders[0])
    if named and sent:
        stdout(soft_wrap=True).print(plain(f"bundle {sent}"), style="bold")
    print_screen(tables, every=whole, captions=captions)
