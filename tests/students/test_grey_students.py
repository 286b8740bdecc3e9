"""Students of grey images: their first layers, ConvNet's padding of 28 pixels to 32, and what is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.core.errors import UserError
from harness.students import FeatureExtractor, build_student, register_student, students


def first_convolution(model):
    return next(m for m in model.modules() if isinstance(m, nn.Conv2d))


def test_convnet_of_28_pixels_has_the_parameters_of_32():
    """As the authors' ConvNet of MNIST: 28 -> 32 -> 16 -> 8 -> 4 pixels, 128 maps."""
    shapes = [list(p.shape) for p in build_student("convnet3", 10, 28, channels=1).parameters()]
    block = [[128, 128, 3, 3], [128], [128], [128]]
    assert shapes == [[128, 1, 3, 3], [128], [128], [128], *block, *block, [10, 2048], [10]]


@pytest.mark.parametrize(("side", "features"), [(28, 2048), (32, 2048), (16, 512), (27, 1152)])
def test_a_grey_image_is_padded_by_two_more_pixels_at_each_edge(side, features):
    """Equal to the network without the padding on the image with a frame: 28 -> 32, 32 -> 36, as the authors' code."""
    torch.manual_seed(0)
    grey = build_student("convnet3", 10, side, channels=1).eval()
    plain = build_student("convnet3", 10, side, channels=1).eval()
    plain.load_state_dict(grey.state_dict())
    first_convolution(plain).padding = (1, 1)
    images = torch.randn(2, 1, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(grey(images), plain(functional.pad(images, (2, 2, 2, 2))))
    assert grey.classifier.in_features == features


def test_colour_images_are_padded_as_before():
    assert first_convolution(build_student("convnet3", 10, 28)).padding == (1, 1)
    assert build_student("convnet3", 10, 28).classifier.in_features == 128 * 3 * 3


def test_a_grey_image_of_twelve_pixels_is_large_enough_for_four_blocks():
    assert build_student("convnet4", 10, 12, channels=1).classifier.in_features == 128
    with pytest.raises(UserError, match=r"for 11x11 pixels. Use at most convnet3, or images of 12 pixels or more"):
        build_student("convnet4", 10, 11, channels=1)


@pytest.mark.parametrize("name", ["resnet10_cifar", "resnet_ap10_cifar_bn", "resnet18", "timm:resnet10t"])
def test_only_the_first_convolution_differs_from_that_of_colour_images(name):
    grey, colour = build_student(name, 10, 32, channels=1), build_student(name, 10, 32)
    shapes = {n: list(p.shape) for n, p in grey.named_parameters()}
    differ = {n for n, p in colour.named_parameters() if shapes[n] != list(p.shape)}
    (first,) = differ
    assert shapes[first][1] == 1
    assert grey(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_a_registered_student_that_ignores_the_channels_is_named():
    @register_student("only_rgb")
    def build(spec, num_classes, image_size):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
        model.features = lambda images: model[:3](images)
        return model

    try:
        build_student("only_rgb", 10, 8)
        with pytest.raises(UserError, match=r"'only_rgb' cannot take grey 8x8 images.*`spec.channels` inputs"):
            build_student("only_rgb", 10, 8, channels=1)
    finally:
        students.restore({k: v for k, v in students.snapshot().items() if k != "only_rgb"})


def test_features_of_grey_images():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    model = build_student("convnet3", 10, 16, channels=1)
    found = FeatureExtractor(model, mean=(0.3,), std=(0.5,), side=16)(images)
    with torch.inference_mode():
        torch.testing.assert_close(found, model.eval().features((images / 255 - 0.3) / 0.5), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"expected uint8 \[B, 1, H, W\]"):
        FeatureExtractor(model, mean=(0.3,), std=(0.5,), side=16)(images.repeat(1, 3, 1, 1))


def test_a_network_for_rgb_images_sees_the_grey_channel_three_times():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 20, 20), dtype=torch.uint8)
    extract = FeatureExtractor(build_student("convnet3", 10, 16), mean=(0.1, 0.2, 0.3), std=(0.5,) * 3, side=16)
    torch.testing.assert_close(extract(images), extract(images.repeat(1, 3, 1, 1)))
