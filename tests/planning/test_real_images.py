"""A dry run says what real images take, in memory and on the disk, and a run is refused where they do not fit."""

import shutil
from collections import namedtuple

import pytest

from harness.api.run import prepare
from harness.core.errors import UserError
from harness.data.rows import LIMIT
from harness.jobs.context import real_images
from harness.planning.preflight import check_disk
from harness.planning.real_images import describe_images, host_memory, trainings
from harness.planning.request import make_request

TRAIN, TEST, ROW = 1257, 540, 3 * 16 * 16
"""Digits of each split, and the bytes of one as students of the tiny suite see it."""


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def planned(tiny_suite, tmp_path, methods=("full",), **fields):
    return prepare(make_request(suite=tiny_suite, methods=methods, store=tmp_path / "none", **fields))


def test_a_dry_run_says_what_is_decoded_where_and_how_much_memory_it_takes(tiny_suite, tmp_path, monkeypatch, cli):
    monkeypatch.setenv(LIMIT, "0")
    arguments = ("run", "--suite", tiny_suite, "--methods", "full", "--store", tmp_path / "none", "--dry-run")
    out = " ".join(cli(*arguments)[1].split())
    for split, num in (("train", TRAIN), ("test", TEST)):
        assert f"decoded/{split}-16-resize-" in out
        size = (128 + num * ROW) / 1024
        assert (
            f"takes {size:.1f} KiB of disk ({num:,} images at 16 px, above {LIMIT}=0); {size:.1f} KiB still have" in out
        )
    assert (
        "host memory: students on all real images (1 job): up to 1.5 GiB per job, plus the network's activations" in out
    )
    assert not (tmp_path / "cache").exists()


def test_files_that_are_there_are_said_to_be_there(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT, "0")
    resolved, plan = planned(tiny_suite, tmp_path)
    for split in ("train", "test"):
        real_images(resolved.context, split, 16)
    lines = describe_images(resolved, plan)
    assert [line.endswith("; exists") for line in lines] == [True, True, False]


def test_within_the_limit_nothing_is_decoded_and_full_trainings_say_their_memory(tiny_suite, tmp_path):
    lines = describe_images(*planned(tiny_suite, tmp_path, methods=("full", "random_real")))
    assert len(lines) == 1
    assert lines[0].startswith("host memory: students on all real images (1 job): up to")
    assert describe_images(*planned(tiny_suite, tmp_path, methods=("random_real",))) == []


def test_a_teacher_that_is_trained_counts_and_given_weights_do_not(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT, "0")
    resolved, plan = planned(tiny_suite, tmp_path, methods=("random_real",), protocol="rded")
    about = [line.partition(" (")[0] for line in describe_images(resolved, plan) if line.startswith("host memory")]
    assert sorted(about) == ["host memory: students on a distilled set", "host memory: the teacher"]
    teacher = next(job for job in plan.jobs.values() if job.kind == "teacher")
    teacher.spec["teacher"] = {**teacher.spec["teacher"], "epochs": None, "weights": "teacher.pt"}
    assert teacher not in trainings(resolved, plan)


def test_images_in_memory_count_and_images_in_a_file_do_not(tiny_suite, tmp_path, monkeypatch):
    resolved, plan = planned(tiny_suite, tmp_path)
    job = trainings(resolved, plan)[0]
    held = host_memory(resolved, job)
    monkeypatch.setenv(LIMIT, "0")
    for split in ("train", "test"):
        real_images(resolved.context, split, 16)
    assert held - host_memory(resolved, job) == (TRAIN + TEST) * ROW


def test_a_disk_too_small_for_decoded_images_is_refused(tiny_suite, tmp_path, monkeypatch):
    """The store's and the cache's folder lie on one disk here: what both need counts together."""
    monkeypatch.setenv(LIMIT, "0")
    usage = namedtuple("usage", "total used free")
    resolved, plan = planned(tiny_suite, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 65 * 2**20))
    expected = r"540 decoded images take 405\.1 KiB and .*1,257 decoded images take .* but only 65\.0 MiB are free"
    with pytest.raises(UserError, match=f"{expected}.*Set HARNESS_CACHE to another folder"):
        check_disk(resolved, plan)
    monkeypatch.setenv(LIMIT, "1")
    check_disk(resolved, plan)


def test_a_limit_that_is_no_size_ends_the_command(tiny_suite, tmp_path, monkeypatch, cli):
    monkeypatch.setenv(LIMIT, "lots")
    code, _, err = cli("run", "--suite", tiny_suite, "--methods", "full", "--store", tmp_path / "none")
    assert code == 2
    assert "HARNESS_IMAGES_IN_MEMORY_GB='lots': expected a number of GB" in " ".join(err.split())
    assert not (tmp_path / "none").exists()
