"""A prior trained from scratch is an ordinary DiTPipeline folder, the same for the same seed."""

import pytest
import torch
from diffusers import DiTPipeline

from harness.core.errors import UserError
from harness.diffusion.checkpoints import load_dit, to_diffusers
from harness.diffusion.prior import train_class_conditional
from tests.diffusion.conftest import NAMES, TINY, tiny_images


def train(out, **changes):
    images, labels = tiny_images()
    spec = TINY.model_copy(update=changes)
    return train_class_conditional(images, labels, spec=spec, class_names=NAMES, out_folder=out, device="cpu")


def test_diffusers_opens_and_runs_the_folder(folder):
    """With guidance too: its pipeline writes null label 1000 into it, so the class table has 1001 rows."""
    pipeline = DiTPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)

    images = pipeline([0, 2], guidance_scale=2.0, num_inference_steps=3, output_type="np").images

    assert images.shape == (2, 8, 8, 3)
    assert pipeline.labels == {"zero": 0, "one": 1, "two": 2}


def test_our_loader_reads_back_what_diffusers_reads(folder):
    ours = load_dit(folder / "transformer")
    theirs = DiTPipeline.from_pretrained(folder, local_files_only=True).transformer.state_dict()

    converted = to_diffusers(ours.state_dict(), TINY.depth)
    assert converted.keys() == theirs.keys()
    assert all(torch.equal(converted[name], theirs[name]) for name in theirs)


def test_equal_seeds_give_equal_files_and_the_global_random_state_stays(tmp_path):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = train(tmp_path / "a")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert train(tmp_path / "b") == first
    assert train(tmp_path / "c", seed=1) != first

    for part in ("transformer", "vae"):
        name = f"{part}/diffusion_pytorch_model.safetensors"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_latents_of_the_training_images_have_unit_std(generator):
    images, labels = tiny_images()
    cache = generator.latent_cache(images, labels, flips=False)
    mean, std = cache.moments[:, 0]

    assert (mean.var() + std.square().mean()).sqrt().item() == pytest.approx(1.0, abs=1e-3)


def test_progress_and_losses_are_told(tmp_path):
    told, logged = [], []
    images, labels = tiny_images()
    metrics = train_class_conditional(
        images,
        labels,
        spec=TINY,
        class_names=NAMES,
        out_folder=tmp_path / "a",
        device=torch.device("cpu"),
        report=lambda *entry: told.append(entry),
        log=lambda step, **values: logged.append((step, set(values))),
    )

    assert ("vae", 3, 3, "step") in told
    assert ("dit", 3, 3, "step") in told
    assert logged == [(3, {"vae_mse"}), (3, {"dit_loss"})]
    assert metrics.keys() == {"vae_mse", "scaling_factor", "dit_loss"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 8}, "images of 8 pixels are not divisible by 16"),
        ({"hidden_size": 18}, "hidden_size 18 must be a multiple of 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_training(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path / "a", **changes)
