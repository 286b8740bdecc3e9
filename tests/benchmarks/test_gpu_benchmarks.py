"""`python -m tests.benchmarks.gpu`: every part runs at a small size, without a network, and says what it measured."""

import json
import subprocess
import sys

import pytest
import torch

from tests.helpers.support import ROOT


def bench(*arguments):
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--size", "tiny", "--device", "cpu", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    done = bench("--out", out, "--calls", 1, "--threads", 1)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "speed.json").read_text()), (out / "speed.md").read_text(), done.stdout


def test_every_part_is_measured_in_both_precisions(measured):
    rows = measured[0]["rows"]
    assert {(r["part"], r["precision"]) for r in rows} == {
        (part, precision) for part in ("finetune", "sampling", "students") for precision in ("float32", "bfloat16")
    } | {("vae", "float32")}
    assert {r["batch"] for r in rows if r["part"] == "sampling"} == {1, 4}
    assert sum("10 convnet3 16 pixels as one" in r["what"] for r in rows) == 2
    for row in rows:
        assert row["wall_s"] > 0
        assert row["images_per_s"] == pytest.approx(row["num_images"] / row["wall_s"])
        assert 0 < row["peak_share"] < 10, "other work slows the peak or the part; a wrong count is further off"
        assert row["peak_device_mb"] is None


def test_the_report_names_device_versions_and_peaks(measured):
    found, text, printed = measured
    assert set(found["peak_tflops"]) == {"float32", "bfloat16"}
    assert found["environment"]["device_name"] in text
    assert found["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert text.count("\n|") == len(found["rows"]) + 2
    assert text in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--parts", "sampling,training"], "expected some of finetune, sampling, vae, students"),
        (["--batches", "8,0"], "'0' is no whole number from 1"),
        (["--size", "huge"], "invalid choice"),
    ],
)
def test_a_wrong_option_is_told(arguments, told, capsys):
    from tests.benchmarks.gpu.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_told(capsys, monkeypatch, tmp_path):
    from harness.core import environment
    from tests.benchmarks.gpu.__main__ import main

    monkeypatch.setattr(environment, "has_cuda", lambda: False)
    assert main(["--device", "cuda", "--out", str(tmp_path / "o")]) == 2
    assert "no usable CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_operations_of_xl_are_those_of_its_paper():
    """Peebles and Xie, Table 4: DiT-XL/2 at 256 pixels has 118.64 Gflops, counting a multiplication with its addition as one."""
    from harness.diffusion.dit import DiT, DiTConfig
    from tests.benchmarks.gpu.timing import operations

    with torch.device("meta"):
        model = DiT(DiTConfig()).to("meta")
        x, t, y = torch.empty(1, 4, 32, 32), torch.empty(1), torch.empty(1, dtype=torch.long)
    with torch.no_grad():
        assert operations(lambda: model(x, t, y)) / 2 == pytest.approx(118.64e9, rel=0.01)
