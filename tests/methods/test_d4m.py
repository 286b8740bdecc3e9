"""D4M: prototypes as its authors' code finds them, images that follow them, and a killed synthesis that resumes."""

import json

import numpy as np
import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.config.generator import TextPriorTraining
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.task import Task
from harness.core.suites import load_suite
from harness.data.real import RealImages
from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
from harness.diffusion.text_conditional import class_words
from harness.diffusion.text_to_image import TextToImageGenerator
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.context import open_split
from harness.jobs.task_resources import load_generator
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from methods.d4m import cluster_centres, word
from tests.helpers.support import ROOT
from tests.helpers.tiny_models import stable_diffusion

FOLDER = ROOT / "tests" / "golden" / "methods"
GOLDEN = json.loads((FOLDER / "d4m.json").read_text())
ARRAYS = np.load(FOLDER / "d4m.npz")
TOLERANCE = GOLDEN["prototypes"]["tolerance"]["same_library_absolute"]
CASES = list(enumerate(GOLDEN["prototypes"]["cases"]))


def d4m(**options):
    cls = discovery.methods.get("d4m")
    quick = {"negative": "", "guidance": 1.5, "sampling_steps": 4, "sampler": "ddim"}
    return cls(cls.Config(**quick | options))


def of_class(number, case, name):
    """The golden latents of a class in order of arrival, and its centres or None."""
    place = list(case["images_per_class"]).index(name)
    latents = torch.from_numpy(ARRAYS[f"km{number}/latents"][ARRAYS[f"km{number}/labels"] == place])
    assert len(latents) == case["images_per_class"][name]
    centres = f"km{number}/centroids_{name}"
    return latents, torch.from_numpy(ARRAYS[centres]) if centres in ARRAYS else None


@pytest.mark.parametrize(("number", "case"), CASES, ids=[case["case"][:20] for _, case in CASES])
def test_the_prototypes_are_the_authors(number, case):
    """Their code uses the rest of a class's images for the class of the last image only."""
    for name in case["images_per_class"]:
        latents, expected = of_class(number, case, name)
        use_rest = name == case["class_of_the_last_image"]
        if expected is None:
            with pytest.raises(UserError, match="fill no chunk"):
                cluster_centres(latents, case["ipc"], case["chunk"], use_rest=use_rest)
            continue
        found = cluster_centres(latents, case["ipc"], case["chunk"], use_rest=use_rest)
        assert found.dtype == latents.dtype
        assert torch.allclose(found, expected, atol=TOLERANCE, rtol=0), name


@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5])
def test_each_chunk_moves_the_centres_as_in_the_golden_run(chunks):
    plain = GOLDEN["prototypes"]["plain_chunks"]
    latents = torch.from_numpy(ARRAYS["chunks/X"])[: chunks * plain["chunk"], :, None, None]
    found = cluster_centres(latents, plain["clusters"], plain["chunk"])
    assert np.allclose(found[:, :, 0, 0], ARRAYS[f"chunks/centroids_after_{chunks}"], atol=TOLERANCE, rtol=0)


class GivenLatents:
    """Stands for a generator whose latents, in the order of arrival, are given."""

    def __init__(self, latents):
        self.latents = latents

    def latent_cache(self, images, labels, *, flips, report):
        assert not flips
        self.labels = labels
        return self

    def draw(self, rows, rng):
        assert sorted(rows.tolist()) == list(range(len(self.labels)))
        assert rows.tolist() != sorted(rows.tolist()), "images arrive in a random order"
        return self.latents


def test_a_class_is_clustered_chunk_by_chunk_with_its_rest(make_task):
    """Of 30 dogs their code loses the last 6; a class that fills no chunk stops it."""
    task, (cat, *_) = make_task("synthesize", "d4m"), make_task("synthesize", "d4m").classes
    for number, name, same in ((1, "cat", True), (1, "dog", False), (2, "cat", True), (2, "dog", None)):
        case = CASES[number][1]
        latents, expected = of_class(number, case, name)
        found = d4m(km_expand=case["km_expand"]).prototypes(task, GivenLatents(latents), cat, case["ipc"])
        assert found.shape == (case["ipc"], 4, 2, 2)
        if same is not None:
            assert torch.allclose(found, expected, atol=TOLERANCE, rtol=0) == same


