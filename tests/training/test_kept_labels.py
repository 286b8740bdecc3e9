"""Label pruning: a student sees only batches whose soft labels are kept, and what these take is counted."""

import pytest
import torch
from torch import nn

import harness
from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.data.rows import FileRows
from harness.training.batches import Batches, KeptBatches, make_batches
from harness.training.protocols import resolve_protocol
from harness.training.recipe import make_recipe
from harness.training.soft_labels import SoftLabels
from harness.training.trainer import train_student

FEW = {"epochs": {"up_to": [], "above": 6}, "batch_by_ipc": None, "batch_size": 5, "patch_shuffle": 2}
KEPT = resolve_protocol("rded", {**FEW, "labels_kept": 0.5})


def batches(labels_kept=0.5, num=12, draws=1, seed=0, **changes):
    """Of 12 images in steps of 5 there are 3 batches an epoch, 18 in all."""
    protocol = resolve_protocol("rded", {**FEW, "labels_kept": labels_kept, **changes})
    labels = torch.arange(num) % 3
    return make_batches(protocol, make_recipe(protocol, 4, 3), labels, 8, seed, draws)


def parts(epoch):
    """Each batch of an epoch as plain values: rows, augmentation and CutMix."""
    found = []
    for rows, place, mix in zip(
        epoch.order.split(epoch.sizes), torch.arange(len(epoch.order)).split(epoch.sizes), epoch.mixes, strict=True
    ):
        draws = epoch.draws[place]
        seen = [rows, draws.box, draws.flip, draws.jitter, draws.lighting, draws.patches]
        cut = None if mix is None else (mix.rows, mix.cols, mix.kept, tuple(mix.partner.tolist()))
        found.append((str([t.tolist() for t in seen]), cut))
    return found


@pytest.mark.parametrize(("share", "kept"), [(0.5, 9), (0.4, 7), (0.001, 1)])
def test_all_kept_batches_are_seen_before_one_comes_again_and_no_others(share, kept):
    drawn = batches(share)
    seen = [part for number in range(1, 2 * kept + 1) for part in parts(drawn.epoch(number))]
    assert drawn.num_batches == kept
    rounds = [set(seen[at : at + kept]) for at in range(0, 6 * kept, kept)]
    assert all(len(one) == kept for one in rounds)
    assert all(one == rounds[0] for one in rounds), "equal crops, patches and CutMix each time"


def test_they_come_in_another_order_each_time():
    drawn = batches()
    orders = [tuple(parts(drawn.epoch(3 * i + k))[0] for k in (1, 2, 3)) for i in range(4)]
    assert len(set(orders)) == 4


def test_every_image_is_kept_about_equally_often():
    """Nine batches are three whole epochs."""
    drawn = batches()
    seen = torch.cat([drawn.epoch(number).order for number in (1, 2, 3)])
    assert seen.bincount().tolist() == [3] * 12


def test_the_labels_of_kept_batches_are_counted_smaller_ones_too():
    assert batches(0.5).num_labels == 3 * 12
    assert batches(0.4).num_labels == 2 * 12 + 5
    assert batches(8 / 18).num_labels == 2 * 12 + 10
    assert batches(0.5, num=24, draws=2).num_labels == 3 * 12, "an epoch sees half of a pool"


def test_a_pool_keeps_batches_of_both_hands():
    drawn = batches(0.5, num=24, draws=2)
    seen = torch.cat([drawn.epoch(number).order for number in (1, 2, 3)])
    assert drawn.num_batches == 9
    assert set(seen.tolist()) == set(range(24))


def test_training_seeds_keep_batches_of_their_own_and_repeat_them():
    assert parts(batches().epoch(1)) == parts(batches().epoch(1))
    assert not set(parts(batches(0.001).epoch(1))) & set(parts(batches(0.001, seed=1).epoch(1)))


@pytest.mark.parametrize("changes", [{"labels_kept": 1.0}, {"labels_kept": 0.5, "labels": "hard"}], ids=["all", "hard"])
def test_else_every_batch_is_drawn_anew(changes):
    drawn = batches(**changes)
    assert type(drawn) is Batches
    assert drawn.num_labels is None
    seen = [part for number in range(1, 7) for part in parts(drawn.epoch(number))]
    assert len(set(seen)) == 18


