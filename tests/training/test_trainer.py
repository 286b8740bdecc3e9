"""Training on real digits: accuracy, repeatability, what is recorded, and what is refused."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from harness.core.config.protocol import ByIpc, Protocol
from harness.core.errors import UserError
from harness.students import register_student, students
from harness.training import evaluation as scoring
from harness.training import resolve_protocol
from harness.training.evaluation import evaluate, predict
from harness.training.trainer import train_student

FAST = {"lr": 0.03, "crop_scale": [0.8, 1.0], "flip": False, "num_evaluations": 2, "batch_size": 32}


def protocol(epochs, name="idc", **changes):
    return resolve_protocol(name, {**FAST, "epochs": {"up_to": [], "above": epochs}, **changes})


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As in a job; two threads on a busy machine wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits at 16 pixels: (train images, train labels, test images, test labels)."""
    flat, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(flat).float().view(-1, 1, 8, 8) * (255 / 16)
    images = nn.functional.interpolate(images, size=16, mode="bilinear").round().to(torch.uint8).expand(-1, 3, 16, 16)
    train, test = train_test_split(range(len(labels)), test_size=0.3, stratify=labels, random_state=0)
    labels = torch.from_numpy(labels)
    return images[train], labels[train], images[test], labels[test]


@pytest.fixture
def train(digits):
    """Train on the first images of the real digits; keyword arguments change anything."""

    def run(num_train=40, num_test=100, **changes):
        images, labels, test_images, test_labels = digits
        given = {
            "student": "convnet2",
            "protocol": protocol(1),
            "train_images": images[:num_train],
            "train_labels": labels[:num_train],
            "test_images": test_images[:num_test],
            "test_labels": test_labels[:num_test],
            "num_classes": 10,
            "seed": 0,
        }
        return train_student(**{**given, **changes})

    return run


def test_a_student_learns_the_digits(train):
    _, result = train(400, 200, student="convnet3", protocol=protocol(3, "plain", num_evaluations=1))
    assert result.top1_last > 85
    assert result.top5_last > 97


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.state_dict().values()])


def test_equal_seeds_give_equal_bits_whatever_the_global_generators_did(train):
    torch.manual_seed(1)
    first, first_result = train()
    torch.manual_seed(2)
    torch.rand(5)
    second, second_result = train()
    assert torch.equal(weights(first), weights(second))
    assert first_result == second_result


def test_another_seed_gives_another_student(train):
    assert not torch.allclose(weights(train(seed=0)[0]), weights(train(seed=1)[0]))


def test_training_leaves_torchs_global_generator_alone(train):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train()
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_does_not_change_order_or_initial_weights(train, monkeypatch):
    """Each has its own stream: two protocols differ in what they say and in nothing else."""
    seen = []
    real = nn.functional.cross_entropy
    monkeypatch.setattr(
        "harness.training.trainer.functional.cross_entropy", lambda x, y: (seen.append(y.tolist()), real(x, y))[1]
    )
    train(protocol=protocol(2, "plain"))
    plain, seen[:] = list(seen), []
    train(protocol=protocol(2, cutmix_probability=0.0))
    assert plain == seen


def test_the_images_given_are_not_changed(train, digits):
    before = [t.clone() for t in digits]
    train(protocol=protocol(1, flip=True))
    assert all(torch.equal(a, b) for a, b in zip(before, digits, strict=True))


def test_the_result_says_what_was_done_and_can_be_written_as_json(train):
    reported = []
    model, result = train(protocol=protocol(5), report=lambda *event: reported.append(event))

    assert not model.training
    assert (result.epochs, result.num_steps) == (5, 5 * math.ceil(40 / 32))
    assert [row["epoch"] for row in result.curve] == [2, 5]
    assert [row["lr"] for row in result.curve] == pytest.approx([0.03, 0.03 * 0.04])
    assert result.train_loss_last == result.curve[-1]["train_loss"]
    assert result.top1_last == result.curve[-1]["top1"]
    assert reported == [("train", epoch, 5, "epoch") for epoch in range(1, 6)]
    assert json.loads(json.dumps(asdict(result))) == asdict(result)


