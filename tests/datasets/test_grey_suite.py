"""A grey suite from its file to its tables: one channel everywhere; hard, soft and stored labels; class groups; export."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import harness
from harness.api.run import prepare
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.planning.amounts import Amounts
from harness.planning.request import make_request
from harness.planning.trials import Trials
from tests.helpers.grey import grey_suite

METHODS = ["random_real", "herding", "k_center"]
PLUGIN = """
from harness import DistilledSet, Method, register_method

@register_method("halves")
class Halves(Method):
    title = "the first images of each class, found in two class groups"

    def group_size(self):
        return 5

    def fit(self, task):
        assert task.channels == 1
        return {c.id: task.real.images(c.id)[:2].cpu() for c in task.classes}

    def synthesize(self, task, state, ipc):
        return DistilledSet({c.id: state[c.id][:ipc] for c in task.classes})
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return grey_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "halves.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def hard(suite, store, plugin):
    discovery.discover()
    known = discovery.methods.snapshot()
    done = harness.run(
        methods=[*METHODS, "halves"], suite=suite, ipc=[2], students=["convnet3", "resnet10_cifar"],
        plugins=[plugin], executor="local", store=store, name="hard",
    )  # fmt: skip
    discovery.methods.restore(known)  # the fixture of every test that forgets plugins begins after this one
    return done


@pytest.fixture(scope="module")
def stored(suite, store):
    return harness.run(
        methods=["random_real"], suite=suite, ipc=[2], protocol="rded", executor="local", store=store,
        settings={"protocol.labels": "stored"}, name="stored",
    )  # fmt: skip


def pngs(run, method):
    rows = harness.load_results(run)
    key = rows[(rows["method"] == method) & (rows["distilled_key"] != "")]["distilled_key"].iloc[-1]
    return sorted((run.folder.parent.parent / "store" / "synthesize" / key).glob("[0-9]/*.png"))


@pytest.mark.slow
def test_students_learn_from_the_grey_images_of_every_method(hard):
    rows = harness.load_results(hard)
    assert set(rows["status"]) == {"done"}, rows["error"].unique()
    assert set(zip(rows["method"], rows["student"], strict=True)) == {
        (method, student) for method in (*METHODS, "halves") for student in ("convnet3", "resnet10_cifar")
    }
    assert set(rows["budget_bytes"]) == {2 * 10 * 256}, "a byte a pixel"


def test_a_method_that_colours_its_images_is_told_the_shape():
    coloured = harness.DistilledSet({"0": torch.zeros(1, 3, 16, 16)})
    with pytest.raises(ValueError, match=r"\[1, 3, 16, 16\], expected \[1, 1, 16, 16\] \(count, grey, height, width\)"):
        coloured.check((harness.ClassInfo("0", 0, "zero"),), 1, 16, 1)


@pytest.mark.slow
def test_distilled_images_are_files_of_one_channel_bit_for_bit(hard):
    from harness.data import open_source

    files = pngs(hard, "halves")
    assert len(files) == 20
    for path in files:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((16, 16), "L")
    own = open_source({"kind": "digits"}, tuple("0123456789"), ".").split("train").load("7", [0, 1], size=16)
    kept = np.stack([np.asarray(Image.open(path)) for path in files if path.parent.name == "7"])
    assert np.array_equal(kept, own[:, 0].numpy()), "digits are grey: luma leaves them as they are"
    sheets = sorted((hard.folder / "images").glob("*.png"))
    assert len(sheets) == 4
    assert (harness.report(hard)["leaderboard"].display["Method"] != "").all()


@pytest.mark.slow
def test_soft_labels_come_from_a_grey_teacher(suite, store):
    run = harness.run(
        methods=["herding"], suite=suite, ipc=[2], protocol="rded", executor="local", store=store, reference=False
    )
    rows = harness.load_results(run)
    assert rows["status"].tolist() == ["done"], rows["error"].tolist()


@pytest.mark.slow
def test_an_exported_set_has_its_numbers_again_with_its_stored_labels(stored, suite, store, tmp_path):
    folder = harness.export(stored, method="random_real", ipc=2, to=tmp_path / "out", store=store)
    again = harness.evaluate(
        folder, as_name="again", suite=suite, ipc=2, protocol="rded", labels="own", executor="local", store=store
    )
    theirs, ours = harness.load_results(stored), harness.load_results(again)
    same = ["ipc", "top1_best", "top1_last", "num_images", "storage_bytes", "label_bytes"]
    pd.testing.assert_frame_equal(ours[same], theirs[same])


