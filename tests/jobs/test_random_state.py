"""Random numbers from outside `task.rng` are noticed while a method works, and noted in the record."""

import builtins
import random

import numpy as np
import pytest
import torch

import harness
from harness.jobs.random_state import RandomWatch

PLUGIN = """
import random
import numpy as np
import torch
from harness import DistilledSet, Method, register_method


@register_method("careless")
class Careless(Method):
    title = "Careless"

    def fit(self, task):
        {fit}
        return {{"done": 1}}

    def synthesize(self, task, state, ipc):
        {synthesize}
        return DistilledSet({{c.id: task.real.images(c.id)[:ipc] for c in task.classes}})
"""
SHORT = {"protocol.epochs": {"up_to": [], "above": 1}}


def _notes(tmp_path, tiny_suite, store, fit, synthesize):
    path = tmp_path / "careless.py"
    path.write_text(PLUGIN.format(fit=fit, synthesize=synthesize))
    run = harness.run(
        methods=["careless"], suite=tiny_suite, ipc=[1], seeds=[0], plugins=[path], settings=SHORT,
        executor="local", store=store, name=f"careless-{tmp_path.name}",
    )  # fmt: skip
    (record,) = harness.load_results(run).to_dict("records")
    assert record["status"] == "done"
    return record["notes"]


def test_the_record_notes_random_numbers_from_outside_the_task(tmp_path, tiny_suite, shared_store, capsys):
    notes = _notes(tmp_path, tiny_suite, shared_store, "torch.randperm(3)", "np.random.rand(2), random.random()")
    assert "warning: careless: fit drew random numbers from torch outside task.rng" in capsys.readouterr().err
    assert "fit drew random numbers from torch outside task.rng" in notes
    assert "synthesize drew random numbers from NumPy and Python's random outside task.rng" in notes


def test_streams_of_the_task_and_generators_of_ones_own_are_no_fault(tmp_path, tiny_suite, shared_store):
    own = 'torch.rand(1, generator=task.rng("x")), np.random.default_rng(0).random(), random.Random(0).random()'
    assert _notes(tmp_path, tiny_suite, shared_store, own, own) == ""


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: np.random.rand(1), random.random])  # noqa: NPY002
def test_what_the_harness_draws_itself_is_left_out(draw):
    with RandomWatch() as watch, watch.allowed():
        draw()
    assert watch.notes("fit") == []
    with watch:
        draw()
        with watch.allowed():
            draw()
    assert len(watch.notes("fit")) == 1


def test_what_a_module_draws_while_it_is_imported_is_left_out(tmp_path, monkeypatch):
    """scikit-learn's clustering does so, in the first job of a process that uses it."""
    for name in ("draws_at_import", "imported_within"):
        (tmp_path / f"{name}.py").write_text("import random\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    imports, watch = builtins.__import__, RandomWatch()
    with watch:
        import draws_at_import

        assert draws_at_import.random is random
        state = torch.get_rng_state()
        with torch.random.fork_rng():
            torch.rand(1)
            import imported_within

        assert imported_within.random is random
        assert torch.equal(torch.get_rng_state(), state)
    assert watch.notes("synthesize") == []
    assert builtins.__import__ is imports
    with watch:
        import draws_at_import

        draws_at_import.random.random()
    assert watch.notes("synthesize") != []
