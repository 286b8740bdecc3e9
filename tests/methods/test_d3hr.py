"""D3HR: the authors' inversion, sampling and choice by the code that fit and synthesize call; a real signal on digits."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.core.classes import ClassInfo
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.process import GaussianDiffusion
from methods import d3hr
from methods._ddim import Ddim, noise_of
from methods.d3hr import D3HR, best_group, drawn_latents, group_scores, skewness, statistics

GOLDEN = Path(__file__).parents[1] / "golden" / "methods"
ABOUT = json.loads((GOLDEN / "d3hr.json").read_text())
DEFAULTS, GROUPS, INVERSION, SAMPLING = (ABOUT[k] for k in ("defaults", "group_score", "inversion", "sampling"))


@pytest.fixture(scope="module")
def arrays():
    found = np.load(GOLDEN / "d3hr.npz")
    return {name: torch.from_numpy(found[name]) for name in found.files}


class Analytic(torch.nn.Module):
    """The network of the golden values; remembers the timesteps that it is called with."""

    config = SimpleNamespace(num_classes=1000)

    def __init__(self, offset):
        super().__init__()
        self.offset, self.called = offset.view(1, 4, 1, 1), []

    def forward(self, x, t, labels):
        self.called.append(int(t[0]))
        null = (labels == 1000).float().view(-1, 1, 1, 1)
        of_class = (1 - null) * (self.offset + 0.001 * (labels.view(-1, 1, 1, 1) % 7))
        noise = (0.15 + 0.7 * t.view(-1, 1, 1, 1) / 1000) * x + 0.2 * (x + null).sin() + of_class
        return torch.cat([noise, torch.zeros_like(noise)], dim=1)


class StandIn(ClassConditionalGenerator):
    """The generator's own code around another network."""

    def __init__(self, model):
        self.model, self.class_labels = model, {str(label): label for label in INVERSION["labels"]}


@pytest.fixture
def network(arrays):
    return Analytic(arrays["invert/K"])


def each_class(network, move, x):
    """Let `move` take (noise, latents) of each golden image, which has a class of its own."""
    made = []
    for row, label in enumerate(INVERSION["labels"]):
        predict = noise_of(StandIn(network), ClassInfo(str(label), row, ""), D3HR.Config().guidance)
        network.called.clear()
        made.append(move(predict, x[row : row + 1]))
    return torch.cat(made)


def ddim(steps=None):
    return Ddim(GaussianDiffusion().alphas_cumprod, steps or D3HR.Config().sampling_steps)


@pytest.mark.parametrize(
    ("level", "name", "row"),
    [*((n, "first_ten", n - 1) for n in (1, 2, 10)), *((n, "N50_returned", n - 24) for n in (24, 30, 38))],
)
def test_inverted_latents_are_those_of_the_authors(arrays, network, level, name, row):
    found = each_class(network, lambda predict, x: ddim().invert(predict, x, level), arrays["invert/z0"])
    expected = arrays[f"invert/{name}"][row]
    torch.testing.assert_close(found, expected, atol=INVERSION["tolerance"]["absolute"], rtol=0)
    assert network.called == INVERSION["runs"]["50"]["timesteps_of_the_calls"][:level]


def test_the_default_level_and_start_are_those_of_the_authors():
    method, run = D3HR(), INVERSION["runs"]["50"]
    place = run["returned_step_i"][DEFAULTS["i_step"]]
    assert method._level() == place
    assert ddim().stride * place == run["returned_level_timestep"][DEFAULTS["i_step"]]
    assert ddim().stride * method._start() == SAMPLING["timesteps_of_the_calls"][0]
    assert method.config.sampling_steps == DEFAULTS["inversion_steps"]
    assert method.config.guidance == DEFAULTS["guidance"]


def test_statistics_are_those_of_the_authors(arrays):
    found = statistics(arrays["invert/N50_returned"][6], 0.0).flatten(1)
    for row, name in enumerate(("mean", "variance")):
        torch.testing.assert_close(found[row], arrays[f"invert/statistics_{name}"][6], atol=2e-5, rtol=1e-5)


