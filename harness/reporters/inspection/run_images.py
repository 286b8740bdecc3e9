"""Open a run again for a look at its images: the same real training images, the distilled sets, a feature extractor.

In: a run's folder. Out: features by class. The test split is not opened, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.core.classes import ClassInfo, read_class_list
from harness.core.environment import has_cuda
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.run_folder import RunFolder
from harness.core.store import Store
from harness.core.suites import SuiteFile, load_suite, suite_names
from harness.data.sets.folder import load_distilled
from harness.data.sources.base import open_source
from harness.jobs.context import JobContext, open_split
from harness.jobs.task_resources import load_teacher_features
from harness.planning.resolve_data import cut
from harness.reporters.figures.points import rows_with
from harness.students.features import FeatureExtractor

if TYPE_CHECKING:
    from torch import Tensor


TEACHER = "teacher"


@dataclass(frozen=True)
class DistilledSetRef:
    """One distilled set of a run: `label` is its method in tables, `key` that of its artefact."""

    label: str
    ipc: int
    seed: int
    key: str


@dataclass(frozen=True)
class RunImages:
    """A run whose real images are the ones that it was made from.

    Attributes:
        about: the description of the run.
        size: side of the distilled images, pixels.
        rows: prepared records with `distilled_key`.
    """

    about: dict[str, Any]
    size: int
    rows: pd.DataFrame
    context: JobContext

    @property
    def store(self) -> Store:
        """Where its artefacts are."""
        return self.context.store

    @cached_property
    def sets(self) -> tuple[DistilledSetRef, ...]:
        """The distilled sets that are in the store, each once; a damaged one is left out, and the store says so.

        Raises:
            UserError: there is none.
        """
        made = self.rows[self.rows["distilled_key"] != ""].drop_duplicates(["label", "ipc", "distillation_seed"])
        found = tuple(
            DistilledSetRef(row["label"], int(row["ipc"]), int(row["distillation_seed"]), row["distilled_key"])
            for _, row in made.iterrows()
            if self.store.intact("synthesize", row["distilled_key"])
        )
        if not found:
            raise UserError(f"run {self.about['name']}: no distilled set of it is in the store {self.store.uri}.")
        return found

    def extractor(self, name: str) -> FeatureExtractor:
        """Return the network whose features are compared: the teacher of the run's jobs, or timm:NAME.

        Raises:
            UserError: another name, or no job of the run used a teacher.
        """
        if name.startswith("timm:"):
            return FeatureExtractor.from_timm(name, self.context.device)
        if name != TEACHER:
            raise UserError(
                f"unknown features {name!r}; expected {TEACHER!r} or 'timm:NAME', such as timm:resnet18.a1_in1k."
            )
        found = [key for key in self._teachers() if self.store.intact("teacher", key)]
        found.sort(key=lambda key: not self._is_of_suite(key))  # others are of one method alone
        if found:
            return load_teacher_features(self.store.fetch("teacher", found[0]), self.context)
        raise UserError(
            f"run {self.about['name']}: none of its jobs used a teacher. Take another network with --features "
            "timm:resnet18.a1_in1k, or add a method that needs one, such as herding, to the run."
        )

    def _teachers(self) -> list[str]:
        """Return the keys of the teachers of the run's jobs."""
        jobs = [("synthesize", made.key) for made in self.sets]
        jobs += [
            ("train", key) for key in dict.fromkeys(self.rows["train_key"]) if key and self.store.has("train", key)
        ]
        deps = [self.store.manifest(kind, key).get("deps", {}) for kind, key in jobs]
        return list(dict.fromkeys(teacher for own in deps for teacher in own.get("teacher", ())))

    def _is_of_suite(self, teacher: str) -> bool:
        """Return whether a teacher is the suite's, and not a method's own (`Method.own_teacher`)."""
        suites = self.context.teacher
        if suites is None or suites.student is None:
            return True
        about = self.store.manifest("teacher", teacher).get("spec", {}).get("teacher", {})
        return bool(about.get("student") == suites.student)

    def real_features(self, extract: FeatureExtractor, class_id: str, most: int) -> Tensor:
        """Return [N, D] on the CPU: of the training images of a class, evenly picked where there are more than `most`."""
        split = open_split(self.context, "train")
        num = split.num_per_class[class_id]
        picked = range(num) if num <= most else [i * num // most for i in range(most)]
        return extract(split.load(class_id, picked, size=self.size, crop="adm")).cpu()

    def made_features(self, extract: FeatureExtractor, made: DistilledSetRef, c: ClassInfo) -> Tensor:
        """Return [M, D] on the CPU: of the first IPC images of a class of a distilled set."""
        folder, channels = self.store.fetch("synthesize", made.key), self.context.channels
        images, _ = load_distilled(folder, [c], self.size, ipc=made.ipc, channels=channels)
        return extract(images).cpu()


@dataclass(frozen=True)
class Named:
    """What the reader names; what the run names is not used: the run may come from anybody.

    Attributes:
        data_root: folder under which image folders lie.
        device: "auto", "cpu" or "cuda".
        suite: name or file of the run's suite; None: the one of that name that comes with the harness.
        plugins: files to load.
        data: fields of the suite's source to override.
    """

    data_root: str = "data"
    device: str = "auto"
    suite: str | None = None
    plugins: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def open_run_images(run: RunFolder, records: pd.DataFrame, store: Store, named: Named) -> RunImages:
    """Open a run; the real images must be those that it was made from.

    Args:
        run: its folder.
        records: of `harness.load_results`.
        store: where its artefacts are.
        named: by the reader.

    Raises:
        UserError: the suite, its classes or the images are gone or have changed, or a device is not there.
    """
    about, device = run.about, named.device
    if device not in ("auto", "cpu", "cuda") or (device == "cuda" and not has_cuda()):
        raise UserError(f"device {device!r} is not to be had here; use cpu, cuda where there is a GPU, or auto.")
    discovery.discover()
    for plugin in named.plugins:
        discovery.load_plugin(plugin)
    suite = _suite(run, named.suite)
    classes = read_class_list(suite.class_list)
    ids = tuple(c.id for c in classes)
    if list(ids) != about.get("classes"):
        raise UserError(
            f"run {run.name}: the classes of suite {suite.suite.name} are not those of the run. Name the suite that it was "
            "made from with --suite, or run it again."
        )
    # Numbers and switches of the run say which part of the images it took; texts may be paths.
    request = about["request"]
    own = request.get("settings", {}).get("data", {})
    source = {**suite.suite.source, **{k: v for k, v in own.items() if isinstance(v, int | float)}, **named.data}
    source = cut(source, request.get("validation"), request.get("validation_seed", 0))
    root = str(Path(named.data_root).resolve())
    opened = open_source(source, ids, Path(root))
    opened.check()
    if (fingerprint := opened.fingerprint()) != about.get("data_fingerprint"):
        raise UserError(
            f"run {run.name}: the images under {root} are not those that it was made from. Use --data-root."
        )
    place = ("cuda" if has_cuda() else "cpu") if device == "auto" else device
    context = JobContext(
        store.uri, source, root, fingerprint, classes,
        device=place, teacher=suite.suite.teacher, channels=suite.suite.channels,
    )  # fmt: skip
    rows = rows_with(records, "distilled_key", "train_key")
    return RunImages(about, suite.suite.image_size, rows, context)


def _suite(run: RunFolder, named: str | None) -> SuiteFile:
    """Return the suite that the reader names, or the harness's own of the run's name.

    Raises:
        UserError: there is none.
    """
    name = run.about["suite"]["name"]
    if named is None and name not in suite_names():
        raise UserError(
            f"run {run.name}: suite {name!r} does not come with the harness. Name its file with --suite FILE."
        )
    return load_suite(named or name)
