"""One update of DM, against main_DM.py of the authors: 10 classes, IPC 10, 256 real images a class, 32 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from methods._pixels import Mover, PixelScale, classes_in_memory
from methods.dm import DM, embedding_network, matching_distance
from tests.benchmarks.peers.checkout import checkout
from tests.benchmarks.peers.measure import THEIRS, Peer

CLASSES, IPC, REAL, SIDE = 10, 10, 256, 32
STRATEGY = "color_crop_cutout_flip_scale_rotate"


def matching(folder: Path, device: torch.device, share: float) -> Iterator[Peer]:
    """Yield the row; `share` of the real images."""
    num = max(IPC, round(REAL * share))
    rng = torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (CLASSES, num, 3, SIDE, SIDE), dtype=torch.uint8, generator=rng).to(device)
    ways = {THEIRS: _theirs(folder, real, device)}
    ways |= {precision: _ours(real, device, precision) for precision in ("float32", "bfloat16")}
    yield Peer(f"DM: an update, 10 classes, IPC 10, {num} real images, 32 pixels", ways)


def _theirs(folder: Path, real: torch.Tensor, device: torch.device) -> Any:
    with checkout(folder, absent={"scipy.ndimage.interpolation": "rotate"}):
        import utils as theirs  # type: ignore[import-not-found]
    param = theirs.ParamDiffAug()
    images = (real.float() / 255 - 0.5) / 0.25
    made = torch.randn(CLASSES * IPC, 3, SIDE, SIDE, device=device, requires_grad=True)
    rng = np.random.default_rng(0)
    optimizer = torch.optim.SGD([made], lr=1.0, momentum=0.5)

    def update() -> None:
        net = theirs.get_network("ConvNet", 3, CLASSES, (SIDE, SIDE)).to(device)
        net.train().requires_grad_(requires_grad=False)
        loss = torch.zeros((), device=device)
        for c in range(CLASSES):
            seed = int(rng.integers(100_000))
            batch = images[c][rng.permutation(len(images[c]))]
            own = made[c * IPC : (c + 1) * IPC]
            seen, learned = (theirs.DiffAugment(x, STRATEGY, seed=seed, param=param) for x in (batch, own))
            loss = loss + (net.embed(seen).detach().mean(0) - net.embed(learned).mean(0)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def _ours(real: torch.Tensor, device: torch.device, precision: Any) -> Any:
    method, images = DM(DM.Config(batch=real.shape[1], precision=precision)), list(real)
    scale, rng = PixelScale(images), torch.Generator().manual_seed(0)
    pixels = [torch.randn(IPC, 3, SIDE, SIDE, device=device).requires_grad_() for _ in images]
    mover = Mover(pixels, 1.0, 0.5)
    at_once = classes_in_memory(real.shape[1], SIDE, device)

    def update() -> None:
        net = embedding_network("convnet3", SIDE, rng).to(device)
        for first in range(0, CLASSES, at_once):
            here = slice(first, first + at_once)
            pairs = [method._pair(r, p, scale, rng) for r, p in zip(images[here], pixels[here], strict=True)]
            matching_distance(net, *zip(*pairs, strict=True), precision=precision).backward()
        mover.step()

    return update
