"""Fresh images: a generative set draws new ones while a student trains, and keeps nothing of them."""

import pytest
import torch
import yaml

import harness
from harness.api.run import prepare
from harness.core.errors import UserError
from harness.core.store import Store
from harness.planning.request import make_request
from tests.helpers.support import tiny_suite_values

EPOCHS = 4


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The tiny suite with four epochs and two class groups for d3m, so that drawers are put together."""
    values = tiny_suite_values()
    values["protocol_overrides"]["idc"]["epochs"] = {"up_to": [], "above": EPOCHS}
    values["method_overrides"]["d3m"]["group_size"] = 5
    path = tmp_path_factory.mktemp("fresh") / "tiny.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def run(suite, store, **settings):
    return harness.run(methods=["d3m"], suite=suite, executor="local", store=store, settings=settings)


@pytest.fixture(scope="module")
def drawn(suite, tmp_path_factory):
    """A store with a run that keeps its set, and one that draws a new one every three epochs."""
    store = tmp_path_factory.mktemp("store")
    return store, run(suite, store), run(suite, store, **{"d3m.redraw_every": 3})


def test_new_images_are_drawn_from_the_same_tokens(drawn):
    store, kept, fresh = drawn
    assert fresh.executed["done"] == 2, "only the students: no token is learned and no set is made anew"
    before, after = harness.load_results(kept, store), harness.load_results(fresh, store)
    assert before["redraw_every"].isna().all()
    assert after["redraw_every"].tolist() == [3, 3]
    assert (after["redraw_s"] > 0).all()
    assert after["storage_bytes"].tolist() == before["storage_bytes"].tolist()
    assert after["distilled_key"].tolist() == before["distilled_key"].tolist()
    assert after["train_key"].tolist() != before["train_key"].tolist()


@pytest.fixture
def fresh_images(drawn, suite):
    """The function that the training of IPC 1 draws with, and the set that it begins with."""
    from harness.data.sets.folder import load_distilled
    from harness.jobs.clock import Clock
    from harness.jobs.train import _fresh_images

    store, _, _ = drawn
    request = make_request(
        methods=["d3m"], suite=suite, store=store, executor="local", settings={"d3m.redraw_every": 3}
    )
    resolved, plan = prepare(request)
    job = next(job for job in plan.jobs.values() if job.kind == "train" and job.spec["ipc"] == 1)
    with Clock(torch.device("cpu"), 1) as clock:
        fresh = _fresh_images(job, resolved.context, lambda *_: None, clock)
        first, _ = load_distilled(
            Store(str(store)).path("synthesize", job.deps["synthesize"][0]), resolved.context.classes, 16, ipc=1
        )
        yield fresh, first


def test_draw_0_is_the_distilled_set_and_every_other_one_is_new(fresh_images):
    fresh, first = fresh_images
    assert torch.equal(fresh(0), first)
    draws = [fresh(number) for number in range(4)]
    assert all(draw.shape == first.shape and draw.dtype == torch.uint8 for draw in draws)
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    assert torch.equal(fresh(2), draws[2]), "a draw depends on its number alone"


def test_a_student_sees_each_draw_for_its_epochs():
    from harness.training.protocols import resolve_protocol
    from harness.training.trainer import train_student

    asked = []

    class Fresh:
        every = 2

        def __call__(self, number):
            asked.append(number)
            return torch.full((4, 3, 8, 8), number, dtype=torch.uint8)

    protocol = resolve_protocol("plain", {"epochs": {"up_to": [], "above": 7}, "num_evaluations": 1})
    images, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4) % 2
    train_student(
        student="convnet1", protocol=protocol, train_images=images, train_labels=labels, test_images=images,
        test_labels=labels, num_classes=2, seed=0, fresh=Fresh(),
    )  # fmt: skip
    assert asked == [1, 2, 3], "new images before epochs 3, 5 and 7"


def test_a_pool_and_new_images_are_two_answers_to_one_question(suite, tmp_path):
    with pytest.raises(UserError, match=r"draws 2 and redraw_every 1: give one; a pool or new images"):
        run(suite, tmp_path, **{"d3m.redraw_every": 1, "d3m.draws": 2})
    assert not list(tmp_path.iterdir())


PLUGIN = """
import torch
from harness import DistilledSet, Method, register_method

@register_method("cheat")
class Cheat(Method):
    title = "new images for a budget of images"

    def redraw_every(self):
        return 1

    def synthesize(self, task, state, ipc):
        return DistilledSet({c.id: torch.zeros(ipc, 3, 16, 16) for c in task.classes})
"""


def test_a_method_that_stores_images_may_not_redraw(suite, tmp_path):
    (tmp_path / "cheat.py").write_text(PLUGIN)
    done = harness.run(
        methods=["cheat"],
        suite=suite,
        ipc=[1],
        executor="local",
        store=tmp_path / "store",
        plugins=[tmp_path / "cheat.py"],
    )
    rows = harness.load_results(done)
    assert done.exit_code == 1
    assert rows["error"].str.contains("redraw_every without `stored`").all()
