"""The distance of the gradients that a network gets from real and from synthetic images of each class.

Source: Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021, and its authors' code.
Legend: K classes in one pass, B images of a class, S side of an image, pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from methods._pixels import pixels_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

Distance = Literal["ours", "mse", "cos"]
Gradients = dict[str, "Tensor"]
"""Name of a parameter -> its gradient for each class, [K, ...]."""

EPSILON = 1e-6
"""Added to the product of two norms, as in the authors' code: small gradients give more than 1 - cosine."""


def matching_distance(
    net: nn.Module, real: Sequence[Tensor], synthetic: Sequence[Tensor], first: int, kind: Distance
) -> Tensor:
    """Return the distance of the network's gradients on real and on synthetic images, summed over the classes.

    Args:
        net: without batch norm: what an image gives must not depend on others.
        real: per class, normalised images [B, 3, S, S]; any number of them. No gradient flows to them.
        synthetic: the same, as many for each class; differentiable.
        first: label of the first class; the others follow.
        kind: which distance.
    """
    import torch

    wanted: Gradients = {}
    size = pixels_at_once(real[0].device) // (len(real) * real[0].shape[-1] ** 2)
    for images, shares in _pieces(real, max(1, size)):
        for name, gradient in class_gradients(net, images, shares, first).items():
            wanted[name] = wanted[name] + gradient if name in wanted else gradient
    made = torch.stack(list(synthetic))
    equal = made.new_full(made.shape[:2], 1 / made.shape[1])
    return gradient_distance(wanted, class_gradients(net, made, equal, first), kind)


def _pieces(batches: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield up to `size` images of every class, [K, B, 3, S, S], and the share of each in its class's mean, [K, B].

    A class that ends before the others is filled up with images whose share is zero.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    images = pad_sequence([b.detach() for b in batches], batch_first=True)
    shares = pad_sequence([torch.full_like(b[:, 0, 0, 0], 1 / len(b)) for b in batches], batch_first=True)
    yield from zip(images.split(size, dim=1), shares.split(size, dim=1), strict=True)


def class_gradients(net: nn.Module, images_KB3SS: Tensor, shares_KB: Tensor, first: int) -> Gradients:
    """Return the gradient of the cross-entropy of each class: of several classes in one pass of `torch.func`.

    One class alone takes ordinary automatic differentiation. On a CPU that is faster where there is a real batch: ten
    classes in one pass of 64 real images each took 1.17 (IPC 1) and 1.12 (IPC 10) times as long as one after the other, of
    synthetic images alone 0.52 and 0.88 times (tests/benchmarks/test_bench_methods.py). Per class, a convolution's
    gradient is a grouped convolution, and the norm's backward is not fused.

    Args:
        net: any network without batch norm.
        images_KB3SS: normalised, of the labels `first`, `first` + 1, ...; the result is differentiable in them.
        shares_KB: weight of each image in the loss of its class.
        first: label of the first class.
    """
    import torch
    from torch.func import functional_call, grad, vmap
    from torch.nn import functional

    def loss(parameters: dict[str, Tensor], images: Tensor, shares: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(net, parameters, (images,))
        return functional.cross_entropy(logits, label.expand(len(images)), reduction="none") @ shares

    parameters = {name: parameter.detach() for name, parameter in net.named_parameters()}
    labels_K = torch.arange(first, first + len(images_KB3SS), device=images_KB3SS.device)
    if len(images_KB3SS) > 1:
        return vmap(grad(loss), in_dims=(None, 0, 0, 0))(parameters, images_KB3SS, shares_KB, labels_K)
    with torch.enable_grad():
        parameters = {name: parameter.requires_grad_() for name, parameter in parameters.items()}
        value = loss(parameters, images_KB3SS[0], shares_KB[0], labels_K[0])
    found = torch.autograd.grad(value, tuple(parameters.values()), create_graph=images_KB3SS.requires_grad)
    return {name: gradient[None] for name, gradient in zip(parameters, found, strict=True)}


def gradient_distance(real: Gradients, synthetic: Gradients, kind: Distance) -> Tensor:
    """Return the distance of two gradients of each class, summed over the classes.

    Args:
        real, synthetic: of the same parameters; each has the classes as its first axis.
        kind: ours: 1 - cosine for each output of each weight, summed; what has one dimension, biases and norms, is left
            out. mse: squared differences of everything, summed. cos: 1 - cosine of everything in one vector.
    """
    import torch

    if kind == "ours":
        weights = [name for name, gradient in synthetic.items() if gradient.ndim > 2]
        return torch.stack([_one_minus_cosine(real[n].flatten(2), synthetic[n].flatten(2)) for n in weights]).sum()
    a, b = (torch.cat([gradients[n].flatten(1) for n in synthetic], dim=1) for gradients in (real, synthetic))
    return (a - b).square().sum() if kind == "mse" else _one_minus_cosine(a, b)


def _one_minus_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - cosine of the vectors of the last axis, summed over the others; a vector of zeros gives 1."""
    return (1 - (a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1) + EPSILON)).sum()
