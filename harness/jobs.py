"""What each kind of job does: prior, teacher, fit, synthesize, label, train.

In: a job and the run's context. Out: an artefact in the store, or an `Outcome` that says what went wrong. A job is
run the same way by every executor, in the main thread of some process.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cpu, discovery
from harness.config import Protocol
from harness.curves import write_curves
from harness.errors import UserError
from harness.format import shorten
from harness.job_log import JobLog
from harness.measure import Clock, device_name
from harness.method import ClassInfo, DistilledSet, Method, State, Task
from harness.plan import KINDS, Job, class_groups
from harness.services import JobContext, JobServices, Report, load_teacher, open_split, real_tensors
from harness.shared_jobs import run_label, run_prior, run_teacher
from harness.state import FolderCheckpoint, load_state, save_state
from harness.store import Store

if TYPE_CHECKING:
    import torch

    from harness.fresh import FreshImages
    from harness.training.soft_labels import SoftLabels, StoredLabels


MOST_CHARACTERS = 2000
"""Of an error in records and tables; its traceback is kept whole."""

STORED = "stored"
"""Folder of an artefact with what a generative set must keep, where that is not its images."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended.

    Attributes:
        key: of the job.
        error: one line for people; empty when the artefact is in the store.
        trace: of a failure, the whole traceback.
        log: of a failure, what the job printed.
        cause: key of the job that failed, where this one could not run without it.
    """

    key: str
    error: str = ""
    trace: str = ""
    log: str = ""
    cause: str | None = None

    @property
    def ok(self) -> bool:
        """True when the artefact is in the store."""
        return not self.error


def execute(job: Job, context: JobContext, report: Report) -> Outcome:
    """Run one job to its end. Never raises but for an interrupt: what went wrong is in the outcome."""
    log = JobLog(job.title)
    try:
        report("starting", 0, 0, "")  # its time begins now, however long it waited for a worker
        store = Store(context.store)
        if not context.fresh and store.has(job.kind, job.key):
            return Outcome(job.key)  # another run made it meanwhile
        for name, source in context.plugins:
            discovery.load_plugin_source(name, source)
        for role, keys in job.deps.items():
            for key in keys:  # a remote store is copied here as far as it is needed
                store.fetch(role if role in KINDS else "prior", key)
        if context.fresh:
            FolderCheckpoint(store.scratch(job.key)).clear()
        cpu.keep_pages()
        cpu.set_threads(job.resources.cpus)
        store.write(
            job.kind,
            job.key,
            lambda folder: log.keep(folder, lambda: _run(job, context, folder, report)),
            replace=context.fresh,
        )
        FolderCheckpoint(store.scratch(job.key)).clear()
        return Outcome(job.key)
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        kind = "" if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: "
        return Outcome(job.key, shorten(kind + message, MOST_CHARACTERS), traceback.format_exc(), log.text())


def _run(job: Job, context: JobContext, folder: Path, report: Report) -> dict[str, Any]:
    """Fill the artefact's folder; return the fields of its manifest."""
    import torch

    device = torch.device(context.device)
    held = (job.resources.gpus or 1) if device.type == "cuda" else job.resources.cpus
    clock = Clock(device, held)
    with clock:
        result = _KINDS[job.kind](job, context, folder, report, clock)
    return {
        "title": job.title,
        "suite": job.suite,
        "identity": job.identity,
        "spec": job.spec,
        "deps": job.deps,
        "result": result,
        "measured": {**clock.result, "device": context.device, "device_name": device_name(context.device)},
    }


def load_method(spec: dict[str, Any]) -> Method:
    """Return the method that a specification names, found the same way in every process."""
    discovery.discover()
    cls = discovery.methods.get(spec["method"])
    return cls(cls.Config.model_validate(spec["config"]))


def make_task(
    job: Job, context: JobContext, classes: tuple[ClassInfo, ...], report: Report, services: JobServices
) -> Task:
    """Return what the method is given: the training images of these classes, never the test split."""
    import torch

    from harness.data.real import RealImages

    split = open_split(context, "train").restrict([c.id for c in classes])
    device = torch.device(context.device)
    scratch = Store(context.store).scratch(job.key)
    if job.kind != "fit":  # which is of one class group; other jobs go through all
        scratch /= f"group-{classes[0].label}"
    return Task(
        classes=classes,
        real=RealImages(split, size=job.spec["image_size"], crop="adm", device=device),
        image_size=job.spec["image_size"],
        device=device,
        seed=job.spec["seed"],
        scope=(job.kind, job.spec["method"], classes[0].id),
        services=services,
        checkpoint=FolderCheckpoint(scratch, services.clock),
        report=report,
        per_image=services.clock.per_image,
    )


