"""Download one file: resumed where it broke off, checked before it gets its name.

In: an `Archive` and a path. Out: the file, whole and with the declared checksum, or a message. While it is on its way the
file is called NAME.part, with NAME.part.json beside it, which says which remote file it is a part of: bytes of two
versions are never joined.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.io import write_text_atomically
from harness.core.progress import BYTE, ProgressCallback
from harness.core.text import byte_size
from harness.data.dataset_cards import Archive

ATTEMPTS = 5
"""Connections without a single new byte after which the download gives up."""


TIMEOUT_S = 60.0
"""Seconds of silence after which a connection counts as broken."""


_CHUNK = 1 << 20


_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


_NO_CONNECTION = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)


class RetryableError(Exception):
    """The connection broke off; another may do better."""


class UnreachableError(RetryableError):
    """No connection came about, for a reason that waiting seldom cures."""


def download(archive: Archive, target: Path, report: ProgressCallback) -> None:
    """Bring a file here; what an earlier, broken download left is continued.

    Args:
        archive: address and length.
        target: path that the whole file gets; its folder exists.
        report: told the progress.

    Raises:
        UserError: the server refuses, offers a file of another length, or breaks off again and again; what arrived is
            kept for the next time, unless it belongs to another file.
    """
    part, failures = target.with_name(target.name + ".part"), 0
    begun = best = _size(part)
    while True:
        try:
            total = _connect(archive, part, report)
            break
        except UnreachableError as error:
            if best == begun:
                raise UserError(
                    f"{archive.url} cannot be reached ({error}). Without network access, copy {archive.file_name} to "
                    "this machine and pass it with --archive."
                ) from None
            broken: Exception = error
        except RetryableError as error:
            broken = error
        except OSError as error:
            raise UserError(
                f"{part}: cannot be written: {error.strerror or error}. The received part is kept."
            ) from None
        failures = 0 if _size(part) > best else failures + 1
        best = max(best, _size(part))
        if failures >= ATTEMPTS:
            raise UserError(
                f"{archive.url}: the connection failed {failures} times without progress ({broken}). "
                f"{byte_size(_size(part))} are kept in {part}; run the same command again to resume."
            )
        _wait(min(30.0, 2.0**failures))
    if total is not None and _size(part) != total:
        found = _size(part)
        _discard(part)
        raise UserError(f"{archive.url}: received {found:,} of {total:,} bytes. Try again.")
    part.replace(target)
    _mark(part).unlink(missing_ok=True)


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def verify(path: Path, archive: Archive, report: ProgressCallback, *, record: Path | None = None) -> str:
    """Check a downloaded file against what is declared; return its SHA-256 (hex).

    Args:
        path: the file; it is left as it is.
        archive: declared length and checksums.
        report: told the progress.
        record: where no checksum is declared: a file that remembers the first download's, which later ones must match.

    Raises:
        UserError: length or checksum differ.
    """
    found = _size(path)
    if archive.num_bytes is not None and found != archive.num_bytes:
        raise UserError(
            f"{path} has {found:,} bytes, {archive.file_name} has {archive.num_bytes:,}: it is "
            f"{'truncated' if found < archive.num_bytes else 'a different file'}."
        )
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            md5.update(block)
            sha256.update(block)
            done += len(block)
            report("checking", done, found, BYTE)
    for name, declared, own in (("MD5", archive.md5, md5.hexdigest()), ("SHA-256", archive.sha256, sha256.hexdigest())):
        if declared is not None and declared != own:
            raise UserError(
                f"{path}: {name} is {own}, expected {declared}. The file is damaged or a different version; nothing "
                "was unpacked. If its publisher replaced it on purpose, update the data set's YAML."
            )
    if archive.md5 is None and archive.sha256 is None and record is not None:
        _compare_with_first(path, sha256.hexdigest(), record)
    return sha256.hexdigest()


def _compare_with_first(path: Path, own: str, record: Path) -> None:
    if not record.exists():
        write_text_atomically(record, own + "\n")
    elif (first := record.read_text(encoding="utf-8").strip()) != own:
        raise UserError(
            f"{path}: SHA-256 is {own}; the first download's was {first} ({record}), and no checksum is known to "
            "decide which one is right. Delete that file to accept this one."
        )


def _connect(archive: Archive, part: Path, report: ProgressCallback) -> int | None:
    """Open one connection and write what it brings; return the file's length, if it is known.

    Raises:
        RetryableError: it broke off or the server is busy.
        UserError: it makes no sense to go on.
    """
    have, known = _resumable(archive, part)
    if known is not None and have == known:
        return known
    request = urllib.request.Request(archive.url, headers={"User-Agent": "distillation-harness"})
    if have:
        mark = _read_mark(part)
        request.add_header("Range", f"bytes={have}-")
        if mark.get("validator"):
            request.add_header("If-Range", mark["validator"])
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return _receive(archive, answer, part, have, report)
    except urllib.error.HTTPError as error:
        with error:
            _refused(archive, error, part)
    except _BROKEN as error:
        reason = getattr(error, "reason", error)
        kind = UnreachableError if isinstance(reason, _NO_CONNECTION) else RetryableError
        raise kind(str(reason) or type(reason).__name__) from None
    raise AssertionError("_refused always raises")


def _refused(archive: Archive, error: urllib.error.HTTPError, part: Path) -> None:
    if error.code == 416:  # our part is longer than the file: it is of another one
        _discard(part)
        raise RetryableError("the server does not have this byte range")
    if error.code in (408, 429) or error.code >= 500:
        raise RetryableError(f"HTTP {error.code} {error.reason}")
    raise UserError(f"{archive.url}: the server answers HTTP {error.code} {error.reason}; nothing was downloaded.")


def _receive(archive: Archive, answer: Any, part: Path, have: int, report: ProgressCallback) -> int | None:
    start, total = _place(answer)
    if start != have:  # 200 instead of 206: the server does not resume, or the file has changed
        have = 0
    if start not in (0, have):
        _discard(part)
        raise RetryableError("the server sent a different byte range than requested")
    if archive.num_bytes is not None and total is not None and total != archive.num_bytes:
        raise UserError(
            f"{archive.url}: the server offers {total:,} bytes "
            f"({answer.headers.get('Content-Type', 'of no stated type')}), expected {archive.num_bytes:,}. It is a "
            "different file or an error page; nothing was downloaded."
        )
    etag = answer.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
    about = {"url": archive.url, "validator": validator, "total": total}
    write_text_atomically(_mark(part), json.dumps(about))
    with part.open("ab" if have else "wb") as file:
        while True:
            try:
                block = answer.read1(_CHUNK)
            except _BROKEN as error:
                raise RetryableError(str(error) or type(error).__name__) from None
            if not block:
                break
            file.write(block)
            have += len(block)
            report("downloading", have, total or archive.num_bytes or 0, BYTE)
    if total is not None and have < total:
        raise RetryableError(f"it ended after {have:,} of {total:,} bytes")
    return total


def _place(answer: Any) -> tuple[int, int | None]:
    """Return the position of an answer's first byte in the file, and the file's length if the server tells."""
    length = answer.headers.get("Content-Length")
    if answer.status != 206:
        return 0, int(length) if length is not None and length.isdigit() else None
    span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else None


def _resumable(archive: Archive, part: Path) -> tuple[int, int | None]:
    """Return the bytes that can be kept and the length of the file they belong to; what belongs to another is dropped."""
    mark = _read_mark(part)
    total = mark.get("total")
    if mark.get("url") != archive.url or (archive.num_bytes is not None and total not in (None, archive.num_bytes)):
        _discard(part)
        return 0, None
    return _size(part), total


def _read_mark(part: Path) -> dict[str, Any]:
    try:
        mark = json.loads(_mark(part).read_text(encoding="utf-8"))
        return mark if isinstance(mark, dict) else {}
    except (OSError, ValueError):
        return {}


def _mark(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
