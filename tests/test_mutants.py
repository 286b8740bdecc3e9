"""The mutations of `make mutants` can still be made, and its script tells killed ones from survivors."""

from pathlib import Path

import pytest

from tests import mutants
from tests.mutations import MUTATIONS
from tests.mutations.kind import Mutation

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_mutation_can_be_made_and_its_tests_are_there(mutation):
    """Move its text or its tests, and the table must move with them."""
    assert mutants.mutated((ROOT / mutation.file).read_text(), mutation) != (ROOT / mutation.file).read_text()
    for test in mutation.tests.split():
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text()  # a case of it stands in brackets


def test_there_are_many_and_each_has_a_name_of_its_own():
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS) >= 100


@pytest.fixture
def project(tmp_path):
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n\n\ndef one():\n    return 1\n")
    (tmp_path / "test_sums.py").write_text("import sums\n\n\ndef test_two():\n    assert sums.add(1, 1) == 2\n")
    return tmp_path


def kinds():
    return [
        Mutation("subtracts", "sums.py", "a + b", "a - b", "test_sums.py"),
        Mutation("multiplies two", "sums.py", "return 1", "return 2", "test_sums.py"),
        Mutation("is gone", "sums.py", "a / b", "a", "test_sums.py"),
    ]


def test_killed_ones_survivors_and_lost_ones_are_told_apart(project, capsys):
    before = (project / "sums.py").read_text()
    assert mutants.main(["--jobs", "1"], project, kinds()) == 2
    killed, survived, lost, last = capsys.readouterr().out.splitlines()
    assert killed.startswith("killed")
    assert killed.endswith("test_sums.py::test_two")
    assert survived.startswith("SURVIVED")
    assert "its text stands 0 times in sums.py, expected once" in lost
    assert last.startswith("1 killed, 1 SURVIVED, 1 BROKEN")
    assert (project / "sums.py").read_text() == before, "mistakes are made in a copy"


def test_the_exit_code_says_whether_one_survived(project, capsys):
    assert mutants.main(["--only", "subtracts"], project, kinds()) == 0
    assert mutants.main(["--only", "multiplies"], project, kinds()) == 1
    assert mutants.main(["--only", "nothing like it"], project, kinds()) == 2
    assert "--list names them all" in capsys.readouterr().out


def test_tests_that_fail_without_the_mistake_kill_nothing(project, capsys):
    (project / "test_sums.py").write_text("def test_wrong():\n    assert False\n")
    assert mutants.main(["--only", "subtracts"], project, kinds()) == 2
    assert "fails without the mistake too" in capsys.readouterr().out
