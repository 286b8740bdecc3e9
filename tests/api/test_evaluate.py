"""Given images are scored as a method of their own, and give the numbers of the method that made them."""

import shlex

import numpy as np
import pytest
import torch

import harness
from harness.api.run import prepare
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.execution.ray.executor import RayExecutor

NUMBERS = ["ipc", "top1_best", "top1_last", "top5_last", "num_images", "storage_bytes", "duplicates", "budget_bytes"]


@pytest.fixture(scope="module")
def made(tiny_suite, shared_store):
    """A run with a set at IPC 2 and its stored soft labels."""
    return harness.run(
        methods=["random_real"], suite=tiny_suite, protocol="rded", executor="local", store=shared_store,
        settings={"protocol.labels": "stored"},
    )  # fmt: skip


def numbers(run):
    rows = harness.load_results(run)
    assert set(rows["status"]) == {"done"}, rows["error"].tolist()
    return rows


def test_an_exported_set_has_the_numbers_of_its_method_again(made, tiny_suite, shared_store, tmp_path):
    """With the labels that were stored with it, under the same protocol, for every IPC."""
    folder = harness.export(made, method="random_real", ipc=2, to=tmp_path / "out", store=shared_store)
    again = harness.evaluate(
        folder, as_name="again", suite=tiny_suite, ipc=[1, 2], protocol="rded", labels="own", executor="local",
        store=shared_store,
    )  # fmt: skip
    ours, theirs = numbers(again), numbers(made)
    assert ours[[*NUMBERS, "label_bytes"]].equals(theirs[[*NUMBERS, "label_bytes"]])
    assert ours["method"].tolist() == ["again"] * 2


def test_under_hard_labels_too_and_beside_other_methods(made, tiny_suite, shared_store, tmp_path):
    """Through `harness export` and `harness evaluate --methods`: two rows of one table, equal but for the name."""
    folder = harness.export(made, method="random_real", ipc=2, to=tmp_path / "out", store=shared_store)
    run = harness.evaluate(
        folder, as_name="theirs", title="Their release", suite=tiny_suite, ipc=2, methods="random_real",
        executor="local", store=shared_store,
    )  # fmt: skip
    rows = numbers(run).set_index("method")
    assert rows.loc["theirs", NUMBERS].equals(rows.loc["random_real", NUMBERS])
    assert rows.loc["theirs", "given"]
    assert np.isnan(rows.loc["theirs", "synthesize_wall_s"]), "how long it took is not known"
    shown = harness.report(run)
    assert "Their release" in set(shown["leaderboard"].display["Method"])
    timing = shown["timing"].frame.set_index("method")
    assert timing.loc["theirs", "status"] == "made elsewhere"
    assert (run.folder / "images" / "theirs_ipc2_seed0.png").is_file()
    assert "theirs" not in discovery.methods, "the method is gone after the run"


def evaluate(images, tiny_suite, store, **fields):
    given = {"as_name": "mine", "suite": tiny_suite, "ipc": 1, "executor": "local", "store": store} | fields
    return harness.evaluate(images, **given)


def test_what_changes_the_images_changes_the_key_and_where_they_lie_does_not(write_folder, tiny_suite, shared_store):
    first = evaluate(write_folder(), tiny_suite, shared_store)
    moved = evaluate(write_folder(where="moved"), tiny_suite, shared_store, title="Other title")
    assert moved.executed == {"done": 0, "failed": 0, "blocked": 0, "waiting": 0, "running": 0}
    one, two = numbers(first), numbers(moved)
    assert one["distilled_key"].tolist() == two["distilled_key"].tolist()
    assert two["method_title"].tolist() == ["Other title"]
    drawn = evaluate(write_folder(where="third"), tiny_suite, shared_store, pick="random", distill_seeds=[0, 1])
    assert len({*numbers(drawn)["distilled_key"], *one["distilled_key"]}) == 3


def test_a_ray_worker_trains_on_a_set_that_only_this_machine_reads(write_folder, tiny_suite, tmp_path):
    """The set is read in this process; a worker sees the store."""
    from harness.api.evaluate import evaluation

    with evaluation(write_folder(), as_name="mine", suite=tiny_suite, store=tmp_path, executor="local") as ready:
        jobs = list(ready.plan.jobs.values())
        assert [job.runs_on_driver for job in jobs if job.kind == "synthesize"] == [True]
        assert not any(job.runs_on_driver for job in jobs if job.kind != "synthesize")
        executor = RayExecutor(ready.resolved.context)
        executor.submit(jobs[0])
        assert [outcome.ok for outcome in executor.wait(0)] == [True], "and no Ray was asked"
        assert executor.wait(0) == []
        assert any("ImportedImages" in text for plugin in ready.resolved.context.plugins for _, text in plugin.files)


