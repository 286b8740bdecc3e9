"""The base class of a plugin: what a method declares, and the calls that it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from harness.core.config.base import ConfigModel
from harness.core.errors import UserError
from harness.core.plugin.distilled_set import DistilledSet
from harness.core.plugin.task import State, Task

TEACHER_NEEDS = frozenset(("features", "teacher", "batch_norm_teacher"))
"""Entries of `Method.needs` for which a method gets a teacher."""


class Method:
    """Base class of a method. Override `synthesize`, and `fit` for work shared by all IPCs."""

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

        def at_device(self, device: str, side: int) -> Self:
            """Return the options that are hashed and run; override where an option such as `auto` depends on the device.

            Args:
                device: "cpu" or "cuda".
                side: of the suite's images, pixels.
            """
            return self

    def __init__(self, config: ConfigModel | None = None) -> None:
        self.config: Any = config if config is not None else self.Config()

    def wraps(self) -> str | None:
        """Return the name of the wrapped method (`self.inner`), from whose sets this one makes its own; None: not a wrapper.

        `synthesize` then gets the state of that method's fit, in its class groups; a wrapper has no own fit. The needs of
        that method are added to its own.
        """
        return None

    def group_size(self) -> int | None:
        """Return the maximum number of classes in one `fit`; None: all classes in one fit."""
        return None

    def image_side(self) -> int | None:
        """Return the side length of the images of `synthesize`, in pixels; None: the suite's `image_size`."""
        return None

    def own_teacher(self) -> str | None:
        """Return the student network, such as "convnet3_bn", that is trained as this method's teacher; None: the suite's teacher.

        It is trained with the settings of the suite's teacher; `task.teacher()` and `task.features()` return it. Soft labels
        for students still come from the suite's teacher.
        """
        return None

    def own_labels(self) -> bool:
        """Return whether `synthesize` returns soft labels, which a protocol with stored labels then uses."""
        return False

    def pool_size(self) -> int:
        """Return k if the images are a pool of k x IPC per class (`DistilledSet.draws`), for estimates; 1: no pool."""
        return 1

    def fit(self, task: Task) -> State | None:
        """Do the work shared by all IPCs; called once per class group and distillation seed."""
        return None

    def synthesize(self, task: Task, state: Any, ipc: int) -> DistilledSet:
        """Return `ipc` images for each of `task.classes`; `state` is what `fit` returned for these classes."""
        raise UserError(f"method {self.name!r} does not implement synthesize(task, state, ipc)")

    def redraw_every(self) -> int | None:
        """Return the number of epochs after which a student gets new images from `drawer`; None: it keeps those of `synthesize`.

        Only for sets that store no images (`Stored`): new images would exceed an image budget.
        """
        return None

    def drawer(self, task: Task, state: Any, ipc: int) -> Callable[[int], DistilledSet]:
        """Return a function that maps a number to the new set of that number; 0 is the head of the set of `synthesize`.

        Called once per class group and training. The task's random streams are those of `synthesize`, so that all
        students see the same images; its generator is shared by the class groups: you may add to it, but not change it.
        """
        raise UserError(f"method {self.name!r} sets redraw_every, but does not implement drawer(task, state, ipc)")

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the work of the generator, for estimates: stage ("fit", "synthesize") -> (kind, learned, denoised).

        learned: number of images with a forward and backward pass through the denoiser; denoised: with only a forward pass,
            counted once per step, twice with guidance. Empty: unknown; then estimates need earlier records.

        Args:
            num_real: number of real images in a fit.
            num_images: number of images that a synthesis makes.
        """
        return {}

    def passes(self, num_real: int, num_classes: int, ipc: int, side: int) -> list[tuple[str, float, float]] | None:
        """Return the work of other networks in one synthesis, for estimates: (network, learned, passed) of each.

        network: a student's name, such as "convnet3", or "teacher", the one of `task.teacher()`. learned: number of images
            with a forward and backward pass including weight gradients; passed: with only a forward pass. Count a backward
            pass through frozen weights as one more forward pass. Empty: no networks; None: unknown.

        Args:
            num_real: real images of all classes.
            num_classes: classes.
            ipc: images per class of the synthesis.
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
