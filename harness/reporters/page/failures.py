"""What did not end well: how many results there are, and every reason why one is missing.

In: records and the texts of a run's errors. Out: rows and texts for the template.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.paths import regular_files
from harness.core.text import DASH, duration, times, without_controls

MOST_CHARACTERS = 50_000
"""Of one error text; a traceback is far shorter, a plugin's message may hold a whole log. Its end says most."""


MOST_TEXTS = 20
"""Different error texts on a page; a hundred failures seldom have so many reasons."""


MOST_LOST = 200
"""Lost attempts on a page."""


@dataclass(frozen=True)
class Failure:
    """One reason for which results are missing.

    Attributes:
        method: its title.
        status: failed, skipped or interrupted.
        ipcs: the IPCs that it concerns, as a text.
        num_results: records that are missing for it.
        error: the whole reason.
    """

    method: str
    status: str
    ipcs: str
    num_results: int
    error: str


def summarise(records: list[dict[str, Any]]) -> str:
    """Return "20 of 26 results: 3 failed, 3 interrupted", or that there is none."""
    num = Counter(record["status"] for record in records)
    missing = ", ".join(f"{count:,} {status}" for status, count in num.items() if status != "done")
    if not num["done"]:
        return f"No result: {missing}." if missing else "No result."
    return f"{num['done']:,} of {times(len(records), 'result')}" + (f": {missing}." if missing else ".")


@dataclass(frozen=True)
class Lost:
    """An attempt of a job that the system ended; the job was tried again, or failed after the last.

    Attributes:
        job: its title.
        reason: what befell it.
        host: the machine; empty where the job had not begun.
        time: from its beginning until then, as a text.
    """

    job: str
    reason: str
    host: str
    time: str


def lost(losses: list[dict[str, Any]]) -> list[Lost]:
    """Return a row for each lost attempt of a run, at most `MOST_LOST` and one that says how many more there are."""
    rows = [
        Lost(one["job"], one["reason"], one.get("host") or DASH, duration(one.get("seconds")))
        for one in losses[:MOST_LOST]
    ]
    left_out = len(losses) - MOST_LOST
    return [*rows, Lost(times(left_out, "other attempt"), "see run.json", DASH, DASH)] if left_out > 0 else rows


def failures(records: list[dict[str, Any]]) -> list[Failure]:
    """Return a row for each method and reason, in order of appearance."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in records:
        if record["status"] != "done":
            title = record.get("method_title") or record["method"]
            reason = record.get("error") or "no reason recorded"
            groups.setdefault((title, record["status"], reason), []).append(record)
    return [Failure(method, status, _ipcs(rows), len(rows), error) for (method, status, error), rows in groups.items()]


def error_texts(folder: Path) -> list[tuple[str, str]]:
    """Return (job, traceback) for each text in a folder, once, links left out; of a very long text the last `MOST_CHARACTERS`."""
    jobs: dict[str, list[str]] = {}
    for path in regular_files(folder, "*.txt"):
        jobs.setdefault(_tail(path), []).append(without_controls(path.stem))
    texts = [(_job_text(own), _end(text, own[0])) for text, own in jobs.items()]
    left_out = texts[MOST_TEXTS:]
    more = [(times(len(left_out), "other error text"), "See the folder errors/ of this run.")] if left_out else []
    return [*texts[:MOST_TEXTS], *more]


def _tail(path: Path) -> str:
    """Return the end of a text, of whatever size it is."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4 * MOST_CHARACTERS - 4))
        return file.read().decode("utf-8", errors="replace")


def _job_text(jobs: list[str]) -> str:
    return jobs[0] + (f" and {times(len(jobs) - 1, 'other job')} with the same text" if len(jobs) > 1 else "")


def _end(text: str, job: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"[beginning omitted; full text: errors/{job}.txt]\n{text[-MOST_CHARACTERS:]}"


def _ipcs(rows: list[dict[str, Any]]) -> str:
    ipcs = dict.fromkeys(row["ipc"] for row in rows)
    return ", ".join("all" if ipc is None else str(ipc) for ipc in ipcs)
