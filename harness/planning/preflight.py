"""What is checked after planning and before the first job: room for what the run will write, weights that can be had.

In: a plan. Out: nothing, or an error. Names, values, data, the fit of weights and devices were checked while the request was
resolved.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from harness.core import hub as hub_files
from harness.core.errors import UserError
from harness.core.text import byte_size
from harness.diffusion import weights
from harness.planning.plan import Plan
from harness.planning.real_images import decoded_files, trainings
from harness.planning.resolve import Resolved

SPARE = 64 * 2**20
"""Bytes that a run needs for records, curves and the like, beside images."""


def check_disk(resolved: Resolved, plan: Plan) -> None:
    """Refuse a run whose distilled sets (reckoned uncompressed) or decoded real images do not fit on the disk.

    Raises:
        UserError: says how much is needed and how much is free.
    """
    by_disk: dict[int, list[_Need]] = defaultdict(list)
    for need in [_room_for_sets(resolved, plan), *_room_for_decoded(resolved, plan)]:
        by_disk[need.existing.stat().st_dev].append(need)
    for needs in by_disk.values():
        free = shutil.disk_usage(needs[0].existing).free
        if sum(need.num_bytes for need in needs) > free:
            raise UserError(
                f"{needs[0].place}: {' and '.join(need.what for need in needs)}, but only {byte_size(free)} are free. "
                + " ".join(dict.fromkeys(need.cure for need in needs))
            )


@dataclass(frozen=True)
class _Need:
    """Room that a run needs: bytes in a folder, and how that is said."""

    folder: Path
    num_bytes: int
    place: str
    what: str
    cure: str

    @property
    def existing(self) -> Path:
        """The folder, or the nearest one above it that is there."""
        return next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())


def _room_for_sets(resolved: Resolved, plan: Plan) -> _Need:
    store, pools = resolved.context.store, resolved.plan_input.pool_sizes()
    images = sum(
        job.spec["ipc"] * len(resolved.context.classes) * pools[job.spec["method"]]
        for job in plan.jobs.values()
        if job.kind == "synthesize" and not store.has(job.kind, job.key)
    )
    needed = images * resolved.suite.image_bytes + SPARE
    what = f"{images:,} distilled images take up to {byte_size(needed)}"
    cure = "Use fewer methods, IPCs or seeds, or choose a larger disk with --store DIR."
    return _Need(store.folder, needed, f"store {store.uri}", what, cure)


def _room_for_decoded(resolved: Resolved, plan: Plan) -> list[_Need]:
    """Return the room for decoded real images; none on a cluster that the user names: they lie on its machines."""
    if resolved.request.ray_address is not None:
        return []
    cure = "Set HARNESS_CACHE to another folder for decoded images."
    return [
        _Need(
            file.path.parent,
            left,
            str(file.path.parent),
            f"{len(file.split):,} decoded images take {byte_size(left)}",
            cure,
        )
        for file in decoded_files(resolved, trainings(resolved, plan))
        if (left := file.missing_bytes())
    ]


def check_weights(resolved: Resolved, plan: Plan) -> None:
    """Refuse a run whose pre-trained generators are neither on this machine nor to be downloaded.

    Not on a cluster that the user names: its machines may have what this one lacks.

    Raises:
        UserError: says what is missing, and which methods need it.
    """
    if resolved.request.ray_address is not None:
        return
    store = resolved.context.store
    for job in plan.jobs.values():
        if job.kind != "prior" or job.spec["train"] is not None or store.has("prior", job.key):
            continue
        kind = job.spec["generator"]
        spec = resolved.context.generators[kind]
        places = [getattr(spec, part) for part in weights.PARTS]
        missing = [p for p in places if p and hub_files.on_disk(p) is None and not hub_files.is_pinned(p)]
        if missing:
            needs = [m.name for m in resolved.plan_input.methods if f"{kind}_generator" in m.needs]
            hub = hub_files.hub_id(missing[0])
            cure = (
                hub_files.download_instructions(hub[0])
                if hub
                else "Copy it under --weights-root or the data root, or give a hub id."
            )
            raise UserError(
                f"{', '.join(missing)}: not on this machine, and the model hub cannot be reached. {cure} Or omit the "
                f"methods that need it: {', '.join(needs)}."
            )
