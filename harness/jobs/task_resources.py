"""What a method's task asks for: the method itself, generators, features and teachers from a job's dependencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.plugin.task import Task
from harness.core.progress import ProgressCallback
from harness.data.real import RealImages
from harness.diffusion.generator_kinds import generator_kinds
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, open_split
from harness.jobs.job import Job
from harness.jobs.random_state import RandomWatch
from harness.jobs.whitening import real_whitening
from harness.students.features import FeatureExtractor
from harness.training.protocol_rules import check_whitening
from harness.training.soft_labels import SoftLabels
from harness.training.teacher_folder import MODEL
from harness.training.teacher_weights import in_suite_order, read_teacher
from harness.training.whitening import Whitening


def make_task(
    job: Job, context: JobContext, classes: tuple[ClassInfo, ...], report: ProgressCallback, services: JobTaskResources
) -> Task:
    """Return what the method is given: the training images of these classes, never the test split."""
    import torch

    split = open_split(context, "train").restrict([c.id for c in classes])
    device = torch.device(context.device)
    scratch = context.store.scratch(job.key)
    if job.kind != "fit":  # which is of one class group; other jobs go through all
        scratch /= f"group-{classes[0].label}"
    return Task(
        classes=classes,
        real=RealImages(split, size=job.spec["image_size"], crop="adm", device=device),
        image_size=job.spec["image_size"],
        device=device,
        seed=job.spec["seed"],
        scope=(job.kind, job.spec["method"], classes[0].id),
        services=services,
        channels=context.channels,
        checkpoint=FolderCheckpoint.of(context.store, scratch, services.clock),
        report=report,
        per_image=services.clock.per_image,
    )


class JobTaskResources:
    """Implements `TaskResources` (harness/core/plugin/resources.py) for one job, from the job's dependencies."""

    def __init__(self, job: Job, context: JobContext, clock: Clock, watch: RandomWatch | None = None) -> None:
        self.job = job
        self.context = context
        self.clock = clock
        self.watch = watch or RandomWatch()
        self.store = context.store

    def _dependency(self, role: str, what: str) -> str:
        keys = self.job.deps.get(role)
        if not keys:
            raise UserError(
                f"method {self.job.spec['method']!r} used {what} without declaring it; add it to its `needs`"
            )
        return keys[0]

    def generator(self, kind: str) -> Any:
        """Load the suite's generator of that kind; loading is not counted as distillation time."""
        key = self._dependency(kind, f"a {kind} generator (needs = {{'{kind}_generator'}})")
        with self.clock.loading(), self.watch.allowed():
            return load_generator(self.context, kind, self.store.path("prior", key))

    def features(self, name: str) -> FeatureExtractor:
        """Load the suite's teacher as a feature extractor, or a timm model."""
        with self.clock.loading(), self.watch.allowed():
            if name.startswith("timm:"):
                return FeatureExtractor.from_timm(name.removeprefix("timm:"), self.context.device)
            if name != "teacher":
                raise UserError(f"unknown features {name!r}; expected 'teacher' or 'timm:NAME'")
            key = self._dependency("teacher", "features (needs = {'features'})")
            return load_teacher_features(self.store.path("teacher", key), self.context)

    def whitening(self, side: int) -> Whitening:
        """Fit the ZCA whitening of all real training images, or return the one that was fitted in this process."""
        check_whitening(self.context.channels * side**2, f"images of {side} pixels")
        with self.clock.loading():
            return real_whitening(self.context, side)

    def teacher(self) -> SoftLabels:
        """Load the suite's teacher, as it labels batches."""
        key = self._dependency("teacher", "the teacher (needs = {'teacher'})")
        with self.clock.loading(), self.watch.allowed():
            return load_teacher(self.store.path("teacher", key), self.context)[0]


def load_generator(context: JobContext, kind: str, prior: Path, report: ProgressCallback | None = None) -> Any:
    """Open a generator: the folder that the prior job trained, or the weights that it found.

    `report` is told the progress of a download; None: the hub client draws its own bars.
    """
    spec, trained = context.generators[kind], prior / "pipeline"
    place = str(trained) if trained.is_dir() else str(spec.weights)
    labels = context.generator_labels.get(kind, ())
    return generator_kinds.get(kind).load(
        place, spec, context.classes, labels, context.device, report, context.channels
    )


def load_teacher(folder: Path, context: JobContext) -> tuple[SoftLabels, int]:
    """Open the artefact of a teacher job, its outputs in the suite's order; return it and the side of its images."""
    model, about = read_teacher(folder)
    ours = in_suite_order(model, about.classes, context.classes).requires_grad_(False).to(context.device)
    return SoftLabels(ours, about.protocol, (folder / MODEL).stat().st_size, about.side), about.side


def load_teacher_features(folder: Path, context: JobContext) -> FeatureExtractor:
    """Open the artefact of a teacher job as a feature extractor."""
    labels, side = load_teacher(folder, context)
    return FeatureExtractor.from_student(labels.teacher, labels.protocol, side, context.device)
