"""The soft-label protocol against golden/rded.json."""

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.data.split import short_side
from harness.students.build import build_student
from harness.training.augment import draw, shuffle_patches
from harness.training.cutmix import cutmix_box
from harness.training.optimizer import make_optimizer
from harness.training.protocols import resolve_protocol
from harness.training.recipe import make_recipe
from harness.training.soft_labels import SoftLabels, soft_label_loss
from harness.training.trainer import train_student

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rded.json").read_text())
RDED = resolve_protocol("rded")
EXAMPLES = GOLDEN["numeric_examples"]


@pytest.mark.parametrize("example", EXAMPLES["kl"])
def test_the_loss_and_its_gradient_are_the_authors(example):
    """Tolerance: the golden values were computed in float64, ours in float32."""
    student = torch.tensor(example["student_logits"], requires_grad=True)
    loss = soft_label_loss(student, torch.tensor(example["teacher_logits"]), temperature=example["temperature"])
    loss.backward()
    torch.testing.assert_close(loss.item(), example["loss"], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(student.grad, torch.tensor(example["grad_student_logits"]), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", ["resnet18_torchvision_c1000", "convnet3_32_batchnorm_c10"])
def test_only_matrices_decay(name):
    expected = GOLDEN["weight_decay_groups"][name]
    model = torchvision.models.resnet18() if "resnet18" in name else build_student("convnet3_bn", 10, 32)
    decayed, rest = make_optimizer(model, RDED, make_recipe(RDED, 10, 10)).param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.01, 0.0)
    assert len(decayed["params"]) == expected["decayed_tensors"]
    assert sum(p.numel() for p in decayed["params"]) == expected["decayed_numel"]
    assert len(rest["params"]) == expected["not_decayed_tensors"]
    assert sum(p.numel() for p in rest["params"]) == expected["not_decayed_numel"]


def test_the_optimiser_is_the_authors():
    optimizer = make_optimizer(build_student("convnet3_bn", 10, 32), RDED, make_recipe(RDED, 10, 10))
    wanted = GOLDEN["protocol"]["optimizer"]
    assert type(optimizer).__name__ == wanted["name"]
    assert list(optimizer.param_groups[0]["betas"]) == wanted["betas"]
    assert RDED.weight_decay == wanted["weight_decay"]


def test_patches_are_shuffled_as_the_authors_do():
    example = EXAMPLES["shuffle_patches"][0]  # the square one: students' images are square
    side = example["width"]
    image = torch.arange(side * side).view(1, 1, side, side).expand(2, 3, -1, -1)
    order = torch.tensor([example["column_strip_order"], example["row_strip_order"]])
    still = torch.tensor([[0, 1], [0, 1]])
    found = shuffle_patches(image, torch.stack([order, still]))
    assert found[0].tolist() == [example["output"]] * 3
    assert torch.equal(found[1], image[1])


def test_place_i_gets_the_strip_that_comes_ith():
    """A 3 x 3 grid: with two strips an order is its own inverse. Either gives the same images as often."""
    image = torch.arange(9).view(1, 1, 3, 3)
    found = shuffle_patches(image, torch.tensor([[[1, 2, 0], [2, 0, 1]]]))
    assert found[0, 0].tolist() == [[7, 8, 6], [1, 2, 0], [4, 5, 3]]


def test_pixels_beyond_the_last_patch_stay_where_they_are():
    """The authors drop them, and the image shrinks."""
    image = torch.arange(25).view(1, 1, 5, 5)
    found = shuffle_patches(image, torch.tensor([[[0, 1], [1, 0]]]))
    rows = [[10, 11, 12, 13, 14], [15, 16, 17, 18, 19], [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [20, 21, 22, 23, 24]]
    assert found[0, 0].tolist() == rows


def test_every_image_has_its_own_patches_and_every_order_comes():
    patches = draw(RDED, 400, 32, torch.Generator().manual_seed(0)).patches
    orders = {tuple(p.flatten().tolist()) for p in patches}
    assert orders == {(0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)}


def test_other_protocols_draw_what_they_drew_before():
    """Patch shuffle takes random numbers only where it is on."""
    idc = resolve_protocol("idc")
    ours, again = (draw(idc, 3, 32, torch.Generator().manual_seed(0)) for _ in range(2))
    assert ours.patches.shape == (3, 2, 1)
    assert torch.equal(ours.box, again.box)
    shuffled = draw(idc.model_copy(update={"patch_shuffle": 2}), 3, 32, torch.Generator().manual_seed(0))
    assert torch.equal(shuffled.box, ours.box)


@pytest.mark.parametrize("example", EXAMPLES["cutmix_box"])
def test_cutmix_boxes_are_the_authors(example):
    rows, cols, _ = cutmix_box(
        example["size"], example["size"], example["lam"], example["centre_row"], example["centre_col"]
    )
    assert (list(rows), list(cols)) == (example["rows"], example["cols"])


@pytest.mark.parametrize(
    ("side", "short"), [(int(k), v) for k, v in GOLDEN["protocol"]["test_transform"][0]["values"].items()]
)
def test_test_images_keep_the_authors_margin(side, short):
    assert RDED.test_margin
    assert short_side(side, "margin") == short
    assert short_side(side, "resize") == side


class Linear(nn.Module):
    """A teacher that remembers what it saw."""

    def __init__(self, classes: int = 3, side: int = 8) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * side * side, classes)
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.clone())
        return self.layer(images.flatten(1))


