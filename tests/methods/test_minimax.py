"""Minimax fine-tuning: what trains, how it resumes, and what the criteria do to it. The criteria: test_minimax_criteria."""

import json
from pathlib import Path

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.diffusion.finetune import FineTuner
from harness.diffusion.generator import ClassConditionalGenerator
from methods.minimax import BatchOrder, Criteria, Minimax


class Memory:
    """A checkpoint that keeps every state, and may begin with one."""

    def __init__(self, first=None):
        self.first, self.saved = first, []

    def load(self):
        return self.first

    def save(self, state):
        self.saved.append({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()})

    def file(self, name):
        return None


def fit(make_task, checkpoint=None, classes=None, **options):
    task = make_task("fit", "minimax", **({"classes": classes} if classes else {}))
    task.checkpoint = checkpoint or Memory()
    config = Minimax.Config(**{"epochs": 1, "batch": 16, "checkpoint_every": 9, "flips": False, **options})
    return Minimax(config).fit(task), task


def test_a_fit_that_was_killed_and_resumed_equals_one_that_was_not(make_task):
    checkpoint = Memory()
    whole, _ = fit(make_task, checkpoint)
    assert checkpoint.saved[0]["step"] == 9
    resumed, _ = fit(make_task, Memory(checkpoint.saved[0]))
    assert set(whole) == set(resumed)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_checkpoint_goes_through_the_store_and_comes_back(make_task, tmp_path):
    from harness.jobs.checkpoint import FolderCheckpoint

    whole, _ = fit(make_task, FolderCheckpoint(tmp_path))
    resumed, _ = fit(make_task, FolderCheckpoint(tmp_path))
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_latents_in_a_file_give_the_same_fit_and_are_encoded_once(make_task, tmp_path):
    """Bit for bit: the file holds the float32 values that memory would hold."""
    from harness.jobs.checkpoint import FolderCheckpoint

    in_memory, _ = fit(make_task)
    in_file, _ = fit(make_task, FolderCheckpoint(tmp_path), checkpoint_every=10**6)
    assert (tmp_path / "latents.npy").is_file()
    again, _ = fit(make_task, FolderCheckpoint(tmp_path), checkpoint_every=10**6)

    for other in (in_file, again):
        assert all(torch.equal(in_memory[k], other[k]) for k in in_memory)


def test_difffit_trains_biases_classes_and_scales_only(make_task):
    state, _ = fit(make_task)
    assert state
    for name in state:
        assert any(part in name for part in ("bias", "gamma", "y_embed")), name


def test_the_curve_logs_loss_and_both_cosines(make_task):
    _, task = fit(make_task)
    assert task.curves[-1].keys() == {"step", "denoising_loss", "min_cosine_to_real", "max_cosine_to_predicted"}
    assert all(-1 <= row["min_cosine_to_real"] <= 1 for row in task.curves)


def test_the_criteria_change_the_weights(make_task):
    with_criteria, _ = fit(make_task, ema_decay=0.0, lambda_d=0.5)
    without, _ = fit(make_task, ema_decay=0.0, lambda_r=0.0, lambda_d=0.0)
    assert any(not torch.equal(with_criteria[k], without[k]) for k in without)


def test_the_ema_starts_at_the_pretrained_weights(make_task):
    still, _ = fit(make_task, ema_decay=0.9999999)
    moved, _ = fit(make_task, ema_decay=0.0)
    gammas = [k for k in still if "gamma" in k]
    assert all((still[k] - 1).abs().max() < 1e-4 for k in gammas)
    assert any((moved[k] - 1).abs().max() > 1e-3 for k in gammas)


def test_batches_are_shuffled_by_epoch_and_the_last_small_one_is_dropped(make_task):
    order = BatchOrder(make_task("fit", "minimax"), 10, 4)
    assert order.steps_per_epoch == 2
    first = torch.cat([order.rows(0), order.rows(1)])
    second = torch.cat([order.rows(2), order.rows(3)])
    assert len(set(first.tolist())) == 8
    assert not torch.equal(first, second)
    assert torch.equal(order.rows(1), first[4:]), "any step can be asked for again"


