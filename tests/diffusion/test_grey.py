"""Generators in grey suites: small ones have one channel throughout, pre-trained ones for RGB give luma."""

import json

import pytest
import torch
import yaml
from diffusers import AutoencoderKL, DiTPipeline
from PIL import Image

from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, PriorTraining, TextPriorTraining
from harness.core.errors import UserError
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.generator_kinds import check_generator
from harness.diffusion.prior import train_class_conditional
from harness.diffusion.text_prior import train_text_to_image
from harness.diffusion.text_to_image import TextToImageGenerator
from harness.diffusion.vae import Autoencoder
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.diffusion.conftest import NAMES, TINY, TINY_TEXT, tiny_images
from tests.helpers.grey import grey_suite
from tests.helpers.support import TINY_PRIOR

CLASSES = [ClassInfo(name, label, name) for label, name in enumerate(NAMES)]
LABELS = {name: label for label, name in enumerate(NAMES)}
KINDS = ["class_conditional", "text_to_image"]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def grey_images(side=8):
    """Images of two classes, white in the upper and in the lower half, on a noisy ground."""
    labels = torch.arange(64) % 2
    images = torch.randint(0, 60, (64, 1, side, side), generator=rng())
    half = side // 2
    images[labels == 0, :, :half] += 180
    images[labels == 1, :, half:] += 180
    return images.to(torch.uint8), labels


@pytest.fixture(scope="module")
def grey_folders(tmp_path_factory):
    """A generator of each kind, trained on grey images."""
    images, labels = grey_images()
    out = {kind: tmp_path_factory.mktemp("grey") / kind for kind in KINDS}
    longer = TINY.model_copy(
        update={"vae_steps": 60, "vae_batch": 16, "hidden_size": 32, "dit_steps": 400, "dit_lr": 8e-3, "dit_batch": 16}
    )
    train_class_conditional(images, labels, spec=longer, class_names=NAMES, out_folder=out[KINDS[0]], device="cpu")
    train_text_to_image(images, labels, spec=TINY_TEXT, class_words=NAMES, out_folder=out[KINDS[1]], device="cpu")
    return out


@pytest.fixture(scope="module")
def rgb_folders(folder, text_folder):
    """A generator of each kind for RGB."""
    return {"class_conditional": folder, "text_to_image": text_folder}


def load(kind, place, **options):
    if kind == "class_conditional":
        return ClassConditionalGenerator.load(place, class_labels=LABELS, device="cpu", **options)
    return TextToImageGenerator.load(place, class_words={n: n for n in NAMES}, device="cpu", **options)


def vaes(generator):
    if isinstance(generator, TextToImageGenerator):
        return [generator.autoencoder]
    return [generator.encoder, generator.decoder]


def draw(generator, n=2):
    if isinstance(generator, TextToImageGenerator):
        return generator.sample(["zero"] * n, list(range(n)), steps=3, guidance=1.5)
    return generator.sample(CLASSES[0], n, steps=3, guidance=1.5, rng=rng())


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_of_grey_images_has_one_channel_from_its_config_to_its_samples(kind, grey_folders):
    config = json.loads((grey_folders[kind] / "vae" / "config.json").read_text())
    assert (config["in_channels"], config["out_channels"]) == (1, 1)
    generator = load(kind, grey_folders[kind], channels=1)
    first, again = draw(generator), draw(generator)
    assert (first.dtype, tuple(first.shape)) == (torch.uint8, (2, 1, 8, 8))
    assert torch.equal(first, again)
    assert first.float().std() > 5
    cache = generator.latent_cache(*grey_images(), flips=True)
    assert cache.latent_shape == generator.latent_shape


def test_a_prior_of_grey_images_draws_the_class_that_it_is_asked_for(grey_folders):
    generator = load("class_conditional", grey_folders["class_conditional"])
    for c, above in ((CLASSES[0], 1), (CLASSES[1], -1)):
        drawn = generator.sample(c, 8, steps=10, guidance=3.0, rng=rng(1)).float()
        upper, lower = drawn[:, :, :4].mean(dim=(1, 2, 3)), drawn[:, :, 4:].mean(dim=(1, 2, 3))
        assert (above * (upper - lower) > 50).sum() >= 7


