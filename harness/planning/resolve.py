"""Turn what a user asked for into a checked plan input: every name known, every value allowed, the data found.

All mistakes surface here, before the store is touched or a job is started.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import hub
from harness.core.classes import read_class_list
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Suite, Teacher
from harness.core.environment import has_cuda
from harness.core.errors import UserError, did_you_mean
from harness.core.executors import executors
from harness.core.overrides import RESERVED
from harness.core.plugin import discovery
from harness.core.suites import load_suite
from harness.data.sources.base import open_source
from harness.diffusion import weights
from harness.diffusion.generator_kinds import check_generator
from harness.jobs.context import JobContext
from harness.planning.budget import with_budget, with_ipc
from harness.planning.method_selection import method_config, needed_generators, select_methods, skip_unknown_classes
from harness.planning.plan import MethodPlan, PlanInput
from harness.planning.request import RunRequest
from harness.students.spec import parse
from harness.training import teacher_lookup
from harness.training.protocols import resolve_protocol, variants


@dataclass(frozen=True)
class Resolved:
    """A request that can be planned and run.

    Attributes:
        class_counts: real training images of every class in label order, where the suite asks for head and tail.
    """

    request: RunRequest
    suite: Suite
    plan_input: PlanInput
    context: JobContext
    source_text: str
    class_counts: tuple[int, ...] = ()


def resolve(request: RunRequest) -> Resolved:
    """Check every part of a request against what exists.

    Raises:
        UserError: the first part that is wrong, with what to do.
    """

    discovery.discover()
    given_plugins = [_read_plugin(path) for path in request.plugins]
    executors.check(request.executor)
    file = load_suite(request.suite)
    suite = with_budget(
        file.suite,
        ipc=request.ipc,
        bytes=request.bytes,
        training_seeds=request.seeds,
        distillation_seeds=request.distill_seeds,
    )
    _check_targets(request, suite)
    students = _students(request, suite)
    check_suite(suite)
    protocol = _protocol(suite, request.protocol or suite.protocol, request.settings.get("protocol", {}))
    hub.check_root(request.weights_root)
    classes = read_class_list(file.class_list)
    suite = with_ipc(suite, len(classes))
    labels = {kind: weights.label_ids(spec, file) for kind, spec in suite.generators.items()}
    methods = tuple(skip_unknown_classes(m, labels, classes) for m in select_methods(request, suite))
    source = {**suite.source, **request.settings.get("data", {})}
    opened = open_source(source, tuple(c.id for c in classes), Path(request.data_root))
    opened.check()
    data_fingerprint = opened.fingerprint()
    _check_students(students, len(classes), suite.side)
    device = _device(request)
    needed = needed_generators(methods)
    generators = {
        kind: weights.locate(spec, file, request.data_root, request.weights_root, ask_hub=kind in needed)
        for kind, spec in suite.generators.items()
    }
    for kind in needed:
        check_generator(kind, generators[kind], classes, labels[kind], suite.image_size)
    teacher = suite.teacher
    teacher_labels: tuple[str, ...] = ()
    if teacher is not None and teacher.weights is not None and _needs_teacher(methods, protocol):
        teacher = teacher_lookup.locate(file, request.data_root, request.weights_root)
        teacher_labels = teacher_lookup.labels(teacher, file, classes)
    context = JobContext(
        store_uri=_absolute(request.store),
        source=source,
        data_root=str(Path(request.data_root).resolve()),
        data_fingerprint=data_fingerprint,
        classes=classes,
        generators=generators,
        generator_labels=labels,
        teacher=teacher,
        teacher_labels=teacher_labels,
        device=device,
        plugins=tuple(dict.fromkeys([*given_plugins, *_loaded_plugins(methods)])),
        fresh=request.fresh,
    )
    plan_input = PlanInput(
        suite=suite,
        classes=classes,
        methods=methods,
        students=students,
        protocol=protocol,
        teacher_protocol=_teacher_protocol(suite, protocol, methods),
        data_fingerprint=data_fingerprint,
        variants=variants(protocol) if request.scores else {},
        generator_fingerprints={
            kind: weights.fingerprint(generators[kind], labels[kind]) for kind in needed if generators[kind].weights
        },
        teacher_fingerprint=_teacher_fingerprint(teacher, teacher_labels),
        device=device,
    )
    counts = tuple(opened.split("train").num_per_class.values()) if "head_tail" in suite.metrics else ()
    return Resolved(request, suite, plan_input, context, opened.describe(), counts)


def _device(request: RunRequest) -> str:
    if request.device == "cuda" and request.ray_address is None and not has_cuda():
        raise UserError("device 'cuda': no usable CUDA device here; use --device cpu, or a cluster that has one.")
    if request.device == "auto":
        return "cuda" if has_cuda() else "cpu"
    return request.device


def _teacher_fingerprint(teacher: Teacher | None, labels: tuple[str, ...]) -> str | None:
    """Return what stands for given weights in a key; None: the teacher is trained, or nobody asks for it."""
    return hub.content_hash([teacher.weights], labels) if teacher and labels else None


def _absolute(store: str) -> str:
    return store if "://" in store else str(Path(store).resolve())


def _read_plugin(path: str) -> tuple[str, str]:
    discovery.load_plugin(path)
    file = Path(path)
    return str(file.resolve()), file.read_text(encoding="utf-8")


def _loaded_plugins(methods: tuple[MethodPlan, ...]) -> list[tuple[str, str]]:
    """Return the plugins that were loaded earlier in this process, so that workers know their methods too."""
    found = [discovery.plugin_source(m.cls) for m in methods if m.cls is not None]
    return [plugin for plugin in found if plugin is not None]


def _check_targets(request: RunRequest, suite: Suite) -> None:
    """Every target of --set and of the suite exists, and its fields fit, also where this request does not use it."""
    names = discovery.methods.names()
    for where, targets, known in (
        ("--set", request.settings, [*names, *RESERVED]),
        (f"suite {suite.name}: method_overrides", suite.method_overrides, names),
    ):
        for target in targets:
            if target not in known and target not in discovery.methods.broken:
                raise UserError(
                    f"{where}: unknown target {target!r}.{did_you_mean(target, known)} Known: {', '.join(known)}."
                )
    for target, values in request.settings.items():
        if target in names:
            method_config(target, suite, values)


def check_suite(suite: Suite) -> None:
    """Check what a suite overrides in protocols and methods, whether this request uses it or not.

    Raises:
        UserError: an unknown protocol, method or field, or a value that is not allowed.
    """
    for name in {suite.protocol, *suite.protocol_overrides}:
        _protocol(suite, name, {})
    for name in suite.method_overrides:
        if name in discovery.methods:
            method_config(name, suite, {})


def _students(request: RunRequest, suite: Suite) -> tuple[str, ...]:

    students = request.students or suite.students
    for name in students:
        parse(name)
    return tuple(dict.fromkeys(students))


def _check_students(students: tuple[str, ...], num_classes: int, side: int) -> None:
    """Build each student once: an unknown timm model or a network too deep for the images is found before any job."""
    from harness.students.build import build_student

    for name in students:
        build_student(name, num_classes, side)


def _protocol(suite: Suite, name: str, settings: dict[str, Any]) -> Protocol:

    return resolve_protocol(name, suite.protocol_overrides.get(name, {}), settings)


def _teacher_protocol(suite: Suite, protocol: Protocol, methods: tuple[MethodPlan, ...]) -> Protocol:
    """Return the protocol that the suite's teacher is trained under, and see that there is one where one is needed."""
    name = suite.teacher.protocol if suite.teacher else "idc"
    own = _protocol(suite, name, {})
    if own.labels != "hard":
        raise UserError(
            f"suite {suite.name}: teacher.protocol {name!r} has soft labels; a teacher learns from hard ones."
        )
    if _labelled_by_teacher(methods, protocol) and suite.teacher is None:
        raise UserError(
            f"protocol {protocol.name!r} takes soft labels from a teacher, and suite {suite.name} names none. Add "
            "`teacher: {student: resnet_ap10, epochs: 100}` to the suite, or choose a protocol with hard labels."
        )
    return own


def _needs_teacher(methods: tuple[MethodPlan, ...], protocol: Protocol) -> bool:
    needs = {need for m in methods if m.cls is not None and not m.skip for need in m.cls.needs}
    return _labelled_by_teacher(methods, protocol) or bool(needs & {"features", "teacher"})


def _labelled_by_teacher(methods: tuple[MethodPlan, ...], protocol: Protocol) -> bool:
    """Return whether the suite's teacher gives labels: soft ones, or stored ones of sets that come without."""
    if protocol.labels == "stored":
        return any(not m.build().own_labels() for m in methods if not m.skip)
    return protocol.labels == "soft"
