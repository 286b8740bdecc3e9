"""What the optimiser of a training does at every step, against golden/protocol.json and golden/rded.json.

A hook of torch's sees each optimiser as it steps: neither a protocol's fields nor `make_optimizer` are asked.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from harness.training.protocols import resolve_protocol
from harness.training.soft_labels import SoftLabels
from harness.training.trainer import train_student

FOLDER = Path(__file__).parents[1] / "golden"
IDC = json.loads((FOLDER / "protocol.json").read_text())
RDED = json.loads((FOLDER / "rded.json").read_text())
FEW_EVALUATIONS = {"idc": {"num_evaluations": 1}, "rded": {"evaluate_every": 1000}}


class Teacher(nn.Module):
    """Finds every class as likely as the others."""

    def forward(self, images):
        return images.new_zeros(len(images), 10)


@pytest.fixture
def steps():
    """Return the optimiser and the learning rates of its groups after each step of a training."""
    seen = []
    hook = register_optimizer_step_post_hook(
        lambda optimizer, args, kwargs: seen.append((optimizer, [group["lr"] for group in optimizer.param_groups]))
    )
    yield seen
    hook.remove()


def train(protocol, *, num=12, side=8, student="convnet1", **overrides):
    """Train on `num` images of ten classes; return the student."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=rng)
    labels = torch.arange(num) % 10
    changed = resolve_protocol(protocol, {**FEW_EVALUATIONS[protocol], **overrides})
    model, _ = train_student(
        student=student, protocol=changed, train_images=images, train_labels=labels, test_images=images[:2],
        test_labels=labels[:2], num_classes=10, seed=0, ipc=1000,
        soft_labels=SoftLabels(Teacher(), changed, 0) if protocol == "rded" else None,
    )  # fmt: skip
    return model


def test_idc_trains_with_the_optimiser_of_the_reference(steps):
    golden = IDC["protocol"]["optimizer"]
    model = train("idc", epochs=3)

    optimizer, rates = steps[0]
    assert type(optimizer).__name__ == golden["name"]
    assert rates == [golden["lr"]]
    trained = set()
    for group in optimizer.param_groups:
        found = {key: group[key] for key in ("momentum", "weight_decay", "nesterov")}
        assert found == {key: golden[key] for key in found}
        assert (group["dampening"], group["maximize"]) == (0, False)
        trained |= {id(p) for p in group["params"]}
    assert golden["weight_decay_on"] == "all parameters"
    assert trained == {id(p) for p in model.parameters()}


def test_rded_trains_with_the_optimiser_of_the_reference(steps):
    golden = RDED["protocol"]["optimizer"]
    train("rded", epochs=1)

    optimizer, rates = steps[0]
    assert type(optimizer).__name__ == golden["name"]
    assert rates == [RDED["lr_by_student"]["conv3"]] * 2, "what its ConvNets have"
    for group in optimizer.param_groups:
        assert list(group["betas"]) == golden["betas"]
        assert not group["amsgrad"]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {golden["weight_decay"], 0.0}


def test_idc_steps_with_the_learning_rate_of_the_reference_in_every_epoch(steps):
    """The shortest training of the table: 300 epochs above IPC 500. One step an epoch."""
    row = next(r for r in IDC["epoch_table"] if (r["ipc"], r["nclass"]) == (1000, 10))
    train("idc", num=2)

    assert len(steps) == row["epochs"] == 300
    for epoch, lr in row["lr_at_epoch"].items():
        assert steps[int(epoch) - 1][1] == [pytest.approx(lr, rel=1e-12)]
    assert len({lr for _, (lr,) in steps}) == 1 + len(row["lr_milestones"])


def test_rded_steps_with_the_learning_rate_of_the_reference_in_every_epoch(steps):
    values = RDED["lr_schedule_values"][0]
    train("rded", num=2)

    assert len(steps) == values["epochs"] == 300
    for epoch, factor in values["factor_at_epoch"].items():
        assert steps[int(epoch)][1] == [pytest.approx(factor * RDED["lr_by_student"]["conv3"], rel=1e-12)] * 2


@pytest.mark.parametrize("epochs", [8, 20])
def test_the_half_cosine_has_the_length_of_the_training(steps, epochs):
    """golden/rded.json, lr_schedule.formula: a function of epoch / epochs alone, so its values at 300 say all others."""
    at_300 = RDED["lr_schedule_values"][0]["factor_at_epoch"]
    train("rded", num=2, epochs=epochs)

    assert len(steps) == epochs
    for quarter, factor in enumerate(at_300[key] for key in ("0", "75", "150", "225")):
        assert steps[quarter * epochs // 4][1][0] == pytest.approx(factor * RDED["lr_by_student"]["conv3"], rel=1e-12)


def test_class_tokens_and_position_tables_do_not_decay(steps):
    """golden/rded.json, optimizer.groups: they have more than one dimension, and no "weight" in their names."""
    model = train("rded", num=10, side=32, student="timm:vit_tiny_patch16_224", epochs=1)

    groups = steps[0][0].param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    named = dict(model.named_parameters())
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in named.values()}
    tables = [p for name, p in named.items() if name.endswith(("cls_token", "pos_embed"))]
    assert len(tables) == 2
    assert all(p.ndim > 1 for p in tables)
    assert not decayed & {id(p) for p in tables}
    assert not decayed & {id(p) for p in named.values() if p.ndim == 1}
    assert decayed >= {id(p) for name, p in named.items() if name.endswith("attn.qkv.weight")}


def test_every_batch_is_mixed_under_both_protocols(monkeypatch):
    """golden: cutmix.probability_per_batch and mixing.probability_per_batch are 1. Whole batches paste in place."""
    from harness.training import trainer

    pasted = []
    paste = trainer.paste
    monkeypatch.setattr(trainer, "paste", lambda images, mix: pasted.append(mix) or paste(images, mix))
    for protocol, golden in (("idc", IDC["protocol"]["cutmix"]), ("rded", RDED["protocol"]["mixing"])):
        pasted.clear()
        train(protocol, num=2, epochs=40)
        assert golden["probability_per_batch"] == 1
        assert len(pasted) == 40
