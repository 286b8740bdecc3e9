"""Stored soft labels: one row of logits an image, mixed by area under CutMix, counted in half precision."""

import pytest
import torch

import harness
from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.core.store import Store
from harness.data.sets.soft_labels import load_labels, read_labels, save_labels
from harness.training.cutmix import Mix
from harness.training.protocols import resolve_protocol
from harness.training.soft_labels import StoredLabels, soft_label_loss
from harness.training.trainer import train_student

STORED = resolve_protocol("rded", {"labels": "stored"}, {"epochs": {"up_to": [], "above": 2}, "patch_shuffle": 1})
CLASSES = tuple(ClassInfo(name, label, name) for label, name in enumerate("cab"))


def test_an_unmixed_batch_learns_the_labels_of_its_own_images():
    logits = torch.randn(5, 3)
    student, labels = torch.randn(2, 3), torch.tensor([0, 2])
    found = StoredLabels(logits).loss(student, torch.empty(0), torch.tensor([4, 1]), labels, None, STORED)
    assert found == soft_label_loss(student, logits[[4, 1]], temperature=20.0)


def test_a_mixed_batch_learns_both_labels_by_the_area_that_each_image_kept():
    """The gradient is that of the mixed probabilities; tolerance: float64."""
    logits = torch.randn(4, 3, dtype=torch.float64)
    rows, mix = torch.tensor([0, 2, 3]), Mix((0, 4), (0, 4), 0.7, torch.tensor([1, 2, 0]))
    student = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    StoredLabels(logits).loss(student, torch.empty(0), rows, torch.tensor([0, 1, 2]), mix, STORED).backward()
    soft = (logits[rows] / 20).softmax(1)
    target = 0.7 * soft + 0.3 * soft[mix.partner]
    own = student.detach().clone().requires_grad_()
    (-(target * (own / 20).log_softmax(1)).sum() / 3).backward()
    torch.testing.assert_close(student.grad, own.grad, rtol=1e-4, atol=1e-8)


def test_two_bytes_a_number_are_counted():
    assert StoredLabels(torch.zeros(6, 10)).num_bytes == 120


def test_a_student_learns_from_stored_labels_in_any_pool_order():
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    given = {"student": "convnet1_bn", "protocol": STORED, "train_images": images, "train_labels": labels,
             "test_images": images, "test_labels": labels, "num_classes": 3, "seed": 0}  # fmt: skip
    whole = train_student(**given, soft_labels=StoredLabels(torch.randn(12, 3)))[1]
    assert whole.num_steps == 2
    assert train_student(**given, draws=2, soft_labels=StoredLabels(torch.randn(12, 3)))[1].epochs == 2
    with pytest.raises(ValueError, match=r"expected \[12, 3\], got \[11, 3\]"):
        train_student(**given, soft_labels=StoredLabels(torch.randn(11, 3)))
    with pytest.raises(UserError, match="has stored labels, but no teacher"):
        train_student(**given)


def test_labels_come_back_in_half_precision_in_the_order_of_the_classes(tmp_path):
    logits = {c.id: torch.randn(2, 3) for c in CLASSES}
    save_labels(tmp_path, logits, CLASSES)
    back = load_labels(tmp_path, CLASSES, ipc=1)
    assert back.dtype == torch.float16
    assert torch.equal(back, torch.stack([logits[c][0] for c in "cab"]).half())
    other = tuple(ClassInfo(name, label, name) for label, name in enumerate("abc"))
    assert torch.equal(load_labels(tmp_path, other, ipc=1), back[[1, 2, 0]][:, [1, 2, 0]])


def test_labels_that_half_precision_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="beyond half precision"):
        save_labels(tmp_path, {"c": torch.full((1, 3), 1e5)}, CLASSES)
    with pytest.raises(ValueError, match="2 columns, expected one per class"):
        save_labels(tmp_path, {"c": torch.zeros(1, 2)}, CLASSES)
    (tmp_path / "soft_labels.safetensors").write_bytes(b"no labels")
    with pytest.raises(UserError, match="cannot be read"):
        load_labels(tmp_path, CLASSES)


POOL = """
from harness import DistilledSet, Method, Stored, register_method

@register_method("pool")
class Pool(Method):
    title = "A generative pool of twice the images"

    def synthesize(self, task, state, ipc):
        images = {c.id: task.real.images(c.id)[: 2 * ipc] for c in task.classes}
        return DistilledSet(images, draws=2, stored=Stored({"seed": b"7"}, 100))
"""


