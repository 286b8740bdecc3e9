"""`harness run --methods all --suite imagewoof`, as a user types it: the real suite on a small tree and tiny weights.

Only sizes are changed: 32 pixels, small students, few steps. Names of weights, class lists, groups and methods are the suite's.
"""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

import harness
from harness.core.plugin import discovery
from tests.helpers.support import ROOT, tiny_suite_values
from tests.helpers.tiny_models import dit, stable_diffusion

DATASETS = ROOT / "datasets"


def ids(name):
    lines = (DATASETS / "classes" / f"{name}.txt").read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """imagenet1k/train|val/WNID/*.JPEG of ten dogs and a cat, and the suite's weights under their hub names."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for class_id in [*ids("imagewoof"), "n02123045"]:
            folder = root / "imagenet1k" / split / class_id
            folder.mkdir(parents=True)
            for number in range(count):
                height, width = rng.integers(36, 60, size=2)
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{class_id}_{number}.JPEG")
    weights = root / "weights"
    dit(weights / "facebook" / "DiT-XL-2-256", ids("imagenet1k"))
    for name in ("sd-vae-ft-ema", "sd-vae-ft-mse"):
        shutil.copytree(weights / "facebook" / "DiT-XL-2-256" / "vae", weights / "stabilityai" / name)
    stable_diffusion(weights / "stable-diffusion-v1-5" / "stable-diffusion-v1-5")
    return root


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """imagewoof.yaml with small sizes and short trainings."""
    values, tiny = yaml.safe_load((DATASETS / "imagewoof.yaml").read_text()), tiny_suite_values()
    values |= {
        "image_size": 32,
        "student_image_size": 28,
        "students": ["convnet2", "resnet_ap10_cifar"],
        "resources": {},
    }
    values["classes"] = str(DATASETS / values["classes"])
    values["budget"] = {"ipc": [1], "training_seeds": [0]}
    values["protocol_overrides"] = {"idc": {"epochs": {"up_to": [], "above": 2}, "num_evaluations": 1}}
    values["teacher"] |= {"student": "convnet2", "epochs": 1, "min_share": 0}
    generator = values["generators"]["class_conditional"]
    generator["label_classes"] = str(DATASETS / generator["label_classes"])
    for method, options in tiny["method_overrides"].items():
        values["method_overrides"][method] = values["method_overrides"].get(method, {}) | options
    values["method_overrides"]["d3m"] |= {"group_size": 5, "initializer": "dog"}
    values["method_overrides"]["minimax"] |= {"batch": 8}
    path = tmp_path_factory.mktemp("suite") / "imagewoof.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.slow
def test_the_whole_command_gives_all_tables(suite, data_root, tmp_path, cli):
    store = tmp_path / "store"
    arguments = ("--suite", suite, "--data-root", data_root, "--executor", "local", "--store", store, "--name", "woof")
    code, out, err = cli("run", "--methods", "all", *arguments)
    assert code == 0, err
    rows = harness.load_results("woof", store)
    assert set(rows["status"]) == {"done"}, rows["error"].unique()
    own = {n for n in discovery.methods.names() if discovery.methods.get(n).__module__.startswith("methods.")}
    assert set(rows["method"]) == own
    assert set(rows["student"]) == {"convnet2", "resnet_ap10_cifar"}
    assert rows["source"].str.contains("imagenet1k").all()
    assert "Leaderboard: imagewoof" in out
    out = cli("report", "woof", "--store", store, "--all")[1]
    for title in ("Leaderboard", "Paper table", "Accuracy at equal bytes", "Distillation time"):
        assert f"{title}: imagewoof" in out
    assert {path.stem for path in (store / "runs" / "woof" / "tables").glob("*.md")} >= {
        "leaderboard",
        "paper",
        "bytes",
        "timing",
    }


def test_planning_it_tells_what_it_takes_and_writes_nothing(suite, data_root, tmp_path, cli):
    code, out, _ = cli("run", "--suite", suite, "--data-root", data_root, "--store", tmp_path / "none", "--dry-run")
    assert code == 0
    assert "expected:" in out
    assert len([line for line in out.splitlines() if "short trial on random images or latents" in line]) == 21
    assert "no estimate for" not in out, "every method says what its networks do"
    assert not (tmp_path / "none").exists()


def test_missing_images_are_told_before_any_long_work(suite, data_root, tmp_path, cli):
    moved = tmp_path / "data"
    shutil.copytree(data_root / "imagenet1k", moved / "imagenet1k")
    shutil.rmtree(moved / "imagenet1k" / "train" / ids("imagewoof")[3])
    empty = moved / "imagenet1k" / "val" / ids("imagewoof")[5]
    for path in empty.iterdir():
        path.write_bytes(b"")
    code, _, err = cli("run", "--suite", suite, "--data-root", moved, "--store", tmp_path / "none")
    assert code == 2
    assert ids("imagewoof")[3] in err
    assert "Traceback" not in err
    assert not (tmp_path / "none").exists()


def test_missing_weights_are_told_before_any_long_work(suite, data_root, tmp_path, cli, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    moved = tmp_path / "data"
    moved.mkdir()
    (moved / "imagenet1k").symlink_to(data_root / "imagenet1k")
    arguments = ("--suite", suite, "--data-root", moved, "--store", tmp_path / "none", "--executor", "local")
    code, _, err = cli("run", "--methods", "dit", *arguments)
    assert code == 2
    assert "facebook/DiT-XL-2-256" in err
    assert not (tmp_path / "none").exists()
