"""IMS3: draw several groups of images per class with any method, and choose one group for each.

Paper: IMS3, CVPR 2026 (arXiv 2603.13960); this is its selection of subgroups (S3). Legend: C classes, G groups of a
class, K images of a group (IPC), D features, S image side.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import Field

from harness import DistilledSet, FeatureExtractor, Method, State, Task, UserError, register_method, search

if TYPE_CHECKING:
    from torch import Tensor


@register_method("ims3")
class IMS3(Method):
    """S3 selection around the method `of`, which is fitted as in a run of its own and then draws `groups` times.

    A group's centroid is the mean of its images' features, each of length 1, made length 1 again. Groups near the real
    centroid of their class and far from the other classes' groups are wanted: one class after the other takes the group
    with the largest objective while the other classes keep theirs, in at most `sweeps` rounds.

    Paper: the inversion-matching loss fine-tunes the DiT before (IM). Here: the selection only, over any method; with
    ims3.of=minimax the groups come from Minimax's DiT, on which the authors' loss builds.
    Paper/Code: run.sh has eps 0, under which a group that equals its real centroid has an infinite objective. Here: 1e-6,
    the default of the authors' script, with run.sh's alpha and beta.
    Paper/Code: coordinate ascent can stop below the best combination. Here: the same search, because it gave the numbers;
    the notes of the set say how far the objective rose.
    Paper/Code: ResNet-18 features of ImageNet. Here: the suite's teacher, or that of `of` where it has one of its own
    (sre2l); ims3.features=timm:NAME takes another network.
    Paper/Code: the first 200 files of a class after a shuffle. Here: 200 images drawn from the task's stream; all of them
    where a class has fewer. A class with fewer images than IPC needs nothing else: the groups are made images.
    Paper/Code: all classes are chosen together. Here: where `of` is fitted in class groups (minimax: 10), the ascent runs
    inside each, because their sets are made one class group after the other.
    Where `of` keeps something smaller than images (d3m), the chosen set is kept as images all the same: it is no set that
    its seeds could draw again. Its soft labels, where it gives any, come along.
    """

    version = 1
    title = "IMS3 (S3 selection)"
    reference = "IMS3, CVPR 2026, arXiv 2603.13960"
    bibtex = """@inproceedings{wang2026ims3,
      author = {Wang, Chenru and Chen, Yunyi and Yang, Zijun and Zhou, Joey Tianyi and Zhang, Chi},
      title = {{IMS3}: Breaking Distributional Aggregation in Diffusion-Based Dataset Distillation},
      booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
      year = {2026},
    }"""
    needs = {"features"}
    nested = False  # IPC is the size of a group, and another size has other centroids

    class Config(Method.Config):
        """Options; the defaults are those of the authors' run.sh, but for eps."""

        of: str = Field("dit", description="the method whose groups are chosen from; a method of a plugin as well")
        groups: int = Field(5, ge=2, description="G: groups of IPC images drawn per class; 5 as in run.sh")
        alpha: float = Field(0.4, ge=0, description="weight of nearness to the real centroid; 0.4 as in run.sh")
        beta: float = Field(
            0.9,
            ge=0,
            description="weight of distance between classes; 0.9 as in run.sh",
            json_schema_extra=search("log", 0.09, 9.0),  # only its ratio to alpha counts: a decade to each side
        )
        eps: float = Field(
            1e-6, gt=0, description="added inside the logarithms; run.sh has 0, under which they can be infinite"
        )
        sweeps: int = Field(5, ge=1, description="rounds of the coordinate ascent, at most; 5 in the authors' code")
        real_images: int = Field(
            200, ge=1, description="real images per class in its centroid; 200 in the authors' code"
        )
        features: str = Field("teacher", description="teacher: the suite's student trained on real data; or timm:NAME")

    def wraps(self) -> str:
        """Return the method whose groups are chosen from."""
        return self.config.of

    @property
    def drawing(self) -> Method:
        """The wrapped method."""
        assert self.inner is not None
        return self.inner

    def image_side(self) -> int | None:
        """Return the side of the wrapped method's images."""
        return self.drawing.image_side()

    def own_labels(self) -> bool:
        """Return whether the wrapped method gives soft labels."""
        return self.drawing.own_labels()

    def pool_size(self) -> int:
        """Return 1: no pool.

        Raises:
            UserError: the wrapped method makes one.
        """
        if self.drawing.pool_size() != 1:
            raise UserError(f"{self.config.of} makes pools of images, which ims3 may not keep: set its draws to 1")
        return 1

    def synthesize(self, task: Task, state: State | None, ipc: int) -> DistilledSet:
        """Draw the groups, choose, and return the chosen ones; `state` is what the wrapped method's fit returned."""
        import torch

        cfg, drawn, extract = self.config, _Drawn(task.checkpoint), task.features(self.config.features)
        found = []
        for g in range(cfg.groups):
            self._draw(task, state, ipc, g, drawn)
            groups = (drawn.tensor(g, _IMAGES + c.id) for c in task.classes)
            found.append(torch.stack([centroid(extract(group.to(task.device))) for group in groups]))
        candidates_CGD = torch.stack(found, dim=1)
        if torch.equal(candidates_CGD, candidates_CGD[:, :1].expand_as(candidates_CGD)):
            raise UserError(f"ims3.of: {cfg.of} makes the same images in every group; name a method that draws.")
        real_CD = torch.stack([self._real(task, extract, c.id) for c in task.classes])
        weights = {"alpha": cfg.alpha, "beta": cfg.beta, "eps": cfg.eps}
        start = nearest(candidates_CGD, real_CD)
        chosen = ascend(candidates_CGD, real_CD, start, sweeps=cfg.sweeps, **weights)
        before, after = (objective(pick(candidates_CGD, each), real_CD, **weights) for each in (start, chosen))
        told = f"ims3: objective {before:.4f} of the groups nearest to the real images, {after:.4f} of the chosen ones"
        which = {c.id: g for c, g in zip(task.classes, chosen, strict=True)}
        images = {c: drawn.tensor(g, _IMAGES + c) for c, g in which.items()}
        soft = {c: drawn.tensor(g, _LABELS + c) for c, g in which.items()} if self.own_labels() else None
        notes = dict.fromkeys([told, *(line for g in sorted(set(chosen)) for line in drawn.notes(g))])
        return DistilledSet(images, notes=tuple(notes), soft_labels=soft)

    def _draw(self, task: Task, state: State | None, ipc: int, number: int, drawn: _Drawn) -> None:
        """Draw a group with random streams and a checkpoint of its own, unless an earlier try of the job did."""
        if drawn.has(number):
            return
        own = replace(
            task,
            scope=(*task.scope, f"group/{number}"),
            checkpoint=_GroupCheckpoint(task.checkpoint, number),
            report=lambda stage, *rest: task.report(f"group {number + 1} of {self.config.groups}: {stage}", *rest),
        )
        drawn.keep(
            number, self.drawing.synthesize(own, state, ipc).check(task.classes, ipc, task.image_size, task.channels)
        )

    def _real(self, task: Task, extract: FeatureExtractor, class_id: str) -> Tensor:
        """Return the centroid [D] of real images of a class."""
        import torch

        order = torch.randperm(task.real.num_per_class[class_id], generator=task.rng(f"real/{class_id}"))
        return centroid(extract(task.real.images(class_id, order[: self.config.real_images].tolist())))

    def work(self, num_real: int, num_images: int) -> dict[str, tuple[str, float, float]]:
        """Return the denoiser's work: the groups'; the fit is the wrapped method's own."""
        work, groups = self.drawing.work(num_real, num_images).get("synthesize"), self.config.groups
        return {} if work is None else {"synthesize": (work[0], groups * work[1], groups * work[2])}


