"""Batched augmentation against torchvision's per-image functions and golden/protocol.json."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import hflip
from torchvision.transforms.functional import resized_crop as torchvision_resized_crop

from harness.core.config.protocol import Protocol
from harness.training import augment as module
from harness.training.augment import GREY, Augmenter, Draws, colour_matrix, crop_boxes, draw, resized_crop

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "protocol.json").read_text(encoding="utf-8"))
CPU = torch.device("cpu")
PLAIN = Protocol(crop_scale=None, flip=False, color_jitter=0, pca_lighting=0)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(num, side, seed=0):
    return torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=rng(seed))


def no_draws(num, side, **changes):
    """Draws that do nothing, with changes."""
    nothing = {
        "box": torch.tensor([[0, 0, side, side]]).repeat(num, 1),
        "flip": torch.zeros(num, dtype=torch.bool),
        "jitter": torch.zeros(num, 3),
        "lighting": torch.zeros(num, 3),
        "patches": torch.zeros(num, 2, 1, dtype=torch.int64),
    }
    return Draws(**{**nothing, **changes})


def unnormalised(protocol=PLAIN):
    """The same protocol, whose normalisation leaves [0, 1] as it is."""
    return protocol.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})


@pytest.mark.parametrize("side", [16, 33, 64, 96])
def test_crops_are_resized_as_torchvision_resizes_what_it_cut_out(side):
    """Both paths: batched up to 64 pixels, one by one above; the border of the crop counts, not the image around it."""
    images = some_images(12, side)
    draws = draw(Protocol(crop_scale=(0.1, 1.0)), 12, side, rng(1))
    found = resized_crop(images, draws.box, draws.flip)
    for image, box, flip, ours in zip(images, draws.box.tolist(), draws.flip, found, strict=True):
        expected = torchvision_resized_crop(image.float(), *box, [side, side], antialias=False)
        torch.testing.assert_close(ours, hflip(expected) if flip else expected, rtol=0, atol=2e-3)


def test_both_resizing_paths_give_the_same_images(monkeypatch):
    images, draws = some_images(8, 40), draw(Protocol(), 8, 40, rng(2))
    batched = resized_crop(images, draws.box, draws.flip)
    monkeypatch.setattr(module, "_BATCHED_UP_TO", 0)
    torch.testing.assert_close(resized_crop(images, draws.box, draws.flip), batched, rtol=0, atol=1e-3)


def test_boxes_are_distributed_as_those_of_torchvision():
    """Means of area, log ratio and position over 4,000 draws each; bounds of five standard errors of a difference."""
    num, side, scale, ratio = 4000, 64, (0.3, 1.0), (0.5, 2.0)
    ours = crop_boxes(torch.rand(num, 20, generator=rng()), torch.rand(num, 2, generator=rng(1)), side, scale, ratio)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.zeros(3, side, side)
        theirs = torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(num)])

    def statistics(boxes):
        top, left, height, width = boxes.double().unbind(1)
        return torch.stack([height * width, (width / height).log(), height, width, top, left, (width == side).double()])

    a, b = statistics(ours), statistics(theirs)
    error = ((a.var(1) + b.var(1)) / num).sqrt()
    assert ((a.mean(1) - b.mean(1)).abs() <= 5 * error).all()
    torch.testing.assert_close(a.std(1), b.std(1), rtol=0.06, atol=0.01)


@pytest.mark.parametrize(("ratio", "box"), [((3.0, 4.0), [21, 0, 21, 64]), ((0.2, 0.25), [0, 24, 64, 16])])
def test_where_no_try_fits_the_largest_central_crop_is_taken(ratio, box):
    found = crop_boxes(torch.rand(5, 20, generator=rng()), torch.rand(5, 2, generator=rng()), 64, (1.0, 1.0), ratio)
    assert found.tolist() == [box] * 5


def test_boxes_stay_inside_the_image():
    draws = draw(Protocol(crop_scale=(0.01, 1.0), crop_ratio=(0.2, 5.0)), 5000, 16, rng())
    top, left, height, width = draws.box.unbind(1)
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) >= 1
    assert max((top + height).max(), (left + width).max()) == 16


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_colour_operations_are_those_of_the_reference(operation):
    examples = GOLDEN["numeric_examples"]["colour"]
    image = torch.tensor(examples["image"])
    protocol = unnormalised(PLAIN.model_copy(update={"color_jitter": 0.4}))
    for example in examples[operation]:
        jitter = torch.zeros(1, 3)
        jitter[0, ["brightness", "contrast", "saturation"].index(operation)] = example["alpha"]
        found = Augmenter(protocol, CPU)(255 * image[None], no_draws(1, 3, jitter=jitter))
        torch.testing.assert_close(found[0], torch.tensor(example["output"]), rtol=0, atol=1e-6)


def one_after_another(image, alphas, order):
    """The reference's formula, x + alpha (ref - x), in the given order."""
    grey = torch.tensor(GREY, dtype=image.dtype).view(3, 1, 1)
    for i in order:
        own = (image * grey).sum(0, keepdim=True)
        reference = (torch.zeros_like(own), own.mean().expand_as(own), own)[i]
        image = image + alphas[i] * (reference - image)
    return image


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_the_colour_operations_makes_no_difference(order):
    """Why no order is drawn: nothing is clamped, and the fused form equals every order."""
    image = torch.rand(3, 5, 7, dtype=torch.float64, generator=rng())
    alphas = torch.tensor([0.31, -0.38, 0.22], dtype=torch.float64)
    grey = torch.tensor(GREY, dtype=torch.float64)
    matrix, offset = colour_matrix(alphas[None], (image.flatten(1).mean(1) @ grey)[None], grey)
    fused = (matrix[0] @ image.flatten(1) + offset[0][:, None]).view_as(image)
    torch.testing.assert_close(fused, one_after_another(image, alphas, order), rtol=0, atol=1e-12)


