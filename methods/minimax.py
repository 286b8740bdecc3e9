"""Minimax Diffusion: fine-tune a DiT so that its images represent the class and differ from each other, then sample.

Paper: Gu et al., Efficient Dataset Distillation via Minimax Diffusion, CVPR 2024. Legend: B batch, M memory,
C h w latent channels, height and width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness import UNHASHED, DistilledSet, Method, State, Task, register_method, search
from methods._sampling import Sampling, open_generator, passes
from methods.dit import draw

if TYPE_CHECKING:
    from torch import Tensor


@register_method("minimax")
class Minimax(Method):
    """DiffFit fine-tuning with the two criteria, then sampling with the EMA weights.

    Paper: the memories hold "embeddings". Here, as in the authors' code: they hold VAE latents and predicted clean
    latents, and the criteria compare those.
    """

    version = 1
    title = "Minimax Diffusion"
    reference = "Gu et al., Efficient Dataset Distillation via Minimax Diffusion, CVPR 2024"
    bibtex = """@inproceedings{gu2024minimax,
      author = {Gu, Jianyang and Vahidian, Saeed and Kungurtsev, Vyacheslav and Wang, Haonan and Jiang, Wei and You, Yang and
                Chen, Yiran},
      title = {Efficient Dataset Distillation via Minimax Diffusion},
      booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
      pages = {15793--15803},
      year = {2024},
    }"""
    needs = {"class_conditional_generator"}
    nested = True

    class Config(Sampling):
        """Options; the defaults are those of the authors' published command."""

        epochs: int = Field(8, ge=1, description="passes over the real images of the group; 8 as published")
        batch: int = Field(8, ge=1, description="real latents a step; 8 as published")
        lr: float = Field(
            1e-3,
            gt=0,
            description="AdamW learning rate, constant",
            json_schema_extra=search("log", 1e-4, 1e-2),  # a decade to each side of the published value
        )
        weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
        ema_decay: float = Field(0.9999, ge=0, lt=1, description="EMA whose weights sample")
        label_dropout: float = Field(0.1, ge=0, lt=1, description="share of labels replaced by the null class")
        lambda_r: float = Field(
            0.002,
            ge=0,
            description="weight of representativeness",
            json_schema_extra=search(
                "log", 2e-4, 2e-1
            ),  # the paper's own ablation spans a decade; shorter fits need more
        )
        lambda_d: float = Field(
            0.008,
            ge=0,
            description="weight of diversity",
            json_schema_extra=search("log", 8e-4, 8e-1),  # as lambda_r, four times it as published
        )
        memory: int = Field(64, ge=1, description="latents kept per class in each of the two memories")
        flips: bool = Field(True, description="random horizontal flips of the real images")
        trainable: Literal["difffit", "bias", "full"] = Field("difffit", description="which parameters train")
        group_size: int = Field(10, ge=1, description="classes fine-tuned together; breaks beyond about 20 (authors)")
        checkpoint_every: int = Field(2000, ge=1, description="steps between checkpoints", json_schema_extra=UNHASHED)

    def group_size(self) -> int:
        """Return the classes per fit."""
        return self.config.group_size

    def fit(self, task: Task) -> State:
        """Fine-tune; returns the EMA values of what trains."""
        cfg, generator = self.config, open_generator(task, self.config)
        images, labels = task.real.tensors()
        theirs = labels.clone()
        for c in task.classes:
            theirs[labels == c.label] = generator.label_of(c.id)
        cache = generator.latent_cache(
            images, theirs, flips=cfg.flips, report=task.report, file=task.checkpoint.file("latents.npy")
        )
        tuner = generator.finetune(
            mode=cfg.trainable,
            lr=cfg.lr,
            weight_decay=cfg.weight_decay,
            ema_decay=cfg.ema_decay,
            label_dropout=cfg.label_dropout,
        )
        criteria = Criteria(cache.labels.unique().to(task.device), cfg.lambda_r, cfg.lambda_d, cfg.memory)
        order = BatchOrder(task, len(cache), cfg.batch)
        total = cfg.epochs * order.steps_per_epoch
        start = self._resume(task, tuner, criteria)
        meter = Meter(task, every=max(1, total // 100))
        with task.progress(total, "step", "fine-tuning") as advance:
            for step in range(start, total):
                rows_B, rng = order.rows(step), task.rng(f"step/{step}")
                x0_BChw, labels_B = cache.draw(rows_B, rng).to(task.device), cache.labels[rows_B].to(task.device)
                denoising, predicted_BChw = tuner.loss(x0_BChw, labels_B, rng)
                represent, diversity = criteria(x0_BChw, predicted_BChw, labels_B)
                tuner.step(denoising.mean() + represent + diversity)
                meter.add(step, denoising.mean(), criteria.cosines)
                if (step + 1) % cfg.checkpoint_every == 0:
                    meter.flush(step)
                    tuning = {f"tuner/{name}": value for name, value in tuner.checkpoint().items()}
                    state = {"step": step + 1, "curves": task.curves, **tuning, **criteria.checkpoint()}
                    task.checkpoint.save(state)
                advance(step + 1)
        return tuner.state()

    @staticmethod
    def _resume(task: Task, tuner: Any, criteria: Criteria) -> int:
        """Restore a checkpoint if a killed run left one; return the step to go on from."""
        saved = task.checkpoint.load()
        if saved is None:
            return 0
        tuner.restore({k.removeprefix("tuner/"): v for k, v in saved.items() if k.startswith("tuner/")})
        criteria.restore(saved)
        task.curves.extend(saved["curves"])
        return saved["step"]

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Draw the images from the fine-tuned generator."""
        generator = open_generator(task, self.config)
        generator.apply_finetuned(state)
        return draw(task, ipc, self.config, generator)

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work."""
        return {
            "fit": ("class_conditional", self.config.epochs * num_real, 0),
            "synthesize": ("class_conditional", 0, passes(num_images, self.config)),
        }


class BatchOrder:
    """Shuffled rows of the latent cache, epoch by epoch; any step can be asked for, so a resumed fit sees the same."""

    def __init__(self, task: Task, count: int, batch: int) -> None:
        self.task, self.count = task, count
        self.batch = min(batch, count)
        self.steps_per_epoch = count // self.batch  # the last, smaller batch is dropped, as in the authors' code
        self._epoch = -1
        self._order: Tensor | None = None

    def rows(self, step: int) -> Tensor:
        """Return the rows [B] of a step, counted over all epochs."""
        import torch

        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=self.task.rng(f"epoch/{epoch}"))
        assert self._order is not None
        return self._order[place * self.batch : (place + 1) * self.batch]


class Criteria:
    """Representativeness and diversity against two FIFO memories per class: real latents and predicted clean latents.

    For each class of the batch with a memory: lambda_r (1 - smallest cosine to the real memory) and lambda_d (largest
    cosine to the predicted memory), both averaged over all classes of the batch. Loss first, then memory update;
    gradient flows through the current prediction only. Source: golden/minimax_loss.json.

    Args:
        labels_K: the labels that may occur.
        lambda_r, lambda_d: weights.
        size: latents kept per class and memory.
    """

    def __init__(self, labels_K: Tensor, lambda_r: float, lambda_d: float, size: int) -> None:
        self.labels_K = labels_K
        self.lambda_r, self.lambda_d, self.size = lambda_r, lambda_d, size
        self.real_KMD: Tensor | None = None
        self.predicted_KMD: Tensor | None = None
        self.count_K = labels_K.new_zeros(len(labels_K))
        self.cosines: tuple[Tensor, Tensor] | None = None
        """Of the last step: mean over contributing classes of the smallest cosine to real, the largest to predicted."""

    def __call__(self, real_BChw: Tensor, predicted_BChw: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two losses (weighted, averaged over the classes of the batch), then remember the batch."""
        import torch

        real_BD, predicted_BD = real_BChw.flatten(1), predicted_BChw.flatten(1)
        if self.real_KMD is None or self.predicted_KMD is None:
            shape = (len(self.labels_K), self.size, real_BD.shape[1])
            self.real_KMD, self.predicted_KMD = real_BD.new_zeros(shape), predicted_BD.detach().new_zeros(shape)
        member_KB = self.labels_K[:, None] == labels_B[None, :]
        row_B = member_KB.int().argmax(dim=0)
        present_K = member_KB.any(dim=1)
        active_K = present_K & (self.count_K > 0)
        filled_BM = torch.arange(self.size, device=row_B.device) < self.count_K[row_B, None]
        to_real_BM = _cosine(predicted_BD, self.real_KMD[row_B])
        to_predicted_BM = _cosine(predicted_BD, self.predicted_KMD[row_B])
        least_B = torch.where(filled_BM, to_real_BM, torch.inf).amin(dim=1)
        most_B = torch.where(filled_BM, to_predicted_BM, -torch.inf).amax(dim=1)
        least_K = torch.where(member_KB, least_B, torch.inf).amin(dim=1)
        most_K = torch.where(member_KB, most_B, -torch.inf).amax(dim=1)
        num_classes = present_K.sum()
        represent = torch.where(active_K, 1 - least_K, 0).sum() * self.lambda_r / num_classes
        diversity = torch.where(active_K, most_K, 0).sum() * self.lambda_d / num_classes
        num_active = active_K.sum().clamp(min=1)
        self.cosines = (
            torch.where(active_K, least_K, 0).sum().detach() / num_active,
            torch.where(active_K, most_K, 0).sum().detach() / num_active,
        )
        self._remember(real_BD, predicted_BD.detach(), row_B, member_KB)
        return represent, diversity

    def _remember(self, real_BD: Tensor, predicted_BD: Tensor, row_B: Tensor, member_KB: Tensor) -> None:
        """Append in batch order and drop the oldest: a ring per class, written at count modulo size."""
        assert self.real_KMD is not None
        assert self.predicted_KMD is not None
        added_K = member_KB.sum(dim=1)
        rank_B = (member_KB.cumsum(dim=1).gather(0, row_B[None, :]) - 1)[0]
        kept_B = rank_B >= added_K[row_B] - self.size  # more than a memory in one batch: only the newest stay
        place_B = (self.count_K[row_B] + rank_B) % self.size
        rows, places = row_B[kept_B], place_B[kept_B]
        self.real_KMD[rows, places] = real_BD[kept_B]
        self.predicted_KMD[rows, places] = predicted_BD[kept_B]
        self.count_K += added_K

    def memory(self, label: int) -> tuple[Tensor, Tensor]:
        """Return the two memories of a class, [<= size, D] each, oldest first."""
        import torch

        assert self.real_KMD is not None
        assert self.predicted_KMD is not None
        row = int((self.labels_K == label).nonzero()[0, 0])
        count = int(self.count_K[row])
        places = torch.arange(max(0, count - self.size), count, device=self.count_K.device) % self.size
        return self.real_KMD[row, places], self.predicted_KMD[row, places]

    def checkpoint(self) -> State:
        """Return what `restore` needs."""
        return {"memory/real": self.real_KMD, "memory/predicted": self.predicted_KMD, "memory/count": self.count_K}

    def restore(self, state: State) -> None:
        """Put the memories of a checkpoint back."""
        device = self.labels_K.device
        self.real_KMD, self.predicted_KMD = state["memory/real"].to(device), state["memory/predicted"].to(device)
        self.count_K = state["memory/count"].to(device)


def _cosine(one_BD: Tensor, many_BMD: Tensor) -> Tensor:
    """Return cosine similarities [B, M], without an epsilon, as in the authors' code; empty places give 0 and are masked."""
    import torch

    dots = torch.einsum("bd,bmd->bm", one_BD, many_BMD)
    norms = many_BMD.norm(dim=2)
    return dots / (one_BD.norm(dim=1, keepdim=True) * torch.where(norms > 0, norms, 1))


@dataclass
class Meter:
    """Log the mean of the losses and cosines over the steps since the last entry; values stay on the device until then."""

    task: Task
    every: int
    values: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def add(self, step: int, denoising: Tensor, cosines: tuple[Tensor, Tensor] | None) -> None:
        """Add one step; the cosines are zero until a class has a memory."""
        assert cosines is not None
        self.values.append((denoising.detach(), *cosines))
        if (step + 1) % self.every == 0:
            self.flush(step)

    def flush(self, step: int) -> None:
        """Write what has gathered; a checkpoint does so, so that a resumed fit has the same curve."""
        if self.values:
            denoise, least, most = (sum(v[i] for v in self.values) / len(self.values) for i in range(3))
            self.task.log(
                step + 1,
                denoising_loss=float(denoise),
                min_cosine_to_real=float(least),
                max_cosine_to_predicted=float(most),
            )
            self.values.clear()