def run_fit(job: Job, context: JobContext, folder: Path, report: Report, clock: Clock) -> dict[str, Any]:
    """Let the method do the work that all IPCs share, for one class group."""
    group = tuple(c for c in context.classes if c.id in set(job.spec["group"]))
    with clock.loading():
        method = load_method(job.spec)
        task = make_task(job, context, group, report, JobServices(job, context, clock))
    state = method.fit(task)
    with clock.paused():
        save_state(folder, state)
    write_curves(folder / "curves.csv", task.curves)
    return {"classes": [c.id for c in group], "num_real": sum(task.real.num_per_class.values())}


def run_synthesize(job: Job, context: JobContext, folder: Path, report: Report, clock: Clock) -> dict[str, Any]:
    """Let the method make its images, group by group, check them, and save them as an ordinary image folder."""
    from harness.data.distilled_folder import contact_sheet, save_distilled, storage_bytes
    from harness.data.stored_labels import save_labels

    with clock.loading():
        method, ipc, store = load_method(job.spec), job.spec["ipc"], Store(context.store)
        open_split(context, "train")
    fits = job.deps.get("fit", ())
    made = _Made()
    for number, group in enumerate(class_groups(context.classes, job.spec["group_size"] if fits else None)):
        with clock.loading():
            state: State | None = load_state(store.path("fit", fits[number])) if fits else None
        task = make_task(job, context, group, report, JobServices(job, context, clock))
        made.add(group, _checked(method, method.synthesize(task, state, ipc), group, ipc, job.spec["image_size"]))
    with clock.paused():
        save_distilled(folder, made.images, context.classes)
        if method.own_labels():
            save_labels(folder, made.soft_labels, context.classes)
        for name, content in made.files.items():
            path = folder / STORED / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        stored = sum(map(len, made.files.values())) if made.files else storage_bytes(folder)
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
    }


def _checked(method: Method, made: Any, group: tuple[ClassInfo, ...], ipc: int, side: int) -> DistilledSet:
    """Return what `synthesize` made for a group, or say what it should not be.

    Raises:
        ValueError: it is no distilled set of this group, or its soft labels, or its `stored`, are not what the method says.
    """
    if not isinstance(made, DistilledSet):
        raise ValueError(f"synthesize returned {type(made).__name__}; expected a harness.DistilledSet")
    made = made.check(group, ipc, side)
    if made.stored is None and method.redraw_every() is not None:
        raise ValueError("redraw_every without `stored`: new images are more than a budget of images allows")
    if made.soft_labels is not None and not method.own_labels():
        raise ValueError("synthesize returned soft labels, which nobody would use: let own_labels() return True")
    if made.soft_labels is None and method.own_labels():
        raise ValueError("own_labels() is True, but synthesize returned no soft labels: give DistilledSet soft_labels")
    return made


@dataclass
class _Made:
    """The one set that the class groups of a synthesis make together."""

    images: dict[str, torch.Tensor] = field(default_factory=dict)
    soft_labels: dict[str, torch.Tensor] = field(default_factory=dict)
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
                raise ValueError(f"`stored` is given for some groups only: it differs {where} from an earlier group")
            for name, value, earlier in (
                ("draws", made.draws, self.draws),
                ("shared_bytes", shared, self.shared_bytes),
            ):
                if value != earlier:
                    raise ValueError(f"{name} = {value} {where}, but {earlier} in an earlier group; expected the same")
        for name, content in (made.stored.files if made.stored else {}).items():
            if self.files.setdefault(name, content) != content:
                raise ValueError(
                    f"file {name!r} {where} has other content than in an earlier group: name it after the class"
                )
        self.images |= made.images
        self.soft_labels |= made.soft_labels or {}
        self.duplicates |= made.duplicates()
        self.notes += made.notes
        self.draws, self.shared_bytes = made.draws, shared


