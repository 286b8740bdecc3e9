"""One split of real images, by class, and what can be taken from it.

In: an `ImageReader`, which can list and read images. Out: names, and uint8 tensors on the CPU. Labels are positions in
the full class list, whatever is left out. Shapes: N images, n of one class, K channels (3, or 1 where they
are grey), S side in pixels.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.core import seeds
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress

if TYPE_CHECKING:
    import torch

Crop = Literal["adm", "resize", "margin"]
"""How an image becomes a square; see `harness.data.decode.square`."""


def short_side(size: int, crop: Crop) -> int:
    """Return what the short side of an image becomes before a square of `size` is cut from its middle, pixels."""
    return max(size, size // 7 * 8) if crop == "margin" else size


class ImageReader(ABC):
    """Images by class and index; what a source implements for each of its splits.

    Attributes:
        channels: K of the images that `read` returns: 3 (RGB), or 1 where the source is grey.
    """

    channels: int = 3

    @abstractmethod
    def names(self, class_id: str) -> Sequence[str]:
        """Return the file names of a class in byte order; an image's position here is its index."""

    @abstractmethod
    def read(
        self, items: Sequence[tuple[str, int]], *, size: int, crop: Crop, report: ProgressCallback = no_progress
    ) -> torch.Tensor:
        """Read (class id, index) pairs, in that order.

        Returns:
            uint8 [len(items), K, size, size] on the CPU.

        Raises:
            UserError: images cannot be read; names them.
        """

    def copies(self, class_id: str) -> list[list[int]]:
        """Return the images of a class that are there more than once: a list of indices for each of them, ascending."""
        pixels = self.read([(class_id, i) for i in range(len(self.names(class_id)))], size=_COMPARED, crop="resize")
        return groups_of_equals([hashlib.sha256(image.numpy().tobytes()).digest() for image in pixels])


_COMPARED = 32
"""Side at which images without files are compared, pixels."""


def groups_of_equals(values: Sequence[Hashable]) -> list[list[int]]:
    """Return the positions of each value that occurs more than once, ascending."""
    found: dict[Hashable, list[int]] = {}
    for position, value in enumerate(values):
        found.setdefault(value, []).append(position)
    return [positions for positions in found.values() if len(positions) > 1]


