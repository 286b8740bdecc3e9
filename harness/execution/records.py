"""Records: plain rows, one per suite, method, IPC, student, protocol, distillation seed and training seed.

In: a plan's rows, the artefacts that they need, what failed. Out: dicts that open in pandas. Accuracies in percent, times in
seconds, memory and storage in bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from harness.core.class_groups import score_fields
from harness.core.plugin import discovery
from harness.execution.attempts import attempt_fields
from harness.execution.found import Found
from harness.execution.scheduler import Scheduler
from harness.planning.plan import Plan, Row
from harness.planning.resolve import Resolved

SCORES = ("top1_last", "top1_best", "best_epoch", "top5_last", "top5_best", "epochs")


REDRAW = ("redraw_every", "redraw_s")
"""Epochs that a draw of fresh images is seen, and the seconds of the training that drawing took."""


MAKING = (
    "fit_wall_s", "fit_device_s", "synthesize_wall_s", "synthesize_device_s", "synthesize_measured", "load_s",
    "peak_host_bytes", "peak_device_bytes", "energy_j",
)  # fmt: skip
"""What it took to make a distilled set: not known of one that was given."""


def make_records(
    resolved: Resolved, plan: Plan, scheduler: Scheduler, found: dict[str, Found], run: str
) -> list[dict[str, Any]]:
    """Return one record per row of the plan; `found` holds the artefacts that the rows need, by key."""
    sets: dict[tuple[Any, ...], dict[str, Any]] = {}

    def resumed_s(key: str) -> float:
        return float(found[key].manifest["measured"].get("resumed_s", 0.0)) if key in found else 0.0

    given_up = {key for key, outcome in scheduler.errors.items() if outcome.lost and outcome.cause is None}
    base = _base(resolved, run)
    about = {m.name: _about(m.name, m.options) for m in resolved.plan_input.methods}
    records = []
    for row in plan.rows:
        record = {**base, **about[row.method], **_identity(row), **_status(row, plan, scheduler)}
        record |= attempt_fields(row, scheduler.losses, given_up, resumed_s)
        record["budget_bytes"] = _budget(resolved, row.ipc)
        if record["status"] == "done":
            assert row.train is not None
            record |= _trained(resolved, found[row.train].manifest)
            record["cached"] = scheduler.status[row.train] == "cached"
        if row.synthesize and all(key in found for key in (row.synthesize, *row.fits)):
            own = (row.synthesize, row.ipc, row.fits)
            if own not in sets:
                sets[own] = _distilled(row, found)
            made = sets[own]
            if record["given"]:  # the device is the students'
                made = {**made, "device": record["device"], **dict.fromkeys(MAKING)}
            record |= made
        records.append(record)
    return records


def _base(resolved: Resolved, run: str) -> dict[str, Any]:
    """Return what all records of a run have in common."""
    protocol = resolved.plan_input.protocol
    return {
        "run": run,
        "suite": resolved.suite.name,
        "suite_version": resolved.suite.version,
        "source": resolved.source_text,
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "protocol_changes": resolved.protocol_changes,
        "labels": protocol.labels,
        "device": "",
        "host": "",
        "metrics": ", ".join(resolved.suite.metrics),
    }


def _trained(resolved: Resolved, trained: dict[str, Any]) -> dict[str, Any]:
    """Return what a training scored and took."""
    class_ids = [c.id for c in resolved.plan_input.classes]
    scores = score_fields(trained["result"], resolved.suite.metrics, class_ids, resolved.class_counts)
    return {**training_fields(trained), **scores}


def training_fields(trained: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that the manifest of its training alone tells."""
    result = trained["result"]
    return {
        **{name: result[name] for name in SCORES},
        "device": trained["measured"]["device_name"],
        "host": trained["measured"].get("host", ""),  # of older artefacts it is not known
        "train_wall_s": trained["measured"]["wall_s"],
        **{name: result[name] for name in ("num_images", "teacher_bytes", *REDRAW)},
        "label_bytes": result.get("label_bytes"),
    }


def _budget(resolved: Resolved, ipc: int | None) -> int | None:
    """Return the bytes that a set of this IPC may take: as asked for, else those of its images, uncompressed."""
    if ipc is None:
        return None
    budget = resolved.suite.budget
    asked = dict(zip(budget.ipc, budget.bytes, strict=True)) if budget.bytes else {}
    return asked.get(ipc, ipc * len(resolved.context.classes) * resolved.suite.image_bytes)


def _about(name: str, config: dict[str, Any]) -> dict[str, Any]:
    known = name in discovery.methods
    cls = discovery.methods.get(name) if known else None
    return {
        "method": name,
        "method_title": cls.title if cls else "",
        "method_version": cls.version if cls else None,
        "reference_row": bool(cls and cls.all_data),
        "random_subset": bool(cls and cls.random_subset),
        "given": bool(cls and cls.given),
        "config": json.dumps(config, sort_keys=True),
    }


def _identity(row: Row) -> dict[str, Any]:
    return {
        "ipc": row.ipc,
        "student": row.student,
        "distillation_seed": row.distillation_seed,
        "training_seed": row.training_seed,
        "variant": row.variant,
        "train_key": row.train or "",
        "label_key": row.label or "",
    }


