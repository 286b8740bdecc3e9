"""A short trial of a generator that the run itself will train: a few steps of each part, on random images.

In: a request and its prior job. Out: device-seconds of a step of each part, and of the denoiser that was made. It is trained
by the very code of the job, in a temporary folder, so nothing is left.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.core.progress import no_curve
from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
from harness.jobs.job import Job
from harness.jobs.task_resources import load_generator
from harness.planning.calibrate import Rates, as_a_job, device_clock, measure_loaded

if TYPE_CHECKING:
    from harness.planning.resolve import Resolved

STEPS, BATCH = 4, 32
"""Steps of each part, of which the first is not counted; images of a batch at most."""


@dataclass(frozen=True)
class PriorRates:
    """What a generator takes.

    Attributes:
        step_s: device-seconds of a step of each part ("vae", "dit", "unet"), at the batch of the suite.
        encode_s: device-seconds to encode a real image, twice: for the latents and for their standard deviation.
        denoiser: of the generator's denoiser.
    """

    step_s: dict[str, float]
    encode_s: float
    denoiser: Rates


def try_prior(resolved: Resolved, job: Job) -> PriorRates:
    """Train a generator for a few steps and try its denoiser.

    The training counts its steps as `vae_steps` and the like, with `vae_batch` images each, and reports them as "vae".
    """
    context, kind, side = resolved.context, job.spec["generator"], job.spec["image_size"]
    spec, device = context.generators[kind], torch.device(context.device)
    assert spec.train is not None
    given = spec.train.model_dump()
    parts = [name.removesuffix("_steps") for name in given if name.endswith("_steps")]
    batch = {part: given[f"{part}_batch"] for part in parts}
    fewer = {f"{part}_steps": STEPS for part in parts} | {f"{p}_batch": min(n, BATCH) for p, n in batch.items()}
    now = device_clock(job, device)
    times: dict[str, list[float]] = {part: [] for part in parts}

    def report(part: str, done: int, total: int, unit: str) -> None:
        if part in times:
            times[part].append(now())

    with as_a_job(job), tempfile.TemporaryDirectory() as folder:
        num = max(BATCH, len(context.classes))
        generator_kinds.get(kind).train(
            PriorInputs(
                torch.randint(0, 256, (num, context.channels, side, side), dtype=torch.uint8),
                torch.arange(num) % len(context.classes),
                spec=spec.model_copy(update={"train": spec.train.model_copy(update=fewer)}),
                classes=context.classes,
                out_folder=Path(folder) / "pipeline",
                device=context.device,
                report=report,
                log=no_curve,
            )
        )
        denoiser = measure_loaded(load_generator(context, kind, Path(folder)), job, device)
    step_s = {p: (t[-1] - t[0]) / (len(t) - 1) * max(1, batch[p] / BATCH) for p, t in times.items()}
    return PriorRates(step_s, step_s["vae"] / batch["vae"] / 3, denoiser)  # a third forward, half of that the encoder
