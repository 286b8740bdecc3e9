"""Students of the idc protocol: an epoch of training and an evaluation, against train.py of Minimax Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from harness.core.config.protocol import Protocol
from harness.data.rows import as_rows
from harness.students.build import build_student
from harness.training.evaluation import rank
from harness.training.recipe import make_recipe
from harness.training.trainer import TrainingRun
from tests.benchmarks.peers.checkout import checkout
from tests.benchmarks.peers.measure import THEIRS, Peer

CLASSES, IPC = 10, 10
STUDENTS = (
    # our name, theirs, depth, norm, side in pixels, test images
    ("convnet3", "convnet", 3, "instance", 32, 2000),
    ("resnet18", "resnet", 18, "instance", 224, 200),
    ("resnet_ap10", "resnet_ap", 10, "instance", 224, 200),
    ("convnet6", "convnet", 6, "instance", 224, 200),
)
WAYS = {
    "float32": Protocol(),
    "bfloat16": Protocol(precision="bfloat16"),
    "bfloat16, compiled": Protocol(precision="bfloat16", compiled=True),
}


def students(folder: Path, device: torch.device, share: float) -> Iterator[Peer]:
    """Yield two rows for each student; `share` of the test images."""
    for ours, theirs, depth, norm, side, num_test in STUDENTS:
        num = max(IPC, round(num_test * share))
        images, labels = _images(CLASSES * IPC, side)
        test, test_labels = _images(num, side)
        epoch, score = _their_student(
            folder, (theirs, depth, norm), side, (images, labels), (test, test_labels), device
        )
        trains, scores = {THEIRS: epoch}, {THEIRS: score}
        for way, protocol in WAYS.items():
            trains[way], scores[way] = _our_student(ours, protocol, images, labels, test, device)
        yield Peer(f"{ours} at {side} pixels, IPC 10: an epoch", trains)
        yield Peer(f"{ours} at {side} pixels: evaluation of {num:,} images", scores)


def _images(num: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(num)
    return torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=rng), torch.arange(num) % CLASSES


def _our_student(
    name: str, protocol: Protocol, images: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, device: torch.device
) -> tuple[Callable[[], object], Callable[[], object]]:
    model = build_student(name, CLASSES, images.shape[-1]).to(device)
    recipe = make_recipe(protocol, IPC, CLASSES)
    run = TrainingRun(model, protocol, recipe, images, labels, 0, device)
    rows = as_rows(test, device)
    return lambda: run.train_epoch(1), lambda: rank(run.forward, rows, protocol, CLASSES)


class _Pictures(torch.utils.data.Dataset[Any]):
    """Images as PIL in memory, each with their transforms when it is asked for."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, transform: Callable[[Any], torch.Tensor]) -> None:
        self.images = [Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy())) for image in images]
        self.labels, self.transform = labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[row]), self.labels[row]


def _their_student(
    folder: Path, network: tuple[str, int, str], side: int, train: Any, test: Any, device: torch.device
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return their epoch and their validation, loaders without worker processes."""
    with checkout(folder, absent={"efficientnet_pytorch": "EfficientNet"}):
        import data as their_data  # type: ignore[import-not-found]

        their_data.MEANS, kept = {}, their_data.MEANS  # train.py copies these to a GPU and uses none
        their_data.STDS, kept_stds = {}, their_data.STDS
        import train as their_train  # type: ignore[import-not-found]

        their_data.MEANS, their_data.STDS = kept, kept_stds
    args = SimpleNamespace(
        net_type=network[0], depth=network[1], norm_type=network[2], dataset="imagenet", width=1.0, nch=3, size=side,
        nclass=CLASSES, mix_p=1.0, beta=1.0, epoch_print_freq=1, verbose=False, batch_size=64,
    )  # fmt: skip
    augmented, plain = their_data.transform_imagenet(size=side, augment=True)
    loader = their_data.MultiEpochsDataLoader(_Pictures(*train, augmented), batch_size=64, shuffle=True, num_workers=0)
    scored = their_data.MultiEpochsDataLoader(_Pictures(*test, plain), batch_size=32, num_workers=0)
    loader.device = device.type  # their loop moves batches where this is the CPU
    model = their_train.define_model(args, CLASSES).to(device)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    return (
        lambda: their_train.train_epoch(args, loader, model, criterion, optimizer, mixup="cut"),
        lambda: _without_gradients(their_train.validate, args, scored, model, criterion),
    )


def _without_gradients(validate: Callable[..., object], *given: Any) -> None:
    """Their validation keeps gradients; so it is called, as they call it."""
    validate(*given, 1)
