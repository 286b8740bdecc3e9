"""Where real images come from: the registry of sources and the base class of one.

In: a suite's `source` mapping, its class ids in label order, the data root. Out: an `ImageSource`.
Listing, checking and fingerprinting import no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.config.base import checked
from harness.core.config.suite import Source
from harness.core.errors import UserError
from harness.core.progress import ProgressCallback, no_progress
from harness.core.registry import Registry

if TYPE_CHECKING:
    from harness.data.split import Split


class ImageSource(ABC):
    """Real images of a suite in two splits.

    Args:
        config: the checked options of this kind.
        class_ids: classes in label order.
        data_root: folder that relative paths in the config start from.
    """

    class Config(Source):
        """Options of the kind; override with fields."""

    def __init__(self, config: Source, class_ids: tuple[str, ...], data_root: Path) -> None:
        self.config: Any = config
        self.class_ids = class_ids
        self.data_root = data_root

    @property
    def place(self) -> Path | None:
        """The folder or file that is read; None: it is not there, or the source reads none."""
        root = getattr(self.config, "root", None)
        return self.data_root / root if root is not None and (self.data_root / root).exists() else None

    def is_here(self) -> bool:
        """Return whether there is something where the data are looked for: a glance for lists; `check` looks inside."""
        return self.place is not None or getattr(self.config, "root", None) is None

    @abstractmethod
    def check(self) -> None:
        """Do nothing where both splits are usable.

        Raises:
            UserError: names everything that is missing, at once.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what is there, the same wherever the data root lies.

        Raises:
            UserError: as `check`.
        """

    @abstractmethod
    def split(self, name: str) -> Split:
        """Return the split "train" or "test".

        Raises:
            ValueError: another name.
            UserError: that split is not usable.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line for the captions of tables: enough to tell two sources of one name apart."""

    def index(self, report: ProgressCallback = no_progress, *, anew: bool = False) -> None:  # noqa: B027 - most need none
        """Look through the files once, so that what follows is quick; a source without files does nothing.

        Args:
            report: told the folders listed.
            anew: look at every file, whatever is remembered from an earlier time.

        Raises:
            UserError: there is no such folder.
        """

    def files(self, split: str, class_id: str) -> list[Path]:
        """Return the non-empty image files of a class, also if the data as a whole cannot be used; a source without such
        files returns none.
        """
        return []

    def remarks(self) -> list[str]:
        """Return what a user should know about the data, though it stops no run; one line each."""
        return []


sources: Registry[type[ImageSource]] = Registry(
    "source",
    {
        "digits": "harness.data.sources.digits:Digits",
        "image_folder": "harness.data.sources.image_folder:ImageFolder",
        "split_folder": "harness.data.sources.split_folder:SplitFolder",
        "cifar": "harness.data.sources.cifar:Cifar",
        "idx": "harness.data.sources.idx:Idx",
        "svhn": "harness.data.sources.svhn:Svhn",
        "validation": "harness.data.sources.validation:Validation",
    },
)


def register_source(name: str) -> Callable[[type[ImageSource]], type[ImageSource]]:
    """Return a class decorator that makes an `ImageSource` known as `kind: name`."""
    return sources.register(name)


def open_source(source: Mapping[str, Any], class_ids: tuple[str, ...], data_root: Path | str) -> ImageSource:
    """Build the source that a suite's mapping describes; reads no image and lists no folder yet.

    Args:
        source: `kind` and the options of that kind, as in the suite's YAML.
        class_ids: classes in label order.
        data_root: folder that relative paths start from.

    Raises:
        UserError: no or an unknown kind, an unknown option, or a value of the wrong type.
    """
    if not isinstance(source, Mapping) or not isinstance(source.get("kind"), str):
        raise UserError(f"source {source!r} needs a kind, e.g. {{kind: digits}}. Known: {', '.join(sources)}.")
    cls = sources.get(source["kind"])
    config = checked(cls.Config, dict(source), f"source {source['kind']!r}")
    return cls(config, tuple(class_ids), Path(data_root))
