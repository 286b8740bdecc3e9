"""The tasks of a suite's jobs as the engine makes them, with small generators and untrained teachers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from harness.core.classes import ClassInfo
from harness.core.config.base import checked
from harness.core.config.generator import GENERATOR_TRAINING, GeneratorSpec
from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.method import Method
from harness.core.plugin.task import Task
from harness.data.real import RealImages
from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
from harness.jobs.context import JobContext, open_split
from harness.jobs.task_resources import load_generator
from harness.jobs.whitening import real_whitening
from harness.planning.method_selection import method_config
from harness.planning.request import make_request
from harness.planning.resolve import Resolved, resolve
from harness.students.build import build_student
from harness.students.features import FeatureExtractor
from harness.testing.small import GENERATORS, OPTIONS
from harness.training.soft_labels import SoftLabels
from harness.training.whitening import Whitening

MakeTask = Callable[..., Task]
"""(kind of job, method name, seed) -> the task of such a job for three classes."""


def task_maker(suite: str | Path, folder: Path, *, kinds: Iterable[str] | None = None, small: bool = False) -> MakeTask:
    """Train the suite's generators into `folder`, and return what makes the task of a job.

    Args:
        suite: its name or file.
        folder: for generators.
        kinds: of generators that are trained; None: all of the suite.
        small: train generators of the sizes in `harness.testing.small`, not of the suite's.
    """
    resolved = resolve(make_request(suite=suite))
    context, side, channels = resolved.context, resolved.suite.image_size, resolved.suite.channels
    split = open_split(context, "train")
    images, labels = split.tensors(size=side, crop="adm")
    for kind, spec in resolved.suite.generators.items():
        if kinds is None or kind in kinds:
            inputs = PriorInputs(
                images, labels, _shrunk(kind, spec) if small else spec, context.classes, folder / kind / "pipeline",
                "cpu", report=lambda *_: None, log=lambda *_, **__: None,
            )  # fmt: skip
            generator_kinds.get(kind).train(inputs)
    protocol = Protocol() if channels == 3 else Protocol(mean=(0.3,), std=(0.32,))

    @cache
    def student(name: str) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_student(name, len(context.classes), side, channels).requires_grad_(False).eval()

    def make(kind: str, name: str, seed: int = 0, classes: tuple[ClassInfo, ...] = context.classes[:3]) -> Task:
        device = torch.device("cpu")
        real = RealImages(split.restrict([c.id for c in classes]), size=side, device=device)
        services = _Services(context, folder, side, protocol, student(_teacher_of(name, resolved) or "convnet3"))
        return Task(classes, real, side, device, seed, (kind, name, classes[0].id), services, channels=channels)

    return make


def _shrunk(kind: str, spec: GeneratorSpec) -> GeneratorSpec:
    """Return a generator to train in place of the suite's, so small that it takes a second."""
    own = spec.train.model_dump() if spec.train is not None else {}
    return spec.model_copy(update={"train": GENERATOR_TRAINING[kind].model_validate({**own, **GENERATORS[kind]})})


def _teacher_of(name: str, resolved: Resolved) -> str | None:
    if name not in discovery.methods:
        return None
    return discovery.methods.get(name)(method_config(name, resolved.suite, {})).own_teacher()


class _Services:
    """Implements `TaskResources` with an untrained teacher."""

    def __init__(
        self, context: JobContext, folder: Path, side: int, protocol: Protocol, teacher: torch.nn.Module
    ) -> None:
        self.context, self.folder, self.side, self.protocol, self.network = context, folder, side, protocol, teacher

    def generator(self, kind: str) -> Any:
        return load_generator(self.context, kind, self.folder / kind)

    def features(self, name: str) -> FeatureExtractor:
        return FeatureExtractor.from_student(self.network, self.protocol, self.side, "cpu")

    def whitening(self, side: int) -> Whitening:
        return real_whitening(self.context, side)

    def teacher(self) -> SoftLabels:
        return SoftLabels(self.network, self.protocol, 0, side=self.side)


def quick_method(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """Return a method with few epochs, steps and crops; one that wraps another, over that one with the same.

    Args:
        name: of the method.
        settings: options that win over the quick ones.

    Raises:
        UserError: an option of `settings` is unknown or not allowed.
    """
    cls = discovery.methods.get(name)
    config = checked(cls.Config, {**_allowed(cls), **(settings or {})}, f"method {name}")
    method = cls(config)
    wrapped = method.wraps()
    method.inner = quick_method(wrapped) if wrapped else None
    return method


def _allowed(cls: type[Method]) -> dict[str, Any]:
    """Return the quick options that a method has and allows."""
    found = {}
    for field in OPTIONS.keys() & cls.Config.model_fields.keys():
        try:
            cls.Config.model_validate({field: OPTIONS[field]})
        except (ValidationError, UserError) as error:
            missing_only = isinstance(error, ValidationError) and all(d["type"] == "missing" for d in error.errors())
            if not missing_only:
                continue
        found[field] = OPTIONS[field]
    return found
