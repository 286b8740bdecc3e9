"""What every method must do, as checks that need a second each: the conformance tests.

In: a registered method and what makes its tasks. Out: for each check what is wrong, or nothing.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.core.plugin import discovery
from harness.core.plugin.distilled_set import DistilledSet
from harness.core.plugin.method import TEACHER_NEEDS, Method
from harness.jobs.random_state import random_states
from harness.testing.tasks import MakeTask, quick_method

KNOWN_NEEDS = {"class_conditional_generator", "text_to_image_generator", *TEACHER_NEEDS}

GREY_LEVELS = 3
"""By which a generator may round another batch size differently."""


class Failed(AssertionError):
    """A method does not do what every method must; the text says what, and what to do."""


@dataclass
class Subject:
    """A method under test.

    Attributes:
        name: its registered name.
        make_task: makes tasks; harness/testing/tasks.py.
        settings: options that win over the quick ones.
    """

    name: str
    make_task: MakeTask
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> type[Method]:
        """The class of the method."""
        return discovery.methods.get(self.name)

    @property
    def generates(self) -> bool:
        """Whether it needs a generator."""
        return any(need.endswith("_generator") for need in self.cls.needs)

    def distil(self, ipc: int, seed: int = 0) -> dict[str, torch.Tensor]:
        """Return what the method makes with quick options: class id -> images, checked."""
        method = quick_method(self.name, self.settings)
        state = (method.inner or method).fit(self.make_task("fit", self.name, seed))
        task = self.make_task("synthesize", self.name, seed)
        return method.synthesize(task, state, ipc).check(task.classes, ipc, task.image_size, task.channels).images


def _require(holds: object, text: str) -> None:
    if not holds:
        raise Failed(text)


def says_what_it_is(subject: Subject) -> None:
    """It has a title, a reference, known needs, described options, and a file that opens with a docstring."""
    cls = subject.cls
    _require(cls.title, "set `title`, the name in tables")
    _require(cls.reference, "set `reference`, the paper to cite")
    unknown = sorted(set(cls.needs) - KNOWN_NEEDS)
    _require(not unknown, f"`needs` has {unknown}; known: {sorted(KNOWN_NEEDS)}")
    bare = [name for name, info in cls.Config.model_fields.items() if not info.description]
    _require(not bare, f"options without a description: {', '.join(bare)}; write Field(..., description=...)")
    module = sys.modules[cls.__module__]
    _require(inspect.getdoc(module), "the file must start with a docstring that says what the method does")


def imports_the_public_api_only(subject: Subject) -> None:
    """It imports `harness`, and no module inside it."""
    module = sys.modules[subject.cls.__module__]
    source = module.__dict__.get("__harness_source__")
    for node in ast.walk(ast.parse(inspect.getsource(module) if source is None else source)):
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in named:
            text = (
                f"line {getattr(node, 'lineno', 0)} imports {name}; import public names only: `from harness import ...`"
            )
            _require(not name.startswith("harness."), text)


def equal_seeds_give_equal_images(subject: Subject) -> None:
    """Two runs with one seed give equal images, and global random states stay as they were."""
    torch.manual_seed(7)
    before = random_states()
    first = subject.distil(2)
    touched = [name for name, state in random_states().items() if before.get(name, state) != state]
    whose = " and ".join(sorted(touched))
    _require(not touched, f"it uses {whose} random numbers; draw from task.rng(stage) instead")
    torch.manual_seed(8)
    second = subject.distil(2)
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    _require(
        not differ,
        f"equal seeds give different images for classes {differ}; draw all random numbers from task.rng(stage)",
    )


def a_smaller_set_is_the_head_of_a_larger(subject: Subject) -> str | None:
    """A nested method makes the set at IPC 1 the head of that at IPC 3."""
    small, large = subject.distil(1), subject.distil(3)
    if not subject.cls.nested:
        return "not nested"
    allowed = GREY_LEVELS if subject.generates else 0
    for name in small:
        difference = int((small[name].int() - large[name][:1].int()).abs().max())
        text = f"class {name!r}: the set at IPC 1 is not the head of that at IPC 3 (they differ by {difference} grey levels); "
        _require(difference <= allowed, text + "draw each image from its own random stream, or set nested = False")
    return None


def the_work_that_grows_is_marked(subject: Subject) -> str | None:
    """A nested method marks with `task.per_image()` what grows with the images; else IPC 10 has the time of its largest set."""
    if not subject.cls.nested:
        return "not nested"
    marked: list[str] = []

    @contextmanager
    def per_image() -> Iterator[None]:
        marked.append("begin")
        yield
        marked.append("end")

    method, task = quick_method(subject.name, subject.settings), subject.make_task("synthesize", subject.name)
    task.per_image = per_image
    if "features" in subject.cls.needs:  # those of all real images cost the same at every IPC
        task.features = lambda *_: lambda images: marked.append("features") or images.flatten(1).float()  # type: ignore
    method.synthesize(task, (method.inner or method).fit(subject.make_task("fit", subject.name)), 1)
    _require(
        marked[-2:] == ["begin", "end"],
        "put the work that grows with the number of images under `with task.per_image():`",
    )
    inside = [
        place for place, word in enumerate(marked) if word == "features" and place and marked[place - 1] == "begin"
    ]
    _require(not inside, "features of all real images cost the same at every IPC: move them out of task.per_image()")
    return None


def more_images_than_the_class_has(subject: Subject) -> None:
    """At an IPC above the number of real images it still gives as many as asked for; repeats are counted."""
    task = subject.make_task("synthesize", subject.name)
    count = 3 if subject.generates else max(task.real.num_per_class.values()) + 1  # a generator never runs out
    made = DistilledSet(subject.distil(count))
    for c in task.classes:
        real = {image.numpy().tobytes() for image in task.real.images(c.id)}
        as_they_are = count > 3 and all(image.numpy().tobytes() in real for image in made.images[c.id])
        _require(
            not as_they_are or c.id in made.duplicates(), "with unchanged real images, one of them must appear twice"
        )


Check = Callable[[Subject], "str | None"]

CHECKS: dict[str, Check] = {
    "describes itself": says_what_it_is,
    "imports only the public API": imports_the_public_api_only,
    "equal seeds give equal images": equal_seeds_give_equal_images,
    "a smaller set is the head of a larger": a_smaller_set_is_the_head_of_a_larger,
    "marks the work that grows with the number of images": the_work_that_grows_is_marked,
    "handles more images than a class has": more_images_than_the_class_has,
}
"""Each raises `Failed`, or whatever the method raises, and returns why it does not apply, or None."""

DECLARED = ("describes itself", "imports only the public API")
"""Checks that make no images; the only ones of a method that trains on all real images."""