SHORT = resolve_protocol("rded", {"epochs": {"up_to": [], "above": 3}, "patch_shuffle": 1})


@pytest.fixture
def tiny():
    """Images [12, 3, 8, 8] of three classes."""
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(12) % 3


def train(tiny, protocol, **changes):
    images, labels = tiny
    return train_student(
        student=changes.pop("student", "convnet1_bn"), protocol=protocol, train_images=images, train_labels=labels,
        test_images=images, test_labels=labels, num_classes=3, seed=0, **changes,
    )  # fmt: skip


def test_soft_labels_want_a_teacher(tiny):
    with pytest.raises(UserError, match=r"'rded' has soft labels, but no teacher"):
        train(tiny, SHORT)


def test_the_teacher_labels_the_mixed_batch_that_the_student_sees_and_learns_nothing(tiny, monkeypatch):
    from harness.training import trainer

    fed = []
    forward = trainer.TrainingRun._forward
    monkeypatch.setattr(trainer.TrainingRun, "_forward", lambda run, x: fed.append(x.clone()) or forward(run, x))
    teacher = Linear()
    before = teacher.layer.weight.detach().clone()
    train(tiny, SHORT, soft_labels=SoftLabels(teacher, SHORT, 0))
    assert len(fed) == len(teacher.seen) == 3
    assert all(torch.equal(a, b) for a, b in zip(fed, teacher.seen, strict=True))
    assert torch.equal(before, teacher.layer.weight)
    assert teacher.layer.weight.grad is None


def test_a_teacher_sees_its_own_normalisation(tiny):
    own = SHORT.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.4, 0.3)})
    images = torch.rand(2, 3, 8, 8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (SHORT.mean, SHORT.std))
    teacher = Linear()
    SoftLabels(teacher, own, 0).logits((images - mean) / std, SHORT)
    own_mean, own_std = (torch.tensor(v).view(3, 1, 1) for v in (own.mean, own.std))
    torch.testing.assert_close(teacher.seen[0], (images - own_mean) / own_std, rtol=1e-5, atol=1e-5)


def test_batch_norm_statistics_move_once_a_step(tiny):
    """The authors' second forward pass, for logging, moves them twice."""
    model, result = train(tiny, SHORT, soft_labels=SoftLabels(Linear(), SHORT, 0))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {int(m.num_batches_tracked) for m in norms} == {result.num_steps}


def test_hard_labels_take_no_notice_of_a_teacher(tiny):
    hard = Protocol.model_validate(SHORT.model_dump() | {"labels": "hard"})
    teacher = Linear()
    with_teacher = train(tiny, hard, soft_labels=SoftLabels(teacher, SHORT, 0))[1]
    assert not teacher.seen
    assert with_teacher == train(tiny, hard)[1]