def test_best_is_the_first_best_evaluation_and_top5_belongs_to_it(train, monkeypatch):
    scores = iter([(50.0, 99.0), (70.0, 90.0), (70.0, 95.0), (60.0, 97.0)])
    monkeypatch.setattr("harness.training.scores.accuracies", lambda *args: next(scores))
    _, result = train(protocol=protocol(4, num_evaluations=4))
    assert (result.top1_best, result.best_epoch, result.top5_best) == (70.0, 2, 90.0)
    assert (result.top1_last, result.top5_last) == (60.0, 97.0)


def test_the_last_accuracy_is_that_of_the_model_returned(train, digits):
    model, result = train()
    called = predict(model, digits[2][:100], protocol(1)).argmax(1)
    assert result.top1_last == pytest.approx(100 * (called == digits[3][:100]).double().mean().item())


class Constant(nn.Module):
    """Always ranks the classes 0, 1, 2, ..."""

    def __init__(self, num_classes):
        super().__init__()
        self.logits = nn.Parameter(-torch.arange(num_classes, dtype=torch.float))

    def forward(self, images):
        return self.logits.expand(len(images), -1)


@pytest.mark.parametrize(("num_classes", "top1", "top5"), [(10, 10.0, 50.0), (5, 20.0, 100.0), (4, 25.0, None)])
def test_accuracies_are_percent_and_top5_needs_five_classes(num_classes, top1, top5):
    images = torch.zeros(num_classes, 3, 8, 8, dtype=torch.uint8)
    found = evaluate(Constant(num_classes), images, torch.arange(num_classes), protocol(1), num_classes)
    assert found == (top1, top5)


def test_evaluation_in_batches_counts_every_image_once(digits, train, monkeypatch):
    model, _ = train()
    whole = evaluate(model, digits[2], digits[3], protocol(1), 10)
    monkeypatch.setattr(scoring, "_CPU_PIXELS", 16 * 16 * 37)
    assert evaluate(model, digits[2], digits[3], protocol(1), 10) == whole


def test_the_epochs_follow_the_images_per_class_given_or_counted(train):
    rule = ByIpc(up_to=((2, 3), (10, 2)), above=1)
    by_ipc = protocol(1).model_copy(update={"epochs": rule, "scale_epochs_at_100_classes": False})
    assert train(20, protocol=by_ipc)[1].epochs == 3
    assert train(21, protocol=by_ipc)[1].epochs == 2
    assert train(20, protocol=by_ipc, ipc=50)[1].epochs == 1


def test_the_learning_rate_schedule_reaches_the_optimiser(train, monkeypatch):
    rates = []
    real = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), real(self))[1])
    train(32, protocol=protocol(6))
    assert rates == pytest.approx([0.03] * 4 + [0.006, 0.0012])


def test_cutmix_mixes_both_losses_by_the_share_kept():
    from harness.training.trainer import _mixed_loss

    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels, partner = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 0])
    mixed = _mixed_loss(logits, labels, partner, 0.7)
    own, other = (nn.functional.cross_entropy(logits, one) for one in (labels, partner))
    torch.testing.assert_close(mixed, 0.7 * own + 0.3 * other)


@pytest.mark.parametrize("name", ["idc", "rded"])
def test_parts_of_a_batch_add_up_to_it(train, monkeypatch, name):
    """Parts of 5 of 32 images, as large images on a CPU; tolerance: float32 sums of logits in another order, three steps."""
    from harness.students.build import build_student
    from harness.training import trainer
    from harness.training.soft_labels import SoftLabels

    torch.manual_seed(0)
    teacher = build_student("convnet2", 10, 16).eval().requires_grad_(requires_grad=False)
    labels = {"soft_labels": SoftLabels(teacher, protocol(1), 0)} if name == "rded" else {}
    rules, sizes = protocol(3, name, lr=0.001), []
    forward = trainer.Forward.__call__
    monkeypatch.setattr(
        trainer.Forward,
        "__call__",
        lambda self, x: (sizes.append(len(x)) if self.model.training else 0, forward(self, x))[1],
    )
    whole = train(32, protocol=rules, **labels)[1]
    monkeypatch.setattr(trainer, "_CPU_PIXELS", 5 * 16 * 16)
    parts = train(32, protocol=rules, **labels)[1]
    assert sizes == [32] * 3 + [5, 5, 5, 5, 5, 5, 2] * 3
    assert parts.train_loss_last == pytest.approx(whole.train_loss_last, rel=1e-5, abs=1e-7)
    assert parts.num_steps == whole.num_steps


