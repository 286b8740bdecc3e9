"""A suite's training split, cut in two: what methods see, and what accuracy is measured on while options are tuned.

In: another source. Out: a source whose "test" is a share of the other's training images. The real test split is not
opened by it, so nothing that is chosen on this one was chosen on the test split.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt

from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.data.sources.base import ImageSource, open_source, register_source
from harness.data.split import Split


@register_source("validation")
class Validation(ImageSource):
    """A stratified share of the training split stands for the test split; the rest is the training split."""

    class Config(Source):
        """Options of `kind: validation`."""

        of: dict[str, Any] = Field(description="the source that is split: its kind and options")
        share: float = Field(
            0.2, gt=0, lt=1, description="fraction of each class's training images used to measure accuracy"
        )
        seed: NonNegativeInt = Field(0, description="seed that selects these images")

    def __init__(self, config: Source, class_ids: tuple[str, ...], data_root: Path) -> None:
        super().__init__(config, class_ids, data_root)
        self.whole = open_source(self.config.of, class_ids, data_root)

    def is_here(self) -> bool:
        return self.whole.is_here()

    def check(self) -> None:
        """As the whole source; and each class can be cut."""
        self.whole.check()
        _ = self._parts

    def index(self, report: ProgressCallback = no_progress, *, anew: bool = False) -> None:
        self.whole.index(report, anew=anew)

    def remarks(self) -> list[str]:
        return self.whole.remarks()

    def fingerprint(self) -> str:
        """Hash the whole source and the cut."""
        cut = f"validation 1\x1f{self.whole.fingerprint()}\x1f{self.config.share!r}\x1f{self.config.seed}"
        return hashlib.sha256(cut.encode()).hexdigest()

    def split(self, name: str) -> Split:
        """Return "train", the images that methods see, or "test", those of the training split that are held out."""
        if name not in ("train", "test"):
            raise ValueError(f"unknown split {name!r}; use 'train' or 'test'")
        return self._parts[name]

    @cached_property
    def _parts(self) -> dict[str, Split]:
        """Cut the training split; an image goes where a copy of it went, so that none is on both sides.

        Raises:
            UserError: nothing would be left of a class on one side.
        """
        whole = self.whole.split("train")
        self._check_share(whole)
        _, held = whole.holdout(self.config.share, self.config.seed)
        train, test = {}, {}
        for class_id in whole.class_ids:
            out = set(held.positions_in(whole, class_id))
            for copies in whole.copies(class_id):
                if not out.issuperset(copies):
                    out.difference_update(copies)
            rest = [i for i in range(whole.num_per_class[class_id]) if i not in out]
            if not out or not rest:
                raise UserError(
                    f"a validation share of {self.config.share:g} leaves no images of class {class_id} in one of the "
                    f"splits: it has {len(rest) + len(out)} training images, counting copies of an image as one. "
                    "Choose another share."
                )
            train[class_id], test[class_id] = rest, sorted(out)
        return {"train": whole.select(train), "test": whole.select(test)}

    def _check_share(self, whole: Split) -> None:
        """Refuse a share that, rounded, is none or all of a class.

        Raises:
            UserError: names the smallest such class.
        """
        share = self.config.share
        empty = {c: n for c, n in whole.num_per_class.items() if round(share * n) in (0, n)}
        if empty:
            class_id, num = min(empty.items(), key=lambda item: item[1])
            raise UserError(
                f"a validation share of {share:g} leaves no images of class {class_id} in one of the splits: "
                f"{share:g} of its {num} training images is {'all' if round(share * num) else 'none'}. Choose another "
                "share, e.g. 0.2."
            )

    def describe(self) -> str:
        num = {name: len(self.split(name)) for name in ("train", "test")}
        return (
            f"{self.whole.describe()}; validation: {num['test']:,} of its training images, stratified, seed "
            f"{self.config.seed}, instead of the test split, {num['train']:,} left for training"
        )
