"""CaO2: which samples are kept and how their latents move, against the authors' values (golden/methods/cao2); its signal."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

import methods.cao2 as module
from harness.api.run import prepare
from harness.diffusion.process import GaussianDiffusion
from harness.jobs.clock import Clock
from harness.jobs.execute import execute
from harness.jobs.task_resources import JobTaskResources
from harness.jobs.task_resources import make_task as task_of_job
from harness.planning.request import make_request
from methods.cao2 import CaO2, loss, optimise, select
from tests.helpers.checkpoints import Memory
from tests.helpers.support import tiny_suite_values

GOLDEN = Path(__file__).parents[1] / "golden" / "methods"
ABOUT = json.loads((GOLDEN / "cao2.json").read_text())


@pytest.fixture(scope="module")
def arrays():
    found = np.load(GOLDEN / "cao2.npz")
    return {name: torch.from_numpy(found[name]) for name in found.files}


@pytest.mark.parametrize("number", range(3), ids=[case["case"] for case in ABOUT["selection"]["cases"]])
def test_the_kept_samples_and_their_order_are_the_authors(arrays, number):
    case, logits = ABOUT["selection"]["cases"][number], arrays[f"select{number}/logits"]
    for name, most in (("kept_most_confident_first", True), ("kept_least_confident_first", False)):
        kept, num_right = select(logits, case["label"], case["ipc"], most_confident=most)
        assert kept == case[name]
        assert num_right == len(case["correct"])


@pytest.mark.parametrize("number", range(2))
def test_the_loss_and_its_gradient_are_the_authors(arrays, number):
    case, within = ABOUT["loss"]["cases"][number], ABOUT["loss"]["tolerance_relative"]
    noise, predicted = arrays[f"loss{number}/noise"], arrays[f"loss{number}/eps"].clone().requires_grad_(True)
    value = loss(noise, predicted, ABOUT["defaults"]["lambda_linf"])[0]
    assert value.item() == pytest.approx(case["loss"], rel=within)
    assert loss(noise, predicted, 0)[0].item() == pytest.approx(case["mse"], rel=within)
    (gradient,) = torch.autograd.grad(value, predicted)
    expected = arrays[f"loss{number}/grad_eps"]
    assert (gradient - expected).abs().max() <= within * expected.abs().max()


class Analytic:
    """The network of the golden values, as a generator."""

    null_label = 1000

    def __init__(self, arrays):
        self.a, self.a2, self.c0 = (arrays[f"opt/{name}"] for name in ("A", "A2", "c0"))
        self.called_with = []

    def process(self, steps):
        return GaussianDiffusion.respaced(steps)

    def predict_noise(self, x, t, labels):
        self.called_with.append(t.tolist())
        mixed = [torch.einsum("oc,bchw->bohw", matrix, x) for matrix in (self.a, self.a2)]
        null = (labels == self.null_label).float().view(-1, 1, 1, 1) * self.c0.view(1, -1, 1, 1)
        return mixed[0] + 0.02 * t.view(-1, 1, 1, 1) * mixed[1] + null


@pytest.mark.parametrize(("case", "label"), [("null_label", 1000), ("true_label", 3)])
def test_both_latents_at_once_move_as_the_authors_move_each_alone(arrays, monkeypatch, case, label):
    about, within, seen = ABOUT[f"optimisation_{case}"], ABOUT["optimisation"]["tolerance"], []
    monkeypatch.setattr(module, "loss", lambda *args: seen.append(loss(*args)) or seen[-1])
    noise = arrays["opt/noise_bank"][[one["noise_index"] for one in about["latents"]]]
    levels = torch.tensor([one["t_per_iteration"] for one in about["latents"]]).T
    moved = optimise(Analytic(arrays), arrays["opt/latents"], noise, levels, label, CaO2.Config())
    for number, one in enumerate(about["latents"]):
        expected = [values[2] for values in one["mse, linf, loss per iteration"]]
        assert [step[number].item() for step in seen] == pytest.approx(expected, rel=within["loss_relative"])
    assert (moved - arrays[f"opt/result_{case}"]).abs().max() <= within["result_absolute"]


def test_the_network_is_told_the_index_of_the_noise_or_its_timestep(arrays):
    of_index, levels = ABOUT["optimisation"]["timestep_of_index"], [[1, 11], [5, 2]]
    matching = [[of_index[str(index)] for index in row] for row in levels]
    for timestep, told in (("raw", levels), ("matching", matching)):
        network, config = Analytic(arrays), CaO2.Config(timestep=timestep)
        optimise(network, arrays["opt/latents"], arrays["opt/noise_bank"][:2], torch.tensor(levels), 0, config)
        assert network.called_with == told


PUBLISHED = {
    "guidance": "cfg_scale", "sampling_steps": "sampling_steps", "steps": "iterations", "lr": "lr",
    "linf_weight": "lambda_linf",
}  # fmt: skip


def test_the_defaults_are_those_of_the_authors():
    config = CaO2.Config()
    assert {name: getattr(config, name) for name in PUBLISHED} == {
        name: ABOUT["defaults"][theirs] for name, theirs in PUBLISHED.items()
    }
    assert ABOUT["selection"]["candidates_per_class"]["woof, imagenet-1k"] == f"{config.candidates}*ipc"
    assert (config.candidates, config.first, config.timestep, config.label) == (4, "most_confident", "raw", "null")


def small(**options):
    return CaO2(CaO2.Config(**{"sampling_steps": 8, "steps": 3, "candidates": 2, "guidance": 1.5, **options}))


def test_levels_noises_and_labels_are_drawn_as_published(make_task, monkeypatch):
    given = []
    monkeypatch.setattr(module, "optimise", lambda *args: given.append(args[1:5]) or args[1])
    task = make_task("synthesize", "cao2")
    small(sampling_steps=50, steps=100, candidates=1).synthesize(task, None, 4)
    small(sampling_steps=50, steps=100, candidates=1, label="class", noise_share=8).synthesize(task, None, 4)
    half = len(task.classes)
    assert len(given) == 2 * half
    for number, (latents, noise, levels, label) in enumerate(given):
        assert noise.shape == latents.shape
        assert levels.shape == (100, 4)
        assert set(levels.unique().tolist()) == set(range(1, 12 if number < half else 6))
        assert len(levels.T.unique(dim=0)) == 4, "a level for each latent and step"
        generator = task.generator()
        assert label == (generator.null_label if number < half else generator.label_of(task.classes[number - half].id))
    assert len(torch.cat([noise for _, noise, *_ in given[:half]]).unique(dim=0)) == 4 * half


def test_parts_of_a_class_move_as_the_whole_class(make_task):
    whole, parts = (
        small(steps=4, lr=0.02, optimised_batch=size).synthesize(make_task("synthesize", "cao2"), None, 5).images
        for size in (50, 2)
    )
    assert all((whole[c].int() - parts[c].int()).abs().max() <= 3 for c in whole), "rounding of another batch size"


def test_a_synthesis_that_was_killed_and_resumed_equals_one_that_was_not(make_task):
    whole_task = make_task("synthesize", "cao2")
    whole_task.checkpoint = Memory()
    whole = small().synthesize(whole_task, None, 2)
    after_one = whole_task.checkpoint.saved[0]
    assert sum(name.startswith("latents/") for name in after_one) == 1
    task = make_task("synthesize", "cao2")
    task.checkpoint = Memory(after_one)
    resumed = small().synthesize(task, None, 2)
    assert len(task.checkpoint.saved) == len(task.classes) - 1, "the first class is not made again"
    assert all(torch.equal(whole.images[c], resumed.images[c]) for c in whole.images)
    assert whole.notes == resumed.notes


def test_a_set_that_was_filled_up_says_so(make_task, monkeypatch):
    task = make_task("synthesize", "cao2")
    wrong = {c.id: (c.label + 1) % 10 for c in task.classes[1:]}
    calls = iter([wrong.get(c.id, c.label) for c in task.classes])
    teacher = SimpleNamespace(label=lambda images: torch.eye(10)[[next(calls)] * len(images)])
    task.teacher = lambda: teacher
    (note,) = small(steps=0).synthesize(task, None, 2).notes
    assert "2 of 3 classes had fewer candidates that the teacher gets right than IPC" in note
    assert note.endswith(", ".join(wrong))


def test_planning_is_told_the_work_of_candidates_and_steps():
    kind, learned, denoised = CaO2(CaO2.Config()).work(1000, 10)["synthesize"]
    assert (kind, learned, denoised) == ("class_conditional", 10 * 100, 4 * 10 * 50 * 2)


@pytest.fixture(scope="module")
def real_task(tmp_path_factory):
    """The task of cao2 on all digits, with a teacher and a generator that have learned something: half its digits are right."""
    folder, values = tmp_path_factory.mktemp("cao2"), tiny_suite_values()
    values["teacher"] |= {"epochs": 4}
    values["generators"]["class_conditional"]["train"] = {
        "vae_channels": [8, 16, 32], "vae_steps": 150, "hidden_size": 64, "depth": 2, "num_heads": 2, "dit_steps": 700,
    }  # fmt: skip
    (folder / "suite.yaml").write_text(yaml.safe_dump(values))
    resolved, plan = prepare(
        make_request(
            suite=folder / "suite.yaml", methods=["cao2"], ipc=[5], executor="local", store=str(folder / "store")
        )
    )
    kinds = {
        kind: [job for job in plan.jobs.values() if job.kind == kind] for kind in ("prior", "teacher", "synthesize")
    }
    for job in (*kinds["prior"], *kinds["teacher"]):
        assert execute(job, resolved.context, lambda *_: None).ok
    (job,), context = kinds["synthesize"], resolved.context
    services = JobTaskResources(job, context, Clock(torch.device("cpu"), 1))
    return task_of_job(job, context, context.classes, lambda *_: None, services)


@pytest.mark.drill  # it trains a generator and a teacher
def test_the_teacher_knows_the_chosen_samples_and_the_denoiser_their_noise(real_task, monkeypatch):
    seen, offered, decode = [], [], type(real_task.generator()).decode
    monkeypatch.setattr(module, "optimise", lambda *args: seen.append((*args, optimise(*args))) or seen[-1][-1])
    monkeypatch.setattr(
        type(real_task.generator()), "decode", lambda self, x, **o: offered.append(decode(self, x, **o)) or offered[-1]
    )
    real_task.checkpoint = Memory()
    config = CaO2.Config(guidance=1.5, sampling_steps=20, candidates=3, steps=60, lr=0.02)
    made = CaO2(config).synthesize(real_task, None, 5)

    teacher, classes = real_task.teacher(), real_task.classes
    right = lambda images, c: (teacher.label(images).argmax(dim=1) == c.label).float().mean().item()  # noqa: E731
    among = np.mean([right(images, c) for images, c in zip(offered[: len(classes)], classes, strict=True)])
    chosen = np.mean([right(made.images[c.id], c) for c in classes])
    print(f"teacher accuracy: candidates {among:.3f}, chosen {chosen:.3f}")
    assert chosen > among + 0.15

    before, after = (np.mean([mean_loss(part, latents) for part in seen]) for latents in (1, -1))
    print(f"denoising loss: before {before:.3f}, after {after:.3f}")
    assert after < 0.9 * before


@torch.no_grad()
def mean_loss(part, latents):
    """The loss of a class's latents under the noises and levels with which they were optimised."""
    generator, noise, levels, label, config = part[0], part[2], part[3], part[4], part[5]
    process, labels = generator.process(config.sampling_steps), torch.full((len(noise),), label)
    predicted = [generator.predict_noise(process.q_sample(part[latents], t, noise), t, labels) for t in levels]
    return np.mean([loss(noise, x, config.linf_weight).mean().item() for x in predicted])