def run_train(job: Job, context: JobContext, folder: Path, report: Report, clock: Clock) -> dict[str, Any]:
    """Train one student on a distilled set (or on all real training data) and score it on the real test split."""
    from harness.data.distilled_folder import load_distilled
    from harness.training.trainer import train_student

    side, ipc, draws = job.spec["side"], job.spec["ipc"], 1
    protocol, store = Protocol.model_validate(job.spec["protocol"]), Store(context.store)
    with clock.loading():
        test_images, test_labels = real_tensors(context, "test", side, "margin" if protocol.test_margin else "resize")
        if ipc is None:
            images, labels = real_tensors(context, "train", side)
        else:
            key = job.deps["synthesize"][0]
            draws = store.manifest("synthesize", key)["result"]["draws"]
            images, labels = load_distilled(store.path("synthesize", key), context.classes, side, ipc=ipc * draws)
        soft_labels = _soft_labels(job, context, protocol, images, ipc and ipc * draws)
        fresh = _fresh_images(job, context, report, clock) if "redraw" in job.spec else None
    _, scored = train_student(
        student=job.spec["student"],
        protocol=protocol,
        train_images=images,
        train_labels=labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=len(context.classes),
        seed=job.spec["seed"],
        device=context.device,
        ipc=ipc,
        draws=draws,
        fresh=fresh,
        soft_labels=soft_labels,
        report=report,
    )
    result = asdict(scored)
    write_curves(folder / "curves.csv", result.pop("curve"))
    write_curves(folder / "confusion.csv", _confusion_rows(result, context.classes))
    return {
        **result,
        "num_images": len(images),
        "redraw_every": fresh.every if fresh else None,
        "redraw_s": fresh.seconds if fresh else None,
        "teacher_bytes": soft_labels.num_bytes if soft_labels and protocol.labels == "soft" else None,
        "label_bytes": soft_labels.num_bytes if soft_labels and protocol.labels == "stored" else None,
    }


def _confusion_rows(result: dict[str, Any], classes: tuple[ClassInfo, ...]) -> list[dict[str, Any]]:
    """Take the confusion matrices out of the result; return a row for each pair of classes that occurs."""
    return [
        {"evaluation": which, "true_class": classes[true].id, "called_class": classes[called].id, "num_images": num}
        for which in ("last", "best")
        for true, called, num in result[f"classes_{which}"].pop("confusion")
    ]


def _soft_labels(
    job: Job, context: JobContext, protocol: Protocol, images: torch.Tensor, per_class: int | None
) -> SoftLabels | StoredLabels | None:
    """Return the soft labels of a training: its teacher, or the stored ones of the first `per_class` images of each class.

    Those lie in the artefact of a label job, or came with the set. All real images are labelled here and not kept.
    """
    from harness.data.stored_labels import load_labels
    from harness.training.soft_labels import StoredLabels

    if protocol.labels == "hard":
        return None
    store = Store(context.store)
    teacher = load_teacher(store.path("teacher", job.deps["teacher"][0]), context)[0] if "teacher" in job.deps else None
    if protocol.labels == "soft":
        return teacher
    if teacher is not None:
        return StoredLabels(teacher.label(images.to(context.device)).half())
    role = "label" if "label" in job.deps else "synthesize"
    logits = load_labels(store.path(role, job.deps[role][0]), context.classes, ipc=per_class)
    return StoredLabels(logits.to(context.device))


def _fresh_images(job: Job, context: JobContext, report: Report, clock: Clock) -> FreshImages:
    """Return what draws new images while the student trains; its own progress would hide the training's."""
    from harness.fresh import FreshImages

    def task_of(as_synthesis: Job, group: tuple[ClassInfo, ...], services: JobServices) -> Task:
        return make_task(as_synthesis, context, group, lambda *_: None, services)

    services = JobServices(job, context, clock)
    return FreshImages(job, context, load_method(job.spec["redraw"]), task_of, services)


_KINDS: dict[str, Callable[[Job, JobContext, Path, Report, Clock], dict[str, Any]]] = {
    "prior": run_prior,
    "teacher": run_teacher,
    "fit": run_fit,
    "synthesize": run_synthesize,
    "label": run_label,
    "train": run_train,
}
