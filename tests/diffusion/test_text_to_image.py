"""A text-to-image generator read from disk: prompts, samples, losses, new tokens; and what is refused."""

import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load

from harness.core.errors import UserError
from harness.diffusion.text_to_image import TEXT_SAMPLERS, TextToImageGenerator
from tests.diffusion.conftest import tiny_images

PROMPT = "a photo of a two"


def open_pipeline(folder):
    return StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, safety_checker=None)


def draw(generator, prompts, seeds=None, **options):
    options = {"steps": 3, "guidance": 2.0} | options
    return generator.sample(prompts, seeds or list(range(len(prompts))), **options)


def weights(generator):
    modules = {"text": generator.text.text_encoder, "unet": generator.unet, "vae": generator.autoencoder.vae}
    return {
        f"{part}.{name}": value.clone()
        for part, module in modules.items()
        for name, value in module.state_dict().items()
        if not name.endswith("token_embedding.rows")
    }


def learn(generator, steps=3, *, start=None, rows=1, names=("<a>", "<b>")):
    """Train two tokens; returns the learner."""
    learner = generator.learn_tokens(names, ["digit"] * len(names), rows=rows, lr=0.1)
    if start is not None:
        learner.restore(start)
    for step in range(learner.num_steps, steps):
        rng = torch.Generator().manual_seed(step)
        latents = torch.randn(4, *generator.latent_shape, generator=rng)
        learner.step(learner.loss(latents, [f"a photo of a {names[i % 2]}" for i in range(4)], rng).mean())
    return learner


def test_images_are_uint8_of_the_generators_size_or_of_the_asked_one(text_generator):
    images = draw(text_generator, [PROMPT] * 2)

    assert text_generator.image_size == 8
    assert text_generator.latent_shape == (4, 4, 4)
    assert images.dtype == torch.uint8
    assert images.shape == (2, 3, 8, 8)
    assert draw(text_generator, [PROMPT], side=5).shape == (1, 3, 5, 5)


@pytest.mark.parametrize("sampler", TEXT_SAMPLERS)
def test_an_image_depends_on_its_seed_and_prompt_and_not_on_the_batch(text_generator, sampler):
    many = draw(text_generator, [PROMPT] * 5, sampler=sampler, batch_size=2)
    one = draw(text_generator, [PROMPT], [3], sampler=sampler)

    assert (many[3].int() - one[0].int()).abs().max() <= 1
    assert (many[2].int() - one[0].int()).abs().max() > 1


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_samples_are_those_of_diffusers_pipeline(text_folder, text_generator, guidance):
    pipeline = open_pipeline(text_folder)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(9))
    theirs = pipeline(PROMPT, num_inference_steps=4, guidance_scale=guidance, latents=start, output_type="pt").images

    ours = draw(text_generator, [PROMPT], [9], steps=4, guidance=guidance)

    assert (ours[0].float() / 255 - theirs[0]).abs().max() < 1.5 / 255


def test_prompts_are_encoded_as_by_diffusers(text_folder, text_generator):
    prompts = [PROMPT, "", PROMPT, "of the unknown"]
    theirs, _ = open_pipeline(text_folder).encode_prompt(prompts, "cpu", 1, False)

    assert torch.allclose(text_generator.text.encode(prompts), theirs, atol=1e-5)


class KnowingUnet:
    """Returns the target, and checks that it is asked about the noisy latents at the right steps."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, noisy, steps, target):
        self.noisy, self.steps, self.target = noisy, steps, target

    def __call__(self, noisy, steps, encoder_hidden_states):
        assert torch.allclose(noisy, self.noisy, atol=1e-5)
        assert torch.equal(steps, self.steps)
        return type("Output", (), {"sample": self.target})


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_loss_is_zero_for_a_network_that_knows_the_target(text_generator, kind):
    """The target is what diffusers' scheduler says."""
    latents, states = torch.randn(3, 4, 4, 4), text_generator.text.encode([PROMPT] * 3)
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    rng = torch.Generator().manual_seed(0)
    t, noise = torch.randint(0, 1000, (3,), generator=rng), torch.randn(3, 4, 4, 4, generator=rng)
    target = noise if kind == "epsilon" else scheduler.get_velocity(latents, noise, t)
    text_generator.unet = KnowingUnet(scheduler.add_noise(latents, noise, t), t, target)
    text_generator.scheduler_config["prediction_type"] = kind

    loss = text_generator.denoising_loss(latents, states, torch.Generator().manual_seed(0))

    assert loss.shape == (3,)
    assert loss.max() < 1e-10


