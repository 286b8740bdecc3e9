"""A download arrives whole and checked, or says why not; what broke off is continued, never mixed with a different file."""

import hashlib
import os

import pytest

from harness.core.errors import UserError
from harness.core.progress import no_progress
from harness.data.dataset_cards import Archive
from harness.data.fetch.http import ATTEMPTS, download, verify
from tests.helpers.archive_server import serve

CONTENT = os.urandom(3 * 1024 * 1024 + 17)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Nobody waits; what would have been waited is noted."""
    noted = []
    monkeypatch.setattr("harness.data.fetch.http._wait", noted.append)
    return noted


def archive(url, **fields):
    return Archive(**{"url": url, "num_bytes": len(CONTENT), "md5": MD5} | fields)


def test_a_file_arrives_with_progress(tmp_path):
    seen = []
    with serve(CONTENT) as (url, _):
        download(archive(url), tmp_path / "a.tgz", lambda *step: seen.append(step))

    assert (tmp_path / "a.tgz").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["a.tgz"]
    assert seen[-1] == ("downloading", len(CONTENT), len(CONTENT), "byte")


def test_a_dropped_connection_is_resumed_where_it_broke_off(tmp_path, waits):
    with serve(CONTENT) as (url, how):
        how.drops = [1_000_000, 500_000]
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert (tmp_path / "a.tgz").read_bytes() == CONTENT
    assert how.requests == [(None, 200), ("bytes=1000000-", 206), ("bytes=1500000-", 206)]
    assert waits


def test_a_server_that_cannot_resume_sends_the_file_again(tmp_path):
    with serve(CONTENT) as (url, how):
        how.ranges, how.drops = False, [1_000_000]
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert (tmp_path / "a.tgz").read_bytes() == CONTENT
    assert [status for _, status in how.requests] == [200, 200]


def test_a_connection_that_breaks_for_good_keeps_what_arrived_for_the_next_time(tmp_path, waits):
    with serve(CONTENT) as (url, how):
        how.drops = [1_000_000] + [0] * ATTEMPTS
        with pytest.raises(UserError, match=r"failed 5 times .* 976\.6 KiB are kept .* to resume"):
            download(archive(url), tmp_path / "a.tgz", no_progress)
        assert not (tmp_path / "a.tgz").exists()
        assert waits == sorted(waits)
        how.requests.clear()
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert how.requests == [("bytes=1000000-", 206)]
    assert (tmp_path / "a.tgz").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old_part(tmp_path):
    new = CONTENT[::-1]
    with serve(CONTENT) as (url, how):
        how.drops = [1_000_000] + [0] * ATTEMPTS
        with pytest.raises(UserError):
            download(archive(url), tmp_path / "a.tgz", no_progress)
        how.content, how.etag, how.drops = new, '"2"', []
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert (tmp_path / "a.tgz").read_bytes() == new


@pytest.mark.parametrize("junk", [b"x" * (len(CONTENT) + 5), b"not ours"])
def test_a_part_that_nothing_vouches_for_is_thrown_away(tmp_path, junk):
    (tmp_path / "a.tgz.part").write_bytes(junk)
    with serve(CONTENT) as (url, how):
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert how.requests == [(None, 200)]
    assert (tmp_path / "a.tgz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_starts_anew(tmp_path):
    with serve(CONTENT) as (url, how):
        how.sends_length = False
        (tmp_path / "a.tgz.part").write_bytes(CONTENT + b"more")
        (tmp_path / "a.tgz.part.json").write_text(f'{{"url": "{url}", "validator": "", "total": null}}')
        download(archive(url, num_bytes=None), tmp_path / "a.tgz", no_progress)

    assert [status for _, status in how.requests] == [416, 200]
    assert (tmp_path / "a.tgz").read_bytes() == CONTENT


def test_a_file_of_another_length_is_refused_before_it_is_downloaded(tmp_path):
    with serve(CONTENT) as (url, _), pytest.raises(UserError, match=r"offers 3,145,745 bytes .* expected 3,145,700"):
        download(archive(url, num_bytes=3_145_700), tmp_path / "a.tgz", no_progress)

    assert not list(tmp_path.iterdir())


def test_a_length_that_is_announced_and_never_comes_gives_up(tmp_path):
    with serve(CONTENT) as (url, how):
        how.announced, how.ranges = len(CONTENT) + 10, False
        with pytest.raises(UserError, match="it ended after 3,145,745 of 3,145,755 bytes"):
            download(archive(url, num_bytes=None), tmp_path / "a.tgz", no_progress)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_told_at_once(tmp_path, status):
    with serve(CONTENT) as (url, how):
        how.status, how.num_errors = status, -1
        with pytest.raises(UserError, match=f"HTTP {status}"):
            download(archive(url), tmp_path / "a.tgz", no_progress)

    assert len(how.requests) == 1
    assert not list(tmp_path.iterdir())


def test_a_busy_server_is_asked_again(tmp_path):
    with serve(CONTENT) as (url, how):
        how.status, how.num_errors = 503, 2
        download(archive(url), tmp_path / "a.tgz", no_progress)

    assert [status for _, status in how.requests] == [503, 503, 200]


def test_without_a_network_the_message_names_another_way(tmp_path):
    with serve(CONTENT) as (url, _):
        pass  # the port is closed again
    with pytest.raises(UserError, match=r"cannot be reached .* --archive"):
        download(archive(url), tmp_path / "a.tgz", no_progress)


def test_a_disk_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "a.tgz.part").mkdir()
    with serve(CONTENT) as (url, _), pytest.raises(UserError, match="cannot be written"):
        download(archive(url), tmp_path / "a.tgz", no_progress)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_bytes": len(CONTENT) + 1}, "truncated"),
        ({"num_bytes": len(CONTENT) - 1}, "a different file"),
        ({"md5": "0" * 32}, f"MD5 is {MD5}, expected 000"),
        ({"sha256": "0" * 64}, "SHA-256 is .* expected 000"),
    ],
    ids=["longer", "shorter", "md5", "sha256"],
)
def test_a_wrong_file_is_told_by_length_or_checksum(tmp_path, change, told):
    (tmp_path / "a.tgz").write_bytes(CONTENT)
    with pytest.raises(UserError, match=told):
        verify(tmp_path / "a.tgz", archive("http://127.0.0.1/a.tgz", **change), no_progress)


def test_without_a_declared_checksum_later_downloads_must_match_the_first(tmp_path):
    path, record = tmp_path / "a.tgz", tmp_path / "a.tgz.sha256"
    unknown = Archive(url="http://127.0.0.1/a.tgz")
    path.write_bytes(CONTENT)
    first = verify(path, unknown, no_progress, record=record)
    assert verify(path, unknown, no_progress, record=record) == first == hashlib.sha256(CONTENT).hexdigest()
    path.write_bytes(b"another")
    with pytest.raises(UserError, match="the first download's was"):
        verify(path, unknown, no_progress, record=record)
