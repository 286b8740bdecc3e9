"""AID, UC Merced and NWPU-RESISC45 end to end, on trees in their layouts and formats with four small images a class."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import harness
from harness.api import groups
from harness.core.io import data_folder
from harness.data import read_class_list
from harness.planning import groups as suite_groups
from harness.planning.request import make_request
from tests.helpers.support import small_suite

LAYOUTS = {
    "aid": ("AID/{c}/{low}_{n}.jpg", 30, 0.5),
    "ucm": ("UCMerced_LandUse/Images/{c}/{c}{n:02d}.tif", 21, 0.8),
    "nwpu": ("NWPU-RESISC45/{c}/{c}_{n:03d}.jpg", 45, 0.2),
}


def classes_of(name):
    return [c.id for c in read_class_list(data_folder("datasets") / "classes" / f"{name}.txt")]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("aerial"), np.random.default_rng(0)
    for name, (layout, _, _) in LAYOUTS.items():
        for class_id in classes_of(name):
            for n in range(1, 5):
                path = root / layout.format(c=class_id, low=class_id.lower(), n=n)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (26 + n, 28, 3), dtype=np.uint8)).save(path)
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_class_list_is_complete(name):
    assert len(classes_of(name)) == LAYOUTS[name][1]
    assert classes_of(name) == sorted(classes_of(name))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_suite_runs_and_tells_overall_from_average_accuracy(name, data_root, tmp_path, shared_store):
    suite = small_suite(name, tmp_path, image_size=24, student_image_size=16)
    run = harness.run(methods=["random_real"], suite=suite, data_root=data_root, executor="local", store=shared_store)
    row, (_, num_classes, share) = harness.load_results(run).iloc[0], LAYOUTS[name]
    assert row["status"] == "done", row["error"]
    assert f"our split: stratified, {share:.0%} training, seed 0" in row["source"]
    by_class = json.loads(row["class_accuracy_last"])
    assert list(by_class) == classes_of(name)
    assert row["average_accuracy_last"] == pytest.approx(sum(by_class.values()) / num_classes)
    assert -1 <= row["kappa_last"] <= 1
    table = pd.read_csv(run.folder / "tables" / "metrics.csv").iloc[0]
    assert table["overall_accuracy_last_mean_percent"] == pytest.approx(row["top1_last"])
    assert table["kappa_last_mean"] == pytest.approx(row["kappa_last"])
    confusion = pd.read_csv(shared_store / "store" / "train" / row["train_key"] / "confusion.csv")
    num_test = 4 - max(1, round(4 * share)) if share < 0.8 else 1
    assert confusion.query("evaluation == 'last'")["num_images"].sum() == num_classes * num_test


def test_the_group_plans_all_three_as_they_are(data_root, tmp_path):
    request = make_request(suite="remote_sensing", methods=["random_real"], data_root=data_root, store=tmp_path)
    ready = groups.prepare_group(request, suite_groups.members("remote_sensing"))
    assert list(ready) == ["aid", "ucm", "nwpu"]
    for resolved, plan in ready.values():
        assert plan.counts()["train"] == len(resolved.suite.students) * 9
        assert resolved.suite.side == 224