@pytest.mark.slow
def test_networks_of_the_run_and_for_rgb_images_look_at_its_images(hard, store, suite):
    """`harness inspect` reads grey real and distilled images; a network for RGB sees the channel three times."""
    from harness.core.run_folder import RunFolder
    from harness.core.store import Store
    from harness.reporters.inspection.run_images import Named, open_run_images

    opened = open_run_images(RunFolder(hard.folder), harness.load_results(hard), Store(store), Named(suite=str(suite)))
    extract = opened.extractor("teacher")
    made = next(one for one in opened.sets if one.ipc == 2)
    assert opened.real_features(extract, "3", 5).shape == (5, 512)
    assert opened.made_features(extract, made, opened.context.classes[3]).shape == (2, 512)


def planned(suite, store, **fields):
    """Plan random real images; a request that is let pass by mistake would train for hours if it ran."""
    request = {"suite": suite, "methods": ("random_real",), "executor": "local", "store": store}
    return prepare(make_request(**request | fields))


def test_a_protocol_for_three_channels_is_refused_before_anything_is_written(tmp_path):
    store = tmp_path / "store"
    path = grey_suite(tmp_path, protocol_overrides={"idc": {"mean": [0.3], "std": [0.3], "pca_lighting": 0.0}})
    with pytest.raises(
        UserError, match=r"channels: 1, but protocol 'plain' normalises 3 channels.*\{plain: \{mean: \[0.5\]"
    ):
        planned(path, store, protocol="plain")
    with pytest.raises(UserError, match=r"channels: 3, but protocol 'idc' normalises 1 channel\."):
        planned("digits", store, settings={"protocol.mean": [0.3], "protocol.std": [0.3]})
    path = grey_suite(tmp_path, protocol_overrides={"idc": {"mean": [0.3], "std": [0.3]}})
    with pytest.raises(UserError, match=r"pca_lighting 0.1, colour noise.*pca_lighting: 0"):
        planned(path, store)
    assert not store.exists()


def test_a_suite_without_a_teacher_needs_no_other_protocol_for_its_channels(tmp_path):
    path = grey_suite(
        tmp_path, protocol="plain", teacher=None, protocol_overrides={"plain": {"mean": [0.3], "std": [0.3]}}
    )
    _, plan = planned(path, tmp_path / "store")
    assert {job.kind for job in plan.jobs.values()} == {"synthesize", "train"}


def test_grey_and_colour_share_no_key(tmp_path, suite):
    """A default changes no key (tests/planning/test_keys.py), and channels: 1 changes even random real images."""
    colour = grey_suite(
        tmp_path, channels=3, protocol_overrides={"idc": {"pca_lighting": 0.0}}, students=["convnet3"]
    )  # fmt: skip
    keys = []
    for path in (colour, suite):
        keys.append(set(planned(path, tmp_path / "store")[1].jobs))
    assert not keys[0] & keys[1]


@pytest.mark.drill
def test_two_workers_give_the_records_of_one(suite, tmp_path):
    found = []
    for workers in (1, 2):
        run = harness.run(
            methods=METHODS, suite=suite, ipc=[2], executor="ray", workers=workers, store=tmp_path / str(workers),
            protocol="rded",
        )  # fmt: skip
        found.append(harness.load_results(run)[["method", "train_key", "top1_best", "top1_last", "storage_bytes"]])
    pd.testing.assert_frame_equal(found[0], found[1])


def test_a_budget_in_bytes_reckons_one_byte_a_pixel(tmp_path):
    path = grey_suite(tmp_path, budget={"bytes": [2560, 7680], "training_seeds": [0]})
    resolved, _ = planned(path, tmp_path / "store")
    assert resolved.suite.budget.ipc == (1, 3)
    assert resolved.suite.image_bytes == 256


def test_the_suite_is_shown_as_grey(suite):
    import io

    from rich.console import Console

    from harness.cli.show import print_suite

    console = Console(file=io.StringIO(), width=200)
    print_suite(str(suite), console)
    assert "16 px distilled, 16 px for students, grey" in console.file.getvalue()


def test_random_images_for_an_estimate_have_the_suites_channels(suite, tmp_path):
    resolved, plan = planned(suite, tmp_path, protocol="rded")
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    assert Trials(resolved, plan, Amounts(resolved)).student_s(job) > 0
