"""Reading given folders and tensors: what is refused, what is taken, and that no pickle is run."""

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.base import as_logits
from harness.data.imported.open import open_imported
from harness.data.imported.pixels import Pixels

CLASSES = tuple(ClassInfo(str(label), label, str(label)) for label in range(10))


def save(path, **content):
    if path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".safetensors":
        save_file({name: torch.from_numpy(value) for name, value in content.items()}, path)
    else:
        torch.save({name: torch.from_numpy(value) for name, value in content.items()}, path)
    return path


@pytest.mark.parametrize("ending", [".pt", ".npz", ".safetensors"])
def test_tensors_and_a_folder_of_the_same_images_are_the_same_set(ending, tensors, write_folder, tmp_path):
    images, labels = tensors
    found = open_imported(save(tmp_path / f"set{ending}", images=images, labels=labels), CLASSES)
    folder = open_imported(write_folder(), CLASSES)
    rows = found.first(2)
    assert found.num_per_class == folder.num_per_class == dict.fromkeys(map(str, range(10)), 3)
    assert found.side(rows) == folder.side(rows) == 16
    for c in rows:
        assert torch.equal(found.load(c, rows[c], 16), folder.load(c, rows[c], 16))


def test_float_images_are_rounded_to_the_same_levels(tensors, tmp_path):
    images, labels = tensors
    given = (
        save(tmp_path / "a.pt", images=images, labels=labels),
        save(tmp_path / "b.pt", images=(images / 255).astype(np.float32), labels=labels),
    )
    one, other = (open_imported(path, CLASSES) for path in given)
    assert one.fingerprint(one.all(), labels=False) == other.fingerprint(other.all(), labels=False)


def test_normalised_images_are_denormalised_and_clipping_is_told(tensors, tmp_path):
    images, labels = tensors
    mean, std = np.array([0.5, 0.4, 0.3]).reshape(3, 1, 1), np.array([0.2, 0.3, 0.4]).reshape(3, 1, 1)
    values = (images / 255 - mean) / std
    values[0, 0, 0, 0] = 99
    path = save(tmp_path / "a.pt", images=values.astype(np.float32), labels=labels)
    with pytest.raises(UserError, match=r"float images span \[.*, 99\]; expected \[0, 1\]: if they were normalised"):
        open_imported(path, CLASSES)
    found = open_imported(path, CLASSES, pixels=Pixels(normalised="0.5,0.4,0.3/0.2,0.3,0.4"))
    assert "clipped" in found.remarks[0]
    assert torch.equal(found.load("3", [1], 16)[0], torch.from_numpy(images[13]))
    for wrong, told in (
        ("0.5,0.4/0.2,0.3", "has 2 means, but the images have 3 channels"),
        ("cifar", r"expected a name \(cifar10, .*, zca, none\), or means .* Did you mean"),
        ("0.5/0", "standard deviations above 0"),
    ):
        with pytest.raises(UserError, match=told):
            open_imported(path, CLASSES, pixels=Pixels(normalised=wrong))


