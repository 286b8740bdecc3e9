"""The tasks of a suite's jobs as the engine makes them, with small generators and untrained teachers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from harness.core.config.protocol import Protocol
from harness.core.plugin import discovery
from harness.core.plugin.task import Task
from harness.data.real import RealImages
from harness.diffusion.generator_kinds import PriorInputs, generator_kinds
from harness.jobs.context import open_split
from harness.jobs.task_resources import load_generator
from harness.planning.method_selection import method_config
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from harness.students.build import build_student
from harness.students.features import FeatureExtractor
from harness.training.soft_labels import SoftLabels


def task_maker(suite: Path, folder: Path) -> Callable[..., Task]:
    """Train the suite's generators into `folder`, and return what makes the task of a job: (kind, method name, seed)."""
    resolved = resolve(make_request(suite=suite))
    context, side, channels = resolved.context, resolved.suite.image_size, resolved.suite.channels
    split = open_split(context, "train")
    images, labels = split.tensors(size=side, crop="adm")
    quiet = {"report": lambda *_: None, "log": lambda *_, **__: None}
    for kind, spec in context.generators.items():
        out = folder / kind / "pipeline"
        generator_kinds.get(kind).train(PriorInputs(images, labels, spec, context.classes, out, "cpu", **quiet))
    protocol = Protocol() if channels == 3 else Protocol(mean=(0.3,), std=(0.32,))

    @cache
    def student(name):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_student(name, len(context.classes), side, channels).requires_grad_(False).eval()

    class Services:
        def __init__(self, method):
            self.own = own_teacher(method) or "convnet3"

        def generator(self, kind):
            return load_generator(context, kind, folder / kind)

        def features(self, name):
            return FeatureExtractor.from_student(student(self.own), protocol, side, "cpu")

        def teacher(self):
            return SoftLabels(student(self.own), protocol, 0, side=side)

    def own_teacher(name):
        if name not in discovery.methods:
            return None
        return discovery.methods.get(name)(method_config(name, resolved.suite, {})).own_teacher()

    def make(kind, name, seed=0, classes=context.classes[:3]):
        device = torch.device("cpu")
        real = RealImages(split.restrict([c.id for c in classes]), size=side, device=device)
        scope = (kind, name, classes[0].id)
        return Task(classes, real, side, device, seed, scope, Services(name), channels=channels)

    return make


def quick_config(cls):
    """The default options, with fewer epochs, denoising steps and crops."""
    quick = {"sampling_steps": 2, "epochs": 1, "steps": 2, "batch": 64, "initializer": "digit", "num_crops": 2}
    quick |= {"negative": ""}  # the small text encoder has no word for what Stable Diffusion is led away from
    quick |= {"iterations": 2, "outer": 2, "inner": 1}
    quick |= {"groups": 50} if cls.name == "d3hr" else {}
    return cls.Config(**{k: v for k, v in quick.items() if k in cls.Config.model_fields})


def quick_method(name):
    """The method with quick options; one that wraps another, over that one with quick options."""
    cls = discovery.methods.get(name)
    method = cls(quick_config(cls))
    method.inner = quick_method(method.wraps()) if method.wraps() else None
    return method


def distil(make_task, name, ipc, seed=0):
    """What a method makes with quick options: class id -> images, checked."""
    method = quick_method(name)
    state = (method.inner or method).fit(make_task("fit", name, seed))
    task = make_task("synthesize", name, seed)
    return method.synthesize(task, state, ipc).check(task.classes, ipc, task.image_size, task.channels).images
