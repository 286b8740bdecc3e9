"""What a plugin writes (`Method`), what it is given (`Task`) and what it returns (`DistilledSet`).

A method never sees the test split: a `Task` has none. It draws all randomness from `task.rng(stage)`, so equal
requests give equal images whatever the executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from harness import seeds
from harness.errors import UserError
from harness.frozen import Frozen

if TYPE_CHECKING:
    import torch

    from harness.data.real import RealImages
    from harness.students.features import FeatureExtractor
    from harness.training.soft_labels import SoftLabels

State = dict[str, Any]
"""What `fit` hands to `synthesize`: names to tensors or plain JSON values. The store saves it without pickles."""


@dataclass(frozen=True)
class ClassInfo:
    """One class of a suite.

    Attributes:
        id: folder name, such as "n02096294" or "7".
        label: position in the suite's class list; the students' label.
        name: readable name, such as "Australian terrier"; the id where none is known.
    """

    id: str
    label: int
    name: str


@dataclass(frozen=True)
class Stored:
    """What a generative set must keep in place of its images.

    Attributes:
        files: name -> content; exactly this is counted as the set's size. Class groups with a file of the same name must
            give it the same content; it counts once.
        shared_bytes: size of the generator that turns it into images; shared by all sets and class groups, reported apart.
    """

    files: dict[str, bytes]
    shared_bytes: int


class DistilledSet:
    """Images by class with hard labels: what a method returns.

    Args:
        images: class id -> [n, 3, S, S], uint8, or float in [0, 1] (rounded to uint8).
        notes: anything that a reader of the result should know; kept in the record.
        stored: for generative budgets, what is kept in place of the images; None: the images themselves.
        draws: k: the images are a pool of k x IPC per class, of which each epoch of a student sees IPC. Above 1 only
            for generative budgets: a pool of images would break the budget.
        soft_labels: class id -> [n, C] logits, a row for each image, columns in the suite's label order; kept in half
            precision with the images. Only of a method that says so (`Method.own_labels`).
    """

    def __init__(
        self,
        images: dict[str, torch.Tensor],
        *,
        notes: tuple[str, ...] = (),
        stored: Stored | None = None,
        draws: int = 1,
        soft_labels: dict[str, torch.Tensor] | None = None,
    ) -> None:
        self.images = images
        self.notes = notes
        self.stored = stored
        self.draws = draws
        self.soft_labels = soft_labels

    def check(self, classes: tuple[ClassInfo, ...], ipc: int, side: int) -> DistilledSet:
        """Return the set as uint8 in class order, or say what the method returned that it should not.

        Raises:
            ValueError: a class is missing or unknown, an image count, shape or type is wrong, a value is NaN or
                outside [0, 1], or soft labels are not one row of logits an image.
        """
        import torch

        if self.draws > 1 and self.stored is None:
            raise ValueError(f"draws = {self.draws} without `stored`: a pool of images is more than the budget allows")
        ipc *= self.draws
        unknown = sorted(set(self.images) - {c.id for c in classes})
        if unknown:
            raise ValueError(f"the distilled set has images for classes that the task does not have: {unknown[:5]}")
        checked = {}
        for c in classes:
            if c.id not in self.images:
                raise ValueError(f"the distilled set has no images for class {c.id!r}; expected {ipc}")
            image = torch.as_tensor(self.images[c.id])
            if image.ndim != 4 or tuple(image.shape[1:]) != (3, side, side):
                raise ValueError(
                    f"class {c.id!r}: images have shape {list(image.shape)}, expected [{ipc}, 3, {side}, {side}] "
                    "(count, RGB, height, width)"
                )
            if len(image) != ipc:
                raise ValueError(f"class {c.id!r}: {len(image)} images, expected {ipc}")
            checked[c.id] = _to_uint8(image, c.id)
        if not (isinstance(self.notes, tuple | list) and all(isinstance(note, str) for note in self.notes)):
            raise ValueError(f"notes are {self.notes!r}; expected a tuple of texts")
        soft = None if self.soft_labels is None else {c.id: self._soft_labels(c.id, ipc) for c in classes}
        return DistilledSet(checked, notes=tuple(self.notes), stored=self.stored, draws=self.draws, soft_labels=soft)

    def _soft_labels(self, class_id: str, num: int) -> torch.Tensor:
        import torch

        assert self.soft_labels is not None
        logits = torch.as_tensor(self.soft_labels.get(class_id, ()))
        if logits.ndim != 2 or len(logits) != num or not logits.is_floating_point():
            raise ValueError(
                f"class {class_id!r}: soft labels are {logits.dtype} {list(logits.shape)}, expected float [{num}, classes]"
            )
        return logits.detach().cpu()

    def duplicates(self) -> dict[str, list[int]]:
        """Return, per class, the positions of images that equal an earlier one of the class; classes without are left out."""
        found = {}
        for class_id, image in self.images.items():
            seen: set[bytes] = set()
            again = []
            for place, pixels in enumerate(image.numpy()):
                content = pixels.tobytes()
                if content in seen:
                    again.append(place)
                seen.add(content)
            if again:
                found[class_id] = again
        return found


def repeat_to(order: list[int], ipc: int) -> list[int]:
    """Return `ipc` positions from `order`: its head, or all of it and then again from the start where it is shorter.

    Long-tail suites need the repeats; the harness counts them as `duplicates` in the record.
    """
    return [order[i % len(order)] for i in range(ipc)]


def _to_uint8(image: torch.Tensor, class_id: str) -> torch.Tensor:
    import torch

    image = image.detach().cpu()
    if image.dtype == torch.uint8:
        return image.contiguous()
    if not image.is_floating_point():
        raise ValueError(f"class {class_id!r}: images are {image.dtype}, expected uint8, or float in [0, 1]")
    if not torch.isfinite(image).all():
        raise ValueError(f"class {class_id!r}: images contain NaN or infinite values")
    low, high = image.min().item(), image.max().item()
    if low < 0 or high > 1:
        raise ValueError(f"class {class_id!r}: float images span [{low:.3g}, {high:.3g}], expected [0, 1]")
    return (image * 255).round().to(torch.uint8)


class Services(Protocol):
    """What a task fetches on demand; the jobs provide it, so that a method never handles paths or keys."""

    def generator(self, kind: str) -> Any: ...

    def features(self, name: str) -> FeatureExtractor: ...

    def teacher(self) -> SoftLabels: ...


class Checkpoint(Protocol):
    """Saves the state of a long fit, so that a killed run resumes it. Values as in `State`."""

    def load(self) -> State | None: ...

    def save(self, state: State) -> None: ...

    def file(self, name: str) -> Path | None:
        """Return where a large intermediate file of the job may lie until the job is done; None: keep it in memory."""


class NoCheckpoint:
    """Keeps nothing: for short work and tests."""

    def load(self) -> State | None:
        return None

    def save(self, state: State) -> None:
        del state

    def file(self, name: str) -> Path | None:
        return None


@dataclass
class Task:
    """What a method is given: real training images, classes, and services; never the test split.

    Attributes:
        classes: the classes to distil, in label order (one group of them inside a grouped `fit`).
        real: the real training images of these classes.
        image_size: side of the distilled images, pixels.
        device: where tensors should live.
        seed: the distillation seed.
        scope: names the job's random streams: kind of job and method.
        per_image: `with task.per_image():` marks work of `synthesize` that grows with the number of images. A nested
            method makes its largest set only: this part of its time is shared among smaller sets by their images, the rest
            counts whole for each. Loading inside it stays apart.
    """

    classes: tuple[ClassInfo, ...]
    real: RealImages
    image_size: int
    device: torch.device
    seed: int
    scope: tuple[str, ...]
    services: Services
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    report: Callable[[str, int, int, str], None] = lambda stage, done, total, unit: None
    per_image: Callable[[], AbstractContextManager[Any]] = nullcontext
    curves: list[dict[str, float]] = field(default_factory=list)

    def rng(self, stage: str) -> torch.Generator:
        """Return a fresh CPU random stream for `stage`, derived from the seed, the kind of job and the method."""
        return seeds.generator(self.seed, *self.scope, stage)

    def generator(self, kind: str = "class_conditional") -> Any:
        """Return the suite's pre-trained generator of that kind, its own copy for this job.

        "class_conditional" gives a `ClassConditionalGenerator`, "text_to_image" a `TextToImageGenerator`.

        The time that loading takes is not counted as distillation time.
        """
        return self.services.generator(kind)

    def features(self, name: str = "teacher") -> FeatureExtractor:
        """Return a feature extractor: the suite's teacher, or "timm:NAME"."""
        return self.services.features(name)

    def teacher(self) -> SoftLabels:
        """Return the suite's teacher, its outputs in the suite's class order: `label(images)` gives logits."""
        return self.services.teacher()

    def log(self, step: int, **values: float) -> None:
        """Keep values of a training curve; they are saved beside the state as curves.csv."""
        self.curves.append({"step": step, **values})

    @contextmanager
    def progress(self, total: int, unit: str = "step", stage: str = "") -> Iterator[Callable[[int], None]]:
        """Show progress: yields a function that takes the number done so far."""
        name = stage or self.scope[0]
        self.report(name, 0, total, unit)
        yield lambda done: self.report(name, done, total, unit)
        self.report(name, total, total, unit)


