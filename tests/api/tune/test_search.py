"""Samplers find what is best, give each method equal budgets, and go on where a killed tuning stopped."""

import json
import subprocess
import sys

import pytest
from rich.console import Console

from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.run import run_tuning
from harness.api.tune.space import drawn
from harness.core.errors import UserError
from tests.helpers.support import ROOT
from tests.helpers.tunings import FakeTrials

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [0])
def test_tpe_finds_a_known_best_option_and_random_search_has_the_same_budget(tuned, request_of, seed):
    found, begun = tuned(seed=seed, trials=20)
    assert len(begun) == len(found.trials) == 20
    best = found.best["blend"]["blend.noise"]
    assert best < 0.02
    space = prepare_tuning(request_of(seed=seed, sampler="random")).spaces[0]
    by_chance = [space.default, *drawn(space, seed, 19)]
    assert len(by_chance) == 20
    assert best < min(point["blend.noise"] for point in by_chance) < 0.2


@pytest.mark.parametrize(("sampler", "num"), [pytest.param("random", 4, marks=pytest.mark.drill), ("grid", 3)])
def test_two_workers_try_what_one_tries(tuned, sampler, num):
    trials = []
    for workers in (1, 2):
        done, begun = tuned(sampler=sampler, trials=4, workers=workers, name=f"with-{workers}")
        assert len(begun) == num
        trials.append(done.trials.drop(columns="wall_s"))
    assert trials[0].equals(trials[1])
    assert trials[0].loc[0, "blend.noise"] == 0.5


def test_a_tuning_goes_on_and_may_be_longer(tuned):
    first, _ = tuned(sampler="random", trials=4)
    longer, begun = tuned(sampler="random", trials=6)
    assert longer.folder == first.folder
    assert len(begun) == 2
    assert longer.trials.head(4).equals(first.trials)
    _, begun = tuned(sampler="random", trials=6)
    assert begun == []


_SCRIPT = """
import os, pathlib, sys
from rich.console import Console
from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.request import TuneRequest
from harness.api.tune.run import run_tuning
from tests.helpers.tunings import FakeTrials

if __name__ == "__main__":
    log = pathlib.Path(sys.argv[1])
    log.with_name("driver").write_text(str(os.getpid()))
    request = TuneRequest.model_validate_json(sys.argv[2])
    run_tuning(prepare_tuning(request), Console(), FakeTrials(log, kill_at=7))
"""


@pytest.mark.drill
def test_killed_at_trial_7_and_started_again_it_has_20_trials_and_none_ran_twice(one_ray, request_of, tmp_path):
    log, request = tmp_path / "begun", request_of(trials=20)
    command = [sys.executable, "-c", _SCRIPT, log, request.model_dump_json()]
    killed = subprocess.run(command, cwd=ROOT, timeout=300, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    assert len(log.read_text().splitlines()) == 7
    done = run_tuning(prepare_tuning(request), Console(quiet=True), FakeTrials(log))
    begun = [json.loads(line) for line in log.read_text().splitlines()]
    assert list(done.trials["number"]) == list(range(20))
    assert len(begun) == 21  # the one that was cut off had no result, and was begun again
    whole = [*begun[:6], *begun[7:]]
    assert len({json.dumps(point) for point in whole}) == 20


@pytest.mark.drill
def test_asha_stops_early_what_is_worse_at_first_but_never_the_default(tuned):
    done, _ = tuned(sampler="random", trials=12, records=4)
    frame = done.trials
    assert frame.loc[0, "status"] == "done"
    stopped = frame[frame["status"] == "stopped"]
    assert len(stopped)
    assert (stopped["num_records"] < 4).all()
    assert (
        done.best["blend"]["blend.noise"]
        == frame[frame["status"] == "done"].sort_values("score")["blend.noise"].iloc[-1]
    )
    every, _ = tuned(sampler="random", trials=12, records=4, early_stopping=False)
    assert (every.trials["status"] == "done").all()


@pytest.mark.drill
def test_two_objectives_give_a_front(tuned):
    done, _ = tuned(trials=8, objectives=("accuracy", "time"))
    again, begun = tuned(trials=10, objectives=("accuracy", "time"))
    assert len(begun) == 2
    assert len(done.tables["pareto"].frame) >= 1
    assert (again.folder / "figures" / "pareto.png").exists()


class Fails:
    """Fails where there is much noise."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, method, point):
        if point["blend.noise"] > 0.6:
            raise UserError("too much noise")
        yield from self.inner(method, point)


@pytest.mark.drill
def test_a_trial_that_fails_is_told_and_does_not_end_the_tuning(one_ray, request_of, tmp_path):
    request = request_of(sampler="grid", trials=6)
    done = run_tuning(prepare_tuning(request), Console(quiet=True), Fails(FakeTrials(tmp_path / "begun")))
    failed = done.trials[done.trials["status"] == "failed"]
    assert list(failed["blend.noise"]) == [0.75, 1.0]
    assert failed["error"].str.contains("too much noise").all()
    assert failed["score"].isna().all()
    assert (done.exit_code, done.failed) == (0, 2)
    healed = run_tuning(prepare_tuning(request), Console(quiet=True), FakeTrials(tmp_path / "begun again"))
    assert len((tmp_path / "begun again").read_text().splitlines()) == 2
    assert (len(healed.trials), healed.failed) == (5, 0)


def test_what_it_leaves(tuned):
    done, _ = tuned(trials=5, methods=("blend", "random_real"))
    assert done.trials.groupby("method").size()["random_real"] == 1
    table = done.tables["tuning"].display.set_index("Method")["Remark"]
    assert table["random_real"] == "nothing to tune"
    page = done.page.read_text()
    for text in ("Tuning tiny-", "nothing to tune", "best.yaml", "data:image/"):
        assert text in page, text
    assert "http-equiv" in page
    assert {path.name for path in done.folder.iterdir()} == {
        "best.yaml", "figures", "index.html", "tables", "trials.csv", "trials.jsonl", "tuning.json",
    }  # fmt: skip
    assert {path.name for path in (done.folder / "figures").iterdir()} >= {
        "trials.png",
        "importance.png",
        "parallel_blend.png",
    }
