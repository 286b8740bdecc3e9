"""What a request will cost on this device: device-hours and disk space, from earlier records or a short calibration.

In: a plan, the store's manifests. Out: one line per stage and method, each with what it is based on. Nothing is written.
Work is reckoned in images: a rate in device-seconds an image, times the images of the jobs to come.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.config.protocol import Protocol
from harness.core.environment import device_name, has_cuda
from harness.core.plugin.discovery import load_method
from harness.core.store import Store
from harness.core.text import shorten, times
from harness.jobs.context import open_split
from harness.jobs.job import KINDS, Job
from harness.planning.plan import Plan
from harness.training.recipe import make_recipe

if TYPE_CHECKING:
    from harness.planning.resolve import Resolved


FORWARD_SHARE = 1 / 3
"""Cost of an image that is only scored, as a share of one that is trained on (one pass forward, two backward)."""


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
    denoiser of a method that it has never run on random latents. A method that tells nothing of its work, or whose
    generator is not here, cannot be foretold and says so.
    """
    store = resolved.context.store
    todo: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in plan.jobs.values():
        if resolved.request.fresh or not store.has(job.kind, job.key):
            todo[job.kind, _what(job.spec, job.kind)].append(job)
    history = _History(store, resolved, plan)
    return [
        _expected(history, *group, jobs) for group, jobs in sorted(todo.items(), key=lambda g: KINDS.index(g[0][0]))
    ]


def _what(spec: dict[str, Any], kind: str) -> str:
    """Return whose work a job is, at which size: jobs of one kind, owner and size cost about the same an image."""
    if kind in ("train", "teacher"):
        owner = spec["student"] if kind == "train" else spec["teacher"]["student"]
    else:
        owner = spec["generator"] if kind == "prior" else spec["method"]
        owner += f" over {spec['inner']['method']}" if "inner" in spec else ""
    return f"{owner}, {spec.get('image_size') or spec['side']} px"


class _History:
    """Device-seconds and bytes an image, as this device needed them before."""

    def __init__(self, store: Store, resolved: Resolved, plan: Plan) -> None:
        self.resolved, self.plan = resolved, plan
        self._denoisers: dict[str, tuple[float, float] | None] = {}
        self.device = device_name(resolved.context.device)
        self.device_is_elsewhere = resolved.context.device != "cpu" and not has_cuda()
        self._rates: dict[tuple[str, str], list[tuple[float, float, dict[str, Any]]]] = defaultdict(list)
        for manifest in store.local_manifests(KINDS):
            if not {"measured", "spec", "result"} <= set(manifest):
                continue
            if manifest["measured"]["device_name"] != self.device:
                continue
            images = self.images(manifest["kind"], manifest["spec"], manifest["result"].get("num_real"))
            size = sum(info["size"] for info in manifest["files"].values())
            if images:
                entry = (manifest["measured"]["device_s"] / images, size / images, manifest["spec"])
                self._rates[manifest["kind"], _what(manifest["spec"], manifest["kind"])].append(entry)

    def rate(self, kind: str, what: str, job: Job) -> tuple[float, float, str] | None:
        """Return (device-seconds, bytes) an image and where they come from: records of the same options if there are any."""
        found = self._rates.get((kind, what), [])
        same = [entry for entry in found if _options(entry[2], kind) == _options(job.spec, kind)]
        used = same or found
        if not used:
            return None
        seconds, size = (sum(values) / len(used) for values in list(zip(*used, strict=True))[:2])
        how = times(len(used), "earlier job")
        return seconds, size, how if same else f"{how} with other options"

    def images(self, kind: str, spec: dict[str, Any], num_real: int | None = None) -> float:
        """Return the work of a job in images: seen by a student, drawn, or learned from; 1 for a prior."""
        classes, real = len(self.resolved.context.classes), sum(self._num_real().values())
        if kind == "prior":
            return 1 if spec["train"] else 0
        if kind == "teacher":
            return (spec["teacher"]["epochs"] or FORWARD_SHARE) * real
        if kind == "fit":
            return num_real or sum(self._num_real()[c] for c in spec["group"] if c in self._num_real())
        if kind == "synthesize":
            return spec["ipc"] * classes
        if kind == "label":
            return FORWARD_SHARE * spec["ipc"] * classes
        return self.trained_images(spec)

    def trained_images(self, spec: dict[str, Any]) -> float:
        """Return the images that a training sees, those of its evaluations at their lower cost."""
        classes = len(self.resolved.context.classes)
        images = spec["ipc"] * classes if spec["ipc"] else sum(self._num_real().values())
        recipe = make_recipe(Protocol.model_validate(spec["protocol"]), images / classes, classes)
        scored = len(recipe.eval_epochs) * self._num_test()
        return recipe.epochs * images + FORWARD_SHARE * scored

    def denoiser_s(self, jobs: list[Job]) -> float | None:
        """Return the device-seconds of the denoiser in jobs of one method; None where the method or the weights do not tell."""
        method, total = load_method(jobs[0].spec), 0.0
        for job in jobs:
            real = self.images("fit", job.spec) if job.kind == "fit" else 0
            drawn = self.images("synthesize", job.spec) if job.kind == "synthesize" else 0
            work = method.work(round(real), round(drawn)).get(job.kind)
            rates = self._denoiser(work[0], job) if work else None
            if work is None or rates is None:
                return None
            held = (job.resources.gpus or 1) if self.resolved.context.device != "cpu" else job.resources.cpus
            total += held * (work[1] * rates[0] + work[2] * rates[1])
        return total

    def _denoiser(self, kind: str, job: Job) -> tuple[float, float] | None:
        """Try a generator once; it is that of the job's dependency."""
        if kind not in self._denoisers:
            from harness.planning.calibrate import measure_denoiser  # it imports torch

            self._denoisers[kind] = measure_denoiser(self.resolved, kind, self.plan.jobs[job.deps[kind][0]])
        return self._denoisers[kind]

    def _num_real(self) -> dict[str, int]:

        return open_split(self.resolved.context, "train").num_per_class

    def _num_test(self) -> int:

        return sum(open_split(self.resolved.context, "test").num_per_class.values())


