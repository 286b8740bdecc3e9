"""The jobs of a method: `fit`, the work shared by all IPCs, and `synthesize`, which saves a distilled set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.plugin.discovery import load_method
from harness.core.plugin.distilled_set import DistilledSet
from harness.core.plugin.method import Method
from harness.core.plugin.task import State, Task
from harness.core.progress import ProgressCallback
from harness.data.sets.floats import FLOATS_FILE, save_floats
from harness.data.sets.folder import contact_sheet, save_distilled, storage_bytes
from harness.data.sets.soft_labels import save_labels
from harness.jobs.checkpoint import load_state, save_state
from harness.jobs.clock import Clock
from harness.jobs.context import JobContext, open_split
from harness.jobs.curves import write_curves
from harness.jobs.job import Job, class_groups
from harness.jobs.random_state import RandomWatch
from harness.jobs.task_resources import JobTaskResources, make_task

if TYPE_CHECKING:
    import torch


STORED = "stored"
"""Folder of an artefact with what a generative set must keep, where that is not its images."""


def run_fit(job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock) -> dict[str, Any]:
    """Let the method do the work that all IPCs share, for one class group."""
    group = tuple(c for c in context.classes if c.id in set(job.spec["group"]))
    watch = RandomWatch()
    with clock.loading():
        method = load_method(job.spec)
        task = make_task(job, context, group, report, JobTaskResources(job, context, clock, watch))
    with watch:
        state = method.fit(task)
    with clock.paused():
        save_state(folder, state)
    write_curves(folder / "curves.csv", task.curves)
    made = {"classes": [c.id for c in group], "num_real": sum(task.real.num_per_class.values())}
    notes = watch.notes("fit")
    return {**made, "notes": notes} if notes else made


def run_synthesize(
    job: Job, context: JobContext, folder: Path, report: ProgressCallback, clock: Clock
) -> dict[str, Any]:
    """Let the method make its images, group by group, check them, and save them as an ordinary image folder."""
    with clock.loading():
        method, ipc, store = load_method(job.spec), job.spec["ipc"], context.store
        open_split(context, "train")
    fits = job.deps.get("fit", ())
    made, watch = _Made(), RandomWatch()
    for number, group in enumerate(class_groups(context.classes, job.spec["group_size"] if fits else None)):
        with clock.loading():
            state: State | None = load_state(store.path("fit", fits[number])) if fits else None
        task = make_task(job, context, group, report, JobTaskResources(job, context, clock, watch))
        with watch:
            drawn = method.synthesize(task, state, ipc)
        made.add(group, _checked(method, drawn, task, ipc))
    with clock.paused():
        random = [note for key in fits for note in store.manifest("fit", key)["result"].get("notes", ())]
        made.notes += dict.fromkeys([*random, *watch.notes("synthesize")])
        save_distilled(folder, made.images, context.classes)
        if method.own_labels():
            save_labels(folder, made.soft_labels, context.classes)
        for name, content in made.files.items():
            path = folder / STORED / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        stored = sum(map(len, made.files.values())) if made.files else storage_bytes(folder)
        if made.floats:
            save_floats(folder, made.floats)
            stored = (folder / FLOATS_FILE).stat().st_size
        contact_sheet(made.images, context.classes, folder / "contact_sheet.png")
    return {
        "ipc": ipc,
        "classes": [c.id for c in context.classes],
        "num_images": sum(len(v) for v in made.images.values()),
        "duplicates": made.duplicates,
        "notes": made.notes,
        "draws": made.draws,
        "generative": bool(made.files),
        "storage_bytes": stored,
        "shared_bytes": made.shared_bytes,
        **({"pixels": "float32"} if made.floats else {}),
    }


def _checked(method: Method, made: Any, task: Task, ipc: int) -> DistilledSet:
    """Return what `synthesize` made for a group, or say what it should not be.

    Raises:
        ValueError: it is no distilled set of this group, or its soft labels, or its `stored`, are not what the method says.
    """
    if not isinstance(made, DistilledSet):
        raise ValueError(f"synthesize returned {type(made).__name__}; expected a harness.DistilledSet")
    made = made.check(task.classes, ipc, task.image_size, task.channels)
    if made.stored is None and method.redraw_every() is not None:
        raise ValueError("redraw_every without `stored`: new images would exceed an image budget")
    if made.keep_float and not method.given:
        raise ValueError("keep_float is only for imported sets; return uint8, or float in [0, 1]")
    if made.soft_labels is not None and not method.own_labels():
        raise ValueError(
            "synthesize returned soft labels, but own_labels() is False, so they would not be used: let own_labels() "
            "return True"
        )
    if made.soft_labels is None and method.own_labels():
        raise ValueError(
            "own_labels() is True, but synthesize returned no soft labels: pass soft_labels to DistilledSet"
        )
    return made


@dataclass
class _Made:
    """The one set that the class groups of a synthesis make together."""

    images: dict[str, torch.Tensor] = field(default_factory=dict)
    soft_labels: dict[str, torch.Tensor] = field(default_factory=dict)
    floats: dict[str, torch.Tensor] = field(default_factory=dict)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    draws: int = 1
    shared_bytes: int = 0

    def add(self, group: tuple[ClassInfo, ...], made: DistilledSet) -> None:
        """Add the images of a group.

        Raises:
            ValueError: the record has one number for what differs between the groups, or a file would replace another.
        """
        where, shared = f"in the group of class {group[0].id!r}", made.stored.shared_bytes if made.stored else 0
        if self.images:
            if bool(self.files) != bool(made.stored):
                raise ValueError(f"`stored` is given only for some groups: it differs {where} from an earlier group")
            for name, value, earlier in (
                ("draws", made.draws, self.draws),
                ("shared_bytes", shared, self.shared_bytes),
            ):
                if value != earlier:
                    raise ValueError(f"{name} = {value} {where}, but {earlier} in an earlier group; expected the same")
        for name, content in (made.stored.files if made.stored else {}).items():
            if self.files.setdefault(name, content) != content:
                raise ValueError(
                    f"file {name!r} {where} differs from the file of an earlier group: include the class in its name"
                )
        self.images |= made.images
        self.soft_labels |= made.soft_labels or {}
        self.floats |= made.floats or {}
        self.duplicates |= made.duplicates()
        self.notes += made.notes
        self.draws, self.shared_bytes = made.draws, shared
