"""The latent cache is encoding at every step, only earlier.

Tolerance 1e-5: the encoder's convolutions round differently in another batch size.
"""

import errno
import os

import pytest
import torch

from harness.core.errors import UserError
from harness.diffusion.latents import LatentCache
from tests.diffusion.conftest import tiny_images


def encode_anew(generator, images, indices, rng, *, flips):
    """What a training step would do without a cache, with the same draws."""
    batch = images[indices]
    if flips:
        mirrored = torch.randint(0, 2, (len(indices),), generator=rng).bool()
        batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
    mean, std = generator.encode_moments(batch)
    return mean + std * torch.randn(mean.shape, generator=rng)


def test_cached_latents_equal_encoding_at_every_step(generator):
    images, labels = tiny_images()
    for flips in (True, False):
        cache = generator.latent_cache(images, labels, flips=flips, batch_size=5)
        rng, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
        for indices in (torch.tensor([0, 5, 11, 5]), torch.tensor([2, 1])):
            expected = encode_anew(generator, images, indices, other, flips=flips)
            torch.testing.assert_close(cache.draw(indices, rng), expected, atol=1e-5, rtol=1e-5)


def test_flips_are_drawn_about_half_of_the_time_and_never_where_forbidden(generator):
    def encode(images):
        return images.float().mean((1,))[:, None], torch.zeros(len(images), 1, 8, 8)

    images, labels = tiny_images()
    indices, rng = torch.zeros(400, dtype=torch.long), torch.Generator().manual_seed(0)
    plain = images[0].float().mean(0)

    for flips, low, high in ((True, 160, 240), (False, 0, 0)):
        drawn = LatentCache.encode(encode, images, labels, flips=flips).draw(indices, rng)
        mirrored = (drawn[:, 0] - plain).abs().amax((1, 2)) > 0
        assert low <= mirrored.sum() <= high


def test_a_memory_mapped_cache_is_the_same(generator, tmp_path):
    images, labels = tiny_images()
    memory = generator.latent_cache(images, labels, flips=True)
    mapped = generator.latent_cache(images, labels, flips=True, file=tmp_path / "deep" / "moments.npy")

    assert (tmp_path / "deep" / "moments.npy").stat().st_size > memory.moments.numel() * 4
    assert torch.equal(mapped.moments, memory.moments)


def test_progress_counts_images(generator):
    told = []
    images, labels = tiny_images()
    generator.latent_cache(images, labels, flips=False, batch_size=5, report=lambda *entry: told.append(entry))

    assert told == [("encode", 5, 12, "image"), ("encode", 10, 12, "image"), ("encode", 12, 12, "image")]


def test_a_file_that_is_whole_is_not_encoded_again(generator, tmp_path):
    """A killed fit resumes with it; a killed encoding leaves none."""
    images, labels = tiny_images()
    file = tmp_path / "moments.npy"

    def killed(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LatentCache.encode(_then(generator.encode_moments, killed), images, labels, flips=True, batch_size=5, file=file)
    assert not file.exists()

    first = generator.latent_cache(images, labels, flips=True, file=file)
    again = LatentCache.encode(killed, images, labels, flips=True, file=file)
    assert torch.equal(first.moments, again.moments)
    rows = torch.tensor([3, 0, 11])
    drawn = [cache.draw(rows, torch.Generator().manual_seed(0)) for cache in (first, again)]
    assert torch.equal(*drawn)


def _then(first, second):
    """Call `first` once, then `second`."""
    calls = iter([first])
    return lambda batch: next(calls, second)(batch)


def test_a_disk_without_room_is_told_and_nothing_is_left(generator, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    images, labels = tiny_images()
    with pytest.raises(UserError, match=r"not enough disk space for 0\.0 GB of latents \(No space left on device\)"):
        generator.latent_cache(images, labels, flips=True, file=tmp_path / "moments.npy")
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_cannot_reserve_is_used_all_the_same(generator, tmp_path, monkeypatch):
    def unable(*args):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unable)
    images, labels = tiny_images()
    generator.latent_cache(images, labels, flips=False, file=tmp_path / "moments.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["moments.npy"]
