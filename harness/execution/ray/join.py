"""Start a Ray on this machine, or join a cluster."""

from __future__ import annotations

import logging
import os
from typing import Any

from harness.core.errors import UserError


def join(address: str | None, num_cpus: int | None) -> Any:
    """Connect this process to Ray and return the `ray` module.

    Args:
        address: of a running cluster ("auto", "host:6379"); None: a local Ray for this run.
        num_cpus: CPUs of a local Ray; None: all cores.

    Raises:
        UserError: no cluster at the address, or Ray cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"num_cpus": num_cpus or os.cpu_count(), "include_dashboard": False}
    try:
        ray.init(address=address or "local", **options)
    except Exception as error:
        raise UserError(
            f"Ray cannot be {'reached at ' + address if address else 'started here'}: {error}. "
            "Use --executor local to run in this process, or give the address of a running cluster."
        ) from None
    return ray
