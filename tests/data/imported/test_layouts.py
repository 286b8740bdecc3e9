"""Sets are opened in the layouts in which authors publish them; each file is written as their code writes it."""

import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.open import open_imported
from harness.data.imported.pixels import NORMALISATIONS, Pixels

CLASSES = tuple(ClassInfo(str(label), label, str(label)) for label in range(10))


@pytest.fixture
def given(tensors):
    """Images uint8 [30, 3, 16, 16], class after class as DC, MTT and DATM have them, and labels."""
    order = np.argsort(tensors[1], kind="stable")
    return torch.from_numpy(tensors[0][order]), torch.from_numpy(tensors[1][order])


def normalised(images, name):
    mean, std = (
        torch.tensor([float(v) for v in part.split(",")]).view(-1, 1, 1) for part in NORMALISATIONS[name].split("/")
    )
    return (images / 255 - mean) / std


def pixels_of(found, class_id="3"):
    return found.load(class_id, range(3), 16)


def save_dc(path, images, labels, sets=2):
    """As main.py of VICO-UoE/DatasetCondensation@53f63a6: a copy of both tensors for each experiment, accuracies of numpy."""
    data = [[images.clone() if number == 0 else images.flip(3).clone(), labels.clone()] for number in range(sets)]
    accuracies = {"ConvNet": [np.float64(51.2), np.mean(np.array([0.5], np.float32))]}
    torch.save({"data": data, "accs_all_exps": accuracies}, path)
    return path


def test_dc_dsa_and_dm_have_a_set_for_each_experiment(given, tmp_path):
    images, labels = given
    path = save_dc(tmp_path / "res_DSA_CIFAR10_ConvNet_3ipc.pt", normalised(images, "cifar10"), labels)
    found = open_imported(path, CLASSES, pixels=Pixels(normalised="cifar10"))
    assert len(found.sets) == 2
    assert torch.equal(pixels_of(found), images[9:12])
    assert torch.equal(pixels_of(found.sets[1]), images[9:12].flip(3))
    assert "2 sets" in found.remarks[0]


LABELLED = {
    "numbers": lambda labels: labels,
    "column": lambda labels: labels[:, None],
    "bytes": lambda labels: labels.to(torch.uint8),
    "one-hot": lambda labels: torch.nn.functional.one_hot(labels, 10).float(),
    "one-hot of bytes": lambda labels: torch.nn.functional.one_hot(labels, 10).to(torch.uint8),
    "soft": lambda labels: torch.nn.functional.one_hot(labels, 10) * 3.0 - 1,
}


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_may_be_numbers_one_hot_or_soft(kind, given, tmp_path):
    images, labels = given
    torch.save([images, LABELLED[kind](labels)], tmp_path / "set.pt")
    found = open_imported(tmp_path / "set.pt", CLASSES)
    assert torch.equal(pixels_of(found), images[9:12])
    assert found.has_labels is (kind == "soft")
    if kind == "soft":
        assert torch.equal(found.soft_labels("3", [0]), LABELLED[kind](labels)[9:10])


FILES = {
    "list": lambda x, y, path: torch.save([x, y], path),
    "tuple": lambda x, y, path: torch.save((x, y), path),
    "parameter": lambda x, y, path: torch.save((torch.nn.Parameter(x / 255), y), path),
    "image_syn": lambda x, y, path: torch.save({"image_syn": x, "label_syn": y, "syn_lr": torch.tensor(0.1)}, path),
    "channels last": lambda x, y, path: np.savez(
        path, x_train=x.permute(0, 2, 3, 1), y_train=y[:, None], x_test=x[:1], y_test=y[:1]
    ),
    "half precision": lambda x, y, path: torch.save([(x / 255).half(), y], path),
}


