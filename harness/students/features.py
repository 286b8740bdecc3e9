"""Features of images, for methods that choose by distance (herding, k-center).

In: uint8 images. Out: float32 features, one row an image. Shapes: B batch, D features, H x W image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.students.timm_models import TimmStudent, check_name


class FeatureExtractor:
    """Runs a network's `features` over images, without gradients, in eval mode, in batches.

    Args:
        model: a network with `features(images) -> [B, D]`; it is moved to `device` and set to eval mode.
        mean: normalisation per channel (3, or 1 of a grey suite), of images in [0, 1].
        std: normalisation per channel, of images in [0, 1].
        side: side of the images that the network takes, pixels; others are resized (bilinear, antialiased).
        device: where the network runs.
        batch_size: images at once.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        side: int,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.side = side
        self.batch_size = batch_size
        self._channels = len(mean)
        self._scale = (1 / (255 * torch.tensor(std, device=self.device))).view(-1, 1, 1)
        self._shift = (-torch.tensor(mean, device=self.device) / torch.tensor(std, device=self.device)).view(-1, 1, 1)

    @classmethod
    def from_student(
        cls, model: nn.Module, protocol: Protocol, side: int, device: torch.device | str = "cpu"
    ) -> FeatureExtractor:
        """Wrap a trained student: normalised as its protocol does, at the side that it was trained at, pixels."""
        return cls(model, mean=protocol.mean, std=protocol.std, side=side, device=device)

    @classmethod
    def from_timm(cls, name: str, device: torch.device | str = "cpu") -> FeatureExtractor:
        """Load a timm model with its pretrained weights, normalisation and input size.

        Args:
            name: the model's name in timm, such as "resnet18.a1_in1k"; a leading "timm:" is accepted.
            device: where the network runs.

        Raises:
            UserError: timm has no such model, or its weights are neither in the local cache nor to be downloaded.
        """
        import timm

        name = name.removeprefix("timm:")
        check_name(name)
        try:
            net = timm.create_model(name, pretrained=True)
        except Exception as error:  # offline, the hub's client raises the exceptions of three different libraries
            raise UserError(
                f"could not download the pretrained weights of timm model {name!r} ({type(error).__name__}: {error}). "
                "Run once with network access to fill the local cache, or use the features of the suite's teacher, "
                "which need no download."
            ) from error
        config = timm.data.resolve_model_data_config(net)
        return cls(
            TimmStudent(net), mean=config["mean"], std=config["std"], side=config["input_size"][-1], device=device
        )

    @torch.inference_mode()
    def __call__(self, images_B3HW: Tensor) -> Tensor:
        """Return the features of uint8 images [B, K, H, W] as float32 [B, D], on the extractor's device.

        A network for RGB images sees the one channel of grey images three times.

        Raises:
            ValueError: the images are not uint8 [B, K, H, W], K the network's channels or 1, or there is none.
        """
        known = images_B3HW.dtype == torch.uint8 and images_B3HW.ndim == 4
        if not known or images_B3HW.shape[1] not in (1, self._channels):
            found = f"{images_B3HW.dtype} {list(images_B3HW.shape)}"
            raise ValueError(f"expected uint8 [B, {self._channels}, H, W], got {found}")
        if len(images_B3HW) == 0:
            raise ValueError("there are no images to compute features of")
        return torch.cat([self._features(batch) for batch in images_B3HW.split(self.batch_size)])

    def _features(self, images_B3HW: Tensor) -> Tensor:
        images = images_B3HW.to(self.device).float()
        if images.shape[-2:] != (self.side, self.side):
            images = functional.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=True)
        images = images * self._scale + self._shift  # one channel becomes the network's
        return self.model.features(images).float()  # type: ignore[operator]
