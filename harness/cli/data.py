"""`harness data`: look at and fetch the real images of a suite. Thin commands over `harness.data`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from harness.cli.consoles import stderr, stdout
from harness.cli.options import DataRoot
from harness.core.errors import UserError
from harness.core.overrides import parse_overrides
from harness.core.progress import BYTE, ProgressCallback
from harness.core.suites import load_suite
from harness.core.text import byte_size, count
from harness.data.fetch.check import check_data
from harness.data.fetch.hub import fetch_from_hub
from harness.data.fetch.suite_data import fetch as fetch_data

if TYPE_CHECKING:
    from harness.data.fetch.check import Findings


SuiteName = Annotated[str, typer.Argument(help="Suite name (`harness list suites`) or path of a suite YAML.")]


data_app = typer.Typer(
    name="data",
    help=(
        "Download and check the real images of a suite.\n\nFirst steps: `harness data check imagewoof` reports what "
        "is missing and how to get it; `harness data fetch imagewoof` downloads fast.ai's archive. ImageNet itself "
        "cannot be downloaded this way."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


ALL_SHOWN = 20


@data_app.command()
def check(
    suite: SuiteName,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a field of the data source: `data.root=imagewoof2-320`; repeatable."),
    ] = None,
    decode_all: Annotated[
        bool,
        typer.Option(
            "--decode-all", help="Decode every image instead of a sample of each class; takes minutes to hours."
        ),
    ] = False,
    data_root: DataRoot = "data",
) -> int:
    """Report on a suite's data: which data set, images per class, suspicious files, fingerprint.

    All files are listed again and a sample of images per class is decoded; nothing below the data root changes. Exit
    code 0: the data can be used. 2: they cannot; the message says what is missing and how to get it.

    Examples: `harness data check digits`, `harness data check imagewoof --set data.root=imagewoof2-320`.
    """
    options = _source_options(settings or [])
    with _progress() as report:
        found = check_data(load_suite(suite), Path(data_root), report, options=options, decode_all=decode_all)
    _print_findings(found, stdout(soft_wrap=True))
    if found.damaged:
        more = len(found.damaged) - ALL_SHOWN
        listed = found.damaged[:ALL_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
        raise UserError("unreadable images; replace or remove them:\n  " + "\n  ".join(listed))
    return 0


@data_app.command()
def fetch(
    suite: SuiteName,
    variant: Annotated[
        str | None, typer.Option(help="Variant of the archive: `full`, `320` or `160` (pixels on the short side).")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Use an archive that is already on disk (no network needed).")
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            help=(
                "Use an image data set from the Hugging Face hub instead: OWNER/NAME. Its labels must name the classes."
            )
        ),
    ] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the downloaded archive.")] = False,
    data_root: DataRoot = "data",
) -> int:
    """Download a suite's data, check them, and unpack them below the data root.

    Run the same command again to resume an interrupted download. Archives that fail their checksum are not unpacked; a
    folder appears only when it is complete. fast.ai's archives contain ImageNet images with a different split, so
    results are not comparable with those on ImageNet's own folders; every table says which was used.

    Examples: `harness data fetch imagewoof --variant 160` (93 MB), `harness data fetch imagenette` (1.6 GB),
    `harness data fetch imagewoof --hub OWNER/NAME` (a data set of the Hugging Face hub, of any origin).
    """
    file = load_suite(suite)
    if hub is not None and (variant is not None or archive is not None):
        raise UserError(
            "--hub downloads from the Hugging Face hub; --variant and --archive apply to archives. Use one of the two."
        )
    with _progress() as report:
        if hub is not None:
            got = fetch_from_hub(file, Path(data_root), hub, report)
        else:
            got = fetch_data(file, Path(data_root), report, variant=variant, archive=archive, keep_archive=keep_archive)
    console = stdout(soft_wrap=True)
    if got.folder is None:
        console.print(f"{got.about}: nothing to fetch", markup=False)
        return 0
    console.print(f"{got.about}: {'already ' if got.here_before else ''}in {got.folder}", markup=False)
    if got.sha256 and not got.declared:
        console.print(f"no checksum is known for this archive; it was accepted unchecked, SHA-256 {got.sha256}")
    if not got.is_suites_own:
        console.print(
            f"suite {file.suite.name} reads {file.suite.source.get('root')} by default; to use this data set:"
        )
        console.print(f"  harness data check {suite} --set data.root={got.folder.name}", markup=False)
        console.print(f"  harness run --suite {suite} --set data.root={got.folder.name}", markup=False)
    return 0


def _source_options(settings: list[str]) -> dict[str, Any]:

    parsed = parse_overrides(settings)
    other = sorted(set(parsed) - {"data"})
    if other:
        raise UserError(f"--set {other[0]}: this command accepts only data fields, e.g. --set data.root=imagewoof2.")
    return parsed.get("data", {})


@contextlib.contextmanager
def _progress() -> Iterator[ProgressCallback]:
    """Show a bar per stage in a terminal; one line per stage elsewhere."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = stderr()
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def report(stage: str, done: int, total: int, unit: str) -> None:
            form = byte_size if unit == BYTE else count
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None, text="")
                if not console.is_terminal:
                    console.print(f"{stage} {form(total) if total else ''}".rstrip(), highlight=False)
            text = f"{form(done)} of {form(total)}" if total else form(done)
            bars.update(tasks[stage], completed=done, total=total or None, text=text)

        yield report


def _print_findings(found: Findings, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"suite {found.suite}: {found.about}"))
    train, test = found.num_images["train"], found.num_images["test"]
    if len(found.classes) <= ALL_SHOWN:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("label", "class", "train", "test"):
            table.add_column(name, justify="left" if name == "class" else "right")
        for c in found.classes:
            name = c.id if c.name == c.id else f"{c.id} {c.name}"
            table.add_row(str(c.label), Text(name), f"{train[c.id]:,}", f"{test[c.id]:,}")
        console.print(table)
    for name, num in (("train", train), ("test", test)):
        least, most = min(num.values()), max(num.values())
        spread = f"{least:,}{f' to {most:,}' if most > least else ''} in each of {len(num):,} classes"
        console.print(f"{name:<12} {sum(num.values()):,} images, {spread}")
    console.print(f"decoded      {found.num_decoded:,} images, {len(found.damaged):,} damaged")
    console.print(f"fingerprint  {found.fingerprint}")
    for remark in found.remarks:
        console.print(Text(f"note         {remark}", style="yellow"))
