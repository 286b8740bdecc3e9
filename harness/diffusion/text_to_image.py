"""A pre-trained text-to-image generator (CLIP text encoder, UNet, VAE): sample it, encode for it, add tokens to it.

In: a diffusers `StableDiffusionPipeline` folder or hub id; prompts; seeds. Out: uint8 images, latents, denoising
losses. It never knows which method uses it. Each image depends on its prompt and its seed only: not on the batch, the
order or the device that it is drawn in (but for rounding).

Shapes: B images, L prompt length, D width of the text encoder, V rows of a token, C h w latent, S image side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.core import seeds
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.diffusion.adaptive_batches import Batches
from harness.diffusion.latents import Images, LatentCache
from harness.diffusion.prompts import PromptEncoder
from harness.diffusion.samplers import NoiseStreams
from harness.diffusion.text_parts import TextParts, load_text_parts
from harness.diffusion.text_samplers import TEXT_SAMPLERS as TEXT_SAMPLERS
from harness.diffusion.text_samplers import Schedule, text_scheduler, with_noise
from harness.diffusion.tokens import TokenLearner

if TYPE_CHECKING:
    from harness.core.classes import ClassInfo

LIVE_VALUES = 32
"""Values per latent pixel and first width at the peak of a UNet: the gated feed-forward of its largest transformer."""


class TextToImageGenerator:
    """A frozen text-to-image diffusion model and the words of the suite's classes.

    Args:
        parts: tokenizer, text encoder, UNet, autoencoder and the scheduler's config.
        class_words: suite class id -> the word or words that name it in a prompt.
    """

    def __init__(self, parts: TextParts, class_words: Mapping[str, str]) -> None:
        self.text = PromptEncoder(parts.tokenizer, parts.text_encoder)
        self.unet = parts.unet
        self.autoencoder = parts.autoencoder
        self.scheduler_config = parts.scheduler_config
        self.class_words = dict(class_words)
        self._batches = Batches()
        self.unet.eval().requires_grad_(False)
        self._alphas_cumprod = text_scheduler("ddpm", self.scheduler_config).alphas_cumprod.float()

    @classmethod
    def load(
        cls,
        weights: str | Path,
        *,
        class_words: Mapping[str, str],
        encoder: str | Path | None = None,
        decoder: str | Path | None = None,
        device: torch.device | str,
        report: ProgressCallback | None = None,
        channels: int | None = None,
    ) -> TextToImageGenerator:
        """Load a generator; a folder on disk is read without any network access.

        Args:
            weights: a `StableDiffusionPipeline` folder, or a hub id ("owner/name").
            class_words: suite class id -> the words that name it.
            encoder: a VAE in place of the pipeline's own; one VAE serves both directions here.
            decoder: the same place as `encoder`, or None.
            device: where everything runs.
            report: told the megabytes of a download; None: the hub client draws its own bars.
            channels: of the images that it is given and draws, 3 or 1; None: the VAE's own. See `Autoencoder`.

        Raises:
            UserError: the place does not exist or holds another kind of pipeline, or encoder and decoder differ.
        """
        if decoder not in (None, encoder):
            raise UserError(
                f"a text-to-image generator uses one VAE, but encoder is {encoder} and decoder is {decoder}: set the "
                "same for both"
            )
        parts = load_text_parts(weights, vae=encoder, device=torch.device(device), report=report, channels=channels)
        return cls(parts, class_words)

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self.unet.device

    @property
    def image_size(self) -> int:
        """Side of the generator's own images, pixels."""
        return self.latent_shape[1] * self.autoencoder.downscale

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of one latent (C, h, w)."""
        side = self.unet.config.sample_size
        return int(self.unet.config.in_channels), int(side), int(side)

    @property
    def num_bytes(self) -> int:
        """Size of all weights in memory, bytes: what is shared by all classes and sets; learned tokens not included."""
        modules = (self.text.text_encoder, self.unet, self.autoencoder.vae)
        total = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
        return total - self.text.embedding.rows.numel() * self.text.embedding.rows.element_size()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know: which work ran out of memory, and what it went on with."""
        return tuple(dict.fromkeys([*self._batches.notes, *self.autoencoder.batches.notes]))

    def word_of(self, c: ClassInfo) -> str:
        """Return the word or words that name a class in a prompt."""
        return self.class_words.get(c.id, c.name)

    def learn_tokens(
        self, names: Sequence[str], words: Sequence[str], *, rows: int = 1, lr: float, weight_decay: float = 0.01
    ) -> TokenLearner:
        """Add tokens, each started from its word, and return what trains them.

        Args:
            names: the new tokens.
            words: per token the initialiser, a single token of the text encoder.
            rows: embeddings per token.
            lr: AdamW learning rate.
            weight_decay: AdamW weight decay; 0.01 as in diffusers' textual-inversion example.

        Raises:
            UserError: a token exists, or an initialiser is several tokens.
        """
        initial = {name: self.text.word_rows(word, rows) for name, word in zip(names, words, strict=True)}
        if len(initial) < len(names):
            raise UserError(f"several classes share a token name: {', '.join(names)}")
        return TokenLearner(self.text, self.denoising_loss, initial, lr=lr, weight_decay=weight_decay)

    def encode_moments(self, images_BKSS: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and std [B, C, h, w] of the latents of uint8 images, in units of the denoiser."""
        return self.autoencoder.encode_moments(images_BKSS)

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
        """Encode real images once; images of another size are resized first. See `LatentCache.encode`.

        Args:
            images_u8: [N, K, s, s] of any side; anything sliced like a tensor.
            labels: [N] numbers that the caller tells classes by.
            flips: True for photographs, False for digits.
            report: told the images encoded.
            batch_size: images per call of the encoder.
            file: keep the moments in this memory-mapped file; None: in memory.
        """

        def encode(images: Tensor) -> tuple[Tensor, Tensor]:
            return self.encode_moments(resize(images, self.image_size))

        return LatentCache.encode(
            encode, images_u8, labels, flips=flips, report=report, batch_size=batch_size, file=file
        )

    def denoising_loss(self, latents_BChw: Tensor, states_BLD: Tensor, rng: torch.Generator) -> Tensor:
        """Return the mean squared error [B] of the predicted noise (or velocity, as the scheduler's config says).

        Args:
            latents_BChw: clean latents, on any device.
            states_BLD: of `text.encode`.
            rng: CPU generator; draws timesteps, then noise, the same on every device.
        """
        t_B = torch.randint(0, len(self._alphas_cumprod), (len(latents_BChw),), generator=rng)
        noise = torch.randn(latents_BChw.shape, generator=rng).to(self.device)
        signal = self._alphas_cumprod[t_B].sqrt().view(-1, 1, 1, 1).to(self.device)
        sigma = (1 - self._alphas_cumprod[t_B]).sqrt().view(-1, 1, 1, 1).to(self.device)
        clean = latents_BChw.to(self.device)
        velocity = self.scheduler_config["prediction_type"] == "v_prediction"
        target = signal * noise - sigma * clean if velocity else noise
        noisy = (signal * clean + sigma * noise).to(self.unet.dtype)
        predicted = self.unet(noisy, t_B.to(self.device), encoder_hidden_states=states_BLD).sample
        return (predicted.float() - target).square().flatten(1).mean(1)

    def denoise_once(self, latents_BChw: Tensor) -> Tensor:
        """Pass latents once through the denoiser, at half of the chain: to measure how long that takes."""
        t_B = torch.full((len(latents_BChw),), 500, device=self.device)
        states = self.text.encode([""] * len(latents_BChw))
        return self.unet(latents_BChw.to(self.unet.dtype), t_B, encoder_hidden_states=states).sample

    def sample(
        self,
        prompts: Sequence[str],
        seeds_B: Sequence[int],
        *,
        steps: int,
        guidance: float,
        sampler: str = "ddim",
        negative: str = "",
        batch_size: int = 64,
        side: int | None = None,
        start: Tensor | None = None,
        strength: float = 1.0,
        report: ProgressCallback = no_progress,
    ) -> Tensor:
        """Return one image per prompt: uint8 [B, K, S, S] on the CPU; K as `channels` of `load`.

        Args:
            prompts: one per image; they may differ.
            seeds_B: one per image; equal prompt and seed give an equal image (but for rounding in another batch size).
            steps: denoising steps.
            guidance: classifier-free guidance scale; 1.0: none, and half the time.
            sampler: one of `TEXT_SAMPLERS`.
            negative: what guidance leads away from; "" as usual.
            batch_size: images at a time, at most.
            side: images are resized to it; None: the generator's own `image_size`.
            start: image-to-image: latents [B, C, h, w] in units of the denoiser, one per prompt, on any device. Each gets
                the noise of the first timestep that is run, drawn from its image's seed; None: from noise alone.
            strength: share of the steps that are run from `start`, see `Schedule`; of no effect without it.
            report: told the images drawn.

        Raises:
            UserError: the sampler is unknown, or steps or strength are out of range.
        """
        schedule = Schedule(sampler, self.scheduler_config, steps, 1.0 if start is None else strength)
        assert len(prompts) == len(seeds_B) > 0
        assert start is None or start.shape == (len(prompts), *self.latent_shape)
        side = side or self.image_size

        @torch.no_grad()
        def draw(first: int, end: int) -> Tensor:
            states = self.text.encode(prompts[first:end])
            away = self.text.encode([negative] * len(states)) if guidance != 1.0 else None
            begin = None if start is None else start[first:end].to(self.device)
            latents = self._chain(states, away, seeds_B[first:end], guidance, schedule, begin)
            images = resize(self.autoencoder.decode(latents, batch_size=batch_size), side)
            report("sample", end, len(prompts), "image")
            return images

        each = self._bytes_per_latent() * (1 if guidance == 1.0 else 2)
        drawn = self._batches.map("sampling", len(prompts), batch_size, draw, device=self.device, bytes_each=each)
        return torch.cat(list(drawn))

    def _bytes_per_latent(self) -> int:
        """Return the estimated memory of one latent in the UNet: 168 MB for Stable Diffusion 1.5; not measured."""
        _, side, _ = self.latent_shape
        return LIVE_VALUES * int(self.unet.config.block_out_channels[0]) * side**2 * self.unet.dtype.itemsize

    def _chain(
        self,
        states: Tensor,
        away: Tensor | None,
        chosen: Sequence[int],
        guidance: float,
        schedule: Schedule,
        start: Tensor | None,
    ) -> Tensor:
        """Run one whole denoising chain; returns latents [B, C, h, w]."""
        scheduler, timesteps = schedule.begin(self.device)
        x = NoiseStreams(chosen, self.latent_shape, self.device)()
        x = x * scheduler.init_noise_sigma if start is None else with_noise(scheduler, start, x, timesteps[0])
        # Ancestral noise: one generator per image, which diffusers draws each image's own noise from.
        noise = [torch.Generator().manual_seed(seeds.derive("ancestral", seed)) for seed in chosen]
        more = {"generator": noise} if schedule.sampler == "ddpm" else {}
        for t in timesteps:
            inputs = scheduler.scale_model_input(x, t).to(self.unet.dtype)
            if away is None:
                output = self.unet(inputs, t, encoder_hidden_states=states).sample.float()
            else:
                both = torch.cat([away, states])
                output = self.unet(torch.cat([inputs, inputs]), t, encoder_hidden_states=both).sample.float()
                empty, full = output.chunk(2)
                output = empty + guidance * (full - empty)
            x = scheduler.step(output, t, x, **more).prev_sample
        return x


def resize(images_u8: Tensor, side: int) -> Tensor:
    """Return uint8 images [B, K, side, side]: antialiased bicubic; the same tensor where the side fits already."""
    if images_u8.shape[-1] == side:
        return images_u8
    from torch.nn.functional import interpolate

    pixels = interpolate(images_u8.float(), (side, side), mode="bicubic", antialias=True, align_corners=False)
    return pixels.round().clamp(0, 255).to(torch.uint8)
