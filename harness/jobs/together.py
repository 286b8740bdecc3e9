"""Train jobs of one kind that a worker gets at once, as one training (harness/training/together.py), on a GPU.

Their results wait in this process for their jobs, which then run as always and keep them, each under its own key. Whatever
goes wrong here leaves no result, and the job trains alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack

import torch

from harness.core.progress import ProgressCallback
from harness.jobs import numerics, threads
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext
from harness.jobs.job import KINDS, Job
from harness.jobs.train import TRAINED, Trained, read_training
from harness.training import together
from harness.training.trainer import TrainingInput

_log = logging.getLogger(__name__)


def train_jobs(jobs: Sequence[Job], context: JobContext, report: ProgressCallback) -> None:
    """Train what can be trained as one, where that is faster, and leave the results for `run_train`."""
    try:
        _train(jobs, context, report)
    except Exception as error:  # each trains alone, and says what is wrong with it
        _log.warning("%d trainings as one failed, so each is trained alone: %s", len(jobs), error)


def _train(jobs: Sequence[Job], context: JobContext, report: ProgressCallback) -> None:
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
    for places in together.alike(given):
        _train_alike([wanted[place].key for place in places], [given[place] for place in places], report)


def _train_alike(keys: Sequence[str], given: Sequence[TrainingInput], report: ProgressCallback) -> None:
    """Train and keep; where memory runs out, half of them at a time."""
    if len(keys) < 2:
        return
    with ExitStack() as after:
        try:
            if not together.faster_together(given):
                return
            began = time.perf_counter()
            results = together.train_together(given, report)
            share = (time.perf_counter() - began) / len(keys)
            TRAINED.update({k: Trained(r, share, len(keys)) for k, r in zip(keys, results, strict=True)})
        except torch.OutOfMemoryError:
            half = len(keys) // 2  # outside of the handler, which keeps the tensors of the failed try alive
            after.callback(_train_alike, keys[half:], given[half:], report)
            after.callback(_train_alike, keys[:half], given[:half], report)
