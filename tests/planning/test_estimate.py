"""Planning: what a request will take, and a disk that is too small, are known before the first job."""

import shutil
from types import SimpleNamespace

import pytest
import yaml

import harness
from harness.api.run import prepare
from harness.core.errors import UserError
from harness.planning.estimate import estimate
from harness.planning.preflight import check_disk
from harness.planning.request import make_request


def expected(tiny_suite, store, **changes):
    """Estimates by stage and owner, for one method of each kind of work."""
    fields = {"methods": ["random_real", "d3m"], "suite": tiny_suite, "store": store, "executor": "local"} | changes
    return {(line.stage, line.what): line for line in estimate(*prepare(make_request(**fields)))}


def test_a_request_that_was_never_run_is_tried_where_it_can_be(tiny_suite, tmp_path):
    lines = expected(tiny_suite, tmp_path / "none", protocol="rded")
    train = lines["train", "convnet3, 16 px"]
    assert train.num_jobs == 4
    assert train.device_s > 0
    assert train.basis == "short trial on random images"
    assert lines["prior", "text_to_image, 16 px"].basis == "short trial of a few steps on random images"
    assert lines["fit", "d3m, 16 px"].device_s > 0, "by the denoiser that the trial made"
    assert lines["synthesize", "random_real, 16 px"].disk_bytes == 2 * 10 * 3 * 16 * 16
    assert not (tmp_path / "none").exists(), "planning writes nothing"


def test_earlier_records_tell_what_more_of_the_same_will_take(tiny_suite, shared_store):
    harness.run(methods=["random_real", "d3m"], suite=tiny_suite, executor="local", store=shared_store)
    again = expected(tiny_suite, shared_store)
    assert again == {}, "nothing is left to do"
    more = expected(tiny_suite, shared_store, seeds=[0, 7, 8], distill_seeds=[0, 3])
    train = more["train", "convnet3, 16 px"]
    assert train.num_jobs == 2 * 2 * 2 * 3 - 4
    assert "earlier job" in train.basis
    assert more["fit", "d3m, 16 px"].device_s > 0
    assert "other options" not in more["fit", "d3m, 16 px"].basis
    assert more["synthesize", "d3m, 16 px"].disk_bytes > 0
    other = expected(tiny_suite, shared_store, settings={"d3m.steps": 4})
    assert "trial" in other["fit", "d3m, 16 px"].basis, "records of other options tell less than a trial"


def test_records_of_another_image_size_tell_nothing(tiny_suite, tmp_path):
    """A coreset of 16 pixel digits does not say what one of photographs takes."""
    harness.run(methods=["random_real"], suite=tiny_suite, executor="local", store=tmp_path)
    larger = tmp_path / "larger.yaml"
    larger.write_text(yaml.safe_dump({"include": str(tiny_suite), "name": "larger", "image_size": 32}))
    lines = expected(larger, tmp_path, methods=["random_real"])
    assert "earlier" not in lines["synthesize", "random_real, 32 px"].basis
    assert lines["train", "convnet3, 32 px"].basis == "short trial on random images"


def test_twice_the_epochs_take_twice_as_long(tiny_suite, tmp_path, rates):
    def seconds(epochs):
        settings = {"protocol.epochs": {"up_to": [], "above": epochs}, "protocol.num_evaluations": 1}
        lines = expected(tiny_suite, tmp_path / "none", methods=["random_real"], ipc=[50], seeds=[5], settings=settings)
        return lines["train", "convnet3, 16 px"].device_s

    ten, twenty, forty = (seconds(epochs) for epochs in (10, 20, 40))
    assert (forty - twenty) / (twenty - ten) == pytest.approx(2, rel=1e-6)


