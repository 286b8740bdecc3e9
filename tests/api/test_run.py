"""From a request to tables, on real digits with trainings too small to be good: the engine end to end."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

import harness
from harness.core.errors import UserError
from harness.reporters.runs import find_run

PLUGIN = '''"""Mean image: the average of the class, with a little noise. The smallest plugin that learns from the data."""

import torch
from pydantic import Field

from harness import DistilledSet, Method, Task, register_method


@register_method("mean_image")
class MeanImage(Method):
    version = 1
    title = "Mean image"
    reference = "none"

    class Config(Method.Config):
        noise: float = Field(0.1, ge=0, description="std of the noise, in [0, 1]")

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        images = {}
        for c in task.classes:
            mean = task.real.images(c.id).float().mean(dim=0) / 255
            noise = torch.randn(ipc, *mean.shape, generator=task.rng(c.id)) * self.config.noise
            images[c.id] = (mean + noise).clamp(0, 1)
        return DistilledSet(images)
'''

BROKEN = """
import torch
from harness import DistilledSet, Method, register_method

def make(name, result):
    @register_method(name)
    class Broken(Method):
        title = name
        def synthesize(self, task, state, ipc):
            return result(task, ipc)

def raises(task, ipc):
    raise RuntimeError("ran out of images" + " and said so at length" * 1000)

def images(task, *shape, value=0.0):
    return DistilledSet({c.id: torch.full(shape, value) for c in task.classes})

make("raises", raises)
make("too_few", lambda task, ipc: images(task, ipc - 1, 3, 16, 16))
make("wrong_shape", lambda task, ipc: images(task, ipc, 1, 16, 16))
make("nan", lambda task, ipc: images(task, ipc, 3, 16, 16, value=float("nan")))
make("out_of_range", lambda task, ipc: images(task, ipc, 3, 16, 16, value=200.0))
make("no_set", lambda task, ipc: None)
make("leaves", lambda task, ipc: __import__("sys").exit(3))
make("odd_notes", lambda task, ipc: DistilledSet(images(task, ipc, 3, 16, 16).images, notes=(5,)))
make("wants_more", lambda task, ipc: task.generator())
"""


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory) -> Path:
    """A store of this file's own: what other files leave in the common one changes what is run here, and from which set."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def all_methods(tiny_suite, shared_store):
    """One run of every method on the tiny suite."""
    return harness.run(methods="all", suite=tiny_suite, executor="local", store=shared_store)


def test_every_method_has_a_row_for_each_ipc_student_and_seed(all_methods):
    rows = harness.load_results(all_methods)
    assert all_methods.exit_code == 0
    assert set(rows["status"]) == {"done"}
    known = {
        *[
            "full",
            "random_real",
            "herding",
            "k_center",
            "dit",
            "minimax",
            "d3m",
            "rded",
            "dm",
            "mgd3",
            "d3hr",
            "cao2",
            "ims3",
            "d4m",
            "dc",
            "dsa",
        ]
    }
    assert known <= set(rows["method"])
    distilled = rows[~rows["reference_row"]]
    assert set(distilled.groupby("method")["ipc"].apply(tuple)) == {(1, 2)}
    assert rows["top1_best"].between(0, 100).all()
    assert (rows["top1_best"] >= rows["top1_last"]).all()
    assert (distilled["num_images"] == distilled["ipc"] * 10).all()
    assert (distilled["synthesize_wall_s"] > 0).all()


def test_the_smaller_set_of_a_nested_method_shows_its_share_of_the_time(all_methods):
    rows = harness.load_results(all_methods).query("ipc.notna()").drop_duplicates(["method", "ipc"])
    how = rows.pivot(index="method", columns="ipc", values="synthesize_measured")
    nested = {"random_real", "herding", "k_center", "dit", "minimax", "d3m", "sre2l", "cda"}
    assert set(how[2]) == {"whole"}
    assert {name: text for name, text in how[1].items() if name in nested} == dict.fromkeys(nested, "share")
    assert set(how[1].drop(list(nested))) == {"whole"}
    time = rows.pivot(index="method", columns="ipc", values="synthesize_wall_s").loc[sorted(nested)]
    assert (time[1] < time[2]).all()
    assert (time[1] >= time[2] / 2).all(), "some of it does not grow with the images"


