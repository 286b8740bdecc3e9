"""A training whose real images are read from a file gives the bits of one whose images are in memory."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from harness.api.run import prepare
from harness.data.rows import FileRows
from harness.jobs import train as train_job
from harness.jobs.context import decoded_file, real_images
from harness.jobs.execute import execute
from harness.planning.request import make_request

CLASSES = [f"n{i:02d}" for i in range(5)]
FEW = {"epochs": {"up_to": [], "above": 2}, "num_evaluations": 2, "batch_size": 32}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The YAML file of a suite of 200 training JPEGs of various sizes, whose root is below the data root `data`."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, num in (("train", 40), ("val", 10)):
        for class_id in CLASSES:
            target = folder / "data" / "photos" / split / class_id
            target.mkdir(parents=True)
            for i in range(num):
                pixels = rng.integers(0, 256, (20 + i % 7, 24 + i % 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(target / f"{i}.jpg")
    (folder / "classes.txt").write_text("".join(f"{c} class {c}\n" for c in CLASSES))
    path = folder / "photos.yaml"
    about = {
        "name": "photos",
        "version": 1,
        "source": {"kind": "image_folder", "root": "photos"},
        "classes": "classes.txt",
        "image_size": 16,
        "budget": {"ipc": [2], "distillation_seeds": [0], "training_seeds": [0]},
        "protocol": "idc",
        "protocol_overrides": dict.fromkeys(("idc", "rded"), FEW),
        "students": ["convnet3"],
        "teacher": {"student": "convnet2", "epochs": 2, "min_share": 0},
    }
    path.write_text(yaml.safe_dump(about))
    return path


def run_all(suite, store, monkeypatch, limit, **fields):
    """Run the jobs of `full` one after the other; return what each left: result and files."""
    monkeypatch.setenv("HARNESS_IMAGES_IN_MEMORY_GB", limit)
    monkeypatch.setenv("HARNESS_CACHE", str(suite.parent / "cache"))
    request = make_request(suite=suite, data_root=suite.parent / "data", store=store, executor="local", **fields)
    resolved, plan = prepare(request)
    left = {}
    for key, job in plan.jobs.items():
        outcome = execute(job, resolved.context, lambda *_: None)
        assert outcome.ok, outcome.trace
        manifest = resolved.context.store.manifest(job.kind, key)
        left[key] = manifest["result"], {name: info["sha256"] for name, info in manifest["files"].items()}
        left[key][1].pop("log.txt", None)
    return resolved, left


@pytest.mark.parametrize("labels", ["hard", "soft", "stored"])
def test_equal_bits_from_memory_and_from_a_file(suite, tmp_path, monkeypatch, labels):
    networks, train_student = [], train_job.train_student

    def watched(**given):
        model, scored = train_student(**given)
        networks.append((type(given["train_images"]), type(given["test_images"]), model.state_dict()))
        return model, scored

    monkeypatch.setattr(train_job, "train_student", watched)
    settings = {"protocol.labels": labels} if labels != "hard" else {}
    fields = {"methods": ["full"], "settings": settings, "protocol": "idc" if labels == "hard" else "rded"}
    _, in_memory = run_all(suite, tmp_path / "one", monkeypatch, "1", **fields)
    resolved, streamed = run_all(suite, tmp_path / "two", monkeypatch, "0", **fields)
    assert in_memory == streamed, "keys, scores and files, the teacher's weights among them"
    (*kinds, first), (*others, second) = networks
    assert kinds == [torch.Tensor, torch.Tensor]
    assert others == [FileRows, FileRows]
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert decoded_file(resolved.context, "train", 16, "resize").is_here()


def test_nothing_is_written_below_the_data_root(suite, tmp_path, monkeypatch):
    before = sorted((suite.parent / "data").rglob("*"))
    run_all(suite, tmp_path, monkeypatch, "0", methods=["random_real"])
    assert sorted((suite.parent / "data").rglob("*")) == before


def test_progress_is_told_while_images_are_decoded(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_IMAGES_IN_MEMORY_GB", "0")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    resolved, _ = prepare(make_request(suite=suite, data_root=suite.parent / "data", methods=["full"], store=tmp_path))
    told = []
    real_images(resolved.context, "train", 16, report=lambda *progress: told.append(progress))
    assert told == [("decoding", 200, 200, "image")]
