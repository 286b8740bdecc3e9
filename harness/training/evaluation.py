"""Score a student on test images: logits in large batches, top-1 and top-5 in percent.

Shapes: M test images, C classes, S image side.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from harness.core.config.protocol import Protocol
from harness.data.rows import ImageRows
from harness.training.augment import Augmenter
from harness.training.forward import Forward, autocast
from harness.training.whitening import Whitening


def evaluate(
    model: nn.Module, images_M3SS: Tensor | ImageRows, labels_M: Tensor, protocol: Protocol, num_classes: int
) -> tuple[float, float | None]:
    """Return top-1 and top-5 accuracy of uint8 images in percent; top-5 is None below five classes."""
    return accuracies(rank(model, images_M3SS, protocol, num_classes), labels_M, num_classes)


def rank(
    model: nn.Module | Forward,
    images_M3SS: Tensor | ImageRows,
    protocol: Protocol,
    num_classes: int,
    whitening: Whitening | None = None,
) -> Tensor:
    """Return the five most likely classes of each image (all below five classes), likeliest first: int64 [M, <= 5]."""
    return predict(model, images_M3SS, protocol, whitening=whitening).topk(min(5, num_classes)).indices


def accuracies(ranked: Tensor, labels_M: Tensor, num_classes: int) -> tuple[float, float | None]:
    """Return top-1 and top-5 accuracy of what `rank` returned, as `evaluate`."""
    hits = (ranked == labels_M[:, None]).sum(0).cumsum(0).tolist()
    top1, top5 = 100 * hits[0] / len(labels_M), 100 * hits[-1] / len(labels_M)
    return top1, top5 if num_classes >= 5 else None


def predict(
    model: nn.Module | Forward,
    images_M3SS: Tensor | ImageRows,
    protocol: Protocol,
    dtype: torch.dtype = torch.float32,
    whitening: Whitening | None = None,
) -> Tensor:
    """Return the logits [M, C] of uint8 images in eval mode; images and model are on the same device.

    Args:
        model: a network, or how it is called; a plain network is compiled where the protocol says so.
        dtype: of the result; a batch at a time becomes it, so that a million images take no room for another type.
        whitening: as for `Augmenter`.
    """
    augment = Augmenter(protocol, images_M3SS.device, whitening)
    forward = model if isinstance(model, Forward) else Forward(model, protocol)
    done, logits = 0, None
    forward.model.eval()
    with torch.inference_mode(), autocast(protocol, images_M3SS.device):
        for images in eval_batches(images_M3SS):
            own = forward(augment.normalise(images)).float()
            if logits is None:
                logits = own.new_empty((len(images_M3SS), *own.shape[1:]), dtype=dtype)
            logits[done : done + len(own)] = own
            done += len(own)
    assert logits is not None, "there are no images"
    return logits


def eval_batches(images_M3SS: Tensor | ImageRows, num_networks: int = 1) -> Iterable[Tensor]:
    """Return test images in batches that fit memory while so many networks pass them at once; on a CPU its caches."""
    side = images_M3SS.shape[-1]
    if images_M3SS.device.type == "cuda":
        return images_M3SS.split(max(1, _GPU_PIXELS // (num_networks * side**2)))
    return images_M3SS.split(max(16, _CPU_PIXELS // side**2))


_GPU_PIXELS = 256 * 224 * 224
"""Pixels of a batch: bounds the largest feature map of a ConvNet to 6.6 GB."""
_CPU_PIXELS = 64 * 32 * 32
"""Pixels of a batch, but at least 16 images: the maps stay in the caches of a core. With ConvNet-3, 784 images of 32 pixels at
once take 1.2 times as long in bfloat16, and 1.8 times compiled; ResNet-18 takes eight of 224 pixels as fast as sixteen."""