def centroid(features_ND: Tensor) -> Tensor:
    """Return the direction [D], float64, of the mean of features that count for their directions only."""
    from torch.nn import functional

    return functional.normalize(functional.normalize(features_ND.double(), dim=1).mean(dim=0), dim=0).cpu()


def pick(candidates_CGD: Tensor, chosen: list[int]) -> Tensor:
    """Return the centroids [C, D] of one group per class."""
    import torch

    return candidates_CGD[torch.arange(len(chosen)), torch.tensor(chosen)]


def nearest(candidates_CGD: Tensor, real_CD: Tensor) -> list[int]:
    """Return the group of each class that is nearest to its real centroid; the first of equal ones."""
    cosines_CG = (candidates_CGD * real_CD[:, None]).sum(dim=-1).tolist()
    return [max(range(len(row)), key=row.__getitem__) for row in cosines_CG]


def _log_distance(one: Tensor, other: Tensor, eps: float) -> Tensor:
    """Return log(1 - cos + eps) of unit vectors along the last dimension; equal vectors give equal values, bit for bit."""
    return (1 - (one * other).sum(dim=-1).clamp(-1, 1) + eps).log()


def objective(chosen_CD: Tensor, real_CD: Tensor, *, alpha: float, beta: float, eps: float) -> float:
    """Return alpha * sum_i -log(1 - cos(c_i, r_i) + eps) + beta * sum_{i<j} log(1 - cos(c_i, c_j) + eps); larger is better.

    Source: combined_objective of the authors' centroid.py; golden/methods/ims3.json.
    """
    near = -_log_distance(chosen_CD, real_CD, eps).sum()
    apart = sum(float(_log_distance(chosen_CD[:i], chosen_CD[i], eps).sum()) for i in range(1, len(chosen_CD)))
    return alpha * float(near) + beta * apart


