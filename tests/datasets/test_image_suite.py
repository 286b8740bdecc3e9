"""A suite of real photographs' formats: an ImageNet-like JPEG tree, a pre-trained DiT folder, and labels of its own order."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import harness
from tests.helpers.support import tiny_suite_values
from tests.helpers.tiny_models import dit

CLASSES = ["n02096294", "n02093754", "n01440764"]  # not sorted: the list's order is the label order
GENERATOR_LABELS = ["n01440764", "n01443537", "n02093754", "n02096294"]
COLOURS = {"n02096294": (200, 40, 40), "n02093754": (40, 200, 40), "n01440764": (40, 40, 200)}


def photograph(class_id, rng):
    """A noisy picture whose colour tells the class, of an odd size."""
    height, width = rng.integers(36, 60, size=2)
    pixels = np.array(COLOURS[class_id]) + rng.normal(0, 25, size=(height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """imagenet1k/train|val/WNID/*.JPEG and weights/tiny-dit, a diffusers folder of four classes."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for class_id in CLASSES:
            folder = root / "imagenet1k" / split / class_id
            folder.mkdir(parents=True)
            for number in range(count):
                photograph(class_id, rng).save(folder / f"{class_id}_{number}.JPEG", quality=95)
    Image.new("L", (40, 40), 128).save(root / "imagenet1k" / "train" / CLASSES[0] / "grey.JPEG")
    Image.new("CMYK", (40, 40), (0, 200, 200, 0)).save(root / "imagenet1k" / "train" / CLASSES[0] / "cmyk.JPEG")
    dit(root / "weights" / "tiny-dit", GENERATOR_LABELS)
    return root


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A suite like imagewoof, at 32 pixels for methods and 28 for students."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "woof.txt").write_text("\n".join(CLASSES))
    (folder / "generator.txt").write_text("\n".join(GENERATOR_LABELS))
    values = tiny_suite_values() | {
        "name": "tinywoof",
        "source": {"kind": "image_folder", "root": "imagenet1k"},
        "classes": "woof.txt",
        "image_size": 32,
        "student_image_size": 28,
        "full_accuracy": 100,
        "generators": {"class_conditional": {"weights": "tiny-dit", "label_classes": "generator.txt"}},
    }
    values["teacher"] |= {"min_share": 0}
    values["method_overrides"]["minimax"] |= {"batch": 4, "group_size": 2}
    for name in ("mgd3", "d3hr"):
        values["method_overrides"][name] |= {"group_size": 2}
    path = folder / "tinywoof.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def run(suite, data_root, shared_store):
    return harness.run(methods="all", suite=suite, data_root=data_root, executor="local", store=shared_store)


def test_every_method_runs_on_a_tree_of_photographs_with_pretrained_weights(run):
    rows = harness.load_results(run)
    skipped = set(rows.loc[rows["status"] == "skipped", "method"])
    assert skipped == {"d3m", "d4m"}, "the suite offers no text-to-image generator"
    assert set(rows.loc[~rows["method"].isin(skipped), "status"]) == {"done"}, rows["error"].unique()
    assert set(rows["suite"]) == {"tinywoof"}
    assert rows["source"].str.contains("imagenet1k").all()


def test_class_groups_are_fitted_apart(run):
    about = json.loads((run.folder / "run.json").read_text())
    assert about["planned"]["fit"] == 6


def test_the_distilled_set_lies_in_class_folders_at_the_suites_size(run):
    from pathlib import Path

    rows = harness.load_results(run).query("method == 'random_real' and ipc == 2")
    folder = Path(rows["image_folder"].iloc[0])
    for class_id in CLASSES:
        paths = sorted((folder / class_id).glob("*.png"))
        assert [path.name for path in paths] == ["00000.png", "00001.png"]
        with Image.open(paths[0]) as image:
            assert (image.size, image.mode) == ((32, 32), "RGB")


def test_labels_follow_the_class_list_so_that_colours_are_learned(suite, data_root, shared_store):
    run = harness.run(
        methods=["full"], suite=suite, data_root=data_root, executor="local", store=shared_store,
        settings={"protocol.epochs": {"up_to": [], "above": 20}, "protocol.cutmix_probability": 0.0},
    )  # fmt: skip
    assert harness.load_results(run)["top1_last"].item() == 100


def test_a_generator_that_lacks_a_class_says_which(suite, data_root, shared_store, tmp_path):
    values = yaml.safe_load(suite.read_text())
    (tmp_path / "woof.txt").write_text("\n".join(CLASSES))
    (tmp_path / "generator.txt").write_text("\n".join(["n00000001", *GENERATOR_LABELS[1:]]))
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(values))
    run = harness.run(methods=["dit"], suite=path, data_root=data_root, executor="local", store=shared_store, ipc=[1])
    assert "n01440764" in harness.load_results(run)["error"].iloc[0]


def test_a_broken_image_fails_the_jobs_that_read_it_and_is_named(suite, data_root, shared_store):
    bad = data_root / "imagenet1k" / "train" / CLASSES[1] / "broken.JPEG"
    bad.write_bytes(b"not an image")
    run = harness.run(methods=["full"], suite=suite, data_root=data_root, executor="local", store=shared_store)
    bad.unlink()
    assert run.exit_code == 1
    assert "broken.JPEG" in harness.load_results(run)["error"].iloc[0]
