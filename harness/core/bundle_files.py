"""The files of a bundle, a run to send: one zip or one folder with the same files, opened as data of a stranger.

In: a path that anybody may have sent. Out: names and bytes that agree with the list in MANIFEST.json, or one message. Nothing
is written. Names stand on a list of places; sizes are counted while bytes are unpacked, whatever a header says.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness.core.errors import UserError
from harness.core.paths import is_plain, is_regular, leads_elsewhere
from harness.core.run_json import parse_json
from harness.core.text import byte_size, shorten

MANIFEST = "MANIFEST.json"


FORMAT = 1
"""+1 whenever an older version of the harness could not read what is written."""


MOST_FILES = 20_000


MOST_FILE_BYTES = 64_000_000
"""Of one file, and of what a packed one unpacks to."""


MOST_BYTES = 512_000_000
"""Of all files together, unpacked, and of the zip."""


_PLACES = re.compile(
    r"run\.json|(?:records|identities)\.json\.gz|tables/[^/]+\.(?:md|csv|json)|(?:figures|images)/[^/]+\.png"
    r"|sets/[^/]+/(?:manifest\.json|[^/]+\.safetensors|[^/]+/(?:\d+\.png|[^/]+\.safetensors))"
)
"""What a bundle may hold; nothing else is opened."""


_WINDOWS = re.compile(r'[<>:"|?*\\]|[. ](?:/|$)|(?:^|/)(?:con|prn|aux|nul|com\d|lpt\d)(?:[./]|$)', re.I)
"""Names that mean something else there."""


_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
"""The record at the end of a zip: its signature, and the bytes that it may take."""


_CURE = " Ask the sender to create it again with `harness bundle RUN --to FILE.zip`."


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    size: int = Field(ge=0, le=MOST_FILE_BYTES)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$")]
    files: Annotated[dict[str, _File], Field(max_length=MOST_FILES)]


_SCHEMA = TypeAdapter(_Manifest)


def refusal(path: Path, told: str) -> UserError:
    """Return the one message about a bundle that is not as it should be."""
    return UserError(f"bundle {path}: {told}.{_CURE}")


def is_bundle(path: str | Path) -> bool:
    """Return whether a path is a bundle by its looks: a file, or a folder with a MANIFEST.json."""
    place = Path(path)
    try:
        return (place.is_file() and place.suffix.lower() == ".zip") or (place / MANIFEST).is_file()
    except (OSError, ValueError):
        return False


def read_files(path: Path, wanted: re.Pattern[str]) -> tuple[str, int, dict[str, bytes]]:
    """Read a bundle and compare every file with the list.

    Args:
        path: the zip or the folder.
        wanted: names of the files to return; the others are only compared.

    Returns:
        The name of the run, the bytes of all files (of a zip, its own), and the wanted files by name.

    Raises:
        UserError: it is no bundle, or not whole, or larger than it may be, or a file of it is not what the list says.
    """
    with _opened(path) as files:
        about = _read_manifest(path, files)
        listed: dict[str, Any] = about["files"]
        _check_names(path, list(listed))
        there = set(files.names) - {MANIFEST}
        if lacking := sorted(set(listed) - there):
            raise refusal(path, f"{_short(lacking[0])} is listed in {MANIFEST} but missing")
        if files.strict and (more := sorted(there - set(listed))):
            raise refusal(path, f"{_short(more[0])} is not listed in {MANIFEST}")
        if (total := sum(info["size"] for info in listed.values())) > MOST_BYTES:
            raise refusal(path, f"its files exceed {byte_size(MOST_BYTES)} in total")
        found = {}
        for name, info in listed.items():
            content = files.read(name, info["size"])
            if len(content) != info["size"] or hashlib.sha256(content).hexdigest() != info["sha256"]:
                raise refusal(path, f"{_short(name)} is not the file that {MANIFEST} lists (size or SHA-256 differ)")
            if wanted.fullmatch(name):
                found[name] = content
        return about["name"], path.stat().st_size if path.is_file() else total, found


def make_manifest(name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the list of a bundle's files.

    Raises:
        UserError: a file would be refused by who reads the bundle.
    """
    _check_names(Path(name), list(files))
    listed = {n: {"size": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()} for n in sorted(files)}
    about = {"format": FORMAT, "name": name, "files": listed}
    try:
        _SCHEMA.validate_python(about)
    except ValidationError as error:
        raise UserError(f"run {name} cannot be bundled: {_first(error)}.") from None
    if sum(map(len, files.values())) > MOST_BYTES:
        raise UserError(f"run {name} cannot be bundled: its files exceed {byte_size(MOST_BYTES)}. Omit --sets.")
    return about