@pytest.fixture(scope="module")
def labelled(tiny_suite, tmp_path_factory):
    """A store with a run of a nested method, a generative pool and the full data, all with stored labels."""
    plugin = tmp_path_factory.mktemp("plugin") / "pool.py"
    plugin.write_text(POOL)
    store = tmp_path_factory.mktemp("store")
    run = harness.run(
        methods=["random_real", "pool", "full"], plugins=[plugin], suite=tiny_suite, protocol="rded",
        executor="local", store=store,
        settings={"protocol.labels": "stored"},
    )  # fmt: skip
    assert run.exit_code == 0, run.errors
    return Store(store), run, harness.load_results(run)


def test_the_teacher_labels_each_image_once_and_the_labels_are_counted(labelled):
    _, run, rows = labelled
    rows = rows.set_index(["method", "ipc"])
    per_class = 2 * 10 * 10  # bytes of one image's label in each of ten classes
    assert rows.loc[("random_real", 1), "label_bytes"].item() == per_class
    assert rows.loc[("random_real", 2), "label_bytes"].item() == 2 * per_class
    assert rows.loc[("pool", 2), "label_bytes"].item() == 4 * per_class, "a pool's labels count for all its images"
    assert rows["teacher_bytes"].isna().all(), "the teacher is not needed to train from them"
    assert len(set(rows.loc["random_real", "label_key"])) == 1, "the labels of a nested set are made once"
    table = harness.report(run)["bytes"].frame.set_index(["budget_bytes", "method"])
    line = table.loc[(rows.loc[("random_real", 2), "budget_bytes"].item(), "random_real")]
    assert line["kept_bytes"] == rows.loc[("random_real", 2), "storage_bytes"].item() + 2 * per_class


def test_stored_labels_are_the_teachers_logits_of_the_images_as_they_are(labelled, tiny_suite):
    from harness.data.sets.folder import load_distilled
    from harness.jobs.task_resources import load_teacher
    from harness.planning.request import make_request
    from harness.planning.resolve import resolve

    store, _, rows = labelled
    context = resolve(make_request(suite=tiny_suite, store=store.root)).context
    row = rows[rows["method"] == "random_real"].iloc[0]
    kept, _ = read_labels(store.path("label", row["label_key"]) / "soft_labels.safetensors")
    images, _ = load_distilled(store.path("synthesize", row["distilled_key"]), context.classes[3:4], 16)
    key = store.manifest("label", row["label_key"])["deps"]["teacher"][0]
    teacher = load_teacher(store.path("teacher", key), context)[0]
    assert torch.equal(kept["3"], teacher.label(images).half())


def test_new_images_while_training_have_no_stored_label(tiny_suite, tmp_path):
    with pytest.raises(UserError, match=r"'d3m' draws new images .* stores one soft label per image"):
        harness.run(
            methods=["d3m"], suite=tiny_suite, protocol="rded", executor="local", store=tmp_path / "store",
            settings={"protocol.labels": "stored", "d3m.redraw_every": 1},
        )  # fmt: skip
    assert not (tmp_path / "store").exists()


PLUGIN = """
import torch
from harness import DistilledSet, Method, register_method

@register_method("with_labels")
class WithLabels(Method):
    title = "With labels"

    def own_labels(self):
        return True

    def synthesize(self, task, state, ipc):
        images = {c.id: task.real.images(c.id)[:ipc] for c in task.classes}
        return DistilledSet(images, soft_labels={c.id: 9 * torch.eye(10)[[c.label] * ipc] for c in task.classes})
"""


def test_a_method_may_bring_labels_of_its_own_and_needs_no_teacher_then(tiny_suite, tmp_path):
    plugin = tmp_path / "with_labels.py"
    plugin.write_text(PLUGIN)
    run = harness.run(
        methods=["with_labels"], suite=tiny_suite, protocol="rded", executor="local", store=tmp_path / "store",
        plugins=[plugin], ipc=[1], settings={"protocol.labels": "stored"}, reference=False,
    )  # fmt: skip
    assert run.exit_code == 0, run.errors
    rows = harness.load_results(run)
    assert rows["label_bytes"].tolist() == [200]
    assert rows["label_key"].tolist() == [""]
    assert not (tmp_path / "store" / "store" / "teacher").exists()
