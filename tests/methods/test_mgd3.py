"""MGD3: the authors' guided steps, chain and modes by the code that synthesize calls; its images lie near their modes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from harness import DenoisingStep
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.process import GaussianDiffusion
from harness.diffusion.samplers import ancestral_chain
from methods.mgd3 import MGD3, Pull, last_guided, modes

GOLDEN = Path(__file__).parents[1] / "golden" / "methods"
ABOUT = json.loads((GOLDEN / "mgd3.json").read_text())
DEFAULTS = ABOUT["defaults"]


@pytest.fixture(scope="module")
def arrays():
    found = np.load(GOLDEN / "mgd3.npz")
    return {name: torch.from_numpy(found[name]) for name in found.files}


def config(**options):
    """The defaults, which are those of the authors."""
    return MGD3.Config(**options)


def pull(modes_KChw, **options):
    """The guide that synthesize makes of a config."""
    cfg = config(**options)
    return Pull(modes_KChw, cfg.mode_guidance, last_guided(cfg.stop_t, cfg.sampling_steps))


@pytest.mark.parametrize("stop_t", [25, 0])
def test_a_guided_mean_is_that_of_the_authors(arrays, stop_t):
    """Seven steps at once; of the guidance batch's two halves, which have equal noise, we have the first."""
    process, about = GaussianDiffusion.respaced(50), ABOUT["single_steps"]
    for row, (index, timestep) in enumerate(zip(about["respaced_index_t"], about["original_timestep"], strict=True)):
        assert process.timesteps[index] == timestep
        x, output = arrays["step/x"][row, :1], arrays["step/model_output"][row, :1]
        mean, log_variance, x0 = process.p_mean_variance(output, x, torch.tensor([index]))
        step = DenoisingStep(index, timestep, torch.tensor([0]), x, x0, mean, log_variance)
        guided = pull(arrays["step/mode"], stop_t=stop_t)(step)
        expected = arrays[f"step/guided_mean_stop{stop_t}"][row, :1]
        torch.testing.assert_close(guided, expected, atol=about["tolerance"]["absolute"], rtol=1e-6)


@pytest.mark.parametrize(("name", "options"), [
    ("stop25", {}), ("stop0", {"stop_t": 0}), ("unguided", {"mode_guidance": 0}),
])  # fmt: skip
def test_a_whole_chain_is_that_of_the_authors(arrays, name, options):
    process, noise = GaussianDiffusion.respaced(DEFAULTS["sampling_steps"]), iter(arrays["chain/noise"])

    def denoise(x, t):
        eps = (0.2 + 0.6 * t.view(-1, 1, 1, 1) / 1000) * x + 0.3 * x.flip(1).sin() + 0.1
        return torch.cat([eps, 0.5 * x.cos()], dim=1)

    guide = pull(arrays["chain/mode"], **options)
    result = ancestral_chain(denoise, arrays["chain/z"], process, lambda: next(noise), guide)
    tolerance = ABOUT["chain"]["tolerance"]["absolute"]
    torch.testing.assert_close(result, arrays[f"chain/result_{name}"], atol=tolerance, rtol=0)


def test_each_image_has_its_own_mode_also_in_a_later_batch():
    x0 = torch.zeros(2, 1, 1, 1)
    step = DenoisingStep(49, 999, torch.tensor([3, 1]), x0, x0, x0, x0)
    guided = pull(torch.tensor([0.0, 10.0, 20.0, 30.0]).view(4, 1, 1, 1))(step)
    assert guided.flatten().tolist() == pytest.approx([3.0, 1.0])


def guided_indices(steps, stop_t):
    """Which steps the guide moves."""
    one = torch.ones(1, 1, 1, 1)
    guide = pull(torch.zeros(1, 1, 1, 1), stop_t=stop_t, sampling_steps=steps)
    made = [DenoisingStep(i, 0, torch.tensor([0]), one, one, one, one) for i in range(steps)]
    return [step.index for step in made if not torch.equal(guide(step), one)]


@pytest.mark.parametrize("stop_t", [0, 25])
def test_the_guided_steps_are_those_of_the_authors(stop_t):
    about = ABOUT["guided_indices"][f"stop_t {stop_t}"]
    assert guided_indices(50, stop_t) == about["indices"]
    assert [GaussianDiffusion.respaced(50).timesteps[i] for i in about["indices"]] == about["original_timesteps"]


@pytest.mark.parametrize("steps", [10, 20, 100, 250, 1000])
def test_with_other_numbers_of_steps_the_same_noise_levels_are_guided(steps):
    process = GaussianDiffusion.respaced(steps)
    guided = {process.timesteps[i] for i in guided_indices(steps, 25)}
    assert guided == {t for t in process.timesteps if t >= min(guided)}
    assert max(t for t in process.timesteps if t not in guided) <= 510 <= min(guided), (
        "510 is the first that is not, of 50"
    )


