"""D3M: learned tokens are all that is kept; a killed fit resumes; Stable Diffusion's own format runs from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open

import harness
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.task import Task
from harness.data.real import RealImages
from harness.jobs.checkpoint import FolderCheckpoint
from harness.jobs.context import open_split
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.support import ROOT
from tests.helpers.tiny_models import stable_diffusion

CLASSES = [line.split()[0] for line in (ROOT / "datasets" / "classes" / "imagewoof.txt").read_text().splitlines()]


def about(file):
    """What an opened token file says of its images."""
    return json.loads(file.metadata()["about"])


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A data folder with an ImageNet-like tree of ImageWoof's classes and a Stable Diffusion folder in weights/."""
    root = tmp_path_factory.mktemp("data")
    rng = torch.Generator().manual_seed(0)
    for split, count in (("train", 3), ("val", 1)):
        for name in CLASSES:
            place = root / "imagenet1k" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(0, 256, (40, 50, 3), generator=rng, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(place / f"{name}_{number}.JPEG")
    with torch.random.fork_rng():
        stable_diffusion(root / "weights" / "sd")
    return root


@pytest.fixture(scope="module")
def woof(tmp_path_factory):
    """The ImageWoof suite at 32 pixels, with one small student."""
    values = yaml.safe_load((ROOT / "datasets" / "imagewoof.yaml").read_text())
    values |= {"image_size": 32, "student_image_size": 32, "students": ["convnet3"], "resources": {}}
    values |= {
        "budget": {"ipc": [1, 2], "training_seeds": [0]},
        "classes": str(ROOT / "datasets/classes/imagewoof.txt"),
    }
    values["protocol_overrides"] = {"idc": {"epochs": {"up_to": [], "above": 2}, "num_evaluations": 1}}
    values["generators"] = {"text_to_image": values["generators"]["text_to_image"] | {"weights": "sd"}}
    path = tmp_path_factory.mktemp("suite") / "woof.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def woof_run(woof, imagenet, tmp_path_factory):
    settings = {"steps": 2, "sampling_steps": 2, "group_size": 4, "tokens_per_class": 2, "draws": 3}
    return harness.run(
        methods="d3m",
        suite=woof,
        data_root=imagenet,
        executor="local",
        store=tmp_path_factory.mktemp("store"),
        settings={f"d3m.{name}": value for name, value in settings.items()},
        device="cpu",
    )


def test_stable_diffusions_format_runs_from_images_to_students(woof_run, imagenet):
    rows = harness.load_results(woof_run)

    assert set(rows["status"]) == {"done"}, set(rows["error"])
    weights = sum(p.stat().st_size for p in (imagenet / "weights" / "sd").rglob("*.safetensors"))
    assert rows["shared_bytes"].unique().tolist() == pytest.approx([weights], rel=0.15), "files have headers"
    assert set(rows["draws"]) == {3}


def test_only_tokens_seeds_and_prompts_are_kept_whatever_the_ipc(woof_run):
    rows = harness.load_results(woof_run)
    folder = Path(rows["image_folder"].iloc[0])
    files = sorted((folder / "stored").iterdir())

    assert [f.name for f in files] == [f"{name}.safetensors" for name in sorted(CLASSES)]
    assert rows["storage_bytes"].unique().tolist() == [sum(f.stat().st_size for f in files)]
    assert len(list((folder / CLASSES[0]).glob("*.png"))) == 6, "the pool: 3 x IPC 2"
    with safe_open(files[0], "pt") as file:
        assert list(file.keys()) == [f"<d3m-{files[0].stem}>"]
        assert file.get_tensor(f"<d3m-{files[0].stem}>").shape == (2, 16)
        assert about(file)["prompts"] == [f"a photo of a <d3m-{files[0].stem}>"]


def test_the_kept_files_give_the_images_again_in_diffusers(woof_run, imagenet):
    """Token and seed are enough: the same first image from diffusers' own pipeline."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    folder = Path(harness.load_results(woof_run)["image_folder"].iloc[0])
    place = folder / "stored" / f"{CLASSES[5]}.safetensors"
    pipeline = StableDiffusionPipeline.from_pretrained(imagenet / "weights" / "sd", local_files_only=True)
    pipeline.load_textual_inversion(str(place.parent), weight_name=place.name)
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
    )
    pipeline.set_progress_bar_config(disable=True)
    with safe_open(place, "pt") as file:
        kept = about(file)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(kept["seed"]))
    image = pipeline(kept["prompts"], latents=start, num_inference_steps=2, guidance_scale=7.5, output_type="pil")

    with Image.open(folder / CLASSES[5] / "00000.png") as made:
        ours = np.asarray(made, dtype=float)
    theirs = np.asarray(image.images[0].resize((32, 32), Image.Resampling.BICUBIC), dtype=float)
    assert abs(theirs - ours).mean() < 1


def tiny_task(tiny_suite, folder, name="fit", report=lambda *_: None, classes=slice(0, 3)):
    """The task of a job on the tiny suite, whose generator is trained in `folder` once."""
    from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
    from harness.jobs.task_resources import load_generator

    context = resolve(make_request(suite=tiny_suite)).context
    split = open_split(context, "train")
    if not (folder / "pipeline").is_dir():
        images, labels = split.tensors(size=16, crop="adm")
        spec, quiet = context.generators["text_to_image"], lambda *_, **__: None
        generator_kinds.get("text_to_image").train(
            PriorInputs(images, labels, spec, context.classes, folder / "pipeline", "cpu", quiet, quiet)
        )

    class Services:
        def generator(self, kind):
            return load_generator(context, kind, folder)

    chosen = context.classes[classes]
    real = RealImages(split.restrict([c.id for c in chosen]), size=16, device="cpu")
    scope = (name, "d3m", chosen[0].id)
    return Task(chosen, real, 16, torch.device("cpu"), 0, scope, Services(), report=report)


def d3m(**options):
    cls = discovery.methods.get("d3m")
    return cls(cls.Config(**{"initializer": "digit", "sampling_steps": 2, "guidance": 1.5} | options))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return tmp_path_factory.mktemp("prior")


def test_a_fit_that_was_killed_resumes_to_the_same_tokens(tiny_suite, prior, tmp_path):
    method = d3m(steps=6, checkpoint_every=2, batch=4)
    whole = method.fit(tiny_task(tiny_suite, prior))

    def killed(stage, done, total, unit):
        if (stage, done) == ("learning tokens", 5):
            raise KeyboardInterrupt

    broken = tiny_task(tiny_suite, prior, report=killed)
    broken.checkpoint = FolderCheckpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        method.fit(broken)
    again = tiny_task(tiny_suite, prior)
    again.checkpoint = FolderCheckpoint(tmp_path)
    resumed = method.fit(again)

    assert broken.checkpoint.load()["step"] == 6
    assert resumed.keys() == {"rows/0", "rows/1", "rows/2"}
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_every_batch_takes_the_classes_in_turn_and_images_of_those_classes(tiny_suite, prior):
    method, task = d3m(batch=4), tiny_task(tiny_suite, prior)
    labels = torch.tensor([0] * 50 + [1] + [2] * 3)
    names = ["<a>", "<b>", "<c>"]
    seen = torch.zeros(3, dtype=torch.long)
    for step in range(9):
        rows, prompts = method._batch(step, labels, names, task.rng(f"step/{step}"))
        assert all(names[labels[row]] in prompt for row, prompt in zip(rows, prompts, strict=True))
        seen += torch.bincount(labels[rows], minlength=3)
    assert seen.tolist() == [12, 12, 12]


def test_fewer_real_images_can_be_learned_from(tiny_suite, prior):
    images, labels = d3m(images_per_class=5)._real(tiny_task(tiny_suite, prior))
    assert images.shape == (15, 3, 16, 16)
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_the_class_name_may_start_its_token(tiny_suite, prior):
    task = tiny_task(tiny_suite, prior)
    learned = d3m(initializer="class_name", steps=1, lr=1e-9).fit(task)
    words = [task.generator("text_to_image").text.word_rows(w) for w in ("zero", "one", "two")]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(learned.values(), words, strict=True))


def test_wrong_options_are_refused(tiny_suite, prior):
    with pytest.raises(UserError, match=r"initialiser 'handwriting' has \d+ tokens"):
        d3m(initializer="handwriting").fit(tiny_task(tiny_suite, prior))
    with pytest.raises(UserError, match="already has a token '0'"):
        d3m(token="{}").fit(tiny_task(tiny_suite, prior))
    with pytest.raises(UserError, match="share a token name"):
        d3m(token="<same>").fit(tiny_task(tiny_suite, prior))
    with pytest.raises(ValueError, match="the place of the token"):
        d3m(templates=("a photo",))
    with pytest.raises(ValueError, match="'ddim', 'dpmsolver\\+\\+' or 'ddpm'"):
        d3m(sampler="euler")


def test_a_pool_begins_with_the_fixed_set(tiny_suite, prior):
    """So that accuracy at k = 1 and k = 10 differ by what is drawn, not by which images come first."""
    state = d3m(steps=1).fit(tiny_task(tiny_suite, prior))
    fixed = d3m().synthesize(tiny_task(tiny_suite, prior, "synthesize"), state, 2)
    pool = d3m(draws=3).synthesize(tiny_task(tiny_suite, prior, "synthesize"), state, 2)

    assert {len(images) for images in pool.images.values()} == {6}
    assert all((pool.images[c][:2].int() - fixed.images[c].int()).abs().max() <= 3 for c in fixed.images)
    assert pool.stored.files == fixed.stored.files
    assert sorted(pool.stored.files) == ["0.safetensors", "1.safetensors", "2.safetensors"]


@pytest.mark.slow
@pytest.mark.drill  # a minute and a half: it trains the whole generator of the suite
def test_on_digits_a_neutral_word_becomes_ten_classes(digits_store):
    """A classifier trained on real digits judges images of "a photo of a digit" before, of each class's token after."""
    from harness.data import load_distilled
    from harness.jobs.context import real_images
    from harness.jobs.task_resources import load_generator
    from harness.training.evaluation import evaluate
    from harness.training.trainer import train_student

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    given = {"suite": "digits", "methods": "d3m", "students": "convnet3", "seeds": 0, "device": "cpu"}
    run = harness.run(**given, ipc=20, executor="local", store=digits_store)
    resolved = resolve(make_request(**given, store=str(digits_store)))
    context, protocol = resolved.context, resolved.plan_input.protocol
    (train, train_labels), (test, test_labels) = (real_images(context, part, 16) for part in ("train", "test"))
    model, _ = train_student(
        student="convnet3",
        protocol=protocol,
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        num_classes=10,
        seed=0,
    )
    folder = Path(harness.load_results(run)["image_folder"].iloc[0])
    images, labels = load_distilled(folder, context.classes, 16)
    (prior,) = (pipeline.parents[1] for pipeline in (digits_store / "store" / "prior").glob("*/pipeline/text_encoder"))
    neutral = load_generator(context, "text_to_image", prior).sample(
        ["a photo of a digit"] * 200, list(range(200)), steps=20, guidance=1.5
    )
    torch.set_num_threads(threads)

    before = evaluate(model, neutral, labels, protocol, 10)[0]
    after = evaluate(model, images, labels, protocol, 10)[0]
    print(f"recognised: {before:.1f} % before, {after:.1f} % after")
    assert before < 20
    assert after >= 85
