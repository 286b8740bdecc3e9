"""Short trials on this device: what a student's training and a generator's denoiser take an image.

In: a request and a job. Out: device-seconds an image. Random images and latents: time does not depend on what they show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.core.config.protocol import Protocol
from harness.core.hub import on_disk
from harness.core.integrity import damage
from harness.diffusion.weights import PARTS
from harness.jobs import threads as job_threads
from harness.jobs.job import Job
from harness.jobs.task_resources import load_generator
from harness.students.build import build_student
from harness.training.recipe import make_recipe
from harness.training.soft_labels import SoftLabels, StoredLabels
from harness.training.trainer import TrainingRun

if TYPE_CHECKING:
    import torch

    from harness.planning.resolve import Resolved


CALIBRATION_S = 0.5
"""A trial goes on for so long, seconds; one epoch of a few batches, or one pass, at least."""


def measure_student(resolved: Resolved, job: Job) -> float:
    """Return device-seconds an image of training a student, from one epoch of a few batches after a first one."""
    import torch

    device = torch.device(resolved.context.device)
    held = (job.resources.gpus or 1) if device.type == "cuda" else job.resources.cpus
    classes, side = len(resolved.context.classes), job.spec["side"]
    # Whitening is one product of matrices a batch, small beside a student; it needs the real images.
    protocol = Protocol.model_validate(job.spec["protocol"]).model_copy(update={"whitening": "none"})
    student = job.spec["student"] if job.kind == "train" else job.spec["teacher"]["student"]
    threads = torch.get_num_threads()
    job_threads.set_threads(job.resources.cpus)
    with torch.random.fork_rng(devices=[]):
        recipe = make_recipe(protocol, job.spec.get("ipc") or 50, classes, student)
        num = recipe.batch_size * (4 if device.type == "cuda" else 1)
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
        run.train_epoch(1)
        start, epochs = time.perf_counter(), 0
        while epochs == 0 or (time.perf_counter() - start < CALIBRATION_S and epochs < 50):
            run.train_epoch(2 + epochs)  # reads the loss, so the device has finished
            epochs += 1
        seconds = time.perf_counter() - start
    torch.set_num_threads(threads)
    return held * seconds / (num * epochs)


def measure_denoiser(resolved: Resolved, kind: str, prior: Job) -> tuple[float, float] | None:
    """Return device-seconds an image of (forward and backward, forward) through a generator's denoiser; None: no weights here.

    Paper: the steps of minimax add their criteria and the optimiser's step. Here: neither, because both are small
    against the denoiser's own work at the sizes where an estimate matters.
    """
    import torch

    spec, store = resolved.context.generators[kind], resolved.context.store
    folder = store.path("prior", prior.key)
    places = [getattr(spec, part) for part in PARTS]
    trained = (folder / "pipeline").is_dir() and not damage(folder)
    if not trained and not (spec.weights and all(on_disk(p) for p in places if p)):
        return None
    device = torch.device(resolved.context.device)
    generator = load_generator(resolved.context, kind, folder)
    batch = 8 if device.type == "cuda" else 2
    latents = torch.randn(batch, *generator.latent_shape, device=device, requires_grad=True)

    def learn() -> None:
        generator.denoise_once(latents).float().sum().backward()

    def denoise() -> None:
        with torch.no_grad():
            generator.denoise_once(latents)

    return _seconds(learn, device) / batch, _seconds(denoise, device) / batch


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of one call, after a first one that is not counted."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    wait()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < CALIBRATION_S:
        work()
        wait()
        calls += 1
    return (time.perf_counter() - start) / calls
