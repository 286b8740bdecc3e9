"""Whitening by ZCA: what it makes of images, where it is applied, and when it is refused."""

import pytest
import torch
from torch import nn

from harness.core.errors import UserError
from harness.data.rows import as_rows
from harness.training import whitening as module
from harness.training.augment import Augmenter, draw
from harness.training.protocols import resolve_protocol
from harness.training.trainer import train_student
from harness.training.whitening import Whitening, fit_zca

ZCA = resolve_protocol("ltdd", {"epochs": 2, "batch_size": 8, "dsa": []})


def some_images(num=200, side=4, seed=0):
    """Neighbouring pixels are alike, as in photographs."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(num, 3, side + 2, side + 2, generator=rng)
    return (255 * nn.functional.avg_pool2d(noise, 3, 1)).to(torch.uint8)


def test_the_example_in_the_documentation_of_the_authors_library_comes_out():
    """kornia, zca_whiten: [[0, 1], [1, 0], [-1, 0]], eps 1e-6. Here as grey levels: 0, 1 and 2 for -1, 0 and 1."""
    images = torch.tensor([[1, 2], [2, 1], [0, 1]], dtype=torch.uint8).view(3, 1, 1, 2)
    made = fit_zca(images, eps=1e-6 / 255**2)(images / 255).flatten(1)
    expected = torch.tensor([[0.0, 1.1547], [1.0, -0.5773], [-1.0, -0.5773]])
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-4)


def test_white_images_have_mean_zero_and_the_variances_that_eps_leaves():
    images = some_images()
    made = fit_zca(images)(images / 255).flatten(1).double()
    flat = (images / 255).flatten(1).double()
    variances = torch.linalg.eigvalsh(torch.cov(flat.T))
    torch.testing.assert_close(made.mean(0), torch.zeros(48).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        torch.linalg.eigvalsh(torch.cov(made.T)), variances / (variances + 0.1), rtol=1e-3, atol=1e-5
    )


def test_the_matrix_does_not_turn_images():
    """Z in ZCA: of all whitenings the one that leaves pixels where they are, with a symmetric positive matrix."""
    matrix = fit_zca(some_images()).matrix_DD
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-5)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_the_inverse_gives_the_images_back():
    images = some_images()
    zca = fit_zca(images)
    torch.testing.assert_close(zca.inverse(zca(images / 255)), images / 255, rtol=0, atol=1e-5)


def test_images_that_pass_in_pieces_give_the_same(monkeypatch):
    images = some_images()
    whole = fit_zca(images)
    monkeypatch.setattr(module, "_AT_ONCE", 48 * 7)
    pieces = fit_zca(as_rows(images, images.device))
    torch.testing.assert_close(pieces.matrix_DD, whole.matrix_DD, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pieces.mean_D, whole.mean_D)


def test_whitening_takes_the_place_of_mean_and_std():
    images = some_images(4)
    fitted = fit_zca(some_images())
    augment = Augmenter(resolve_protocol("ltdd", {"mean": [0.1] * 3, "std": [0.7] * 3}), torch.device("cpu"), fitted)
    torch.testing.assert_close(augment.normalise(images), fitted(images / 255))


def test_colours_are_changed_before_whitening():
    protocol = resolve_protocol("ltdd", {"color_jitter": 0.4, "dsa": []})
    images, fitted = some_images(4), fit_zca(some_images())
    plain = protocol.model_copy(update={"whitening": "none", "mean": (0.0,) * 3, "std": (1.0,) * 3})
    draws = draw(protocol, 4, 4, torch.Generator().manual_seed(1))
    cpu = torch.device("cpu")
    made = Augmenter(protocol, cpu, fitted)(images, draws)
    torch.testing.assert_close(made, fitted(Augmenter(plain, cpu)(images, draws)))


def test_training_and_test_images_are_whitened_alike(monkeypatch):
    """The student sees no other images, in training and in its evaluation."""
    images, seen = some_images(20, 8), []
    fitted = fit_zca(some_images(50, 8))
    call = Whitening.__call__
    monkeypatch.setattr(Whitening, "__call__", lambda self, x: seen.append(len(x)) or call(self, x))
    more = {
        "student": "convnet1", "train_images": images, "train_labels": torch.arange(20) % 10,
        "test_images": images[:6], "test_labels": torch.arange(6), "num_classes": 10, "seed": 0,
    }  # fmt: skip
    train_student(protocol=ZCA, whitening=fitted, **more)
    assert seen == [8, 8, 4, 8, 8, 4, 6]
    with pytest.raises(ValueError, match="has whitening zca, and got None"):
        train_student(protocol=ZCA, **more)


def test_images_that_are_too_large_are_refused_before_anything_is_computed():
    with pytest.raises(UserError, match=r"at most 12,288 values .* these have 12,675"):
        fit_zca(torch.zeros(2, 3, 65, 65, dtype=torch.uint8))
