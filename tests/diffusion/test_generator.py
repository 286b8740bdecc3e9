"""A generator read from disk: sampling by class, labels, places, and applying what fine-tuning found."""

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.diffusion.difffit import has_scales
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.vae import Autoencoder
from tests.diffusion.conftest import NAMES, tiny_images

ONE = ClassInfo("one", 1, "one")
SETTINGS = {"mode": "difffit", "lr": 0.05, "weight_decay": 0.0, "ema_decay": 0.5}


def draw(generator, n, *, seed=0, **options):
    options = {"steps": 5, "guidance": 2.0} | options
    return generator.sample(ONE, n, rng=torch.Generator().manual_seed(seed), **options)


def trained_state(generator, *, seed=0, **settings):
    """EMA values after two steps."""
    tuner, rng = generator.finetune(**SETTINGS | settings), torch.Generator().manual_seed(seed)
    for _ in range(2):
        tuner.step(
            tuner.loss(torch.randn(4, *generator.latent_shape, generator=rng), torch.arange(4) % 3, rng)[0].mean()
        )
    return tuner.state()


def test_images_are_uint8_of_the_generators_size(generator):
    images = draw(generator, 3)

    assert generator.image_size == 8
    assert generator.latent_shape == (4, 4, 4)
    assert images.dtype == torch.uint8
    assert images.shape == (3, 3, 8, 8)


def test_the_first_images_of_a_larger_set_are_the_smaller_set(generator):
    """At most one grey level apart: rounding differs with the batch size."""
    many, few = draw(generator, 7, batch_size=4), draw(generator, 3)

    assert (many[:3].int() - few.int()).abs().max() <= 1
    assert (many[0].int() - many[1].int()).abs().max() > 1


def test_images_depend_on_the_random_stream(generator):
    assert torch.equal(draw(generator, 2), draw(generator, 2))
    assert not torch.equal(draw(generator, 2), draw(generator, 2, seed=1))


def test_decoding_inverts_the_units_of_encoding(generator):
    """Scaled moments, decoded, are what the VAE alone reconstructs."""
    images, _ = tiny_images()
    mean, _ = generator.encode_moments(images)
    with torch.no_grad():
        vae = generator.decoder.vae
        pixels = vae.decode(vae.encode(images.float() / 127.5 - 1).latent_dist.mean).sample

    expected = ((pixels + 1) * 127.5).round().clamp(0, 255)
    assert (generator.decode(mean, batch_size=5).float() - expected).abs().max() <= 1


def test_an_unknown_class_is_refused_with_the_closest(generator):
    assert generator.label_of("two") == 2
    with pytest.raises(UserError, match=r"no label for class 'onne'\. Did you mean 'one'"):
        generator.label_of("onne")


def test_images_of_another_size_are_not_encoded(generator):
    with pytest.raises(UserError, match="images of 16 pixels for a generator of 8"):
        generator.latent_cache(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.zeros(1), flips=False)


def test_labels_outside_the_table_are_refused(generator):
    with pytest.raises(UserError, match=r"outside the generator's 0\.\.999"):
        ClassConditionalGenerator(generator.model, generator.encoder, generator.decoder, {"x": 1000})


def test_a_vae_of_other_channels_is_refused(generator):
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        other = Autoencoder(AutoencoderKL(block_out_channels=(8,), norm_num_groups=8, latent_channels=3))
    with pytest.raises(UserError, match="the decoder VAE has 3 latent channels, the DiT 4"):
        ClassConditionalGenerator(generator.model, generator.encoder, other, {})


def test_encoder_and_decoder_may_come_from_other_folders(folder):
    labels = {name: i for i, name in enumerate(NAMES)}
    loaded = ClassConditionalGenerator.load(
        folder / "transformer", class_labels=labels, encoder=folder / "vae", decoder=folder, device="cpu"
    )

    assert loaded.encoder is not loaded.decoder
    assert draw(loaded, 1).shape == (1, 3, 8, 8)


def test_an_original_checkpoint_takes_its_vae_from_elsewhere(generator, folder, tmp_path):
    torch.save(generator.model.state_dict(), tmp_path / "dit.pt")
    with pytest.raises(UserError, match="width 16"):
        ClassConditionalGenerator.load(
            tmp_path / "dit.pt", class_labels={}, encoder=folder, decoder=folder, device="cpu"
        )


@pytest.mark.parametrize("place", ["no/such/folder", "./nowhere"])
def test_a_place_that_does_not_exist_is_refused_without_asking_the_network(place):
    with pytest.raises(UserError, match="no such file or folder"):
        ClassConditionalGenerator.load(place, class_labels={}, device="cpu")


def test_a_folder_without_a_vae_is_refused(folder):
    with pytest.raises(UserError, match="expected an AutoencoderKL"):
        ClassConditionalGenerator.load(folder / "transformer", class_labels={}, device="cpu")


def test_a_local_folder_never_touches_the_network(folder, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a network connection was attempted")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    ClassConditionalGenerator.load(folder, class_labels={}, device="cpu")


def test_fine_tuned_weights_sample_as_the_network_with_its_scales(generator):
    """Folding and the copy of the EMA are exact but for rounding."""
    state = trained_state(generator)
    tuned = dict(generator.model.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            tuned[name].copy_(value)
    scaled = draw(generator, 3)

    generator.apply_finetuned(state)

    assert not has_scales(generator.model)
    assert not any(p.requires_grad for p in generator.model.parameters())
    assert (draw(generator, 3).int() - scaled.int()).abs().max() <= 1


@pytest.mark.parametrize("mode", ["difffit", "bias", "full"])
def test_every_application_starts_from_the_pretrained_weights(generator, mode):
    """Class groups of many-class suites are applied one after the other."""
    before = {n: p.clone() for n, p in generator.model.named_parameters()}
    first, second = (trained_state(generator, mode=mode, seed=seed) for seed in (0, 1))

    generator.apply_finetuned(first)
    once = draw(generator, 2)
    generator.apply_finetuned(second)
    assert not torch.equal(draw(generator, 2), once)
    generator.apply_finetuned(first)
    assert torch.equal(draw(generator, 2), once)

    generator.apply_finetuned({})
    assert all(torch.equal(p, before[n]) for n, p in generator.model.named_parameters())


def test_a_state_of_another_network_is_refused(generator):
    with pytest.raises(ValueError, match=r"'final_layer.linear.bias' has shape \[3\]; the network's is \[32\]"):
        generator.apply_finetuned({"final_layer.linear.bias": torch.zeros(3)})
