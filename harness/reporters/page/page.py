"""The page of a run, or of several together: gather what lies in their folders, fill the template, write one file.

In: folders of runs (description, records, images, figures, errors) and their tables. Out: one HTML file, which loads nothing
and may be sent by mail. It runs no job; of the stores it reads only the training curves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.reporters.bundles.unpacked import bundle_of
from harness.reporters.page.assets import PARTS, assets
from harness.reporters.page.cite import bibtex
from harness.reporters.page.devices import device_rows, draw
from harness.reporters.page.failures import error_texts, failures, lost, summarise
from harness.reporters.page.header import about, project_links, title
from harness.reporters.page.images import by_ipc, read_figures, read_sheets
from harness.reporters.page.provenance import command_line, facts
from harness.reporters.page.tables import make_page_table
from harness.reporters.runs import as_frame
from harness.reporters.tables.table import Table
from harness.reporters.timeline import read_timeline

if TYPE_CHECKING:
    import pandas as pd


_UNKNOWN: dict[str, Any] = {"version": None, "reference": "", "code": None, "config": {}, "skipped": None}
"""Of a method in a description that lacks it: one that cannot be imported has no version, older runs no reference."""


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What tracebacks hold for a terminal."""


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that HTML forbids, or that turn the order of the text around them."""


@dataclass(frozen=True)
class Sources:
    """Where a page finds what does not lie in the folders of its runs.

    Attributes:
        records: the rows of all runs, methods of bundles under the names that the tables use; None: those of the one run.
        stores: in which training curves are looked for.
        figures: folder of PNG files; None: that of the one run.
        images: folder of contact sheets of each run; one that is left out has its own.
    """

    records: pd.DataFrame | None = None
    stores: Sequence[Store] = ()
    figures: Path | None = None
    images: Mapping[Path, Path] | None = None


def write_page(folder: Path, tables: Mapping[str, Table], sources: Sources | None = None) -> Path:
    """Write the page into a run's folder and return its path.

    Args:
        folder: a run's folder with description and records; images, figures and errors where they exist.
        tables: the run's tables by file stem, as `harness.report` returns them.
        sources: what lies elsewhere.
    """
    return RunFolder(folder).write_page(page_of([folder], tables, sources))


def page_of(folders: Sequence[Path], tables: Mapping[str, Table], sources: Sources | None = None) -> str:
    """Return the page of runs that fit into one table."""
    return render(gather([RunFolder(folder) for folder in folders], tables, sources or Sources()))


def gather(folders: Sequence[RunFolder], tables: Mapping[str, Table], sources: Sources) -> dict[str, Any]:
    """Return what the template shows, by name."""
    from harness.reporters.page.measured import measured  # pandas and matplotlib

    images = sources.images or {}
    runs = [
        _run(folder, f"-{number}" if len(folders) > 1 else "", images.get(folder.path))
        for number, folder in enumerate(folders, start=1)
    ]
    methods = {method["name"]: method for run in runs for method in run["methods"]}
    frame = sources.records if sources.records is not None else as_frame(folders[0].records)
    page_tables = [make_page_table(name, table) for name, table in tables.items()]
    return {
        "title": title([folder.about for folder in folders]),
        "name": ", ".join(run["name"] for run in runs),
        "links": project_links(),
        "runs": runs,
        "bibtex": bibtex(list(methods.values()), folders[0].about),
        "figures": read_figures(sources.figures or folders[0].figures),
        **measured(page_tables, tables, frame, sources.stores),
    }


def _run(folder: RunFolder, suffix: str, images: Path | None) -> dict[str, Any]:
    """Return what the template shows of one run.

    Args:
        folder: of the run.
        suffix: of its ids on the page.
        images: its contact sheets; None: those in its folder.
    """
    run, records = folder.about, folder.records
    titles = {r["method"]: r.get("method_title") or r["method"] for r in records}
    timeline, results = read_timeline(folder.events()), summarise(records)
    sent = bundle_of(folder.path)
    return {
        "name": sent.name if sent else folder.name,
        "id": suffix,
        "run": run,
        "summary": results,
        "about": about(run, results),
        "facts": facts(run),
        "command": command_line(run["request"], run["methods"]),
        "methods": [{**_UNKNOWN, "name": n, "title": titles.get(n, n), **own} for n, own in run["methods"].items()],
        "devices": device_rows(timeline),
        "picture": draw(timeline),
        "failures": failures(records),
        "lost": lost(run.get("losses", [])),
        "errors": error_texts(folder.errors),
        "sheets": by_ipc(read_sheets(images or folder.images, titles)),
    }


def render(content: Mapping[str, Any], template: str = "page.html") -> str:
    """Fill a template; every text of `content` is escaped, and only the page's own style and scripts may run."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    own = assets(plots=bool(content.get("plots")))
    environment = Environment(
        loader=FileSystemLoader(PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=1, ensure_ascii=False)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    text = environment.get_template(template).render(
        content, style=Markup(own.style), scripts=[Markup(script) for script in own.scripts], policy=own.policy
    )
    # A path of a file may hold bytes that are no UTF-8; they must not cost the page.
    text = _COLOUR.sub("", text).encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
