"""Random real: which images it takes, through the listing and decoding of a folder of images."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.core.classes import ClassInfo
from harness.core.plugin.task import Task
from harness.data import RealImages, open_source
from methods.random_real import RandomReal

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "protocol.json").read_text())["selection_first_files"]


def task_of(root, names, seed=0):
    """A task of one class, "c", whose file number i, as `names` has it, is an image of the grey level i."""
    folder = root / "set" / "train" / "c"
    folder.mkdir(parents=True, exist_ok=True)
    for grey, name in enumerate(names):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(folder / name, format="PNG")
    split = open_source({"kind": "image_folder", "root": "set"}, ("c",), root).split("train")
    device = torch.device("cpu")
    real = RealImages(split, size=8, device=device)
    return Task((ClassInfo("c", 0, "c"),), real, 8, device, seed, ("synthesize", "random_real"), None)


def greys(task, ipc, **options):
    """The files taken, by their grey levels."""
    images = RandomReal(RandomReal.Config(**options)).synthesize(task, None, ipc).images["c"]
    assert images.shape == (ipc, 3, 8, 8)
    return images[:, 0, 4, 4].tolist()


@pytest.mark.parametrize("ipc", [1, 10, 20, 50])
def test_first_files_are_the_ones_that_the_reference_calls_random(tmp_path, ipc):
    found = greys(task_of(tmp_path, [f"{i}.png" for i in range(100)]), ipc, order="first_files")
    assert [f"{i}.png" for i in found] == GOLDEN["picked_per_class"][str(ipc)]


def test_first_files_stand_in_byte_order(tmp_path):
    example = GOLDEN["second_example"]
    found = greys(task_of(tmp_path, example["available"]), example["ipc"], order="first_files")
    assert [example["available"][i] for i in found] == example["picked"]


def test_by_default_the_seed_decides_and_no_image_comes_twice(tmp_path):
    names = [f"{i}.png" for i in range(40)]
    first, again = (greys(task_of(tmp_path, names), 20) for _ in range(2))
    other = greys(task_of(tmp_path, names, seed=1), 20)
    assert first == again != other
    assert len(set(first)) == 20
    assert first != greys(task_of(tmp_path, names), 20, order="first_files")
    assert greys(task_of(tmp_path, names), 10) == first[:10], "a smaller set is the head of a larger one"


def test_a_small_class_is_taken_whole_before_any_repeats(tmp_path):
    for order in ("random", "first_files"):
        found = greys(task_of(tmp_path, ["a.png", "b.png", "c.png"]), 7, order=order)
        assert sorted(found[:3]) == [0, 1, 2]
        assert found[3:] == (found[:3] * 2)[:4]
