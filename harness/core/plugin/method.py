"""The base class of a plugin: what a method declares, and the calls that it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from harness.core.config.base import ConfigModel
from harness.core.errors import UserError
from harness.core.plugin.distilled_set import DistilledSet
from harness.core.plugin.task import State, Task

TEACHER_NEEDS = frozenset(("features", "teacher", "batch_norm_teacher"))
"""Entries of `Method.needs` for which a method gets a teacher."""


class Method:
    """Base class of a plugin. Override `synthesize`, and `fit` where work is shared by all IPCs."""

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    """BibTeX entries of the paper, for `harness cite`; in no key, so that a correction repeats no work."""
    needs: ClassVar[frozenset[str] | set[str]] = frozenset()
    """What the suite must offer: "class_conditional_generator", "text_to_image_generator", "features", "teacher",
    "batch_norm_teacher" (a teacher with batch-norm layers)."""
    nested: ClassVar[bool] = False
    """True: the set at IPC 10 is the head of the set at IPC 50, so only the largest is synthesised.
    Mark with `task.per_image()` what grows with the images, so that smaller sets show their own time."""
    all_data: ClassVar[bool] = False
    """True for the reference row: students train on the whole real training split; nothing is synthesised."""
    random_subset: ClassVar[bool] = False
    """True for the random real subset that scores compare with (harness/reporters/stats/robustness.py)."""
    given: ClassVar[bool] = False
    """True: its images were made elsewhere and lie on the machine that runs `harness`. They are read there, by no worker,
    and what it took to make them is not known."""

    inner: Method | None = None
    """The method that this one wraps, with its options, where `wraps` names one: set before any other call."""

    class Config(ConfigModel):
        """Options of the method; override with fields."""

    def __init__(self, config: ConfigModel | None = None) -> None:
        self.config: Any = config if config is not None else self.Config()

    def wraps(self) -> str | None:
        """Return the name of the method whose sets this one makes its own from, as `self.inner`; None: of no other.

        Then `synthesize` is given the state that the fit of that method returned, in its class groups; a wrapper has no
        fit of its own. What that method needs, it needs too.
        """
        return None

    def group_size(self) -> int | None:
        """Return how many classes one `fit` takes at most; None: all of them in one fit."""
        return None

    def image_side(self) -> int | None:
        """Return the side of the images that `synthesize` makes, pixels; None: the suite's `image_size`."""
        return None

    def own_teacher(self) -> str | None:
        """Return the student network, such as "convnet3_bn", that is trained as this method's teacher; None: the suite's teacher.

        It is trained as the suite's is, and `task.teacher()` and `task.features()` give it. Students' soft labels stay those
        of the suite's teacher.
        """
        return None

    def own_labels(self) -> bool:
        """Return whether `synthesize` gives soft labels, which a protocol with stored labels then takes."""
        return False

    def pool_size(self) -> int:
        """Return k where the images are a pool of k x IPC per class (`DistilledSet.draws`), for estimates; 1: no pool."""
        return 1

    def fit(self, task: Task) -> State | None:
        """Do the work that all IPCs share; called once per class group and distillation seed."""
        return None

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Return `ipc` images for each of `task.classes`; `state` is what `fit` returned for these classes."""
        raise UserError(f"method {self.name!r} has no synthesize(task, state, ipc); write one")

    def redraw_every(self) -> int | None:
        """Return after how many epochs a student sees new images, from `drawer`; None: it keeps those of `synthesize`.

        Only for sets that store no images (`Stored`): new images would break a budget of images.
        """
        return None

    def drawer(self, task: Task, state: Any, ipc: int) -> Callable[[int], DistilledSet]:
        """Return a function from a number to the fresh set of that number; 0 is the head of what `synthesize` returned.

        Called once per class group and training. The task's random streams are those of `synthesize`, so that all
        students see the same images; its generator is shared by the class groups: add to it, do not change it.
        """
        raise UserError(f"method {self.name!r} redraws, but has no drawer(task, state, ipc); write one")

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return what the generator will have to do, for estimates: stage ("fit", "synthesize") -> (kind, learned, denoised).

        learned: images that pass forward and backward through the denoiser; denoised: those that only pass forward, once a
        step, twice with guidance. Empty: not known; then only earlier records tell what the method costs.

        Args:
            num_real: real images that a fit is given.
            num_images: images that a synthesis makes.
        """
        return {}

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]] | None:
        """Return what networks other than a generator do in one synthesis, for estimates: (network, learned, passed) of each.

        network: a student's name, such as "convnet3", or "teacher", the one that `task.teacher()` gives. learned: images
        that pass forward and backward, to the weights; passed: those that only pass forward. Backward through a network
        whose weights stay costs one forward pass more. Empty: no network does anything; None: not known.

        Args:
            num_real: real images of all classes.
            num_classes: classes.
            ipc: images per class that the synthesis makes.
            side: of these images, pixels.
        """
        return None

    @classmethod
    def citation(cls) -> str:
        """Return the BibTeX of the class that states the method's `reference`; "" where that class states none.

        A method that derives from another and has a paper of its own is not cited with the other's.
        """
        for base in cls.__mro__:
            if "bibtex" in vars(base) or "reference" in vars(base):
                return str(vars(base).get("bibtex", ""))
        return ""

    @classmethod
    def has_fit(cls) -> bool:
        """Return whether the method overrides `fit`."""
        return cls.fit is not Method.fit

    @classmethod
    def is_wrapper(cls) -> bool:
        """Return whether the method overrides `wraps`."""
        return cls.wraps is not Method.wraps
