"""Under soft labels a random real subset runs too, unasked; and settings that a protocol does not use are told."""

import pytest
import yaml

import harness
from harness.api.evaluate import evaluation
from harness.api.run import prepare
from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.request import make_tune_request
from harness.api.tune.trial import trial_request
from harness.planning.remarks import remarks
from harness.planning.request import make_request
from harness.reporters.page.provenance import command_line
from tests.helpers.support import tiny_suite_values

SOFT = {"methods": ["herding"], "protocol": "rded", "executor": "local"}


@pytest.fixture
def planned(tiny_suite, tmp_path):
    """Plan a request; return its methods and what is said of it."""

    def plan(**fields):
        resolved, _ = prepare(make_request(**{"suite": tiny_suite, "store": tmp_path, **SOFT, **fields}))
        return [m.name for m in resolved.plan_input.methods], remarks(resolved)

    return plan


@pytest.mark.parametrize("labels", ["soft", "stored"])
def test_soft_labels_bring_the_random_subset_along_and_say_so(planned, labels):
    methods, told = planned(settings={"protocol.labels": labels})
    assert methods == ["herding", "random_real"]
    (line,) = told
    assert line.startswith("random_real is added as a reference: what soft labels achieve")
    assert "--no-reference omits it" in line


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "idc"},
        {"reference": False},
        {"methods": ["random_real", "herding"]},
        {"methods": ["all"], "reference": True},
        {"methods": ["full"]},
        {"scores": True},
    ],
    ids=["hard labels", "left out", "asked for", "all", "full data", "scores"],
)
def test_nothing_is_added_where_it_is_not_wanted_or_there_already(planned, fields):
    methods, told = planned(**fields)
    asked = "scores" in fields or {"random_real", "all"} & set(fields.get("methods", ()))
    assert methods.count("random_real") == bool(asked)
    assert not told


def test_its_rows_stand_in_the_tables_of_the_run(tiny_suite, shared_store):
    run = harness.run(suite=tiny_suite, store=shared_store, ipc=[1], **SOFT)
    assert harness.load_results(run)["method"].tolist() == ["herding", "random_real"]
    board = harness.report(run)["leaderboard"]
    assert set(board.display["Method"]) == {"Herding", "Random real"}
    assert any("Random real: no distillation" in note for note in board.notes)
    hard = harness.run(suite=tiny_suite, store=shared_store, ipc=[1], methods=["random_real"], executor="local")
    assert not harness.report(hard)["leaderboard"].notes


def test_the_command_line_leaves_it_out(cli, tiny_suite, tmp_path):
    line = (
        "run",
        "--suite",
        tiny_suite,
        "--methods",
        "herding",
        "--protocol",
        "rded",
        "--store",
        tmp_path,
        "--dry-run",
    )
    assert "random_real is added as a reference" in cli(*line)[1]
    out = cli(*line, "--no-reference")[1]
    assert "random_real" not in out
    request = make_request(suite=tiny_suite, store=tmp_path, reference=False, **SOFT).model_dump(mode="json")
    assert command_line(request).endswith("--no-reference") or "--no-reference " in command_line(request)


def test_given_images_are_evaluated_as_before(tiny_suite, tmp_path, shared_store):
    harness.run(methods=["random_real"], suite=tiny_suite, executor="local", store=shared_store, ipc=[1], name="given")
    folder = harness.export("given", method="random_real", ipc=1, to=tmp_path / "out", store=shared_store)
    with evaluation(folder, as_name="theirs", suite=tiny_suite, protocol="rded", store=tmp_path / "s") as ready:
        assert [m.name for m in ready.resolved.plan_input.methods] == ["theirs"]
        about = {"theirs": {"given": True}}
        assert "reference" not in command_line(ready.resolved.request.model_dump(mode="json"), about)


def test_a_tuning_tunes_what_it_was_given_alone(tiny_suite, tmp_path):
    request = make_tune_request(methods="herding", suite=tiny_suite, protocol="rded", store=tmp_path, trials=1)
    prepared = prepare_tuning(request)
    assert [space.method for space in prepared.spaces] == ["herding"]
    assert "reference" not in prepared.same["run"], "a tuning that was begun before goes on"
    assert not trial_request(request, "herding", {}).reference


def test_a_suite_without_a_teacher_has_no_labels_for_it(tmp_path):
    """All methods bring labels of their own there."""
    values = tiny_suite_values()
    del values["teacher"]
    path, plugin = tmp_path / "tiny.yaml", tmp_path / "own.py"
    path.write_text(yaml.safe_dump(values))
    plugin.write_text(
        "from harness import Method, register_method\n\n\n@register_method('own')\nclass Own(Method):\n"
        "    title = 'Own labels'\n\n    def own_labels(self):\n        return True\n\n"
        "    def synthesize(self, task, state, ipc):\n        raise NotImplementedError\n"
    )
    request = make_request(
        suite=path, methods=["own"], plugins=[plugin], protocol="rded", store=tmp_path,
        settings={"protocol.labels": "stored"},
    )  # fmt: skip
    assert [m.name for m in prepare(request)[0].plan_input.methods] == ["own"]


@pytest.mark.parametrize(
    ("protocol", "settings", "told"),
    [
        (
            "rded",
            {"protocol.soft_loss": "gift", "protocol.temperature": 4},
            ["protocol.temperature has no effect: soft"],
        ),
        ("rded", {"protocol.temperature": 4}, []),
        ("idc", {"protocol.soft_loss": "gift"}, ["protocol.soft_loss has no effect: the labels are hard"]),
        ("idc", {"protocol.labels_kept": 0.1, "protocol.lr": 0.1}, ["protocol.labels_kept has no effect: the labels"]),
    ],
)
def test_a_setting_that_the_protocol_does_not_use_is_told(planned, protocol, settings, told):
    _, lines = planned(protocol=protocol, settings=settings, reference=False)
    assert len(lines) == len(told)
    assert all(part in line for part, line in zip(told, lines, strict=True))
