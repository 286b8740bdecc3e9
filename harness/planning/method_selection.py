"""Which methods a request means, each with its checked config, or with the reason why it cannot run here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.classes import ClassInfo
from harness.core.config.base import ConfigModel, checked, plain
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Suite
from harness.core.errors import UserError, did_you_mean
from harness.core.plugin import discovery, fingerprint
from harness.core.plugin.method import TEACHER_NEEDS, Method
from harness.core.plugin.notebook import in_notebook
from harness.core.text import shorten
from harness.diffusion import weights
from harness.planning.plan import MethodPlan
from harness.planning.request import RunRequest
from harness.students.spec import norm_of


def select_methods(request: RunRequest, suite: Suite, protocol: Protocol, device: str) -> tuple[MethodPlan, ...]:
    """Return every method of the request, those that cannot run here with the reason.

    Under soft labels the random subset is added: they alone reach what many distilled sets do (Qin, Deng and
    Alvarez-Melis, NeurIPS 2024), so that an accuracy says little without it.
    """
    registry = discovery.methods
    for name in request.methods:
        if name != "all" and name not in registry.broken:
            registry.get(name)
    if "all" in request.methods:
        names = sorted({*registry.names(), *registry.broken})
    else:
        names = list(dict.fromkeys(request.methods))
        names += [name for path in request.plugins for name in discovery.load_plugin(path) if name not in names]
    if request.scores:
        names += [n for n in registry.names() if n not in names and _is_reference(n)]
    plans = [_method_plan(name, request, suite, device) for name in names]
    sets = [m.cls for m in plans if m.cls is not None and not m.cls.all_data]
    wanted = request.reference and protocol.labels != "hard" and suite.teacher
    if wanted and sets and not any(cls.random_subset for cls in sets):
        added = (name for name in registry.names() if registry.get(name).random_subset)
        plans += [replace(_method_plan(name, request, suite, device), unasked=True) for name in added]
    return tuple(plans)


def _is_reference(name: str) -> bool:
    """Return whether scores compare with this method: the random subset and the full data."""
    cls = discovery.methods.get(name)
    return cls.all_data or cls.random_subset


def _method_plan(name: str, request: RunRequest, suite: Suite, device: str) -> MethodPlan:
    """Return a method of the request, or one that a method of it wraps."""
    if name in discovery.methods.broken:
        return MethodPlan(name, skip=discovery.methods.broken[name])
    cls = discovery.methods.get(name)
    config = method_config(name, suite, request.settings.get(name, {})).at_device(device, suite.image_size)
    if cls.__module__ == "__main__" and request.executor == "ray":
        raise UserError(_where_defined(name, cls))
    missing = sorted(need for need in cls.needs if not _offers(suite, need))
    if missing:
        return MethodPlan(name, cls, skip=f"suite {suite.name} provides no {' and no '.join(missing)}")
    plan = MethodPlan(name, cls, _plain_config(name, config), fingerprint.code_fingerprint(cls))
    if problem := _failing_answer(plan, ("wraps",)):
        return MethodPlan(name, cls, skip=problem)
    if (wrapped := plan.build().wraps()) is not None:
        _check_wrapped(cls, wrapped)
        inner = _method_plan(wrapped, request, suite, device)
        if inner.skip:
            return MethodPlan(name, cls, skip=f"{name} wraps {wrapped}: {inner.skip}")
        plan = replace(plan, inner=inner)
    problem = _failing_answer(plan) or _unfit_teacher(plan, suite)
    return MethodPlan(name, cls, skip=problem) if problem else plan


def _where_defined(name: str, cls: type[Method]) -> str:
    """Say that Ray's workers cannot import a method of a notebook or a script, and what to do."""
    if in_notebook(cls):
        return (
            f"method {name!r} is defined in a notebook cell, which Ray workers cannot import. Run it in this process "
            f'with executor="local"; or write `%%writefile {name}.py` as the first line of its cell (with its '
            f'imports) and pass plugins=["{name}.py"].'
        )
    return (
        f"method {name!r} is defined in the script itself, which Ray workers cannot import. Move it to its own file "
        "and pass that file as a plugin, or use the local executor."
    )


