"""A trial is an ordinary run on the validation part: it never opens the test split, and equal work is never done twice."""

import pytest
from rich.console import Console

import harness
from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.request import make_tune_request
from harness.api.tune.run import run_tuning
from harness.api.tune.trial import TrialFailed, run_trial
from harness.data.sources.digits import Digits
from harness.execution import local
from harness.jobs import context
from tests.helpers.tunings import BLEND


@pytest.fixture
def only_train(monkeypatch):
    """Digits whose test split cannot be opened."""
    split = Digits.split

    def refuse(self, name):
        assert name == "train", "the test split was opened"
        return split(self, name)

    monkeypatch.setattr(Digits, "split", refuse)
    for kept in (context._open_split, context._real_tensors):  # of earlier tests of this process
        kept.cache_clear()


@pytest.fixture
def executed(monkeypatch):
    """The titles of the jobs that were run."""
    titles, execute = [], local.execute

    def noted(job, context, report):
        titles.append(job.title)
        return execute(job, context, report)

    monkeypatch.setattr(local, "execute", noted)
    return titles


def test_a_trial_reports_a_running_mean_and_opens_no_test_split(only_train, executed, request_of):
    request = request_of(seeds=(0, 1))
    reports = list(run_trial(request, "blend", {"blend.noise": 0.0}))
    assert [(one.num_records, one.of_records) for one in reports] == [(1, 2), (2, 2)]
    assert 0 <= reports[1].score <= 100
    assert set(reports[0].jobs) < set(reports[1].jobs)
    assert all(seconds > 0 for seconds in reports[1].jobs.values())
    assert executed == [
        "synthesize blend ipc 1 seed 0",
        *(f"train blend ipc 1 set 0 convnet3 seed {i}" for i in (0, 1)),
    ]
    assert list(run_trial(request, "blend", {"blend.noise": 0.0})) == reports
    assert len(executed) == 3


def test_a_trial_that_opens_the_test_split_fails(only_train, request_of):
    """The refusal above is no empty one: without a validation part the same path meets it."""
    request = request_of()
    request = request.model_copy(update={"validation": None})
    with pytest.raises((TrialFailed, AssertionError), match="the test split was opened"):
        list(run_trial(request, "blend", {"blend.noise": 0.0}))


@pytest.mark.slow
def test_a_tuning_end_to_end_compares_default_and_best_on_the_test_split(
    one_ray, request_of, blend, tmp_path, monkeypatch
):
    """Paths of the request start from the working directory, in workers too."""
    monkeypatch.chdir(tmp_path)
    blend.write_text(BLEND.replace("Field(0.5", "Field(1.0"))  # by default nothing but noise
    request = request_of(
        seeds=(0, 1, 2),
        trials=4,
        settings={"protocol.lr": 0.05},
        name="noise",
        final=True,
        executor="local",
        store="store",
        plugins="blend.py",
    )
    done = run_tuning(prepare_tuning(request), Console(quiet=True))
    line = done.tables["comparison"].frame.iloc[0]
    assert (line["method"], line["tuned_runs"], done.exit_code) == ("blend", 3, 0)
    assert line["tuned_low"] < line["tuned_percent"] < line["tuned_high"]
    assert "Default and tuned on the test split" in done.page.read_text()
    store = tmp_path / "store"
    default, tuned = (harness.load_results(f"noise-{what}", store) for what in ("default", "tuned"))
    assert set(default["source"]) == set(tuned["source"])
    assert "validation" not in default["source"].iloc[0]
    assert default["config"].iloc[0] != tuned["config"].iloc[0]
    again = harness.run(config=done.files["best.yaml"], console=Console(quiet=True), name="mine")
    assert harness.load_results(again)["cached"].all()


def test_a_request_of_a_run_has_no_place_in_a_tuning():
    with pytest.raises(harness.UserError, match="'scores' is an option of `harness run`"):
        make_tune_request(methods="dit", suite="digits", scores=True)
