"""Everything that a user may set, as frozen pydantic models that refuse unknown keys and explain their fields.

In: YAML, flags or keyword arguments. Out: checked values that the rest trusts. No torch, no files but the suite's own.
An option is declared here once (or in the inner `Config` of the plugin that it belongs to); flags, help and docs derive from
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from harness.core.config.base import ConfigModel
from harness.core.config.generator import GENERATOR_TRAINING, GeneratorSpec, with_training


class Source(ConfigModel):
    """Where the real images come from. Each kind's own options live in the `Config` of its class in harness/data."""

    kind: str = Field(description="a registered source: digits, cifar, image_folder, ...")


class Budget(ConfigModel):
    """What a method may keep and how often it is repeated; the three lengths multiply into students trained."""

    ipc: tuple[PositiveInt, ...] = Field((), description="images per class, ascending")
    bytes: tuple[PositiveInt, ...] = Field(
        (),
        description="instead of ipc: size limit of a distilled set in bytes; as many uncompressed images per class as fit",
    )
    distillation_seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1, description="one distilled set per seed")
    training_seeds: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2), min_length=1, description="one student per seed and set"
    )

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if bool(self.ipc) == bool(self.bytes):
            raise ValueError("give a budget as `ipc` (images per class) or as `bytes`, exactly one of them")
        return self

    @field_validator("ipc", "bytes", "distillation_seeds", "training_seeds")
    @classmethod
    def _ascending(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if list(values) != sorted(set(values)):
            raise ValueError(f"{list(values)} must ascend without repeats; write {sorted(set(values))}")
        return values


class Teacher(ConfigModel):
    """What gives features (coresets) and soft labels: a student trained on the real training split, or given weights."""

    student: str | None = Field(
        None, description="architecture, a student name such as convnet3; null: defined by the weights"
    )
    epochs: PositiveInt | None = Field(None, description="epochs over the real training split; null: not trained")
    weights: str | None = Field(
        None,
        description=(
            "trained weights instead of epochs: a state dict (.safetensors, .pt) of `student`, the folder of another "
            "run's teacher, or timm:NAME with its pretrained weights"
        ),
    )
    classes: str | None = Field(
        None, description="class list in the label order of the weights; not needed for the folder of another run"
    )
    protocol: str = Field("idc", description="hard-label protocol used to train it, with the suite's overrides")
    holdout: float = Field(0.1, gt=0, lt=1, description="fraction of the training split held out to score the teacher")
    min_share: float = Field(
        0.5, ge=0, le=1, description="reject the teacher below this fraction of the suite's full-data accuracy"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.weights is None) == (self.epochs is None):
            raise ValueError("give either `epochs` (train it) or `weights` (trained already), exactly one of them")
        if self.weights is None and (self.student is None or self.classes is not None):
            raise ValueError("a teacher that is trained needs `student`, and uses the suite's own classes")
        return self

    def trained_as(self, student: str) -> Teacher:
        """Return a teacher with these settings and another network; trained for 100 epochs where this one is not trained."""
        kept = self.model_dump(include={"protocol", "holdout", "min_share"})
        return Teacher(student=student, epochs=self.epochs or 100, **kept)


class Resources(ConfigModel):
    """What one job asks of an executor. CPU threads are set to exactly `cpus`, so they belong to the result."""

    cpus: PositiveInt = Field(1, le=1024, description="CPU threads")
    gpus: float = Field(0, ge=0, description="GPUs; a fraction if several jobs share one; used if the device is a GPU")
    memory_gb: PositiveFloat = Field(1.0, description="host memory in GB")
    accelerator: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
        description="GPU model, by its Ray name (H100, A100, ...): the job runs only on such a node",
    )

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus} GPUs: expected a fraction below 1, or an integer")
        return gpus


Metric = Literal["average_accuracy", "kappa", "head_tail", "class_accuracy"]
"""What a suite may show beside top-1 (overall) accuracy: the mean over classes of equal weight; Cohen's kappa; the classes
of a long-tailed training split by size; every class for itself. All are computed from one confusion matrix."""


class Suite(ConfigModel):
    """A benchmark suite: data, classes, budget, protocol, students, generators. Read from datasets/NAME.yaml."""

    NAME: ClassVar[str] = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
    """What a name looks like."""

    name: str = Field(pattern=NAME, description="the suite's name, as on the command line")
    title: str = Field("", description="one line for `harness list suites`")
    version: PositiveInt = Field(description="+1 whenever older results are no longer comparable")
    source: dict[str, Any] = Field(description="kind and options of the image source")
    num_images: dict[Literal["train", "test"], PositiveInt] = Field(
        default_factory=dict,
        description="stated number of images per split, for lists; records hold the actual numbers",
    )
    classes: str = Field(description="class list next to the YAML file; its order is the label order")
    image_size: PositiveInt = Field(description="side length of distilled images, pixels")
    channels: Literal[1, 3] = Field(
        3, description="3: RGB; 1: grey; for real and distilled images, students and generators"
    )
    student_image_size: PositiveInt | None = Field(
        None, description="side length of the students' input, pixels; null: image_size"
    )
    budget: Budget
    protocol: str = Field("idc", description="default protocol: a name or a YAML file")
    protocol_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="protocol fields that this suite changes, by protocol"
    )
    students: tuple[str, ...] = Field(min_length=1, description="student names")
    teacher: Teacher | None = Field(None, description="teacher for features and soft labels; null: none")
    metrics: tuple[Metric, ...] = Field((), description="what its tables show in addition to top-1 accuracy")
    full_accuracy: float | None = Field(None, ge=0, le=100, description="stated full-data top-1 accuracy, percent")
    generators: dict[str, GeneratorSpec] = Field(
        default_factory=dict, description="by kind: class_conditional, text_to_image"
    )
    method_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="config fields that this suite changes, by method"
    )
    resources: dict[Literal["prior", "teacher", "fit", "synthesize", "label", "train"], Resources] = Field(
        default_factory=dict, description="by kind of job; kinds that are not listed use the defaults"
    )

    @field_validator("generators", mode="before")
    @classmethod
    def _training_by_kind(cls, generators: Any) -> Any:
        """Read `train` with the options of the generator's kind: `train: {}` alone would not tell which."""
        if not isinstance(generators, Mapping):
            return generators
        unknown = sorted(set(generators) - set(GENERATOR_TRAINING))
        if unknown:
            raise ValueError(f"unknown kind of generator {unknown[0]!r}; known: {', '.join(GENERATOR_TRAINING)}")
        return {kind: with_training(kind, spec) for kind, spec in generators.items()}

    @property
    def image_bytes(self) -> int:
        """Return the bytes of one uncompressed image: what budgets in bytes reckon with."""
        return self.channels * self.image_size**2

    def job_resources(self, kind: str) -> Resources:
        """Return what a job of that kind asks for."""
        return self.resources.get(kind, Resources())  # type: ignore[call-overload]

    @property
    def side(self) -> int:
        """Side of the images that students see, pixels."""
        return self.student_image_size or self.image_size
