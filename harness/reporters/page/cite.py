"""BibTeX for the methods of a run and the harness itself.

In: the methods' references, which are plain text. Out: one @misc each, the whole reference as its note: taking a
citation apart by guesswork would put wrong names into papers.
"""

from __future__ import annotations

import re
from typing import Any

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
}  # fmt: skip


def bibtex(methods: list[dict[str, Any]], run: dict[str, Any]) -> str:
    """Return the entries: the harness at the commit of the run, then every method that has a reference.

    Args:
        methods: name, title and (where known) reference of each.
        run: description of the run.
    """
    machine = run.get("environment", {})
    commit, version = machine.get("git", {}).get("commit"), machine.get("harness")
    suite = run.get("suite", {})
    note = f"Suite {suite.get('name')}, version {suite.get('version')}" + (f"; harness {version}" if version else "")
    note += f"; commit {commit}" if commit else ""
    entries = [_misc("distillation-harness", "The reference benchmark harness for dataset distillation", note,
                     year="".join(filter(str.isdigit, str(run.get("started", ""))[:4])))]  # fmt: skip
    entries += [_misc(m["name"], m["title"], m["reference"]) for m in methods if m.get("reference")]
    return "\n".join(entries)


def _misc(key: str, title: str, note: str, year: str = "") -> str:
    fields = {"title": f"{{{_escape(title)}}}", "note": _escape(note), "year": year}
    key = re.sub(r"[^A-Za-z0-9_.:+-]", "-", key)
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items() if text]
    return "\n".join([f"@misc{{{key},", *lines, "}"]) + "\n"


def _escape(text: str) -> str:
    """Return a text on one line with TeX's own signs escaped."""
    return "".join(_SIGNS.get(character, character) for character in " ".join(text.split()))