def _check_wrapped(cls: type[Method], wrapped: str) -> None:
    """Refuse what cannot be wrapped; a method whose file cannot be imported is skipped with that reason later.

    Raises:
        UserError: there is no such method, it makes no sets or wraps one itself, or the wrapper has a fit of its own.
    """
    registry = discovery.methods
    if wrapped in registry.broken:
        return
    known = [name for name in registry.names() if not _unwrappable(registry.get(name))]
    problem = (
        "a wrapper uses the state of the method it wraps, so it must not define fit: remove it" if cls.has_fit() else ""
    )
    if wrapped not in registry:
        problem = f"there is no method of that name.{did_you_mean(wrapped, known)}"
    elif why := _unwrappable(registry.get(wrapped)):
        problem = f"that method {why}."
    if problem:
        raise UserError(f"method {cls.name!r} wraps {wrapped!r}: {problem} It can wrap: {', '.join(known)}.")


def _unwrappable(cls: type[Method]) -> str:
    """Return why no method can wrap this one."""
    if cls.is_wrapper():
        return "is itself a wrapper"
    if cls.all_data:
        return "trains on all real images and distils no set"
    return "is an imported set" if cls.given else ""


QUESTIONS = ("group_size", "image_side", "pool_size", "redraw_every", "own_labels", "own_teacher")


def _failing_answer(plan: MethodPlan, questions: tuple[str, ...] = QUESTIONS) -> str:
    """Return which question of the planner a method answers with an exception: its own row says so, the others run."""
    method = plan.build()
    for question in questions:
        try:
            getattr(method, question)()
        except Exception as error:
            return f"{question}() failed: {type(error).__name__}: {shorten(str(error), 200)}"
    return ""


def _unfit_teacher(plan: MethodPlan, suite: Suite) -> str:
    """Return why a method cannot use the teacher that it would get; a network that is not known before it is built passes.

    Raises:
        UserError: its own teacher is no student.
    """
    assert plan.cls is not None
    method = plan.build()
    own = method.own_teacher()
    student = own or (suite.teacher.student if suite.teacher else None)
    try:
        known = norm_of(student) if student else None
    except UserError as error:
        raise UserError(f"the teacher of method {plan.name!r}: {error}") from None
    if own and method.redraw_every() is not None:
        return "a method that draws new images during student training (redraw_every) cannot have its own teacher"
    if "batch_norm_teacher" not in plan.cls.needs or known != "instance":
        return ""
    whose = "its own" if own else f"that of suite {suite.name}"
    cure = f"; set {plan.name}.teacher={student}_bn" if "teacher" in plan.cls.Config.model_fields else ""
    return f"it needs a teacher with batch norm, but {whose}, {student}, has none{cure}"


def _plain_config(name: str, config: ConfigModel) -> dict[str, Any]:
    """Return a config as JSON values."""
    found = {}
    for field, value in config.model_dump().items():
        try:
            found[field] = plain(value)
        except ValueError as error:
            raise UserError(f"method {name!r}: option {field!r} {error}.") from None
    return found


def method_config(name: str, suite: Suite, settings: dict[str, Any]) -> Method.Config:
    cls = discovery.methods.get(name)
    return checked(cls.Config, {**suite.method_overrides.get(name, {}), **settings}, f"method {name}")


def _offers(suite: Suite, need: str) -> bool:
    if need in TEACHER_NEEDS:
        return suite.teacher is not None
    return need.endswith("_generator") and need.removesuffix("_generator") in suite.generators


def skip_unknown_classes(
    method: MethodPlan, labels: dict[str, tuple[str, ...]], classes: tuple[ClassInfo, ...]
) -> MethodPlan:
    """Return the method, skipped with the reason where a generator that it needs does not know the classes."""
    for kind in needed_generators((method,)):
        if reason := weights.why_unknown(kind, labels[kind], classes):
            return MethodPlan(method.name, method.cls, skip=reason)
    return method


def needed_generators(methods: tuple[MethodPlan, ...]) -> tuple[str, ...]:
    """Return the kinds of generator that methods which are not skipped ask for, sorted."""
    needs = {need for m in methods for need in m.needs}
    return tuple(sorted(n.removesuffix("_generator") for n in needs if n.endswith("_generator")))
