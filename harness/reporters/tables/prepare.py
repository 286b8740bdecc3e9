"""What every reporter does with records first: check them, tell apart what must not be averaged, count failures.

In: the frame of `harness.load_results`. Out: the same rows with fixed types, a `label` per method, and scopes.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.core.class_groups import GROUPS
from harness.core.errors import UserError
from harness.core.text import shorten, times
from harness.reporters.stats.summary import Summary, summarise

METRICS = ("top1_best", "top1_last", "top5_best", "top5_last")
"""Accuracies in percent."""


CLASS_METRICS = tuple(
    f"{name}_{which}"
    for which in ("last", "best")
    for name in ("average_accuracy", "kappa", *(f"{group}_accuracy" for group in GROUPS))
)
"""Scores that tell classes apart; percent but for kappa."""


_OPTIONAL_TEXT = ("method_title", "error", "device", "config", "variant", "metrics", "class_accuracy_last",
                  "class_accuracy_best", "synthesize_measured", "labels", "protocol_changes")  # fmt: skip


_TEXT = ("suite", "source", "method", "student", "protocol", "status", *_OPTIONAL_TEXT)


_INT = ("suite_version", "protocol_version", "method_version", "ipc", "distillation_seed", "training_seed")


COSTS = (
    "num_images", "storage_bytes", "shared_bytes", "fit_wall_s", "fit_device_s", "synthesize_wall_s",
    "synthesize_device_s", "load_s", "peak_host_bytes", "peak_device_bytes", "energy_j",
    "distill_lost_s",
)  # fmt: skip
"""What a distilled set cost; equal in all rows of one distilled set."""


_STATUSES = ("done", "failed", "skipped", "interrupted")


@dataclass(frozen=True)
class Scope:
    """What one table is about; numbers of two scopes are never averaged."""

    suite: str
    suite_version: int
    source: str
    protocol: str | None = None
    protocol_version: int | None = None
    protocol_changes: str = ""

    @property
    def title(self) -> str:
        """Return suite and protocol, for a title; many changes are cut short."""
        changed = f" [{shorten(self.protocol_changes, 48)}]" if self.protocol_changes else ""
        return self.suite if self.protocol is None else f"{self.suite}, protocol {self.protocol}{changed}"

    @property
    def caption(self) -> str:
        """Return suite, source and protocol with their versions, for a caption."""
        changed = f", with {self.protocol_changes}" if self.protocol_changes else ""
        protocol = f" Protocol {self.protocol} (version {self.protocol_version}){changed}." if self.protocol else ""
        return f"Suite {self.suite} (version {self.suite_version}); source: {self.source}.{protocol}"

    @property
    def place(self) -> str:
        """Return suite and protocol within a sentence."""
        changed = f" with {self.protocol_changes}" if self.protocol_changes else ""
        return f"on {self.suite}" + (f" (protocol {self.protocol}{changed})" if self.protocol else "")

    def columns(self) -> dict[str, Any]:
        """Return the scope as the first columns of a frame."""
        return {name: value for name, value in vars(self).items() if value not in (None, "")}


@dataclass(frozen=True)
class Outcome:
    """How a group of records ended.

    Attributes:
        status: "done", "failed", "skipped", "interrupted", or "2 of 6 failed".
        num_failed, num_skipped, num_interrupted: records that ended so.
        error: the different reasons, whole; empty where there are none.
    """

    status: str
    num_failed: int
    num_skipped: int
    num_interrupted: int
    error: str

    @property
    def text(self) -> str:
        """Return the status with the reason, shortened."""
        return f"{self.status}: {shorten(self.error)}" if self.error else self.status


def prepare(records: pd.DataFrame, *, variants: bool = False) -> pd.DataFrame:
    """Return the records with fixed types and two more columns: `done`, and `label`: the method's title and what sets its
    variants apart.

    Rows of protocols that were changed for a score (`variant`) are left out unless asked for: they are no results of
    the protocol that they are named after.

    Texts become str ("" for none), counts Int64, measurements float64 (NaN where a column is absent, as where every
    method failed). A job that stands in several runs with the same
    seeds would count twice: the last that is done stays.

    Raises:
        UserError: there are no rows, a column is missing, or a status is unknown.
    """
    if not len(records):
        raise UserError("no records to report on: the run has no row yet, neither done nor failed nor skipped")
    if "variant" not in records:
        records = records.assign(variant="")
    if not variants:
        records = records[records["variant"] == ""]
    needed = [*(c for c in _TEXT if c not in _OPTIONAL_TEXT), *_INT, "reference_row"]
    missing = [c for c in needed if c not in records.columns]
    if missing:
        raise UserError(f"records lack the columns {', '.join(missing)}; they come from harness.load_results(run)")
    frame = _typed(records)
    unknown = sorted(set(frame["status"]) - set(_STATUSES))
    if unknown:
        raise UserError(f"records have the status {unknown[0]!r}; known: {', '.join(_STATUSES)}")
    frame["done"] = frame["status"] == "done"
    frame["label"] = _labels(frame)
    return _without_repeats(frame)


def _typed(records: pd.DataFrame) -> pd.DataFrame:
    """Return the known columns with fixed types, rows numbered from 0; in few blocks, for thousands of selections."""
    absent = pd.Series([None] * len(records), dtype=object)
    columns: dict[str, Any] = {}
    for name in _TEXT:
        given = records.get(name, absent)
        texts = zip(given.isna().tolist(), given.tolist(), strict=True)
        columns[name] = pd.Series(["" if missing else str(text) for missing, text in texts], dtype=object)
    for name in _INT:
        given = records[name]
        columns[name] = given.array if given.dtype == "Int64" else pd.array(given.tolist(), dtype="Int64")
    for name in (*METRICS, *CLASS_METRICS, *COSTS, "budget_bytes", "teacher_bytes", "label_bytes"):
        given = records.get(name, absent)
        if given.dtype == object:
            given = pd.Series(given.tolist(), dtype="Float64")
        columns[name] = given.to_numpy(dtype=float, na_value=float("nan"))
    for name in ("reference_row", "random_subset"):
        given = records.get(name, absent)
        columns[name] = np.array([value is not pd.NA and bool(value) for value in given.tolist()], dtype=bool)
    return pd.DataFrame(columns)


def scopes(frame: pd.DataFrame, *, by_protocol: bool = True) -> Iterator[tuple[Scope, pd.DataFrame]]:
    """Yield the rows of every suite, version, source and (unless told otherwise) protocol, in order of appearance."""
    columns = ["suite", "suite_version", "source"] + (
        ["protocol", "protocol_version", "protocol_changes"] if by_protocol else []
    )
    for key, rows in frame.groupby(columns, sort=False, dropna=False):
        yield Scope(**dict(zip(columns, [v if isinstance(v, str) else _int(v) for v in key], strict=True))), rows  # type: ignore[arg-type]


def outcome(rows: pd.DataFrame) -> Outcome:
    """Return how these records ended, with every different reason."""
    if rows["done"].to_numpy().all():  # thousands of groups are
        return Outcome("done", 0, 0, 0, "")
    num = Counter(rows["status"])
    worst = next((status for status in _STATUSES[1:] if num[status]), "done")
    status = worst if num[worst] == len(rows) else f"{num[worst]} of {len(rows)} {worst}"
    reasons = dict.fromkeys(error for error in rows.loc[~rows["done"], "error"] if error)
    return Outcome(status, num["failed"], num["skipped"], num["interrupted"], "; ".join(reasons))


def spread(rows: pd.DataFrame, metric: str) -> tuple[float, float, int]:
    """Return mean, sample standard deviation (NaN for one run) and number of the finished runs' values of a metric."""
    values = rows[metric].to_numpy()[rows["done"].to_numpy()]
    values = values[~np.isnan(values)]
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values)


