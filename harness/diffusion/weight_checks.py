"""Whether pre-trained weights are what a suite says, from their configs, names and shapes: no tensor is read.

In: a generator's located places and what the suite expects. Out: nothing, or an error that says what does not fit. It
takes a second, so that a wrong folder is told before any job and not after hours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core import hub
from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec
from harness.core.errors import UserError
from harness.diffusion.checkpoints import check_dit
from harness.diffusion.loading import is_complete, transformer_path, vae_path
from harness.diffusion.text_parts import check_text_folder
from harness.diffusion.vae import check_channels


def check_class_conditional(
    spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int, channels: int
) -> None:
    """Check a DiT, its VAEs and its labels against each other and against the suite's image size and channels.

    What is not on this machine yet is left to the `prior` job, which downloads it.

    Raises:
        UserError: something does not fit.
    """
    transformer, encoder, decoder = (
        _path(place) for place in (spec.weights, spec.encoder or spec.weights, spec.decoder or spec.weights)
    )
    found = (("encoder", encoder), ("decoder", decoder))
    vaes = {role: _vae(role, path, channels) for role, path in found if path is not None}
    if transformer is None:
        return
    where = transformer_path(transformer)
    config = check_dit(where)
    _check_labels(transformer, config.num_classes, classes, labels)
    for role, (depth, downscale) in vaes.items():
        if depth != config.in_channels:
            raise UserError(
                f"{where}: the DiT takes {config.in_channels} latent channels, the {role} VAE has {depth}; set a "
                f"matching VAE as generators.class_conditional.{role} of the suite"
            )
        if config.input_size * downscale != image_size:
            raise UserError(
                f"{where}: this generator draws images of {config.input_size * downscale} pixels (latents of "
                f"{config.input_size}, {role} VAE x {downscale}), but the suite's image_size is {image_size}"
            )


def check_text_to_image(
    spec: GeneratorSpec, classes: Sequence[ClassInfo], labels: Sequence[str], image_size: int, channels: int
) -> None:
    """Check a Stable Diffusion folder and its VAE. Images of any size are resized, and there are no labels.

    Raises:
        UserError: something does not fit.
    """
    folder, vae = _path(spec.weights), _path(spec.encoder) if spec.encoder else None
    if vae is not None:
        _vae("encoder", vae, channels)
    if folder is not None:
        check_text_folder(folder, vae_path(vae or folder) / "config.json")
        _vae("pipeline's", vae or folder, channels)


def _path(place: str | None) -> Path | None:
    """Return where a place lies if it is here and whole."""
    path = hub.on_disk(place) if place else None
    if path is None or place is None or Path(place).exists():
        return path
    return path if is_complete(path) else None


def _vae(role: str, path: Path, channels: int) -> tuple[int, int]:
    """Return latent channels and downscale of a VAE folder that can serve images of these channels."""
    config = read_json(vae_path(path) / "config.json")
    if config.get("_class_name") != "AutoencoderKL":
        raise UserError(f"{path}: the {role} is a {config.get('_class_name')}, expected an AutoencoderKL")
    check_channels(f"{path}: the {role} VAE", int(config.get("in_channels", 3)), channels)
    return int(config["latent_channels"]), 2 ** (len(config["block_out_channels"]) - 1)


def _check_labels(place: Path, num_classes: int, classes: Sequence[ClassInfo], labels: Sequence[str]) -> None:
    """Refuse labels that the network does not have, and a suite that would take another suite's labels for its own.

    A table may have more rows than names: `DiTPipeline` always writes 1000.
    """
    names = labels or [c.id for c in classes]
    if len(names) > num_classes:
        raise UserError(f"{place}: the network has {num_classes} classes, expected {len(names)}")
    if labels or len(classes) == num_classes:
        return
    index = place / "model_index.json"
    known = read_json(index).get("id2label") or {} if index.is_file() else {}
    if [known.get(str(c.label)) for c in classes] != names:
        raise UserError(
            f"{place}: the network has {num_classes} classes, the suite {len(classes)}, and the mapping is unknown. "
            "Give the class list it was trained with in generators.class_conditional.label_classes of the suite, "
            "such as classes/imagenet1k.txt"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds a {type(found).__name__}, expected an object")
    return found
