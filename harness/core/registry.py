"""One small registry for everything that can be added by name: methods, students, protocols, sources, reporters.

In: a name and an object, or a lazy "module:attribute" target, so that listing names imports nothing.
It never knows what it registers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from harness.core.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects of one kind.

    Args:
        kind: the word for messages, such as "method".
        lazy: name -> "module:attribute", imported at the first `get`.
    """

    registrations = 0
    """How many objects have been registered anywhere; tells whether a plugin file did anything."""

    def __init__(self, kind: str, lazy: dict[str, str] | None = None) -> None:
        self.kind = kind
        self._lazy = dict(lazy or {})
        self._items: dict[str, T] = {}
        self._broken: dict[str, str] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores its object under `name`.

        Raises:
            UserError: another object already has that name.
        """

        def decorate(item: T) -> T:
            known = self._items.get(name)
            if known is not None and _origin(known) != _origin(item):
                raise UserError(
                    f"{self.kind} {name!r} is registered twice: by {_origin(known)} and by {_origin(item)}. "
                    "Rename one of them."
                )
            self._items[name] = item
            Registry.registrations += 1
            self._broken.pop(name, None)
            return item

        return decorate

    def mark_broken(self, name: str, reason: str) -> None:
        """Keep the name of something that could not be imported, with the reason, so that it is never lost.

        A name that is registered already stays what it is: what came second is not called so.
        """
        if name not in self:
            self._broken[name] = reason

    @property
    def broken(self) -> dict[str, str]:
        """Names that could not be imported, each with its reason."""
        return dict(self._broken)

    def forget(self, name: str) -> None:
        """Remove what is registered as `name`."""
        self._items.pop(name, None)

    def snapshot(self) -> dict[str, T]:
        """Return what is registered now, for `restore`."""
        return dict(self._items)

    def restore(self, items: dict[str, T]) -> None:
        """Forget what was registered since `snapshot`."""
        self._items = dict(items)

    def names(self) -> list[str]:
        """All registered names, sorted; broken ones are not among them."""
        return sorted({*self._items, *self._lazy})

    def is_lazy(self, name: str) -> bool:
        """Return whether a name is one of those that came with the registry, and nobody registered it anew."""
        known = self._items.get(name)
        return name in self._lazy and (known is None or known.__module__ == self._lazy[name].partition(":")[0])

    def __contains__(self, name: str) -> bool:
        return name in self._items or name in self._lazy

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, name: str) -> T:
        """Return the object called `name`.

        Raises:
            UserError: nothing has that name (with the closest known one), or its module cannot be imported.
        """
        self.check(name)
        if name not in self._items:
            module, _, attribute = self._lazy[name].partition(":")
            self._items[name] = getattr(importlib.import_module(module), attribute)
        return self._items[name]

    def check(self, name: str) -> None:
        """Refuse an unknown name; nothing is imported.

        Raises:
            UserError: nothing has that name (with the closest known one), or it could not be imported.
        """
        if name in self:
            return
        if name in self._broken:
            raise UserError(f"{self.kind} {name!r} cannot be used: {self._broken[name]}")
        known = self.names()
        raise UserError(
            f"unknown {self.kind} {name!r}.{did_you_mean(name, known)} Known: {', '.join(known) or 'none'}."
        )


def _origin(item: Any) -> str:
    """Return the file (or module) that an object comes from: a file that is loaded again may replace its own."""
    module = sys.modules.get(getattr(item, "__module__", ""), None)
    return str(getattr(module, "__file__", None) or getattr(item, "__module__", type(item).__module__))
