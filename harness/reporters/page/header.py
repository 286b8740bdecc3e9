"""What a reader asks first: what was measured, when, on what, for how long, by which version.

In: descriptions of runs. Out: a title, pairs of texts, and addresses that the project itself states.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import yaml

from harness.core.io import data_folder
from harness.core.text import duration

_DISTRIBUTION = "distillation-harness"


_STATED = {"repository-code": "Source", "url": "Homepage"}
"""Fields of CITATION.cff that hold an address -> what the page calls it."""


def title(runs: Sequence[dict[str, Any]]) -> str:
    """Return suite and protocol of runs that fit into one table."""
    suites = dict.fromkeys(str(run.get("suite", {}).get("name") or "") for run in runs)
    protocols = dict.fromkeys(str(run.get("protocol", {}).get("name") or "") for run in runs)
    named = [
        ", ".join(filter(None, suites)),
        f"protocol {', '.join(filter(None, protocols))}" if any(protocols) else "",
    ]
    return ", ".join(filter(None, named)) or "Run"


def about(run: dict[str, Any], results: str) -> list[tuple[str, str]]:
    """Return (name, value) of what stands below the title; what is not known is left out.

    Args:
        run: description of a run.
        results: how many results there are, as a sentence.
    """
    pairs = [
        ("Date", _date(run.get("started"))),
        ("Duration", _duration(run.get("started"), run.get("ended"))),
        ("Machine", _machine(run.get("environment", {}))),
        ("Results", results.removesuffix(".")),
        ("Harness", _version(run.get("environment", {}))),
    ]
    return [(name, value) for name, value in pairs if value]


def project_links() -> list[tuple[str, str]]:
    """Return (name, address) of the project as its metadata and CITATION.cff state them; none where none is stated."""
    found: dict[str, str] = {}
    try:
        for stated in importlib.metadata.metadata(_DISTRIBUTION).get_all("Project-URL") or ():
            name, _, address = stated.partition(",")
            found[name.strip()] = address.strip()
    except importlib.metadata.PackageNotFoundError:
        pass  # a checkout that is not installed
    file = data_folder(".") / "CITATION.cff"
    stated_there = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for field, name in _STATED.items():
        found.setdefault(name, str(stated_there.get(field) or ""))
    wanted = ("Documentation", "Homepage", "Source", "Repository")
    return _distinct((name, found.get(name, "")) for name in wanted)


def _distinct(links: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the links to web pages, one of each address."""
    shown: dict[str, str] = {}
    for name, address in links:
        if re.fullmatch(r"https?://[^\s\"'<>]+", address):
            shown.setdefault(address, name)
    return [(name, address) for address, name in shown.items()]


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _date(started: Any) -> str:
    time = _time(started)
    if time is None:
        return ""
    zone = f" {time.tzname()}" if time.tzinfo else ""
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def _duration(started: Any, ended: Any) -> str:
    """Return the time of the run; empty where it is not known or negative."""
    first, last = _time(started), _time(ended)
    if first is None or last is None or (first.tzinfo is None) != (last.tzinfo is None) or last < first:
        return ""
    return duration((last - first).total_seconds())


def _machine(machine: dict[str, Any]) -> str:
    """Return the GPU, where one was used, and the CPU with its cores."""
    cpu, cores = machine.get("cpu"), machine.get("cpu_count")
    cpu = f"{cpu}, {cores} logical core{'' if cores == 1 else 's'}" if cpu and cores else str(cpu or "")
    device = str(machine.get("device_name") or "")
    return "; ".join(filter(None, ["" if device == machine.get("cpu") else device, cpu]))


def _version(machine: dict[str, Any]) -> str:
    """Return version and first part of the commit, with what is not committed."""
    git = machine.get("git") or {}
    commit = f"commit {str(git['commit'])[:10]}" if git.get("commit") else ""
    changed = " with uncommitted changes" if commit and git.get("dirty") else ""
    version = f"version {machine['harness']}" if machine.get("harness") else ""
    return ", ".join(filter(None, [version, f"{commit}{changed}"]))
