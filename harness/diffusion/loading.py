"""Find a generator's parts: on disk (never touching the network), or by hub id.

In: a folder, a file or "owner/name". Out: a `DiT` or an `Autoencoder` on the CPU.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.diffusion.checkpoints import load_dit
from harness.diffusion.dit import DiT
from harness.diffusion.vae import Autoencoder
from harness.errors import UserError

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_HUB_FILES = ["*.json", "transformer/*", "vae/*", "scheduler/*", "diffusion_pytorch_model.safetensors"]


def load_transformer(place: str | Path) -> DiT:
    """Load the DiT of a pipeline folder, a transformer folder, a hub id or an original `.pt` file.

    Raises:
        UserError: the place does not exist or holds no DiT.
    """
    path = locate(place)
    return load_dit(path / "transformer" if (path / "transformer").is_dir() else path)


def load_autoencoder(place: str | Path) -> Autoencoder:
    """Load the VAE of a pipeline folder, a VAE folder or a hub id.

    Raises:
        UserError: the place does not exist or holds no AutoencoderKL.
    """
    from diffusers import AutoencoderKL

    path = locate(place)
    if path.is_file():
        raise UserError(f"{path} is a file and holds no VAE; name VAE folders as the generator's encoder and decoder")
    folder = path / "vae" if (path / "vae").is_dir() else path
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; expected a diffusers AutoencoderKL folder")
    found = AutoencoderKL.load_config(folder, local_files_only=True).get("_class_name")
    if found != "AutoencoderKL":
        raise UserError(f"{folder}: describes a {found}, expected an AutoencoderKL")
    try:
        return Autoencoder(AutoencoderKL.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder}: the VAE cannot be loaded: {error}") from error


def locate(place: str | Path, *, files: list[str] = _HUB_FILES) -> Path:
    """Return the place on disk, downloading it first when it is a hub id and no such folder exists.

    Args:
        place: a file, a folder or a hub id.
        files: patterns of the files that are downloaded.

    Raises:
        UserError: nothing is there.
    """
    path = Path(place).expanduser()
    if path.exists():
        return path
    if not isinstance(place, str) or not _HUB_ID.fullmatch(place):
        raise UserError(f"{place}: no such file or folder, and not a hub id of the form owner/name")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, allow_patterns=files))
    except Exception as error:  # the hub client raises many kinds: offline, not found, gated, disk full
        raise UserError(
            f"{place}: there is no such folder, and the model hub gave no model of that name "
            f"({type(error).__name__}: {error}). Check the spelling and the connection, or give a local folder."
        ) from error
