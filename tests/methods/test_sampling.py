"""How a method samples: the sampler `fast`, and the precision that `auto` means on a device."""

import pytest
import torch

from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from methods._sampling import Sampling, open_generator, passes
from methods.cao2 import CaO2
from methods.dit import DiT

SMALL = {"guidance": 1.5, "precision": "float32", "compiled": False}


def drawn(make_task, **options):
    return DiT(DiT.Config(**SMALL, **options)).synthesize(make_task("synthesize", "dit"), None, 2).images


def test_fast_is_dpm_solver_with_twenty_steps_whatever_the_steps_are(make_task):
    fast, named = (
        drawn(make_task, **options)
        for options in ({"sampler": "fast", "sampling_steps": 50}, {"sampler": "dpmsolver++", "sampling_steps": 20})
    )
    assert all(torch.equal(fast[c], named[c]) for c in named)


def test_fast_is_other_images_than_the_papers_sampler(make_task):
    fast, paper = (drawn(make_task, sampler=sampler, sampling_steps=20) for sampler in ("fast", "ddpm"))
    assert not any(torch.equal(fast[c], paper[c]) for c in paper)


def test_cao2_draws_its_candidates_with_the_same_samplers(make_task, monkeypatch):
    task, asked = make_task("synthesize", "cao2"), []
    generator = open_generator(task, Sampling())
    draw = generator.sample_latents
    monkeypatch.setattr(
        generator,
        "sample_latents",
        lambda *a, **given: asked.append((given["sampler"], given["steps"])) or draw(*a, **given),
    )
    monkeypatch.setattr(task, "generator", lambda *a: generator)
    CaO2(CaO2.Config(**SMALL, sampler="fast", candidates=1, steps=0)).synthesize(task, None, 1)
    assert set(asked) == {("dpmsolver++", 20)}


def test_the_estimate_counts_the_steps_that_are_made():
    assert passes(10, Sampling(sampler="fast")) == 10 * 20 * 2
    assert passes(10, Sampling()) == 10 * 50 * 2


@pytest.mark.parametrize(
    ("device", "side", "precision", "compiled"),
    [("cpu", 256, "float32", False), ("cuda", 256, "bfloat16", True), ("cuda", 16, "bfloat16", False)],
)
def test_auto_means_what_gains_on_the_device(device, side, precision, compiled):
    meant = Sampling().at_device(device, side)
    assert (meant.precision, meant.compiled) == (precision, compiled)
    chosen = Sampling(precision="float32", compiled=True).at_device(device, side)
    assert (chosen.precision, chosen.compiled) == ("float32", True)


def test_a_generator_computes_as_auto_means_here(make_task):
    assert open_generator(make_task("synthesize", "dit"), Sampling()).model.precision == "float32"


def planned(device, **options):
    """Return the keys of DiT's sets on a device, and the options that they were made with."""
    settings = {f"dit.{name}": value for name, value in options.items()}
    request = make_request(suite="digits", methods=["dit"], ipc=[1], seeds=[0], settings=settings)
    jobs = make_plan(resolve(request, device).plan_input).jobs.values()
    (job,) = (job for job in jobs if job.kind == "synthesize")
    return job.key, job.spec["config"]


@pytest.mark.parametrize(("device", "same"), [("cpu", "float32"), ("cuda", "bfloat16")])
def test_keys_and_specifications_have_what_auto_means(device, same):
    key, config = planned(device)
    assert (config["precision"], config["compiled"]) == (same, False)
    assert key == planned(device, precision=same, compiled=False)[0]
    assert key != planned(device, precision={"float32": "bfloat16", "bfloat16": "float32"}[same])[0]