def test_storage_is_what_lies_on_disk_for_the_smaller_set_of_a_nested_method_too(all_methods):
    from pathlib import Path

    rows = harness.load_results(all_methods)
    for _, row in rows[~rows["reference_row"]].iterrows():
        images = [p for p in Path(row["image_folder"]).glob("*/*.png") if int(p.stem) < row["ipc"]]
        stored = list(Path(row["image_folder"]).glob("stored/*"))  # of a generative set, in place of its images
        assert row["storage_bytes"] == sum(p.stat().st_size for p in stored or images)
        assert pd.notna(row["shared_bytes"]) == bool(stored), "the generator that a generative set needs, apart"


def test_a_run_leaves_records_tables_sheets_and_provenance(all_methods):
    folder = all_methods.folder
    about = json.loads((folder / "run.json").read_text())
    assert about["status"] == "done"
    assert about["environment"]["packages"]["torch"]
    assert about["environment"]["git"].keys() == {"commit", "dirty"}
    assert about["methods"]["minimax"]["config"]["lambda_d"] == 0.008
    for table in ("leaderboard", "paper", "timing"):
        assert (folder / "tables" / f"{table}.md").read_text().startswith("### ")
        assert len(pd.read_csv(folder / "tables" / f"{table}.csv"))
        assert json.loads((folder / "tables" / f"{table}.json").read_text())
    sheets = {p.stem for p in (folder / "images").glob("*.png")}
    assert {f"{m}_ipc{n}_seed0" for m in ("dit", "minimax", "herding") for n in (1, 2)} <= sheets


def test_the_same_request_again_runs_nothing_and_gives_the_same_records(all_methods, tiny_suite, shared_store):
    again = harness.run(methods="all", suite=tiny_suite, executor="local", store=shared_store)
    assert again.executed["done"] == 0
    ours, theirs = (harness.load_results(run).drop(columns=["run", "cached"]) for run in (again, all_methods))
    pd.testing.assert_frame_equal(ours, theirs)


def test_more_seeds_run_only_what_is_new(all_methods, tiny_suite, shared_store):
    more = harness.run(
        methods=["random_real"], suite=tiny_suite, seeds=[0, 1], ipc=[1, 2], executor="local", store=shared_store
    )
    assert more.executed["done"] == 2
    assert len(harness.load_results(more)) == 4


def test_fresh_runs_everything_again_with_equal_accuracies(all_methods, tiny_suite, shared_store):
    request = {"methods": ["random_real"], "suite": tiny_suite, "executor": "local", "store": shared_store}
    fresh = harness.run(**request, fresh=True)
    assert fresh.executed["done"] == 3
    old = harness.load_results(all_methods).query("method == 'random_real'")
    assert list(harness.load_results(fresh)["top1_last"]) == list(old["top1_last"])


def test_a_25_line_plugin_runs_and_appears_in_the_tables(tiny_suite, shared_store, tmp_path):
    assert len([line for line in PLUGIN.splitlines() if line.strip()]) <= 25
    path = tmp_path / "mean_image.py"
    path.write_text(PLUGIN)
    run = harness.run(
        methods=["random_real"], suite=tiny_suite, plugins=[path], settings={"mean_image.noise": 0.2},
        executor="local", store=shared_store,
    )  # fmt: skip
    rows = harness.load_results(run).query("method == 'mean_image'")
    assert list(rows["status"]) == ["done", "done"]
    assert json.loads(rows["config"].iloc[0]) == {"noise": 0.2}
    assert "Mean image" in (run.folder / "tables" / "leaderboard.md").read_text()


