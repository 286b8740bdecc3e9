"""BibTeX for a run: the harness, the data set of its suite, and its methods.

In: run.json, which may be of anybody. Out: text that BibTeX reads. A method that states no BibTeX gets a comment with its
reference: taking a citation apart by guesswork would put wrong names into papers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import yaml

from harness.core.bibtex import Entry, parse_bibtex, unique
from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.core.plugin import discovery
from harness.reporters.tables.latex import escape

KEY = "distillation-harness"
"""Of the harness's own entry."""


_COMMAND = re.compile(
    r"\\(?:[^A-Za-z]|(?:[cvuHkrdbtijoOlL]|ss|ae|AE|oe|OE|aa|AA|text[a-z]+|emph|math(?:rm|bf|cal|bb)|url|href)(?![A-Za-z]))"
)
"""TeX that an entry of a received run may hold: accents, signs and shapes of letters, and nothing that reads or writes files."""


def bibtex(methods: list[dict[str, Any]], run: dict[str, Any]) -> str:
    """Return the entries of a run: the harness at its commit, its suite's data set, then its methods.

    Args:
        methods: name, title and (where known) reference and bibtex of each.
        run: description of the run.
    """
    entries = [harness_entry(run), *dataset_entries(run.get("suite", {}))]
    return written(entries, [(m["name"], m.get("title", ""), *method_entries(m)) for m in methods])


def cited(runs: Iterable[dict[str, Any]]) -> str:
    """Return the entries of several runs together, each once."""
    about = list(runs)
    entries = [entry for run in about for entry in (harness_entry(run), *dataset_entries(run.get("suite", {})))]
    methods = {
        (name, m.get("reference", ""), m.get("bibtex", "")): {**m, "name": name, "title": m.get("title") or ""}
        for run in about
        for name, m in run["methods"].items()
    }
    return written(entries, [(m["name"], m["title"], *method_entries(m)) for m in methods.values()])


def written(entries: list[Entry], methods: list[tuple[str, str, list[Entry], str]]) -> str:
    """Return entries, each once, and a comment for each method of (name, title, entries, reference) without entries."""
    every = [*entries, *(entry for _, _, own, _ in methods for entry in own)]
    lines = [_comment(name, title, reference) for name, title, own, reference in methods if not own]
    return "\n".join([*map(str, unique(every)), *([] if not lines else ["\n".join(lines) + "\n"])])


def harness_entry(run: dict[str, Any]) -> Entry:
    """Return the entry of the harness itself, made of CITATION.cff, at the version and commit of a run."""
    about = yaml.safe_load((data_folder("datasets").parent / "CITATION.cff").read_text(encoding="utf-8"))
    machine = run.get("environment", {})
    version, commit = machine.get("harness") or about.get("version"), machine.get("git", {}).get("commit")
    note = ", ".join(f"{what} {value}" for what, value in (("Version", version), ("commit", commit)) if value)
    year = str(about.get("date-released") or run.get("started") or "")[:4]
    fields = {
        "author": " and ".join(_author(one) for one in about["authors"]),
        "title": f"{{{escape(about['title'])}}}",
        "howpublished": escape(about.get("repository-code") or about.get("url") or ""),
        "doi": escape(about.get("doi") or ""),
        "note": escape(note),
        "year": year if year.isdigit() else "",
    }
    return Entry("misc", KEY, {name: value for name, value in fields.items() if value})


def _author(author: dict[str, str]) -> str:
    """Return an author of CITATION.cff: a person as "Last, First", a group in braces, which keep BibTeX from splitting it."""
    if "family-names" in author:
        return escape(", ".join(filter(None, (author["family-names"], author.get("given-names")))))
    return f"{{{escape(author['name'])}}}"


def dataset_entries(suite: dict[str, Any]) -> Iterator[Entry]:
    """Yield what to cite for the images of a suite; nothing where datasets/references.bib does not know them."""
    source = suite.get("source", {})
    origins = source.get("origins") or ()
    names = {suite.get("name"), source.get("kind"), *(origins if isinstance(origins, list | tuple) else ())}
    for entry in parse_bibtex((data_folder("datasets") / "references.bib").read_text(encoding="utf-8")):
        if names & set(entry.fields["datasets"].split()):
            yield replace(entry, fields={name: value for name, value in entry.fields.items() if name != "datasets"})


def method_entries(method: dict[str, Any]) -> tuple[list[Entry], str]:
    """Return the entries of a method of run.json, and its reference.

    A run of an earlier version kept no BibTeX: it gets that of the method registered here, if its name and reference are the
    same.
    """
    text, reference = method.get("bibtex"), method.get("reference") or ""
    if text is None and reference:
        discovery.discover()
        known = discovery.methods.get(method["name"]) if method["name"] in discovery.methods else None
        text = known.citation() if known is not None and known.reference == reference else ""
    try:
        entries = parse_bibtex(text) if text else []
    except UserError:  # of a received run; a method of ours was checked when it was registered
        return [], reference
    safe = all(_harmless(value) for entry in entries for value in entry.fields.values())
    return (entries if safe else []), reference


def _harmless(value: str) -> bool:
    return "^^" not in value and "\\" not in _COMMAND.sub("", value)  # ^^5c is another way to write a backslash


def _comment(name: str, title: str, reference: str) -> str:
    """Return a line that BibTeX skips; it takes an `@` for the start of an entry."""
    told = f"% {name} ({title or name}): {reference or 'no reference'}; it states no BibTeX"
    return " ".join(told.replace("@", "(at)").split())
