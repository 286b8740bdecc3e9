"""Where a run's numbers come from: facts about suite, machine and code, and the command that repeats it.

In: the description of a run. Out: pairs of texts, and one command line.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from harness.core.text import duration, shorten, times
from harness.planning.request import RunRequest
from harness.reporters.runs import FLOAT_TITLE

_OPTIONS = {
    "suite": "--suite", "methods": "--methods", "ipc": "--ipc", "bytes": "--bytes", "students": "--students",
    "protocol": "--protocol", "seeds": "--seeds", "distill_seeds": "--distill-seeds", "executor": "--executor",
    "ray_address": "--ray-address", "wait_for_nodes": "--wait-for-nodes", "workers": "--workers", "retries": "--retries",
    "job_timeout": "--job-timeout", "device": "--device",
    "plugins": "--plugin", "settings": "--set", "store": "--store", "data_root": "--data-root",
    "weights_root": "--weights-root", "scores": "--scores", "reference": "--no-reference", "fresh": "--fresh",
    "validation": "--validation", "validation_seed": "--validation-seed",
}  # fmt: skip
"""Field of a request -> option. Not `name`: a run of that name exists now."""


_REPEATED = ("plugins",)


def command_line(request: dict[str, Any], methods: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the command that makes a request, without what is the default; ready for a shell.

    Args:
        request: of a run's description.
        methods: of the same, by name: one that is `given` came from `harness evaluate`, which the command is then of.
    """
    given = [name for name, about in methods.items() if about.get("given")]
    if given and given[0] in request.get("settings", {}):
        words, request = _evaluation(request, given[0], methods[given[0]].get("title"))
    else:
        words = ["harness", "run"]
    for field, option in _OPTIONS.items():
        value = request.get(field)
        if field == "suite" or value not in (None, [], {}, _default(field)):
            words += _words(field, option, value)
    return shlex.join(words)


def _evaluation(request: dict[str, Any], name: str, title: str | None) -> tuple[list[str], dict[str, Any]]:
    """Return the first words of `harness evaluate`, and the request less what they say."""
    settings = {target: dict(fields) for target, fields in request["settings"].items()}
    own = settings.pop(name)
    paths = [str(path) for path in (own.get("path"), own.get("labels_path")) if path]
    words = ["harness", "evaluate", *paths, "--as", name]
    title = (title or "").removesuffix(FLOAT_TITLE)
    if title and title != name:
        words += ["--title", title]
    if (pick := own.get("pick", "first")) != "first":
        words += ["--pick", str(pick)]
    for option, field in (("--class-order", "class_order"), ("--normalised", "normalised")):
        if own.get(field) is not None:
            words += [option, str(own[field])]
    if own.get("keep_float"):
        words.append("--keep-float")
    if own.get("soft_labels"):
        words += ["--labels", "own"]
        settings["protocol"] = {k: v for k, v in settings.get("protocol", {}).items() if k != "labels"}
    beside = [method for method in request.get("methods") or () if method != name]
    return words, {**request, "settings": settings, "methods": beside, "reference": True}  # it has no such option


def _default(field: str) -> Any:
    """Return a field's default as JSON holds it."""
    default = RunRequest.model_fields[field].get_default(call_default_factory=True)
    return list(default) if isinstance(default, tuple) else default


def _words(field: str, option: str, value: Any) -> Iterator[str]:
    if field == "settings":
        for target, fields in value.items():
            for name, setting in fields.items():
                # JSON is YAML too, which is what --set reads; a plain word stays as it was typed.
                yield from (option, f"{target}.{name}={json.dumps(setting)}")
    elif isinstance(value, bool):
        yield option
    elif field in _REPEATED:
        for one in value:
            yield from (option, str(one))
    else:
        yield from (option, ",".join(map(str, value)) if isinstance(value, list) else str(value))


def facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) of what a reader must know to trust or repeat the numbers; unknown ones are left out."""
    suite, protocol, machine = run.get("suite", {}), run.get("protocol", {}), run.get("environment", {})
    git = machine.get("git", {})
    changed = {True: " with uncommitted changes", False: "", None: ""}[git.get("dirty")]
    pairs = [
        ("Status", run.get("status")),
        ("Started", run.get("started")),
        ("Ended", run.get("ended")),
        ("Suite", _with_version(suite)),
        ("Source", run.get("source")),
        ("Data fingerprint", run.get("data_fingerprint")),
        ("Classes", len(run.get("classes", [])) or None),
        ("Protocol", _with_version(protocol)),
        ("Jobs planned", _counts(run.get("planned", {}))),
        ("Jobs by outcome", _counts(run.get("jobs", {}))),
        ("Lost attempts", losses_text(run.get("losses", []))),
        ("Device", machine.get("device_name")),
        ("CPU", f"{machine['cpu']} ({machine.get('cpu_count')} logical cores)" if machine.get("cpu") else None),
        ("Platform", machine.get("platform")),
        ("Python", machine.get("python")),
        ("Harness version", machine.get("harness")),
        ("Harness commit", f"{git['commit']}{changed}" if git.get("commit") else None),
        ("Packages", ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def _with_version(about: dict[str, Any]) -> str | None:
    return f"{about['name']} (version {about.get('version')})" if about.get("name") else None


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)


def losses_text(losses: list[dict[str, Any]]) -> str:
    """Return what a run lost to faults of the system: how many tries, their time, and what befell them; empty: nothing."""
    if not losses:
        return ""
    reasons = Counter(str(loss.get("reason")) for loss in losses)
    told = "; ".join(
        f"{shorten(reason, 120)}{f' ({n} times)' if n > 1 else ''}" for reason, n in reasons.most_common(5)
    )
    more = f"; and {times(len(reasons) - 5, 'other reason')}" if len(reasons) > 5 else ""
    spent = duration(sum(loss.get("seconds", 0.0) for loss in losses))
    return f"{times(len(losses), 'attempt')} of jobs, {spent}: {told}{more}"
