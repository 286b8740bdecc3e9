"""RDED's crops of one class and a teacher's losses, against synthesize/ of the authors: 60 images, 5 crops, 224 pixels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.nn import functional

from harness.students.build import build_student
from harness.training.soft_labels import SoftLabels
from methods.rded import centred, crop, draw_squares
from tests.benchmarks.peers.checkout import checkout, on_this_device
from tests.benchmarks.peers.measure import THEIRS, Peer
from tests.benchmarks.peers.students import WAYS

SIDE, IMAGES, CROPS, FACTOR = 224, 60, 5, 2


def crops(folder: Path, device: torch.device, share: float) -> Iterator[Peer]:
    """Yield the row; `share` of the images. The teacher is our ResNet-18 with batch norm in both."""
    num, rng = max(4, round(IMAGES * share)), torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (num, 3, SIDE, SIDE), dtype=torch.uint8, generator=rng)
    teacher = build_student("resnet18_bn", 10, SIDE).eval().requires_grad_(requires_grad=False).to(device)
    ways = {THEIRS: _theirs(folder, real, teacher, device)}
    for way, protocol in WAYS.items():
        ways[way] = _ours(real, SoftLabels(teacher, protocol, 0), device)
    yield Peer(f"RDED: {num * CROPS} crops of a class and their losses, ResNet-18 at 224 pixels", ways)


def _theirs(folder: Path, real: torch.Tensor, teacher: Any, device: torch.device) -> Any:
    arguments = ["x", "--subset", "imagenet-nette", "--arch-name", "resnet18", "--stud-name", "resnet18"]
    with checkout(folder), mock.patch.object(sys, "argv", arguments), mock.patch("os.makedirs"):
        import synthesize.utils as theirs  # type: ignore[import-not-found]
    cropper, labels = theirs.MultiRandomCrop(CROPS, SIDE, FACTOR), torch.zeros(len(real), dtype=torch.long)

    def work() -> None:
        patches = torch.stack([theirs.normalize(cropper(image.float() / 255)) for image in real])
        with on_this_device(device):
            theirs.selector(10 * FACTOR**2, teacher, patches, labels, SIDE, m=CROPS)

    return work


def _ours(real: torch.Tensor, labels: SoftLabels, device: torch.device) -> Any:
    rng, images = torch.Generator().manual_seed(0), real.to(device)
    colour = (255 * torch.tensor(labels.protocol.mean, device=device)).round().to(torch.uint8)

    def work() -> None:
        for _ in range(CROPS):
            patches = crop(images, draw_squares(len(images), SIDE, (0.08, 1.0), rng), SIDE // FACTOR)
            logits = labels.label(centred(patches, SIDE, colour))
            functional.cross_entropy(logits, logits.new_zeros(len(images)).long(), reduction="none")

    return work
