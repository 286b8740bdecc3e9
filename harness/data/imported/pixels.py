"""The images of a given file as the suite has them: channels first, in the suite's channels, in [0, 1] or as bytes.

In: a tensor as it was published. Out: uint8 [N, K, S, S], or float32 where nothing may be rounded, and remarks.
Shapes: N images, K channels (3, or 1 in a grey suite), S side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import UserError, did_you_mean
from harness.data.channels import is_grey

if TYPE_CHECKING:
    import torch


ZCA, NONE = "zca", "none"


NORMALISATIONS = {
    "cifar10": "0.4914,0.4822,0.4465/0.2023,0.1994,0.2010",
    "cifar100": "0.5071,0.4866,0.4409/0.2673,0.2564,0.2762",
    "imagenet": "0.485,0.456,0.406/0.229,0.224,0.225",
    "mnist": "0.1307/0.3081",
    "fashion_mnist": "0.2861/0.3530",
    "svhn": "0.4377,0.4438,0.4728/0.1980,0.2010,0.1970",
}
"""Mean and standard deviation by name, as the code of DC, DSA and DM has them. MTT, TESLA and DATM take those of cifar10
for CIFAR-100, too, and those of imagenet for Tiny-ImageNet. Source: VICO-UoE/DatasetCondensation@53f63a6 utils.py;
GeorgeCazenavette/mtt-distillation@50dccea utils.py."""


KNOWN = f"{', '.join(NORMALISATIONS)}, {ZCA}, {NONE}"


FLAT = 0.1
"""Standard deviation of pixels in [0, 1] below which images are nearly one grey; of photographs it is 0.2 to 0.3."""


@dataclass(frozen=True)
class Pixels:
    """How given pixels are read.

    Attributes:
        channels: of the suite, 3 or 1.
        normalised: None: float images are in [0, 1], and others are refused; "none": they are meant to be, and may lie
            outside; a name of NORMALISATIONS; "zca"; or "MEAN/STD".
        keep_float: keep float32, neither clipped nor rounded.
        unwhiten: undoes ZCA whitening, [n, K, S, S] to the same; None: images stay white, which only serves to look at
            their shape and their content.
    """

    channels: int = 3
    normalised: str | None = None
    keep_float: bool = False
    unwhiten: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def is_white(self) -> bool:
        """Whether the images that come out are still whitened."""
        return self.normalised == ZCA and self.unwhiten is None

    def read(self, images: torch.Tensor, where: str) -> tuple[torch.Tensor, tuple[str, ...]]:
        """Return the images and remarks.

        Raises:
            UserError: shape, type or range do not fit, or an option does not.
        """
        import torch

        images, remarks = _channels_first(images, where)
        if images.dtype == torch.uint8:
            for option, given in (
                ("--normalised", self.normalised not in (None, NONE)),
                ("--keep-float", self.keep_float),
            ):
                if given:
                    raise UserError(f"{where}: {option} applies only to float images; these are uint8.")
            return self._in_suite(images, where, remarks)
        if not images.is_floating_point():
            raise UserError(f"{where}: images are {images.dtype}; expected uint8, or float in [0, 1].")
        images = images.float()
        if not torch.isfinite(images).all():
            raise UserError(f"{where}: images contain NaN or infinite values.")
        if self.normalised == ZCA and images.shape[1] != self.channels:
            raise UserError(
                f"{where}: images have {images.shape[1]} channels, the suite {self.channels}; --normalised zca needs "
                "the same number, because it uses the whitening of the suite's images."
            )
        if self.is_white:
            return images.contiguous(), remarks
        images, told = self._in_unit(images, where)
        images, told = _kept(images, told) if self.keep_float else _rounded(images, told)
        return self._in_suite(images, where, remarks + told)

    def _in_unit(self, images: torch.Tensor, where: str) -> tuple[torch.Tensor, tuple[str, ...]]:
        """Return images on the scale where 0 is black and 1 is white; values may lie outside."""
        low, high = float(images.min()), float(images.max())
        if self.normalised is None:
            if low < 0 or high > 1:
                raise UserError(
                    f"{where}: float images span [{low:.3g}, {high:.3g}]; expected [0, 1]: {_cure(low, high)}."
                )
            return images, ()
        if self.normalised == NONE:
            return images, ()
        if self.normalised == ZCA:
            assert self.unwhiten is not None
            return self.unwhiten(images), ("the ZCA whitening was inverted with the suite's real training images",)
        mean, std = _mean_std(self.normalised, images.shape[1], where)
        images = images * std + mean
        spread = float(images.std())
        if spread < FLAT:
            return images, (
                f"the images are nearly uniform after --normalised {self.normalised}: their pixels have a standard "
                f"deviation of {spread:.2f} on a scale of 1. Were they whitened by ZCA? --normalised zca inverts it",
            )
        return images, ()

    def _in_suite(
        self, images: torch.Tensor, where: str, told: tuple[str, ...]
    ) -> tuple[torch.Tensor, tuple[str, ...]]:
        if images.shape[1] == self.channels:
            return images.contiguous(), told
        if self.channels == 3:
            return images.expand(-1, 3, -1, -1).contiguous(), (
                *told,
                "grey images: the channel is repeated three times",
            )
        if not is_grey(images):
            raise UserError(
                f"{where}: images have shape {list(images.shape)} (colour); expected [N, 1, S, S] or [N, S, S], "
                "because the suite is grey (channels: 1)."
            )
        return images[:, :1].contiguous(), (*told, "the three channels are equal; one is used")


def _channels_first(images: torch.Tensor, where: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    shape = list(images.shape)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and 0 not in shape:
        if images.shape[1] in (1, 3) and images.shape[2] == images.shape[3]:
            return images, ()
        if images.shape[3] in (1, 3) and images.shape[1] == images.shape[2]:
            return images.permute(0, 3, 1, 2), (
                f"images of shape {shape}: the last dimension is interpreted as channels",
            )
    raise UserError(
        f"{where}: images have shape {shape}; expected [N, 3, S, S] (count, RGB, height, width; square), or grey [N, 1, S, S] "
        "or [N, S, S]; channels may come last."
    )


def _cure(low: float, high: float) -> str:
    if low >= 0 and high > 10:
        return "divide by 255, or save them as uint8"
    return (
        f"if they were normalised, pass --normalised {'|'.join(NORMALISATIONS)} or MEAN/STD, such as "
        f"{NORMALISATIONS['imagenet']}; --normalised zca if they were whitened by ZCA; --normalised none if 0 is "
        "black, 1 is white, and some values are outside this range"
    )


def _rounded(images: torch.Tensor, told: tuple[str, ...]) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return images as bytes; says how much was cut off."""
    import torch

    outside = float(((images < 0) | (images > 1)).float().mean())
    if outside:
        told = (
            *told,
            f"{100 * outside:.1f} % of the denormalised values were outside [0, 1] and were clipped; --keep-float "
            "keeps them",
        )
    return (images.clamp(0, 1) * 255).round().to(torch.uint8), told


def _kept(images: torch.Tensor, told: tuple[str, ...]) -> tuple[torch.Tensor, tuple[str, ...]]:
    outside = float(((images < 0) | (images > 1)).float().mean())
    span = f"they span [{float(images.min()):.3g}, {float(images.max()):.3g}], {100 * outside:.1f} % are outside [0, 1]"
    return images, (*told, f"pixels are kept as float32, without clipping or rounding; {span}")


def _mean_std(text: str, channels: int, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    try:
        mean, std = ([float(v) for v in part.split(",")] for part in NORMALISATIONS.get(text, text).split("/"))
        if len(mean) != len(std) or not mean or min(std) <= 0:
            raise ValueError
    except ValueError:
        raise UserError(
            f"--normalised {text!r}: expected a name ({KNOWN}), or means and standard deviations above 0, one per "
            f"channel, e.g. {NORMALISATIONS['imagenet']} (grey: "
            f"{NORMALISATIONS['mnist']}).{did_you_mean(text, list(NORMALISATIONS))}"
        ) from None
    if len(mean) not in (1, channels):
        raise UserError(
            f"{where}: --normalised {text} has {len(mean)} means, but the images have {channels} "
            f"channel{'s' if channels > 1 else ''}."
        )
    return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
