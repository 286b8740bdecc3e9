"""What a request will cost on this device: device-hours and disk space, from earlier records or a short calibration.

In: a plan, the store's manifests. Out: one line per stage and method, each with what it is based on. Nothing is written.
Work is reckoned in images: a rate in device-seconds an image (`_History`, `Trials`), times the images of the jobs to come
(`Amounts`). On a CPU device-seconds are CPU time, so that a busy machine does not lengthen an estimate.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.environment import device_name, has_cuda
from harness.core.store import Store
from harness.core.text import shorten, times
from harness.jobs.job import KINDS, Job
from harness.planning.amounts import Amounts
from harness.planning.plan import Plan
from harness.planning.trials import Trials

if TYPE_CHECKING:
    from harness.planning.resolve import Resolved


@dataclass(frozen=True)
class Expected:
    """What the jobs of one stage and method, or student, will take.

    Attributes:
        stage: kind of job.
        what: method, student or generator.
        num_jobs: jobs that the store does not answer.
        device_s: device-seconds of all of them (core-seconds on a CPU); None where nothing tells.
        disk_bytes: what they will add to the store; None where nothing tells.
        basis: where the numbers come from.
    """

    stage: str
    what: str
    num_jobs: int
    device_s: float | None
    disk_bytes: int | None
    basis: str


def estimate(resolved: Resolved, plan: Plan) -> list[Expected]:
    """Return what the jobs that are not in the store will take, in the order of the stages.

    A student that this device has never trained at this size is tried for a second or two on random images, and the
    networks of a method that it has never run on random images and latents. A method that tells nothing of its work, or
    whose generator is not here, cannot be foretold and says so.
    """
    store = resolved.context.store
    todo: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in plan.jobs.values():
        if resolved.request.fresh or not store.has(job.kind, job.key):
            todo[job.kind, _what(job.spec, job.kind)].append(job)
    amounts = Amounts(resolved)
    history, trials = _History(store, resolved, plan, amounts), Trials(resolved, plan, amounts)
    groups = sorted(todo.items(), key=lambda group: KINDS.index(group[0][0]))
    return [_expected(history, trials, *group, jobs) for group, jobs in groups]


def _what(spec: dict[str, Any], kind: str) -> str:
    """Return whose work a job is, at which size: jobs of one kind, owner and size cost about the same an image."""
    if kind in ("train", "teacher"):
        owner = spec["student"] if kind == "train" else spec["teacher"]["student"]
    else:
        owner = spec["generator"] if kind == "prior" else spec["method"]
        owner += f" over {spec['inner']['method']}" if "inner" in spec else ""
    return f"{owner}, {spec.get('image_size') or spec['side']} px"


class _Rate(NamedTuple):
    """Device-seconds and bytes an image, where they come from, and whether from jobs of the same options."""

    device_s: float
    num_bytes: float
    how: str
    same: bool


class _History:
    """Device-seconds and bytes an image, as this device needed them before."""

    def __init__(self, store: Store, resolved: Resolved, plan: Plan, amounts: Amounts) -> None:
        self.resolved, self.amounts = resolved, amounts
        data = {str(job.spec["data"]) for job in plan.jobs.values() if job.kind in _ON_REAL_IMAGES}
        self.device = device_name(resolved.context.device)
        self.device_is_elsewhere = resolved.context.device != "cpu" and not has_cuda()
        self._rates: dict[tuple[str, str], list[tuple[float, float, dict[str, Any]]]] = defaultdict(list)
        for manifest in store.local_manifests(KINDS):
            if not {"measured", "spec", "result"} <= set(manifest):
                continue
            if manifest["measured"]["device_name"] != self.device:
                continue
            if manifest["kind"] in _ON_REAL_IMAGES and str(manifest["spec"]["data"]) not in data:
                continue  # how many images it trained on or was scored on is not known
            images = amounts.images(manifest["kind"], manifest["spec"], manifest["result"].get("num_real"))
            size = sum(info["size"] for info in manifest["files"].values())
            if images:
                entry = (_device_s(manifest["measured"]) / images, size / images, manifest["spec"])
                self._rates[manifest["kind"], _what(manifest["spec"], manifest["kind"])].append(entry)

    def rate(self, kind: str, what: str, job: Job) -> _Rate | None:
        """Return what an image took: by records of the same options if there are any."""
        found = self._rates.get((kind, what), [])
        same = [entry for entry in found if _options(entry[2], kind) == _options(job.spec, kind)]
        used = same or found
        if not used:
            return None
        seconds, size = (sum(values) / len(used) for values in list(zip(*used, strict=True))[:2])
        how = times(len(used), "earlier job")
        return _Rate(seconds, size, how if same else f"{how} with other options", bool(same))


_ON_REAL_IMAGES = ("teacher", "train")
"""Kinds of job whose work counts images of this request's splits."""


