"""What a row lost to faults of the system: how often its jobs were retried, for what, and the time that went with it.

In: a row of the plan, the losses of its jobs, the seconds that checkpoints kept. Out: fields of its record. Times of
distillation and training never hold any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from harness.execution.view import Loss
from harness.planning.plan import Row


def attempt_fields(
    row: Row, losses: Mapping[str, list[Loss]], given_up: Container[str], resumed_s: Callable[[str], float]
) -> dict[str, int | float | str]:
    """Return `attempts`, `lost_to`, `lost_s` and `distill_lost_s` of a row.

    Args:
        row: whose fits, synthesis, labels and training count; a generator or teacher, which many rows share, does not.
        losses: by key of job.
        given_up: keys of jobs that were lost too often.
        resumed_s: seconds of work that a job took over from earlier tries, by its checkpoint; 0 where it has not ended.
    """
    distilled = [key for key in (*row.fits, row.synthesize) if key is not None]
    others = [key for key in (row.label, row.train) if key is not None]
    lost = [loss for key in (*distilled, *others) for loss in losses.get(key, ())]
    distill_s = _lost_s(distilled, losses, resumed_s)
    return {
        "attempts": 1 + len(lost) - sum(key in given_up for key in (*distilled, *others)),
        "lost_to": "; ".join(dict.fromkeys(loss.reason for loss in lost)),
        "lost_s": distill_s + _lost_s(others, losses, resumed_s),
        "distill_lost_s": distill_s,
    }


def _lost_s(keys: Iterable[str], losses: Mapping[str, list[Loss]], resumed_s: Callable[[str], float]) -> float:
    """Return the seconds of lost tries, less what the last try took over from them."""
    return 0.0 + sum(
        max(0.0, sum(loss.seconds for loss in losses[key]) - resumed_s(key)) for key in keys if losses.get(key)
    )
