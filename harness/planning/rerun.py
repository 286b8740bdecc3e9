"""Say why jobs run again: what of a job's key is another than in the newest one of its name in the store.

In: a plan and the store's manifests. Out: one line per reason, for people. Only what lies on this machine is read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from harness.core.io import canonical_json
from harness.core.store import Store
from harness.core.text import shorten
from harness.jobs.job import Job
from harness.planning.plan import Plan

_Name = tuple[str, str]


_ABSENT = "nothing"


def rerun_reasons(plan: Plan, store: Store) -> list[str]:
    """Return why the jobs run that have been run before, equal reasons in one line; jobs that are new are left out."""
    todo = [job for job in plan.jobs.values() if not store.has(job.kind, job.key)]
    earlier = _newest(store, todo)
    reasons = Reasons(plan, {job.key for job in todo}, earlier)
    told = [(job, reasons.of(job)) for job in todo if job.key in earlier]
    count = Counter((job.kind, reason) for job, reason in told)
    lines = {}
    for job, reason in told:
        num = count[job.kind, reason]
        lines[job.kind, reason] = f"{job.title}: {reason}" if num == 1 else f"{num} {job.kind} jobs: {reason}"
    return list(lines.values())


def _newest(store: Store, jobs: list[Job]) -> dict[str, dict[str, Any]]:
    """Return, by key of a job to run, the newest manifest of its name: of its suite, else of another one with its data."""
    wanted: dict[_Name, str] = {(job.suite, job.title): job.key for job in jobs}
    by_data: dict[_Name, str] = {(str(job.spec.get("data")), job.title): job.key for job in jobs}
    found: dict[str, dict[str, Any]] = {}
    elsewhere: dict[str, dict[str, Any]] = {}
    for manifest in store.local_manifests({job.kind for job in jobs}):
        if len(found) == len(jobs):
            break
        if not {"title", "spec"} <= set(manifest):
            continue
        title = manifest["title"]
        if key := wanted.get((manifest.get("suite", ""), title)):
            found.setdefault(key, manifest)
        elif key := by_data.get((str(manifest["spec"].get("data")), title)):
            elsewhere.setdefault(key, manifest)
    return elsewhere | found


class Reasons:
    """Compares jobs to run with earlier ones of their names.

    Args:
        plan: the plan that they belong to.
        todo: keys of the jobs that will run.
        earlier: by key of a job to run, the manifest of an earlier one.
    """

    def __init__(self, plan: Plan, todo: set[str], earlier: dict[str, dict[str, Any]]) -> None:
        self.plan, self.todo, self.earlier = plan, todo, earlier

    def of(self, job: Job) -> str:
        """Return why a job runs again: what it is itself that changed, else which job that it stands on."""
        earlier = self.earlier[job.key]
        if earlier.get("key") == job.key:
            return "its result in the store is damaged"
        identity = earlier.get("identity")
        if not identity:
            return "made by an earlier version of the harness, which computed keys differently"
        own = [*_versions(identity, job), *_specs(earlier, job), *_numerics(identity, job)]
        return ", ".join(own) or "; ".join(self._inputs(identity, job)) or "other defaults"

    def _inputs(self, identity: dict[str, Any], job: Job) -> Iterator[str]:
        for role, keys in job.identity["deps"].items():
            before = identity["deps"].get(role, [])
            for place, content in enumerate(keys):
                if place >= len(before) or before[place] != content:
                    needed = self.plan.jobs[job.deps[role][place]]
                    again = "runs again" if needed.key in self.earlier else "is new"
                    yield f"because {needed.title} {again if needed.key in self.todo else 'is another one'}"
                    return
        if set(identity["deps"]) != set(job.identity["deps"]):
            yield "it depends on other kinds of jobs"


def _versions(identity: dict[str, Any], job: Job) -> Iterator[str]:
    if identity["version"] != job.identity["version"]:
        yield f"the harness changed how it runs {job.kind} (version {identity['version']} -> {job.identity['version']})"


def _numerics(identity: dict[str, Any], job: Job) -> Iterator[str]:
    for name, before, now in _differences("", identity["numerics"], job.identity["numerics"]):
        yield f"{name} {_short(before)} -> {_short(now)}"


def _specs(earlier: dict[str, Any], job: Job) -> Iterator[str]:
    """Yield what changed in a specification, by the names that --set and the suite know."""
    own = job.spec.get("method") or job.spec.get("redraw", {}).get("method") or job.spec.get("generator", "")
    before, now = earlier["identity"]["spec"], job.identity["spec"]
    if (was := before.get("inner", {}).get("method")) != (wraps := now.get("inner", {}).get("method")):
        yield f"{own} wraps {wraps} instead of {was}"
        before, now = ({k: v for k, v in spec.items() if k != "inner"} for spec in (before, now))
    for name, old, new in _differences("", before, now):
        last = name.removeprefix("redraw.").removeprefix("inner.")
        owner = job.spec["inner"]["method"] if name.startswith("inner.") else own
        if last in ("code", "data"):
            yield f"code of {owner} changed" if last == "code" else "data changed"
        elif last == "weights":
            yield f"weights of the {job.kind} changed"
        else:
            # A value that is left out of a key is the default; the specification has it.
            old = _value(earlier["spec"], name) if old is _ABSENT else old
            new = _value(job.spec, name) if new is _ABSENT else new
            yield f"{_label(last, owner)} {_short(old)} -> {_short(new)}"


def _label(name: str, owner: str) -> str:
    if name == "version":
        return f"version of {owner}"
    return name.replace("config.", f"{owner}.", 1) if name.startswith("config.") else name


def _differences(name: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the leaves of nested mappings that differ, as ("protocol.lr", 0.01, 0.02)."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{name}.{key}" if name else str(key)
            yield from _differences(inner, before.get(key, _ABSENT), now.get(key, _ABSENT))
    elif canonical_json(before) != canonical_json(now):
        yield name, before, now


def _value(spec: Any, name: str) -> Any:
    """Return an entry of nested mappings by its name with dots."""
    for key in name.split("."):
        if not isinstance(spec, dict) or key not in spec:
            return _ABSENT
        spec = spec[key]
    return spec


def _short(value: Any) -> str:
    """Return a value in few characters; a config inside another by its fields, a rule that holds for every IPC as a number."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = value[1]
    if isinstance(value, dict) and value.get("up_to") in ([], ()) and "above" in value:
        value = value["above"]
    return shorten(value if isinstance(value, str) else json.dumps(value), 60)
