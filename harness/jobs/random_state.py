"""Whether a method drew random numbers from where no seed of the run reaches: the global states of torch, NumPy and Python.

States are compared before and after, which costs microseconds. What is found becomes a note of the set; it changes nothing.
The first import of a module leaves the states as they are: scikit-learn's draws, and only in the first job of a process.
"""

from __future__ import annotations

import builtins
import hashlib
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

OUTSIDE = "outside task.rng: the same seed may give different images"
"""What the notes end with."""


class RandomWatch:
    """Watches the global random states within `with watch:`; what happens inside `allowed()` is the harness's own affair."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._touched: set[str] = set()
        self._import = builtins.__import__
        self._importing = False

    def __enter__(self) -> RandomWatch:
        self._import, builtins.__import__ = builtins.__import__, self._imported
        self._known = random_states()
        return self

    def __exit__(self, *exc: object) -> None:
        builtins.__import__ = self._import
        self._compare()

    def _imported(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Sequence[str] | None = (), level: int = 0
    ) -> Any:
        """Import as Python does; the first import of a module leaves the random states as they were."""
        there = sys.modules.get(name)
        if level or self._importing or (there and all(hasattr(there, item) for item in fromlist or ())):
            return self._import(name, globals, locals, fromlist, level)
        self._importing = True
        try:
            with _kept_states():
                return self._import(name, globals, locals, fromlist, level)
        finally:
            self._importing = False

    def _compare(self) -> None:
        now = random_states()
        # A library or device that was not in use at the start has nothing to be compared with.
        self._touched |= {name for name, state in self._known.items() if now.get(name, state) != state}
        self._known = now

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Leave out what happens inside: the harness builds networks, whose first weights are drawn before they are replaced."""
        if self._known:
            self._compare()
        try:
            yield
        finally:
            if self._known:
                self._known = random_states()

    def notes(self, stage: str) -> list[str]:
        """Return a note for the record where a state changed; `stage` is "fit" or "synthesize"."""
        if not self._touched:
            return []
        whose = " and ".join(sorted(self._touched))
        return [f"{stage} drew random numbers from {whose} {OUTSIDE}"]


@contextmanager
def _kept_states() -> Iterator[None]:
    """Put the global random states back that are in use at the beginning."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    python = random.getstate()
    numpys = numpy.random.get_state(legacy=True) if numpy else None
    torchs = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(numpys)
        if torch:
            torch.set_rng_state(torchs)


def random_states() -> dict[str, str]:
    """Return a digest of each global random state that is in use, by the name of its library."""
    found = {"Python's random": repr(random.getstate()).encode()}
    if numpy := sys.modules.get("numpy"):
        name, keys, *rest = numpy.random.get_state(legacy=True)
        found["NumPy"] = keys.tobytes() + repr((name, rest)).encode()
    if torch := sys.modules.get("torch"):
        found["torch"] = torch.get_rng_state().numpy().tobytes()
        if torch.cuda.is_initialized():
            found["torch (CUDA)"] = b"".join(state.numpy().tobytes() for state in torch.cuda.get_rng_state_all())
    return {name: hashlib.sha256(state).hexdigest() for name, state in found.items()}
