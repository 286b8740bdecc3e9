"""What is measured: the real sizes, and small ones that run in seconds on a CPU. Weights are random; times do not care."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.diffusion.dit import DiT, DiTConfig, sincos_table
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.vae import Autoencoder

NUM_CLASSES = 10


@dataclass(frozen=True)
class Size:
    """Sizes of one set of measurements.

    Attributes:
        dit: the denoiser.
        vae_channels: widths of the VAE's levels; each after the first halves the image.
        vae_layers: residual blocks a level.
        norm_groups: groups of the VAE's norms.
        tuning_batch: images of a fine-tuning step.
        sampling_batches: images denoised at once.
        vae_batches: images encoded or decoded at once.
        steps: denoising steps.
        students: names.
        student_side: pixels.
        student_images: images of an epoch.
        matmul_side: of the matrices that the peak is measured with.
    """

    dit: DiTConfig
    vae_channels: tuple[int, ...]
    vae_layers: int
    norm_groups: int
    tuning_batch: int
    sampling_batches: tuple[int, ...]
    vae_batches: tuple[int, ...]
    steps: int
    students: tuple[str, ...]
    student_side: int
    student_images: int
    matmul_side: int

    @property
    def image_side(self) -> int:
        """Side of the generator's images, pixels."""
        return self.dit.input_size * 2 ** (len(self.vae_channels) - 1)


SIZES = {
    # DiT-XL/2 and Stable Diffusion's VAE at 256 pixels; the suite imagewoof's students at 224.
    "xl": Size(
        dit=DiTConfig(),
        vae_channels=(128, 256, 512, 512),
        vae_layers=2,
        norm_groups=32,
        tuning_batch=8,
        sampling_batches=(1, 8, 32, 100),
        vae_batches=(8, 64),
        steps=50,
        students=("convnet6", "resnet_ap10", "resnet18"),
        student_side=224,
        student_images=500,
        matmul_side=8192,
    ),
    "tiny": Size(
        dit=DiTConfig(input_size=8, hidden_size=32, depth=2, num_heads=2, num_classes=NUM_CLASSES),
        vae_channels=(8, 8),
        vae_layers=1,
        norm_groups=8,
        tuning_batch=4,
        sampling_batches=(1, 4),
        vae_batches=(4,),
        steps=3,
        students=("convnet3",),
        student_side=16,
        student_images=40,
        matmul_side=128,
    ),
}


def random_generator(size: Size, device: torch.device) -> ClassConditionalGenerator:
    """Return a generator of that size whose weights are noise."""
    from diffusers import AutoencoderKL

    levels = len(size.vae_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae: Any = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=size.vae_channels,
            layers_per_block=size.vae_layers,
            norm_num_groups=size.norm_groups,
            sample_size=size.image_side,
        )
        autoencoder = Autoencoder(vae).to(device)
        model = random_dit(size.dit, device)
    return ClassConditionalGenerator(model, autoencoder, autoencoder, {str(c): c for c in range(NUM_CLASSES)})


def random_dit(config: DiTConfig, device: torch.device) -> DiT:
    """Return a DiT of small normal weights, made on the device: DiT-XL/2 takes a second on a GPU."""
    with torch.device("meta"):
        model = DiT(config)
    model.to_empty(device=device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.pos_embed.data.copy_(sincos_table(config.hidden_size, config.input_size // config.patch_size))
    return model.requires_grad_(False).eval()
