"""Train jobs of one kind that a worker gets at once, as one training (harness/training/together.py), on a GPU.

Their results wait in this process for their jobs, which then run as always and keep them, each under its own key. Whatever
goes wrong here leaves no result, and the job trains alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack

from harness.core.config.protocol import Protocol
from harness.core.io import canonical_json
from harness.core.progress import ProgressCallback
from harness.jobs.context import JobContext
from harness.jobs.job import KINDS, Job
from harness.students import spec
from harness.training.protocol_rules import why_alone

MOST = 16
"""Trainings as one at most: more gain little, and their memory adds up."""

FAMILIES = ("convnet", "resnet", "resnet_ap")
"""Students whose layers are known to do the same stacked; a registered one may do anything."""

_log = logging.getLogger(__name__)


def kind_of(job: Job) -> str:
    """Return a text that is equal for jobs which can be trained as one; empty for one that trains alone."""
    if job.kind != "train" or job.spec["ipc"] is None or "redraw" in job.spec:
        return ""
    if spec.parse(job.spec["student"]).family not in FAMILIES or why_alone(
        Protocol.model_validate(job.spec["protocol"])
    ):
        return ""
    about = {name: job.spec[name] for name in ("student", "side", "ipc", "protocol")}
    return canonical_json(about | {"teacher": job.deps.get("teacher"), "cpus": job.resources.cpus})


def train_jobs(jobs: Sequence[Job], context: JobContext, report: ProgressCallback) -> None:
    """Train what can be trained as one, where that is faster, and leave the results for `run_train`."""
    try:
        _train(jobs, context, report)
    except Exception as error:  # each trains alone, and says what is wrong with it
        _log.warning("%d trainings as one failed, so each is trained alone: %s", len(jobs), error)


def _train(jobs: Sequence[Job], context: JobContext, report: ProgressCallback) -> None:
    import torch

    from harness.jobs import numerics, threads
    from harness.jobs.clock import Clock
    from harness.jobs.train import read_training
    from harness.training.together import alike

    threads.keep_pages()
    numerics.set_defaults()
    threads.set_threads(jobs[0].resources.cpus)
    store, clock = context.store, Clock(torch.device(context.device), 1)
    wanted = [job for job in jobs if context.fresh or not store.has(job.kind, job.key, anew=True)]
    for job in wanted:
        for role, keys in job.deps.items():
            for key in keys:
                store.fetch(role if role in KINDS else "prior", key)
    given = [read_training(job, context, report, clock) for job in wanted]
    for places in alike(given):
        _train_alike([wanted[place].key for place in places], [given[place] for place in places], report)


def _train_alike(keys: Sequence[str], given: Sequence, report: ProgressCallback) -> None:
    """Train and keep; where memory runs out, half of them at a time."""
    import torch

    from harness.jobs.train import TRAINED, Trained
    from harness.training.together import faster_together, train_together

    if len(keys) < 2:
        return
    with ExitStack() as after:
        try:
            if not faster_together(given):
                return
            began = time.perf_counter()
            results = train_together(given, report)
            share = (time.perf_counter() - began) / len(keys)
            TRAINED.update({k: Trained(r, share, len(keys)) for k, r in zip(keys, results, strict=True)})
        except torch.OutOfMemoryError:
            half = len(keys) // 2  # outside of the handler, which keeps the tensors of the failed try alive
            after.callback(_train_alike, keys[half:], given[half:], report)
            after.callback(_train_alike, keys[:half], given[:half], report)
