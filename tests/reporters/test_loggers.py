"""Trainings are sent to loggers when the run has ended; a logger that fails is one warning."""

import importlib.util

import pytest

import harness
from harness.core.errors import UserError
from harness.core.store import Store
from harness.reporters.loggers.base import check_loggers, loggers
from harness.reporters.loggers.send import send, trainings

SHORT = {"protocol.epochs": {"up_to": [], "above": 2}, "protocol.num_evaluations": 2}
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}


@pytest.fixture(scope="module")
def run(tiny_suite, shared_store):
    return harness.run(
        methods="random_real", suite=tiny_suite, ipc=1, settings=SHORT, executor="local", store=shared_store, name="logged",
    )  # fmt: skip


def test_a_training_has_its_options_its_curve_and_its_final_numbers(run, shared_store):
    (training,) = trainings(run.folder, Store(shared_store))
    (record,) = run.records.to_dict("records")
    assert training.name == "random_real/ipc1/convnet3/seed0-0"
    assert training.params["suite"] == "tiny"
    assert training.params["ipc"] == 1
    assert '"above": 2' in training.params["protocol.epochs"]
    assert training.final["top1_last"] == record["top1_last"]
    assert "training_seed" not in training.final
    assert [step for step, _ in training.curve] == sorted({step for step, _ in training.curve})
    assert training.curve[-1][1]["top1"] == pytest.approx(record["top1_last"])


def test_a_run_is_logged_and_a_logger_that_fails_breaks_nothing(tiny_suite, shared_store, monkeypatch, capsys):
    seen = []

    class Fake:
        def __init__(self, folder, run):
            self.run = run

        def training(self, training):
            seen.append((self.run, training.name))

        def close(self):
            return "memory"

    class Broken(Fake):
        def training(self, training):
            raise ConnectionError("the server\nis away")

    monkeypatch.setattr(loggers, "_items", {"fake": Fake, "broken": Broken})
    run = harness.run(
        methods="random_real", suite=tiny_suite, ipc=1, settings=SHORT, executor="local", store=shared_store,
        log=["broken", "fake"], name="twice",
    )  # fmt: skip
    told = capsys.readouterr().err
    assert seen == [("twice", "random_real/ipc1/convnet3/seed0-0")]
    assert (
        "warning: --log broken failed (ConnectionError: the server is away); the results of the run are complete"
        in told
    )
    assert "--log fake: 1 training in memory" in told
    assert run.exit_code == 0
    assert run.records["status"].tolist() == ["done"]


def test_an_unknown_logger_and_a_missing_package_are_told_before_the_run(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"no such logger\. Did you mean 'tensorboard'"):
        harness.run(methods="random_real", suite="digits", log="tensorbord", store=tmp_path / "s")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'distillation-harness\[wandb\]'"):
        check_loggers(["wandb"])
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", PACKAGES)
def test_the_real_package_writes(name, run, shared_store, monkeypatch):
    """Where it is not installed, the run is refused with what to install."""
    if importlib.util.find_spec(PACKAGES[name]) is None:
        with pytest.raises(UserError, match="which is not installed: pip install"):
            check_loggers([name])
        return
    for variable in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    told = []
    send(run.folder, Store(shared_store), [name], told.append)
    assert told[0].startswith(f"--log {name}: 1 training in"), told
    assert any(path.is_file() for path in (run.folder / name).rglob("*"))
