"""The first part of a request: the suite with the request's budget, students and protocol, every name and value checked.

In: a request. Out: a `SuitePart`. Only the files of suites, class lists and plugins are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.core import hub
from harness.core.classes import ClassInfo, read_class_list
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Suite
from harness.core.errors import UserError, did_you_mean
from harness.core.executors import executors
from harness.core.overrides import RESERVED
from harness.core.plugin import discovery
from harness.core.plugin.plugin_files import PluginSource, read_plugin
from harness.core.suites import SuiteFile, load_suite
from harness.core.text import times
from harness.planning.budget import with_budget, with_ipc
from harness.planning.method_selection import method_config
from harness.planning.request import RunRequest
from harness.students.spec import parse
from harness.training.protocol_files import is_path
from harness.training.protocols import find_protocol, resolve_protocol


@dataclass(frozen=True)
class SuitePart:
    """What a request and its suite say together.

    Attributes:
        file: the suite as its file has it, and the file's folder.
        suite: with the request's budget, in images per class.
        classes: in label order.
        students: each name once.
        protocol: that the students are trained under.
        protocol_files: by name, the protocols that the request or the suite names by their files; the suite has the names.
        plugins: texts of the request's, and of HARNESS_PLUGINS.
    """

    file: SuiteFile
    suite: Suite
    classes: tuple[ClassInfo, ...]
    students: tuple[str, ...]
    protocol: Protocol
    protocol_files: Mapping[str, Protocol]
    plugins: tuple[PluginSource, ...]


def resolve_suite(request: RunRequest) -> SuitePart:
    """Check names and values, before any data or weights are looked for.

    Raises:
        UserError: the first that is wrong.
    """
    discovery.discover()
    plugins = (*discovery.own_plugins.values(), *map(_loaded, request.plugins))
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
    suite, files = with_protocol_names(suite, file.folder)
    wanted = request.protocol or suite.protocol
    if is_path(wanted):
        wanted = _add(files, Path(wanted))
    check_suite(suite, files)
    protocol = suite_protocol(suite, wanted, request.settings.get("protocol", {}), files)
    hub.check_root(request.weights_root)
    classes = read_class_list(file.class_list)
    return SuitePart(file, with_ipc(suite, len(classes)), classes, students, protocol, files, plugins)


def with_protocol_names(suite: Suite, folder: Path) -> tuple[Suite, dict[str, Protocol]]:
    """Return the suite with names where it has files of protocols, and these protocols by name: no key holds a path.

    Args:
        suite: as its file says.
        folder: of that file; relative paths start from it.

    Raises:
        UserError: a file has a mistake, or two of the same name differ.
    """
    files: dict[str, Protocol] = {}

    def name_of(protocol: str) -> str:
        return _add(files, folder / protocol) if is_path(protocol) else protocol

    changes: dict[str, Any] = {"protocol": name_of(suite.protocol)}
    if suite.teacher:
        changes["teacher"] = suite.teacher.model_copy(update={"protocol": name_of(suite.teacher.protocol)})
    return suite.model_copy(update=changes), files


def _add(files: dict[str, Protocol], path: Path) -> str:
    """Read a protocol's file and return its name."""
    found = find_protocol(str(path))
    if files.setdefault(found.name, found) != found:
        raise UserError(f"protocol file {path}: another file of this run is also named {found.name!r}. Rename one.")
    return found.name


def check_suite(suite: Suite, files: Mapping[str, Protocol] = MappingProxyType({})) -> None:
    """Check what a suite overrides in protocols and methods, whether this request uses it or not.

    Raises:
        UserError: an unknown protocol, method or field, or a value that is not allowed.
    """
    for name in {suite.protocol, *suite.protocol_overrides}:
        suite_protocol(suite, name, files=files)
    for name in suite.method_overrides:
        if name in discovery.methods:
            method_config(name, suite, {})


def suite_protocol(
    suite: Suite,
    name: str,
    settings: Mapping[str, Any] | None = None,
    files: Mapping[str, Protocol] = MappingProxyType({}),
) -> Protocol:
    """Return a protocol as the suite and then the settings change it; one of `files`, or one that all know.

    Raises:
        UserError: an unknown protocol or field, or a value that is not allowed.
    """
    protocol = resolve_protocol(files.get(name, name), suite.protocol_overrides.get(name, {}), dict(settings or {}))
    _check_channels(protocol, suite)
    return protocol


def _check_channels(protocol: Protocol, suite: Suite) -> None:
    """See that a protocol treats images of the suite's channels.

    Raises:
        UserError: it normalises other channels, or it has colour lighting for grey images.
    """
    where = f"suite {suite.name} has channels: {suite.channels}, but protocol {protocol.name!r}"
    if protocol.channels != suite.channels:
        number = "[0.5]" if suite.channels == 1 else "[0.5, 0.5, 0.5]"
        more = ", pca_lighting: 0" if suite.channels == 1 and protocol.pca_lighting else ""
        raise UserError(
            f"{where} normalises {times(protocol.channels, 'channel')}. Set the mean and std of its images, in [0, "
            f"1], under protocol_overrides: {{{protocol.name}: {{mean: {number}, std: {number}{more}}}}}."
        )
    if suite.channels == 1 and protocol.pca_lighting:
        raise UserError(
            f"{where} has pca_lighting {protocol.pca_lighting:g}, colour noise, which does not apply to grey images. "
            f"Set pca_lighting: 0 under protocol_overrides: {{{protocol.name}: {{pca_lighting: 0}}}}."
        )


def _loaded(path: str) -> PluginSource:
    plugin = read_plugin(path)
    discovery.load_plugin_source(plugin)
    return plugin


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


def _students(request: RunRequest, suite: Suite) -> tuple[str, ...]:
    students = request.students or suite.students
    for name in students:
        parse(name)
    return tuple(dict.fromkeys(students))