def summary(rows: pd.DataFrame, metric: str) -> Summary:
    """Return number, mean, spread and 95 % interval of the finished runs' values of a metric."""
    return summarise(*finished(rows, metric))


def finished(rows: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the finished runs' values of a metric, and the distillation seed of each (-1 for none)."""
    values = rows[metric].to_numpy()
    there = rows["done"].to_numpy() & ~np.isnan(values)
    return values[there], rows["distillation_seed"].to_numpy(dtype=int, na_value=-1)[there]


class RowIndex:
    """The rows of each method, test model and IPC, found without a look at all the others.

    Args:
        rows: prepared records.
        columns: those that the rows found shall have; fewer are found faster.
    """

    def __init__(self, rows: pd.DataFrame, columns: Collection[str]) -> None:
        self._rows = rows[list(columns)]
        self._at: dict[str, dict[tuple[str, int | None], list[int]]] = {}
        ipcs = [_int(ipc) for ipc in rows["ipc"]]
        for position, (label, student, ipc) in enumerate(zip(rows["label"], rows["student"], ipcs, strict=True)):
            self._at.setdefault(label, {}).setdefault((student, ipc), []).append(position)

    def rows(self, label: str, student: str, ipcs: Collection[int | None] | None = None) -> pd.DataFrame:
        """Return the rows of a method and test model, those of no test model among them, in the order of the records.

        Args:
            label: of the method.
            student: name of the test model.
            ipcs: rows of these only, None being one; None: of any.
        """
        at = self._at.get(label, {})
        keys = itertools.product((student, ""), ipcs) if ipcs is not None else [k for k in at if k[0] in (student, "")]
        positions = {position for key in keys for position in at.get(key, ())}
        return self._rows.iloc[sorted(positions)]


def students(rows: pd.DataFrame) -> list[str]:
    """Return the students in order of appearance."""
    return [s for s in dict.fromkeys(rows["student"]) if s]


def num_seeds(rows: pd.DataFrame) -> tuple[int, int]:
    """Return how many distillation and training seeds finished; reference rows count where there are no others."""
    done = rows["done"].to_numpy()
    own = done & ~rows["reference_row"].to_numpy()
    counted = own if own.any() else done
    distillation, training = (rows[f"{kind}_seed"].array[counted].dropna() for kind in ("distillation", "training"))
    return len(distillation.unique()), len(training.unique())


def seeds_text(rows: pd.DataFrame, *, short: bool = False) -> str:
    """Return "1 distillation seed and 3 training seeds"; `short`: a single distillation seed is not named."""
    distillation, training = num_seeds(rows)
    sets = f"{times(distillation, 'distillation seed')} and " if distillation > 1 or not short else ""
    return f"{sets}{times(training, 'training seed')}"


def _int(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _labels(frame: pd.DataFrame) -> pd.Series:
    """Return titles; where a method has several versions or configs, or two share a title, with what differs."""
    labels = frame["method_title"].where(frame["method_title"] != "", frame["method"])
    if frame.groupby(labels)["method"].nunique().gt(1).any():
        shared = frame.groupby(labels)["method"].transform("nunique") > 1
        labels = labels.where(~shared, labels + " (" + frame["method"] + ")")
    for _, rows in frame.groupby("method", sort=False):
        labels.loc[rows.index] += _config_suffix(rows["config"])
        if rows["method_version"].nunique() > 1:
            labels.loc[rows.index] += [f" v{v}" if v is not pd.NA else "" for v in rows["method_version"]]
    return labels


def _config_suffix(configs: pd.Series) -> pd.Series:
    """Return " [steps=25]" and the like where the configs of one method differ, else empty texts."""
    parsed = {text: json.loads(text) for text in dict.fromkeys(configs) if text}
    if len(parsed) < 2:
        return configs.map(lambda text: "")
    names = dict.fromkeys(name for config in parsed.values() for name in config)
    differing = [n for n in names if len({json.dumps(c.get(n), sort_keys=True) for c in parsed.values()}) > 1]
    suffixes = {
        text: " [" + ", ".join(f"{n}={shorten(str(config.get(n)), 24)}" for n in differing) + "]" if differing else ""
        for text, config in parsed.items()
    }
    return configs.map(lambda text: suffixes.get(text, ""))


def best_is_last(rows: pd.DataFrame) -> bool:
    """Return whether no evaluation of a student was better than its last, as where a protocol scores it once, at the end."""
    scored = rows.dropna(subset=["top1_best", "top1_last"])
    return bool(len(scored)) and bool((scored["top1_best"] == scored["top1_last"]).all())


def _without_repeats(frame: pd.DataFrame) -> pd.DataFrame:
    identity = ["suite", "suite_version", "source", "protocol", "protocol_version", "protocol_changes", "variant",
                "label", "ipc", "student", "distillation_seed", "training_seed"]  # fmt: skip
    by_worth = frame.sort_values("status", key=lambda s: s == "done", kind="stable")
    return by_worth.drop_duplicates(identity, keep="last").sort_index()