def test_a_class_of_few_images_starts_from_each_of_them_in_turn():
    latents = torch.randn(3, 4, 2, 2)
    assert torch.equal(cluster_centres(latents, 5, 5), latents[[0, 1, 2, 0, 1]])
    assert torch.equal(cluster_centres(latents, 3, 30), latents)
    with pytest.raises(UserError, match="no real images"):
        cluster_centres(latents[:0], 2, 2)


class Sampler:
    """Stands for a generator: keeps what a draw is asked for."""

    notes = ()

    def __init__(self, real, draws=False):
        self.real, self.draws, self.calls = real, draws, []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def sample(self, prompts, seeds, **options):
        self.calls.append({"prompts": prompts, "seeds": seeds, **options})
        if self.draws:
            return self.real.sample(prompts, seeds, **options)
        return torch.zeros(len(prompts), 3, 16, 16, dtype=torch.uint8)


def asked(task, ipc, **options):
    sampler = Sampler(task.generator("text_to_image"))
    task.generator = lambda kind: sampler
    cls = discovery.methods.get("d4m")
    cls(cls.Config(**options)).synthesize(task, None, ipc)
    return sampler.calls


def test_images_are_drawn_with_the_published_settings(make_task):
    task = make_task("synthesize", "d4m")
    (call,) = asked(task, 2)

    assert call["prompts"] == ["zero", "zero", "one", "one", "two", "two"]
    published = GOLDEN["defaults"]
    assert call["strength"] == published["strength_script"]
    assert call["guidance"] == published["guidance_scale"]
    assert call["steps"] == published["steps"]
    assert call["negative"] == published["negative_prompt"]
    assert call["sampler"] == "pndm"
    assert len(set(call["seeds"])) == 6
    assert discovery.methods.get("d4m").Config().km_expand == published["km_expand_script"]
    starts = [d4m().prototypes(task, task.generator("text_to_image"), c, 2) for c in task.classes]
    assert torch.equal(call["start"], torch.cat(starts))


def test_the_prompt_may_say_more_and_needs_a_place_for_the_word(make_task):
    (call,) = asked(make_task("synthesize", "d4m"), 1, prompt="a photo of a {}")
    assert call["prompts"] == ["a photo of a zero", "a photo of a one", "a photo of a two"]
    with pytest.raises(ValueError, match="the place of the class"):
        d4m(prompt="a photo")
    with pytest.raises(ValueError, match="leaves no step"):
        d4m(strength=0.2)


def test_a_class_known_by_its_wordnet_id_only_is_refused(make_task):
    generator = make_task("synthesize", "d4m").generator("text_to_image")
    with pytest.raises(UserError, match=r"class 'n02096294' by 'n02096294' only\. Give .*class_words"):
        word(generator, ClassInfo("n02096294", 0, "n02096294"))
    assert word(generator, ClassInfo("n02096294", 0, "terrier")) == "terrier"


def test_the_work_counts_both_halves_and_the_extra_call_of_pndm():
    cls = discovery.methods.get("d4m")
    assert cls().work(1000, 100) == {"synthesize": ("text_to_image", 0, 100 * 36 * 2)}
    assert cls(cls.Config(sampler="ddim", guidance=1)).work(1000, 100) == {"synthesize": ("text_to_image", 0, 3500)}


def test_a_class_gets_the_same_images_whatever_is_drawn_beside_it(make_task):
    """But for the rounding of another batch size."""
    together = d4m().synthesize(make_task("synthesize", "d4m"), None, 2).images
    apart = d4m(sampling_batch=1).synthesize(make_task("synthesize", "d4m"), None, 2).images
    assert together.keys() == apart.keys()
    assert all((together[c].int() - apart[c].int()).abs().max() <= 3 for c in together)
    assert all((images[0].int() - images[1].int()).abs().max() > 10 for images in together.values())


