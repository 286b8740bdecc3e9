"""DM: its distance against a plain loop, its descent, its networks, its checkpoints, and what it does at the edges."""

import itertools

import pytest
import torch

import harness
from harness import build_student
from harness.core.errors import UserError
from harness.jobs.checkpoint import FolderCheckpoint
from methods import _pixels, dm
from methods._pixels import Mover, PixelScale
from methods.dm import DM, embedding_network, matching_distance


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(num, side=16, seed=0):
    return torch.randn(num, 3, side, side, generator=rng(seed))


class Killed(FolderCheckpoint):
    """The checkpoint of a run that is killed after a save."""

    def save(self, state):
        super().save(state)
        raise KeyboardInterrupt


def naive_distance(net, real, synthetic):
    """Class by class and image by image, as the paper writes it."""
    total = 0
    for r, s in zip(real, synthetic, strict=True):
        mean_r = sum(net.features(x[None])[0] for x in r) / len(r)
        mean_s = sum(net.features(x[None])[0] for x in s) / len(s)
        total = total + ((mean_r - mean_s) ** 2).sum()
    return total


def test_the_distance_and_its_gradient_are_those_of_a_plain_loop():
    """Classes of different sizes; tolerance: float32 sums in another order."""
    net = embedding_network("convnet2", 16, rng())
    real = [some_images(n, seed=n) for n in (5, 1, 3)]
    ours, theirs = ([some_images(2, seed=10 + k).requires_grad_() for k in range(3)] for _ in range(2))
    distance, expected = matching_distance(net, real, ours), naive_distance(net, real, theirs)
    torch.testing.assert_close(distance, expected, rtol=1e-5, atol=0)
    distance.backward()
    expected.backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_the_distance_of_equal_sets_is_zero_and_no_gradient_flows_to_real_images():
    net = embedding_network("convnet2", 16, rng())
    images = some_images(4)
    assert matching_distance(net, [images], [images.flip(0)]).item() == pytest.approx(0, abs=1e-9)
    real = some_images(2).requires_grad_()
    assert not matching_distance(net, [real], [images]).requires_grad


def test_real_images_are_embedded_in_pieces_with_the_same_result(monkeypatch):
    net, real, made = embedding_network("convnet2", 16, rng()), [some_images(9)], [some_images(2, seed=1)]
    whole = matching_distance(net, real, made)
    monkeypatch.setattr(_pixels, "_PIXELS_AT_ONCE", {"cpu": 2 * 16 * 16})
    torch.testing.assert_close(matching_distance(net, real, made), whole, rtol=1e-5, atol=0)


def test_bfloat16_is_near_float32_and_compares_in_float32(monkeypatch):
    """bfloat16 has 8 bits of mantissa: embeddings are off by half a percent, the distance by a few percent."""
    net, real, made = (
        embedding_network("convnet2", 16, rng()),
        [some_images(9)],
        [some_images(2, seed=1).requires_grad_()],
    )
    inside = []
    net.blocks[0].register_forward_hook(lambda module, given, out: inside.append(out.dtype))
    exact, rounded = (matching_distance(net, real, made, precision=p) for p in ("float32", "bfloat16"))
    assert inside[0] == torch.float32
    assert inside[-1] == torch.bfloat16
    assert rounded.dtype == torch.float32
    assert 0 < (rounded / exact - 1).abs() < 0.05
    (exact_gradient,), (gradient,) = (torch.autograd.grad(d, made) for d in (exact, rounded))
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), exact_gradient.flatten(), dim=0) > 0.99


def test_a_set_in_bfloat16_comes_as_close_as_one_in_float32(make_task):
    """Judged by networks in float32 that neither has seen; the two differ by less than what the steps gain."""
    task = make_task("synthesize", "dm")
    start, exact, rounded = (
        distance_to_real(
            task,
            DM(DM.Config(steps=steps, lr=lr, batch=32, augmentations=("crop", "scale", "rotate"), precision=precision))
            .synthesize(task, None, 2)
            .images,
        )
        for steps, lr, precision in ((1, 1e-9, "float32"), (15, 1.0, "float32"), (15, 1.0, "bfloat16"))
    )
    assert abs(rounded - exact) < 0.1 * (start - exact)


def distance_to_real(task, images, networks=3):
    """The matching distance of a set on fresh networks that no step has seen, unaugmented."""
    real = [task.real.images(c.id) for c in task.classes]
    scale = PixelScale(real)
    pairs = [scale.normalised(r) for r in real], [scale.normalised(images[c.id]) for c in task.classes]
    nets = [embedding_network("convnet2", 16, rng(1000 + k)) for k in range(networks)]
    return sum(matching_distance(net, *pairs).item() for net in nets) / networks


