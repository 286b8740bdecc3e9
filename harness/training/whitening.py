"""Whitening of images by the covariance of their pixels (ZCA), as the long-tail papers have it.

In: the real training images. Out: a map from images in [0, 1] to white ones. It never sees the test split.
Shapes: N images, B batch, D = channels x side x side values of an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.rows import ImageRows, as_rows
from harness.training.protocol_rules import check_whitening

EPS = 0.1
"""Added to the variances, so that directions in which images hardly differ are not blown up; as LTDD."""

_AT_ONCE = 2**25
"""Numbers of images held as float32, 128 MiB."""


@dataclass(frozen=True)
class Whitening:
    """A mean and a matrix.

    Attributes:
        mean_D: of the images that it was fitted on, in [0, 1].
        matrix_DD: symmetric; U diag(1 / sqrt(S + eps)) U^T of their covariance U diag(S) U^T.
    """

    mean_D: Tensor
    matrix_DD: Tensor

    def inverse(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] of white ones, which must be on the same device; the inverse of calling it."""
        flat = images.flatten(1).to(self.matrix_DD.dtype)
        return (torch.linalg.solve(self.matrix_DD, flat, left=False) + self.mean_D).view_as(images)

    def __call__(self, images: Tensor) -> Tensor:
        """Return white images, float32 of the same shape; `images` are float in [0, 1], on the same device."""
        return ((images.flatten(1) - self.mean_D) @ self.matrix_DD).view_as(images)


def fit_zca(images: Tensor | ImageRows, eps: float = EPS) -> Whitening:
    """Fit a whitening on uint8 images [N, ...], N at least 2, on their device.

    Float32, centred first: on one CPU core 12,406 images of 32 pixels in colour take 20 s, half of it the decomposition.

    Raises:
        UserError: the images are too large.

    Source: kornia's ZCAWhitening, as LTDD's code calls it: the covariance is divided by N - 1, eps is added to variances.
    """
    rows, num_values = as_rows(images, images.device), torch.Size(images.shape[1:]).numel()
    check_whitening(num_values, "these images")
    at_once, num = max(1, _AT_ONCE // num_values), len(rows)

    total = torch.zeros(num_values, dtype=torch.float64, device=rows.device)
    for part in rows.split(at_once):
        total += part.flatten(1).sum(0, dtype=torch.float64)
    mean = (total / (255 * num)).float()
    covariance = torch.zeros(num_values, num_values, device=rows.device)
    for part in rows.split(at_once):
        centred = part.flatten(1) / 255 - mean
        covariance.addmm_(centred.T, centred, alpha=1 / (num - 1))
    variances, axes = torch.linalg.eigh(covariance)
    return Whitening(mean, axes * (variances.clamp(min=0) + eps).rsqrt() @ axes.T)