def _device_s(measured: dict[str, Any]) -> float:
    """Return the device-seconds of a job; on a CPU its CPU time, which other programs do not lengthen, where it is known."""
    cpu_s = measured.get("cpu_s") if measured["device"] == "cpu" else None
    return float(cpu_s or measured["device_s"])


def _options(spec: dict[str, Any], kind: str) -> str:
    """Return what of a specification may change the cost of an image, comparable between runs."""
    if kind == "train":
        protocol = spec["protocol"]
        options = [protocol.get(name) for name in ("precision", "labels", "batch_size", "batch_by_ipc")]
        options.append(bool(protocol.get("compiled")))  # older records do not say
        return json.dumps([*options, spec["ipc"]])  # few images make small batches, which cost more an image
    if kind in ("prior", "teacher"):
        return json.dumps(spec["train" if kind == "prior" else "teacher"], sort_keys=True)
    inner = spec.get("inner", {})  # the method that it wraps; and a coreset looks at all real images
    named = [spec.get("config"), inner.get("method"), inner.get("config"), spec["data"], spec.get("ipc")]
    return json.dumps(named, sort_keys=True)


def _expected(history: _History, trials: Trials, stage: str, what: str, jobs: list[Job]) -> Expected:
    """Return what jobs of one stage and owner take: by records of the same options, by a trial, else by other records."""
    images = [history.amounts.images(stage, job.spec) for job in jobs]
    if stage == "prior" and not sum(images):
        return Expected(stage, what, len(jobs), 0.0, 0, "pretrained weights: found or downloaded, not trained")
    found = [history.rate(stage, what, job) for job in jobs]
    known = [rate for rate in found if rate is not None]
    seconds: float | None = None
    disk: int | None = None
    how = ""
    if known:
        seconds = sum(rate.device_s * num for rate, num in zip(known, images, strict=True))
        disk = round(sum(rate.num_bytes * num for rate, num in zip(known, images, strict=True)))
        how = known[0].how
    elif stage == "synthesize":
        pool = history.resolved.plan_input.pool_sizes()[jobs[0].spec["method"]]
        disk = round(pool * sum(images) * history.resolved.suite.image_bytes)
    if not known or not all(rate.same for rate in known):
        try:
            tried, basis = _tried(history, trials, stage, jobs)
        except Exception as error:  # no driver, no memory, a loss that is NaN: the run itself will say more
            tried, basis = None, f"the trial failed: {type(error).__name__}: {shorten(str(error), 80)}"
        if tried is not None or not known:
            seconds, how = tried, basis
            disk = 0 if stage in ("train", "teacher") and tried is not None and not known else disk
    return Expected(stage, what, len(jobs), seconds, disk, how)


def _tried(history: _History, trials: Trials, stage: str, jobs: list[Job]) -> tuple[float | None, str]:
    """Return device-seconds by short trials, and how; None where nothing can be tried."""
    if history.device_is_elsewhere:
        return None, "no such device on this machine for a trial"
    if stage in ("train", "teacher"):
        return sum(trials.student_s(job) for job in jobs), "short trial on random images"
    if stage == "prior":
        return sum(trials.prior_s(job) for job in jobs), "short trial of a few steps on random images"
    parts = [trials.method_s(job) for job in jobs] if stage in ("fit", "synthesize") else []
    told = [seconds for seconds in parts if seconds is not None]
    if not parts or len(told) < len(parts):
        return None, "no earlier run on this device"
    return sum(told), "short trial on random images or latents"
