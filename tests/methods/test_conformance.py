"""One conformance test judges every registered method, and what a method returns is checked before it is kept."""

import inspect
from contextlib import contextmanager

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.plugin import discovery
from harness.core.plugin.distilled_set import DistilledSet, repeat_to
from harness.core.plugin.method import TEACHER_NEEDS, Method
from harness.core.plugin.task import Task
from tests.helpers.tasks import distil, quick_config

discovery.discover()
METHODS = [name for name in discovery.methods.names() if not discovery.methods.get(name).all_data]
KNOWN_NEEDS = {"class_conditional_generator", "text_to_image_generator", *TEACHER_NEEDS}


@pytest.mark.parametrize("name", discovery.methods.names())
def test_a_method_says_what_it_is(name):
    cls = discovery.methods.get(name)
    assert cls.title
    assert cls.reference
    assert cls.version >= 1
    assert set(cls.needs) <= KNOWN_NEEDS
    assert all(field.description for field in cls.Config.model_fields.values())
    assert inspect.getdoc(sys_module(cls)), "a method file opens by saying what it does"


@pytest.mark.parametrize("name", discovery.methods.names())
def test_a_method_imports_the_public_api_only(name):
    import ast

    tree = ast.parse(inspect.getsource(sys_module(discovery.methods.get(name))))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("harness."), f"line {node.lineno}: import from harness itself"
        if isinstance(node, ast.Import):
            assert not [a.name for a in node.names if a.name.startswith("harness.")]


def sys_module(cls):
    import sys

    return sys.modules[cls.__module__]


@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_give_equal_images_and_torchs_own_generator_is_left_alone(name, make_task):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = distil(make_task, name, 2)
    assert torch.equal(torch.get_rng_state(), before), "draw from task.rng(stage) instead"
    torch.manual_seed(8)
    second = distil(make_task, name, 2)
    assert all(torch.equal(first[c], second[c]) for c in first)


@pytest.mark.parametrize("name", METHODS)
def test_a_nested_method_makes_the_smaller_set_the_head_of_the_larger(name, make_task):
    small, large = distil(make_task, name, 1), distil(make_task, name, 3)
    assert all(len(images) == 3 for images in large.values())
    cls = discovery.methods.get(name)
    allowed = 3 if any(need.endswith("_generator") for need in cls.needs) else 0
    if cls.nested:
        for c in small:
            difference = (small[c].int() - large[c][:1].int()).abs().max()
            assert difference <= allowed, "a generator's other batch size may round a few grey levels, no more"


NESTED = [name for name in METHODS if discovery.methods.get(name).nested]


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_method_says_what_grows_with_the_images(name, make_task):
    """Else the time of IPC 10 would be that of its largest set."""
    marked = []

    @contextmanager
    def per_image():
        marked.append("begin")
        yield
        marked.append("end")

    cls = discovery.methods.get(name)
    method, task = cls(quick_config(cls)), make_task("synthesize", name)
    task.per_image = per_image
    if "features" in cls.needs:  # those of all real images cost the same at every IPC
        task.features = lambda *args: lambda images: marked.append("features") or images.flatten(1).float()
    method.synthesize(task, method.fit(make_task("fit", name)), 1)
    assert marked[-2:] == ["begin", "end"]
    assert all(marked[place - 1] != "begin" for place, word in enumerate(marked) if word == "features" and place)


@pytest.mark.parametrize("name", METHODS)
def test_more_images_than_the_class_has_are_filled_up_and_counted(name, make_task):
    task = make_task("synthesize", name)
    count = max(task.real.num_per_class.values()) + 1
    if any(need.endswith("_generator") for need in discovery.methods.get(name).needs):
        count = 3  # a generator never runs out
    made = DistilledSet(distil(make_task, name, count))
    assert all(len(images) == count for images in made.images.values())
    for c in task.classes:
        real = {image.numpy().tobytes() for image in task.real.images(c.id)}
        if count > 3 and all(image.numpy().tobytes() in real for image in made.images[c.id]):
            assert c.id in made.duplicates(), "real images as they are: one of them must be there twice"


def test_a_set_is_checked_against_classes_counts_shapes_and_range():
    classes = (ClassInfo("a", 0, "a"), ClassInfo("b", 1, "b"))

    def images(**changes):
        return {"a": torch.zeros(2, 3, 4, 4), "b": torch.zeros(2, 3, 4, 4)} | changes

    checked = DistilledSet(images(a=torch.full((2, 3, 4, 4), 0.5))).check(classes, 2, 4)
    assert checked.images["a"].dtype == torch.uint8
    assert checked.images["a"].unique().tolist() == [128]
    bad = {
        "no images for class 'b'": {"a": torch.zeros(2, 3, 4, 4)},
        "classes that the task does not have": images(c=torch.zeros(2, 3, 4, 4)),
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
    with pytest.raises(ValueError, match="has no synthesize"):
        Method().synthesize(None, None, 1)