COMMANDS = {
    "plain": {},
    "ipcs": {"ipc": [1, 2], "seeds": [0, 1], "students": ["convnet3"]},
    "beside": {"methods": ["random_real", "herding"], "title": "Their 'release'"},
    "picked": {"pick": "random", "distill_seeds": [0, 1], "settings": {"protocol.lr": 0.02}},
    "own labels": {"labels": "own", "protocol": "rded"},
    "order": {"class_order": "sorted"},
    "two files": {"normalised": "cifar10"},
    "float": {"normalised": "0.5/0.2", "keep_float": True, "title": "Theirs"},
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_page_prints_the_command_that_scores_the_images_again(
    case, write_folder, tensors, tiny_suite, tmp_path, cli, monkeypatch
):
    """`harness run` knows no method of that name. Typed again, the command makes the same request and the same plan."""
    from harness.api import evaluate as module
    from harness.api.run import describe_run
    from harness.reporters.page.provenance import command_line

    fields = {"seeds": [0]} | COMMANDS[case]
    given = write_folder()
    if case == "own labels":
        images, labels = (torch.from_numpy(value) for value in tensors)
        given = tmp_path / "their set.pt"
        torch.save({"images": images, "labels": labels, "soft_labels": torch.eye(10)[labels]}, given)
    if case in ("two files", "float"):
        given = [tmp_path / "images.pt", tmp_path / "their labels.pt"]
        torch.save(torch.from_numpy(tensors[0]) / 255, given[0])
        torch.save(torch.from_numpy(tensors[1]), given[1])
    with module.evaluation(
        given, as_name="mine", suite=tiny_suite, store=tmp_path / "s", **{"ipc": 1} | fields
    ) as ready:
        request, keys = ready.resolved.request, set(ready.plan.jobs)
        about = describe_run(ready.resolved, ready.plan, "first")
    command = command_line(about["request"], about["methods"])
    assert command.startswith("harness evaluate ")
    assert "mine." not in command

    plans = []
    monkeypatch.setattr(module, "prepare", lambda again: plans.append((again, prepare(again))) or plans[-1][1])
    code, _, err = cli(*shlex.split(command)[1:], "--dry-run")
    assert code == 0, err
    assert [(again, set(plan.jobs)) for again, (_, plan) in plans] == [(request, keys)]


BAD = {
    "unknown folder": (lambda root: (root / "x").mkdir(), {}, r"1 folders are not classes of the suite: x"),
    "broken image": (
        lambda root: (root / "3" / "0.png").write_bytes(b"no png"),
        {},
        r"3/0.png: not an image of a known format",
    ),
    "too many": (lambda root: None, {"ipc": 4}, r"fewer than 4 images"),
    "name": (lambda root: None, {"as_name": "RDED"}, r"--as 'RDED': expected a lower-case word"),
    "taken name": (lambda root: None, {"as_name": "minimax"}, r"--as 'minimax' is the name of an existing method"),
    "no labels": (lambda root: None, {"labels": "own"}, r"has no soft labels"),
    "pick": (lambda root: None, {"pick": "last"}, r"--pick 'last': expected first or random"),
    "normalised": (lambda root: None, {"normalised": "1,1,1/1,1,1"}, r"--normalised applies only to tensors"),
    "two kinds of labels": (
        lambda root: None,
        {"labels": "own", "settings": {"protocol.labels": "hard"}},
        r"--labels own trains with stored soft labels, but --set has protocol.labels=hard",
    ),
    "settings of the set": (lambda root: None, {"settings": {"mine.side": 8}}, r"have no options"),
    "other field": (lambda root: None, {"settings": {"protocol.lrr": 1}}, r"lrr"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_images_or_requests_are_refused_and_nothing_is_written(case, write_folder, tiny_suite, tmp_path):
    spoil, fields, told = BAD[case]
    root = write_folder()
    spoil(root)
    with pytest.raises(UserError, match=told):
        evaluate(root, tiny_suite, tmp_path / "store", **fields)
    assert not (tmp_path / "store").exists()


def test_the_command_line_says_what_it_took_and_refuses_with_exit_code_2(cli, write_folder, tiny_suite, tmp_path):
    root = write_folder(name=lambda c: f"{int(c):05d}")
    given = ("--as", "mine", "--suite", tiny_suite, "--store", tmp_path / "store")
    code, out, err = cli("evaluate", root, *given, "--ipc", "2", "--dry-run", "--verbose")
    assert code == 0, err
    assert "30 images of 10 classes; 2 of each are used (the first in byte order)" in err
    assert "00003 = 3" in err
    assert "synthesize mine ipc 2" in out
    code, out, err = cli("evaluate", tmp_path / "nowhere", *given)
    assert (code, out) == (2, "")
    assert "does not exist" in err
    assert "Traceback" not in err
    assert not (tmp_path / "store").exists()


def test_tensors_with_probabilities_train_under_rded_without_a_teacher(tensors, tiny_suite, tmp_path):
    images, labels = (torch.from_numpy(value) for value in tensors)
    soft = torch.nn.functional.one_hot(labels, 10).float() * 0.9 + 0.01
    torch.save({"images": images, "labels": labels, "soft_labels": soft}, tmp_path / "theirs.pt")
    run = evaluate(tmp_path / "theirs.pt", tiny_suite, tmp_path / "s", labels="own", protocol="rded")
    assert numbers(run)["label_bytes"].tolist() == [2 * 10 * 10]
    assert not (tmp_path / "s" / "store" / "teacher").exists()
