"""PlanInput -> Plan: which jobs a request needs, with a content key each. Pure: no files, no torch, no clock.

In: everything resolved (suite, classes, methods with configs and code fingerprints, protocol, fingerprints of data and
weights). Out: jobs by key with their dependencies, and one row per record that the run will have.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import Any

from harness.core import seeds
from harness.core.config.protocol import NO_AUGMENTATION, Protocol
from harness.core.config.suite import Resources
from harness.core.errors import UserError
from harness.core.plugin.method import TEACHER_NEEDS
from harness.jobs.job import STAGE_VERSIONS, Job, class_groups
from harness.planning.keys import at_ipc, changed, data_key, hashed_protocol, key_of
from harness.planning.plan import Inputs, MethodPlan, Plan, PlanInput, Redraw, Row


class Planner:
    """Builds one plan; equal work asked for twice becomes one job."""

    def __init__(self, given: PlanInput) -> None:
        self.given = given
        self.suite = given.suite
        self.jobs: dict[str, Job] = {}
        self.rows: list[Row] = []
        classes = [(c.id, c.name) for c in given.classes]
        self._data = data_key(given.data_fingerprint, classes, given.suite.channels)
        self._variants = {"": given.protocol, **given.variants}
        self._at_ipc: dict[tuple[str, int | None], tuple[Protocol, dict[str, Any], dict[str, Any]]] = {}
        self._priors: dict[str, str] = {}
        planned = [m for m in given.methods if not m.skip]
        self._groups = {m.name: self._group_size(m) for m in (*planned, *(m.inner for m in planned if m.inner))}

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
        inputs: Inputs | None = None,
        hashed: dict[str, Any] | None = None,
        resources: Resources | None = None,
        runs_on_driver: bool = False,
    ) -> str:
        """Add a job; `hashed` replaces entries of the specification in the key; it asks for its kind's resources."""
        inputs = inputs or Inputs()
        resources = resources or self.suite.job_resources(kind)
        identity = self._identity(kind, spec | (hashed or {}), inputs, resources)
        job = Job(
            key_of(identity), kind, title, spec, inputs.jobs, resources, runs_on_driver, identity, self.suite.name
        )
        return self.jobs.setdefault(job.key, job).key

    def _identity(
        self, kind: str, spec: dict[str, Any], inputs: Inputs, resources: Resources | None = None
    ) -> dict[str, Any]:
        """Return what the key of a job is hashed from."""
        # The kind of device changes the last bits of a sum; on a CPU the number of threads does, too.
        device, resources = self.given.device.split(":")[0], resources or self.suite.job_resources(kind)
        cpus = {"cpus": resources.cpus} if device == "cpu" else {}
        return {
            "kind": kind,
            "version": STAGE_VERSIONS[kind],
            "spec": spec,
            "deps": inputs.content,
            "numerics": {"device": device, **cpus},
        }

    def _prior(self, kind: str) -> str:
        """Return the key of the prior of a kind; all that stands on it shares one job."""
        if kind not in self._priors:
            self._priors[kind] = self._add_prior(kind)
        return self._priors[kind]

    def _add_prior(self, kind: str) -> str:
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
            hashed={"train": changed(spec.train)} if spec.train and training else None,
        )

    @cached_property
    def teacher(self) -> str:
        """The key of the suite's teacher."""
        return self._add_teacher(None)

    def _add_teacher(self, student: str | None) -> str:
        """Return the key of the suite's teacher, or of one with its settings and this network."""
        teacher, protocol = self.suite.teacher, at_ipc(self.given.teacher_protocol, 1)
        assert teacher is not None
        teacher = teacher.trained_as(student) if student else teacher
        return self._add(
            "teacher",
            f"teacher {teacher.weights or teacher.student}",
            {
                "teacher": teacher.model_dump(mode="json", exclude={"weights", "classes"}),
                "weights": self.given.teacher_fingerprint if teacher.weights else None,
                "full_accuracy": self.suite.full_accuracy,
                "protocol": protocol.model_dump(mode="json"),
                "side": self.suite.side,
                "data": self._data,
            },
            hashed={"teacher": changed(teacher, ("weights", "classes")), "protocol": hashed_protocol(protocol)},
        )

    def _shared(self, method: MethodPlan) -> Inputs:
        """Return the jobs that every stage of a method may ask its task for."""
        deps: dict[str, tuple[str, ...]] = {
            kind: (self._prior(kind),) for kind in self.suite.generators if f"{kind}_generator" in method.needs
        }
        if method.needs & TEACHER_NEEDS:
            own = method.own_teacher()
            deps["teacher"] = (self._add_teacher(own) if own else self.teacher,)
        return Inputs.of(deps)

    def _fits(self, method: MethodPlan, shared: Inputs, seed: int) -> tuple[str, ...]:
        """Return the fits that a synthesis takes its state from; a wrapper's are those of the method that it wraps."""
        assert method.cls is not None
        if method.inner:
            return self._fits(method.inner, self._shared(method.inner), seed)
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
        size = (method.inner or method).build().group_size()
        if size is not None and (not isinstance(size, int) or size < 1):
            raise UserError(
                f"method {method.name!r}: group_size() returned {size!r}; expected an integer of at least 1, or None"
            )
        return size

    def _method_spec(self, method: MethodPlan, seed: int) -> dict[str, Any]:
        side = method.build().image_side() or self.suite.image_size
        return method.spec() | {"seed": seed, "image_size": side, "data": self._data}

    def _method(self, method: MethodPlan) -> None:
        assert method.cls is not None
        if method.cls.all_data:
            for variant in self._variants:
                if variant != NO_AUGMENTATION:
                    self._students(method, variant, None, 0, Inputs(), None)
            return
        shared = self._shared(method)
        for seed in self.suite.budget.distillation_seeds:
            fits = self._fits(method, shared, seed)
            redraw = self._redraw(method, seed)
            making = shared | Inputs.of({"fit": fits}) if fits or redraw else shared
            for ipc in self.suite.budget.ipc:
                inputs = self._synthesize(method, making, seed, ipc)
                if redraw:
                    inputs = making | inputs
                for variant in self._variants:
                    self._students(method, variant, ipc, seed, inputs, redraw, fits)

    def _students(
        self,
        method: MethodPlan,
        variant: str,
        ipc: int | None,
        distillation_seed: int,
        inputs: Inputs,
        redraw: Redraw | None,
        fits: tuple[str, ...] = (),
    ) -> None:
        """Add the trainings on one distilled set, or on all data, and their rows.

        Trainings on different sets of a method draw from different streams, so that a method which makes the same set
        for every seed is not credited with agreeing with itself. (The set of distillation seed 0 keeps the plain training seed.)
        """
        which = "all data" if ipc is None else f"ipc {ipc} set {distillation_seed}"
        title = " ".join(filter(None, [method.name, which, variant]))
        if redraw:
            redraw.check(self._variants[variant])
        if self._variants[variant].labels == "stored":
            inputs |= self._labels(method, ipc, inputs)
        made, label = (inputs.jobs.get(role, (None,))[0] for role in ("synthesize", "label"))
        for student in self.given.students:
            for seed in self.suite.budget.training_seeds:
                key = self._train(title, variant, ipc, student, seed, distillation_seed, inputs, redraw)
                row = Row(
                    method.name, ipc, student, distillation_seed, seed, key, made, fits, variant=variant, label=label
                )
                self.rows.append(row)

    def _synthesize(self, method: MethodPlan, making: Inputs, seed: int, ipc: int) -> Inputs:
        """Add the set that holds the one of this IPC: of a nested method the largest, of which this one is the head."""
        assert method.cls is not None
        made = max(self.suite.budget.ipc) if method.cls.nested else ipc
        spec = {**self._method_spec(method, seed), "ipc": made, "group_size": self._groups[method.name]}
        title, hashed = f"synthesize {method.name} ipc {made} seed {seed}", method.hashed("synthesize")
        key = self._add("synthesize", title, spec, making, hashed, runs_on_driver=method.cls.given)
        head = self._identity("synthesize", spec | hashed | {"ipc": ipc}, making)
        return Inputs({"synthesize": (key,)}, {"synthesize": (key_of(head),)})

    def _labels(self, method: MethodPlan, ipc: int | None, inputs: Inputs) -> Inputs:
        """Return the jobs that the stored soft labels of a training come from; none where they came with the set."""
        if ipc is None:  # all real images: labelled when the training begins, nothing is kept
            return Inputs.of({"teacher": (self.teacher,)})
        if method.build().own_labels():
            return Inputs()
        job, teacher = self.jobs[inputs.jobs["synthesize"][0]], Inputs.of({"teacher": (self.teacher,)})
        spec = {"method": method.name, "ipc": job.spec["ipc"], "side": self.suite.side, "data": self._data}
        title = job.title.replace("synthesize", "label", 1)
        key = self._add("label", title, spec, Inputs.of({"synthesize": (job.key,)}) | teacher)
        head = Inputs({}, {"synthesize": inputs.content["synthesize"]}) | teacher
        return Inputs({"label": (key,)}, {"label": (key_of(self._identity("label", spec | {"ipc": ipc}, head)),)})

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
        inputs: Inputs,
        redraw: Redraw | None,
    ) -> str:
        protocol, values, hashed_values = self._protocol(variant, ipc)
        spec = {
            "student": student,
            "seed": seeds.derive(seed, "set", set_seed) if set_seed else seed,
            "ipc": ipc,
            "protocol": values,
            "side": self.suite.side,
            "data": self._data,
        }
        resources, hashed = self.suite.job_resources("train"), {"protocol": hashed_values}
        if protocol.labels == "soft":
            inputs |= Inputs.of({"teacher": (self.teacher,)})
        if redraw:
            spec, hashed = spec | {"redraw": redraw.spec}, hashed | {"redraw": redraw.hashed}
            resources = _together(resources, self.suite.job_resources("synthesize"))
        return self._add("train", f"train {title} {student} seed {seed}", spec, inputs, hashed, resources)

    def _protocol(self, variant: str, ipc: int | None) -> tuple[Protocol, dict[str, Any], dict[str, Any]]:
        """Return a protocol at an IPC, its values, and what stands for it in a key; thousands of trainings share it."""
        if (variant, ipc) not in self._at_ipc:
            protocol = at_ipc(self._variants[variant], ipc)
            self._at_ipc[variant, ipc] = (protocol, protocol.model_dump(mode="json"), hashed_protocol(protocol))
        return self._at_ipc[variant, ipc]

    def _skip(self, method: MethodPlan) -> None:
        budget, students = self.suite.budget, self.given.students
        places = product(budget.ipc, students, budget.distillation_seeds, budget.training_seeds)
        self.rows += [Row(method.name, *place, skip=method.skip) for place in places]


def _together(one: Resources, other: Resources) -> Resources:
    """Return what a job asks for that does the work of two kinds in turn, with the models of both in memory."""
    return Resources(
        cpus=max(one.cpus, other.cpus), gpus=max(one.gpus, other.gpus), memory_gb=one.memory_gb + other.memory_gb
    )


def make_plan(given: PlanInput) -> Plan:
    """Return the plan of a request."""
    return Planner(given).plan()