@pytest.mark.parametrize("start", ["real", "noise"])
def test_it_comes_closer_on_networks_that_it_has_not_seen(start, make_task):
    task = make_task("synthesize", "dm")
    augmentations = ("crop", "scale", "rotate")
    made = [
        DM(DM.Config(start=start, steps=steps, lr=lr, batch=32, augmentations=augmentations))
        .synthesize(task, None, 2)
        .check(task.classes, 2, 16)
        for steps, lr in ((1, 1e-9), (15, 1.0))
    ]
    before, after = (distance_to_real(task, m.images) for m in made)
    assert after < 0.7 * before


def test_the_start_is_different_real_images_of_the_class(make_task):
    task = make_task("synthesize", "dm")
    made = DM(DM.Config(steps=1, lr=1e-9)).synthesize(task, None, 4).check(task.classes, 4, 16)
    for c in task.classes:
        real = {image.numpy().tobytes() for image in task.real.images(c.id)}
        assert all(image.numpy().tobytes() in real for image in made.images[c.id])
    assert not made.duplicates()
    assert not made.notes


def test_images_that_start_more_than_once_are_told_apart(make_task):
    """Equal images would get equal gradients for ever."""
    task = make_task("synthesize", "dm")
    made = DM(DM.Config(steps=1, images_per_class=2, batch=8)).synthesize(task, None, 6).check(task.classes, 6, 16)
    assert not made.duplicates()


def test_how_many_classes_go_at_once_does_not_matter(make_task):
    """Tolerance: rounding of sums over another batch, amplified by three steps; well under a grey level here."""
    task = make_task("synthesize", "dm")
    sets = [
        DM(DM.Config(steps=3, batch=16, classes_at_once=at_once)).synthesize(task, None, 3).images
        for at_once in (1, 2, 3)
    ]
    for c in task.classes:
        for other in sets[1:]:
            torch.testing.assert_close(other[c.id], sets[0][c.id], rtol=0, atol=1e-3)


def test_a_killed_run_goes_on_from_its_checkpoint_with_equal_bits(make_task, tmp_path):
    config = DM.Config(steps=5, batch=8, checkpoint_every=4)
    whole = DM(config).synthesize(make_task("synthesize", "dm"), None, 2).images
    task = make_task("synthesize", "dm")
    task.checkpoint = Killed(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        DM(config).synthesize(task, None, 2)
    steps = []
    task.checkpoint, task.report = FolderCheckpoint(tmp_path), lambda stage, done, total, unit: steps.append(done)
    resumed = DM(config).synthesize(task, None, 2).images
    assert steps == [0, 5, 5], "the beginning, the one step that was missing, and the end"
    assert all(torch.equal(whole[c], resumed[c]) for c in whole)


def test_a_network_is_the_streams_own_and_torchs_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (embedding_network("convnet2", 16, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    image = some_images(1)
    assert torch.equal(one.features(image), again.features(image))
    assert not torch.equal(one.features(image), other.features(image))
    assert not any(p.requires_grad for p in one.parameters())


def test_each_step_has_a_network_of_its_own(make_task, monkeypatch):
    seen = []

    def build(*args):
        seen.append(build_student(*args))
        return seen[-1]

    monkeypatch.setattr("harness.students.build.build_student", build)
    DM(DM.Config(steps=3, batch=4)).synthesize(make_task("synthesize", "dm"), None, 1)
    firsts = {net.blocks[0].weight.detach().numpy().tobytes() for net in seen[1:]}
    assert len(firsts) == 3


def test_both_batches_of_a_class_are_augmented_alike(make_task, monkeypatch):
    """What is called on the real images is called on the synthetic ones; other classes draw their own."""
    called, numbers = [], itertools.count()

    def draw(operations, stream):
        number = next(numbers)

        def augment(images):
            called.append((number, images.requires_grad))
            return images

        return augment

    monkeypatch.setattr(harness, "draw_augmentation", draw)
    DM(DM.Config(steps=1, batch=4)).synthesize(make_task("synthesize", "dm"), None, 1)
    assert called == [(k, made) for k in range(3) for made in (False, True)]


def test_batch_norm_and_networks_that_do_not_fit_are_refused_before_images_are_read(make_task):
    task = make_task("synthesize", "dm")
    task.real = None
    with pytest.raises(UserError, match="convnet3_bn' has batch norm"):
        DM(DM.Config(network="convnet3_bn")).synthesize(task, None, 1)
    with pytest.raises(UserError, match="0x0 feature map"):
        DM(DM.Config(network="convnet5")).synthesize(task, None, 1)


def test_the_learning_rate_follows_the_ipc_unless_it_is_given(make_task, monkeypatch):
    rates = []
    monkeypatch.setattr(dm, "Mover", lambda pixels, lr, momentum: rates.append(lr) or Mover(pixels, lr, momentum))
    for lr, ipc in ((None, 50), (None, 51), (0.3, 51)):
        DM(DM.Config(steps=1, batch=1, lr=lr)).synthesize(make_task("synthesize", "dm"), None, ipc)
    assert rates == [1.0, 10.0, 0.3]