class Hostile:
    """Leaves a file behind where its pickle is run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_hostile_pickle_is_refused_and_never_run(tmp_path, tensors):
    mark = tmp_path / "mark"
    torch.save({"images": Hostile(mark)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"images": Hostile(mark)}))
    images = np.empty(1, dtype=object)
    images[0] = Hostile(mark)
    np.savez(tmp_path / "c.npz", images=images, labels=tensors[1])
    for name, told in (("a.pt", "would run code"), ("b.pt", "b.pt"), ("c.npz", "cannot be read")):
        with pytest.raises(UserError, match=told):
            open_imported(tmp_path / name, CLASSES)
    assert not mark.exists()


BAD = {
    "no labels": (lambda x, y: {"images": x}, r"has no labels \(found: images\)"),
    "shape": (
        lambda x, y: {"images": np.repeat(x, 2, axis=1), "labels": y},
        r"shape \[30, 6, 16, 16\]; expected \[N, 3",
    ),
    "oblong": (lambda x, y: {"images": x[..., :8], "labels": y}, r"shape \[30, 3, 16, 8\]"),
    "integers": (lambda x, y: {"images": x.astype(np.int32), "labels": y}, r"images are torch.int32"),
    "0 to 255": (lambda x, y: {"images": x.astype(np.float32), "labels": y}, r"divide by 255"),
    "NaN": (lambda x, y: {"images": np.full(x.shape, np.nan, np.float32), "labels": y}, r"images contain NaN"),
    "too few labels": (
        lambda x, y: {"images": x, "labels": y[1:]},
        r"labels are torch.int64 \[29\]; expected .* \[30\]",
    ),
    "float labels": (lambda x, y: {"images": x, "labels": y / 1}, r"labels are torch.float64"),
    "range": (lambda x, y: {"images": x, "labels": y + 1}, r"labels \[10\] are out of range; the suite has 10 classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_tensors_that_do_not_fit_are_refused(case, tensors, tmp_path):
    make, told = BAD[case]
    with pytest.raises(UserError, match=told):
        open_imported(save(tmp_path / "bad.npz", **make(*tensors)), CLASSES)


def test_a_damaged_file_or_another_kind_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "a.zip").write_bytes(b"PK")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    for name, told in (
        ("a.npz", "cannot be read"), ("a.zip", "Unpack archives first"),
        ("list.pt", r"holds a list of 1; expected images with labels"),
        ("none", "does not exist"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=told):
            open_imported(tmp_path / name, CLASSES)


def test_soft_labels_may_be_logits_or_probabilities_in_any_column_order(tensors, tmp_path):
    images, labels = tensors
    logits = np.random.default_rng(0).normal(size=(30, 10)).astype(np.float32)
    order = tmp_path / "order.txt"
    order.write_text("\n".join("9876543210"))
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    path = save(tmp_path / "a.npz", images=images, labels=9 - labels, soft_labels=probabilities[:, ::-1])
    found = open_imported(path, CLASSES, order=str(order))
    kept = found.soft_labels("4", [0, 2])
    torch.testing.assert_close(kept.softmax(1), torch.from_numpy(probabilities[[4, 24]]), rtol=1e-5, atol=1e-6)
    assert torch.equal(as_logits(torch.from_numpy(logits), "x"), torch.from_numpy(logits))


def test_soft_labels_that_do_not_fit_are_refused(tensors, tmp_path):
    images, labels = tensors
    for soft, told in (
        (np.zeros((30, 9), np.float32), r"expected float \[30, 10\]"),
        (np.full((30, 10), 1e6, np.float32), "beyond half precision"),
    ):
        found = open_imported(save(tmp_path / "a.npz", images=images, labels=labels, soft_labels=soft), CLASSES)
        with pytest.raises(UserError, match=told):
            found.fingerprint(found.all(), labels=True)


def test_a_folder_that_does_not_fit_is_refused(write_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no class folders"):
        open_imported(tmp_path / "empty", CLASSES)
    root = write_folder()
    (root / "3" / "2.png").unlink()
    with pytest.raises(UserError, match=r"fewer than 3 images \(--ipc\) in 1 of 10 classes: class 3 has 2"):
        open_imported(root, CLASSES).first(3)
    with pytest.raises(UserError, match=r"classes have 2 to 3 images; set how many"):
        open_imported(root, CLASSES).common_ipc()
    (root / "4" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty file \(0 bytes\)"):
        open_imported(root, CLASSES)


def test_images_of_another_size_are_kept_at_it_and_oblong_ones_have_none(write_folder):
    square, oblong = write_folder(size=(24, 24)), write_folder(where="oblong", size=(24, 20))
    found = open_imported(square, CLASSES)
    assert found.side(found.all()) == 24
    found = open_imported(oblong, CLASSES)
    assert found.side(found.all()) is None
    assert found.load("0", [0], 16).shape == (1, 3, 16, 16)


def test_tensors_that_are_not_what_they_seem_are_refused_before_they_are_unpacked(tensors, tmp_path):
    """A sparse one, one without numbers, and ones that claim to be larger than memory."""
    images, labels = map(torch.from_numpy, tensors)
    for name, strange in (
        ("sparse", images.float().to_sparse()),
        ("meta", torch.empty(images.shape, dtype=torch.uint8, device="meta")),
        ("complex", images.to(torch.complex64)),
    ):
        torch.save({"images": strange, "labels": labels}, tmp_path / f"{name}.pt")
        with pytest.raises(UserError, match="expected a dense tensor of numbers"):
            open_imported(tmp_path / f"{name}.pt", CLASSES)
    huge = torch.zeros(1, dtype=torch.uint8).expand(10**6, 3, 1024, 1024)
    torch.save({"images": huge, "labels": labels}, tmp_path / "huge.pt")
    with pytest.raises(UserError, match=r"huge.pt: needs 2\.9 TiB of memory"):
        open_imported(tmp_path / "huge.pt", CLASSES)


def test_an_archive_that_unpacks_to_more_than_memory_is_refused(tensors, tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, images=np.zeros((2000, 3, 64, 64), np.uint8), labels=np.zeros(2000, np.int64))
    monkeypatch.setattr("harness.data.imported.read.free_memory", lambda: 40_000_000)
    with pytest.raises(UserError, match=r"bomb.npz: needs 23\.5 MiB of memory .file size .* KiB"):
        open_imported(path, CLASSES)