def test_one_latent_has_the_variance_of_the_noise_at_its_level():
    found = statistics(torch.full((1, 4, 2, 2), 3.0), ddim().noise_share(30))
    assert found[0].unique().tolist() == [3.0]
    assert found[1].unique().tolist() == pytest.approx([1 - ABOUT["abar"]["600"]])


def test_sampled_latents_are_those_of_the_authors(arrays, network):
    start, moved = D3HR()._start(), []

    class Watched(Ddim):
        def _move(self, *arguments):
            moved.append(super()._move(*arguments))
            return moved[-1]

    watched = Watched(GaussianDiffusion().alphas_cumprod, 50)
    found = each_class(network, lambda predict, x: watched.sample(predict, x, start), arrays["sample/start"])
    tolerance = SAMPLING["tolerance"]["absolute"]
    torch.testing.assert_close(found, arrays["sample/result"], atol=tolerance, rtol=0)
    steps = len(SAMPLING["timesteps_of_the_calls"])
    assert len(moved) == 2 * steps
    for name, place in (("after_one_step", 0), ("before_last_step", steps - 2)):
        both = torch.cat([moved[place], moved[steps + place]])
        torch.testing.assert_close(both, arrays[f"sample/{name}"], atol=tolerance, rtol=0)
    assert network.called == SAMPLING["timesteps_of_the_calls"]


def test_scores_of_groups_are_those_of_the_authors(arrays):
    samples, mean, std = (arrays[f"group/{name}"] for name in ("samples", "mean", "std"))
    score = group_scores(samples, mean, std, D3HR.Config().skew_weight)
    assert score.tolist() == pytest.approx(GROUPS["score"], rel=GROUPS["tolerance"]["score_relative"])
    assert (int(score.argmin()), int(score.argmax())) == (GROUPS["chosen"], GROUPS["worst"])
    skew = skewness(samples)
    torch.testing.assert_close(skew, arrays["group/skew_per_sample"], atol=1e-5, rtol=1e-5)
    assert skew.norm(dim=1).tolist() == pytest.approx(GROUPS["skew_norm"], rel=1e-5)


@pytest.mark.parametrize("case", ABOUT["seeded_choice"]["cases"], ids=lambda case: str(case["seed"]))
def test_the_chosen_group_is_that_of_the_authors(arrays, case):
    mean, std, rng = arrays["group/mean"], arrays["group/std"], torch.Generator().manual_seed(case["seed"])
    chosen = best_group(mean, std, 6, groups=case["subsets"], skew_weight=0.1, rng=rng)
    torch.testing.assert_close(chosen, arrays[f"group/best_seed{case['seed']}"], atol=1e-5, rtol=0)
    assert group_scores(chosen[None], mean, std, 0.1).item() == pytest.approx(case["best_score"], rel=1e-5)


def gaussian(values=16):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(values, generator=rng), torch.rand(values, generator=rng) + 0.1


def score_of(images, groups, seed=0, weight=0.1):
    mean, std = gaussian()
    rng = torch.Generator().manual_seed(seed)
    chosen = best_group(mean, std, images, groups=groups, skew_weight=weight, rng=rng)
    return group_scores(chosen[None], mean, std, weight).item()


@pytest.mark.parametrize("images", [1, 2, 10])
def test_the_best_of_more_groups_is_better_also_over_many_passes(monkeypatch, images):
    monkeypatch.setattr(d3hr, "VALUES_AT_ONCE", 64 * images * 16)
    scores = [score_of(images, groups) for groups in (1, 64, 64 * 20)]
    assert scores[0] > 1.1 * scores[1] > 1.1 * scores[2]


def test_the_best_group_may_be_in_any_pass_and_the_last_is_not_full(monkeypatch):
    """Passes of 16 groups of 16 values: what is scored together must not change which is best."""
    whole = [score_of(4, 80, seed) for seed in range(6)]
    monkeypatch.setattr(d3hr, "VALUES_AT_ONCE", 16 * 4 * 16)
    assert [score_of(4, 80, seed) for seed in range(6)] == pytest.approx(whole, rel=1e-6)
    assert score_of(4, 20) <= score_of(4, 16)


