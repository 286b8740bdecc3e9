"""What jobs share: the context of a run, real images kept in memory, and what a task may ask for.

Paths, keys and weights end here: a method sees images, classes and models only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config import Teacher
from harness.errors import UserError
from harness.generator_config import GeneratorSpec
from harness.measure import Clock
from harness.method import ClassInfo
from harness.plan import Job
from harness.store import Store

if TYPE_CHECKING:
    import torch

    from harness.data.split import Crop, Split
    from harness.students.features import FeatureExtractor
    from harness.training.soft_labels import SoftLabels

Report = Callable[[str, int, int, str], None]
"""Progress: stage, done, total, unit."""


@dataclass(frozen=True)
class JobContext:
    """What all jobs of a run share and no key contains: where things are. Small, so that it travels to any worker.

    Attributes:
        store: folder or URI.
        source: the suite's image source.
        data_root: folder under which image folders lie.
        data_fingerprint: what the plan saw there; images kept in memory are kept for this content only.
        classes: the suite's classes in label order.
        generators: by kind, with `weights` resolved to a folder or hub id.
        teacher: the suite's, with `weights` resolved to a file, a folder or a timm model.
        teacher_labels: class ids in the label order of its weights; empty where it is trained.
        device: "cpu" or "cuda".
        plugins: (file name, source text) of --plugin files.
        fresh: run jobs again although the store has their results.
    """

    store: str
    source: dict[str, Any]
    data_root: str
    data_fingerprint: str
    classes: tuple[ClassInfo, ...]
    generators: dict[str, GeneratorSpec] = field(default_factory=dict)
    generator_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    teacher: Teacher | None = None
    teacher_labels: tuple[str, ...] = ()
    device: str = "cpu"
    plugins: tuple[tuple[str, str], ...] = ()
    fresh: bool = False


@dataclass(frozen=True)
class _Data:
    """The parts of a context that name real images; hashable, so that what is loaded can be kept."""

    source: str
    root: str
    fingerprint: str
    class_ids: tuple[str, ...]


def _data(context: JobContext) -> _Data:
    source = json.dumps(context.source, sort_keys=True)
    return _Data(source, context.data_root, context.data_fingerprint, tuple(c.id for c in context.classes))


def open_split(context: JobContext, name: str) -> Split:
    """Return a split of the suite's real images: "train" or "test"."""
    return _open_split(_data(context), name)


@lru_cache(maxsize=4)
def _open_split(data: _Data, name: str) -> Split:
    from harness.data.sources import open_source

    return open_source(json.loads(data.source), data.class_ids, Path(data.root)).split(name)


def real_tensors(context: JobContext, name: str, side: int, crop: Crop = "resize") -> tuple[torch.Tensor, torch.Tensor]:
    """Return (images [N, 3, side, side] uint8, labels [N]) of a split as students see it, on the device.

    The last two are kept: dozens of students in one worker share a test split.
    """
    return _real_tensors(_data(context), name, side, crop, context.device)


@lru_cache(maxsize=2)
def _real_tensors(data: _Data, name: str, side: int, crop: Crop, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = _open_split(data, name).tensors(size=side, crop=crop)
    return images.to(device), labels.to(device)


class JobServices:
    """Implements `harness.method.Services` for one job: generators and features from the job's dependencies."""

    def __init__(self, job: Job, context: JobContext, clock: Clock) -> None:
        self.job = job
        self.context = context
        self.clock = clock
        self.store = Store(context.store)

    def _dependency(self, role: str, what: str) -> str:
        keys = self.job.deps.get(role)
        if not keys:
            raise UserError(
                f"method {self.job.spec['method']!r} asked for {what} without declaring it; add it to its `needs`"
            )
        return keys[0]

    def generator(self, kind: str) -> Any:
        """Load the suite's generator of that kind; loading is not counted as distillation time."""
        key = self._dependency(kind, f"a {kind} generator (needs = {{'{kind}_generator'}})")
        with self.clock.loading():
            return load_generator(self.context, kind, self.store.path("prior", key))

    def features(self, name: str) -> FeatureExtractor:
        """Load the suite's teacher as a feature extractor, or a timm model."""
        from harness.students.features import FeatureExtractor

        with self.clock.loading():
            if name.startswith("timm:"):
                return FeatureExtractor.from_timm(name.removeprefix("timm:"), self.context.device)
            if name != "teacher":
                raise UserError(f"unknown features {name!r}; expected 'teacher' or 'timm:NAME'")
            key = self._dependency("teacher", "features (needs = {'features'})")
            return load_teacher_features(self.store.path("teacher", key), self.context)

    def teacher(self) -> SoftLabels:
        """Load the suite's teacher, as it labels batches."""
        key = self._dependency("teacher", "the teacher (needs = {'teacher'})")
        with self.clock.loading():
            return load_teacher(self.store.path("teacher", key), self.context)[0]


def load_generator(context: JobContext, kind: str, prior: Path, report: Report | None = None) -> Any:
    """Open a generator: the folder that the prior job trained, or the weights that it found.

    `report` is told the progress of a download; None: the hub client draws its own bars.
    """
    from harness.diffusion.kinds import GENERATOR_KINDS

    spec, trained = context.generators[kind], prior / "pipeline"
    place = str(trained) if trained.is_dir() else str(spec.weights)
    labels = context.generator_labels.get(kind, ())
    return GENERATOR_KINDS[kind].load(place, spec, context.classes, labels, context.device, report)


def load_teacher(folder: Path, context: JobContext) -> tuple[SoftLabels, int]:
    """Open the artefact of a teacher job, its outputs in the suite's order; return it and the side of its images."""
    from harness.training.soft_labels import SoftLabels
    from harness.training.teacher_weights import MODEL, in_suite_order, read_teacher

    model, about = read_teacher(folder)
    ours = in_suite_order(model, about.classes, context.classes).requires_grad_(False).to(context.device)
    return SoftLabels(ours, about.protocol, (folder / MODEL).stat().st_size, about.side), about.side


def load_teacher_features(folder: Path, context: JobContext) -> FeatureExtractor:
    """Open the artefact of a teacher job as a feature extractor."""
    from harness.students.features import FeatureExtractor

    labels, side = load_teacher(folder, context)
    return FeatureExtractor.from_student(labels.teacher, labels.protocol, side, context.device)