def test_images_of_any_size_are_encoded_at_the_generators(text_generator):
    images, labels = tiny_images()
    same = text_generator.latent_cache(images, labels, flips=False)
    larger = text_generator.latent_cache(images.repeat_interleave(2, 2).repeat_interleave(2, 3), labels, flips=False)

    assert same.latent_shape == larger.latent_shape == (4, 4, 4)
    assert torch.equal(same.moments[0, 0], text_generator.encode_moments(images)[0])


def test_learning_tokens_changes_their_rows_and_nothing_else(text_generator):
    before = weights(text_generator)
    start = text_generator.text.word_rows("digit")

    learned = learn(text_generator).finish()

    after = weights(text_generator)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert learned.keys() == {"<a>", "<b>"}
    assert all(not torch.equal(rows, start) for rows in learned.values())
    assert not torch.equal(learned["<a>"], learned["<b>"])
    assert not any(p.requires_grad for p in text_generator.text.text_encoder.parameters())


def test_a_resumed_fit_equals_an_uninterrupted_one(text_folder):
    fresh = [TextToImageGenerator.load(text_folder, class_words={}, device="cpu") for _ in range(3)]
    whole = learn(fresh[0], 5, rows=2).finish()
    half = learn(fresh[1], 2, rows=2).checkpoint()

    resumed = learn(fresh[2], 5, rows=2, start=half).finish()

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("rows", [1, 3])
def test_diffusers_loads_a_learned_token_and_makes_the_same_states(text_folder, text_generator, rows, tmp_path):
    learn(text_generator, rows=rows).finish()
    content = text_generator.text.token_file("<b>", {"seed": "7"})
    (tmp_path / "learned_embeds.safetensors").write_bytes(content)
    pipeline = open_pipeline(text_folder)
    pipeline.load_textual_inversion(str(tmp_path))

    theirs, _ = pipeline.encode_prompt("a photo of a <b>", "cpu", 1, False)

    assert load(content)["<b>"].shape == (rows, 16)
    assert torch.allclose(text_generator.text.encode(["a photo of a <b>"]), theirs, atol=1e-5)


def test_a_token_name_that_exists_is_refused(text_generator):
    rows = text_generator.text.word_rows("digit")
    with pytest.raises(UserError, match="already has a token 'two'"):
        text_generator.text.add_token("two", rows)
    text_generator.text.add_token("<a>", rows)
    with pytest.raises(UserError, match="already has a token '<a>'"):
        text_generator.text.add_token("<a>", rows)
    with pytest.raises(UserError, match="one word without spaces"):
        text_generator.text.add_token("<a b>", rows)
    with pytest.raises(UserError, match=r"shape \[1, 3\]; this text encoder takes \[V, 16\]"):
        text_generator.text.add_token("<c>", torch.zeros(1, 3))


def test_an_initialiser_of_several_tokens_is_refused(text_generator):
    with pytest.raises(UserError, match=r"initialiser 'photo digit' has 2 tokens .*photo</w> digit</w>"):
        text_generator.learn_tokens(["<a>"], ["photo digit"], lr=0.1)


def test_a_prompt_that_would_be_cut_is_refused(text_generator):
    with pytest.raises(UserError, match="is 22 tokens; the text encoder takes 16"):
        text_generator.text.encode(["photo " * 20])


def test_an_unknown_sampler_is_refused_with_the_closest(text_generator):
    with pytest.raises(UserError, match=r"unknown sampler 'dimm'\. Did you mean 'ddim'"):
        draw(text_generator, [PROMPT], sampler="dimm")
    with pytest.raises(UserError, match="1001 denoising steps"):
        draw(text_generator, [PROMPT], steps=1001)


def load_from(folder):
    return TextToImageGenerator.load(folder, class_words={}, device="cpu")


def test_a_pipeline_of_another_kind_is_refused_by_name(folder, text_folder, tmp_path):
    with pytest.raises(UserError, match="is a DiTPipeline, expected a StableDiffusionPipeline"):
        load_from(folder)
    with pytest.raises(UserError, match=r"no model_index\.json"):
        load_from(text_folder / "unet")
    with pytest.raises(UserError, match="no such file or folder"):
        load_from("no/such/folder")
    other = shutil.copytree(text_folder, tmp_path / "other")
    config = json.loads((other / "scheduler" / "scheduler_config.json").read_text())
    (other / "scheduler" / "scheduler_config.json").write_text(json.dumps(config | {"prediction_type": "sample"}))
    with pytest.raises(UserError, match="the model predicts 'sample'"):
        load_from(other)


def test_a_local_folder_never_touches_the_network(text_folder, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a network connection was attempted")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    load_from(text_folder)
