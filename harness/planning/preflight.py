"""What is checked after planning and before the first job: room for what the run will write, weights that can be had.

In: a plan. Out: nothing, or an error. Names, values, data, the fit of weights and devices were checked while the request was
resolved.
"""

from __future__ import annotations

import shutil

from harness.core import hub as hub_files
from harness.core.errors import UserError
from harness.core.text import byte_size
from harness.diffusion import weights
from harness.planning.plan import Plan
from harness.planning.resolve import Resolved

SPARE = 64 * 2**20
"""Bytes that a run needs for records, curves and the like, beside images."""


def check_disk(resolved: Resolved, plan: Plan) -> None:
    """Refuse a run whose distilled sets do not fit on the disk, reckoned uncompressed.

    Raises:
        UserError: says how much is needed and how much is free.
    """
    store = resolved.context.store
    classes, image_bytes = len(resolved.context.classes), resolved.suite.image_bytes
    pools = resolved.plan_input.pool_sizes()
    images = sum(
        job.spec["ipc"] * classes * pools[job.spec["method"]]
        for job in plan.jobs.values()
        if job.kind == "synthesize" and not store.has(job.kind, job.key)
    )
    folder = store.folder
    while not folder.exists():
        folder = folder.parent
    needed, free = images * image_bytes + SPARE, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"store {store.uri}: {images:,} distilled images take up to {byte_size(needed)}, and {byte_size(free)} are "
            "free there. Ask for fewer methods, IPCs or seeds, or give a larger disk with --store DIR."
        )


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
            needs = [m.name for m in resolved.plan_input.methods if m.cls and f"{kind}_generator" in m.cls.needs]
            hub = hub_files.hub_id(missing[0])
            cure = (
                hub_files.download_instructions(hub[0])
                if hub
                else "Put it under --weights-root or the data root, or name a hub id."
            )
            raise UserError(
                f"{', '.join(missing)}: not on this machine, and the model hub cannot be asked. {cure} Or leave out the "
                f"methods that need it: {', '.join(needs)}."
            )
