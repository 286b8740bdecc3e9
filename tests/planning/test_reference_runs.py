"""The committed reference records are those that this code would make: their keys are the keys of a plan made now."""

from pathlib import Path

import pytest

from harness.planning import resolve_data
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from harness.reporters.bundles.read import read_bundle

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
BUNDLES = sorted(path.parent for path in REFERENCE.glob("*/*/MANIFEST.json"))


class Data:
    """Images that are as the records say; a plan needs no more of them than this."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint

    def check(self) -> None:
        pass

    def fingerprint(self) -> str:
        return self._fingerprint

    def describe(self) -> str:
        return "as in the records"


def planned(folder: Path, bundle, store: Path, monkeypatch) -> dict:
    """Return, by place in the table, the training that this code plans for a committed request."""
    data = Data(bundle.about["data_fingerprint"])
    monkeypatch.setattr(resolve_data, "open_source", lambda *_: data)
    request = make_request(config=folder.parent / "requests" / f"{folder.name}.yaml", store=str(store))
    plan = make_plan(resolve(request).plan_input)
    return {place(vars(row)): plan.jobs[row.train] for row in plan.rows if row.train}


def place(row: dict) -> tuple:
    return tuple(row[name] for name in ("method", "ipc", "student", "distillation_seed", "training_seed"))


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_reference_records_are_of_this_code(folder, tmp_path, monkeypatch):
    bundle = read_bundle(folder)
    now = planned(folder, bundle, tmp_path, monkeypatch)
    kept = {place(record): record["train_key"] for record in bundle.records}
    assert kept.keys() == now.keys(), f"{folder.name}: the request asks for other rows than the records have"
    moved = sorted({where[0] for where, job in now.items() if job.key != kept[where]})
    assert not moved, (
        f"{folder.name}: the keys of {', '.join(moved)} are no longer those of the committed records: their code, options, "
        "protocol, suite or a stage's version changed. Run `make reference` again (it runs what changed), look at the "
        "tables, and commit them with the reason; or take the change back."
    )
    assert {record["status"] for record in bundle.records} == {"done"}
