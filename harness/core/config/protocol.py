"""How students are trained and scored, as a frozen config; the defaults are the `idc` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from harness.core.config.base import ConfigModel
from harness.core.config.search import search
from harness.core.text import times

Operation = Literal["color", "crop", "cutout", "flip", "scale", "rotate"]
"""What differentiable siamese augmentation may do to a batch; harness/training/siamese.py does it."""


class ByIpc(ConfigModel):
    """A number by images per class (epochs, batch size): the first row whose bound is not exceeded counts.

    A plain number stands for every IPC.
    """

    up_to: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(description="(largest IPC, number), ascending in IPC")
    above: PositiveInt = Field(description="the value above the last bound")

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_every_ipc(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"up_to": (), "above": value}
        if isinstance(value, Mapping | ByIpc):
            return value
        raise ValueError("expected an integer, or one per IPC range: {up_to: [[10, 2000], [50, 1500]], above: 300}")

    def at(self, ipc: float) -> int:
        """Return the number for `ipc` images per class (a mean, for unequal classes)."""
        return next((number for bound, number in self.up_to if ipc <= bound), self.above)


class Protocol(ConfigModel):
    """How a student is trained and scored. The defaults are `idc`: the hard-label protocol of Minimax Diffusion (from IDC).

    The others are files, datasets/protocols/NAME.yaml, with their sources; `harness show protocol NAME` shows one. A suite may
    override fields; `harness show suite` shows what it overrides.
    """

    name: str = Field("idc", description="name of the protocol")
    version: int = Field(1, description="+1 whenever equal settings would give different accuracies")
    labels: Literal["hard", "soft", "stored"] = Field(
        "hard",
        description=(
            "hard: class labels; soft: a teacher labels each batch as the student sees it, nothing is stored; stored: "
            "one soft label per image, without augmentation, kept with the set in half precision and mixed by area "
            "under CutMix"
        ),
    )
    temperature: PositiveFloat = Field(
        20.0,
        description="soft labels: divides both logits before the KL divergence; no T^2 factor; not used by gift",
    )
    soft_loss: Literal["kl", "gift"] = Field(
        "kl",
        description=(
            "loss for soft labels; kl: divergence of the softened outputs; gift: 1 - cosine similarity of the logits "
            "and the target: the teacher's logits plus 0.1 times the smoothed hard label, each scaled to length 1 "
            "(GIFT, ICLR 2025)"
        ),
    )
    labels_kept: float = Field(
        1.0,
        gt=0,
        le=1,
        description=(
            "labels soft: fraction of a training's batches whose labels are kept; all epochs are drawn from these, "
            "and their labels count as stored bytes (label pruning, LPLD, NeurIPS 2024); 1: labels are computed on "
            "the fly"
        ),
    )
    epochs: ByIpc = Field(
        ByIpc(up_to=((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500)), above=300),
        description="epochs by IPC, or one number for all IPCs; idc: 3000, 2000, 1500, 1000, 500, 300",
    )
    scale_epochs_at_100_classes: bool = Field(
        True,
        description=(
            "at exactly 100 classes: two thirds of the epochs, rounded down to a multiple of 100, as in the authors' "
            "code"
        ),
    )
    switch_above_100_classes: bool = Field(
        True, description="above 100 classes: lr 0.1, weight decay 1e-4, batch at least 128, as in the authors' code"
    )
    num_evaluations: PositiveInt = Field(
        100, description="number of evaluations on the test split, evenly spaced, the last at the end of training"
    )
    evaluate_every: PositiveInt | None = Field(
        None, description="instead of num_evaluations: evaluate every this many epochs, and at the end"
    )
    evaluate_after: float = Field(
        0.0, ge=0, lt=1, description="with evaluate_every: no evaluation before this fraction of the epochs"
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="adamw: betas 0.9 and 0.999")
    lr: PositiveFloat = Field(
        0.01, description="learning rate of the first epoch", json_schema_extra=search("log", 1e-3, 1e-1)
    )
    lr_by_student: dict[str, PositiveFloat] = Field(
        {},
        description=(
            "learning rate of individual students, instead of lr; a name without _bn, _cifar or timm's tag covers all "
            "its variants; entries of a suite or a user are added to those of the protocol"
        ),
    )
    schedule: Literal["steps", "half_cosine", "cosine"] = Field(
        "steps",
        description="steps: lr_decay at lr_milestones; cosine: from 1 to about 0, epoch by epoch; half_cosine: its first "
        "half, to about 1/2",
    )
    restart_optimizer: bool = Field(
        False, description="steps: create a new optimiser at each milestone (momentum starts at zero)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, no Nesterov")
    weight_decay: float = Field(5e-4, ge=0, description="on all parameters, including norms and biases")
    decay_matrices_only: bool = Field(
        False, description="weight decay only on weights with two or more dimensions; not on norms and biases"
    )
    lr_decay: PositiveFloat = Field(0.2, description="steps: factor at each milestone")
    lr_milestones: tuple[float, ...] = Field(
        (2 / 3, 5 / 6), description="steps: as fractions of the epochs, rounded down"
    )
    batch_size: PositiveInt = Field(64, description="images per step; the last, smaller batch of an epoch is used")
    batch_by_ipc: ByIpc | None = Field(
        None,
        description="instead of batch_size: by IPC, doubled at 100 and 1000 classes, at most the number of images",
    )
    batch_by_student: dict[str, PositiveInt] = Field(
        {},
        description="images per step of individual students, for every IPC; names and merging as in lr_by_student",
    )
    cutmix_probability: float = Field(1.0, ge=0, le=1, description="probability of CutMix per batch")
    cutmix_beta: PositiveFloat = Field(1.0, description="both parameters of CutMix's beta distribution")
    patch_shuffle: PositiveInt = Field(
        1, description="f: each image is cut into f x f patches, whose columns and rows are shuffled; 1: off"
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
    dsa: tuple[Operation, ...] = Field(
        (),
        description=(
            "differentiable siamese augmentation (DSA) of normalised images, before CutMix: one of these operations "
            "per batch, with random parameters per image; []: off"
        ),
    )
    whitening: Literal["none", "zca"] = Field(
        "none",
        description=(
            "zca: instead of mean and std, whiten training and test images with the covariance of the real training "
            "images, eps 0.1; small images only"
        ),
    )
    test_margin: bool = Field(
        False,
        description="test images: short side to side // 7 * 8 before the centre crop (256 for 224); false: to side",
    )
    mean: tuple[float, ...] = Field(
        (0.485, 0.456, 0.406), description="normalisation, per RGB channel in [0, 1]; one number in a grey suite"
    )
    std: tuple[float, ...] = Field(
        (0.229, 0.224, 0.225),
        description="normalisation, per RGB channel in [0, 1]; one number in a grey suite",
        validate_default=True,  # as long as a mean that is given
    )
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description=(
            "of convolutions and matrix products; bfloat16 is up to twice as fast where the hardware has it, with other "
            "rounding; auto: bfloat16 on a GPU, float32 on a CPU"
        ),
    )
    compiled: bool = Field(
        False,
        description=(
            "torch.compile the network: other rounding, faster steps after half a minute of compilation; needs a C++ "
            "compiler"
        ),
    )

    @field_validator("mean", "std")
    @classmethod
    def _same_channels(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if len(values) not in (1, 3):
            raise ValueError(f"{len(values)} numbers; expected 3 (RGB), or 1 (grey)")
        if info.field_name == "std" and len(values) != len(info.data.get("mean", values)):
            raise ValueError(
                f"{times(len(values), 'number')}, but mean has {len(info.data['mean'])}; give one number per channel"
            )
        return values

    @property
    def channels(self) -> int:
        """Channels of the images that it normalises: 3, or 1 in a grey suite."""
        return len(self.mean)


NO_AUGMENTATION = "no augmentation"
"""The variant of a protocol that no score needs of the full data."""


HARD_LABELS = "hard labels"
