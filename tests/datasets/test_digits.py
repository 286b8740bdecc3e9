"""The digits suite as users get it: what its generator, its baselines and minimax must reach.

Slow: baselines with the suite's protocol. Drills: the prior is trained at its real size, about 75 CPU seconds.
"""

from pathlib import Path

import pandas as pd
import pytest
import torch

import harness
from harness.api.run import prepare
from harness.core.store import Store
from harness.jobs.context import real_images
from harness.jobs.execute import execute
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from harness.reporters import build_reports
from harness.training.evaluation import predict
from harness.training.protocols import resolve_protocol
from harness.training.trainer import train_student

pytestmark = pytest.mark.slow


def run(store, name, **request):
    """Run on the real digits suite, ConvNet-3 only."""
    done = harness.run(suite="digits", students=["convnet3"], executor="local", store=store, name=name, **request)
    assert done.exit_code == 0
    return harness.load_results(done)


@pytest.fixture(scope="module")
def store(digits_store):
    return digits_store


@pytest.fixture(scope="module")
def rows(store):
    """Sets of 20 images a class. Their images are judged here, so one student sees each of them once."""
    one = {"protocol.epochs": {"up_to": [], "above": 1}}
    return run(store, "sets", methods=["random_real", "dit", "minimax"], ipc=[20], seeds=[0], settings=one)


@pytest.fixture(scope="module")
def classifier():
    """A ConvNet-3 trained on the real training split, as a function from images to called labels."""
    resolved = resolve(make_request(suite="digits"))
    train, test = (real_images(resolved.context, split, 16) for split in ("train", "test"))
    protocol = resolve_protocol("idc", resolved.suite.protocol_overrides["idc"], {})
    threads = torch.get_num_threads()
    model, result = train_student(
        student="convnet3", protocol=protocol, train_images=train[0], train_labels=train[1],
        test_images=test[0], test_labels=test[1], num_classes=10, seed=0,
    )  # fmt: skip
    assert torch.get_num_threads() == threads
    assert result.top1_last >= 98
    return lambda images: predict(model, images, protocol).argmax(dim=1)


def images_of(rows, method):
    """The images [200, 3, 16, 16] and labels [200] of a method's set at IPC 20."""
    from harness.data.sets.folder import load_distilled

    row = rows[(rows["method"] == method) & (rows["ipc"] == 20)].iloc[0]
    classes = resolve(make_request(suite="digits")).context.classes
    return load_distilled(Path(row["image_folder"]), classes, 16)


def test_baselines_reach_what_the_suite_promises(store):
    rows = run(store, "baselines", methods=["random_real", "full"], ipc=[10], seeds=[0])
    best = rows.groupby(["method", "ipc"], dropna=False)["top1_best"].mean()
    assert best["random_real", 10] >= 90
    assert rows.query("method == 'full'")["top1_best"].mean() >= 98


@pytest.mark.drill
def test_a_classifier_of_real_digits_recognises_the_samples_of_the_generator(rows, classifier):
    images, labels = images_of(rows, "dit")
    recognised = (classifier(images) == labels).float().mean().item()
    assert recognised >= 0.95


@pytest.mark.drill
def test_samples_vary_within_their_class(rows):
    """A generator that repeats itself would be recognised too."""
    made, _ = images_of(rows, "dit")
    real, _ = images_of(rows, "random_real")
    spread = [x.float().reshape(10, 20, -1).std(dim=1).mean().item() for x in (made, real)]
    assert spread[0] >= 0.6 * spread[1]


def fit_of_minimax(store, **options):
    """Fine-tune only: the training curve, of the jobs that come before a set is made."""
    settings = {f"minimax.{name}": value for name, value in options.items()}
    request = make_request(
        suite="digits", methods=["minimax"], ipc=[20], seeds=[0], settings=settings, executor="local", store=str(store)
    )
    resolved, plan = prepare(request)
    for job in plan.jobs.values():
        if job.kind in ("prior", "fit"):
            assert execute(job, resolved.context, lambda *_: None).ok
    (key,) = (job.key for job in plan.jobs.values() if job.kind == "fit")
    return pd.read_csv(Store(store).path("fit", key) / "curves.csv")


@pytest.mark.drill
def test_each_criterion_of_minimax_moves_its_own_cosine(store):
    """Without criteria, with representativeness only, with diversity only: the rest of the fine-tuning is equal."""
    last = {}
    for name, represent, diversity in (("none", 0, 0), ("represent", 0.2, 0), ("diverse", 0, 0.2)):
        curve = fit_of_minimax(store, lambda_r=represent, lambda_d=diversity, epochs=4)
        last[name] = curve.tail(20).mean()
        assert curve["denoising_loss"].notna().all()
    assert last["represent"]["min_cosine_to_real"] > last["none"]["min_cosine_to_real"] + 0.03
    assert last["diverse"]["max_cosine_to_predicted"] < last["none"]["max_cosine_to_predicted"] - 0.05


@pytest.mark.drill
def test_fine_tuning_changes_the_images_and_they_stay_digits(rows, classifier):
    tuned, labels = images_of(rows, "minimax")
    plain, _ = images_of(rows, "dit")
    assert (tuned.float() - plain.float()).abs().mean() > 5
    assert (classifier(tuned) == labels).float().mean() >= 0.9
    spread = [x.float().reshape(10, 20, -1).std(dim=1).mean().item() for x in (tuned, plain)]
    assert spread[0] > spread[1], "diversity makes images of a class differ more"


@pytest.mark.drill
def test_the_trained_prior_opens_as_a_diffusers_pipeline(rows, store):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import DiTPipeline

        folder = next((store / "store" / "prior").glob("*/pipeline/transformer")).parent
        pipeline = DiTPipeline.from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(class_labels=[3], num_inference_steps=5, guidance_scale=1.5, output_type="np").images
    assert made.shape == (1, 16, 16, 3)


@pytest.mark.drill
def test_soft_labels_beat_hard_ones_on_the_same_set_and_no_table_mixes_them(store):
    """Protocol rded with a teacher's labels and without, one set of real images."""
    common = {"methods": ["random_real"], "ipc": [3], "seeds": [0]}
    soft = run(store, "soft", **common, protocol="rded")
    hard = run(store, "hard", **common, protocol="rded", settings={"protocol.labels": "hard"})
    assert soft["distilled_key"].tolist() == hard["distilled_key"].tolist()
    assert soft["top1_last"].mean() > hard["top1_last"].mean()
    idc = run(store, "idc", **common)
    boards = build_reports(pd.concat([soft, idc]), ["leaderboard"])
    shown = {
        table.frame["protocol"].item(): table.frame["convnet3_top1_last_mean_percent"].item()
        for table in boards.values()
    }
    assert shown == {"rded": soft["top1_last"].mean(), "idc": idc["top1_last"].mean()}
