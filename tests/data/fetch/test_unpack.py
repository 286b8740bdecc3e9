"""An archive can put files below its own folder and nowhere else, whatever it says."""

import gzip
import io
import tarfile

import pytest

from harness.core.errors import UserError
from harness.core.progress import no_progress
from harness.data.fetch.unpack import unpack
from tests.helpers.archive_server import files, tgz


def open_archive(tmp_path, content):
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    (tmp_path / "a.tgz").write_bytes(content)
    unpack(tmp_path / "a.tgz", into, "tiny2", no_progress)
    return into


def member(name, kind=tarfile.REGTYPE, link=""):
    """Return a change that adds a member of one byte."""

    def add(tar):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        info.size = 1 if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"x"))

    return add


def test_files_come_out_as_they_were_put_in(tmp_path):
    steps = []
    (tmp_path / "a.tgz").write_bytes(tgz({f"./{n}": c for n, c in files().items()}, member("tiny2/noisy_labels.csv")))
    unpack(tmp_path / "a.tgz", tmp_path, "tiny2", lambda *step: steps.append(step))

    assert all((tmp_path / name).read_bytes() == content for name, content in files().items())
    assert steps[-1][0] == "unpacking"
    assert steps[-1][1] == steps[-1][2] == (tmp_path / "a.tgz").stat().st_size


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (member("tiny2/../../evil"), "would be outside"),
        (member("../evil"), "would be outside"),
        (member("/tmp/evil"), "would be outside"),
        (member("tiny2\\..\\evil"), "would be outside"),
        (member("C:/evil"), "would be outside"),
        (member("elsewhere/evil"), "is outside tiny2/"),
        (member("evil"), "is outside tiny2/"),
        (member("tiny2/evil", tarfile.SYMTYPE, "/etc/passwd"), "is a symbolic link"),
        (member("tiny2/evil", tarfile.SYMTYPE, "train"), "is a symbolic link"),
        (member("tiny2/evil", tarfile.LNKTYPE, "tiny2/train/n01/n01_0.JPEG"), "is a hard link"),
        (member("tiny2/evil", tarfile.CHRTYPE), "is not a regular file"),
        (member("tiny2/evil", tarfile.FIFOTYPE), "is not a regular file"),
    ],
)
def test_what_a_data_set_never_needs_is_refused_and_named(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        open_archive(tmp_path, tgz(files(), change))
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_that_is_cut_off_is_damaged(tmp_path, share):
    whole = tgz(files())
    with pytest.raises(UserError, match="damaged or truncated"):
        open_archive(tmp_path, whole[: int(share * len(whole))])


@pytest.mark.parametrize(
    "content", [b"<html>no such file</html>", gzip.compress(b"no tar" * 1000)], ids=["page", "gzip"]
)
def test_something_else_is_no_archive(tmp_path, content):
    with pytest.raises(UserError, match="damaged or truncated"):
        open_archive(tmp_path, content)


def test_flipped_bytes_are_noticed(tmp_path):
    content = bytearray(tgz(files()))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(UserError, match="damaged or truncated"):
        open_archive(tmp_path, bytes(content))


def test_an_archive_of_something_else_is_told(tmp_path):
    with pytest.raises(UserError, match="has no folder 'tiny2'"):
        open_archive(tmp_path, tgz({}))