@pytest.mark.parametrize(
    ("student", "changes"), [("convnet2_bn", {}), ("convnet2", {"labels": "soft", "soft_loss": "gift"})]
)
def test_a_batch_whose_images_depend_on_each_other_stays_whole(train, monkeypatch, student, changes):
    from harness.students.build import build_student
    from harness.training import trainer
    from harness.training.soft_labels import SoftLabels

    teacher = SoftLabels(build_student("convnet2", 10, 16).eval(), protocol(1), 0)
    rules = protocol(1, "rded" if changes else "idc", lr=0.001, **changes)
    whole = train(32, student=student, protocol=rules, soft_labels=teacher)[1]
    monkeypatch.setattr(trainer, "_CPU_PIXELS", 5 * 16 * 16)
    assert train(32, student=student, protocol=rules, soft_labels=teacher)[1] == whole


def test_bfloat16_trains(train):
    _, result = train(protocol=protocol(2, precision="bfloat16"))
    assert math.isfinite(result.train_loss_last)


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_epoch(train):
    with pytest.raises(RuntimeError, match=r"in epoch \d of 3 at learning rate 1e\+30; a lower learning rate"):
        train(protocol=protocol(3, lr=1e30))


def test_one_left_over_image_and_batch_norm_of_single_pixels_is_explained(train):
    with pytest.raises(
        UserError, match=r"last batch of each epoch has 1 image of 33 \(batch size 32\). Change batch_size"
    ):
        train(33, student="timm:resnet10t", protocol=protocol(1))


@pytest.fixture
def dropout_student(monkeypatch):
    monkeypatch.setattr(students, "_items", dict(students._items))

    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3 * 16 * 16, 10)

        def features(self, images):
            return nn.functional.dropout(images.flatten(1), training=self.training)

        def forward(self, images):
            return self.head(self.features(images))

    register_student("dropping")(lambda spec, num_classes, side: Dropping())


@pytest.mark.usefixtures("dropout_student")
def test_dropout_repeats_too(train):
    first, second = train(student="dropping")[0], train(student="dropping")[0]
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": torch.zeros(4, 3, 16, 16).double(), "train_labels": torch.zeros(4).long()}, "expected uint8"),
        ({"train_images": torch.zeros(4, 3, 16, 8, dtype=torch.uint8)}, r"train_images: expected uint8 \[N, 3, 8, 8\]"),
        ({"test_images": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)}, r"test_images: expected uint8 \[N, 3, 16, 16\]"),
        ({"train_labels": torch.zeros(3).long()}, r"train_labels: expected int64 \[40\]"),
        ({"train_labels": torch.full((40,), 10)}, r"train_labels span \[10, 10\], expected \[0, 9\]"),
        ({"test_labels": torch.full((100,), -1)}, "test_labels span"),
        ({"num_test": 0}, "at least one"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(train, changes, message):
    with pytest.raises(ValueError, match=message):
        train(**changes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_from_the_same_draws(train):
    model, result = train(600, 540, student="convnet3", protocol=protocol(3, "plain"), device="cuda")
    assert next(model.parameters()).is_cuda
    assert result.top1_last > 90


def test_a_protocol_can_be_given_without_a_suite(train):
    changes = {"epochs": ByIpc(up_to=(), above=1), "num_evaluations": 1}
    assert len(train(protocol=Protocol().model_copy(update=changes))[1].curve) == 1


def test_a_pool_of_one_draw_is_the_plain_set_and_a_larger_one_takes_as_many_steps(train):
    plain, once = train(num_train=40, protocol=protocol(2)), train(num_train=40, protocol=protocol(2), draws=1)
    pool = train(num_train=80, protocol=protocol(2), ipc=4, draws=2)

    assert asdict(plain[1]) == asdict(once[1])
    assert pool[1].num_steps == plain[1].num_steps
    assert pool[1].epochs == 2