class Method:
    """Base class of a plugin. Override `synthesize`, and `fit` where work is shared by all IPCs."""

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    needs: ClassVar[frozenset[str] | set[str]] = frozenset()
    """What the suite must offer: "class_conditional_generator", "text_to_image_generator", "features", "teacher"."""
    nested: ClassVar[bool] = False
    """True: the set at IPC 10 is the head of the set at IPC 50, so only the largest is synthesised.
    Mark with `task.per_image()` what grows with the images, so that smaller sets show their own time."""
    all_data: ClassVar[bool] = False
    """True for the reference row: students train on the whole real training split; nothing is synthesised."""
    random_subset: ClassVar[bool] = False
    """True for the random real subset that scores compare with (harness/scores.py)."""
    given: ClassVar[bool] = False
    """True: its images were made elsewhere and lie on the machine that runs `harness`. They are read there, by no worker,
    and what it took to make them is not known."""

    class Config(Frozen):
        """Options of the method; override with fields."""

    def __init__(self, config: Frozen | None = None) -> None:
        self.config: Any = config if config is not None else self.Config()

    def group_size(self) -> int | None:
        """Return how many classes one `fit` takes at most; None: all of them in one fit."""
        return None

    def image_side(self) -> int | None:
        """Return the side of the images that `synthesize` makes, pixels; None: the suite's `image_size`."""
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

    @classmethod
    def has_fit(cls) -> bool:
        """Return whether the method overrides `fit`."""
        return cls.fit is not Method.fit
