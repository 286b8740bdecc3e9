"""A Ray for all tests of a file, the blending method, and tunings of it with trials that take no time."""

import json

import pytest
from rich.console import Console

from harness.api.tune.actors import Resources, ray_for
from harness.api.tune.prepare import prepare_tuning
from harness.api.tune.request import make_tune_request
from harness.api.tune.run import run_tuning
from tests.helpers.tunings import BLEND, FakeTrials


@pytest.fixture(scope="module")
def one_ray():
    """A Ray with two workers, which the tunings of a file share."""
    with ray_for(2, Resources()):
        yield


@pytest.fixture
def blend(tmp_path):
    """The plugin file."""
    path = tmp_path / "blend.py"
    path.write_text(BLEND)
    return path


@pytest.fixture
def request_of(tiny_suite, blend, tmp_path):
    """Return a function that makes the request of a tuning of the blending method."""

    def make(**changes):
        fields = {"methods": "blend", "suite": tiny_suite, "ipc": 1, "plugins": blend, "store": tmp_path / "store"}
        return make_tune_request(**{**fields, "device": "cpu", "final": False, **changes})

    return make


@pytest.fixture
def tuned(one_ray, request_of, tmp_path):
    """Return a function that tunes with fake trials; it returns the tuning and the points that were begun, in order."""

    def call(*, records=1, **changes):
        log = tmp_path / "begun"
        log.unlink(missing_ok=True)
        done = run_tuning(prepare_tuning(request_of(**changes)), Console(quiet=True), FakeTrials(log, records=records))
        return done, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    return call