def test_one_image_is_judged_by_its_distance_from_the_mean():
    mean, std = gaussian()
    drawn = mean + torch.tensor([0.5, -1.0]).view(2, 1, 1) * std
    assert group_scores(drawn, mean, std, 0.1).tolist() == pytest.approx(
        [0.5 * std.norm().item(), std.norm().item()], rel=1e-5
    )


def test_values_that_do_not_vary_score_no_nan():
    mean, std = torch.ones(8), torch.zeros(8)
    assert group_scores(mean.expand(2, 3, 8), mean, std, 0.1).tolist() == [0, 0]


@pytest.mark.parametrize(("steps", "level", "start", "expected"), [
    (50, 600, None, (30, 31)), (20, 600, None, (12, 13)), (20, 600, 620, (12, 12)), (50, 600, 600, (30, 30)),
    (2, 1, None, (1, 1)), (1000, 999, None, (999, 999)), (10, 20, 0, (1, 0)), (30, 990, None, (29, 29)),
])  # fmt: skip
def test_levels_and_starts_lie_on_the_grid(steps, level, start, expected):
    method = D3HR(D3HR.Config(sampling_steps=steps, level=level, start=start))
    assert (method._level(), method._start()) == expected


def test_the_work_is_foretold(make_task, monkeypatch):
    calls, forward = [], ClassConditionalGenerator.predict_noise
    monkeypatch.setattr(
        ClassConditionalGenerator,
        "predict_noise",
        lambda self, x, *a, **o: calls.append(2 * len(x)) or forward(self, x, *a, **o),
    )
    method, task = D3HR(D3HR.Config(sampling_steps=10, groups=10)), make_task("fit", "d3hr")
    state, num_real = method.fit(task), sum(task.real.num_per_class.values())
    foretold = method.work(num_real, 3 * 2)
    assert foretold["fit"] == ("class_conditional", 0, sum(calls))
    calls.clear()
    method.synthesize(make_task("synthesize", "d3hr"), state, 2)
    assert foretold["synthesize"] == ("class_conditional", 0, sum(calls))


def test_latents_are_drawn_from_their_posteriors(make_task):
    """One draw an image, as in the authors' code, from the stream of its class."""
    task = make_task("fit", "d3hr")
    c, generator = task.classes[1], task.generator()
    mean, std = generator.encode_moments(task.real.images(c.id))
    drawn = drawn_latents(task, generator, c)
    noise = (drawn - mean) / std
    assert DEFAULTS["latent"] == "0.18215 * latent_dist.sample()"
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drawn, drawn_latents(task, generator, c))


def quick(**options):
    return D3HR(D3HR.Config(**{"sampling_steps": 5, "groups": 20, "guidance": 1.5} | options))


class Memory:
    """A checkpoint that keeps every state, and may begin with one."""

    def __init__(self, first=None):
        self.first, self.saved = first, []

    def load(self):
        return self.first

    def save(self, state):
        self.saved.append(dict(state))


@pytest.mark.parametrize("stage", ["fit", "synthesize"])
def test_a_job_that_was_killed_and_resumed_equals_one_that_was_not(make_task, monkeypatch, stage):
    monkeypatch.setattr("methods._by_class.SAVE_EVERY_S", 0.0)
    method = quick()
    state = method.fit(make_task("fit", "d3hr"))

    def run(checkpoint):
        task = make_task(stage, "d3hr")
        task.checkpoint = checkpoint
        return method.fit(task) if stage == "fit" else method.synthesize(task, state, 3).images

    memory = Memory()
    whole = run(memory)
    again = run(Memory(memory.saved[1]))
    assert [len(saved) for saved in memory.saved] == [1, 2, 3]
    assert all(torch.equal(whole[c], again[c]) for c in whole)


def test_a_class_gets_the_same_images_whatever_classes_and_batches_it_comes_with(make_task):
    method, first = quick(), make_task("fit", "d3hr").classes[:1]
    alone = quick(sampling_batch=7)
    state = alone.fit(make_task("fit", "d3hr", classes=first))
    made = alone.synthesize(make_task("synthesize", "d3hr", classes=first), state, 9).images[first[0].id]
    whole = method.synthesize(make_task("synthesize", "d3hr"), method.fit(make_task("fit", "d3hr")), 9)
    assert (made.int() - whole.images[first[0].id].int()).abs().max() <= 3, "rounding in another batch size"
