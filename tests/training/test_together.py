"""Trainings that are stacked: each has the weights, batches and scores that it has alone, but for float rounding.

Tolerance of losses: float32 sums in another order, amplified by ten to thirty steps; measured at most 2e-4 of the loss.
"""

from dataclasses import replace

import pytest
import torch

from harness.students.build import build_student
from harness.training.cutmix import draw_mix, paste
from harness.training.protocol_rules import why_alone
from harness.training.soft_labels import SoftLabels
from harness.training.together import Stack, alike, begin, paste_each, train_together
from harness.training.trainer import TrainingInput, own_randomness, train_student
from tests.training.test_trainer import _one_thread, digits, protocol  # noqa: F401

CPU = torch.device("cpu")


@pytest.fixture
def inputs(digits):  # noqa: F811
    """Three trainings: two seeds on one set, and another set."""

    def make(rules, student="convnet2", num=40, **changes):
        images, labels, test_images, test_labels = digits
        one = TrainingInput(
            student, rules, images[:num], labels[:num], test_images[:150], test_labels[:150], 10, 0, CPU, **changes
        )
        other = replace(one, train_images=images[num : 2 * num], train_labels=labels[num : 2 * num], seed=1)
        return [one, replace(one, seed=1), other]

    return make


def alone(training):
    return train_student(**vars(training))[1]


RULES = {
    "cutmix, crops, colours": protocol(4, cutmix_probability=0.6, color_jitter=0.4),
    "batches that do not divide the images": protocol(4, batch_size=16),
    "adamw, decay of matrices": protocol(4, "rded", labels="hard", lr=0.002),
    "siamese augmentation": protocol(4, "dsa", dsa=["color", "crop", "cutout", "scale", "rotate"]),
    "bfloat16": protocol(2, precision="bfloat16", cutmix_probability=0.0),
}


@pytest.mark.parametrize("name", RULES)
def test_each_training_is_what_it_is_alone(inputs, name):
    trainings, loose = inputs(RULES[name]), name == "bfloat16"
    for ours, theirs in zip(train_together(trainings), map(alone, trainings), strict=True):
        assert (ours.epochs, ours.num_steps, ours.kept_labels) == (theirs.epochs, theirs.num_steps, None)
        assert [row["epoch"] for row in ours.curve] == [row["epoch"] for row in theirs.curve]
        assert ours.train_loss_last == pytest.approx(theirs.train_loss_last, rel=0.05 if loose else 1e-3)
        assert abs(ours.top1_last - theirs.top1_last) <= (10 if loose else 1.4), "one or two of 150 images"
        assert len(ours.classes_last.confusion) > 10


@pytest.mark.parametrize("student", ["resnet10_cifar", "convnet2_bn", "resnet_ap10_cifar_bn"])
def test_every_network_and_norm_can_be_stacked(inputs, student):
    """Small steps: ResNets that begin to learn at a large rate amplify rounding to percents within three epochs."""
    trainings = inputs(protocol(2, lr=0.0005), student, num=20)
    for ours, theirs in zip(train_together(trainings), map(alone, trainings), strict=True):
        assert ours.train_loss_last == pytest.approx(theirs.train_loss_last, rel=1e-4)
        assert abs(ours.top1_last - theirs.top1_last) <= 2.7


def test_a_teacher_labels_the_batches_of_all(inputs):
    with own_randomness(3, CPU):
        teacher = build_student("convnet2", 10, 16).eval().requires_grad_(requires_grad=False)
    rules = protocol(4, "rded", lr=0.002, patch_shuffle=2)
    trainings = inputs(rules, soft_labels=SoftLabels(teacher, protocol(1), 0))
    for ours, theirs in zip(train_together(trainings), map(alone, trainings), strict=True):
        assert ours.train_loss_last == pytest.approx(theirs.train_loss_last, rel=1e-3)


def test_the_first_weights_and_steps_are_those_of_each_seed(inputs):
    """One epoch of plain steps: the weights of the second network are those that it has alone."""
    trainings = inputs(protocol(1, batch_size=8))
    stack, runs = Stack(begin(trainings)), begin(trainings)
    losses = stack.train_epoch(1)
    expected = [run.train_epoch(1) for run in runs]
    assert losses == pytest.approx(expected, rel=1e-5)
    for place, run in enumerate(runs):
        for name, value in run.model.named_parameters():
            torch.testing.assert_close(stack.parameters[name][place], value, rtol=1e-4, atol=1e-5)


def test_running_statistics_of_batch_norm_are_each_networks_own(inputs):
    trainings = inputs(protocol(1), "convnet2_bn")
    stack, runs = Stack(begin(trainings)), begin(trainings)
    stack.train_epoch(1)
    for run in runs:
        run.train_epoch(1)
    for place, run in enumerate(runs):
        for name, value in run.model.named_buffers():
            torch.testing.assert_close(stack.buffers[name][place], value, rtol=1e-4, atol=1e-5)


def test_every_batch_gets_its_own_box():
    rng = torch.Generator().manual_seed(0)
    mixes = [
        draw_mix(4, 8, probability=1.0, beta=1.0, rng=rng),
        None,
        draw_mix(4, 8, probability=1.0, beta=1.0, rng=rng),
    ]
    images = torch.rand(12, 3, 8, 8, generator=rng)
    expected = [
        part if mix is None else paste(part.clone(), mix) for part, mix in zip(images.split(4), mixes, strict=True)
    ]
    pasted, (partner, kept) = paste_each(images, mixes)
    assert torch.equal(pasted, torch.cat(expected))
    assert kept.tolist() == pytest.approx([mixes[0].kept, 1.0, mixes[2].kept])
    assert partner[1].tolist() == [0, 1, 2, 3]


def test_only_trainings_of_one_kind_are_stacked(inputs):
    one, two, three = inputs(protocol(1))
    bigger = replace(three, train_images=three.train_images[:20], train_labels=three.train_labels[:20])
    floats = replace(two, train_images=two.train_images.float())
    assert alike([one, bigger, two, floats, three]) == [[0, 2, 4], [1], [3]]
    assert alike([replace(one, protocol=protocol(1, compiled=True))]) == []
    assert why_alone(protocol(1, "rded", soft_loss="gift"))
    assert why_alone(protocol(1, "rded", labels="stored"))


def test_a_loss_that_is_not_finite_is_told(inputs):
    with pytest.raises(RuntimeError, match="the training loss is"):
        train_together(inputs(protocol(8, lr=1e9)))


def test_bfloat16_images_that_would_be_laid_out_channels_last_pass_a_stack_too(digits):  # noqa: F811
    larger = [torch.nn.functional.interpolate(one[:40].float(), size=28).byte() for one in (digits[0], digits[2])]
    rules = protocol(1, precision="bfloat16")
    one = TrainingInput("convnet2", rules, larger[0], digits[1][:40], larger[1], digits[3][:40], 10, 0, CPU)
    for ours, theirs in zip(train_together([one, replace(one, seed=1)]), (one, replace(one, seed=1)), strict=True):
        assert ours.train_loss_last == pytest.approx(alone(theirs).train_loss_last, rel=0.05)
