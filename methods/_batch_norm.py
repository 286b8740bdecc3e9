"""How far a batch is from the statistics that a teacher's batch-norm layers remember, for SRe2L and CDA.

Legend: B images, P their side, pixels. Source: golden/methods/sre2l_cda.json, "loss_terms".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Losses(NamedTuple):
    """The parts of the loss of one step, before their weights but for those of the layers."""

    cross_entropy: Tensor
    batch_norm: Tensor
    total: Tensor


class Objective:
    """The loss of a batch; a context manager, because it listens to the network's layers.

    Args:
        network: maps normalised images [B, 3, P, P] to logits; frozen, in eval mode.
        config: has r_bn, first_bn_multiplier, tv and l2.

    Raises:
        UserError: the network has no batch-norm layer.
    """

    def __init__(self, network: nn.Module, config: Any) -> None:
        import torch

        self.network, self.config = network, config
        self.layers = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        if not self.layers:
            raise UserError(
                f"the teacher ({type(network).__name__}) has no batch-norm layer, so there are no statistics to match. Name "
                "a student that has some by the method's option `teacher`, such as convnet3_bn or resnet18_bn."
            )
        self.distances: dict[int, Tensor] = {}
        """Of the last batch, by layer in the order of registration."""

    def __enter__(self) -> Objective:
        self._hooks = [
            layer.register_forward_pre_hook(partial(self._compare, place)) for place, layer in enumerate(self.layers)
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __call__(self, images_B3PP: Tensor, labels_B: Tensor) -> Losses:
        """Return the losses of normalised images, differentiable in them."""
        import torch
        from torch.nn import functional

        cfg = self.config
        self.distances.clear()
        cross_entropy = functional.cross_entropy(self.network(images_B3PP), labels_B)
        weights = [cfg.first_bn_multiplier, *[1.0] * (len(self.layers) - 1)]
        distance = torch.stack([weights[place] * d for place, d in sorted(self.distances.items())]).sum()
        total = cross_entropy + cfg.r_bn * distance
        if cfg.tv:
            total = total + cfg.tv * total_variation(images_B3PP)
        if cfg.l2:
            total = total + cfg.l2 * mean_norm(images_B3PP)
        return Losses(cross_entropy, distance, total)

    def _compare(self, place: int, layer: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        """Keep the 2-norms of the differences in variance (biased) and mean between a layer's input and its memory."""
        (x,) = inputs
        mean = x.mean(dim=(0, 2, 3))
        variance = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))  # var_mean takes 2.4 times as long on a CPU
        assert layer.running_var is not None
        assert layer.running_mean is not None
        self.distances[place] = (layer.running_var - variance).norm() + (layer.running_mean - mean).norm()


def total_variation(images_B3SS: Tensor) -> Tensor:
    """Return the 2-norms, over the whole batch, of the differences to the right, down and along both diagonals, summed."""
    x = images_B3SS
    right, down = x[..., :-1] - x[..., 1:], x[..., :-1, :] - x[..., 1:, :]
    falling, rising = x[..., :-1, :-1] - x[..., 1:, 1:], x[..., 1:, :-1] - x[..., :-1, 1:]
    return right.norm() + down.norm() + falling.norm() + rising.norm()


def mean_norm(images_B3SS: Tensor) -> Tensor:
    """Return the mean over the images of their 2-norms."""
    return images_B3SS.flatten(1).norm(dim=1).mean()
