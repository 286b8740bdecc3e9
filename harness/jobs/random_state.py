"""Whether a method drew random numbers from where no seed of the run reaches: the global states of torch, NumPy and Python.

States are compared before and after, which costs microseconds. What is found becomes a note of the set; it changes nothing.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OUTSIDE = "outside task.rng: the same seed may give different images"
"""What the notes end with."""


class RandomWatch:
    """Watches the global random states within `with watch:`; what happens inside `allowed()` is the harness's own affair."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._touched: set[str] = set()

    def __enter__(self) -> RandomWatch:
        self._known = random_states()
        return self

    def __exit__(self, *exc: object) -> None:
        self._compare()

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