def test_a_failed_method_keeps_its_row_and_the_others_finish(tiny_suite, shared_store, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    run = harness.run(
        methods=["random_real"], suite=tiny_suite, plugins=[path], ipc=[2], executor="local", store=shared_store
    )
    rows = harness.load_results(run).set_index("method")
    assert run.exit_code == 1
    assert rows.loc["random_real", "status"] == "done"
    told = {
        "raises": "ran out of images",
        "too_few": "1 images, expected 2",
        "wrong_shape": "shape [2, 1, 16, 16], expected [2, 3, 16, 16]",
        "nan": "NaN",
        "out_of_range": "expected [0, 1]",
        "no_set": "expected a harness.DistilledSet",
        "leaves": "SystemExit: 3",
        "odd_notes": "expected a tuple of strings",
        "wants_more": "without declaring it",
    }
    for method, text in told.items():
        assert rows.loc[method, "status"] == "failed"
        assert text in rows.loc[method, "error"]
    assert rows["error"].str.len().max() <= 2100
    assert (run.folder / "errors" / "synthesize_raises_ipc_2_seed_0.txt").stat().st_size > 20_000
    leaderboard = (run.folder / "tables" / "leaderboard.md").read_text()
    assert "ran out of images" in leaderboard
    assert "RuntimeError" in (run.folder / "errors" / "synthesize_raises_ipc_2_seed_0.txt").read_text()


def test_a_method_that_the_suite_cannot_serve_is_skipped_with_the_reason(tiny_suite, shared_store, tmp_path):
    values = yaml.safe_load(tiny_suite.read_text())
    values["generators"] = {}
    suite = tmp_path / "bare.yaml"
    suite.write_text(yaml.safe_dump(values))
    run = harness.run(methods=["dit", "random_real"], suite=suite, executor="local", store=shared_store)
    rows = harness.load_results(run).set_index("method")
    assert set(rows.loc["dit", "status"]) == {"skipped"}
    assert "class_conditional_generator" in rows.loc["dit", "error"].iloc[0]
    assert run.exit_code == 0
    alone = harness.run(methods=["dit"], suite=suite, executor="local", store=shared_store)
    assert alone.exit_code == 1, "nothing that was asked for could run"


def test_an_option_that_only_changes_speed_keeps_the_results(all_methods, tiny_suite, shared_store):
    run = harness.run(
        methods=["minimax"], suite=tiny_suite, executor="local", store=shared_store,
        settings={"minimax.checkpoint_every": 5, "minimax.sampling_batch": 3},
    )  # fmt: skip
    assert run.executed["done"] == 0


def test_epochs_of_another_ipc_change_no_key(all_methods, tiny_suite, shared_store):
    run = harness.run(
        methods=["random_real"], suite=tiny_suite, executor="local", store=shared_store,
        settings={"protocol.epochs": {"up_to": [[1, 2], [2, 3]], "above": 9}},
    )  # fmt: skip
    assert run.executed["done"] == 1


def test_two_runs_begun_in_one_second_get_two_folders(tiny_suite, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from harness.api.run import make_run_folder, prepare
    from harness.core.store import Store
    from harness.planning.request import make_request

    resolved, _ = prepare(make_request(suite=tiny_suite, methods=["full"]))
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: make_run_folder(resolved, Store(tmp_path)), range(8)))
    assert len(set(folders)) == 8


def test_a_job_on_a_remote_store_fetches_what_it_needs(tiny_suite, tmp_path):
    """A worker on another node has none of the artefacts that the driver made."""
    import shutil

    from harness.api.run import prepare
    from harness.core.store import Store
    from harness.jobs.execute import execute
    from harness.planning.request import make_request

    uri = f"memory://worker-{tmp_path.name}"
    resolved, plan = prepare(
        make_request(suite=tiny_suite, methods=["random_real"], ipc=[1], executor="local", store=uri)
    )
    for job in plan.jobs.values():
        shutil.rmtree(Store(uri).root, ignore_errors=True)
        outcome = execute(job, resolved.context, lambda *_: None)
        assert outcome.ok, outcome.trace
    shutil.rmtree(Store(uri).root)


def test_an_unusable_teacher_fails_what_needs_it_and_names_the_classes(tiny_suite, shared_store, tmp_path):
    values = yaml.safe_load(tiny_suite.read_text())
    values["teacher"] |= {"min_share": 1.0}
    values["full_accuracy"] = 100.0
    suite = tmp_path / "strict.yaml"
    suite.write_text(yaml.safe_dump(values))
    run = harness.run(methods=["herding", "random_real"], suite=suite, ipc=[1], executor="local", store=shared_store)
    rows = harness.load_results(run).set_index("method")
    assert rows.loc["random_real", "status"] == "done"
    assert "required: at least 100.0 %" in rows.loc["herding", "error"]
    assert "(in " not in rows.loc["herding", "error"]
    assert rows.loc["herding", "cause"] == "teacher convnet3"
    assert rows.loc["random_real", "cause"] == ""
    assert run.causes["train herding ipc 1 set 0 convnet3 seed 0"] == "teacher convnet3"
    assert [line.split(":")[0] for line in run.failures()] == ["teacher convnet3"]


def test_runs_are_found_by_name_by_folder_and_newest_first(all_methods, shared_store, tmp_path):
    assert find_run(all_methods.name, shared_store) == all_methods.folder
    assert find_run(all_methods.folder) == all_methods.folder
    assert find_run(None, shared_store).parent == all_methods.folder.parent
    with pytest.raises(UserError, match="no finished run"):
        find_run(None, tmp_path)
    with pytest.raises(UserError, match="Did you mean"):
        find_run(all_methods.name[:-1], shared_store)


def test_a_name_that_exists_is_refused(all_methods, tiny_suite, shared_store):
    with pytest.raises(UserError, match="exists in"):
        harness.run(methods=["full"], suite=tiny_suite, store=shared_store, name=all_methods.name, executor="local")