@pytest.mark.parametrize("layout", FILES)
def test_one_file_with_both(layout, given, tmp_path):
    path = tmp_path / ("set.npz" if layout == "channels last" else "set.pt")
    FILES[layout](*given, path)
    with warnings.catch_warnings(action="error"):
        found = open_imported(path, CLASSES)
        assert torch.equal(pixels_of(found), given[0][9:12])
        found.fingerprint_of(3, labels=False)


def save_mtt(folder, images, labels, rate=None):
    """As distill.py of mtt-distillation@50dccea and DATM@97ae510, whose labels carry gradients."""
    folder.mkdir()
    torch.save(images.requires_grad_(True).cpu(), folder / "images_best.pt")
    torch.save(labels.cpu(), folder / "labels_best.pt")
    if rate:
        torch.save(torch.tensor(rate), folder / "lr_best.pt")
    return folder


def test_mtt_tesla_and_datm_write_two_files(given, tmp_path):
    images, labels = given
    soft = torch.nn.functional.one_hot(labels, 10) * 4.0
    soft[4, 7] = 9.0  # optimised until it preferred another class
    soft.requires_grad_(True)
    folder = save_mtt(tmp_path / "Normal", normalised(images, "cifar10"), soft, rate=0.0123)
    files = [folder / "images_best.pt", folder / "labels_best.pt"]
    read = {"pixels": Pixels(normalised="cifar10")}
    for path, labels_path in (files, reversed(files), (folder, None)):
        with warnings.catch_warnings(action="error"):
            found = open_imported(path, CLASSES, labels_path=labels_path, **read)
        assert torch.equal(pixels_of(found), images[9:12])
        assert found.num_per_class == dict.fromkeys(map(str, range(10)), 3), "an image's class is its place"
        assert any("96.7 % of the soft labels prefer that class" in line for line in found.remarks)
        assert any("--set protocol.lr=0.0123" in line for line in found.remarks)
    with pytest.raises(UserError, match=r"but no labels\. Pass the file of labels after it"):
        open_imported(files[0], CLASSES, **read)


def test_dd_ranking_has_images_and_soft_labels_in_a_folder_or_images_alone(given, tmp_path):
    images, labels = given
    torch.save(images / 255, tmp_path / "images.pt")
    found = open_imported(tmp_path, CLASSES, order="labels")
    assert torch.equal(pixels_of(found), images[9:12])
    assert any("because there are no labels" in line for line in found.remarks)
    torch.save(torch.nn.functional.one_hot(labels, 10) * 2.0, tmp_path / "labels.pt")
    assert open_imported(tmp_path, CLASSES).has_labels


def test_sre2l_numbers_its_folders(pixels, write_folder, given):
    root = write_folder(name=lambda c: f"new{int(c):03d}", ending=".jpg")
    found = open_imported(root, CLASSES)
    assert "new003 = 3" in found.order
    assert (pixels_of(found).int() - given[0][9:12].int()).abs().float().mean() < 10, "JPEG"
    (root / "new009").rename(root / "new010")
    with pytest.raises(UserError, match="numbers from 0 to 10"):
        open_imported(root, CLASSES)


