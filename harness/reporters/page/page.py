"""The page of a run: gather what lies in the run's folder, fill the template, write one file.

In: a run's folder (description, records, images, figures, errors) and its tables. Out: one HTML file in that folder,
which loads nothing and may be sent by mail. It runs no job and reads no artefact of the store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.run_folder import RunFolder
from harness.reporters.page.cite import bibtex
from harness.reporters.page.devices import device_rows, draw
from harness.reporters.page.failures import error_texts, failures, lost, summarise
from harness.reporters.page.images import read_figures, read_sheets
from harness.reporters.page.provenance import command_line, facts
from harness.reporters.page.tables import make_page_table
from harness.reporters.tables.table import Table
from harness.reporters.timeline import read_timeline

_PARTS = Path(__file__).parent / "parts"


_SCRIPTS = ("theme.js", "tables.js", "copy.js")


_UNKNOWN: dict[str, Any] = {"version": None, "reference": "", "code": None, "config": {}, "skipped": None}
"""Of a method in a description that lacks it: one that cannot be imported has no version, older runs no reference."""


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What tracebacks hold for a terminal."""


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that HTML forbids, or that turn the order of the text around them."""


def write_page(folder: Path, tables: Mapping[str, Table]) -> Path:
    """Write the page into a run's folder and return its path.

    Args:
        folder: a run's folder with description and records; images, figures and errors where they exist.
        tables: the run's tables by file stem, as `harness.report` returns them.
    """
    return RunFolder(folder).write_page(render(gather(RunFolder(folder), tables)))


def gather(folder: RunFolder, tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return what the template shows, by name."""
    run, records = folder.about, folder.records
    titles = {r["method"]: r.get("method_title") or r["method"] for r in records}
    methods = [{**_UNKNOWN, "name": n, "title": titles.get(n, n), **about} for n, about in run["methods"].items()]
    timeline = read_timeline(folder.events())
    return {
        "run": run,
        "name": folder.name,
        "summary": summarise(records),
        "facts": facts(run),
        "command": command_line(run["request"], run["methods"]),
        "methods": methods,
        "bibtex": bibtex(methods, run),
        "tables": [make_page_table(name, table) for name, table in tables.items()],
        "devices": device_rows(timeline),
        "picture": draw(timeline),
        "failures": failures(records),
        "lost": lost(run.get("losses", [])),
        "errors": error_texts(folder.errors),
        "figures": read_figures(folder.figures),
        "sheets": read_sheets(folder.images, titles),
    }


def render(content: Mapping[str, Any], template: str = "page.html") -> str:
    """Fill a template; every text of `content` is escaped, and only the page's own style and scripts may run."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = _read("page.css")
    scripts = [_read(name) for name in _SCRIPTS]
    environment = Environment(
        loader=FileSystemLoader(_PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=1, ensure_ascii=False)
    text = environment.get_template(template).render(
        content, style=Markup(style), scripts=[Markup(script) for script in scripts], policy=_policy(style, scripts)
    )
    # A path of a file may hold bytes that are no UTF-8; they must not cost the page.
    text = _COLOUR.sub("", text).encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _read(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    """Return a content security policy: nothing is loaded, and of inline code only this style and these scripts run."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {' '.join(map(_hash, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
