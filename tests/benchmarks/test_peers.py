"""`python -m tests.benchmarks.peers` against a small stand-in for an authors' checkout, and what it refuses."""

import json
import subprocess
import sys
import textwrap

import pytest

from tests.benchmarks.peers.__main__ import main, markdown
from tests.helpers.support import ROOT

UTILS = """
import torch
from scipy.ndimage.interpolation import rotate

class ParamDiffAug:
    pass

def DiffAugment(images, strategy, seed, param):
    assert strategy == "color_crop_cutout_flip_scale_rotate"
    return images

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, device="cpu").to("cuda").cuda())

    def embed(self, images):
        print("this goes to the log")
        return images.flatten(1)[:, :4] * self.weight

def get_network(name, channels, classes, size):
    return Net()
"""


@pytest.fixture
def authors(tmp_path):
    folder = tmp_path / "dc"
    folder.mkdir()
    (folder / "main_DM.py").write_text("")
    (folder / "utils.py").write_text(textwrap.dedent(UTILS))
    return folder


def test_both_sides_are_timed_in_turns_and_the_table_has_their_ratio(authors, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.benchmarks.peers", "--dc", authors, "--out", out, "--device", "cpu"]
    options = ["--share", "0.04", "--rounds", "2"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    (row,) = json.loads((out / "peers.json").read_text())["rows"]
    assert row["what"] == "DM: an update, 10 classes, IPC 10, 10 real images, 32 pixels"
    assert {way: len(all_) for way, all_ in row["all"].items()} == {"authors": 2, "float32": 2, "bfloat16": 2}
    assert row["ratio"]["float32"] == pytest.approx(row["seconds"]["authors"] / row["seconds"]["float32"])
    assert (out / "peers.md").read_text() in done.stdout
    assert "this goes to the log" in (out / "log.txt").read_text()


def test_what_is_spent_once_counts_for_ours_only():
    row = {"what": "a step", "seconds": {"authors": 6.0, "float32": 2.0}, "ratio": {"float32": 3.0}}
    about = {"device": "cpu", "device_name": "a CPU", "num_threads": 1, "rounds": 3, "packages": {"torch": "2"}}
    text = markdown({"environment": about, "rows": [row]})
    assert "median CPU seconds of 3 rounds" in text
    assert "| a step | 6 s       | 2 s (3.0x) |" in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "no checkout: give at least one of --minimax, --dc, --rded"),
        (["--rded", "{folder}"], "no synthesize/utils.py there; expected a checkout of the authors' repository"),
    ],
)
def test_a_folder_that_is_no_checkout_is_told(given, told, authors, capsys):
    assert main([word.format(folder=authors) for word in given]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.drill
def test_code_that_fails_is_told_with_where_to_look(authors, tmp_path, capsys):
    (authors / "utils.py").write_text("raise RuntimeError('their own fault')")
    assert main(["--dc", str(authors), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "log.txt in the output folder tells" in capsys.readouterr().err
    assert "their own fault" in (tmp_path / "out" / "log.txt").read_text()