def test_a_synthesis_that_was_killed_resumes_to_the_same_images(make_task, tmp_path):
    method = d4m(sampling_batch=2, checkpoint_every=2)
    whole = method.synthesize(make_task("synthesize", "d4m"), None, 2).images

    def killed(stage, done, total, unit):
        if (stage, done) == ("distilling", 2):
            raise KeyboardInterrupt

    broken = make_task("synthesize", "d4m")
    broken.checkpoint, broken.report = FolderCheckpoint(tmp_path), killed
    with pytest.raises(KeyboardInterrupt):
        method.synthesize(broken, None, 2)
    again = make_task("synthesize", "d4m")
    again.checkpoint = FolderCheckpoint(tmp_path)
    encoded = []
    again.report = lambda stage, done, total, unit: encoded.append(stage) if stage == "encode" else None
    resumed = method.synthesize(again, None, 2).images

    assert broken.checkpoint.load().keys() == {"0", "1"}
    assert set(encoded) == {"encode"}
    assert len(encoded) < 3 * 3, "the first two classes are not encoded again"
    assert all(torch.equal(whole[c], resumed[c]) for c in whole)


def task_of(classes, real, generator, side):
    """A task of the synthesis of these classes, with that generator."""

    class Services:
        def generator(self, kind):
            return generator

    return Task(classes, real, side, torch.device("cpu"), 0, ("synthesize", "d4m", classes[0].id), Services())


def test_stable_diffusions_format_is_drawn_from_by_imagewoofs_words(tmp_path):
    """The published settings, but few steps, on photographs smaller than the generator's images."""
    file = load_suite("imagewoof")
    classes = tuple(ClassInfo(name, label, name) for label, name in enumerate(file.class_list.read_text().split()))
    spec = file.suite.generators["text_to_image"]
    with torch.random.fork_rng():
        stable_diffusion(tmp_path)
    generator = TextToImageGenerator.load(tmp_path, class_words=class_words(spec, classes), device="cpu")

    class Photographs:
        def images(self, class_id):
            rng = torch.Generator().manual_seed(int(class_id[1:]))
            return torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=rng)

    sampler, cls = Sampler(generator, draws=True), discovery.methods.get("d4m")
    task = task_of(classes[:3], Photographs(), sampler, 32)
    distilled = cls(cls.Config(sampling_steps=6)).synthesize(task, None, 2).check(task.classes, 2, 32)

    (call,) = sampler.calls
    assert call["prompts"][::2] == list(spec.class_words[:3])
    assert call["start"].shape == (6, *generator.latent_shape)
    assert generator.image_size == 64
    assert len({image.numpy().tobytes() for images in distilled.images.values() for image in images}) == 6


@pytest.mark.drill  # it trains a generator
def test_on_digits_images_follow_their_prototypes_the_nearer_the_lower_the_strength(tmp_path):
    """Chance: one image in ten is nearest to its own prototype. The generator is trained for a few seconds."""
    resolved = resolve(make_request(suite="digits", methods="d4m"))
    context, spec = resolved.context, resolved.context.generators["text_to_image"]
    split = open_split(context, "train")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    quiet = {"report": lambda *_: None, "log": lambda *_, **__: None}
    short = spec.model_copy(update={"train": TextPriorTraining(vae_steps=150, unet_steps=60)})
    inputs = (*split.tensors(size=16, crop="adm"), short, context.classes, tmp_path / "pipeline", "cpu")
    generator_kinds.get("text_to_image").train(PriorInputs(*inputs, **quiet))
    generator = load_generator(context, "text_to_image", tmp_path)
    task = task_of(context.classes, RealImages(split, size=16, device="cpu"), generator, 16)
    cls, options = discovery.methods.get("d4m"), resolved.suite.method_overrides["d4m"]

    found = {}
    for strength in (0.3, options["strength"], 0.8):
        method, own, distance = cls(cls.Config(**options | {"strength": strength})), [], []
        images = method.synthesize(task, None, 10).images
        for c in context.classes:
            latents = generator.encode_moments(images[c.id])[0].flatten(1)
            to_all = torch.cdist(latents, method.prototypes(task, generator, c, 10).flatten(1))
            own.append((to_all.argmin(dim=1) == torch.arange(10)).float().mean())
            distance.append(to_all.diag().mean())
        found[strength] = (torch.stack(own).mean().item(), torch.stack(distance).mean().item())
    torch.set_num_threads(threads)
    print({strength: f"own {own:.2f}, distance {far:.2f}" for strength, (own, far) in found.items()})
    (near, near_far), (mid, mid_far), (_, far_far) = found.values()
    assert near >= 0.4
    assert mid >= 0.2
    assert near_far < 0.8 * mid_far < 0.8 * 0.9 * far_far
