"""The command that repeats a run, and the citations."""

from __future__ import annotations

import shlex

import pytest
from typer.testing import CliRunner

from harness import UserError
from harness.cli import app
from harness.planning.request import make_request
from harness.reporters.page.provenance import command_line, facts

REQUESTS = {
    "defaults": {"suite": "digits"},
    "lists": {
        "suite": "digits",
        "methods": ("dit", "herding"),
        "ipc": (1, 10),
        "students": ("convnet3",),
        "seeds": (0,),
    },
    "settings": {"suite": "digits", "settings": ["dit.steps=25", "protocol.lr=0.02", "d3m.word=a 'b'"]},
    "places": {"suite": "a b.yaml", "plugins": ("x y.py", "z.py"), "store": "out $HOME", "executor": "local"},
    "budget": {
        "suite": "digits",
        "bytes": ("75KiB",),
        "scores": True,
        "fresh": True,
        "device": "cpu",
        "workers": 2,
        "retries": 0,
    },
}


@pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS)
def test_the_command_asks_for_what_the_run_was_asked_for(fields, monkeypatch):
    """Typed into the command line, it gives the same request again."""
    request = make_request(**fields)
    seen = []

    def prepare(again, **_):
        seen.append(again)
        raise UserError("that is all this test wants to know")

    monkeypatch.setattr("harness.api.run.prepare", prepare)
    CliRunner().invoke(app.app, shlex.split(command_line(request.model_dump(mode="json")))[1:])
    assert seen == [request]


def test_a_runs_name_is_no_part_of_the_command_for_it_is_taken():
    request = make_request(suite="digits", name="first")
    assert command_line(request.model_dump(mode="json")) == "harness run --suite digits"


def test_what_the_system_lost_is_a_fact_of_a_run_and_no_line_where_nothing_was():
    lost = [{"job": f"fit {n}", "reason": "node h left", "host": "h", "seconds": 30.0} for n in range(2)]
    lost += [{"job": "t", "reason": f"reason {n}", "seconds": 1.0} for n in range(6)]
    told = dict(facts({"losses": lost}))["Lost attempts"]
    assert told.startswith("8 attempts of jobs, 1m 06s: node h left (2 times); reason 0; ")
    assert told.endswith("; and 2 other reasons")
    assert "Lost attempts" not in dict(facts({"losses": []}))