def test_a_batch_gets_jitter_lighting_and_normalisation_as_the_reference_does_one_by_one():
    protocol = Protocol(flip=False, crop_scale=None)
    images, draws = some_images(4, 8), draw(protocol, 4, 8, rng(5))
    found = Augmenter(protocol, CPU)(images, draws)
    vectors = torch.tensor(
        next(t for t in GOLDEN["protocol"]["train_transform"] if t["op"] == "pca_lighting")["eigvec"]
    )
    values = torch.tensor([0.2175, 0.0188, 0.0045])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (protocol.mean, protocol.std))
    for image, jitter, alpha, ours in zip(images, draws.jitter, draws.lighting, found, strict=True):
        expected = one_after_another(image / 255, jitter, (0, 1, 2)) + (vectors @ (alpha * values)).view(3, 1, 1)
        torch.testing.assert_close(ours, (expected - mean) / std, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", GOLDEN["numeric_examples"]["colour"]["lighting"])
def test_lighting_shifts_are_those_of_the_reference(case):
    protocol = unnormalised(PLAIN.model_copy(update={"pca_lighting": 0.1}))
    black = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    found = Augmenter(protocol, CPU)(black, no_draws(1, 4, lighting=torch.tensor([case["alpha"]])))
    torch.testing.assert_close(found[0, :, 2, 1], torch.tensor(case["rgb_shift"]), rtol=1e-4, atol=1e-8)


def test_plain_only_normalises():
    images = some_images(6, 16)
    found = Augmenter(PLAIN, CPU)(images, draw(PLAIN, 6, 16, rng()))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PLAIN.mean, PLAIN.std))
    torch.testing.assert_close(found, (images / 255 - mean) / std, rtol=1e-5, atol=1e-5)
    assert torch.equal(found, Augmenter(PLAIN, CPU)(images, draw(PLAIN, 6, 16, rng(99))))


@pytest.mark.parametrize("protocol", [PLAIN, Protocol()], ids=["plain", "idc"])
@pytest.mark.parametrize("side", [16, 72])
def test_the_images_given_are_not_changed(protocol, side):
    images = some_images(4, side)
    before = images.clone()
    Augmenter(protocol, CPU)(images, draw(protocol, 4, side, rng()))
    assert torch.equal(images, before)


def test_equal_generators_give_equal_images_and_others_do_not():
    images, augment = some_images(4, 16), Augmenter(Protocol(), CPU)
    first, second, other = (augment(images, draw(Protocol(), 4, 16, rng(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def test_drawing_in_two_halves_draws_the_same():
    """Whatever the batch size, image i of an epoch gets the same draws."""
    stream = rng()
    halves = [draw(Protocol(), 5, 16, stream), draw(Protocol(), 8, 16, stream)]
    whole = draw(Protocol(), 13, 16, rng())
    for name in ("box", "flip", "jitter", "lighting"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))


@pytest.mark.parametrize("side", [16, 72])
def test_an_image_is_augmented_the_same_in_every_batch(side):
    images, draws, augment = some_images(7, side), draw(Protocol(), 7, side, rng()), Augmenter(Protocol(), CPU)
    whole = augment(images, draws)
    parts = torch.cat([augment(images[s], draws[s]) for s in (slice(0, 3), slice(3, 7))])
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_flip_alone_mirrors_half_of_the_images():
    protocol = unnormalised(PLAIN.model_copy(update={"flip": True}))
    images = some_images(400, 8)
    draws = draw(protocol, 400, 8, rng())
    found = Augmenter(protocol, CPU)(images, draws)
    expected = torch.where(draws.flip.view(-1, 1, 1, 1), images.flip(-1), images) / 255
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert draws.flip.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(400))


def test_jitter_and_lighting_strengths_are_uniform_and_normal():
    draws = draw(Protocol(), 5000, 16, rng())
    assert draws.jitter.abs().max() <= 0.4
    assert draws.jitter.std().item() == pytest.approx(0.4 / math.sqrt(3), rel=0.03)
    assert draws.jitter.mean().item() == pytest.approx(0, abs=0.01)
    assert draws.lighting.std().item() == pytest.approx(0.1, rel=0.03)
    assert (draws.lighting.abs() > 0.196).double().mean().item() == pytest.approx(0.05, abs=0.008)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("side", [16, 96])
def test_a_gpu_augments_as_the_cpu_does(side):
    images, draws, gpu = some_images(8, side), draw(Protocol(), 8, side, rng()), torch.device("cuda")
    found = Augmenter(Protocol(), gpu)(images.to(gpu), draws.to(gpu))
    torch.testing.assert_close(found.cpu(), Augmenter(Protocol(), CPU)(images, draws), rtol=1e-4, atol=1e-3)
