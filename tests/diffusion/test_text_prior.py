"""A text-to-image prior trained from scratch is an ordinary StableDiffusionPipeline folder, the same for the same seed."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from harness.core.errors import UserError
from harness.diffusion.text_prior import Captions, train_text_to_image
from harness.diffusion.word_tokenizer import word_tokenizer
from tests.diffusion.conftest import NAMES, TINY_TEXT, tiny_images


def train(out, words=NAMES, **changes):
    images, labels = tiny_images()
    spec = TINY_TEXT.model_copy(update=changes)
    return train_text_to_image(images, labels, spec=spec, class_words=words, out_folder=out, device="cpu")


def test_diffusers_opens_and_runs_the_folder(text_folder):
    pipeline = StableDiffusionPipeline.from_pretrained(text_folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)

    images = pipeline(["a photo of a two", "one"], num_inference_steps=3, output_type="np").images

    assert pipeline.safety_checker is None
    assert images.shape == (2, 8, 8, 3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_equal_seeds_give_equal_files_and_the_global_random_state_stays(tmp_path, prediction):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = train(tmp_path / "a", prediction=prediction)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert train(tmp_path / "b", prediction=prediction) == first
    assert train(tmp_path / "c", prediction=prediction, seed=1) != first

    unet = "unet/diffusion_pytorch_model.safetensors"
    for name in ("text_encoder/model.safetensors", unet, "vae/diffusion_pytorch_model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_each_known_word_is_one_token_and_others_fall_into_pieces():
    """Words that share letters would lose to each other's merges if those were listed word by word."""
    words = ["one", "lone", "nine", "seven", "eleven", "zero", "photo", "to"]
    tokenizer = word_tokenizer(words, max_length=12)

    assert all(len(tokenizer(word).input_ids) == 3 for word in words)
    assert tokenizer("One  LONE").input_ids == tokenizer("one lone").input_ids
    assert len(tokenizer("unknown").input_ids) > 3
    assert tokenizer.decode(tokenizer("a photo of 7 ü").input_ids, skip_special_tokens=True) == "a photo of 7 ü"
    assert tokenizer.model_max_length == 12


def test_captions_name_the_class_or_only_what_is_true_of_all():
    spec = TINY_TEXT.model_copy(update={"neutral_share": 0.3, "empty_share": 0.2})
    drawn = Captions(spec, NAMES).draw(torch.ones(1000, dtype=torch.long), torch.Generator().manual_seed(0))

    assert 0.15 < drawn.count("") / 1000 < 0.25
    assert 0.25 < sum("digit" in c for c in drawn) / 1000 < 0.35
    assert all("one" in c.split() for c in drawn if c and "digit" not in c)
    assert {c.replace("digit", "{}").replace("one", "{}") for c in drawn} == {"", *spec.captions}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet_channels": (16, 16, 16, 16)}, "images of 8 pixels are not divisible by 16"),
        ({"text_width": 24}, "text_width 24 must be a multiple of 16"),
        ({"captions": ("a photo",)}, "caption 'a photo' has no {}"),
        ({"words": ["one", "one", "two"]}, "several classes share the words 'one'"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path / "a", **changes)