def _options(spec: dict[str, Any], kind: str) -> str:
    """Return what of a specification may change the cost of an image, comparable between runs."""
    if kind == "train":
        protocol = spec["protocol"]
        return json.dumps([protocol[name] for name in ("precision", "labels", "batch_size")])
    if kind in ("prior", "teacher"):
        return json.dumps(spec["train" if kind == "prior" else "teacher"], sort_keys=True)
    inner = spec.get("inner", {})  # the method that it wraps; and a coreset looks at all real images
    return json.dumps([spec.get("config"), inner.get("method"), inner.get("config"), spec["data"]], sort_keys=True)


def _expected(history: _History, stage: str, what: str, jobs: list[Job]) -> Expected:
    images = sum(history.images(stage, job.spec) for job in jobs)
    known = history.rate(stage, what, jobs[0])
    if known is not None:
        return Expected(stage, what, len(jobs), known[0] * images, round(known[1] * images), known[2])
    if stage == "prior" and images == 0:
        return Expected(stage, what, len(jobs), 0.0, 0, "given weights: found or downloaded, not trained")
    disk = None
    if stage == "synthesize":
        pool = history.resolved.plan_input.pool_sizes()[jobs[0].spec["method"]]
        disk = round(pool * images * history.resolved.suite.image_bytes)
    try:
        seconds, how = _tried(history, stage, jobs, images)
    except Exception as error:  # no driver, no memory, a loss that is NaN: the run itself will say more
        seconds, how = None, f"the trial failed: {type(error).__name__}: {shorten(str(error), 80)}"
    tried = stage in ("train", "teacher") and seconds is not None
    return Expected(stage, what, len(jobs), seconds, 0 if tried else disk, how)


def _tried(history: _History, stage: str, jobs: list[Job], images: float) -> tuple[float | None, str]:
    """Return device-seconds by a short trial, and how; None where nothing can be tried."""
    if history.device_is_elsewhere:
        return None, "no such device here to try it on"
    if stage in ("train", "teacher"):
        from harness.planning.calibrate import measure_student  # it imports torch

        return measure_student(history.resolved, jobs[0]) * images, "tried on random images"
    seconds = history.denoiser_s(jobs) if stage in ("fit", "synthesize") else None
    if seconds is None:
        return None, "never run on this device with this store"
    return seconds, "its denoiser, tried on random latents"
