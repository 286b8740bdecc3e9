"""Save and load what a fit returns: tensors as safetensors, the rest as JSON. No pickles.

A checkpoint is the same in two alternating slots, so that a kill while writing leaves the older one whole. With a remote
store the newest slot is uploaded now and then, and another machine goes on from it.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.plugin.task import State
from harness.jobs.clock import Spent
from harness.jobs.remote_checkpoint import RemoteCheckpoint

if TYPE_CHECKING:
    from harness.core.store import Store
    from harness.jobs.clock import Clock


_ELAPSED, _PER_IMAGE, _ENERGY = "elapsed_s of the job", "per_image_s of the job", "energy_j of the job"
"""What stands in a checkpoint beside the method's state: what the work up to it took."""


def save_state(folder: Path, state: State | None) -> None:
    """Write state.safetensors and state.json into `folder`.

    Raises:
        ValueError: a value is neither a tensor nor plain JSON.
    """
    import torch
    from safetensors.torch import save_file

    if state is None:
        (folder / "state.json").write_text("null", encoding="utf-8")
        return
    if not isinstance(state, dict):
        raise ValueError(f"fit returned {type(state).__name__}; expected a dict of tensors and plain values, or None")
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
    plain = {k: v for k, v in state.items() if k not in tensors}
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a state may contain only tensors and plain JSON values: {error}") from None
    save_file(tensors, str(folder / "state.safetensors"))
    (folder / "state.json").write_text(text, encoding="utf-8")


def load_state(folder: Path) -> State | None:
    """Read what `save_state` wrote; tensors come back on the CPU."""
    from safetensors.torch import load_file

    plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if plain is None:
        return None
    return {**plain, **load_file(str(folder / "state.safetensors"))}


class FolderCheckpoint:
    """The checkpoint of one class group of a job: the newest whole state under `folder`, with what the group took so far.

    Make it when the work of the group begins: from then on its seconds and joules count.

    Args:
        folder: where states lie; of this group alone.
        clock: the job's clock, which goes on from a loaded state's seconds and joules.
        remote: where states go too, for other machines.
    """

    def __init__(self, folder: Path, clock: Clock | None = None, remote: RemoteCheckpoint | None = None) -> None:
        self.folder = folder
        self.clock = clock
        self.remote = remote
        self._before = None if clock is None else clock.spent()
        self._resumed = False

    @classmethod
    def of(cls, store: Store, folder: Path, clock: Clock | None = None) -> FolderCheckpoint:
        """Return the checkpoint whose states lie in a folder of `store.scratch`."""
        if not store.is_remote:
            return cls(folder, clock)
        name = folder.relative_to(store.root).as_posix()
        return cls(folder, clock, RemoteCheckpoint(store.remote, name))

    def load(self) -> State | None:
        """Return the newest saved state, of this machine or of another, or None."""
        if self.remote is not None:
            with self._unclocked():
                self._fetch_newer(self.remote)
        for slot in reversed(self._slots()):
            try:
                state = load_state(slot)
            except FileNotFoundError:
                continue  # another run of this job has just replaced it
            return None if state is None else self._resume(state)
        return None

    def _fetch_newer(self, remote: RemoteCheckpoint) -> None:
        newest, here = remote.newest(), self._slots()
        if newest is not None and (not here or newest > here[-1].name):
            remote.fetch(newest, self.folder)

    def _unclocked(self) -> AbstractContextManager[None]:
        """Keep what the harness does with a remote out of the method's time."""
        return nullcontext() if self.clock is None else self.clock.paused()

    def _resume(self, state: State) -> State:
        """Take what the first part took out of a saved state, and count it once, however often the state is read."""
        earlier = Spent(state.pop(_ELAPSED, 0.0), state.pop(_PER_IMAGE, 0.0), state.pop(_ENERGY, None))
        if self.clock is not None and not self._resumed:
            self.clock.add_earlier(earlier)
        self._resumed = True
        return state

    def save(self, state: State) -> None:
        """Write a state beside the older one, rename it into place, then drop the older.

        Two runs of one job may save here at once: names never collide, and either state is good to go on from.
        """
        old = self._slots()
        temporary = self.folder / f".{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        slot = self.folder / f"slot-{self._later_than(old):020d}-{uuid.uuid4().hex[:8]}"
        try:
            save_state(temporary, {**state, **self._spent()})
            temporary.rename(slot)
        except BaseException:  # such as a full disk
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
        if self.remote is not None:
            with self._unclocked():
                self.remote.upload(slot)

    @staticmethod
    def _later_than(old: list[Path]) -> int:
        """Return the time in ns, but more than that of any older state: clocks of machines differ, and are set back."""
        times = [path.name.split("-")[1] for path in old]
        return max(time.time_ns(), *(int(text) + 1 for text in times if text.isdigit()), 0)

    def _spent(self) -> State:
        if self.clock is None or self._before is None:
            return {}
        spent = self.clock.spent() - self._before
        return {_ELAPSED: spent.work_s, _PER_IMAGE: spent.per_image_s, _ENERGY: spent.energy_j}

    def file(self, name: str) -> Path:
        """Return where a large intermediate file may lie; `clear` removes it, a killed job finds it again."""
        return self.folder / name

    def clear(self, *, look: bool = False) -> None:
        """Remove everything: the job is done.

        Args:
            look: also at a remote where this process has seen no state.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.remote is not None:
            self.remote.clear(look=look)

    def _slots(self) -> list[Path]:
        return sorted(self.folder.glob("slot-*")) if self.folder.is_dir() else []