def test_a_dry_run_prints_the_sum_and_what_cannot_be_foretold(tiny_suite, tmp_path, cli):
    plugin = tmp_path / "p.py"
    plugin.write_text(POOLED.format(kind="int", value=1, extra=""))
    words = ["--methods", "pooled", "--plugin", plugin, "--dry-run", "--store", tmp_path / "none"]
    code, out, _ = cli("run", "--suite", tiny_suite, *words)
    assert code == 0
    assert "short trial on random images" in out
    assert "of CPU time on" in out
    assert "no estimate for: synthesize pooled, 16 px" in out
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_found_before_the_first_job(tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match=r"20 distilled images take up to 64.0 MiB, but only 976.6 KiB are free"):
        harness.run(methods=["random_real"], suite=tiny_suite, executor="local", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


POOLED = """
import torch
from harness import DistilledSet, Method, register_method

@register_method("pooled")
class Pooled(Method):
    title = "Pooled"
    reference = "none"

    class Config(Method.Config):
        draws: {kind} = {value!r}

    {extra}

    def synthesize(self, task, state, ipc):
        return DistilledSet({{c.id: torch.zeros(ipc, 3, 16, 16) for c in task.classes}})
"""


@pytest.mark.parametrize(("kind", "value"), [("str", "x"), ("tuple[int, ...]", (3, 4)), ("int", 1000)])
def test_an_option_of_a_plugin_that_is_called_draws_is_its_own(tiny_suite, tmp_path, kind, value):
    plugin = tmp_path / "p.py"
    plugin.write_text(POOLED.format(kind=kind, value=value, extra=""))
    lines = expected(tiny_suite, tmp_path / "none", methods=["pooled"], plugins=[plugin], ipc=[2])
    assert lines["synthesize", "pooled, 16 px"].disk_bytes == 2 * 10 * 3 * 16 * 16
    resolved, plan = prepare(make_request(suite=tiny_suite, methods=["pooled"], plugins=[plugin], store=tmp_path))
    check_disk(resolved, plan)


def test_a_method_says_how_large_its_pool_is(tiny_suite, tmp_path):
    plugin = tmp_path / "p.py"
    plugin.write_text(POOLED.format(kind="int", value=1, extra="pool_size = lambda self: 5"))
    lines = expected(tiny_suite, tmp_path / "none", methods=["pooled"], plugins=[plugin], ipc=[2])
    assert lines["synthesize", "pooled, 16 px"].disk_bytes == 5 * 2 * 10 * 3 * 16 * 16
    plugin.write_text(
        POOLED.format(kind="int", value=1, extra="pool_size = lambda self: 'many'").replace("pooled", "many")
    )
    with pytest.raises(UserError, match=r"'many': pool_size\(\) returned 'many'; expected an integer of at least 1"):
        expected(tiny_suite, tmp_path / "none", methods=["many"], plugins=[plugin])


def test_a_trial_that_fails_is_no_estimate_and_ends_nothing(tiny_suite, tmp_path, cli, monkeypatch):
    def out_of_memory(*args):
        raise RuntimeError("CUDA error: out\n of memory")

    monkeypatch.setattr("harness.planning.calibrate.measure_student", out_of_memory)
    code, out, err = cli("run", "--suite", tiny_suite, "--methods", "random_real", "--store", tmp_path, "--dry-run")
    assert (code, err) == (0, "")
    assert "the trial failed: RuntimeError: CUDA error: out of memory" in " ".join(out.split())
    assert "no estimate for: train convnet3, 16 px" in " ".join(out.split())


@pytest.fixture
def rates(monkeypatch):
    """Every network takes 3 s to learn from an image and 1 s to see one; returns the names of those that were tried."""
    from harness.planning.calibrate import Rates

    tried = []

    def measure(name):
        tried.append(name)
        return Rates(3.0, 1.0)

    monkeypatch.setattr("harness.planning.calibrate.measure_student", lambda resolved, job, *_: measure(job.kind))
    monkeypatch.setattr("harness.planning.calibrate.measure_network", lambda resolved, name, *_: measure(name))
    return tried


def test_a_teacher_learns_from_all_but_its_holdout_and_is_scored_on_that(tiny_suite, tmp_path, rates):
    """Evaluations count apart: ten epochs of 60,000 images are not a hundred evaluations."""
    suite = tmp_path / "teacher.yaml"
    suite.write_text(
        yaml.safe_dump({"include": str(tiny_suite), "name": "t", "teacher": {"epochs": 10, "holdout": 0.2}})
    )
    lines = expected(suite, tmp_path / "none", methods=["herding"])
    assert lines["teacher", "convnet3, 16 px"].device_s == pytest.approx(10 * 0.8 * 1257 * 3 + 2 * 0.2 * 1257)


def test_a_training_counts_each_image_of_each_epoch_and_of_each_evaluation(tiny_suite, tmp_path, rates):
    settings = {"protocol.epochs": {"up_to": [[1, 7]], "above": 4}, "protocol.num_evaluations": 2}
    lines = expected(tiny_suite, tmp_path / "none", methods=["random_real"], settings=settings)
    seen = 7 * 10 + 4 * 20
    assert lines["train", "convnet3, 16 px"].device_s == pytest.approx(3 * seen + 2 * 2 * 540)


def test_what_changes_the_cost_of_an_image_is_tried_apart_and_once(tiny_suite, tmp_path, rates):
    """Twenty images make smaller batches than 64; five seeds change nothing."""
    batch = {"protocol.batch_size": 64}
    expected(tiny_suite, tmp_path / "a", methods=["random_real"], ipc=[1, 50], seeds=[0, 1, 2, 3, 4], settings=batch)
    assert rates == ["train", "train"], "10 images, 64"


@pytest.mark.parametrize(
    ("method", "settings", "seconds"),
    [
        ("random_real", {}, 0),
        ("herding", {}, 1257),
        ("rded", {"rded.images_per_class": 30, "rded.num_crops": 4}, 10 * 30 * 4),
        ("dm", {"dm.steps": 5, "dm.batch": 8}, 5 * 10 * (8 + 2 * 2)),
        ("dc", {"dc.iterations": 3, "dc.outer": 2, "dc.inner": 5, "dc.batch": 8},
         3 * 3 * (2 * 10 * (8 + 3 * 2) + 5 * 20)),
        ("sre2l", {"sre2l.iterations": 6}, 2 * 2 * 10 * 6),
    ],
)  # fmt: skip
def test_a_method_says_how_many_images_pass_its_networks(tiny_suite, tmp_path, rates, method, settings, seconds):
    lines = expected(tiny_suite, tmp_path / "none", methods=[method], ipc=[2], settings=settings)
    assert lines["synthesize", f"{method}, 16 px"].device_s == pytest.approx(seconds)


def test_records_of_other_images_tell_nothing_of_a_training(tiny_suite, tmp_path):
    """A teacher of 1,257 digits says nothing of one of other images: how many there were is not in its record."""
    harness.run(methods=["random_real"], suite=tiny_suite, executor="local", store=tmp_path / "s")
    again = expected(tiny_suite, tmp_path / "s", methods=["random_real"], seeds=[3])
    assert again["train", "convnet3, 16 px"].basis == "1 earlier job"
    other = expected(tiny_suite, tmp_path / "s", methods=["random_real"], validation=0.2)
    assert other["train", "convnet3, 16 px"].basis == "short trial on random images"