def ascend(
    candidates_CGD: Tensor, real_CD: Tensor, start: list[int], *, sweeps: int, alpha: float, beta: float, eps: float
) -> list[int]:
    """Return the groups after coordinate ascent on the objective: class by class, until a sweep changes nothing.

    A class changes for a strictly larger value only, and the first of equal groups wins. Only the terms of that class
    are reckoned, because the others do not change. Source: optimize_selection of the authors' centroid.py.
    """
    chosen = list(start)
    for _ in range(sweeps):
        before = list(chosen)
        for i, candidates_GD in enumerate(candidates_CGD):
            others = [j for j in range(len(chosen)) if j != i]
            others_JD = pick(candidates_CGD, chosen)[others]
            apart_G = _log_distance(candidates_GD[:, None], others_JD, eps).sum(dim=1)
            values = (beta * apart_G - alpha * _log_distance(candidates_GD, real_CD[i], eps)).tolist()
            best = max(values)
            if best > values[chosen[i]]:
                chosen[i] = values.index(best)
        if chosen == before:
            break
    return chosen


_GROUP, _IMAGES, _LABELS, _NOTES = "the group of ims3 that is drawn", "images/", "labels/", "notes"


@dataclass
class _GroupCheckpoint:
    """What the wrapped method sees of the job's checkpoint while it draws a group: its own states and files."""

    job: Any
    number: int

    def load(self) -> State | None:
        """Return the newest state that was saved in this group."""
        state = self.job.load()
        return state if state and state.pop(_GROUP) == self.number and state else None

    def save(self, state: State) -> None:
        """Save a state as one of this group."""
        self.job.save({**state, _GROUP: self.number})

    def file(self, name: str) -> Path | None:
        """Return where a large intermediate file of this group may lie."""
        return self.job.file(f"group-{self.number}-{name}")


class _Drawn:
    """The groups so far, in files until the job is done: one class at a time is in memory, and a killed job goes on.

    All five groups of ImageNet-1K at IPC 10 would take 10 GB. In memory where the job has no place for files.
    """

    def __init__(self, checkpoint: Any) -> None:
        self.checkpoint = checkpoint
        checkpoint.load()  # the time of a killed job's groups counts
        self.memory: dict[int, dict[str, Tensor]] = {}

    def has(self, number: int) -> bool:
        """Return whether a group is whole."""
        path = self._path(number)
        return number in self.memory or (path is not None and path.is_file())

    def keep(self, number: int, made: DistilledSet) -> None:
        """Keep a group: images, soft labels where it has any, notes."""
        import torch
        from safetensors.torch import save_file

        tensors = {_IMAGES + c: x.contiguous() for c, x in made.images.items()}
        tensors |= {_LABELS + c: x.contiguous() for c, x in (made.soft_labels or {}).items()}
        tensors[_NOTES] = torch.tensor(list(json.dumps(made.notes).encode()), dtype=torch.uint8)
        if (path := self._path(number)) is None:
            self.memory[number] = tensors
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{uuid4().hex}")  # whole or not there
        save_file(tensors, str(part))
        part.rename(path)
        self.checkpoint.save({_GROUP: number + 1})

    def tensor(self, number: int, name: str) -> Tensor:
        """Return images [K, channels, S, S] or soft labels [K, L suite's classes] of a class in a group."""
        from safetensors import safe_open

        if number in self.memory:
            return self.memory[number][name]
        with safe_open(str(self._path(number)), "pt") as file:
            return file.get_tensor(name)

    def notes(self, number: int) -> list[str]:
        """Return what the wrapped method says of a group."""
        return json.loads(bytes(self.tensor(number, _NOTES).tolist()))

    def _path(self, number: int) -> Path | None:
        return self.checkpoint.file(f"group-{number}.safetensors")