def unpacked_gzip(content: bytes, what: str) -> bytes:
    """Return what a gzip holds, at most MOST_FILE_BYTES.

    Raises:
        UserError: it is none, or holds more.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(content, MOST_FILE_BYTES)
    except zlib.error as error:
        raise UserError(f"{what} is not a gzip file ({error})") from None
    if unpacker.unconsumed_tail:
        raise UserError(f"{what} unpacks to more than {byte_size(MOST_FILE_BYTES)}")
    if not unpacker.eof or unpacker.unused_data:
        raise UserError(f"{what} is an incomplete gzip file")
    return found


def _check_names(path: Path, names: list[str]) -> None:
    """Refuse names that lead out, that another system reads otherwise, or that stand in no known place."""
    seen: dict[str, str] = {}
    for name in names:
        if not is_plain(name) or _WINDOWS.search(name):
            raise refusal(path, f"{_short(name)} is not a plain path inside the bundle")
        if name != MANIFEST and not _PLACES.fullmatch(name):
            raise refusal(path, f"{_short(name)} is not a file that bundles contain")
        if (folded := name.casefold()) in seen:
            raise refusal(path, f"{_short(name)} is in it twice")
        seen[folded] = name


def _read_manifest(path: Path, files: _Zip | _Folder) -> dict[str, Any]:
    if MANIFEST not in files.names:
        raise refusal(path, f"it has no {MANIFEST}, so it is not a bundle")
    try:
        text = files.read(MANIFEST, MOST_FILE_BYTES // 8).decode("utf-8")
    except UnicodeDecodeError:
        raise refusal(path, f"{MANIFEST} is not UTF-8") from None
    about = parse_json(text, f"bundle {path}: {MANIFEST}", strict=True)
    try:
        _SCHEMA.validate_python(about)
    except ValidationError as error:
        raise refusal(path, f"{MANIFEST}: {_first(error)}; this version reads format {FORMAT}") from None
    return dict(about)


@contextmanager
def _opened(path: Path) -> Iterator[_Zip | _Folder]:
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        _check_end(path)
        with zipfile.ZipFile(path) as archive:
            yield _Zip(path, archive)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"bundle {path}: cannot be read ({error.strerror or error}).") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError) as error:
        raise refusal(path, f"it is not a complete zip file ({shorten(str(error), 100)})") from None


def _check_end(path: Path) -> None:
    """Refuse a zip with more entries, or a longer list of them, than may be read into memory: `zipfile` reads all."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise refusal(path, "it is not a regular file")
    if (size := about.st_size) > MOST_BYTES:
        raise refusal(path, f"it has {byte_size(size)}; the limit is {byte_size(MOST_BYTES)}")
    with path.open("rb") as handle:
        handle.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT - 20))
        tail = handle.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_SIZE:
        raise refusal(path, "it is not a complete zip file")
    entries, list_bytes = struct.unpack("<HL", tail[at + 10 : at + 16])
    if entries > MOST_FILES or list_bytes > 400 * MOST_FILES or _has_locator(tail[:at]):
        raise refusal(path, f"it holds more than {MOST_FILES:,} files")


def _has_locator(before_end: bytes) -> bool:
    """Return whether the record at the end is one of ZIP64, which gives other numbers."""
    return before_end[-20:-16] == b"PK\x06\x07"


class _Zip:
    """The entries of a zip: regular files with plain names, each once."""

    strict = True

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        entries = archive.infolist()
        if len(entries) > MOST_FILES:
            raise refusal(path, f"it holds more than {MOST_FILES:,} files")
        _check_names(path, [entry.orig_filename for entry in entries])
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise refusal(path, f"{_short(entry.orig_filename)} is a symbolic link, or not a regular file")
            if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise refusal(path, f"{_short(entry.orig_filename)} is encrypted, or uses an unsupported compression")
        self.names = [entry.orig_filename for entry in entries]

    def read(self, name: str, most: int) -> bytes:
        """Return a file; one byte beyond `most` is the last that is unpacked."""
        with self._archive.open(name) as handle:
            return _read(self._path, name, handle, most)


class _Folder:
    """The files of a folder that MANIFEST.json names; others are never opened."""

    strict = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = [one.relative_to(path).as_posix() for one in sorted(path.rglob("*")) if is_regular(one)]

    def read(self, name: str, most: int) -> bytes:
        """Return a file, as `_Zip.read`; no link on the way to it is followed."""
        if leads_elsewhere(self._path, name):
            raise refusal(self._path, f"{_short(name)} is a symbolic link, or below one")
        with (self._path / name).open("rb") as handle:
            return _read(self._path, name, handle, most)


def _read(path: Path, name: str, handle: IO[bytes], most: int) -> bytes:
    content = handle.read(most + 1)
    if len(content) > most:
        raise refusal(path, f"{_short(name)} unpacks to more than its limit of {byte_size(most)}")
    return content


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{shorten('.'.join(map(str, first['loc'])), 100)}: {shorten(first['msg'], 200)}"


def _short(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:99]}…")
