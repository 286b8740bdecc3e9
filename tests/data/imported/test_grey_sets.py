"""Sets for a grey suite: tensors with or without a channel, folders of grey files; colour is told."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.open import open_imported
from harness.data.imported.pixels import Pixels

CLASSES = tuple(ClassInfo(str(i), i, str(i)) for i in range(10))


@pytest.mark.parametrize("ending", [".npz", ".pt"])
@pytest.mark.parametrize("dims", [3, 4])
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_tensors_of_one_channel(tensors, tmp_path, ending, dims, kind):
    images, labels = tensors
    grey = images[:, :1] if dims == 4 else images[:, 0]
    given = grey if kind == "uint8" else (grey / 255).astype(np.float32)
    path = tmp_path / f"set{ending}"
    if ending == ".npz":
        np.savez(path, images=given, labels=labels)
    else:
        torch.save({"images": torch.from_numpy(given), "labels": torch.from_numpy(labels)}, path)
    found = open_imported(path, CLASSES, pixels=Pixels(1))
    assert found.side(found.all()) == 16
    loaded = found.load("3", [0, 1, 2], 16)
    assert loaded.shape == (3, 1, 16, 16)
    assert np.array_equal(loaded[:, 0].numpy(), images[labels == 3][:, 0])


def test_tensors_that_do_not_fit_the_suites_channels_are_told(tensors, tmp_path):
    images, labels = tensors
    for name, given, channels, message in (
        (
            "rgb",
            images // np.array([1, 2, 3], np.uint8).reshape(3, 1, 1),
            1,
            r"\[30, 3, 16, 16\] .colour.*channels: 1",
        ),
        ("rows", images[:, 0, 0], 1, r"\[30, 16\]; expected .*grey \[N, 1, S, S\]"),
    ):
        np.savez(tmp_path / f"{name}.npz", images=given, labels=labels)
        with pytest.raises(UserError, match=message):
            open_imported(tmp_path / f"{name}.npz", CLASSES, pixels=Pixels(channels))


def test_normalised_grey_tensors(tensors, tmp_path):
    images, labels = tensors
    path = tmp_path / "set.npz"
    np.savez(path, images=((images[:, :1] / 255 - 0.3) / 0.4).astype(np.float32), labels=labels)
    loaded = open_imported(path, CLASSES, pixels=Pixels(1, "0.3/0.4")).load("3", [0, 1, 2], 16)
    assert np.array_equal(loaded.numpy(), images[labels == 3][:, :1])
    with pytest.raises(UserError, match=r"has 3 means, but the images have 1 channel\."):
        open_imported(path, CLASSES, pixels=Pixels(1, "0.3,0.3,0.3/0.4,0.4,0.4"))
    with pytest.raises(UserError, match=r"pass --normalised cifar10\|"):
        open_imported(path, CLASSES, pixels=Pixels(1))


def test_a_folder_of_grey_files_and_one_in_colour(write_folder, pixels):
    root = write_folder()
    for path in root.glob("*/1.png"):
        Image.open(path).convert("L").save(path)
    found = open_imported(root, CLASSES, pixels=Pixels(1))
    loaded = found.load("7", [0, 1, 2], 16)
    assert np.array_equal(loaded.numpy()[:, 0], pixels["7"][..., 0]), "files of three equal channels and of one"
    Image.new("RGB", (16, 16), (200, 10, 10)).save(root / "7" / "1.png")
    with pytest.raises(UserError, match=r"class '7' has colour images, but the suite is grey \(channels: 1\)"):
        found.check(found.all(), 16)
