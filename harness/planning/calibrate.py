"""Short trials on this device: what a student's training, a network's passes and a generator's denoiser take an image.

In: a request and a job. Out: device-seconds an image. Random images and latents: time does not depend on what they show.

A trial runs as a job does: with its threads, its numerics, and freed pages kept, which alone halves the time of a step
on a CPU. There it counts CPU time, so that other programs on the machine do not lengthen the estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.config.protocol import Protocol
from harness.core.hub import on_disk
from harness.core.integrity import damage
from harness.data.rows import as_rows
from harness.diffusion.weights import PARTS
from harness.jobs import numerics
from harness.jobs import threads as job_threads
from harness.jobs.job import Job
from harness.jobs.task_resources import load_generator
from harness.students.build import build_student
from harness.training.evaluation import rank
from harness.training.recipe import Recipe
from harness.training.soft_labels import SoftLabels, StoredLabels
from harness.training.trainer import TrainingRun

if TYPE_CHECKING:
    import torch

    from harness.planning.resolve import Resolved


CALIBRATION_S = 0.5
"""A trial goes on for so long, seconds; one epoch of a few batches, or one pass, at least."""

MOST_EPOCHS = 50


@dataclass(frozen=True)
class Rates:
    """Device-seconds an image.

    Attributes:
        learn_s: of a pass forward and backward, with the step of the optimiser.
        pass_s: of a pass forward without gradients.
    """

    learn_s: float
    pass_s: float


def measure_student(resolved: Resolved, job: Job, recipe: Recipe, num_images: int) -> Rates:
    """Return what training a student, and scoring it, takes an image.

    Args:
        job: "train" or "teacher".
        recipe: what the training follows; its batches are those of the trial.
        num_images: of an epoch; fewer than a batch make smaller batches, which cost more an image.
    """
    import torch

    device = torch.device(resolved.context.device)
    classes, side = len(resolved.context.classes), job.spec["side"]
    # Whitening is one product of matrices a batch, small beside a student; it needs the real images.
    protocol = Protocol.model_validate(job.spec["protocol"]).model_copy(update={"whitening": "none"})
    student = job.spec["student"] if job.kind == "train" else job.spec["teacher"]["student"]
    with as_a_job(job):
        num = min(num_images, recipe.batch_size) * (4 if device.type == "cuda" else 1)
        images = torch.randint(0, 256, (num, protocol.channels, side, side), dtype=torch.uint8)
        labels = torch.arange(num) % classes
        teacher: SoftLabels | StoredLabels | None = None
        if protocol.labels == "stored":
            teacher = StoredLabels(torch.zeros(num, classes))
        elif protocol.labels == "soft" and resolved.suite.teacher and resolved.suite.teacher.student:
            network = build_student(resolved.suite.teacher.student, classes, side, protocol.channels).eval().to(device)
            teacher = SoftLabels(network, protocol, 0)
        model = build_student(student, classes, side, protocol.channels).to(device)
        run = TrainingRun(model, protocol, recipe, images, labels, 0, device, soft_labels=teacher)
        epoch = iter(range(1, MOST_EPOCHS + 2))
        learn_s = _seconds(lambda: run.train_epoch(next(epoch)), job, device)
        scored = as_rows(images.repeat(-(-SCORED // num), 1, 1, 1), device)
        pass_s = _seconds(lambda: rank(model, scored, protocol, classes), job, device)
    return Rates(learn_s / num, pass_s / len(scored))


def measure_network(resolved: Resolved, student: str, side: int, job: Job) -> Rates:
    """Return what an image costs that passes a student's network, forward and backward, or forward only.

    Args:
        student: name of the network.
        side: of the images, pixels.
        job: that the network is for.
    """
    import torch

    context, device = resolved.context, torch.device(resolved.context.device)
    with as_a_job(job):
        model = build_student(student, len(context.classes), side, context.channels).eval().to(device)
        images = torch.randn(BATCH, context.channels, side, side, device=device)

        def learn() -> None:
            model(images).square().sum().backward()

        def see() -> None:
            with torch.no_grad():
                model(images)

        return Rates(_seconds(learn, job, device) / BATCH, _seconds(see, job, device) / BATCH)


BATCH = 64
"""Images that pass a network at once in a trial."""


SCORED = 256
"""Images that a trial scores at once, at least."""


@contextmanager
def as_a_job(job: Job) -> Iterator[None]:
    """Set threads, numerics and memory as the process of a job does; torch's random state and threads are put back."""
    import torch

    threads = torch.get_num_threads()
    job_threads.keep_pages()
    numerics.set_defaults()
    job_threads.set_threads(job.resources.cpus)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def measure_denoiser(resolved: Resolved, kind: str, prior: Job, job: Job) -> Rates | None:
    """Return what a generator's denoiser takes an image; None: there are no weights here.

    Paper: the steps of minimax add their criteria and the optimiser's step. Here: neither, because both are small
    against the denoiser's own work at the sizes where an estimate matters.

    Args:
        prior: the job that obtains the generator.
        job: the one that uses it.
    """
    import torch

    spec, store = resolved.context.generators[kind], resolved.context.store
    folder = store.path("prior", prior.key)
    places = [getattr(spec, part) for part in PARTS]
    trained = (folder / "pipeline").is_dir() and not damage(folder)
    if not trained and not (spec.weights and all(on_disk(p) for p in places if p)):
        return None
    device = torch.device(resolved.context.device)
    with as_a_job(job):
        return measure_loaded(load_generator(resolved.context, kind, folder), job, device)


def measure_loaded(generator: Any, job: Job, device: torch.device) -> Rates:
    """Return what the denoiser of an open generator takes an image."""
    import torch

    batch = 8 if device.type == "cuda" else 2
    latents = torch.randn(batch, *generator.latent_shape, device=device, requires_grad=True)

    def learn() -> None:
        generator.denoise_once(latents).float().sum().backward()

    def denoise() -> None:
        with torch.no_grad():
            generator.denoise_once(latents)

    return Rates(_seconds(learn, job, device) / batch, _seconds(denoise, job, device) / batch)


def _seconds(work: Callable[[], object], job: Job, device: torch.device) -> float:
    """Return the device-seconds of one call, after a first one that is not counted."""
    now = device_clock(job, device)
    work()
    start, calls = now(), 0
    while calls == 0 or (now() - start < CALIBRATION_S and calls < MOST_EPOCHS):
        work()
        calls += 1
    return (now() - start) / calls


def device_clock(job: Job, device: torch.device) -> Callable[[], float]:
    """Return a clock of device-seconds: CPU time of all threads, or seconds of the GPUs that the job holds."""
    import torch

    def now() -> float:
        if device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(device)
        return (job.resources.gpus or 1) * time.perf_counter()

    return now
