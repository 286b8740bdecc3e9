"""A pre-trained class-conditional generator (DiT, VAE, labels): sample it, encode for it, fine-tune it.

In: a diffusers `DiTPipeline` folder or hub id, or an original DiT checkpoint. Out: uint8 images by class, latents, and
a fine-tuner. It never knows which method uses it; suites' class ids are translated to the generator's labels here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.core import seeds
from harness.core.errors import UserError, did_you_mean
from harness.core.plugin.denoising import Guide
from harness.core.progress import ProgressCallback, no_progress
from harness.diffusion import difffit
from harness.diffusion.adaptive_batches import Batches
from harness.diffusion.dit import DiT, guided_output
from harness.diffusion.finetune import FineTuner
from harness.diffusion.latents import Images, LatentCache
from harness.diffusion.loading import load_autoencoder, load_transformer
from harness.diffusion.precision import Precision, check_precision
from harness.diffusion.process import GaussianDiffusion
from harness.diffusion.samplers import sample_latents
from harness.diffusion.vae import Autoencoder

if TYPE_CHECKING:
    from harness.core.classes import ClassInfo


class ClassConditionalGenerator:
    """A DiT with its encoder and decoder, and the labels of the suite's classes.

    Args:
        model: the denoiser.
        encoder: encodes real images for training.
        decoder: decodes samples; the papers use another VAE for it than for encoding.
        class_labels: suite class id -> label of the generator.

    Raises:
        UserError: the parts do not fit each other, or a label is outside the network's table.
    """

    def __init__(self, model: DiT, encoder: Autoencoder, decoder: Autoencoder, class_labels: Mapping[str, int]) -> None:
        channels = model.config.in_channels
        for role, vae in (("encoder", encoder), ("decoder", decoder)):
            if vae.latent_channels != channels:
                raise UserError(f"the {role} VAE has {vae.latent_channels} latent channels, the DiT {channels}")
        if encoder.downscale != decoder.downscale:
            raise UserError(
                f"the encoder downscales images by {encoder.downscale}, but the decoder upscales by {decoder.downscale}"
            )
        outside = {k: v for k, v in class_labels.items() if not 0 <= v < model.config.num_classes}
        if outside:
            raise UserError(
                f"labels outside the generator's 0..{model.config.num_classes - 1}: {dict(list(outside.items())[:4])}"
            )
        self.model = model
        self.encoder = encoder
        self.decoder = decoder
        self.class_labels = dict(class_labels)
        self._batches = Batches()
        self._pretrained: dict[str, Tensor] = {}

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        class_labels: Mapping[str, int],
        encoder: str | Path | None = None,
        decoder: str | Path | None = None,
        device: torch.device | str,
        report: ProgressCallback | None = None,
        channels: int | None = None,
    ) -> ClassConditionalGenerator:
        """Load a generator; a folder or file on disk is read without any network access.

        Args:
            weights: a diffusers pipeline folder, a hub id ("owner/name"), or an original DiT `.pt` file.
            class_labels: suite class id -> label of the generator.
            encoder: folder or hub id of the VAE that encodes; None: the pipeline's own.
            decoder: folder or hub id of the VAE that decodes; None: the pipeline's own.
            device: where everything runs.
            report: told the megabytes of a download; None: the hub client draws its own bars.
            channels: of the images that it is given and draws, 3 or 1; None: the VAEs' own. See `Autoencoder`.

        Raises:
            UserError: a place does not exist or holds something else.
        """
        device = torch.device(device)
        model = load_transformer(weights, report=report).to(device)
        encoding = load_autoencoder(encoder or weights, channels=channels, report=report).to(device)
        decoding = encoding
        if (decoder or weights) != (encoder or weights):
            decoding = load_autoencoder(decoder or weights, channels=channels, report=report).to(device)
        return cls(model, encoding, decoding, class_labels)

    def accelerate(self, *, precision: Precision = "float32", compiled: bool = False) -> None:
        """Choose how the denoiser computes from now on; both options change its results slightly.

        Args:
            precision: of the matrix products; the VAEs stay in float32.
            compiled: `torch.compile` the denoiser: the first call of a shape takes seconds to minutes more. A network that
                is compiled stays so.

        Raises:
            UserError: unknown precision, or one that the device lacks.
        """
        check_precision(precision, self.device)
        self.model.precision = precision
        if compiled:
            self.model.compile()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.model.pos_embed.device

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know: which work ran out of memory, and what it went on with."""
        return tuple(
            dict.fromkeys(n for b in (self._batches, self.encoder.batches, self.decoder.batches) for n in b.notes)
        )

    @property
    def image_size(self) -> int:
        """Side of the generator's own images, pixels."""
        return self.model.config.input_size * self.decoder.downscale

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of one latent (C, h, w)."""
        config = self.model.config
        return config.in_channels, config.input_size, config.input_size

    def label_of(self, class_id: str) -> int:
        """Return the generator's label of a suite's class.

        Raises:
            UserError: the generator has no such class.
        """
        if class_id not in self.class_labels:
            known = sorted(self.class_labels)
            raise UserError(
                f"the generator has no label for class {class_id!r}.{did_you_mean(class_id, known)} It has "
                f"{len(known)} classes: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}. Give the "
                "generator's class list in generators.class_conditional.label_classes of the suite."
            )
        return self.class_labels[class_id]

    def encode_moments(self, images_BKSS: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and std [B, C, h, w] of the latents of uint8 images, in units of the denoiser."""
        return self.encoder.encode_moments(images_BKSS)

    def decode(self, latents_BChw: Tensor, *, batch_size: int = 64) -> Tensor:
        """Return uint8 images [B, K, S, S], on the CPU; K as `channels` of `load`."""
        return self.decoder.decode(latents_BChw, batch_size=batch_size)

    def latent_cache(
        self,
        images_u8: Images,
        labels: Tensor,
        *,
        flips: bool,
        report: ProgressCallback = no_progress,
        batch_size: int = 64,
        file: Path | None = None,
    ) -> LatentCache:
        """Encode real images once; see `LatentCache.encode`.

        Args:
            images_u8: [N, K, S, S] of this generator's `image_size`; anything sliced like a tensor.
            labels: [N] the generator's labels (`label_of`).
            flips: True for photographs, False for digits.
            report: told the images encoded.
            batch_size: images per call of the encoder.
            file: keep the moments in this memory-mapped file; None: in memory.

        Raises:
            UserError: the images have another size than the generator's.
        """
        side = images_u8[0:1].shape[-1]
        if side != self.image_size:
            raise UserError(
                f"images of {side} pixels for a generator of {self.image_size}; resize them before encoding"
            )
        return LatentCache.encode(
            self.encode_moments, images_u8, labels, flips=flips, report=report, batch_size=batch_size, file=file
        )

    def sample(
        self,
        c: ClassInfo,
        n: int,
        *,
        steps: int,
        guidance: float,
        rng: torch.Generator,
        sampler: str = "ddpm",
        batch_size: int = 64,
        guide: Guide | None = None,
        report: ProgressCallback = no_progress,
    ) -> Tensor:
        """Return `n` images of class `c`: uint8 [n, K, S, S] on the CPU, S = `image_size`, K as `channels` of `load`.

        Image i depends on one draw of `rng` and on i only, so the first 10 of 50 images are those of n = 10 (but for
        rounding in another batch size: at most a few grey levels).

        Args:
            c: a class that the generator knows.
            n: number of images.
            steps: denoising steps.
            guidance: classifier-free guidance scale; 1.0: none.
            rng: CPU generator.
            sampler: "ddpm", "ddim" or "dpmsolver++".
            batch_size: images at a time, at most.
            guide: may move the mean of each step; with the ddpm sampler only.
            report: told the images drawn.

        Raises:
            UserError: unknown class or sampler, a sampler without a mean to guide, or steps out of range.
        """
        latents = self.sample_latents(
            c,
            n,
            steps=steps,
            guidance=guidance,
            rng=rng,
            sampler=sampler,
            batch_size=batch_size,
            guide=guide,
            report=report,
        )
        return self.decode(latents, batch_size=batch_size)

    def sample_latents(
        self,
        c: ClassInfo,
        n: int,
        *,
        steps: int,
        guidance: float,
        rng: torch.Generator,
        sampler: str = "ddpm",
        batch_size: int = 64,
        guide: Guide | None = None,
        report: ProgressCallback = no_progress,
    ) -> Tensor:
        """Return the latents [n, C, h, w] that `sample` decodes, float32 on the device; arguments as there."""
        label = self.label_of(c.id)
        base = int(torch.randint(0, 2**62, (), generator=rng))
        return sample_latents(
            self.model,
            torch.full((n,), label),
            [seeds.derive("image", base, i) for i in range(n)],
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            batch_size=batch_size,
            device=self.device,
            guide=guide,
            report=report,
            batches=self._batches,
        )

    @property
    def null_label(self) -> int:
        """The label that stands for no class."""
        return self.model.config.num_classes

    def process(self, steps: int | None = None) -> GaussianDiffusion:
        """Return the noise levels of all 1000 steps, or of `steps` evenly spaced ones, as ddpm takes them."""
        return GaussianDiffusion() if steps is None else GaussianDiffusion.respaced(steps)

    def predict_noise(
        self, x_BChw: Tensor, t_B: Tensor, labels_B: Tensor, *, guidance: float = 1.0, guided_channels: int = 3
    ) -> Tensor:
        """Return the noise [B, C, h, w] that the network finds in noisy latents; differentiable in them.

        Args:
            x_BChw: noisy latents.
            t_B: timesteps of the full process, 0 to 999.
            labels_B: the generator's own labels (`label_of`), or `null_label`.
            guidance: classifier-free guidance scale; 1.0: none.
            guided_channels: noise channels under guidance, see `guided_output`.
        """
        output = guided_output(self.model, x_BChw, t_B, labels_B, guidance=guidance, guided_channels=guided_channels)
        return output[:, : x_BChw.shape[1]].float()

    def denoise_once(self, latents_BChw: Tensor) -> Tensor:
        """Pass latents once through the denoiser, at half of the chain: to measure how long that takes."""
        t_B = torch.full((len(latents_BChw),), 500, device=self.device)
        return self.model(latents_BChw, t_B, torch.zeros_like(t_B))

    def finetune(
        self, *, mode: str, lr: float, weight_decay: float, ema_decay: float, label_dropout: float = 0.1
    ) -> FineTuner:
        """Return a fine-tuner of this generator's network, always from the pre-trained weights.

        The network trains in place: sample after `apply_finetuned`, or from another copy. Args: see `FineTuner`;
        mode is "difffit", "full" or "bias".

        Raises:
            UserError: unknown mode.
        """
        self._reset()
        if mode == "difffit":
            difffit.add_scales(self.model)
        self._keep(difffit.trainable_names(self.model, mode))
        return FineTuner(
            self.model, mode=mode, lr=lr, weight_decay=weight_decay, ema_decay=ema_decay, label_dropout=label_dropout
        )

    @torch.no_grad()
    def apply_finetuned(self, state: Mapping[str, Tensor]) -> None:
        """Put fine-tuned values (`FineTuner.state`) into the network and fold their scales.

        May be called again with another state, such as the next class group's: it starts from the pre-trained weights.

        Raises:
            ValueError: the state is of another network.
        """
        self._reset()
        if any("gamma" in name for name in state):
            difffit.add_scales(self.model)
        parameters = dict(self.model.named_parameters())
        for name, value in state.items():
            if name not in parameters or parameters[name].shape != value.shape:
                found = list(parameters[name].shape) if name in parameters else "missing"
                difffit.drop_scales(self.model)
                raise ValueError(f"fine-tuned tensor {name!r} has shape {list(value.shape)}; the network's is {found}")
        self._keep([*state, *difffit.folded_names(self.model)])
        for name, value in state.items():
            parameters[name].copy_(value)
        difffit.fold(self.model)

    def _keep(self, names: list[str]) -> None:
        """Remember pre-trained values, on the CPU, before they change."""
        parameters = dict(self.model.named_parameters())
        for name in names:
            if "gamma" not in name and name not in self._pretrained:
                self._pretrained[name] = parameters[name].detach().cpu().clone()

    @torch.no_grad()
    def _reset(self) -> None:
        """Return to the pre-trained network."""
        difffit.drop_scales(self.model)
        self.model.requires_grad_(False)
        parameters = dict(self.model.named_parameters())
        for name, value in self._pretrained.items():
            parameters[name].copy_(value)
