"""Everything that a user may set, as frozen pydantic models that refuse unknown keys and explain their fields.

In: YAML, flags or keyword arguments. Out: checked values that the rest trusts. No torch, no files but the suite's own.
An option is declared here once (or in the inner `Config` of the plugin that it belongs to); flags, help and docs derive from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from harness.frozen import Frozen
from harness.generator_config import GENERATOR_TRAINING, GeneratorSpec, with_training


class Source(Frozen):
    """Where the real images come from. Each kind's own options live in the `Config` of its class in harness/data."""

    kind: str = Field(description="a registered source: digits, cifar, image_folder, ...")


class Budget(Frozen):
    """What a method may keep and how often it is repeated; the three lengths multiply into students trained."""

    ipc: tuple[PositiveInt, ...] = Field((), description="images per class, ascending")
    bytes: tuple[PositiveInt, ...] = Field(
        (),
        description="in place of ipc: bytes that a distilled set may take; as many images per class as fit, uncompressed",
    )
    distillation_seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1, description="one distilled set per seed")
    training_seeds: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2), min_length=1, description="one student per seed and set"
    )

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if bool(self.ipc) == bool(self.bytes):
            raise ValueError("give a budget as `ipc` (images per class) or as `bytes`, not as both or none")
        return self

    @field_validator("ipc", "bytes", "distillation_seeds", "training_seeds")
    @classmethod
    def _ascending(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if list(values) != sorted(set(values)):
            raise ValueError(f"{list(values)} must ascend without repeats; write {sorted(set(values))}")
        return values


class ByIpc(Frozen):
    """A number by images per class (epochs, batch size): the first row whose bound is not exceeded counts.

    A plain number stands for every IPC.
    """

    up_to: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(description="(largest IPC, number), ascending in IPC")
    above: PositiveInt = Field(description="the number beyond the last row")

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_every_ipc(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"up_to": (), "above": value}
        if isinstance(value, Mapping | ByIpc):
            return value
        raise ValueError("expected a whole number, or one by IPC: {up_to: [[10, 2000], [50, 1500]], above: 300}")

    def at(self, ipc: float) -> int:
        """Return the number for `ipc` images per class (a mean, for unequal classes)."""
        return next((number for bound, number in self.up_to if ipc <= bound), self.above)


class Protocol(Frozen):
    """How a student is trained and scored. The defaults are `idc`: the hard-label protocol of Minimax Diffusion (from IDC).

    Source: golden/protocol.json; golden/rded.json for what `rded` changes. A suite may override fields; what it
    overrides is shown by `harness show suite`.
    """

    name: str = Field("idc", description="protocol that these values belong to")
    version: int = Field(1, description="+1 whenever equal settings would give other accuracies")
    labels: Literal["hard", "soft", "stored"] = Field(
        "hard",
        description="soft: a teacher's, made for each batch as the student sees it, nothing is stored; stored: one soft "
        "label an image, without augmentation, kept with the set in half precision and mixed by area under CutMix",
    )
    temperature: PositiveFloat = Field(
        20.0, description="soft labels: divides both logits before the KL divergence; no T^2 factor"
    )
    epochs: ByIpc = Field(
        ByIpc(up_to=((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500)), above=300),
        description="epochs by IPC, or one number for all; idc: 3000, 2000, 1500, 1000, 500, 300",
    )
    scale_epochs_at_100_classes: bool = Field(
        True, description="at exactly 100 classes: two thirds of the epochs, rounded down to 100, as the authors' code"
    )
    switch_above_100_classes: bool = Field(
        True, description="above 100 classes: lr 0.1, weight decay 1e-4, batch at least 128, as the authors' code"
    )
    num_evaluations: PositiveInt = Field(
        100, description="evaluations on the test split, evenly spaced, the last at the end"
    )
    evaluate_every: PositiveInt | None = Field(
        None, description="in place of num_evaluations: one after every so many epochs, and one at the end"
    )
    evaluate_after: float = Field(
        0.0, ge=0, lt=1, description="with evaluate_every: none before this share of the epochs"
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="adamw: betas 0.9 and 0.999")
    lr: PositiveFloat = Field(0.01, description="learning rate of the first epoch")
    lr_by_student: dict[str, PositiveFloat] = Field(
        {},
        description="learning rate of some students, in place of lr; by name, a name without _bn, _cifar or timm's tag "
        "stands for all of them; what a suite or a user gives is added to the protocol's",
    )
    schedule: Literal["steps", "half_cosine"] = Field(
        "steps", description="steps: lr_decay at lr_milestones; half_cosine: from 1 to about 1/2, epoch by epoch"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, no Nesterov")
    weight_decay: float = Field(5e-4, ge=0, description="on all parameters, norms and biases included")
    decay_matrices_only: bool = Field(
        False, description="weight decay on weights of two dimensions and more only; not on norms and biases"
    )
    lr_decay: PositiveFloat = Field(0.2, description="steps: factor at each milestone")
    lr_milestones: tuple[float, ...] = Field((2 / 3, 5 / 6), description="steps: as shares of the epochs, rounded down")
    batch_size: PositiveInt = Field(64, description="images a step; the last, smaller batch of an epoch is used")
    batch_by_ipc: ByIpc | None = Field(
        None,
        description="in place of batch_size: by IPC, twice as many at 100 and 1000 classes, no more than there are images",
    )
    batch_by_student: dict[str, PositiveInt] = Field(
        {},
        description="images a step of some students, whatever the IPC; names as in lr_by_student, added likewise",
    )
    cutmix_probability: float = Field(1.0, ge=0, le=1, description="chance per batch of CutMix")
    cutmix_beta: PositiveFloat = Field(1.0, description="both parameters of CutMix's beta distribution")
    patch_shuffle: PositiveInt = Field(
        1, description="f: each image is cut into f x f, its columns and its rows shuffled; 1: none"
    )
    crop_scale: tuple[float, float] | None = Field(
        (0.5, 1.0), description="area range of the random resized crop; null: no crop"
    )
    crop_ratio: tuple[float, float] = Field((3 / 4, 4 / 3), description="aspect-ratio range of the crop")
    flip: bool = Field(True, description="random horizontal flip, p = 0.5")
    color_jitter: float = Field(
        0.4, ge=0, description="strength of brightness, contrast and saturation, in random order"
    )
    pca_lighting: float = Field(0.1, ge=0, description="std of AlexNet's lighting noise")
    test_margin: bool = Field(
        False, description="test images: short side to side // 7 * 8 before the centre crop (256 for 224); no: to side"
    )
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="normalisation, per RGB channel in [0, 1]"
    )
    std: tuple[float, float, float] = Field(
        (0.229, 0.224, 0.225), description="normalisation, per RGB channel in [0, 1]"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="autocast precision; bfloat16 changes results slightly"
    )


class Teacher(Frozen):
    """What gives features (coresets) and soft labels: a student trained on the real training split, or given weights."""

    student: str | None = Field(
        None, description="architecture, a student name such as convnet3; null: the weights say it"
    )
    epochs: PositiveInt | None = Field(None, description="epochs over the real training split; null: it is not trained")
    weights: str | None = Field(
        None,
        description="trained weights in place of epochs: a state dict (.safetensors, .pt) of `student`, the folder of "
        "another run's teacher, or timm:NAME with its pretrained weights",
    )
    classes: str | None = Field(
        None, description="class list in the label order of the weights; a folder of another run has its own"
    )
    protocol: str = Field("idc", description="hard-label protocol that it is trained under, as the suite changes it")
    holdout: float = Field(0.1, gt=0, lt=1, description="share of the training split kept to score the teacher")
    min_share: float = Field(0.5, ge=0, le=1, description="refused below this share of the suite's full-data accuracy")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.weights is None) == (self.epochs is None):
            raise ValueError("give either `epochs` (train it) or `weights` (trained already), not both or none")
        if self.weights is None and (self.student is None or self.classes is not None):
            raise ValueError("a teacher that is trained needs `student`, and has the suite's own classes")
        return self


