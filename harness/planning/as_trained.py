"""Let a plan stand on the sets that its finished trainings were trained on, where the store has them.

A student of a nested method is keyed by the head that it sees, so the store may have it from a run with other IPCs. Then the
record tells of that run's set, which is what the student saw; students to come are trained on the same one; and no set
is made that nobody trains on. Labels that were stored for a set go the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.config.suite import Resources
from harness.core.integrity import damage
from harness.core.store import Store
from harness.jobs.job import Job
from harness.planning.plan import Plan, Row

ROLES = ("synthesize", "label")


def as_trained(plan: Plan, store: Store) -> Plan:
    """Return the plan with those sets and labels, without the jobs that nothing needs then."""
    used = _used(plan, store)
    if not used:
        return plan
    jobs = {key: _job(store, role, key) for role, key in used.values() if key not in plan.jobs} | plan.jobs
    rows = []
    for row in plan.rows:
        changes = {role: used[content][1] for role, content in _contents(row, plan).items() if content in used}
        if row.train and changes:
            deps = {role: (key,) for role, key in changes.items()}
            jobs[row.train] = replace(jobs[row.train], deps=jobs[row.train].deps | deps)
        made, label = changes.get("synthesize", row.synthesize), changes.get("label", row.label)
        rows.append(replace(row, synthesize=made, label=label))
    return Plan(_needed(jobs, rows), tuple(rows))


def _contents(row: Row, plan: Plan) -> dict[str, str]:
    """Return what stands for the set and its labels in the key of a row's training, by role."""
    if row.train is None:
        return {}
    content = plan.jobs[row.train].identity["deps"]
    return {role: content[role][0] for role in ROLES if role in content}


def _used(plan: Plan, store: Store) -> dict[str, tuple[str, str]]:
    """Return, by content, the role and job that a finished training had it from: only where it is not the planned one."""
    found: dict[str, tuple[str, str]] = {}
    for row in plan.rows:
        contents = _contents(row, plan)
        if row.train is None or all(content in found for content in contents.values()):
            continue
        deps = _manifest(store, "train", row.train).get("deps", {})
        for role, content in contents.items():
            if role in deps and content not in found and _manifest(store, role, deps[role][0]):
                found[content] = (role, deps[role][0])
    planned = {
        c: plan.jobs[r.train].deps[role][0] for r in plan.rows if r.train for role, c in _contents(r, plan).items()
    }
    return {
        content: (role, key)
        for content, (role, key) in found.items()
        if key != planned[content] and (store.is_remote or not damage(store.path(role, key)))  # it cannot be made again
    }


def _manifest(store: Store, kind: str, key: str) -> dict[str, Any]:
    """Return the manifest of an artefact; an empty one where the store has none that is whole."""
    try:
        return store.manifest(kind, key) if store.has(kind, key) else {}
    except FileNotFoundError:
        return {}


def _job(store: Store, kind: str, key: str) -> Job:
    """Return a finished job that the plan lacks; it needs nothing more."""
    made = store.manifest(kind, key)
    return Job(key, kind, made["title"], made["spec"], {}, Resources(), suite=made.get("suite", ""))


def _needed(jobs: dict[str, Job], rows: list[Row]) -> dict[str, Job]:
    """Return the jobs that rows name and those that they stand on, each after those that it needs."""
    found: dict[str, Job] = {}

    def add(key: str) -> None:
        if key not in found:
            for needed in jobs[key].dependencies():
                add(needed)
            found[key] = jobs[key]

    for row in rows:
        for key in (*row.fits, row.synthesize, row.label, row.train):
            if key:
                add(key)
    return found
