"""Decoded files: whole or not there, made once by several processes, gone on with after a kill; rows equal those in memory."""

import errno
import multiprocessing
import os
import shutil
import signal
import time
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core.errors import UserError
from harness.data import decoded, open_source
from harness.data.decoded import DecodedFile
from harness.data.rows import FileRows, ResidentRows, memory_limit
from harness.data.split import Split

CLASSES = ("n1", "n0")


@pytest.fixture
def split(make_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "CHUNK_BYTES", 4 * 3 * 8 * 8)  # four images
    return open_source({"kind": "image_folder", "root": "set"}, CLASSES, make_tree(CLASSES, num_train=15)).split(
        "train"
    )


@pytest.fixture
def file(split):
    return DecodedFile.of(split, "train", "f" * 64, size=8, crop="resize")


def in_memory(split):
    return split.tensors(size=8, crop="resize")[0]


def rows_of(file):
    return FileRows(file.path, file.shape, len(file.header), "cpu")


def count_reads(monkeypatch):
    """Return a list that grows by the number of images of each read."""
    seen, read = [], Split.rows
    monkeypatch.setattr(
        Split, "rows", lambda self, start, stop, **how: (seen.append(stop - start), read(self, start, stop, **how))[1]
    )
    return seen


def test_the_file_holds_what_tensors_returns_and_numpy_can_map_it(split, file):
    told = []
    file.make(lambda *progress: told.append(progress))
    assert torch.equal(torch.from_numpy(np.load(file.path, mmap_mode="r").copy()), in_memory(split))
    assert told[-1] == ("decoding", 30, 30, "image")
    assert len(told) == 8
    assert file.path.stat().st_size == file.num_bytes
    assert file.missing_bytes() == 0
    assert [path.suffix for path in file.path.parent.iterdir() if path != file.path] == [".lock"]


def test_rows_of_a_file_are_those_of_the_tensor(split, file):
    file.make()
    images = in_memory(split)
    rows, resident = rows_of(file), ResidentRows(images)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert rows.shape == resident.shape == (30, 3, 8, 8)
    for ours, theirs in ((rows.batches(order, 7), resident.batches(order, 7)), (rows.split(8), resident.split(8))):
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)


def test_a_part_reads_its_images_from_the_file_of_the_whole_split(split, file):
    file.make()
    rest, held = split.holdout(0.2, seed=0)
    for part in (rest, held, split.restrict(["n0"])):
        rows = FileRows(file.path, file.shape, len(file.header), "cpu", split.rows_of(part))
        images, labels = part.tensors(size=8, crop="resize")
        assert torch.equal(torch.cat(list(rows.split(4))), images)
        assert torch.equal(part.row_labels(), labels)
    with pytest.raises(ValueError, match=r"class 'n1': images .* are not in the split"):
        rest.rows_of(held)


def test_a_finished_file_is_not_decoded_again(file, monkeypatch):
    file.make()
    read = count_reads(monkeypatch)
    file.make()
    assert read == [1, 1, 1, 1], "a few images are compared"


def test_a_file_of_other_images_or_cut_short_is_made_anew(split, file):
    file.make()
    whole = file.path.read_bytes()
    for damaged in (whole[:-1], whole[: len(file.header)] + bytes(len(whole) - len(file.header))):
        file.path.write_bytes(damaged)
        file.make()
        assert file.path.read_bytes() == whole


def test_a_killed_decode_goes_on_where_it_stopped(file, monkeypatch):
    """What was not flushed to the disk for certain, one chunk, is decoded again."""

    def stop(stage, done, total, unit):
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        file.make(stop)
    assert not file.is_here()
    assert 0 < file.missing_bytes() <= 10 * file.row_bytes
    read = count_reads(monkeypatch)
    file.make()
    assert sum(read) == 14
    monkeypatch.undo()
    np.testing.assert_array_equal(np.load(file.path), in_memory(file.split).numpy())


def _decode_slowly(file, seconds, log):
    def wait(stage, done, total, unit):
        with log.open("a") as out:
            out.write(f"{os.getpid()} {stage} {done}\n")
        time.sleep(seconds)

    file.make(wait)


def test_of_two_processes_one_decodes_and_a_kill_passes_the_work_on(file, tmp_path):
    log = tmp_path / "log"
    log.touch()
    spawn = multiprocessing.get_context("fork")
    first, second = (spawn.Process(target=_decode_slowly, args=(file, 0.1, log)) for _ in range(2))
    first.start()
    while "decoding" not in log.read_text():
        time.sleep(0.01)
    second.start()
    while "decoding elsewhere" not in log.read_text():
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join(60)
    assert second.exitcode == 0
    assert f"{second.pid} decoding 30" in log.read_text()
    np.testing.assert_array_equal(np.load(file.path), in_memory(file.split).numpy())


def test_without_locks_each_process_writes_a_file_of_its_own(file, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    parts = set()
    file.make(lambda *_: parts.update(part.name for part in file._parts()))
    assert len(parts) == 1
    assert f".{os.getpid()}.part" in parts.pop()
    assert file.is_here()


def test_a_disk_without_room_is_said_before_anything_is_decoded(file, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    read = count_reads(monkeypatch)
    with pytest.raises(UserError, match=r"30 decoded images of 8 pixels take 5\.8 KiB, but only 1000 B are free"):
        file.make()
    assert read == []


def test_a_disk_that_fills_up_meanwhile_is_said_as_well(file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(decoded, "_append", full)
    with pytest.raises(UserError, match="Free some space, or set HARNESS_CACHE to another folder"):
        file.make()
    monkeypatch.undo()


def test_a_cache_folder_that_cannot_be_written_is_said(file, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"decoded images cannot be written to .*Set HARNESS_CACHE to another folder"):
        replace(file, path=tmp_path / "file" / "decoded" / "x.npy").make()


def test_a_broken_image_is_named(split, file, tmp_path):
    path = tmp_path / "data" / "set" / "train" / "n0" / "14.jpg"
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"14\.jpg: not an image of a known format"):
        file.make()
    Image.new("RGB", (9, 9)).save(path)
    file.make()
    assert file.is_here()


def test_a_file_that_shrinks_while_it_is_read_is_said(file):
    file.make()
    rows = rows_of(file)
    os.truncate(file.path, file.num_bytes // 2)
    with pytest.raises(UserError, match="is shorter than before"):
        list(rows.split(4))


def test_side_crop_split_and_fingerprint_have_files_of_their_own(split, file):
    others = [
        DecodedFile.of(split, *about, size=size, crop=crop)
        for about, size, crop in (
            (("train", "f" * 64), 16, "resize"),
            (("train", "f" * 64), 8, "margin"),
            (("test", "f" * 64), 8, "resize"),
            (("train", "e" * 64), 8, "resize"),
        )
    ]
    assert len({other.path for other in [file, *others]}) == 5
    assert DecodedFile.of(split, "train", "f" * 64, size=8, crop="resize") == file


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, text):
    monkeypatch.setenv("HARNESS_IMAGES_IN_MEMORY_GB", text)
    with pytest.raises(UserError, match="expected a number of GB, 0 or more"):
        memory_limit()
    monkeypatch.setenv("HARNESS_IMAGES_IN_MEMORY_GB", "0.5")
    assert memory_limit() == 500_000_000