class Split:
    """One split: classes in label order, each with its images.

    Args:
        store: lists and reads the images.
        class_ids: classes in label order; a class's position is its label unless `labels` says otherwise.
        indices: per class, the images that belong to the split; None: all that the store has.
        labels: per class, its label.
    """

    def __init__(
        self,
        store: ImageReader,
        class_ids: Sequence[str],
        *,
        indices: Mapping[str, Sequence[int]] | None = None,
        labels: Mapping[str, int] | None = None,
    ) -> None:
        self._store = store
        self.class_ids = tuple(class_ids)
        self._indices: dict[str, Sequence[int]] = (
            {c: range(len(store.names(c))) for c in self.class_ids}
            if indices is None
            else {c: tuple(indices[c]) for c in self.class_ids}
        )
        self.labels = {c: i for i, c in enumerate(self.class_ids)} if labels is None else dict(labels)
        """Label of every class: its position in the full class list."""

    @property
    def channels(self) -> int:
        """K of the images: 3, or 1 where they are grey."""
        return self._store.channels

    @property
    def num_per_class(self) -> dict[str, int]:
        """Images of every class."""
        return {c: len(self._indices[c]) for c in self.class_ids}

    def __len__(self) -> int:
        return sum(self.num_per_class.values())

    def names(self, class_id: str) -> list[str]:
        """Return a class's file names in byte order (0.png, 1.png, 10.png): `names(c)[:ipc]` are the first files."""
        names = self._store.names(class_id)
        return [names[i] for i in self._of(class_id)]

    def load(
        self, class_id: str, indices: Iterable[int] | None = None, *, size: int, crop: Crop = "adm"
    ) -> torch.Tensor:
        """Read images of one class.

        Args:
            class_id: one of `class_ids`.
            indices: positions in `names(class_id)`, in the order wanted, repeats allowed; None: all.
            size: side of the result, pixels.
            crop: how an image becomes a square.

        Returns:
            uint8 [n, K, size, size] on the CPU.

        Raises:
            ValueError: no such class or index.
            UserError: images cannot be read; names them.
        """
        own = self._of(class_id)
        wanted = range(len(own)) if indices is None else [int(i) for i in indices]
        self._check_range(class_id, wanted)
        return self._store.read([(class_id, own[i]) for i in wanted], size=size, crop=crop)

    def tensors(
        self, *, size: int, crop: Crop = "adm", report: ProgressCallback = no_progress
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the whole split, class after class in label order.

        Returns:
            images uint8 [N, K, size, size] and labels int64 [N], on the CPU.

        Raises:
            UserError: images cannot be read; names them.
        """
        items = [(c, i) for c in self.class_ids for i in self._indices[c]]
        return self._store.read(items, size=size, crop=crop, report=report), self.row_labels()

    def row_labels(self) -> torch.Tensor:
        """Return the labels int64 [N] of `tensors`, without reading an image."""
        import torch

        counts = self.num_per_class
        labels = torch.tensor([self.labels[c] for c in self.class_ids], dtype=torch.int64)
        return labels.repeat_interleave(torch.tensor([counts[c] for c in self.class_ids]))

    def rows(self, start: int, stop: int, *, size: int, crop: Crop) -> torch.Tensor:
        """Read the rows [start, stop) of `tensors`: uint8 [stop - start, K, size, size] on the CPU.

        Raises:
            UserError: images cannot be read; names them.
        """
        items, first = [], 0
        for c in self.class_ids:
            own = self._indices[c]
            items += [(c, i) for i in own[max(0, start - first) : max(0, stop - first)]]
            first += len(own)
        return self._store.read(items, size=size, crop=crop)

    def rows_of(self, part: Split) -> torch.Tensor:
        """Return which rows of `tensors` the images of a part of this split are, in the part's order: int64 [M].

        Raises:
            ValueError: an image of the part is not in this split.
        """
        import torch

        places, first = {}, 0
        for c in self.class_ids:
            places[c] = first
            first += len(self._indices[c])
        rows = []
        for c in part.class_ids:
            own = {image: places[c] + k for k, image in enumerate(self._indices[c])}
            lacking = [i for i in part._indices[c] if i not in own]
            if lacking:
                raise ValueError(f"class {c!r}: images {lacking[:5]} are not in the split")
            rows.append(torch.tensor([own[i] for i in part._indices[c]], dtype=torch.int64))
        return torch.cat(rows)

    def restrict(self, class_ids: Iterable[str]) -> Split:
        """Return the split of these classes only, in the order of the full list; labels stay as they are.

        Raises:
            ValueError: a class is not in the split.
        """
        wanted = set(class_ids)
        for c in wanted:
            self._of(c)
        kept = [c for c in self.class_ids if c in wanted]
        return Split(self._store, kept, indices=self._indices, labels=self.labels)

    def read_by(self, wrap: Callable[[ImageReader], ImageReader]) -> Split:
        """Return the same images, read by a reader that wraps the split's own."""
        return Split(wrap(self._store), self.class_ids, indices=self._indices, labels=self.labels)

    def select(self, indices: Mapping[str, Iterable[int]]) -> Split:
        """Return the split with only these images of every class, in the order given.

        Args:
            indices: for every class of the split, positions in `names(class_id)`; `restrict` first to leave some out.

        Raises:
            ValueError: a class is missing or unknown, or an index is out of range.
        """
        missing = [c for c in self.class_ids if c not in indices]
        if missing:
            raise ValueError(f"select() names no images for {missing[:5]}; restrict() the split to leave classes out")
        chosen = {}
        for c, positions in indices.items():
            own, wanted = self._of(c), [int(i) for i in positions]
            self._check_range(c, wanted)
            chosen[c] = [own[i] for i in wanted]
        return Split(self._store, self.class_ids, indices=chosen, labels=self.labels)

    def copies(self, class_id: str) -> list[list[int]]:
        """Return which images of a class are the same: positions in `names(class_id)`, a list for each image with copies."""
        place = {index: position for position, index in enumerate(self._of(class_id))}
        found = [[place[i] for i in copies if i in place] for copies in self._store.copies(class_id)]
        return [sorted(positions) for positions in found if len(positions) > 1]

    def positions_in(self, whole: Split, class_id: str) -> list[int]:
        """Return where the images of a class stand in `whole.names(class_id)`, of a split that this one is a part of."""
        place = {index: position for position, index in enumerate(whole._of(class_id))}
        return [place[index] for index in self._of(class_id)]

    def holdout(self, fraction: float, seed: int) -> tuple[Split, Split]:
        """Cut every class in two by chance; a class's cut depends on nothing but the seed and its own images.

        Args:
            fraction: share held out, above 0 and below 1; rounded per class, at least one image on either side.
            seed: which cut.

        Returns:
            (the rest, the images held out), both in byte order.

        Raises:
            ValueError: the fraction is not between 0 and 1.
            UserError: a class has fewer than two images.
        """
        import torch

        if not 0 < fraction < 1:
            raise ValueError(f"holdout fraction {fraction} must be between 0 and 1 (exclusive)")
        single = [c for c, n in self.num_per_class.items() if n < 2]
        if single:
            raise UserError(f"cannot hold out images: fewer than 2 in class {', '.join(single[:10])}")
        rest, held = {}, {}
        for c, n in self.num_per_class.items():
            num_held = min(max(round(fraction * n), 1), n - 1)
            order = torch.randperm(n, generator=seeds.generator(seed, "holdout", c)).tolist()
            held[c], rest[c] = sorted(order[:num_held]), sorted(order[num_held:])
        return self.select(rest), self.select(held)

    def _of(self, class_id: str) -> Sequence[int]:
        if class_id not in self._indices or class_id not in self.class_ids:
            raise ValueError(f"class {class_id!r} is not in this split of {len(self.class_ids)} classes")
        return self._indices[class_id]

    def _check_range(self, class_id: str, positions: Iterable[int]) -> None:
        num = len(self._indices[class_id])
        bad = [i for i in positions if not 0 <= i < num]
        if bad:
            raise ValueError(f"class {class_id!r} has images 0 to {num - 1}, but not {bad[:5]}")
