"""What `harness report` writes: the page, figures, or a run made of a bundle, and where each goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api import report as api_report
from harness.cli import output
from harness.cli.consoles import print_line
from harness.core.bundle_files import is_bundle
from harness.core.errors import UserError
from harness.core.remote_runs import upload_reports
from harness.reporters import runs as ended_runs
from harness.reporters.bundles.unpacked import bundle_of, refuse_writing, unpack


@dataclass(frozen=True)
class Files:
    """What is wanted; `to` is a page, a folder of figures, or the folder that a bundle is unpacked into.

    Attributes:
        runs: as they were named; none for the newest run.
        html: write the page.
        figures: draw the figures.
        paper: column or page, for figures of a paper.
        bars: error bars of figures; None for the usual ones.
        to: where it goes; None for the folder of the run.
    """

    runs: tuple[str, ...]
    html: bool
    figures: bool
    paper: str | None
    bars: str | None
    to: Path | None

    @property
    def several(self) -> bool:
        """Return whether several runs are named."""
        return len(self.runs) > 1

    @property
    def page(self) -> Path | None:
        """Return the file of the page; None where it is written into the folder of the run."""
        return self.to if self.html and self.to is not None and self.to.suffix == ".html" else None

    @property
    def figure_folder(self) -> Path | None:
        """Return the folder of figures; None where they are drawn into the folder of the run."""
        return self.to if self.figures and not (len(self.runs) == 1 and is_bundle(self.runs[0])) else None

    @property
    def in_run(self) -> bool:
        """Return whether something is written into the folder of the run."""
        return (self.html and self.page is None) or (self.figures and self.figure_folder is None)

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UserError: says which command does it.
        """
        if self.paper not in (None, "column", "page"):
            raise UserError(f"--paper {self.paper!r} is not known; choose column or page.")
        if self.to is not None and self.to.suffix == ".html" and (self.figures or not self.html):
            raise UserError(f"--to {self.to} is a page: add --html, and use --figures in a separate command.")
        if not self.several:
            return
        if self.html and (self.page is None or self.page.is_dir()):
            raise UserError("the page of several runs needs an output file: add --to FILE.html.")
        if self.figures and self.to is None:
            raise UserError("--figures of several runs need an output folder: add --to FOLDER.")
        if self.to is not None and not self.figures and not self.html:
            raise UserError(
                f"--to {self.to}: with several runs, --to works only with --figures or --html; without them it unpacks "
                "one bundle."
            )

    def unpacked(self) -> list[str]:
        """Return the runs to show; a bundle that `to` asks for is made a run first.

        Raises:
            UserError: `to` names a folder, and not exactly one bundle is given.
        """
        if self.to is None or self.page is not None or self.figure_folder is not None:
            return list(self.runs)
        if len(self.runs) != 1 or not is_bundle(self.runs[0]):
            raise UserError(
                f"--to {self.to}: it unpacks one bundle; name the bundle: `harness report FILE.zip --to FOLDER`."
            )
        return [str(unpack(Path(self.runs[0]), self.to))]

    def check_places(self, folders: Sequence[Path]) -> None:
        """Refuse to write into a run that is only read."""
        for folder in folders if self.in_run else ():
            refuse_writing(folder)

    def write(self, folders: Sequence[Path], store: str, *, metric: str, published: bool, rank_by: str) -> None:
        """Write page and figures, and print where they are; then where the rest of one run is."""
        drawn = {}
        if self.figures:
            drawn = api_report.figures(
                folders, store, bars=self.bars, metric=metric, paper=self.paper, to=self.figure_folder
            )
        apart = bool(self.paper or self.figure_folder)
        if drawn and apart:
            output.print_figures(drawn)
        if self.html:
            page = api_report.write_page(folders, store, published=published, rank_by=rank_by, to=self.page)
            if self.page is not None:
                print_line(f"page  {page}")
                return
        if len(folders) > 1:
            return
        if self.in_run:
            output.print_not_uploaded(folders[0], upload_reports(ended_runs.store_of(folders[0], store), folders[0]))
        if self.figures:
            output.print_not_used(folders[0], store=store)
        if bundle_of(folders[0]) is None:
            output.print_paths(folders[0], () if apart else drawn)
