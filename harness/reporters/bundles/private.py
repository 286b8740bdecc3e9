"""What a run says of its machine and user, taken out before it is sent.

In: run.json and records. Out: copies without paths above a file's own name, host names, addresses of stores, and what only the
machine of the run could use. Devices, processor, versions and times stay: numbers cannot be judged without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_OF_THE_REQUEST = ("store", "data_root", "weights_root", "ray_address", "workers", "wait_for_nodes", "name")
"""Fields of a request that say where and how it was run, not what."""


_OF_A_RECORD = ("host", "image_folder", "cached")


_ADDRESS = re.compile(r"\b(?!https?:)([a-z][a-z0-9+.-]*)://[^\s'\",;)\]}]+", re.I)


_LOGIN = re.compile(r"(https?://)[^\s/@'\"]+@", re.I)


_PATH = re.compile(r"(?<![\w.:/~…])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'\",;:()\[\]{}]+){2,}[/\\]?")


_HOMES = re.compile(r"(?:[/\\](?:home|Users)|[A-Za-z]:[/\\]Users)[/\\][^/\\]+[/\\]?")


_WHOLE = re.compile(r"(?:~|/|[A-Za-z]:[/\\]|\\\\)[^\n]*[^\n/\\][/\\]?")
"""A text that is a path and nothing else, spaces in it or not."""


_LEAST_HOST = 3
"""Characters of a host name that is searched for in texts: "a" would be found in every word."""


class Scrubber:
    """Shortens what is private in texts.

    Args:
        hosts: names of machines that took part.
        folders: folders of this machine that texts may name, such as the home folder: they may hold spaces.
    """

    def __init__(self, hosts: Iterable[str], folders: Iterable[str | Path]) -> None:
        names = sorted({host for host in hosts if len(host) >= _LEAST_HOST}, key=len, reverse=True)
        self._hosts = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names) or r"(?!)")
        found = sorted({str(folder) for folder in folders if len(str(folder)) > 1}, key=len, reverse=True)
        self._folders = re.compile("|".join(map(re.escape, found)) or r"(?!)")

    def text(self, text: str, *, prose: bool = False) -> str:
        """Return a text without paths and addresses; of prose, such as an error, without host names too."""
        if _WHOLE.fullmatch(text) and (text.startswith("~") or len(re.findall(r"[/\\]", text)) > 1):
            return _last(text)
        text = _LOGIN.sub(r"\1…@", _ADDRESS.sub(lambda m: f"{m[1]}://…", text))
        text = _PATH.sub(lambda m: _last(m[0]), self._folders.sub("…", text))
        return self._hosts.sub("a host", text) if prose else text

    def value(self, value: Any) -> Any:
        """Return plain JSON whose texts and names went through `text`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(one) for name, one in value.items()}
        return value

    def about(self, about: dict[str, Any]) -> dict[str, Any]:
        """Return run.json to be sent."""
        request = {n: v for n, v in about.get("request", {}).items() if n not in _OF_THE_REQUEST}
        losses = [
            {**loss, "host": "", "reason": self.text(loss["reason"], prose=True)} for loss in about.get("losses", [])
        ]
        if isinstance(about.get("error"), str):
            about = about | {"error": self.text(about["error"], prose=True)}
        return dict(self.value(about | {"request": request, "losses": losses}))

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record to be sent; options of its method are texts of JSON within it."""
        kept = {name: value for name, value in record.items() if name not in _OF_A_RECORD}
        for name, value in kept.items():
            if isinstance(value, str) and name in ("error", "lost_to", "notes"):
                kept[name] = self.text(value, prose=True)
            elif name == "config" and value:
                kept[name] = json.dumps(self.value(json.loads(value)), sort_keys=True)
            elif isinstance(value, str):
                kept[name] = self.text(value)
        return kept


def _last(path: str) -> str:
    """Return "…/name" for a path; of a home folder not even that."""
    if _HOMES.fullmatch(path):
        return "…"
    return "…/" + re.split(r"[/\\]", path.rstrip("/\\"))[-1]