def test_diffusers_opens_and_runs_a_prior_of_grey_images(grey_folders):
    pipeline = DiTPipeline.from_pretrained(grey_folders["class_conditional"], local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline([0, 2], num_inference_steps=2, output_type="np").images.shape == (2, 8, 8, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_for_rgb_encodes_grey_images_as_rgb_and_gives_luma(kind, rgb_folders):
    grey, rgb = load(kind, rgb_folders[kind], channels=1), load(kind, rgb_folders[kind])
    images, _ = grey_images()
    for one, other in zip(vaes(grey), vaes(rgb), strict=True):
        for ours, theirs in zip(
            one.encode_moments(images), other.encode_moments(images.repeat(1, 3, 1, 1)), strict=True
        ):
            assert torch.equal(ours, theirs)
    drawn, coloured = draw(grey, 6), draw(rgb, 6)
    assert not torch.equal(coloured[:, :1], coloured[:, 1:2]), "else luma would be any channel"
    for ours, image in zip(drawn, coloured, strict=True):
        pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        assert ours[0].tolist() == torch.tensor(list(pillow.tobytes())).view(8, 8).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_grey_generator_is_refused_for_rgb_images_before_any_job_and_where_it_is_opened(kind, grey_folders):
    place = grey_folders[kind]
    told = "draws images with 1 channel, but the suite's have 3.*Use an RGB generator, or set `channels: 1`"
    with pytest.raises(UserError, match=told):
        load(kind, place, channels=3)
    spec = GeneratorSpec(weights=str(place))
    with pytest.raises(UserError, match=told):
        check_generator(kind, spec, CLASSES, NAMES, 8, 3)
    check_generator(kind, spec, CLASSES, NAMES, 8, 1)


def test_images_of_other_channels_than_the_suite_says_do_not_pass():
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=8)
    with pytest.raises(AssertionError, match="3 channels, expected 1"):
        Autoencoder(vae, channels=1).encode_moments(tiny_images()[0])


@pytest.mark.parametrize("levels", [(8,), (8, 16), (8, 8, 8)])
def test_28_pixels_work_wherever_levels_and_patches_divide_them(levels, tmp_path):
    """28 is 4 x 7: two halvings in all, by the VAE, by patches or by the UNet."""
    images, labels = grey_images(28)
    patch = 2 ** (3 - len(levels))
    spec = TINY.model_copy(update={"vae_channels": levels, "patch_size": patch, "vae_steps": 1, "dit_steps": 1})
    train_class_conditional(images, labels, spec=spec, class_names=NAMES, out_folder=tmp_path / "a", device="cpu")
    generator = load("class_conditional", tmp_path / "a", channels=1)
    assert generator.model.config.input_size // patch == 7
    assert draw(generator).shape == (2, 1, 28, 28)


def test_28_pixels_work_with_a_halving_by_the_text_priors_unet(tmp_path):
    images, labels = grey_images(28)
    spec = TINY_TEXT.model_copy(update={"unet_channels": (16, 16), "vae_steps": 1, "unet_steps": 1})
    train_text_to_image(images, labels, spec=spec, class_words=NAMES, out_folder=tmp_path / "a", device="cpu")
    assert draw(load("text_to_image", tmp_path / "a", channels=1)).shape == (2, 1, 28, 28)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            PriorTraining(),
            r"28 pixels are not divisible by 8: the VAE's 3 levels halve them 2 times, and patch_size is 2; change "
            r"generators.class_conditional.train of the suite, such as vae_channels: \[16, 32\]",
        ),
        (PriorTraining(patch_size=8), r"divisible by 32: .* change generators.class_conditional.train of the suite$"),
        (
            TextPriorTraining(unet_channels=(8, 8)),
            r"divisible by 8: .* the UNet's 2 halve them 1 times; .*text_to_image.train .* vae_channels: \[16, 32\]",
        ),
    ],
)
def test_what_does_not_divide_28_pixels_is_told_with_what_does(spec, told):
    with pytest.raises(UserError, match=told):
        spec.check_side(28)
    if "such as" in told:
        spec.model_copy(update={"vae_channels": (16, 32)}).check_side(28)


def test_sizes_of_a_prior_that_do_not_divide_the_image_are_told_before_any_job(tmp_path):
    generators = {"class_conditional": {"train": TINY_PRIOR | {"vae_channels": [8, 8, 8]}}}
    suite = grey_suite(tmp_path, image_size=28, generators=generators)
    resolve(make_request(methods=["random_real"], suite=suite))
    with pytest.raises(UserError, match="images of 28 pixels are not divisible by 8"):
        resolve(make_request(methods=["dit"], suite=suite))
    suite.write_text(yaml.safe_dump(yaml.safe_load(suite.read_text()) | {"image_size": 16}))
    resolve(make_request(methods=["dit"], suite=suite))