def test_fewer_images_than_a_batch_make_one_batch(make_task):
    assert len(BatchOrder(make_task("fit", "minimax"), 3, 8).rows(5)) == 3


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "minimax_loss.json").read_text())
SCRIPT, COMMAND, SAMPLING = GOLDEN["finetune_defaults_of_reference"].values()
PUBLISHED = {
    "lambda_r": SCRIPT["lambda_pos"], "lambda_d": SCRIPT["lambda_neg"], "lr": SCRIPT["lr"],
    "weight_decay": SCRIPT["weight_decay"], "batch": COMMAND["global_batch_size"], "epochs": COMMAND["epochs"],
    "memory": SCRIPT["memory_size"], "ema_decay": SCRIPT["ema_decay"], "label_dropout": SCRIPT["label_dropout"],
    "group_size": SCRIPT["nclass"], "flips": "random horizontal flip" in SCRIPT["image_transform"],
    "guidance": SAMPLING["cfg_scale"], "sampling_steps": SAMPLING["steps"], "sampler": "ddpm",
}  # fmt: skip


@pytest.mark.parametrize("field", PUBLISHED)
def test_the_defaults_are_those_of_the_authors(field):
    assert "ancestral" in SAMPLING["sampler"]
    assert getattr(Minimax.Config(), field) == PUBLISHED[field]


def test_the_tuner_of_a_fit_has_the_published_settings(make_task, monkeypatch):
    given = []
    finetune = ClassConditionalGenerator.finetune
    monkeypatch.setattr(
        ClassConditionalGenerator,
        "finetune",
        lambda self, **options: given.append(options) or finetune(self, **options),
    )
    fit(make_task)
    names = ("lr", "weight_decay", "ema_decay", "label_dropout")
    assert given == [{"mode": "difffit", **{name: PUBLISHED[name] for name in names}}]


def test_images_are_drawn_as_published(make_task, monkeypatch):
    state, _ = fit(make_task)
    given = []

    def sample(self, c, n, **options):
        given.append(options)
        return torch.zeros(n, 3, 16, 16, dtype=torch.uint8)

    monkeypatch.setattr(ClassConditionalGenerator, "sample", sample)
    task = make_task("synthesize", "minimax")
    Minimax(Minimax.Config()).synthesize(task, state, 2)
    names = {"steps": "sampling_steps", "guidance": "guidance", "sampler": "sampler"}
    assert len(given) == len(task.classes)
    assert all({k: options[k] for k in names} == {k: PUBLISHED[v] for k, v in names.items()} for options in given)


def test_images_are_fitted_under_the_generators_labels(make_task, monkeypatch):
    """Three numbers belong to a class: its label in the suite, that of the generator, and its place in the group."""
    called, cached, trained, criteria = {"4": 7, "8": 2}, [], [], []
    cache, loss, init = ClassConditionalGenerator.latent_cache, FineTuner.loss, Criteria.__init__
    monkeypatch.setattr(ClassConditionalGenerator, "label_of", lambda self, class_id: called[class_id])
    monkeypatch.setattr(
        ClassConditionalGenerator, "latent_cache", lambda self, i, t, **o: cached.append(t) or cache(self, i, t, **o)
    )
    monkeypatch.setattr(FineTuner, "loss", lambda self, x, t, rng: trained.append(t) or loss(self, x, t, rng))
    monkeypatch.setattr(Criteria, "__init__", lambda self, k, *args: criteria.append(k) or init(self, k, *args))

    classes = tuple(ClassInfo(name, int(name), name) for name in called)
    _, task = fit(make_task, classes=classes)

    counts = {label: int((cached[0] == label).sum()) for label in cached[0].unique().tolist()}
    assert counts == {called[c]: n for c, n in task.real.num_per_class.items()}
    own = task.real.tensors()[1]
    assert all((cached[0][own == c.label] == called[c.id]).all() for c in classes)
    assert set(torch.cat(trained).tolist()) == {2, 7}
    assert criteria[0].tolist() == [2, 7]
