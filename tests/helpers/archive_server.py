"""An HTTP server on 127.0.0.1 that serves one file well or badly, and tiny archives of images to serve."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import yaml
from PIL import Image

CLASSES = ("n03", "n01", "n02")
NUM_IMAGES = {"train": 6, "test": 3}


class Behaviour:
    """What the server does; a test changes it while it runs.

    Attributes:
        content: the file.
        ranges: answer requests for a part by that part.
        drops: after how many bytes each of the next answers breaks off.
        status: an error to answer instead, for as many requests as `num_errors` (-1: all).
        announced: a length to announce instead of the right one.
        etag: of the content; empty: none.
        requests: (Range header, status) of each answer so far.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges = True
        self.drops: list[int] = []
        self.status = 0
        self.num_errors = 0
        self.announced: int | None = None
        self.sends_length = True
        self.etag = '"1"'
        self.requests: list[tuple[str | None, int]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        how, wanted = self.behaviour, self.headers.get("Range")
        if how.status and how.num_errors:
            how.num_errors -= 1
            how.requests.append((wanted, how.status))
            self.send_error(how.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and how.ranges else 0
        if self.headers.get("If-Range", how.etag) != how.etag:
            start = 0
        if start and start >= len(how.content):
            how.requests.append((wanted, 416))
            self.send_error(416)
            return
        body = how.content[start:]
        status = 206 if start else 200
        how.requests.append((wanted, status))
        self.send_response(status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(how.content) - 1}/{len(how.content)}")
        if how.etag:
            self.send_header("ETag", how.etag)
        if how.sends_length:
            self.send_header("Content-Length", str(len(body) if how.announced is None else how.announced))
        self.end_headers()
        self.wfile.write(body[: how.drops.pop(0)] if how.drops else body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def serve(content: bytes) -> Iterator[tuple[str, Behaviour]]:
    """Serve a file; give its address and what may be changed about it."""
    behaviour = Behaviour(content)
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/files/tiny2.tgz", behaviour
        finally:
            server.shutdown()
            thread.join()


def photograph(number: int, short_side: int = 24) -> bytes:
    """Return a JPEG of noise."""
    pixels = np.random.default_rng(number).integers(0, 256, (short_side, short_side + 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def files(top: str = "tiny2", short_side: int = 24) -> dict[str, bytes]:
    """Return path -> content of a data set of three classes, two training images and one test image each."""
    return {
        f"{top}/{split}/{c}/{c}_{i}.JPEG": photograph(10 * position + i, short_side)
        for split, num in (("train", 2), ("val", 1))
        for position, c in enumerate(CLASSES)
        for i in range(num)
    }


def tgz(members: dict[str, bytes], change: Callable[[tarfile.TarFile], None] = lambda tar: None) -> bytes:
    """Return a .tgz of these files; `change` may add members of any kind at its end."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        change(tar)
    return file.getvalue()


def write_suite(folder, url: str, content: bytes, **archive: object):
    """Write a suite of those three classes whose data can be fetched; return its YAML's path."""
    sums = {"num_bytes": len(content), "md5": hashlib.md5(content).hexdigest()}
    known = {
        "name": "tiny2",
        "title": "Tiny 2",
        "classes": "classes.txt",
        "num_images": NUM_IMAGES,
        "variants": {"full": {"root": "tiny2", "archive": {"url": url} | sums | archive}},
    }
    suite = {
        "name": "tiny",
        "version": 1,
        "source": {"kind": "image_folder", "root": "own", "origins": [str(folder / "tiny2.yaml")]},
        "classes": "classes.txt",
        "image_size": 16,
        "budget": {"ipc": [1]},
        "students": ["convnet3"],
    }
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    (folder / "tiny2.yaml").write_text(yaml.safe_dump(known))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(suite))
    return folder / "tiny.yaml"
