"""A tiny generator on disk: trained for two steps, so that it costs a second and exercises the real code."""

from pathlib import Path

import pytest
import torch

from harness.core.config.generator import PriorTraining, TextPriorTraining
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.prior import train_class_conditional
from harness.diffusion.text_prior import train_text_to_image
from harness.diffusion.text_to_image import TextToImageGenerator

NAMES = ["zero", "one", "two"]

TINY = PriorTraining(
    vae_channels=(8, 16),
    vae_steps=3,
    vae_batch=4,
    hidden_size=16,
    depth=2,
    num_heads=2,
    patch_size=2,
    dit_steps=3,
    dit_batch=4,
)


def tiny_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve random 8-pixel images of three classes."""
    images = torch.randint(0, 256, (12, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return images, torch.arange(12) % 3


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A saved DiTPipeline."""
    out = tmp_path_factory.mktemp("prior") / "pipeline"
    images, labels = tiny_images()
    train_class_conditional(images, labels, spec=TINY, class_names=NAMES, out_folder=out, device="cpu")
    return out


@pytest.fixture
def generator(folder) -> ClassConditionalGenerator:
    """A fresh copy of it, with every output away from its zero start."""
    loaded = ClassConditionalGenerator.load(folder, class_labels={n: i for i, n in enumerate(NAMES)}, device="cpu")
    rng = torch.Generator().manual_seed(1)
    for name, parameter in loaded.model.named_parameters():
        if "adaLN" in name or "final_layer" in name:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    return loaded


TINY_TEXT = TextPriorTraining(
    vae_channels=(8, 16),
    vae_steps=3,
    vae_batch=4,
    text_width=16,
    text_depth=1,
    unet_channels=(16,),
    unet_steps=3,
    unet_batch=4,
)


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory) -> Path:
    """A saved StableDiffusionPipeline."""
    out = tmp_path_factory.mktemp("text_prior") / "pipeline"
    images, labels = tiny_images()
    train_text_to_image(images, labels, spec=TINY_TEXT, class_words=NAMES, out_folder=out, device="cpu")
    return out


@pytest.fixture
def text_generator(text_folder) -> TextToImageGenerator:
    """A fresh copy of it."""
    return TextToImageGenerator.load(text_folder, class_words={n: n for n in NAMES}, device="cpu")