class Resources(Frozen):
    """What one job asks of an executor. CPU threads are set to exactly `cpus`, so they belong to the result."""

    cpus: PositiveInt = Field(1, description="CPU threads")
    gpus: float = Field(
        0, ge=0, description="GPUs, a fraction where several jobs share one; used when the device is a GPU"
    )
    memory_gb: PositiveFloat = Field(1.0, description="host memory in GB")


Metric = Literal["average_accuracy", "kappa", "head_tail", "class_accuracy"]
"""What a suite may show beside top-1 (overall) accuracy: the mean over classes of equal weight; Cohen's kappa; the classes
of a long-tailed training split by size; every class for itself. All are computed from one confusion matrix."""


class Suite(Frozen):
    """A benchmark suite: data, classes, budget, protocol, students, generators. Read from datasets/NAME.yaml."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="the suite's name, as on the command line")
    title: str = Field("", description="one line for `harness list suites`")
    version: PositiveInt = Field(description="+1 whenever older numbers stop being comparable")
    source: dict[str, Any] = Field(description="kind and options of the image source")
    num_images: dict[Literal["train", "test"], PositiveInt] = Field(
        default_factory=dict,
        description="stated images of each split, for lists; what is really there is in the records",
    )
    classes: str = Field(description="class list beside the YAML; its order is the label order")
    image_size: PositiveInt = Field(description="side of distilled images, pixels")
    student_image_size: PositiveInt | None = Field(None, description="side that students see, pixels; null: image_size")
    budget: Budget
    protocol: str = Field("idc", description="protocol used unless the command names another")
    protocol_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per protocol, the fields that this suite changes"
    )
    students: tuple[str, ...] = Field(min_length=1, description="student names")
    teacher: Teacher | None = Field(None, description="teacher for features and soft labels; null: none")
    metrics: tuple[Metric, ...] = Field((), description="what its tables show beside top-1 accuracy")
    full_accuracy: float | None = Field(None, ge=0, le=100, description="stated full-data top-1 accuracy, percent")
    generators: dict[str, GeneratorSpec] = Field(
        default_factory=dict, description="by kind: class_conditional, text_to_image"
    )
    method_overrides: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per method, the config fields that this suite changes"
    )
    resources: dict[Literal["prior", "teacher", "fit", "synthesize", "label", "train"], Resources] = Field(
        default_factory=dict, description="per kind of job; missing kinds get the defaults"
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
        return 3 * self.image_size**2

    def job_resources(self, kind: str) -> Resources:
        """Return what a job of that kind asks for."""
        return self.resources.get(kind, Resources())  # type: ignore[call-overload]

    @property
    def side(self) -> int:
        """Side of the images that students see, pixels."""
        return self.student_image_size or self.image_size
