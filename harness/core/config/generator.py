"""The options of generators: where pre-trained weights lie, or how the `prior` job trains a small one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError, model_validator

from harness.core.config.base import ConfigModel
from harness.core.errors import UserError, did_you_mean


class VaeTraining(ConfigModel):
    """How the `prior` job trains a small autoencoder, whichever generator stands on it."""

    kind: ClassVar[str]
    """Of the generator that stands on it."""

    vae_channels: tuple[PositiveInt, ...] = Field(
        (16, 32, 48), description="VAE channels per level; each level after the first halves the image"
    )
    vae_steps: PositiveInt = Field(300, description="VAE training steps")
    vae_batch: PositiveInt = Field(32, description="images per VAE step")
    vae_lr: PositiveFloat = Field(6e-3, description="AdamW learning rate of the VAE, cosine to 0")
    kl_weight: float = Field(5e-4, ge=0, description="weight of the KL term against the mean squared error")
    seed: NonNegativeInt = Field(
        0, description="seed of the prior; one prior for the whole suite, for all distillation seeds"
    )

    def latent_unit(self) -> tuple[int, str]:
        """Return what the side of a latent must be a multiple of, and what asks for it."""
        raise NotImplementedError

    def check_side(self, side: int) -> None:
        """Refuse images that the levels and patches do not divide.

        Raises:
            UserError: `side`, in pixels, is no multiple of what they divide by.
        """
        (unit, reason), levels = self.latent_unit(), len(self.vae_channels)
        whole = 2 ** (levels - 1) * unit
        if side % whole == 0:
            return
        fits = next((n for n in range(levels, 0, -1) if side % (2 ** (n - 1) * unit) == 0), 0)
        such = f", such as vae_channels: {list(self.vae_channels[:fits])}" if fits else ""
        raise UserError(
            f"images of {side} pixels are not divisible by {whole}: the VAE's {levels} levels halve them {levels - 1} "
            f"times, and {reason}; change generators.{self.kind}.train of the suite{such}"
        )


class PriorTraining(VaeTraining):
    """How the `prior` job trains a small class-conditional generator where no weights exist (the embedded suite)."""

    kind = "class_conditional"

    hidden_size: PositiveInt = Field(128, description="DiT width")
    depth: PositiveInt = Field(4, description="DiT blocks")
    num_heads: PositiveInt = Field(4, description="attention heads")
    patch_size: PositiveInt = Field(2, description="latent pixels per token side")
    dit_steps: PositiveInt = Field(1300, description="DiT training steps")
    dit_batch: PositiveInt = Field(64, description="latents per DiT step")
    dit_lr: PositiveFloat = Field(2e-3, description="AdamW learning rate of the DiT, warm-up then cosine to 0")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the EMA whose weights are saved")

    def latent_unit(self) -> tuple[int, str]:
        """Return the pixels of a patch."""
        return self.patch_size, f"patch_size is {self.patch_size}"


class TextPriorTraining(VaeTraining):
    """How the `prior` job trains a small text-to-image generator on captioned images, where no weights exist."""

    kind = "text_to_image"

    text_width: PositiveInt = Field(64, description="width of the text encoder")
    text_depth: PositiveInt = Field(2, description="layers of the text encoder")
    prompt_length: PositiveInt = Field(16, ge=6, description="tokens per prompt, including start and end tokens")
    unet_channels: tuple[PositiveInt, ...] = Field(
        (64,), description="UNet channels per level; each level after the first halves the latent"
    )
    unet_steps: PositiveInt = Field(500, description="joint training steps of UNet and text encoder")
    unet_batch: PositiveInt = Field(32, description="latents per step")
    unet_lr: PositiveFloat = Field(2e-3, description="AdamW learning rate of both, warm-up then cosine to 0")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the EMA whose weights are saved")
    prediction: Literal["epsilon", "v_prediction"] = Field(
        "v_prediction",
        description="what the UNet predicts; epsilon needs about 3x more steps to follow the prompt",
    )
    captions: tuple[str, ...] = Field(
        ("{}", "a photo of a {}", "a photo of the {}", "a picture of a {}", "an image of the {}"),
        min_length=1,
        description="caption templates; {} is the word of the class, or the neutral word",
    )
    neutral_word: str = Field("digit", description="neutral word: fits every class")
    neutral_share: float = Field(0.15, ge=0, lt=1, description="fraction of captions with the neutral word")
    empty_share: float = Field(0.1, ge=0, lt=1, description="fraction of empty captions, for classifier-free guidance")

    def latent_unit(self) -> tuple[int, str]:
        """Return what the UNet's levels divide by."""
        levels = len(self.unet_channels)
        return 2 ** (levels - 1), f"the UNet's {levels} halve them {levels - 1} times"


class GeneratorSpec(ConfigModel):
    """A pre-trained image generator, or how to train a small one; shared by methods and never counted as distilled."""

    weights: str | None = Field(
        None, description="folder, file or hub id, e.g. facebook/DiT-XL-2-256 (or OWNER/NAME@REVISION); null: train it"
    )
    alternatives: tuple[str, ...] = Field(
        (),
        description="the same weights in another format, e.g. DiT-XL-2-256x256.pt; used if `weights` is not found",
    )
    encoder: str | None = Field(None, description="VAE that encodes for training; null: the pipeline's own")
    decoder: str | None = Field(None, description="VAE that decodes samples; null: the pipeline's own")
    label_classes: str | None = Field(
        None, description="class list in the generator's label order; null: the suite's own"
    )
    class_words: tuple[str, ...] | None = Field(
        None, description="text_to_image: the word for each class in prompts, in label order; null: the class names"
    )
    train: PriorTraining | TextPriorTraining | None = Field(
        None, description="how the prior job trains it if `weights` is null; the fields depend on the kind"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.weights is None) == (self.train is None):
            raise ValueError(
                "give either `weights` (a folder or hub id) or `train` (how to train one), exactly one of them"
            )
        if self.train is not None and (self.encoder or self.decoder or self.label_classes or self.alternatives):
            raise ValueError(
                "a trained generator has its own parts and the suite's classes: give `train` without other fields"
            )
        return self


GENERATOR_TRAINING: dict[str, type[VaeTraining]] = {
    "class_conditional": PriorTraining,
    "text_to_image": TextPriorTraining,
}
"""Kinds of generator, each with the options of its training."""


def with_training(kind: str, spec: Any) -> Any:
    """Return a generator as YAML gives it, its `train` read with the options of its kind.

    Raises:
        ValueError: an option is unknown or not allowed.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("train"), Mapping):
        return spec
    model = GENERATOR_TRAINING[kind]
    try:
        return {**spec, "train": model.model_validate(spec["train"])}
    except ValidationError as error:
        detail = error.errors()[0]
        field = ".".join(map(str, detail["loc"]))
        close = did_you_mean(field, list(model.model_fields)) if detail["type"] == "extra_forbidden" else ""
        raise ValueError(f"{kind}.train.{field}: {detail['msg']}.{close}") from None
