"""An S3 server on this machine (moto's), which counts requests and fails those that a test names."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

REFUSED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class S3Server:
    """Started when made. Use `uri(bucket)` in this process, `environment` in others.

    Attributes:
        requests: method, path and query of each, in order.
        fault: called with method and path before each request; it returns None (answer it), "refuse" (403), "fail" (500)
            or "cut" (read a part of what is sent, then close the connection).
    """

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.address = "http://{}:{}".format(*self._server.get_host_and_port())
        self.requests: list[str] = []
        self.fault: Callable[[str, str], str | None] = lambda method, path: None
        self._lock = threading.Lock()
        serving: Any = self._server._server
        self._moto, serving.app = serving.app, self._answer
        self.environment = {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        method, path, query = (environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
        with self._lock:
            self.requests.append(f"{method} {path}" + (f"?{query}" if query else ""))
            fault = self.fault(method, path)
        if fault == "cut":
            environ["wsgi.input"].read(min(100, int(environ.get("CONTENT_LENGTH") or 0) // 2))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if fault:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("403 Forbidden" if fault == "refuse" else "500 Internal Server Error", [("Content-Type", "text/xml")])
            return [REFUSED if fault == "refuse" else b""]
        return self._moto(environ, start)

    def make_bucket(self, name: str) -> str:
        """Make a bucket and return its URI."""
        import fsspec

        with mock.patch.dict(os.environ, self.environment):
            fsspec.filesystem("s3").mkdir(name)
        self.requests.clear()
        return f"s3://{name}"

    def fill(self, uri: str, names: list[str]) -> None:
        """Write empty files below a URI, without a request."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        bucket, _, folder = uri.removeprefix("s3://").partition("/")
        for name in names:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"{folder}/{name}", b"")

    def counts(self) -> Counter[str]:
        """Return how many requests there were, by method: a listing is a GET with a query, called LIST here."""
        return Counter("LIST" if "list-type" in one else one.split()[0] for one in self.requests)

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()
