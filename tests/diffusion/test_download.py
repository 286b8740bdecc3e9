"""Weights that are not on this machine: what is fetched, how progress is told, and what is said when nothing comes."""

import shutil
from collections import namedtuple

import pytest

from harness.core import hub as hub_files
from harness.core.errors import UserError
from harness.diffusion import download
from harness.diffusion.generator import ClassConditionalGenerator
from harness.diffusion.loading import is_complete, locate
from tests.helpers.hub import COMMIT, serve

REPO = "someone/tiny-dit"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub client, and no hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    return tmp_path / "hub"


@pytest.fixture
def hub(folder, tmp_path, cache, monkeypatch):
    """A hub that has the tiny generator, with copies of its weights in other formats."""
    there = shutil.copytree(folder, tmp_path / "served")
    for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.safetensors"):
        (there / "transformer" / name).write_bytes(b"not read")
    with serve({REPO: there}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield asked


def test_a_hub_id_is_downloaded_with_progress_and_then_found_without_the_hub(hub, cache, monkeypatch):
    told = []
    monkeypatch.setattr(download, "MB", 1000)  # a tiny pipeline has no megabyte
    first = locate(REPO, report=lambda *entry: told.append(entry))
    num_asked = len(hub)
    again = locate(REPO)

    stage, done, total, unit = told[-1]
    assert (stage, unit) == ("download", "MB")
    assert done == total > 0
    assert first == again == hub_files.snapshot(REPO, COMMIT)
    assert len(hub) == num_asked, "the second time nothing is asked"


def test_of_several_formats_only_the_one_that_is_read_is_fetched(hub, cache):
    found = sorted(f.name for f in (locate(REPO, report=lambda *_: None) / "transformer").iterdir())
    assert found == ["config.json", "diffusion_pytorch_model.safetensors"]


def test_a_downloaded_pipeline_is_the_folder(hub, cache, folder):
    loaded = ClassConditionalGenerator.load(REPO, class_labels={"a": 0}, device="cpu", report=lambda *_: None)
    ours = ClassConditionalGenerator.load(folder, class_labels={"a": 0}, device="cpu")
    assert all((p == q).all() for p, q in zip(loaded.model.parameters(), ours.model.parameters(), strict=True))


def test_a_download_that_was_cut_short_is_completed(hub, cache):
    snapshot = locate(REPO, report=lambda *_: None)
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert not is_complete(snapshot)

    assert is_complete(locate(REPO, report=lambda *_: None))


def test_a_hub_that_cannot_be_reached_is_told_with_what_to_do(cache):
    with pytest.raises(
        UserError,
        match=r"someone/other: not on this machine, and the download from the model hub failed .*--weights-root",
    ):
        locate("someone/other", report=lambda *_: None)


def test_an_unknown_repository_is_told(hub):
    with pytest.raises(UserError, match=r"someone/other: not on this machine, .*Check the spelling"):
        locate("someone/other", report=lambda *_: None)


def test_offline_mode_asks_nobody_and_says_so(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE disables downloads"):
        locate(REPO)
    assert hub_files.newest_commit(REPO, None) is None
    assert not hub


def test_a_full_disk_is_told_before_the_download(hub, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage(1000, 1000, 0))
    with pytest.raises(UserError, match=r"the download needs .* only 0 MB are free.*HF_HOME"):
        locate(REPO)
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.bin", "a.safetensors"], ["a.safetensors"]),
        (["x/a.bin", "y/a.safetensors"], ["x/a.bin", "y/a.safetensors"]),
        (["a.fp16.safetensors", "a.bin"], ["a.bin"]),
        (["a.non_ema.safetensors", "b.ckpt", "config.json"], ["config.json"]),
    ],
)
def test_one_format_of_each_part_is_chosen(names, expected):
    assert download.chosen(names, ["*"]) == expected
