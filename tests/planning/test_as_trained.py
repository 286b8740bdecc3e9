"""A record tells of the set that its student saw, though another run made it; what is there is not made again."""

import shutil

import pytest

import harness
from harness.api.run import prepare
from harness.planning.request import make_request


def ran(tiny_suite, store, **changes):
    """Run the nested random subset; return the run, its rows by IPC, and how many jobs ran."""
    fields = {"methods": ["random_real"], "suite": tiny_suite, "store": store, "executor": "local"} | changes
    run = harness.run(**fields)
    assert run.exit_code == 0, run.errors
    return harness.load_results(run).sort_values(["ipc", "training_seed"]), run.executed["done"]


def keys(rows, ipc, column="distilled_key"):
    return set(rows.loc[rows["ipc"] == ipc, column])


def sets(store):
    return {path.name for path in (store / "store" / "synthesize").iterdir() if not path.name.startswith(".")}


def test_a_larger_ipc_asked_for_later_trains_what_is_new_only(tiny_suite, tmp_path):
    first, num = ran(tiny_suite, tmp_path, ipc=[1])
    assert num == 2
    both, num = ran(tiny_suite, tmp_path, ipc=[1, 2], seeds=[0, 1])
    assert num == 1 + 3, "the larger set, two students of it, and one more of the smaller set"
    assert keys(both, 1) == keys(first, 1) != keys(both, 2), "all students of IPC 1 saw the same files"
    assert set(first["train_key"]) < set(both["train_key"])
    assert both["cached"].tolist() == [True, False, False, False]
    assert both["synthesize_wall_s"].notna().all()
    assert both["synthesized_ipc"].tolist() == [1, 1, 2, 2]


def test_a_smaller_ipc_asked_for_later_runs_nothing(tiny_suite, tmp_path):
    both, _ = ran(tiny_suite, tmp_path, ipc=[1, 2])
    small, num = ran(tiny_suite, tmp_path, ipc=[1])
    assert num == 0
    assert len(sets(tmp_path)) == 1, "no set is made for the record alone"
    assert keys(small, 1) == keys(both, 1)
    for column in ("top1_best", "storage_bytes", "image_folder", "synthesized_ipc"):
        assert keys(small, 1, column) == keys(both, 1, column)


def test_a_set_that_is_gone_is_made_again_for_its_record(tiny_suite, tmp_path):
    both, _ = ran(tiny_suite, tmp_path, ipc=[1, 2])
    shutil.rmtree(tmp_path / "store" / "synthesize")
    small, num = ran(tiny_suite, tmp_path, ipc=[1])
    assert num == 1, "students are there; the set was asked for"
    assert keys(small, 1) == sets(tmp_path) != keys(both, 1)
    assert keys(small, 1, "top1_best") == keys(both, 1, "top1_best")


def test_stored_labels_of_a_smaller_set_are_those_that_the_student_learned(tiny_suite, tmp_path):
    stored = {"protocol": "rded", "settings": {"protocol.labels": "stored"}}
    first, _ = ran(tiny_suite, tmp_path, ipc=[1], **stored)
    both, num = ran(tiny_suite, tmp_path, ipc=[1, 2], **stored)
    assert num == 3, "a set, its labels, and a student"
    assert keys(both, 1, "label_key") == keys(first, 1, "label_key") != keys(both, 2, "label_key")
    small, num = ran(tiny_suite, tmp_path, ipc=[2], **stored)
    assert num == 0
    assert keys(small, 2, "label_key") == keys(both, 2, "label_key")


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_run_makes_everything_itself(tiny_suite, tmp_path, fresh):
    ran(tiny_suite, tmp_path, ipc=[1])
    request = make_request(
        methods=["random_real"], suite=tiny_suite, ipc=[1, 2], store=tmp_path, executor="local", fresh=fresh
    )
    _, plan = prepare(request)
    made = {row.ipc: row.synthesize for row in plan.rows}
    assert (made[1] == made[2]) == fresh
    seen: set[str] = set()
    for key, job in plan.jobs.items():
        assert set(job.dependencies()) <= seen
        seen.add(key)
