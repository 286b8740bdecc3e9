"""What a plan is made of: jobs with a content key each, and one row per record that the run will have.

Equal key = equal result: a key hashes what can change the result and nothing else (harness/planning/planner.py makes them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.config.base import AFTER_FIT, UNHASHED, is_marked
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Suite
from harness.core.errors import UserError
from harness.core.plugin.method import Method
from harness.jobs.job import KINDS, Job
from harness.planning.keys import changed


@dataclass(frozen=True)
class MethodPlan:
    """A method as the request wants it. `skip` says why it cannot run here; the class is then possibly unknown.

    `unasked`: the request does not name it; it is there for comparison.
    `inner`: the method that it wraps (`Method.wraps`), as the request wants that one.
    """

    name: str
    cls: type[Method] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    skip: str = ""
    unasked: bool = False
    inner: MethodPlan | None = None

    def build(self) -> Method:
        """Return the method with its config; not for one that is skipped."""
        assert self.cls is not None
        method = self.cls(self.cls.Config.model_validate(self.config))
        method.inner = self.inner.build() if self.inner else None
        return method

    def spec(self) -> dict[str, Any]:
        """Return the part of a job's specification that `load_method` builds the method from."""
        assert self.cls is not None
        own = {"method": self.name, "version": self.cls.version, "config": self.config, "code": self.fingerprint}
        return own | ({"inner": self.inner.spec()} if self.inner else {})

    @property
    def needs(self) -> frozenset[str]:
        """What the suite must offer to it and to the method that it wraps; nothing where it is skipped."""
        if self.cls is None or self.skip:
            return frozenset()
        return frozenset(self.cls.needs) | (self.inner.needs if self.inner else frozenset())

    def own_teacher(self) -> str | None:
        """Return the network of its own teacher, or of that of the method that it wraps; None: the suite's teacher."""
        return self.build().own_teacher() or (self.inner.own_teacher() if self.inner else None)

    @property
    def options(self) -> dict[str, Any]:
        """Its options, for people; those of the method that it wraps as NAME.OPTION."""
        inner = self.inner
        return self.config | ({f"{inner.name}.{name}": v for name, v in inner.config.items()} if inner else {})

    @property
    def code(self) -> str:
        """The fingerprint of its code, and of that of the method that it wraps."""
        return f"{self.fingerprint}+{self.inner.fingerprint}" if self.inner else self.fingerprint

    def hashed(self, kind: str) -> dict[str, Any]:
        """Return what stands for the config in the key of a job: the fields that can change its result, less defaults.

        Those are all but the ones marked UNHASHED and, for a fit, AFTER_FIT.
        """
        config = self.build().config
        marks = [UNHASHED, AFTER_FIT] if kind == "fit" else [UNHASHED]
        fields = type(config).model_fields.items()
        left_out = {name for name, info in fields if any(is_marked(info, mark) for mark in marks)}
        found: dict[str, Any] = {"config": changed(config, left_out)}
        return found | ({"inner": self.inner.spec() | self.inner.hashed(kind)} if self.inner else {})

    def pool_size(self) -> int:
        """Return how many times IPC images per class a set of the method has.

        Raises:
            UserError: the method says something that is no such number.
        """
        size = self.build().pool_size()
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"method {self.name!r}: pool_size() returned {size!r}; expected an integer of at least 1")
        return size


@dataclass(frozen=True)
class Row:
    """One record that the run will have, and the jobs that it comes from. No `train` key: the method was skipped.

    `variant` names a changed protocol that only a score needs; "" is the protocol of the run. `label` is the job that
    stored soft labels come from, where they did not come with the set.
    """

    method: str
    ipc: int | None
    student: str
    distillation_seed: int
    training_seed: int
    train: str | None = None
    synthesize: str | None = None
    fits: tuple[str, ...] = ()
    skip: str = ""
    variant: str = ""
    label: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What a job stands on: the jobs that must be done first, and what stands for each in its key, both by role.

    They differ for the smaller sets of a nested method: such a set is the head of the largest one, and stands in keys as if
    it had been made alone.
    """

    jobs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    content: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, jobs: dict[str, tuple[str, ...]]) -> Inputs:
        """Return inputs whose keys are those of the jobs that make them."""
        return cls(jobs, jobs)

    def __or__(self, other: Inputs) -> Inputs:
        return Inputs(self.jobs | other.jobs, self.content | other.content)


@dataclass(frozen=True)
class Redraw:
    """How a training draws new images of a method: the specification, and what stands for it in a key."""

    spec: dict[str, Any]
    hashed: dict[str, Any]

    def check(self, protocol: Protocol) -> None:
        """Refuse a protocol that keeps soft labels: each is of an image that will be gone.

        Raises:
            UserError: it does.
        """
        if protocol.labels == "stored":
            kept, instead = "stores one soft label per image (labels: stored)", "use labels: soft"
        elif protocol.labels == "soft" and protocol.labels_kept < 1:
            kept, instead = (
                f"keeps a fraction of its soft labels (labels_kept {protocol.labels_kept:g})",
                "set labels_kept: 1",
            )
        else:
            return
        raise UserError(
            f"method {self.spec['method']!r} draws new images while a student trains (redraw_every), but protocol "
            f"{protocol.name!r} {kept}. Remove redraw_every, or {instead}."
        )


@dataclass(frozen=True)
class PlanInput:
    """All that a plan depends on. The teacher keeps its own protocol, so that coresets do not change with --protocol.

    `variants` are further protocols, by name, under which students are trained for scores
    (harness/reporters/stats/robustness.py).
    """

    suite: Suite
    classes: tuple[ClassInfo, ...]
    methods: tuple[MethodPlan, ...]
    students: tuple[str, ...]
    protocol: Protocol
    teacher_protocol: Protocol
    data_fingerprint: str
    variants: dict[str, Protocol] = field(default_factory=dict)
    generator_fingerprints: dict[str, str] = field(default_factory=dict)
    teacher_fingerprint: str | None = None
    device: str = "cpu"

    def method_names(self) -> list[str]:
        """Return the methods whose options count: those of the request, and those that they wrap."""
        return [name for m in self.methods for name in (m.name, *([m.inner.name] if m.inner else []))]

    def pool_sizes(self) -> dict[str, int]:
        """Return, by method, how many images a distilled set has for each that an epoch sees."""
        return {m.name: m.pool_size() for m in self.methods if not m.skip}


@dataclass(frozen=True)
class Plan:
    """Jobs in an order in which each stands after those that it needs, and the rows to come."""

    jobs: dict[str, Job]
    rows: tuple[Row, ...]

    def counts(self) -> dict[str, int]:
        """Return the number of jobs of each kind."""
        return {kind: sum(job.kind == kind for job in self.jobs.values()) for kind in KINDS}
