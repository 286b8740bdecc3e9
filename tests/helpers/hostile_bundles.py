"""Bundles that mean harm, each made of a good one by one function; and what the refusal of each must say.

In: the files of a good bundle by name, and the file to write. Nothing here is a real result.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Files = dict[str, bytes]


HOSTILE: dict[str, tuple[str, Callable[[Files, Path], None]]] = {}
"""Name -> (what the message says, what writes the bundle)."""


def files_of(bundle: Path) -> Files:
    """Return the files of a bundle but for its list."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "MANIFEST.json"}


def listed(files: Files, **changes: Any) -> bytes:
    """Return the MANIFEST.json of files; keywords change it."""
    sums = {name: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for name, c in files.items()}
    return json.dumps({"format": 1, "name": "theirs", "files": sums} | changes).encode()


def write(
    files: Files, target: Path, more: list[tuple[Any, bytes]] | None = None, manifest: bytes | None = None
) -> None:
    """Write files with a list that fits them, and further entries that it names not."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, "MANIFEST.json": manifest or listed(files)}.items():
            archive.writestr(name, content)
        for entry, content in more or []:
            archive.writestr(entry, content)


def json_of(files: Files, name: str) -> Any:
    """Return what a file of JSON holds, packed or not."""
    content = files[name]
    return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)


def changed(files: Files, name: str, edit: Callable[[Any], Any]) -> Files:
    """Return files with other JSON in one of them; what `edit` returns, if anything, takes its place."""
    value = json_of(files, name)
    edited = edit(value)
    text = json.dumps(value if edited is None else edited).encode()
    return files | {name: gzip.compress(text) if name.endswith(".gz") else text}


def first_done(records: list[dict[str, Any]], **changes: Any) -> None:
    """Change the first record of a distilled set."""
    next(r for r in records if r["status"] == "done" and r["ipc"]).update(changes)


def _hostile(told: str) -> Callable[[Callable[[Files, Path], None]], None]:
    def keep(make: Callable[[Files, Path], None]) -> None:
        HOSTILE[make.__name__.removeprefix("_")] = (told, make)

    return keep


def _edited(name: str, told: str, file: str, edit: Callable[[Any], Any]) -> None:
    HOSTILE[name] = (told, lambda files, target: write(changed(files, file, edit), target))


def _named(case: str, name: str, told: str) -> None:
    HOSTILE[case] = (told, lambda files, target: write(files | {name: b"x"}, target))


_named("climbing", "../../outside/written.txt", "is not a plain path inside the bundle")
_named("climbing_within", "tables/../../../written.csv", "is not a plain path inside the bundle")
_named("absolute", "/tmp/written.txt", "is not a plain path inside the bundle")
_named("windows_drive", "C:\\written.txt", "is not a plain path inside the bundle")
_named("windows_separator", "tables\\..\\written.csv", "is not a plain path inside the bundle")
_named("windows_device", "tables/con.csv", "is not a plain path inside the bundle")
_named("windows_dot", "tables/x./y.csv", "is not a plain path inside the bundle")
_named("code", "methods/mine.py", "is not a file that bundles contain")
_named("plugin", "sitecustomize.py", "is not a file that bundles contain")
_named("another_page", "index.html", "is not a file that bundles contain")
_named("html_in_a_name", "tables/<script>alert(1)</script>.csv", "is not a plain path inside the bundle")
_named("escapes_in_a_name", "tables/\x1b[2J.csv", "is not a plain path inside the bundle")


@_hostile("is not a file that bundles contain")
def _pickle(files: Files, target: Path) -> None:
    write(files | {"records.pkl": pickle.dumps({"a": 1})}, target)


@_hostile("is not a gzip file")
def _pickle_for_records(files: Files, target: Path) -> None:
    write(files | {"records.json.gz": pickle.dumps([{"a": 1}])}, target)


@_hostile("is a symbolic link, or not a regular file")
def _link(files: Files, target: Path) -> None:
    entry = zipfile.ZipInfo("tables/link.csv")
    entry.external_attr, entry.create_system = 0o120777 << 16, 3
    write(files, target, [(entry, b"/etc/passwd")])


@_hostile("unpacks to more than")
def _bomb_in_a_zip(files: Files, target: Path) -> None:
    """The list states a small file; the zip unpacks to 2 MB."""
    about = json.loads(listed(files | {"tables/x.csv": b"x"}))
    write(files, target, [("tables/x.csv", bytes(2_000_000))], json.dumps(about).encode())


@_hostile("unpacks to more than")
def _bomb_in_a_gzip(files: Files, target: Path) -> None:
    write(files | {"records.json.gz": gzip.compress(b"[" + b" " * 64_000_000 + b"]", 9)}, target)


@_hostile("unpacks to more than")
def _bomb_for_the_list(files: Files, target: Path) -> None:
    write(files, target, manifest=b" " * 9_000_000)


@_hostile("size")
def _too_large(files: Files, target: Path) -> None:
    about = json.loads(listed(files))
    about["files"]["run.json"]["size"] = 10**12
    write(files, target, manifest=json.dumps(about).encode())


@_hostile("exceed")
def _too_large_together(files: Files, target: Path) -> None:
    about = json.loads(listed(files | {f"tables/{i}.csv": b"x" for i in range(10)}))
    for i in range(10):
        about["files"][f"tables/{i}.csv"]["size"] = 60_000_000
    write(files, target, [(f"tables/{i}.csv", b"x") for i in range(10)], json.dumps(about).encode())


@_hostile("more than 20,000 files")
def _many_files(files: Files, target: Path) -> None:
    write(files, target, [(f"tables/{i}.csv", b"") for i in range(20_001)])


@_hostile("more than 20,000 files")
def _many_files_by_zip64(files: Files, target: Path) -> None:
    """The end says few, a record before it says many."""
    write(files, target)
    whole = target.read_bytes()
    at = whole.rfind(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    target.write_bytes(whole[:at] + locator + whole[at:])


@_hostile("is not listed in MANIFEST.json")
def _not_listed(files: Files, target: Path) -> None:
    write(files, target, [("tables/more.csv", b"x")])


@_hostile("but missing")
def _lacking(files: Files, target: Path) -> None:
    write({n: c for n, c in files.items() if n != "run.json"}, target, manifest=listed(files))


@_hostile("it holds no identities.json.gz")
def _no_identities(files: Files, target: Path) -> None:
    write({n: c for n, c in files.items() if n != "identities.json.gz"}, target)


@_hostile("it has no MANIFEST.json")
def _no_list(files: Files, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("run.json", files["run.json"])


@_hostile("is not the file that MANIFEST.json lists")
def _wrong_sum(files: Files, target: Path) -> None:
    flipped = files["run.json"][:-2] + b" \n"
    write(files | {"run.json": flipped}, target, manifest=listed(files))


@_hostile("format")
def _another_format(files: Files, target: Path) -> None:
    write(files, target, manifest=listed(files, format=2))


@_hostile("name")
def _climbing_name_of_the_run(files: Files, target: Path) -> None:
    write(files, target, manifest=listed(files, name="../../outside"))


@_hostile("is in it twice")
def _twice_where_case_does_not_count(files: Files, target: Path) -> None:
    write(files | {"tables/PAPER.csv": b""}, target)


@_hostile("is in it twice")
def _twice_the_same(files: Files, target: Path) -> None:
    write(files, target, [("run.jsoX", b"{}")])
    target.write_bytes(target.read_bytes().replace(b"run.jsoX", b"run.json"))


@_hostile("it is not a complete zip file")
def _truncated(files: Files, target: Path) -> None:
    write(files, target)
    target.write_bytes(target.read_bytes()[:-40])


@_hostile("it is not a complete zip file")
def _broken_within(files: Files, target: Path) -> None:
    write(files, target)
    whole = bytearray(target.read_bytes())
    whole[60:90] = bytes(30)
    target.write_bytes(bytes(whole))


@_hostile("it is not a complete zip file")
def _no_zip(files: Files, target: Path) -> None:
    target.write_bytes(pickle.dumps(["no zip"] * 100))


@_hostile("it is not a complete zip file")
def _empty(files: Files, target: Path) -> None:
    target.write_bytes(b"")


@_hostile("nested too deeply")
def _deep(files: Files, target: Path) -> None:
    write(files | {"records.json.gz": gzip.compress(b"[" * 100_000 + b"]" * 100_000)}, target)


@_hostile("levels deep")
def _deep_identities(files: Files, target: Path) -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    write(files | {"identities.json.gz": gzip.compress(f'{{"{"ab" * 16}": {deep}}}'.encode())}, target)


@_hostile("NaN is not a number")
def _nan(files: Files, target: Path) -> None:
    write(changed(files, "records.json.gz", lambda rows: first_done(rows, top1_best=float("nan"))), target)


@_hostile("lists and objects")
def _many_values(files: Files, target: Path) -> None:
    write(files | {"records.json.gz": gzip.compress(b"[" + b"{}," * 2_000_000 + b"{}]")}, target)


RECORDS, IDENTITIES = "records.json.gz", "identities.json.gz"
for _case, _told, _change in (
    ("accuracy_above_100", "less than or equal to 100", {"top1_best": 100.5}),
    ("accuracy_below_0", "greater than or equal to 0", {"top1_last": -1.0}),
    ("accuracy_of_a_class_group", "average_accuracy_best is 101.0", {"average_accuracy_best": 101.0}),
    ("no_accuracy", "it is done and has no top1_best", {"top1_best": None}),
    ("negative_time", "synthesize_wall_s is -1.0", {"synthesize_wall_s": -1.0}),
    ("text_for_a_number", "valid number", {"top1_best": "34"}),
    ("key_of_31_digits", "32 hex digits", {"train_key": "a" * 31}),
    ("key_in_capitals", "32 hex digits", {"train_key": "A" * 32}),
    ("key_that_climbs", "not a plain", {"train_key": "../../outside"}),
    ("key_of_no_job", "has no train job of that key", {"train_key": "a" * 32}),
    ("another_student", "student is 'resnet18'", {"student": "resnet18"}),
    ("another_ipc", "ipc is 10", {"ipc": 10}),
    ("another_training_seed", "seeds is 7", {"training_seed": 7}),
    ("another_distillation_seed", "seeds is", {"distillation_seed": 7}),
    ("another_version", "method_version is 9", {"method_version": 9}),
    ("another_option", "config (of run.json)", {"config": '{"order": "other"}'}),
    ("another_suite", "suite is 'cifar10'", {"suite": "cifar10"}),
    ("another_protocol", "protocol is 'rded'", {"protocol": "rded"}),
    ("another_run", "run is 'other'", {"run": "other"}),
    ("unknown_method", "method (one of run.json)", {"method": "best_of_all"}),
    ("climbing_method", "not a plain", {"method": "../../x"}),
):
    _edited(_case, _told, RECORDS, lambda rows, change=_change: first_done(rows, **change))
_edited("no_records", "holds no record", RECORDS, lambda rows: [])
_edited("twice_a_record", "there are two records of it", RECORDS, lambda rows: [rows[0], *rows])
_edited("records_of_no_list", "valid list", RECORDS, lambda rows: {"rows": rows})


def _rename(jobs: dict[str, Any]) -> None:
    jobs["ab" * 16] = jobs.pop(next(iter(jobs)))


def _edit_a_seed(jobs: dict[str, Any]) -> None:
    next(job for job in jobs.values() if job["kind"] == "train")["spec"]["seed"] = 5


_edited("forged_key", "forged key", IDENTITIES, _rename)
_edited("forged_seed", "forged key", IDENTITIES, _edit_a_seed)
_edited("key_of_text", "is no key", IDENTITIES, lambda jobs: jobs | {"not a key": next(iter(jobs.values()))})
_edited("job_of_text", "and nothing else", IDENTITIES, lambda jobs: jobs | {"ab" * 16: "text"})
_edited("identities_of_no_object", "by key", IDENTITIES, lambda jobs: [jobs])
_edited("other_epochs", "protocol.epochs of run.json", "run.json",
        lambda run: run["protocol"].update(epochs={"up_to": [], "above": 9}))  # fmt: skip
_edited("another_code", "code of run.json", "run.json",
        lambda run: [m.update(code="feed" * 4) for m in run["methods"].values()] and None)  # fmt: skip
_edited("other_data", "data (fingerprint and classes of run.json)", "run.json",
        lambda run: run.update(data_fingerprint="ab" * 32))  # fmt: skip
_edited("other_classes", "data (fingerprint and classes of run.json)", "run.json",
        lambda run: run.update(class_names=[f"n{i}" for i in range(10)]))  # fmt: skip
_edited("no_suite", "suite", "run.json", lambda run: run.pop("suite") and None)
_edited("unknown_protocol_field", "knows no such one", "run.json", lambda run: run["protocol"].update(evil=1))
_edited("run_of_a_list", "valid dictionary", "run.json", lambda run: [run])
