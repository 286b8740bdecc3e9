"""Teachers that were trained elsewhere: their weights, their label order, and the suite's order made from it.

In: a state dict, the folder of another run's teacher, or a timm model. Out: a network and the class ids of its outputs.
Labels are matched by class id, never by position: another order would train every student to chance
(docs/protocols.md, "Teachers").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.classes import ClassInfo
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.core.text import times
from harness.students.build import build_student
from harness.students.features import FeatureExtractor
from harness.training.teacher_folder import ABOUT, MODEL, TeacherFolder, check_known, read_about

TIMM = "timm:"


class Remapped(nn.Module):
    """A network whose outputs stand in another order, or are some of the original's."""

    def __init__(self, model: nn.Module, columns: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the chosen logits [B, C]."""
        return self.model(images)[:, self.columns]

    def features(self, images: Tensor) -> Tensor:
        """Return what enters the original's last layer [B, D]."""
        return self.model.features(images)  # type: ignore[operator]


def in_suite_order(model: nn.Module, own: Sequence[str], classes: Sequence[ClassInfo]) -> nn.Module:
    """Return the network with the suite's classes as outputs, matched by id.

    Raises:
        UserError: the network does not know a class.
    """
    wanted = [c.id for c in classes]
    if list(own) == wanted:
        return model
    check_known(own, wanted)
    place = {class_id: i for i, class_id in enumerate(own)}
    return Remapped(model, [place[class_id] for class_id in wanted])


def write_teacher(folder: Path, model: nn.Module, about: TeacherFolder, **more: Any) -> None:
    """Write a teacher's folder; `more` goes into teacher.json."""
    from safetensors.torch import save_file

    save_file({k: v.detach().cpu().clone() for k, v in model.state_dict().items()}, str(folder / MODEL))
    values = {
        "student": about.student,
        "side": about.side,
        "classes": list(about.classes),
        "protocol": about.protocol.model_dump(mode="json"),
    }
    (folder / ABOUT).write_text(json.dumps(values | more, indent=1), encoding="utf-8")


def read_teacher(folder: Path) -> tuple[nn.Module, TeacherFolder]:
    """Return the network of a teacher's folder, in eval mode on the CPU, with its own outputs."""
    about = read_about(folder)
    model = build_student(about.student, len(about.classes), about.side, about.protocol.channels)
    _load(model, folder / MODEL, about.student)
    return model.eval(), about


def open_weights(
    teacher: Teacher, labels: Sequence[str], side: int, protocol: Protocol
) -> tuple[nn.Module, TeacherFolder]:
    """Return the network of given weights, in eval mode on the CPU, with its own outputs.

    Args:
        teacher: `weights` names them.
        labels: class ids in the order of the outputs; empty for a folder, which has its own.
        side: of the images that it will see, pixels.
        protocol: whose normalisation a state dict was trained with; a timm model has its own.

    Raises:
        UserError: the weights cannot be had, or do not fit the architecture, the classes or the images (size, channels).
    """
    assert teacher.weights is not None
    if teacher.weights.startswith(TIMM):
        return _from_timm(teacher.weights, labels, side, protocol)
    path = Path(teacher.weights)
    if path.is_dir():
        model, about = read_teacher(path)
        _check_channels(about.protocol.channels, protocol.channels, teacher.weights)
        return model, about
    assert teacher.student is not None
    model = build_student(teacher.student, len(labels), side, protocol.channels)
    _load(model, path, teacher.student)
    return model.eval(), TeacherFolder(teacher.student, side, tuple(labels), protocol)


def _from_timm(name: str, labels: Sequence[str], side: int, protocol: Protocol) -> tuple[nn.Module, TeacherFolder]:

    _check_channels(3, protocol.channels, name)
    extractor = FeatureExtractor.from_timm(name)
    model: Any = extractor.model
    if model.net.num_classes != len(labels):
        raise UserError(
            f"teacher {name} has {model.net.num_classes} outputs, but its class list has {len(labels)} ids; expected "
            "the list in the label order of its weights (`teacher.classes`, e.g. classes/imagenet1k.txt)."
        )
    config = model.net.pretrained_cfg
    changes = {"mean": tuple(config["mean"]), "std": tuple(config["std"])}
    return model.eval(), TeacherFolder(name, side, tuple(labels), protocol.model_copy(update=changes))


def _inputs(weights: Mapping[str, Any]) -> int | None:
    """Return the channels that the first convolution of a state dict takes; None: there is none."""
    return next((int(value.shape[1]) for value in weights.values() if getattr(value, "ndim", 0) == 4), None)


def _check_channels(found: int | None, wanted: int | None, weights: str) -> None:
    """Refuse weights for RGB images in a grey suite, and the other way round.

    Raises:
        UserError: says which they are for.
    """
    if found != wanted and {found, wanted} == {1, 3}:
        raise UserError(
            f"teacher {weights} takes images with {times(int(found or 0), 'channel')}, but the suite has channels: "
            f"{wanted}. Use weights that were trained on such images, or let the run train a teacher (`epochs`)."
        )


def _load(model: nn.Module, path: Path, student: str) -> None:
    """Load a state dict from a safetensors or torch file, without unpickling code.

    Raises:
        UserError: the file cannot be read, or holds another network.
    """
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(str(path))
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        for wrapper in ("state_dict", "model"):
            found = found[wrapper] if isinstance(found.get(wrapper), dict) else found
        _check_channels(_inputs(found), _inputs(model.state_dict()), str(path))
        model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in found.items()})
    except UserError:
        raise
    except Exception as error:  # damaged files raise the exceptions of three libraries
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"teacher {path}: not a state dict of {student} ({type(error).__name__}: {reason}).") from None
