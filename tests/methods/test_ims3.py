"""IMS3's choice of groups, against the authors' values (golden/methods/ims3); over a method, a fitted one and a user's plugin."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import harness
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.discovery import load_method
from harness.jobs.checkpoint import FolderCheckpoint
from methods.ims3 import IMS3, ascend, centroid, nearest, objective, pick
from tests.helpers.checkpoints import Memory

GOLDEN = Path(__file__).parents[1] / "golden" / "methods"
ABOUT = json.loads((GOLDEN / "ims3.json").read_text())
CASES = ABOUT["s3"]["cases"]


@pytest.fixture(scope="module")
def arrays():
    found = np.load(GOLDEN / "ims3.npz")
    return {name: torch.from_numpy(found[name]).double() for name in found.files}


def weights(case):
    return {name: case[name] for name in ("alpha", "beta", "eps")}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["case"] for case in CASES])
def test_the_groups_after_every_sweep_are_the_authors(arrays, number):
    case, candidates, real = CASES[number], arrays[f"s3_{number}/candidates"], arrays[f"s3_{number}/real"]
    start = nearest(candidates, real)
    assert start == case["start"]
    for sweep, expected in enumerate(case["after_sweep"], start=1):
        assert ascend(candidates, real, start, sweeps=sweep, **weights(case)) == expected
    chosen = ascend(candidates, real, start, sweeps=case["max_sweeps"], **weights(case))
    assert chosen == case["chosen"]
    for groups, expected in ((start, case["objective_start"]), (chosen, case["objective_chosen"])):
        value = objective(pick(candidates, groups), real, **weights(case))
        assert value == pytest.approx(expected, abs=ABOUT["s3"]["tolerance"]["objective_absolute"])


def test_a_class_keeps_its_group_where_another_is_only_as_good(arrays):
    candidates, real = arrays["s3_5/candidates"], arrays["s3_5/real"]
    assert CASES[5]["case"] == "all groups of a class equal"
    assert ascend(candidates, real, [1, 3, 2], sweeps=5, **weights(CASES[5])) == [1, 3, 2]


def test_the_objective_of_any_choice_is_the_authors(arrays):
    candidates, real = arrays["s3_0/candidates"], arrays["s3_0/real"]
    for one in ABOUT["objective_values_of_case_0"]:
        chosen = pick(candidates, one["selection"])
        assert objective(chosen, real, **weights(CASES[0])) == pytest.approx(one["objective"], abs=1e-3)
        plain = objective(chosen, real, alpha=1, beta=0, eps=1e-6)
        assert plain == pytest.approx(one["objective_alpha1_beta0_eps1e-6"], abs=1e-3)


def test_a_centroid_counts_directions_only(arrays):
    features = arrays["centroid/features"]
    assert torch.allclose(centroid(features), arrays["centroid/result"], atol=1e-6)
    longer = features * torch.arange(1, len(features) + 1)[:, None]
    assert torch.allclose(centroid(longer), centroid(features))


def test_the_defaults_are_those_of_run_sh_but_for_eps():
    config, theirs = IMS3.Config(), ABOUT["defaults"]["run.sh"]
    assert (config.alpha, config.beta, config.groups) == (theirs["alpha"], theirs["beta"], theirs["groups"])
    assert config.real_images == theirs["real_images_for_the_centroid"]
    assert (config.eps, config.sweeps) == tuple(ABOUT["defaults"]["argparse"][name] for name in ("eps", "max_sweeps"))


def over(of, inner, **options):
    """ims3 over a method with options, as a job builds it."""
    return load_method({"method": "ims3", "config": {"of": of, **options}, "inner": {"method": of, "config": inner}})


def objectives(notes):
    """The objective of the start and of the choice, as the notes of a set tell them."""
    (line,) = [note for note in notes if note.startswith("ims3:")]
    return [float(text) for text in re.findall(r"-?\d+\.\d+", line)]


DIT = {"sampling_steps": 3, "guidance": 1.5}


def test_the_groups_differ_and_the_chosen_ones_are_among_them(make_task):
    groups, plain = [], discovery.methods.get("dit").synthesize
    method = over("dit", DIT, groups=3)
    method.inner.synthesize = lambda task, state, ipc: (
        groups.append((task.scope, plain(method.inner, task, state, ipc))) or groups[-1][1]
    )
    task = make_task("synthesize", "ims3")
    made = method.synthesize(task, None, 2)
    assert [scope for scope, _ in groups] == [(*task.scope, f"group/{g}") for g in range(3)]
    for c in task.classes:
        drawn = [images.images[c.id] for _, images in groups]
        assert len(torch.cat(drawn).unique(dim=0)) == 6
        assert any(torch.equal(made.images[c.id], images) for images in drawn)
    start, chosen = objectives(made.notes)
    assert chosen >= start


def test_the_objective_rises_over_the_groups_nearest_to_the_real_images(make_task):
    """Ten classes, where separation has 45 terms and nearness ten."""
    task = make_task("synthesize", "ims3")
    every = make_task("synthesize", "ims3", classes=every_class(task))
    start, chosen = objectives(over("dit", DIT).synthesize(every, None, 2).notes)
    assert chosen > start + 1


def every_class(task):
    from harness.core.classes import ClassInfo

    return tuple(ClassInfo(str(i), i, str(i)) for i in range(10))


def test_a_killed_job_goes_on_with_the_groups_that_it_has(make_task, tmp_path):
    method, task = over("dit", DIT, groups=3), make_task("synthesize", "ims3")
    whole = method.synthesize(task, None, 2)
    drawn, plain = [], method.inner.synthesize

    def dies_in_the_third(task, state, ipc):
        drawn.append(task.scope[-1])
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return plain(task, state, ipc)

    method.inner.synthesize, task.checkpoint = dies_in_the_third, FolderCheckpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        method.synthesize(task, None, 2)
    again = make_task("synthesize", "ims3")
    again.checkpoint = FolderCheckpoint(tmp_path)
    resumed = method.synthesize(again, None, 2)
    assert drawn == ["group/0", "group/1", "group/2", "group/2"]
    assert resumed.notes == whole.notes
    assert all(torch.equal(whole.images[c], resumed.images[c]) for c in whole.images)


def test_the_wrapped_method_sees_checkpoints_of_its_own_group_only(make_task):
    seen = []

    class Saves(discovery.methods.get("dit")):
        def synthesize(self, task, state, ipc):
            seen.append(task.checkpoint.load())
            task.checkpoint.save({"of": task.scope[-1]})
            return super().synthesize(task, state, ipc)

    method, task = over("dit", DIT, groups=2), make_task("synthesize", "ims3")
    method.inner = Saves(method.inner.config)
    task.checkpoint = Memory()
    method.synthesize(task, None, 1)
    assert seen == [None, None]
    first = task.checkpoint.saved[0]
    task = make_task("synthesize", "ims3")
    task.checkpoint = Memory(first)
    method.synthesize(task, None, 1)
    assert seen[2:] == [{"of": "group/0"}, None]


def test_a_method_that_draws_nothing_is_refused(make_task):
    task = make_task("synthesize", "ims3")
    with pytest.raises(UserError, match=r"ims3\.of: herding makes the same images in every group"):
        over("herding", {}).synthesize(task, None, 1)


PLUGIN = '''"""Blurred: real images and noise, with soft labels. A user's plugin."""

