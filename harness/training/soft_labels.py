"""Soft labels: a frozen teacher's outputs on each batch as the student sees it, or stored ones; and the loss against them.

In: a teacher and how its images were normalised, or one row of logits an image. Out: the loss of a student's batch. A
teacher's labels of a whole training would take far more room than the images, so they are made on the fly; stored ones
are of the images as they are, and mixed by area under CutMix. Shapes: N training images, B batch, C classes, S image side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.data.rows import ImageRows, as_rows
from harness.data.sets.soft_labels import BYTES_A_NUMBER
from harness.training.cutmix import Mix
from harness.training.evaluation import predict
from harness.training.forward import Forward


@dataclass(frozen=True)
class SoftLabels:
    """A teacher that labels batches.

    Attributes:
        teacher: maps normalised images [B, K, S, S] to logits [B, C], classes in the suite's order; in eval mode.
        protocol: the teacher's training protocol; only its normalisation is used here.
        num_bytes: size of the teacher's weights in bytes, needed in addition to the distilled set.
        side: side length of its training images, pixels; `label` resizes others. None: any size.
    """

    teacher: nn.Module
    protocol: Protocol
    num_bytes: int
    side: int | None = None

    @property
    def network(self) -> nn.Module:
        """The teacher, for methods that differentiate through it; jobs load it with frozen weights."""
        return self.teacher

    def logits(self, images_B3SS: Tensor, protocol: Protocol) -> Tensor:
        """Return the teacher's logits for images normalised by `protocol`; without gradient, the teacher is unchanged."""
        with torch.no_grad():
            return self.teacher(self._renormalised(images_B3SS, protocol))

    def loss(
        self,
        student_BC: Tensor,
        images_B3SS: Tensor,
        rows_B: Tensor,
        labels_B: Tensor,
        mix: Mix | None,
        protocol: Protocol,
    ) -> Tensor:
        """Return the loss against the teacher's labels of the batch as the student sees it, mixed already."""
        del rows_B
        return _loss(student_BC, self.logits(images_B3SS, protocol), labels_B, mix, protocol)

    def label(self, images_B3SS: Tensor | ImageRows, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the logits [B, C] of uint8 images on the teacher's device; in batches, without gradient.

        Images of another size than the teacher's own are resized (bilinear, antialiased), as for features.
        """
        if self.side is not None and images_B3SS.shape[-1] != self.side:
            images_B3SS = _Resized(as_rows(images_B3SS, images_B3SS.device), self.side)
        return predict(self._forward, images_B3SS, self.protocol, dtype)

    @cached_property
    def _forward(self) -> Forward:
        return Forward(self.teacher, self.protocol)

    def _renormalised(self, images_B3SS: Tensor, protocol: Protocol) -> Tensor:
        own = self.protocol
        if (own.mean, own.std) == (protocol.mean, protocol.std):
            return images_B3SS
        mean, std, own_mean, own_std = (
            images_B3SS.new_tensor(v).view(-1, 1, 1) for v in (protocol.mean, protocol.std, own.mean, own.std)
        )
        return (images_B3SS * std + mean - own_mean) / own_std


class _Resized(ImageRows):
    """Images at another side, resized as they are asked for; a few at a time are held as float32."""

    def __init__(self, images: ImageRows, side: int) -> None:
        self.images, self.device = images, images.device
        self.shape = (*images.shape[:2], side, side)

    def batches(self, order: Tensor, size: int | list[int]) -> Iterator[Tensor]:
        return (self._resized(images) for images in self.images.batches(order, size))

    def split(self, size: int) -> Iterable[Tensor]:
        return (self._resized(images) for images in self.images.split(size))

    def _resized(self, images_B3SS: Tensor) -> Tensor:
        some = [
            functional.interpolate(images.float(), size=self.shape[2:], mode="bilinear", antialias=True)
            .round()
            .clamp(0, 255)
            .to(torch.uint8)
            for images in images_B3SS.split(_RESIZED_AT_ONCE)
        ]
        return torch.cat(some)


_RESIZED_AT_ONCE = 64
"""Images held as float32 while they are resized."""


@dataclass(frozen=True)
class StoredLabels:
    """One soft label an image, made once, without augmentation.

    Attributes:
        logits_NC: of the training images, in their order, any float type.
    """

    logits_NC: Tensor

    @property
    def num_bytes(self) -> int:
        """Bytes that they take in half precision."""
        return BYTES_A_NUMBER * self.logits_NC.numel()

    def loss(
        self,
        student_BC: Tensor,
        images_B3SS: Tensor,
        rows_B: Tensor,
        labels_B: Tensor,
        mix: Mix | None,
        protocol: Protocol,
    ) -> Tensor:
        """Return the loss against the labels of the images `rows_B`, after CutMix weighted by the area that each kept.

        Of the KL divergence the gradient is that of the labels mixed as probabilities: the two losses differ by an entropy.
        """
        del images_B3SS
        logits_BC = self.logits_NC.to(student_BC.device)[rows_B]
        loss = _loss(student_BC, logits_BC, labels_B, None, protocol)
        if mix is None:
            return loss
        partner = mix.partner.to(logits_BC.device)
        other = _loss(student_BC, logits_BC[partner], labels_B[partner], None, protocol)
        return mix.kept * loss + (1 - mix.kept) * other


def _loss(student_BC: Tensor, teacher_BC: Tensor, labels_B: Tensor, mix: Mix | None, protocol: Protocol) -> Tensor:
    """Return the protocol's loss against a teacher's logits of the batch; `mix` is that of the hard labels."""
    if protocol.soft_loss == "gift":
        return gift_loss(student_BC, teacher_BC, smoothed(labels_B, student_BC.shape[1], mix))
    return soft_label_loss(student_BC, teacher_BC, temperature=protocol.temperature)


def soft_label_loss(student_BC: Tensor, teacher_BC: Tensor, *, temperature: float) -> Tensor:
    """KL divergence of the student from the teacher, both softened: sum over classes, mean over the batch, nats.

    Args:
        student_BC: logits; differentiable.
        teacher_BC: logits.
        temperature: divides both; above 0. There is no factor T^2, so gradients are small; AdamW does not mind.

    Source: golden/rded.json, "loss".
    """
    student, teacher = (functional.log_softmax(x.float() / temperature, dim=1) for x in (student_BC, teacher_BC))
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


GIFT_SMOOTHING = 0.1
"""Share of a hard label that the other classes get, and the weight of that label beside the teacher's."""


def gift_loss(student_BC: Tensor, teacher_BC: Tensor, hard_BC: Tensor) -> Tensor:
    """Return 1 - the cosine between the student's logits and the refined labels, mean over the batch, in [0, 2].

    Paper (GIFT, Shang et al., ICLR 2025): a weighted mean of the teacher's and the smoothed hard label. Code: their sum,
    both of length 1, the hard one times 0.1; logits as they are, no temperature. Here: as the code.
    Code: no CutMix. Here: under CutMix the smoothed hard labels are mixed by area first, where a teacher sees the mixed
    images; of stored labels, each with its own hard label, the losses are mixed by area.

    Args:
        student_BC: logits; differentiable.
        teacher_BC: logits.
        hard_BC: smoothed hard labels, as `smoothed` returns them.

    Source: golden/methods/labels.json, "gift_file_gift".
    """
    refined = functional.normalize(teacher_BC.float(), dim=1) + GIFT_SMOOTHING * functional.normalize(hard_BC, dim=1)
    return 1 - functional.cosine_similarity(student_BC.float(), refined, dim=1).mean()


def smoothed(labels_B: Tensor, num_classes: int, mix: Mix | None = None) -> Tensor:
    """Return hard labels as float32 [B, C]: 0.9 for the class, 0.1 shared by the others; after CutMix mixed by area."""
    low = GIFT_SMOOTHING / (num_classes - 1)
    found = torch.full((len(labels_B), num_classes), low, device=labels_B.device)
    found.scatter_(1, labels_B[:, None], 1 - GIFT_SMOOTHING)
    if mix is None:
        return found
    return mix.kept * found + (1 - mix.kept) * found[mix.partner.to(labels_B.device)]