class Remembers(nn.Module):
    """A teacher that remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 3)
        self.seen = []

    def forward(self, images):
        self.seen.append(images.clone())
        return self.layer(images.flatten(1))


IMAGES = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def train(protocol, **changes):
    labels, teacher = torch.arange(12) % 3, Remembers()
    given = {"student": "convnet1_bn", "train_images": IMAGES, "train_labels": labels, "test_images": IMAGES,
             "test_labels": labels, "num_classes": 3, "seed": 0}  # fmt: skip
    soft_labels = SoftLabels(teacher, protocol, 0)
    result = train_student(**{**given, **changes}, protocol=protocol, soft_labels=soft_labels)[1]
    return teacher, result


def test_the_teacher_is_asked_for_no_more_labels_than_are_kept():
    teacher, result = train(KEPT)
    assert result.kept_labels == 36
    assert result.num_steps == len(teacher.seen) == 18
    different = {images.numpy().tobytes() for images in teacher.seen}
    assert len(different) == 9
    every, whole = train(KEPT.model_copy(update={"labels_kept": 1.0}))
    assert whole.kept_labels is None
    assert len({images.numpy().tobytes() for images in every.seen}) == 18


def test_images_in_a_file_are_dealt_as_images_in_memory_are(tmp_path):
    """An epoch may have several of the smaller batches, in any place."""
    (tmp_path / "images").write_bytes(IMAGES.numpy().tobytes())
    rows = FileRows(tmp_path / "images", (12, 3, 8, 8), 0, "cpu")
    in_memory, in_a_file = train(KEPT)[0].seen, train(KEPT, train_images=rows)[0].seen
    assert all(torch.equal(a, b) for a, b in zip(in_memory, in_a_file, strict=True))
    assert [len(images) for images in in_memory] != 6 * [5, 5, 2]


def test_labels_of_images_that_are_drawn_anew_cannot_be_kept():
    with pytest.raises(ValueError, match="redrawn images cannot be kept"):
        train(KEPT, fresh=lambda number: torch.zeros(12, 3, 8, 8, dtype=torch.uint8))


def test_stored_labels_have_nothing_to_prune():
    with pytest.raises(UserError, match=r"labels_kept 0\.5 with labels: stored, .* one label per image"):
        resolve_protocol("rded", {"labels_kept": 0.5}, {"labels": "stored"})
    for value in (0, 1.5):
        with pytest.raises(UserError, match="labels_kept"):
            resolve_protocol("rded", {}, {"labels_kept": value})
    assert type(batches()) is KeptBatches
    assert Protocol().labels_kept == 1


@pytest.fixture(scope="module")
def pruned(tiny_suite, shared_store):
    """A run that keeps half of its labels, trained with GIFT's loss."""
    run = harness.run(
        methods=["random_real"], suite=tiny_suite, protocol="rded", executor="local", store=shared_store,
        settings={"protocol.labels_kept": 0.5, "protocol.soft_loss": "gift"},
    )  # fmt: skip
    assert run.exit_code == 0, run.errors
    return run


def test_a_run_counts_what_its_kept_labels_would_take_in_place_of_the_teacher(pruned):
    rows = harness.load_results(pruned).set_index("ipc")
    assert set(rows["epochs"]) == {2}
    # one of two epochs is kept: for each image a label of ten classes
    assert rows["label_bytes"].tolist() == [2 * 10 * 10, 2 * 10 * 20]
    assert rows["teacher_bytes"].isna().all()
    table = harness.report(pruned)["bytes"].frame
    assert table["label_bytes"].max() == rows.loc[2, "label_bytes"]
    assert table["kept_bytes"].max() == rows.loc[2, "storage_bytes"] + rows.loc[2, "label_bytes"]


def test_a_set_whose_labels_were_pruned_is_exported_without_labels(pruned, shared_store, tmp_path):
    folder = harness.export(pruned.name, method="random_real", ipc=1, to=tmp_path / "out", store=shared_store)
    assert not list(folder.rglob("soft_labels*"))
