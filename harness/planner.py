"""PlanInput -> Plan: which jobs a request needs, with a content key each. Pure: no files, no torch, no clock.

In: everything resolved (suite, classes, methods with configs and code fingerprints, protocol, fingerprints of data and
weights). Out: jobs by key with their dependencies, and one row per record that the run will have.
"""

from __future__ import annotations

import hashlib
from typing import Any

from harness import seeds
from harness.config import ByIpc, Protocol, Resources
from harness.errors import UserError
from harness.plan import NO_AUGMENTATION, STAGE_VERSIONS, Job, MethodPlan, Plan, PlanInput, Redraw, Row, class_groups
from harness.state import as_json


class Planner:
    """Builds one plan; equal work asked for twice becomes one job."""

    def __init__(self, given: PlanInput) -> None:
        self.given = given
        self.suite = given.suite
        self.jobs: dict[str, Job] = {}
        self.rows: list[Row] = []
        named = [given.data_fingerprint, *([c.id, c.name] for c in given.classes)]
        self._data = hashlib.sha256(as_json(named).encode()).hexdigest()
        self._variants = {"": given.protocol, **given.variants}
        self._groups = {m.name: self._group_size(m) for m in given.methods if not m.skip}

    def plan(self) -> Plan:
        """Expand methods x IPCs x students x seeds."""
        for method in self.given.methods:
            if method.skip:
                self._skip(method)
            else:
                self._method(method)
        return Plan(self.jobs, tuple(self.rows))

    def _add(
        self,
        kind: str,
        title: str,
        spec: dict[str, Any],
        deps: dict[str, tuple[str, ...]] | None = None,
        hashed: dict[str, Any] | None = None,
        resources: Resources | None = None,
        here: bool = False,
    ) -> str:
        """Add a job; `hashed` replaces entries of the specification in the key; it asks for its kind's resources."""
        deps = deps or {}
        resources = resources or self.suite.job_resources(kind)
        identity = {
            "kind": kind,
            "version": STAGE_VERSIONS[kind],
            "spec": spec | (hashed or {}),
            "deps": deps,
            # CPU threads and the kind of device change the last bits of a sum.
            "numerics": {"device": self.given.device.split(":")[0], "cpus": resources.cpus},
        }
        key = hashlib.sha256(as_json(identity).encode()).hexdigest()[:32]
        self.jobs.setdefault(key, Job(key, kind, title, spec, deps, resources, here))
        return key

    def _prior(self, kind: str) -> str:
        spec = self.suite.generators[kind]
        weights = self.given.generator_fingerprints.get(kind)
        training = spec.train.model_dump(mode="json") if spec.train and not weights else None
        words = {"class_words": spec.class_words} if spec.class_words else {}
        return self._add(
            "prior",
            f"prior {kind}",
            {
                "generator": kind,
                "weights": weights,
                "train": training,
                "image_size": self.suite.image_size,
                "data": self._data if training else None,
                **words,
            },
        )

    def _teacher(self) -> str:
        teacher = self.suite.teacher
        assert teacher is not None
        return self._add(
            "teacher",
            f"teacher {teacher.weights or teacher.student}",
            {
                "teacher": teacher.model_dump(mode="json", exclude={"weights", "classes"}),
                "weights": self.given.teacher_fingerprint,
                "full_accuracy": self.suite.full_accuracy,
                "protocol": _at_ipc(self.given.teacher_protocol, 1),
                "side": self.suite.side,
                "data": self._data,
            },
        )

    def _shared(self, method: MethodPlan) -> dict[str, tuple[str, ...]]:
        """Return the jobs that every stage of a method may ask its task for."""
        assert method.cls is not None
        deps: dict[str, tuple[str, ...]] = {
            kind: (self._prior(kind),) for kind in self.suite.generators if f"{kind}_generator" in method.cls.needs
        }
        if method.cls.needs & {"features", "teacher"}:
            deps["teacher"] = (self._teacher(),)
        return deps

    def _fits(self, method: MethodPlan, shared: dict[str, tuple[str, ...]], seed: int) -> tuple[str, ...]:
        assert method.cls is not None
        if not method.cls.has_fit():
            return ()
        groups = class_groups(self.given.classes, self._groups[method.name])
        keys = []
        for number, group in enumerate(groups):
            label = f" group {number + 1}/{len(groups)}" if len(groups) > 1 else ""
            spec = {**self._method_spec(method, seed), "group": [c.id for c in group]}
            keys.append(self._add("fit", f"fit {method.name}{label} seed {seed}", spec, shared, method.hashed("fit")))
        return tuple(keys)

    @staticmethod
    def _group_size(method: MethodPlan) -> int | None:
        size = method.build().group_size()
        if size is not None and (not isinstance(size, int) or size < 1):
            raise UserError(
                f"method {method.name!r}: group_size() returned {size!r}; expected a number from 1, or None"
            )
        return size

    def _method_spec(self, method: MethodPlan, seed: int) -> dict[str, Any]:
        assert method.cls is not None
        return {
            "method": method.name,
            "version": method.cls.version,
            "config": method.config,
            "code": method.fingerprint,
            "seed": seed,
            "image_size": method.build().image_side() or self.suite.image_size,
            "data": self._data,
        }

    def _method(self, method: MethodPlan) -> None:
        assert method.cls is not None
        if method.cls.all_data:
            for variant in self._variants:
                if variant != NO_AUGMENTATION:
                    self._students(method, variant, None, 0, {}, None)
            return
        shared = self._shared(method)
        for seed in self.suite.budget.distillation_seeds:
            fits = self._fits(method, shared, seed)
            redraw = self._redraw(method, seed)
            for ipc in self.suite.budget.ipc:
                deps: dict[str, tuple[str, ...]] = {"synthesize": (self._synthesize(method, shared, fits, seed, ipc),)}
                if redraw:
                    deps |= {**shared, "fit": fits}
                for variant in self._variants:
                    self._students(method, variant, ipc, seed, deps, redraw, fits)

    def _students(
        self,
        method: MethodPlan,
        variant: str,
        ipc: int | None,
        distillation_seed: int,
        deps: dict[str, tuple[str, ...]],
        redraw: Redraw | None,
        fits: tuple[str, ...] = (),
    ) -> None:
        """Add the trainings on one distilled set, or on all data, and their rows.

        Trainings on different sets of a method draw from different streams, so that a method which makes the same set
        for every seed is not credited with agreeing with itself. (The set of distillation seed 0 keeps the plain training seed.)
        """
        which = "all data" if ipc is None else f"ipc {ipc} set {distillation_seed}"
        title = " ".join(filter(None, [method.name, which, variant]))
        made = deps.get("synthesize", (None,))[0]
        if self._variants[variant].labels == "stored":
            deps = {**deps, **self._labels(method, made, redraw)}
        label = deps.get("label", (None,))[0]
        for student in self.given.students:
            for seed in self.suite.budget.training_seeds:
                key = self._train(title, variant, ipc, student, seed, distillation_seed, deps, redraw)
                row = Row(
                    method.name, ipc, student, distillation_seed, seed, key, made, fits, variant=variant, label=label
                )
                self.rows.append(row)

    def _synthesize(
        self, method: MethodPlan, shared: dict[str, tuple[str, ...]], fits: tuple[str, ...], seed: int, ipc: int
    ) -> str:
        assert method.cls is not None
        made = max(self.suite.budget.ipc) if method.cls.nested else ipc
        spec = {**self._method_spec(method, seed), "ipc": made, "group_size": self._groups[method.name]}
        deps = {**shared, "fit": fits} if fits else shared
        title = f"synthesize {method.name} ipc {made} seed {seed}"
        return self._add("synthesize", title, spec, deps, method.hashed("synthesize"), here=method.cls.given)

    def _labels(self, method: MethodPlan, made: str | None, redraw: Redraw | None) -> dict[str, tuple[str, ...]]:
        """Return the jobs that the stored soft labels of a training come from; none where they came with the set."""
        if redraw:
            raise UserError(
                f"method {method.name!r} draws new images while a student trains (redraw_every), and protocol "
                f"{self.given.protocol.name!r} stores one soft label an image (labels: stored). Leave redraw_every out, "
                "or take labels: soft."
            )
        if made is None:  # all real images: labelled when the training begins, nothing is kept
            return {"teacher": (self._teacher(),)}
        if method.build().own_labels():
            return {}
        job = self.jobs[made]
        spec = {"method": method.name, "ipc": job.spec["ipc"], "side": self.suite.side, "data": self._data}
        deps: dict[str, tuple[str, ...]] = {"synthesize": (made,), "teacher": (self._teacher(),)}
        return {"label": (self._add("label", job.title.replace("synthesize", "label", 1), spec, deps),)}

    def _redraw(self, method: MethodPlan, seed: int) -> Redraw | None:
        """Return what a training needs to draw new images of a method as it goes; None: it keeps the set that it has."""
        every = method.build().redraw_every()
        if every is None:
            return None
        spec = {**self._method_spec(method, seed), "every": every, "group_size": self._groups[method.name]}
        return Redraw(spec, spec | method.hashed("synthesize"))

    def _train(
        self,
        title: str,
        variant: str,
        ipc: int | None,
        student: str,
        seed: int,
        set_seed: int,
        deps: dict[str, tuple[str, ...]],
        redraw: Redraw | None,
    ) -> str:
        protocol = self._variants[variant]
        spec = {
            "student": student,
            "seed": seeds.derive(seed, "set", set_seed) if set_seed else seed,
            "ipc": ipc,
            "protocol": _at_ipc(protocol, ipc),
            "side": self.suite.side,
            "data": self._data,
        }
        resources, hashed = self.suite.job_resources("train"), {}
        if protocol.labels == "soft":
            deps = {**deps, "teacher": (self._teacher(),)}
        if redraw:
            spec, hashed = spec | {"redraw": redraw.spec}, {"redraw": redraw.hashed}
            resources = _together(resources, self.suite.job_resources("synthesize"))
        return self._add("train", f"train {title} {student} seed {seed}", spec, deps, hashed, resources)

    def _skip(self, method: MethodPlan) -> None:
        budget = self.suite.budget
        for ipc in budget.ipc:
            for student in self.given.students:
                for seed in budget.distillation_seeds:
                    for train_seed in budget.training_seeds:
                        self.rows.append(Row(method.name, ipc, student, seed, train_seed, skip=method.skip))


def _together(one: Resources, other: Resources) -> Resources:
    """Return what a job asks for that does the work of two kinds in turn, with the models of both in memory."""
    return Resources(
        cpus=max(one.cpus, other.cpus), gpus=max(one.gpus, other.gpus), memory_gb=one.memory_gb + other.memory_gb
    )


def _at_ipc(protocol: Protocol, ipc: int | None) -> dict[str, Any]:
    """Return the protocol with the epochs and batch of this IPC only, so that a change for another changes no key.

    For all data (None) the mean images per class are not known here; the whole rule stays.
    """
    if ipc is not None:
        rules = {"epochs": protocol.epochs, "batch_by_ipc": protocol.batch_by_ipc}
        here = {name: ByIpc(up_to=(), above=rule.at(ipc)) for name, rule in rules.items() if rule}
        protocol = protocol.model_copy(update=here)
    return protocol.model_dump(mode="json")


def make_plan(given: PlanInput) -> Plan:
    """Return the plan of a request."""
    return Planner(given).plan()