def _status(row: Row, plan: Plan, scheduler: Scheduler) -> dict[str, Any]:
    """Return how a row ended, why, and the title of the job that failed with its machine."""
    if row.train is None:
        return {"status": "skipped", "error": row.skip, "cause": ""}
    state = scheduler.status[row.train]
    if state in ("done", "cached"):
        return {"status": "done", "error": "", "cause": ""}
    if state in ("failed", "blocked"):
        ended = scheduler.errors[row.train]
        failed = {"status": "failed", "error": ended.error, "cause": plan.jobs[ended.cause or row.train].title}
        return {**failed, "host": ended.where.host if ended.where else ""}
    error = "the run was stopped before this job; run the same command again to resume"
    return {"status": "interrupted", "error": error, "cause": ""}


def _distilled(row: Row, found: dict[str, Found]) -> dict[str, Any]:
    """Return what is to be said of a row's distilled set: what it cost, its key, and where its images are."""
    assert row.synthesize is not None
    made = found[row.synthesize]
    fields = distilled_fields(row.ipc, made.manifest, [found[key].manifest for key in row.fits])
    return {**fields, "distilled_key": row.synthesize, "image_folder": str(made.folder)}


def distilled_fields(ipc: int | None, made: dict[str, Any], fitted: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a distilled set cost. Wall time of grouped fits is the longest shard, device time their sum.

    Args:
        ipc: images per class that are taken of it.
        made: manifest of its synthesis.
        fitted: manifests of the fits before that.
    """
    fits = [one["measured"] for one in fitted]
    share = 1.0 if ipc is None else ipc / made["result"]["ipc"]
    synthesis, how = synthesis_cost(made["measured"], share)
    stages = [*fits, synthesis]
    energies = [m["energy_j"] for m in stages]
    classes = max(1, len(made["result"]["classes"]))
    return {
        "device": made["measured"]["device_name"],
        "fit_wall_s": max((m["wall_s"] for m in fits), default=0.0),
        "fit_device_s": sum(m["device_s"] for m in fits),
        "synthesize_wall_s": synthesis["wall_s"],
        "synthesize_device_s": synthesis["device_s"],
        "synthesize_measured": how,
        "synthesized_ipc": made["result"]["ipc"],
        "load_s": sum(m["load_s"] for m in stages),
        "peak_host_bytes": max(m["peak_host_bytes"] for m in stages),
        "peak_device_bytes": _most(m["peak_device_bytes"] for m in stages),
        "energy_j": None if any(e is None for e in energies) else sum(energies),
        "num_images": (ipc or 0) * classes,
        "duplicates": sum(p < (ipc or 0) for places in made["result"]["duplicates"].values() for p in places),
        "notes": "; ".join(made["result"]["notes"]),
        "storage_bytes": _storage(ipc, made) if share < 1 else made["result"]["storage_bytes"],
        "shared_bytes": made["result"]["shared_bytes"] or None,
        "draws": made["result"]["draws"],
        "image_size": made["spec"]["image_size"],
    }


def recorded_fields(
    record: dict[str, Any], trained: dict[str, Any], made: dict[str, Any] | None, fitted: list[dict[str, Any] | None]
) -> dict[str, Any]:
    """Return what the fields of a record must be by the manifests of its training, its set and the fits before that.

    Left out is what cannot be told from them: times of a set that was given or whose fits are not there, and the device.
    """
    metrics = [name for name in ("class_accuracy",) if f"{name}_last" in record]
    classes = list(json.loads(record["class_accuracy_last"])) if metrics else []
    fields = {**training_fields(trained), **score_fields(trained["result"], metrics, classes, ())}
    if made is not None:
        there = [one for one in fitted if one is not None]
        own = distilled_fields(record["ipc"], made, there)
        untold = MAKING if record.get("given") or len(there) < len(fitted) else ()
        fields |= {name: value for name, value in own.items() if name not in untold}
    fields.pop("device")
    return fields


def synthesis_cost(measured: dict[str, Any], share: float) -> tuple[dict[str, Any], str]:
    """Return what the smaller set of a nested method cost, and how that is known, from what its largest set took.

    The smaller set costs the part that does not grow with the images (`Task.per_image` says what does), and `share` of the
    rest. Energy goes by time. Loading and peak memory are those of the largest set.

    Args:
        measured: of the synthesis, as its manifest holds it.
        share: images of the smaller set over images of the set that was made.

    Returns:
        The costs, and "whole" (this very set was timed), "share" (as above) or "largest set" (the method does not say what
        grows, so the time is that of the largest set: an upper bound).
    """
    if share >= 1:
        return measured, "whole"
    if not measured.get("per_image_s"):  # also of a set made before this was measured
        return measured, "largest set"
    wall = measured["wall_s"] - measured["per_image_s"] * (1 - share)
    part = wall / measured["wall_s"]
    scaled = {name: measured[name] and measured[name] * part for name in ("device_s", "energy_j")}
    return {**measured, "wall_s": wall, **scaled}, "share"


def _storage(ipc: int | None, made: dict[str, Any]) -> int:
    """Return the bytes of the first `ipc` images of each class of a larger nested set; a generative set is one size."""
    if made["result"]["generative"]:
        return made["result"]["storage_bytes"]
    if made["result"].get("pixels") == "float32":  # all images take the same bytes
        return round(made["result"]["storage_bytes"] * (ipc or 0) / made["result"]["ipc"])
    total = 0
    for name, info in made["files"].items():
        stem = name.rsplit("/", 1)[-1].removesuffix(".png")
        if "/" in name and stem.isdigit() and ipc is not None and int(stem) < ipc:
            total += info["size"]
    return total


def _most(values: Iterable[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return max(known) if known else None
