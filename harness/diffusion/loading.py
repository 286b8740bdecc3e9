"""Open a generator's parts from where they are: a folder or file, the hub's cache, or the hub itself.

In: a folder, a file, or "owner/name" (with "@revision"). Out: a `DiT` or an `Autoencoder` on the CPU. What lies on this
machine is used without any network access; the rest is downloaded, with progress.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from harness.core import hub
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback
from harness.diffusion.checkpoints import load_dit
from harness.diffusion.dit import DiT
from harness.diffusion.download import fetch
from harness.diffusion.vae import Autoencoder

HUB_FILES = ("*.json", "transformer/*", "vae/*", "scheduler/*", "diffusion_pytorch_model.*")
_TENSORS = ("*.safetensors", "*.bin")


def load_transformer(place: str | Path, *, report: ProgressCallback | None = None) -> DiT:
    """Load the DiT of a pipeline folder, a transformer folder, a hub id or an original `.pt` file.

    Raises:
        UserError: the place does not exist or holds no DiT.
    """
    return load_dit(transformer_path(locate(place, report=report)))


def transformer_path(path: Path) -> Path:
    """Return a pipeline's transformer folder, or the path itself."""
    return path / "transformer" if (path / "transformer").is_dir() else path


def load_autoencoder(
    place: str | Path, *, channels: int | None = None, report: ProgressCallback | None = None
) -> Autoencoder:
    """Load the VAE of a pipeline folder, a VAE folder or a hub id, for images of 3 or 1 channels (None: as it has).

    Raises:
        UserError: the place does not exist or holds no AutoencoderKL, or one that cannot give such images.
    """
    from diffusers import AutoencoderKL

    folder = vae_path(locate(place, report=report))
    found = AutoencoderKL.load_config(folder, local_files_only=True).get("_class_name")
    if found != "AutoencoderKL":
        raise UserError(f"{folder}: describes a {found}, expected an AutoencoderKL")
    try:
        vae = AutoencoderKL.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder}: the VAE cannot be loaded: {error}") from error
    return Autoencoder(vae, channels)


def vae_path(path: Path) -> Path:
    """Return a pipeline's VAE folder, or the path itself.

    Raises:
        UserError: there is none.
    """
    if path.is_file():
        raise UserError(f"{path} is a file without a VAE; set VAE folders as the generator's encoder and decoder")
    folder = path / "vae" if (path / "vae").is_dir() else path
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; expected a diffusers AutoencoderKL folder")
    return folder


def locate(place: str | Path, *, files: Sequence[str] = HUB_FILES, report: ProgressCallback | None = None) -> Path:
    """Return the place on disk: as it stands, else from the hub's cache, else downloaded.

    Args:
        place: a file, a folder or a hub id.
        files: patterns of the files that are wanted.
        report: told the megabytes downloaded; None: the hub client draws its own bars.

    Raises:
        UserError: nothing is there, and the hub gives nothing either.
    """
    path = Path(place).expanduser()
    if path.exists():
        return path
    parsed = hub.hub_id(place)
    if parsed is None:
        raise UserError(f"{place}: no such file or folder, and not a hub id of the form owner/name")
    cached = hub.on_disk(str(place))
    if cached is not None and is_complete(cached):
        return cached
    return fetch(*parsed, files, report)


def is_complete(folder: Path) -> bool:
    """Return whether every part that has a config.json also has tensors: a download may have been cut short."""
    parts = [config.parent for config in (*folder.glob("config.json"), *folder.glob("*/config.json"))]
    wanted = [p for p in parts if p.name not in {"safety_checker", "feature_extractor"}]
    return bool(wanted) and all(any(fnmatch(f.name, t) for f in p.iterdir() for t in _TENSORS) for p in wanted)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers and diffusers from drawing bars into the run's own display."""
    import diffusers.utils.logging as of_diffusers
    import transformers.utils.logging as of_transformers

    for logging in (of_diffusers, of_transformers):
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging in (of_diffusers, of_transformers):
            logging.enable_progress_bar()