import torch

from harness import DistilledSet, Method, register_method


@register_method("blurred")
class Blurred(Method):
    version = 1
    title = "Blurred"
    reference = "none"

    class Config(Method.Config):
        noise: float = 0.2

    def own_labels(self):
        return True

    def fit(self, task):
        return {f"mean/{c.id}": task.real.images(c.id).float().mean(dim=0) / 255 for c in task.classes}

    def synthesize(self, task, state, ipc):
        images, labels = {}, {}
        for c in task.classes:
            noise = torch.randn(ipc, 3, 16, 16, generator=task.rng(c.id))
            images[c.id] = (state[f"mean/{c.id}"] + self.config.noise * noise).clamp(0, 1)
            labels[c.id] = 9 * torch.eye(10)[[c.label] * ipc] + images[c.id].mean(dim=(1, 2, 3))[:, None]
        return DistilledSet(images, soft_labels=labels)
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "blurred.py"
    path.write_text(PLUGIN)
    return path


@pytest.mark.parametrize("of", ["dit", "minimax", "blurred"])
def test_it_runs_over_a_generator_a_fitted_method_and_a_users_plugin(tiny_suite, shared_store, plugin, of):
    run = harness.run(
        methods=["ims3"], suite=tiny_suite, plugins=[plugin], ipc=[2], executor="local", store=shared_store,
        settings={"ims3.of": of},
    )  # fmt: skip
    assert run.exit_code == 0
    row = harness.load_results(run).set_index("method").loc["ims3"]
    start, chosen = objectives(json.loads(row["notes"]) if row["notes"].startswith("[") else [row["notes"]])
    assert chosen >= start
    assert json.loads(row["config"])["of"] == of
    if of == "blurred":
        assert json.loads(row["config"])["blurred.noise"] == 0.2
        assert (Path(row["image_folder"]) / "soft_labels.safetensors").exists()
