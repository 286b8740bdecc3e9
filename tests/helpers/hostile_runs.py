"""Folders of runs that mean harm, each made by one function; nothing of it is a real run.

In: a new folder for the run, and the folder beside it whose files no command may read or change. Every plugin, suite and link
here points into that folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.helpers.made_run import make_record, make_run

SECRET = "the secret of the reader"


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


CONTROL = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\x00e\u202ef\rg\ud800"


PLUGIN = """from pathlib import Path
Path({mark!r}).write_text("code of a stranger ran")
"""


Make = Callable[[Path, Path], Any]


HOSTILE: dict[str, Make] = {}


def _hostile(make: Make) -> Make:
    HOSTILE[make.__name__.removeprefix("_")] = make
    return make


def make_victims(outside: Path) -> None:
    """Write what the hostile runs are after: a text, a picture, a plugin and a suite that leave a mark where they are run."""
    (outside / "folder").mkdir(parents=True)
    (outside / "secret.txt").write_text(SECRET)
    picture = Image.new("RGB", (8, 8), "red")
    picture.save(outside / "secret.png")
    plugin = PLUGIN.format(mark=str(outside / "ran.txt"))
    (outside / "plugin.py").write_text(plugin)
    (outside / "suite.yaml").write_text("name: theirs\n")


def _request(**changes: Any) -> dict[str, Any]:
    return {"suite": "digits", "methods": ["dit"], "plugins": [], "settings": {}, "store": "results"} | changes


def _records(folder: Path, value: Any) -> None:
    (folder / "records.json").write_text(value if isinstance(value, str) else json.dumps(value))


def _row(**changes: Any) -> dict[str, Any]:
    return make_record(
        **({"suite": "digits", "distilled_key": "ab" * 16, "train_key": "cd" * 16, "draws": 1} | changes)
    )


def make_plain(folder: Path, **changes: Any) -> Path:
    """Write a run of one row that is as it should be; keywords change what run.json holds."""
    rows = [_row()]
    about = {"suite": {"name": "digits", "version": 1}, "request": _request(), "class_names": ["A", "B"]}
    return make_run(folder, rows, **(about | changes))


@_hostile
def _climbing_method(folder: Path, outside: Path) -> None:
    make_run(folder, [_row(method="../../../outside/folder/x")])


@_hostile
def _climbing_class(folder: Path, outside: Path) -> None:
    make_plain(folder, classes=["../../../outside/folder", "b"])


@_hostile
def _absolute_class(folder: Path, outside: Path) -> None:
    make_plain(folder, classes=[str(outside / "folder"), "b"])


@_hostile
def _climbing_key(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, [_row(distilled_key="../../../outside", train_key="../../../outside")])


@_hostile
def _linked_table(folder: Path, outside: Path) -> None:
    make_plain(folder)
    (folder / "tables").mkdir()
    for ending in ("md", "csv", "json"):
        (folder / "tables" / f"leaderboard.{ending}").symlink_to(outside / "secret.txt")


@_hostile
def _linked_folder_of_tables(folder: Path, outside: Path) -> None:
    (make_plain(folder) / "tables").symlink_to(outside / "folder")


@_hostile
def _linked_folder_of_figures(folder: Path, outside: Path) -> None:
    (make_plain(folder) / "figures").symlink_to(outside / "folder")


@_hostile
def _linked_files(folder: Path, outside: Path) -> None:
    """The page, a figure and its part, sheets and error texts: all lead out."""
    make_plain(folder)
    links = {
        "index.html": "secret.txt", "figures/accuracy_ipc.png": "secret.txt", "figures/.accuracy_ipc.png.part": "secret.txt",
        "figures/cost.png": "secret.png", "images/dit_ipc10_seed0.png": "secret.png", "errors/train.txt": "secret.txt",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(outside / target)


@_hostile
def _linked_description(folder: Path, outside: Path) -> None:
    make_plain(folder)
    (folder / "run.json").rename(outside / "run.json")
    (folder / "run.json").symlink_to(outside / "run.json")


@_hostile
def _pipe_for_records(folder: Path, outside: Path) -> None:
    (make_plain(folder) / "records.json").unlink()
    os.mkfifo(folder / "records.json")
    (folder / "errors").mkdir()
    os.mkfifo(folder / "errors" / "train.txt")


@_hostile
def _not_a_number(folder: Path, outside: Path) -> None:
    make_plain(folder)
    nan = float("nan")
    _records(folder, [_row(top1_best=nan, top5_best=float("inf"), synthesize_wall_s=nan), _row(training_seed=1)])


@_hostile
def _huge_numbers(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(
        folder, json.dumps([_row(synthesize_wall_s=7)]).replace('"synthesize_wall_s": 7', '"synthesize_wall_s": 1e999')
    )


@_hostile
def _large_numbers(folder: Path, outside: Path) -> None:
    """The largest that are taken."""
    make_plain(folder)
    large = {"fit_wall_s": 1e15, "fit_device_s": 1e15, "storage_bytes": 2**53, "energy_j": 1e15, "ipc": 10**9}
    _records(folder, [_row(**large), _row(training_seed=2**53, ipc=1, fit_wall_s=-1e15)])


@_hostile
def _a_million_records(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, "[" + ",".join(['{"suite": "digits", "method": "dit"}'] * 1_000_000) + "]")


@_hostile
def _deep_records(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, "[" * 100_000 + "]" * 100_000)


@_hostile
def _deep_description(folder: Path, outside: Path) -> None:
    make_plain(folder, protocol="DEEP")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"DEEP"', '{"a":' * 900 + "1" + "}" * 900))


@_hostile
def _deep_config(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, [_row(config='{"a":' * 500 + "1" + "}" * 500)])


@_hostile
def _html(folder: Path, outside: Path) -> None:
    make_plain(folder, source=EVIL, request=_request(data_root=EVIL), class_names=[EVIL, EVIL])
    _records(
        folder, [_row(method_title=EVIL, student=EVIL, device=EVIL), _row(training_seed=1, status="failed", error=EVIL)]
    )
    (folder / "errors").mkdir()
    (folder / "errors" / "<b onclick=alert(3)>.txt").write_text(EVIL)
    (folder / "figures").mkdir()
    (folder / "figures" / "cost.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{EVIL}</svg>')


@_hostile
def _long_texts(folder: Path, outside: Path) -> None:
    make_plain(folder, source="s" * 2000)
    long = {"method_title": "t " * 1000, "student": "s" * 2000, "device": "d" * 2000, "source": "s " * 1000}
    _records(folder, [_row(**long), _row(training_seed=1, status="failed", error="e" * 200_000)])


@_hostile
def _latex(folder: Path, outside: Path) -> None:
    evil = r"\input{/etc/passwd} $\frac{ } \write18{touch x} %\end{tabular} & # _ ^^5cinput"
    make_plain(folder, source=evil)
    _records(folder, [_row(method="x},note={y", method_title=evil, student=evil, source=evil)])


@_hostile
def _control_characters(folder: Path, outside: Path) -> None:
    make_plain(folder, source=CONTROL, started=CONTROL, name=CONTROL)
    rows = [
        _row(method_title=CONTROL, student=CONTROL, source=CONTROL),
        _row(training_seed=1, status="failed", error=CONTROL),
    ]
    _records(folder, rows)
    (folder / "errors").mkdir()
    (folder / "errors" / "train \x1b[2Jx.txt").write_text("\x1b[2Jtext")


@_hostile
def _wrong_types(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, [_row(top1_best="34", ipc="ten", status=["done"])])


@_hostile
def _wrong_types_in_the_description(folder: Path, outside: Path) -> None:
    make_plain(folder, methods=[1, 2], suite="digits", request=None)


@_hostile
def _unknown_status(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, [_row(status="splendid")])


@_hostile
def _missing_keys(folder: Path, outside: Path) -> None:
    make_plain(folder)
    _records(folder, [{"suite": "digits"}])


@_hostile
def _missing_keys_in_the_description(folder: Path, outside: Path) -> None:
    make_plain(folder)
    (folder / "run.json").write_text(json.dumps({"suite": {"name": "digits"}, "methods": {"dit": {}}}))


@_hostile
def _no_json(folder: Path, outside: Path) -> None:
    make_plain(folder)
    (folder / "run.json").write_bytes(b"\xff\xfe\x00{")


@_hostile
def _plugin_and_suite_file(folder: Path, outside: Path) -> None:
    request = _request(plugins=[str(outside / "plugin.py")], suite=str(outside / "suite.yaml"), data_root=str(outside))
    make_plain(folder, request=request)


def _make_store_uri(name: str, uri: str) -> None:
    def make(folder: Path, outside: Path) -> None:
        make_plain(folder, request=_request(store=uri.format(outside=outside)))

    HOSTILE[f"store_{name}"] = make


for _name, _uri in {
    "of_a_path": "{outside}", "of_a_file_uri": "file://{outside}", "in_memory": "memory://theirs", "on_s3": "s3://theirs/x",
    "on_the_web": "https://192.0.2.1/x", "chained": "simplecache::memory://theirs", "of_a_shell": "ssh://192.0.2.1/x",
}.items():  # fmt: skip
    _make_store_uri(_name, _uri)
