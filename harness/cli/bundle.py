"""`harness bundle`: a run as one file to send, and the check of such files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.api.bundle import bundle as write
from harness.api.bundle import check_bundle, contents
from harness.cli import options
from harness.cli.consoles import message, plain, stdout
from harness.core.errors import UserError
from harness.core.text import byte_size, parse_bytes


def bundle(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Name or folder of a run; default: the newest. With --check: the bundles.", metavar="[RUN]..."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write, e.g. mine.zip; or a new folder for the same files.")
    ] = None,
    sets: Annotated[
        bool, typer.Option("--sets", help="Add the images and stored soft labels of every distilled set.")
    ] = False,
    pictures: Annotated[
        str, typer.Option(help="Size limit for contact sheets and figures; they are scaled down to fit.")
    ] = "1.2MB",
    check: Annotated[
        bool,
        typer.Option("--check", help="Check existing bundles and print what they contain, instead of writing one."),
    ] = False,
    limit: Annotated[
        str | None, typer.Option(help="With --check: reject bundles larger than this, e.g. `2MB`.")
    ] = None,
    store: options.Store = "results",
) -> int:
    """Write a run to one file for sharing: records, configs, environment, tables, figures and contact sheets.

    `harness report FILE.zip` shows it, anywhere and without the store. Equal runs give equal bytes.

    Left out is what is private: the folders that files lie in (a path becomes …/NAME), host names, addresses of stores,
    logs and tracebacks. Device, processor, operating system, versions, commit, times and your options stay: look at run.json
    in the file before you send it. Pictures are made small, and of each method and IPC the first seed is shown.

    Exit code 0: written, or no problems found. 2: a message says what is wrong; nothing is written.

    Examples: `harness bundle first --to first.zip`, `harness bundle first --to first.zip --sets`,
    `harness bundle --check results/community/*.zip --limit 2MB`.
    """
    console = stdout(soft_wrap=True)
    if check:
        if to is not None or sets or not runs:
            raise UserError("--check takes bundles, without --to or --sets: `harness bundle --check FILE.zip...`.")
        return _check(runs, _bytes("--limit", limit), console)
    if to is None:
        raise UserError("name the output file: `harness bundle RUN --to FILE.zip`.")
    if runs and len(runs) > 1:
        raise UserError("a bundle holds one run; write one bundle per run.")
    path = write(runs[0] if runs else None, to=to, sets=sets, pictures=_bytes("--pictures", pictures) or 1, store=store)
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    console.print(plain(f"wrote {path} ({byte_size(sum(one.stat().st_size for one in files))})"))
    console.print(plain(f"view it with `harness report {path}`"))
    return 0


def _bytes(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_bytes(text)
    except ValueError as error:
        raise UserError(f"{option} {error}.") from None


def _check(names: list[str], most: int | None, console: Console) -> int:
    """Check every bundle, say what each holds or what is wrong with it, and return 2 where one is refused."""
    code = 0
    for name in names:
        try:
            if not Path(name).exists():
                raise UserError(f"{name}: file not found. --check takes bundles: `harness bundle --check FILE.zip...`.")
            found = check_bundle(name)
            if most is not None and found.num_bytes > most:
                raise UserError(
                    f"bundle {name}: size {found.num_bytes:,} bytes, more than --limit ({most:,}). Write it without "
                    "--sets."
                )
        except UserError as error:
            message("error:", str(error))
            code = 2
            continue
        console.print(plain(f"{name}: no problems found"))
        for line in contents(found):
            console.print(plain(f"  {line}"))
    return code
