"""Training on grey images: augmentation, normalisation, teachers, and what does not fit."""

import pytest
import torch
from pydantic import ValidationError

from harness.core.config.protocol import Protocol
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.students import build_student
from harness.training.augment import Augmenter, draw
from harness.training.evaluation import predict
from harness.training.soft_labels import SoftLabels
from harness.training.teacher_folder import TeacherFolder
from harness.training.teacher_weights import open_weights, read_teacher, write_teacher
from harness.training.trainer import train_student

CPU = torch.device("cpu")
GREY = {"mean": (0.3,), "std": (0.4,), "pca_lighting": 0.0}
COLOUR = {"mean": (0.3,) * 3, "std": (0.4,) * 3, "pca_lighting": 0.0}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(num=8, side=16, seed=0):
    return torch.randint(0, 256, (num, 1, side, side), dtype=torch.uint8, generator=rng(seed))


@pytest.mark.parametrize(
    "changes",
    [{}, {"color_jitter": 0.0}, {"crop_scale": None, "flip": False}, {"patch_shuffle": 2, "crop_scale": (0.2, 0.6)}],
)
@pytest.mark.parametrize("side", [16, 70])
def test_grey_images_are_augmented_as_the_same_images_in_three_equal_channels(changes, side):
    """Brightness and contrast act on both alike, and saturation leaves grey as it is."""
    grey, colour = Protocol(**{**GREY, **changes}), Protocol(**{**COLOUR, **changes})
    images, draws = some_images(side=side), draw(grey, 8, side, rng(1))
    found = Augmenter(grey, CPU)(images, draws)
    expected = Augmenter(colour, CPU)(images.repeat(1, 3, 1, 1), draws)
    assert found.shape == (8, 1, side, side)
    torch.testing.assert_close(found.expand(-1, 3, -1, -1), expected, rtol=1e-4, atol=1e-5)
    plain = Augmenter(grey, CPU).normalise(images)
    torch.testing.assert_close(plain, (images / 255 - 0.3) / 0.4, rtol=1e-4, atol=1e-5)
    assert grey.color_jitter == 0 or not torch.allclose(found, plain, atol=1e-2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": (0.3,)}, r"std.*3 numbers, but mean has 1"),
        ({"mean": (0.3,) * 2, "std": (0.3,) * 2}, r"mean.*2 numbers; expected 3 \(RGB\), or 1 \(grey\)"),
        ({"std": (0.3,)}, r"std.*1 number, but mean has 3"),
    ],
)
def test_mean_and_std_have_a_number_a_channel(values, message):
    with pytest.raises(ValidationError, match=rf"(?s){message}"):
        Protocol(**values)


def train(images, protocol, **more):
    labels = torch.arange(len(images)) % 2
    return train_student(
        student="convnet2", protocol=protocol, train_images=images, train_labels=labels, test_images=images,
        test_labels=labels, num_classes=2, seed=0, **more,
    )  # fmt: skip


def test_a_student_learns_and_repeats_its_bits():
    """Dark against light: all right after a few epochs, through crops, jitter, CutMix and evaluation."""
    images = torch.cat([some_images(12) // 4, 192 + some_images(12, seed=1) // 4])[
        torch.arange(24).view(2, 12).T.flatten()
    ]
    protocol = Protocol(**GREY, epochs=8, num_evaluations=1, batch_size=8, lr=0.05, color_jitter=0.1)
    model, result = train(images, protocol)
    assert result.top1_last == 100
    assert result.train_loss_last == train(images, protocol)[1].train_loss_last
    assert next(model.parameters()).shape[1] == 1


def test_a_protocol_for_other_channels_is_refused():
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 3, 16, 16\], got torch.uint8 \[8, 1, 16, 16\]"):
        train(some_images(), Protocol())


def test_soft_labels_of_a_teacher_with_another_normalisation():
    teacher, own, other = (
        build_student("convnet2", 2, 16, channels=1).eval(),
        Protocol(**GREY),
        {"mean": (0.5,), "std": (0.2,)},
    )
    images = some_images()
    normalised = Augmenter(Protocol(**GREY | other), CPU).normalise(images)
    labels = SoftLabels(teacher, own, 0)
    found = labels.logits(normalised, Protocol(**GREY | other))
    torch.testing.assert_close(found, predict(teacher, images, own), rtol=1e-3, atol=1e-4)
    resized = SoftLabels(teacher, own, 0, side=16).label(some_images(side=20))
    assert resized.shape == (8, 2)


def folder_of(path, protocol):
    torch.manual_seed(0)
    path.mkdir()
    model = build_student("convnet2", 2, 16, protocol.channels)
    write_teacher(path, model, TeacherFolder("convnet2", 16, ("a", "b"), protocol))
    return path


def test_a_grey_teacher_is_read_back(tmp_path):
    model, about = read_teacher(folder_of(tmp_path / "t", Protocol(**GREY)))
    assert about.protocol.channels == 1
    assert model(torch.zeros(1, 1, 16, 16)).shape == (1, 2)


@pytest.mark.parametrize(("of", "into"), [(COLOUR, GREY), (GREY, COLOUR)])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_given_weights_of_other_channels_are_refused(tmp_path, of, into, kind):
    path = folder_of(tmp_path / "t", Protocol(**of))
    path = path if kind == "folder" else next(path.glob("*.safetensors"))
    teacher = Teacher(weights=str(path), student="convnet2", classes="c")
    channels = [len(one["mean"]) for one in (of, into)]
    with pytest.raises(
        UserError, match=rf"takes images with {channels[0]} channels?, but the suite has channels: {channels[1]}"
    ):
        open_weights(teacher, ["a", "b"], 16, Protocol(**into))


def test_pretrained_timm_weights_are_for_rgb(monkeypatch):
    teacher = Teacher(weights="timm:resnet10t", classes="c")
    with pytest.raises(UserError, match="timm:resnet10t takes images with 3 channels, but the suite has channels: 1"):
        open_weights(teacher, ["a", "b"], 32, Protocol(**GREY))
