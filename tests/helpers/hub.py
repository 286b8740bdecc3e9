"""A model hub on 127.0.0.1 that serves folders in the hub client's protocol, for tests without a network."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" + "0" * 34


def _handler(repos: dict[str, Path], asked: list[str], kind: str) -> type[BaseHTTPRequestHandler]:
    """Answer as the hub does for `kind`: "models", or "datasets", whose files have that word in front."""
    prefix = "" if kind == "models" else f"/{kind}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            asked.append(path)
            for repo, folder in repos.items():
                files = sorted(f for f in folder.rglob("*") if f.is_file())
                if path in (f"/api/{kind}/{repo}", f"/api/{kind}/{repo}/revision/{COMMIT}"):
                    named = [{"rfilename": str(f.relative_to(folder)), "size": f.stat().st_size} for f in files]
                    return self._send({"id": repo, "sha": COMMIT, "siblings": named})
                if path.startswith(f"/api/{kind}/{repo}/tree/"):
                    entries = [
                        {"type": "file", "path": str(f.relative_to(folder)), "size": f.stat().st_size, "oid": _oid(f)}
                        for f in files
                    ]
                    return self._send(entries)
                start = f"{prefix}/{repo}/resolve/{COMMIT}/"
                if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                    return self._file(folder / path.removeprefix(start))
            return self._send({"error": "Repository not found"}, 404)

        do_HEAD = do_GET

        def _file(self, file: Path) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{_oid(file)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(file.read_bytes())

        def _send(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def serve(repos: dict[str, Path], kind: str = "models") -> Iterator[tuple[str, list[str]]]:
    """Serve `repos` (owner/name -> folder); yields the address and the list of paths asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repos, asked, kind))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