def test_modes_are_the_centroids_of_scikit_learns_kmeans_in_its_order(arrays):
    tolerance = ABOUT["kmeans"]["tolerance"]
    for name in ("noise", "blobs"):
        found = modes(arrays[f"kmeans/{name}_X"].unflatten(1, (4, 2, 2)), 5).flatten(1)
        expected = arrays[f"kmeans/{name}_centers"]
        distance = torch.cdist(found, expected)
        assert distance.min(dim=1).indices.unique().numel() == 5 or name == "noise"
        torch.testing.assert_close(
            found[distance.argmin(dim=0)] if name == "blobs" else found,
            expected,
            atol=tolerance["blobs_absolute_up_to_order" if name == "blobs" else "same_call_absolute"],
            rtol=0,
        )


def test_modes_do_not_depend_on_the_number_of_threads():
    """1,500 latents are six chunks of KMeans, whose partial sums several threads would add in any order."""
    latents, found = torch.randn(1500, 4, 4, 4, generator=torch.Generator().manual_seed(0)), []
    for threads in (1, 2, 4, 4):
        with threadpool_limits(limits=threads):
            found.append(modes(latents, 20))
    assert all(torch.equal(found[0], other) for other in found)


def test_where_there_are_fewer_images_than_modes_the_modes_come_again():
    latents = torch.tensor([1.0, 5.0, 9.0, 5.0]).view(4, 1, 1, 1).expand(4, 4, 2, 2)
    found = modes(latents, 7)[:, 0, 0, 0].tolist()
    assert sorted(found[:3]) == [1, 5, 9], "equal images are one mode"
    assert found == [*found[:3], *found[:3], found[0]]


def test_the_defaults_are_those_of_the_authors():
    cfg = config()
    assert cfg.mode_guidance == DEFAULTS["mode_guidance_scale"]
    assert cfg.stop_t == DEFAULTS["stop_t_scripts"]
    assert (cfg.guidance, cfg.sampling_steps) == (DEFAULTS["cfg_scale"], DEFAULTS["sampling_steps"])


class Memory:
    """A checkpoint that keeps every state, and may begin with one."""

    def __init__(self, first=None):
        self.first, self.saved = first, []

    def load(self):
        return self.first

    def save(self, state):
        self.saved.append(dict(state))


def test_the_latents_are_the_means_of_the_posteriors_in_the_order_of_the_images(make_task):
    task = make_task("fit", "mgd3")
    state = MGD3(config()).fit(task)
    assert list(state) == [c.id for c in task.classes]
    for c in task.classes:
        expected = task.generator().encode_moments(task.real.images(c.id))[0]
        torch.testing.assert_close(state[c.id], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stage", ["fit", "synthesize"])
def test_a_job_that_was_killed_and_resumed_equals_one_that_was_not(make_task, monkeypatch, stage):
    monkeypatch.setattr("methods._by_class.SAVE_EVERY_S", 0.0)
    method = MGD3(config(sampling_steps=3))
    state = method.fit(make_task("fit", "mgd3"))

    def run(checkpoint):
        task = make_task(stage, "mgd3")
        task.checkpoint = checkpoint
        return method.fit(task) if stage == "fit" else method.synthesize(task, state, 3).images

    memory = Memory()
    whole = run(memory)
    again = run(Memory(memory.saved[0]))
    assert len(memory.saved[0]) == 1
    assert all(torch.equal(whole[c], again[c]) for c in whole)


def test_a_class_gets_the_same_images_whatever_classes_it_comes_with(make_task):
    method, first = MGD3(config(sampling_steps=3)), make_task("fit", "mgd3").classes[:1]
    alone = method.synthesize(make_task("synthesize", "mgd3", classes=first), method.fit(make_task("fit", "mgd3")), 2)
    together = method.synthesize(make_task("synthesize", "mgd3"), method.fit(make_task("fit", "mgd3")), 2)
    assert torch.equal(alone.images[first[0].id], together.images[first[0].id])


def test_images_of_one_batch_are_led_to_their_own_modes(make_task, monkeypatch):
    """Image i to mode i, also in the second batch of a call."""
    guides, sample = [], ClassConditionalGenerator.sample
    monkeypatch.setattr(
        ClassConditionalGenerator, "sample", lambda self, c, n, **o: guides.append(o) or sample(self, c, n, **o)
    )
    method = MGD3(config(sampling_steps=3, sampling_batch=2, mode_guidance=0.2, stop_t=10))
    state, task = method.fit(make_task("fit", "mgd3")), make_task("synthesize", "mgd3")
    method.synthesize(task, state, 3)
    assert [o["batch_size"] for o in guides] == [2, 2, 2]
    assert {(o["guide"].scale, o["guide"].stop) for o in guides} == {(0.2, 10 * 2 / 49)}
    for c, options in zip(task.classes, guides, strict=True):
        assert torch.equal(options["guide"].modes_KChw, modes(state[c.id], 3))
