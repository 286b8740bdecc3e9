"""D3M: learn one token per class in a frozen text-to-image model, keep only the tokens, draw the images from them.

Paper: Abbasi et al., One Category One Prompt: Dataset Distillation using Diffusion Models, 2024. Its authors published
no code: this is our reading, set down in docs/methods/d3m.md. Legend: B batch, V rows of a token, D width of the text
encoder, C h w latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness import (
    AFTER_FIT,
    UNHASHED,
    ClassInfo,
    DistilledSet,
    Method,
    State,
    Stored,
    Task,
    UserError,
    register_method,
    search,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

CLASS_NAME = "class_name"


@register_method("d3m")
class D3M(Method):
    """Textual inversion on all training images of each class; the distilled set is the learned embeddings."""

    version = 1
    title = "D3M"
    reference = "Abbasi et al., One Category One Prompt: Dataset Distillation using Diffusion Models, 2024"
    bibtex = """@misc{abbasi2024d3m,
      author = {Abbasi, Ali and Shahbazi, Ashkan and Pirsiavash, Hamed and Kolouri, Soheil},
      title = {One Category One Prompt: Dataset Distillation using Diffusion Models},
      howpublished = {arXiv:2403.07142},
      year = {2024},
    }"""
    needs = {"text_to_image_generator"}
    nested = True

    class Config(Method.Config):
        """Options. The paper leaves most of them open; docs/methods/d3m.md says what we chose and why."""

        tokens_per_class: int = Field(
            1,
            ge=1,
            le=16,
            description="learned embeddings per class; 1: one category, one prompt",
            json_schema_extra=search(
                "integers", 1, 4
            ),  # more hold more of a class; beyond four the prompt is mostly token
        )
        initializer: str = Field(
            "object",
            description="word that the tokens start from, neutral so that no label leaks in; class_name: each class's own",
        )
        token: str = Field("<d3m-{}>", description="name of a class's token; {} is the class id")
        templates: tuple[str, ...] = Field(
            ("a photo of a {}", "a photo of the {}", "a picture of a {}", "an image of the {}"),
            min_length=1,
            description="prompts to learn from; {} is the token",
        )
        prompts: tuple[str, ...] = Field(
            ("a photo of a {}",),
            min_length=1,
            description="prompts to draw from, in turn; {} is the token",
            json_schema_extra=AFTER_FIT,
        )
        images_per_class: int | None = Field(
            None, ge=1, description="real images learned from; null: all, as the paper"
        )
        steps: int = Field(
            3000, ge=1, description="optimiser steps of one fit; the classes of a group share each batch"
        )
        batch: int = Field(10, ge=1, description="images a step, the classes of the group in turn")
        lr: float = Field(
            5e-3,
            gt=0,
            description="AdamW learning rate, constant; 5e-3 as in Gal et al., ICLR 2023",
            json_schema_extra=search("log", 5e-4, 5e-2),  # a decade to each side of the published value
        )
        weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay of the tokens")
        flips: bool = Field(True, description="random horizontal flips of the real images")
        group_size: int = Field(
            10, ge=1, description="classes learned together; does not change what a class can learn"
        )
        checkpoint_every: int = Field(
            500, ge=1, description="steps between checkpoints of a long fit", json_schema_extra=UNHASHED
        )
        sampling_steps: int = Field(50, ge=1, le=1000, description="denoising steps", json_schema_extra=AFTER_FIT)
        guidance: float = Field(
            7.5,
            ge=1.0,
            description="classifier-free guidance scale; 7.5 as in Stable Diffusion",
            json_schema_extra=AFTER_FIT | search("log", 1.0, 12.0),  # clear images against varied ones
        )
        sampler: Literal["ddim", "dpmsolver++", "ddpm"] = Field(
            "ddim", description="how images are drawn", json_schema_extra=AFTER_FIT
        )
        sampling_batch: int = Field(50, ge=1, description="images denoised at once", json_schema_extra=UNHASHED)
        draws: int = Field(
            1,
            ge=1,
            description="k: students see a pool of k x IPC images, IPC an epoch; 1: a fixed set",
            json_schema_extra=AFTER_FIT,
        )
        redraw_every: int | None = Field(
            None,
            ge=1,
            description="n: students see new images every n epochs, drawn as they train; null: never",
            json_schema_extra=UNHASHED,  # changes no set; the key of a training that redraws has it
        )

        @field_validator("templates", "prompts")
        @classmethod
        def _have_a_place(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
            for text in texts:
                if text.count("{}") != 1:
                    raise ValueError(f"prompt {text!r} needs one {{}}, the place of the token")
            return texts

        @model_validator(mode="after")
        def _one_kind_of_freshness(self) -> Self:
            if self.draws > 1 and self.redraw_every is not None:
                raise ValueError(
                    f"draws {self.draws} and redraw_every {self.redraw_every}: give one; a pool or new images"
                )
            return self

    def group_size(self) -> int:
        """Return the classes per fit."""
        return self.config.group_size

    def redraw_every(self) -> int | None:
        """Return the epochs between fresh images."""
        return self.config.redraw_every

    def pool_size(self) -> int:
        """Return the images drawn for each that an epoch sees."""
        return self.config.draws

    def fit(self, task: Task) -> State:
        """Learn the tokens; returns "rows/CLASS" -> [V, D]."""
        cfg, generator = self.config, task.generator("text_to_image")
        names = [self._token(c) for c in task.classes]
        learner = generator.learn_tokens(
            names,
            [generator.word_of(c) if cfg.initializer == CLASS_NAME else cfg.initializer for c in task.classes],
            rows=cfg.tokens_per_class,
            lr=cfg.lr,
            weight_decay=cfg.weight_decay,
        )
        images, labels = self._real(task)
        cache = generator.latent_cache(images, labels, flips=cfg.flips, report=task.report)
        start, losses = self._resume(task, learner), []
        every = max(1, cfg.steps // 100)
        with task.progress(cfg.steps, "step", "learning tokens") as advance:
            for step in range(start, cfg.steps):
                rng = task.rng(f"step/{step}")
                rows_B, prompts = self._batch(step, cache.labels, names, rng)
                loss = learner.loss(cache.draw(rows_B, rng), prompts, rng).mean()
                learner.step(loss)
                losses.append(loss.detach())
                if (step + 1) % every == 0:
                    task.log(step + 1, denoising_loss=float(sum(losses) / len(losses)))
                    losses.clear()
                if (step + 1) % cfg.checkpoint_every == 0:
                    task.checkpoint.save({"step": step + 1, "curves": task.curves, **learner.checkpoint()})
                advance(step + 1)
        learned = learner.finish()
        return {f"rows/{c.id}": learned[name] for c, name in zip(task.classes, names, strict=True)}

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Draw the images from the learned tokens; only tokens, seeds and prompts are kept."""
        return self.drawer(task, state, ipc)(0)

    def drawer(self, task: Task, state: Any, ipc: int) -> Callable[[int], DistilledSet]:
        """Return a function that draws images [number * count, (number + 1) * count) of each class's stream of seeds."""
        cfg, generator = self.config, task.generator("text_to_image")
        texts, first, files, count = {}, {}, {}, ipc * cfg.draws
        for c in task.classes:
            token, seed = self._token(c), _seed(task.rng(f"draw/{c.id}"))
            generator.text.add_token(token, state[f"rows/{c.id}"])
            texts[c.id], first[c.id] = [text.replace("{}", token) for text in cfg.prompts], seed
            files[f"{c.id}.safetensors"] = generator.text.token_file(token, {"seed": seed, "prompts": texts[c.id]})

        def draw(number: int) -> DistilledSet:
            chosen = range(number * count, (number + 1) * count)
            with task.per_image():
                images = generator.sample(
                    [texts[c.id][i % len(cfg.prompts)] for c in task.classes for i in chosen],
                    [first[c.id] + i for c in task.classes for i in chosen],
                    steps=cfg.sampling_steps,
                    guidance=cfg.guidance,
                    sampler=cfg.sampler,
                    batch_size=cfg.sampling_batch,
                    side=task.image_size,
                    report=task.report,
                )
            by_class = dict(zip([c.id for c in task.classes], images.split(count), strict=True))
            stored = Stored(files, generator.num_bytes)
            return DistilledSet(by_class, notes=generator.notes, stored=stored, draws=cfg.draws)

        return draw

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work; D3M learns from as many images as its steps take, however many there are."""
        cfg = self.config
        passes = num_images * cfg.draws * cfg.sampling_steps * (1 if cfg.guidance == 1 else 2)
        return {"fit": ("text_to_image", cfg.steps * cfg.batch, 0), "synthesize": ("text_to_image", 0, passes)}

    def _token(self, c: ClassInfo) -> str:
        """Return the name of a class's token, without spaces."""
        return self.config.token.replace("{}", "-".join(c.id.lower().split()))

    def _real(self, task: Task) -> tuple[Tensor, Tensor]:
        """Return the images to learn from [N, 3, S, S] and the position of their class in the task [N]."""
        import torch

        images, labels = [], []
        for number, c in enumerate(task.classes):
            total, most = task.real.num_per_class[c.id], self.config.images_per_class
            chosen = None
            if most is not None and most < total:
                chosen = torch.randperm(total, generator=task.rng(f"choose/{c.id}"))[:most].tolist()
            images.append(task.real.images(c.id, chosen))
            labels.append(torch.full((len(images[-1]),), number))
        return torch.cat(images), torch.cat(labels)

    def _batch(self, step: int, labels_N: Tensor, names: list[str], rng: torch.Generator) -> tuple[Tensor, list[str]]:
        """Return rows of the latent cache [B], the classes in turn whatever their size, and a prompt for each."""
        import torch

        cfg = self.config
        sizes = torch.bincount(labels_N, minlength=len(names))
        if not sizes.all():
            raise UserError(f"no real images for token {names[int(sizes.argmin())]}")
        classes_B = (step * cfg.batch + torch.arange(cfg.batch)) % len(names)
        inside_B = (torch.rand(cfg.batch, generator=rng) * sizes[classes_B]).long()
        starts = sizes.cumsum(0) - sizes
        chosen = torch.randint(0, len(cfg.templates), (cfg.batch,), generator=rng).tolist()
        prompts = [cfg.templates[k].replace("{}", names[c]) for k, c in zip(chosen, classes_B.tolist(), strict=True)]
        return starts[classes_B] + inside_B, prompts

    @staticmethod
    def _resume(task: Task, learner: Any) -> int:
        """Restore a checkpoint if a killed run left one; return the step to go on from."""
        saved = task.checkpoint.load()
        if saved is None:
            return 0
        learner.restore(saved)
        task.curves.extend(saved["curves"])
        return saved["step"]


def _seed(rng: torch.Generator) -> int:
    """Return the seed of a class's first image; image i has the i-th after it."""
    import torch

    return int(torch.randint(0, 2**62, (), generator=rng))
