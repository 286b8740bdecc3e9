"""The minimax criteria against the values of the authors' implementation (golden/minimax_loss)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from methods.minimax import Criteria

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden():
    arrays = np.load(GOLDEN / "minimax_loss.npz")
    return json.loads((GOLDEN / "minimax_loss.json").read_text()), {k: arrays[k] for k in arrays.files}


def replay(about, arrays, dtype, names=(0, 1, 2)):
    """Run the 12 golden steps, label i being called names[i]; return the criteria, per-step losses and gradients."""
    called = torch.tensor(names)
    criteria = Criteria(
        called[about["class_labels"]].sort().values, about["lambda_pos"], about["lambda_neg"], about["memory_size"]
    )
    steps = []
    for x, pseudo, labels in zip(arrays["x"], arrays["pseudo"], arrays["labels"], strict=True):
        predicted = torch.tensor(pseudo, dtype=dtype, requires_grad=True)
        represent, diversity = criteria(torch.tensor(x, dtype=dtype), predicted, called[torch.tensor(labels)])
        (represent + diversity).backward()
        steps.append((represent.item(), diversity.item(), predicted.grad, criteria.cosines))
    return criteria, steps


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_losses_and_gradients_equal_the_authors_over_twelve_steps(golden, precision):
    about, arrays = golden
    tolerance = about["suggested_tolerance"][precision]

    _, steps = replay(about, arrays, getattr(torch, precision))

    for step, (represent, diversity, grad, _) in enumerate(steps):
        assert represent == pytest.approx(arrays["pos_loss"][step], abs=tolerance["loss_abs"])
        assert diversity == pytest.approx(arrays["neg_loss"][step], abs=tolerance["loss_abs"])
        expected = torch.tensor(arrays["grad_pseudo"][step], dtype=grad.dtype)
        assert (grad - expected).abs().max() <= tolerance["grad_abs"]


def test_labels_are_names_and_not_rows(golden):
    """A generator of ImageNet calls three of its classes 207, 7 and 151; nothing else changes."""
    about, arrays = golden
    tolerance = about["suggested_tolerance"]["float64"]

    criteria, steps = replay(about, arrays, torch.float64, names=(207, 7, 151))

    assert [s[0] for s in steps] == pytest.approx(arrays["pos_loss"].tolist(), abs=tolerance["loss_abs"])
    assert [s[1] for s in steps] == pytest.approx(arrays["neg_loss"].tolist(), abs=tolerance["loss_abs"])
    for label, name in enumerate((207, 7, 151)):
        real, predicted = (m.float() for m in criteria.memory(name))
        assert torch.equal(real, torch.tensor(arrays[f"final_real_memory_{label}"]).flatten(1))
        assert torch.equal(predicted, torch.tensor(arrays[f"final_pseudo_memory_{label}"]).flatten(1))


def test_the_memories_hold_the_newest_latents_oldest_first(golden):
    about, arrays = golden
    criteria, _ = replay(about, arrays, torch.float32)
    for label in about["class_labels"]:
        real, predicted = criteria.memory(label)
        assert torch.equal(real, torch.tensor(arrays[f"final_real_memory_{label}"]).flatten(1))
        assert torch.equal(predicted, torch.tensor(arrays[f"final_pseudo_memory_{label}"]).flatten(1))


def test_the_logged_cosines_are_the_extremes_of_the_golden_steps(golden):
    about, arrays = golden
    _, steps = replay(about, arrays, torch.float64)
    for golden_step, (_, _, _, cosines) in zip(about["per_step"], steps, strict=True):
        least, most = golden_step["min_cosine_to_real_memory"], golden_step["max_cosine_to_pseudo_memory"]
        if least:
            assert float(cosines[0]) == pytest.approx(sum(least.values()) / len(least), abs=1e-10)
            assert float(cosines[1]) == pytest.approx(sum(most.values()) / len(most), abs=1e-10)


def test_more_items_than_the_memory_holds_leave_only_the_newest():
    criteria = Criteria(torch.tensor([3]), 1.0, 1.0, 2)
    x = torch.arange(1.0, 6.0).reshape(5, 1, 1, 1)
    criteria(x, x.clone(), torch.full((5,), 3))
    assert criteria.memory(3)[0].flatten().tolist() == [4.0, 5.0]


def test_restored_criteria_go_on_as_if_never_stopped():
    def step(criteria, seed):
        generator = torch.Generator().manual_seed(seed)
        x, predicted = torch.randn(2, 4, 4, 2, 2, generator=generator)
        return criteria(x, predicted, torch.tensor([0, 1, 1, 0]))

    whole, first, second = (Criteria(torch.tensor([0, 1]), 0.002, 0.008, 3) for _ in range(3))
    for seed in range(4):
        expected = step(whole, seed)
    for seed in range(3):
        step(first, seed)
    second.restore(first.checkpoint())
    assert torch.equal(torch.stack(step(second, 3)), torch.stack(expected))
