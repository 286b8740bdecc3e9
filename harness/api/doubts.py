"""Doubts about a set that was made elsewhere: a class order that looks wrong, students at chance, labels that do not fit.

In: the set, the suite's teacher where there is one, the records of the run. Out: lines that begin with "warning". A wrong
class order raises no error and trains every student to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data.imported.base import ImportedSet, Rows
from harness.data.sets.folder import load_distilled
from harness.planning.resolve import Resolved
from harness.planning.teacher_key import suite_teacher_key
from harness.reporters.runs import Run, load_results
from harness.training.protocols import resolve_protocol

if TYPE_CHECKING:
    import torch


LOOKED_AT = 1000
"""Images that the teacher is asked about, at most, but one of each class: a moment on a CPU."""


ORDER = "Check the class order (--class-order labels, sorted, or a file)"


def suspicious_below(num_classes: int) -> float:
    """Return the share of agreement below which a class order looks wrong: twice chance; of few classes a little above it."""
    chance = 1 / num_classes
    return chance + min(chance, (1 - chance) / 3)


def own_labels_fit(protocol: str, settings: Mapping[str, Any]) -> None:
    """Refuse `--labels own` under a protocol that is made for hard labels, unless its temperature was chosen.

    Args:
        protocol: its name.
        settings: "protocol.field" -> value, as the user asked.

    Raises:
        UserError: says which protocols to take, and how to take this one all the same.
    """
    if resolve_protocol(protocol).labels != "hard" or "protocol.temperature" in settings:
        return
    raise UserError(
        f"--labels own trains with soft labels, but protocol {protocol} is made for hard labels: its learning rate is "
        "too small for the loss at temperature 20. Use a soft-label protocol, e.g. --protocol rded or sre2l; or set "
        f"the temperature: with --set protocol.temperature=1, {protocol} uses the cross-entropy with these labels, as "
        "DATM and DD-Ranking do. Without --labels own the students train on hard labels."
    )


def labels_line(found: ImportedSet, rows: Rows) -> list[str]:
    """Say how often the given soft labels prefer an image's own class, with a warning where that is about never."""
    hits = sum(int((found.soft_labels(c.id, rows[c.id]).argmax(dim=1) == c.label).sum()) for c in found.classes)
    share = hits / sum(len(rows[c.id]) for c in found.classes)
    lines = [
        f"labels   the soft labels of the set are used; {100 * share:.1f} % of them give the highest probability to "
        "the image's own class"
    ]
    if share < suspicious_below(len(found.classes)):
        lines.append(
            f"warning  only {100 * share:.1f} % of the soft labels agree with the class of their image: the columns "
            f"are probably in a different order. {ORDER}."
        )
    return lines


def class_doubts(resolved: Resolved, found: ImportedSet, side: int) -> tuple[str, ...]:
    """Return a warning where the suite's teacher, if the store has it already, mostly calls the images other classes."""
    if not found.has_pixels or not _has_teacher(resolved):
        return ()
    num = {c: min(n, _per_class(resolved)) for c, n in found.num_per_class.items()}
    return _asked(resolved, lambda c: _as_bytes(found.load(c.id, range(num[c.id]), side)))


def doubts_after(resolved: Resolved, name: str, done: Run) -> tuple[str, ...]:
    """Return warnings about a set that was scored: its students are at chance, or the teacher, by now there, disagrees."""
    rows = load_results(done)
    rows = rows[(rows["method"] == name) & (rows["status"] == "done")]
    if not len(rows):
        return ()
    num_classes = len(resolved.context.classes)
    best, limit = float(rows["top1_best"].max()), 100 * suspicious_below(num_classes)
    if best >= limit:
        return ()
    told = (
        f"warning  all students of {name} are near chance accuracy: best {best:.1f} %, chance is "
        f"{100 / num_classes:.1f} %. {ORDER} and how pixels were normalised (--normalised).",
    )
    if not _has_teacher(resolved):
        return told
    folder = resolved.context.store.path("synthesize", str(rows["distilled_key"].iloc[0]))
    context, most = resolved.context, min(_per_class(resolved), int(rows["ipc"].min()))

    def images(c: ClassInfo) -> torch.Tensor:
        return load_distilled(folder, [c], resolved.suite.side, ipc=most, channels=context.channels)[0]

    return (*told, *_asked(resolved, images))


def _asked(resolved: Resolved, images_of: Callable[[ClassInfo], torch.Tensor]) -> tuple[str, ...]:
    """Ask the teacher about uint8 images of each class."""
    from harness.jobs.task_resources import load_teacher  # it imports torch

    context = resolved.context
    key = suite_teacher_key(resolved.plan_input)
    teacher = load_teacher(context.store.path("teacher", str(key)), context)[0]
    hits = num = 0
    for c in context.classes:
        images = images_of(c)
        hits += int((teacher.label(images.to(context.device)).argmax(dim=1) == c.label).sum())
        num += len(images)
    share = hits / num
    if share >= suspicious_below(len(context.classes)):
        return ()
    return (
        f"warning  the suite's teacher classifies only {100 * share:.1f} % of {num:,} images as their own class "
        f"(chance: {100 / len(context.classes):.1f} %): the class order looks wrong. {ORDER}.",
    )


def _has_teacher(resolved: Resolved) -> bool:
    key = suite_teacher_key(resolved.plan_input)
    return key is not None and resolved.context.store.has("teacher", key)


def _per_class(resolved: Resolved) -> int:
    return max(1, LOOKED_AT // len(resolved.context.classes))


def _as_bytes(images: torch.Tensor) -> torch.Tensor:
    """Return images as the teacher takes them; floats that are kept are clipped for this look only."""
    import torch

    return (images.clamp(0, 1) * 255).round().to(torch.uint8) if images.is_floating_point() else images
