"""Image-to-image: where a run begins, how noisy its start is, and that diffusers' own pipeline draws the same."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionImg2ImgPipeline

from harness.core.errors import UserError
from harness.diffusion.text_samplers import TEXT_SAMPLERS, Schedule
from tests.helpers.support import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/methods/d4m.json").read_text())["image_to_image_start"]["cases"]
STABLE_DIFFUSION = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
PROMPT = "a photo of a two"


class Recorder:
    """Stands for a UNet: keeps what it is called with and finds no noise."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, unet):
        self.config, self.timesteps, self.latents = unet.config, [], []

    def __call__(self, latents, t, encoder_hidden_states):
        self.timesteps.append(int(t))
        self.latents.append(latents)
        return type("Output", (), {"sample": torch.zeros_like(latents)})


def recorded(generator, **options):
    """Return what the network was called with in a run from zero latents and seed 3."""
    generator.unet = Recorder(generator.unet)
    generator.scheduler_config = STABLE_DIFFUSION
    generator.sample([PROMPT], [3], guidance=1.0, **{"start": torch.zeros(1, *generator.latent_shape)} | options)
    return generator.unet


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"{c['scheduler'][:4]} {c['strength']}")
def test_a_run_begins_where_the_authors_of_d4m_begin(text_generator, case):
    """Our DDIM begins at the last timestep, with other timesteps than theirs, after as many skipped steps."""
    sampler = case["scheduler"].split()[0].lower()

    called = recorded(text_generator, sampler=sampler, steps=case["steps"], strength=case["strength"])

    assert len(called.timesteps) == case["network_calls"]
    if sampler == "ddim":
        assert called.timesteps == list(range(999, 0, -20))[case["start_index"] :]
        return
    assert called.timesteps[:4] == case["first_timesteps"]
    assert called.timesteps[-2:] == case["last"]
    noise = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(3))
    weight = (called.latents[0][0] / noise).numpy()
    assert np.allclose(weight, case["noise_weight"], atol=1e-6)


def test_the_start_keeps_the_share_of_its_timestep(text_generator):
    case = GOLDEN[0]
    options = {"sampler": "pndm", "steps": case["steps"], "strength": case["strength"]}
    start = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(5))
    without = recorded(text_generator, **options).latents[0]

    kept = recorded(text_generator, start=start, **options).latents[0] - without

    assert torch.allclose(kept, case["abar_at_start"] ** 0.5 * start, atol=1e-6)


@pytest.mark.parametrize(("sampler", "kind"), [("pndm", PNDMScheduler), ("ddim", DDIMScheduler)])
def test_images_from_latents_are_those_of_diffusers_pipeline(text_folder, text_generator, sampler, kind):
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
        text_folder, local_files_only=True, safety_checker=None, feature_extractor=None
    )
    changes = {"skip_prk_steps": True, "timestep_spacing": "leading"} if kind is PNDMScheduler else {}
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **changes)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    given = {"strength": 0.7, "guidance_scale": 3.0, "num_inference_steps": 10, "negative_prompt": "digit"}
    rng = torch.Generator().manual_seed(9)
    theirs = pipeline(PROMPT, image=start, generator=rng, output_type="pt", **given).images

    options = {"steps": 10, "guidance": 3.0, "strength": 0.7, "negative": "digit", "sampler": sampler}
    ours = text_generator.sample([PROMPT], [9], start=start, **options)

    assert (ours[0].float() / 255 - theirs[0]).abs().max() < 1.5 / 255
    from_noise = text_generator.sample([PROMPT], [9], **options)
    assert (ours.int() - from_noise.int()).abs().max() > 3


@pytest.mark.parametrize("sampler", TEXT_SAMPLERS)
def test_an_image_depends_on_its_start_and_seed_and_not_on_the_batch(text_generator, sampler):
    start = torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    options = {"steps": 6, "guidance": 2.0, "strength": 0.5, "sampler": sampler}
    many = text_generator.sample([PROMPT] * 5, [7, 8, 9, 8, 9], start=start, batch_size=2, **options).int()
    one = text_generator.sample([PROMPT], [8], start=start[3:4], **options).int()

    assert (many[3] - one[0]).abs().max() <= 1
    assert (many[1] - one[0]).abs().max() > 1, "same seed, another start"
    assert (text_generator.sample([PROMPT], [9], start=start[3:4], **options).int() - one).abs().max() > 1


def test_the_share_of_the_steps_is_truncated():
    """In floating point: 50 * 0.58 is 28.999... So the code of the authors, and diffusers."""
    assert len(Schedule("ddim", STABLE_DIFFUSION, 50, 0.58).begin(torch.device("cpu"))[1]) == 28


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"strength": 0.0}, "strength 0.0: expected above 0"),
        ({"strength": 1.2}, "strength 1.2: expected above 0, and 1 at most"),
        ({"strength": 0.01}, "leaves no step"),
        ({"sampler": "pndm", "steps": 1000}, "1000 denoising steps: expected 1 to 999"),
        ({"sampler": "pndm", "config": STABLE_DIFFUSION | {"rescale_betas_zero_snr": True}}, "rescaled to zero SNR"),
    ],
)
def test_a_run_that_cannot_be_is_refused(fields, told):
    with pytest.raises(UserError, match=told):
        Schedule(**{"sampler": "ddim", "config": STABLE_DIFFUSION, "steps": 50} | fields)