@pytest.mark.parametrize("shape", ["[N, 1, S, S]", "[N, S, S, 1]", "[N, S, S]"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_fit_suites_in_colour_too(shape, channels, given, tmp_path):
    grey = given[0][:, :1]
    images = {"[N, 1, S, S]": grey, "[N, S, S, 1]": grey.permute(0, 2, 3, 1), "[N, S, S]": grey[:, 0]}[shape]
    torch.save((images, given[1]), tmp_path / "set.pt")
    found = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(channels))
    assert torch.equal(pixels_of(found), grey[9:12].expand(-1, channels, -1, -1))


class Hostile:
    """Leaves a file behind where its pickle is run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


HOSTILE = {
    "dc": lambda bad, x, y, root: torch.save(
        {"data": [[x, y]], "accs_all_exps": {"ConvNet": [bad]}}, root / "images.pt"
    ),
    "list": lambda bad, x, y, root: torch.save([x, bad], root / "images.pt"),
    "named": lambda bad, x, y, root: torch.save({"image_syn": x, "label_syn": y, "args": bad}, root / "images.pt"),
    "labels": lambda bad, x, y, root: (torch.save(x, root / "images.pt"), torch.save(bad, root / "labels.pt")),
    "learned rate": lambda bad, x, y, root: (torch.save(x, root / "images.pt"), torch.save(bad, root / "lr.pt")),
    "npz": lambda bad, x, y, root: np.savez(root / "images.npz", x_train=x, y_train=np.array([bad], dtype=object)),
    "npy": lambda bad, x, y, root: np.save(root / "images.npy", np.array([bad], dtype=object), allow_pickle=True),
    "numpy's type": lambda bad, x, y, root: torch.save([x, y, np.dtype("f8"), bad], root / "images.pt"),
}


@pytest.mark.parametrize("layout", HOSTILE)
def test_nothing_in_a_hostile_file_is_run(layout, given, tmp_path):
    mark = tmp_path / "mark"
    HOSTILE[layout](Hostile(mark), *given, tmp_path)
    path = next(tmp_path.glob("images.*"))
    labels = tmp_path / "labels.pt"
    if layout == "learned rate":
        torch.save(given[1], labels)
    with pytest.raises(UserError, match=r"would run code|cannot be read"):
        open_imported(path, CLASSES, labels_path=labels if labels.exists() else None)
    assert not mark.exists()


def test_what_a_refused_file_names_is_told(given, tmp_path):
    torch.save([given[0], Hostile(tmp_path / "mark")], tmp_path / "set.pt")
    with pytest.raises(UserError, match=r"it refers to \w+\.mkdir"):
        open_imported(tmp_path / "set.pt", CLASSES)


def test_floats_are_kept_or_clipped(given, tmp_path):
    images, labels = given
    bright = normalised(images, "imagenet") * 1.5
    torch.save([bright, labels], tmp_path / "set.pt")
    kept = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(3, "imagenet", keep_float=True))
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(-1, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(-1, 1, 1)
    assert torch.equal(pixels_of(kept), (bright * std + mean)[9:12])
    assert any("float32, without clipping or rounding" in line for line in kept.remarks)
    clipped = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(3, "imagenet"))
    assert any("were clipped" in line for line in clipped.remarks)
    assert kept.fingerprint_of(3, labels=False) != clipped.fingerprint_of(3, labels=False)
    torch.save(given, tmp_path / "set.pt")
    with pytest.raises(UserError, match="--keep-float applies only to float images; these are uint8"):
        open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(keep_float=True))


def test_whitened_images_that_are_taken_for_normalised_ones_are_noticed(given, tmp_path):
    images, labels = given
    torch.save([(images / 255 - 0.3) * 0.5, labels], tmp_path / "set.pt")
    found = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(normalised="cifar10"))
    assert any("Were they whitened by ZCA?" in line for line in found.remarks)
    with pytest.raises(UserError, match="--normalised zca if they were whitened"):
        open_imported(tmp_path / "set.pt", CLASSES)


def test_whitening_is_undone_and_the_key_is_known_before(given, tmp_path):
    images, labels = given
    torch.save([images / 255 * 4 - 1, labels], tmp_path / "set.pt")
    white = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(normalised="zca"))
    done = open_imported(tmp_path / "set.pt", CLASSES, pixels=Pixels(normalised="zca", unwhiten=lambda x: (x + 1) / 4))
    assert (white.has_pixels, done.has_pixels) == (False, True)
    assert torch.equal(pixels_of(done), images[9:12])
    assert white.fingerprint_of(3, labels=False) == done.fingerprint_of(3, labels=False)


def test_a_grey_png_folder_of_numbers_is_still_read(tmp_path):
    for label in range(10):
        (tmp_path / str(label)).mkdir()
        Image.new("L", (16, 16), label).save(tmp_path / str(label) / "0.png")
    assert int(open_imported(tmp_path, CLASSES).load("7", [0], 16).max()) == 7
