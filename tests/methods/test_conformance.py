"""One conformance test judges every registered method, and what a method returns is checked before it is kept."""

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.plugin import discovery
from harness.core.plugin.distilled_set import DistilledSet, repeat_to
from harness.core.plugin.method import Method
from harness.core.plugin.task import Task
from harness.testing.checks import CHECKS, DECLARED
from tests.helpers.tasks import subject

discovery.discover()
METHODS = [name for name in discovery.methods.names() if not discovery.methods.get(name).all_data]


@pytest.mark.parametrize("name", discovery.methods.names())
@pytest.mark.parametrize("check", DECLARED)
def test_a_method_declares_what_it_is_and_needs_the_public_api(check, name, make_task):
    assert CHECKS[check](subject(make_task, name)) is None


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", [check for check in CHECKS if check not in DECLARED])
def test_a_method_does_what_every_method_must(check, name, make_task):
    assert CHECKS[check](subject(make_task, name)) in (None, "not nested")


def test_a_set_is_checked_against_classes_counts_shapes_and_range():
    classes = (ClassInfo("a", 0, "a"), ClassInfo("b", 1, "b"))

    def images(**changes):
        return {"a": torch.zeros(2, 3, 4, 4), "b": torch.zeros(2, 3, 4, 4)} | changes

    checked = DistilledSet(images(a=torch.full((2, 3, 4, 4), 0.5))).check(classes, 2, 4)
    assert checked.images["a"].dtype == torch.uint8
    assert checked.images["a"].unique().tolist() == [128]
    bad = {
        "no images for class 'b'": {"a": torch.zeros(2, 3, 4, 4)},
        "unknown classes": images(c=torch.zeros(2, 3, 4, 4)),
        "3 images, expected 2": images(a=torch.zeros(3, 3, 4, 4)),
        r"shape \[2, 3, 4\]": images(a=torch.zeros(2, 3, 4)),
        "NaN": images(a=torch.full((2, 3, 4, 4), torch.nan)),
        r"expected \[0, 1\]": images(a=torch.full((2, 3, 4, 4), 2.0)),
        "expected uint8": images(a=torch.zeros(2, 3, 4, 4, dtype=torch.int64)),
    }
    for told, given in bad.items():
        with pytest.raises(ValueError, match=told):
            DistilledSet(given).check(classes, 2, 4)


def test_random_streams_differ_by_seed_kind_method_and_stage_and_repeat():
    def first(seed=0, scope=("fit", "m", "0"), stage="x"):
        task = Task((), None, 16, torch.device("cpu"), seed, scope, None)
        return torch.rand(1, generator=task.rng(stage)).item()

    values = [
        first(),
        first(seed=1),
        first(scope=("synthesize", "m", "0")),
        first(scope=("fit", "n", "0")),
        first(stage="y"),
    ]
    assert len(set(values)) == 5
    assert first() == values[0]


def test_repeating_begins_again_at_the_first():
    assert repeat_to([4, 2, 7], 2) == [4, 2]
    assert repeat_to([4, 2, 7], 5) == [4, 2, 7, 4, 2]


def test_a_method_without_synthesize_says_so():
    with pytest.raises(ValueError, match="does not implement synthesize"):
        Method().synthesize(None, None, 1)
