"""Work that goes class by class: a killed job goes on with the class that it was at, and its progress goes on too."""

import pytest
import torch

from harness.jobs.checkpoint import FolderCheckpoint
from methods import _by_class
from methods._by_class import by_class, posteriors
from methods.d3hr import D3HR
from methods.mgd3 import MGD3

IMAGES = {"0": 3, "1": 1, "2": 2}


def run(make_task, folder, die_at=None):
    """Return the results, the classes worked on and the progress; or die in the middle of a class."""
    task, worked, told = make_task("fit", "x"), [], []
    task.checkpoint = FolderCheckpoint(folder)
    task.report = lambda stage, done, total, unit: told.append((stage, done, total, unit))

    def work(c, tell):
        worked.append(c.id)
        tell(1)
        if c.id == die_at:
            raise KeyboardInterrupt
        return torch.full((IMAGES[c.id], 2), float(c.label))

    return by_class(task, "working", IMAGES, work), worked, told


def test_a_killed_job_goes_on_with_the_class_it_was_at(make_task, tmp_path, monkeypatch):
    monkeypatch.setattr(_by_class, "SAVE_EVERY_S", 0.0)
    whole, _, _ = run(make_task, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(make_task, tmp_path / "killed", die_at="1")
    again, worked, told = run(make_task, tmp_path / "killed")

    assert worked == ["1", "2"]
    assert set(again) == set(whole) == set(IMAGES)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert [done for _, done, _, _ in told] == [0, 4, 4, 5, 6, 6]
    assert {(stage, total, unit) for stage, _, total, unit in told} == {("working", 6, "image")}


def test_short_work_leaves_no_checkpoint(make_task, tmp_path):
    run(make_task, tmp_path)
    assert not list(tmp_path.iterdir())


def test_all_images_are_encoded_in_their_order_whatever_their_number(make_task, monkeypatch):
    task = make_task("fit", "x")
    c, generator = task.classes[0], task.generator()
    whole = generator.encode_moments(task.real.images(c.id))
    monkeypatch.setattr(_by_class, "ENCODED_AT_ONCE", 7)
    parts = list(posteriors(task, generator, c))
    assert {len(mean) for mean, _ in parts[:-1]} == {7}
    for row in (0, 1):
        found = torch.cat([part[row] for part in parts])
        torch.testing.assert_close(found, whole[row], atol=1e-5, rtol=1e-5)


def test_images_of_another_size_than_the_generators_are_refused(make_task):
    task = make_task("fit", "x")
    task.image_size = 32
    with pytest.raises(ValueError, match="images of 32 pixels for a generator of 16"):
        next(posteriors(task, task.generator(), task.classes[0]))


class Few:
    """The first real images of each class only, as in a long tail."""

    def __init__(self, real, count):
        self.images = real.images
        self.num_per_class = dict.fromkeys(real.num_per_class, count)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("method", [MGD3, D3HR])
def test_classes_of_one_or_two_images_make_as_many_as_others(make_task, method, count):
    options = {"sampling_steps": 5, "guidance": 1.5} | ({"groups": 10} if method is D3HR else {})
    made, fit = method(method.Config(**options)), make_task("fit", "x")
    fit.real = Few(fit.real, count)
    for ipc in (1, 3):
        task = make_task("synthesize", "x")
        images = made.synthesize(task, made.fit(fit), ipc).check(task.classes, ipc, 16).images
        for of_class in images.values():
            assert len({image.numpy().tobytes() for image in of_class}) == ipc, "noise tells them apart"
