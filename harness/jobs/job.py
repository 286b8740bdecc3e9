"""One job: its kind, its content key, what it needs, and the version of each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.config.suite import Resources

STAGE_VERSIONS = {"prior": 1, "teacher": 1, "fit": 1, "synthesize": 2, "label": 1, "train": 2}
"""+1 whenever a stage of the harness would give other results for an equal specification, such as with another default
of a teacher's options or of a generator's training: keys hash what differs from the defaults (harness/planning/keys.py)."""


KINDS = tuple(STAGE_VERSIONS)


SCORED_ON = 10_000
"""Held-out images that a teacher is scored on at most: enough for half a percent, few enough for memory at 224 pixels."""


@dataclass(frozen=True)
class Job:
    """One unit of work.

    Attributes:
        key: content key, 32 hex digits of the SHA-256 of `identity`.
        kind: prior, teacher, fit, synthesize, label or train.
        title: for people, e.g. "train minimax ipc 10 convnet3 seed 0".
        spec: what the job does, with every default.
        deps: role -> keys of jobs that must be done first.
        resources: what an executor must give it.
        runs_on_driver: it reads files of this machine, so it runs in the process that made the plan, whatever the executor.
        identity: what the key is hashed from: of `spec` and `deps` what can change the result. The artefact keeps it, so that a
            later plan can say why its own key is another one (harness/planning/rerun.py).
        suite: name of the suite that it was planned for; in no key.
    """

    key: str
    kind: str
    title: str
    spec: dict[str, Any]
    deps: dict[str, tuple[str, ...]]
    resources: Resources
    runs_on_driver: bool = False
    identity: dict[str, Any] = field(default_factory=dict)
    suite: str = ""

    def dependencies(self) -> Iterator[str]:
        """Yield the keys of all jobs that must be done first."""
        for keys in self.deps.values():
            yield from keys


def class_groups(classes: tuple[ClassInfo, ...], size: int | None) -> list[tuple[ClassInfo, ...]]:
    """Cut the class list, in label order, into groups of at most `size`; None: one group."""
    step = size or len(classes)
    return [classes[i : i + step] for i in range(0, len(classes), step)]
