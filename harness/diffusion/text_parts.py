"""Find and open the parts of a text-to-image pipeline: on disk (never touching the network), or by hub id.

In: a folder as `StableDiffusionPipeline.save_pretrained` writes it. Out: its parts on a device, checked to fit each
other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.core.errors import UserError
from harness.core.progress import ProgressCallback
from harness.diffusion.loading import load_autoencoder, locate, no_progress_bars
from harness.diffusion.vae import Autoencoder

PIPELINE = "StableDiffusionPipeline"
PREDICTIONS = ("epsilon", "v_prediction")
_FILES = [
    "model_index.json",
    "*/config.json",
    "scheduler/*",
    "tokenizer/*",
    "text_encoder/model.*",
    "text_encoder/pytorch_model.bin",
    "unet/diffusion_pytorch_model.*",
    "vae/diffusion_pytorch_model.*",
]


@dataclass(frozen=True)
class TextParts:
    """What a text-to-image generator is made of; the modules are diffusers' and transformers', on one device.

    Attributes:
        tokenizer: CLIPTokenizer.
        text_encoder: CLIPTextModel.
        unet: UNet2DConditionModel, conditioned on the text encoder's states.
        autoencoder: the VAE, with the scaling of its latents.
        scheduler_config: defines the diffusion process; "prediction_type" is always there.
    """

    tokenizer: Any
    text_encoder: Any
    unet: Any
    autoencoder: Autoencoder
    scheduler_config: dict[str, Any]


def load_text_parts(
    place: str | Path,
    *,
    vae: str | Path | None = None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    report: ProgressCallback | None = None,
    channels: int | None = None,
) -> TextParts:
    """Open a pipeline's parts.

    Args:
        place: a pipeline folder, or a hub id ("owner/name").
        vae: folder or hub id of another VAE; None: the pipeline's own.
        device: where the modules go.
        dtype: of the text encoder and the UNet.
        report: told the megabytes of a download; None: the hub client draws its own bars.
        channels: of images, 3 or 1; None: the VAE's own.

    Raises:
        UserError: nothing is there, it is another kind of pipeline, or the parts do not fit each other.
    """
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = locate(place, files=_FILES, report=report)
    _check_kind(folder)
    try:
        with no_progress_bars():
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
            text_encoder: Any = CLIPTextModel.from_pretrained(
                folder / "text_encoder", local_files_only=True, dtype=dtype
            )
            unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True, torch_dtype=dtype)
            scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder}: a part of the pipeline cannot be loaded: {error}") from error
    autoencoder = load_autoencoder(vae or folder, channels=channels, report=report)
    scheduler["prediction_type"] = scheduler.get("prediction_type") or "epsilon"
    _check_fit(folder, text_encoder.config, unet.config, autoencoder.latent_channels, scheduler)
    return TextParts(tokenizer, text_encoder.to(device), unet.to(device), autoencoder.to(device), scheduler)


def _check_kind(folder: Path) -> None:
    """Refuse what is no text-to-image pipeline before any weights are read."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise UserError(f"{folder}: no model_index.json; expected a diffusers {PIPELINE} folder")
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{index}: not JSON ({error})") from error
    found = listed.get("_class_name")
    if found != PIPELINE:
        raise UserError(
            f"{folder}: is a {found}, expected a {PIPELINE} (Stable Diffusion 1.x or 2.x). Set such a folder or hub "
            "id in generators.text_to_image.weights of the suite"
        )
    for part, expected in (("text_encoder", "CLIPTextModel"), ("unet", "UNet2DConditionModel")):
        kind = (listed.get(part) or [None, None])[1]
        if kind != expected:
            raise UserError(f"{folder}: its {part} is a {kind}, expected a {expected}")


def check_text_folder(folder: Path, vae_config: Path) -> None:
    """Check a pipeline's parts against each other by their configs, without reading a tensor.

    Raises:
        UserError: it is another kind of pipeline, a part is missing, or the parts do not fit each other.
    """
    _check_kind(folder)
    places = {
        "text_encoder": folder / "text_encoder" / "config.json",
        "unet": folder / "unet" / "config.json",
        "vae": vae_config,
        "scheduler": folder / "scheduler" / "scheduler_config.json",
    }
    found = {}
    for part, path in places.items():
        try:
            found[part] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: its {part} has no readable config: {error}") from error
    scheduler = found["scheduler"] | {"prediction_type": found["scheduler"].get("prediction_type") or "epsilon"}
    _check_fit(folder, found["text_encoder"], found["unet"], found["vae"].get("latent_channels"), scheduler)


def _check_fit(folder: Path, text_encoder: Any, unet: Any, latent_channels: int, scheduler: dict[str, Any]) -> None:
    """`text_encoder` and `unet` are their configs, as JSON or as the libraries' objects."""
    channels, attended = _value(unet, "in_channels"), _value(unet, "cross_attention_dim")
    if channels != latent_channels:
        raise UserError(
            f"{folder}: the UNet takes {channels} channels, the VAE's latents have {latent_channels}; inpainting and "
            "depth models are not supported"
        )
    if attended != _value(text_encoder, "hidden_size"):
        raise UserError(
            f"{folder}: the UNet attends to states of width {attended}, the text encoder's have "
            f"{_value(text_encoder, 'hidden_size')}"
        )
    if scheduler["prediction_type"] not in PREDICTIONS:
        raise UserError(
            f"{folder}: the model predicts {scheduler['prediction_type']!r}; supported: {', '.join(PREDICTIONS)}"
        )


def _value(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, dict) else getattr(config, name)
