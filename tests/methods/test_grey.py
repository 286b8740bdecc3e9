"""Every method on a grey suite: images of one channel, the same for the same seed, with something of their class in them."""

import pytest
import torch
from PIL import Image

import harness
from harness.core.plugin import discovery
from methods._pixels import PixelScale, convnet_for
from methods.rded import centred
from tests.helpers.grey import grey_suite
from tests.helpers.support import tiny_suite_values
from tests.helpers.tasks import distil, task_maker

discovery.discover()
METHODS = [name for name in discovery.methods.names() if not discovery.methods.get(name).all_data]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The tiny digits suite with one channel and generators of its own."""
    teacher = {"student": "convnet3", "epochs": 1, "min_share": 0}
    generators = tiny_suite_values()["generators"]
    return grey_suite(tmp_path_factory.mktemp("suite"), generators=generators, teacher=teacher)


@pytest.fixture(scope="module")
def make_grey_task(suite, tmp_path_factory):
    """As `make_task`, of the grey suite."""
    return task_maker(suite, tmp_path_factory.mktemp("generator"))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_grey_images_that_repeat(name, make_grey_task):
    first, second = distil(make_grey_task, name, 2), distil(make_grey_task, name, 2)
    assert len(first) == 3
    for c, images in first.items():
        assert (images.dtype, tuple(images.shape)) == (torch.uint8, (2, 1, 16, 16))
        assert torch.equal(images, second[c])
        assert images.float().std() > 5, "not one colour"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dm", {"steps": 8, "batch": 16, "start": "noise"}),
        ("dc", {"iterations": 4, "outer": 2, "inner": 1, "batch": 16, "start": "noise", "lr": 1.0}),
        ("dsa", {"iterations": 1, "outer": 1, "inner": 0, "batch": 16, "augmentations": ["color", "crop"]}),
    ],
)
def test_grey_images_are_nearest_to_the_mean_of_their_class(name, options, make_grey_task):
    task, cls = make_grey_task("synthesize", name), discovery.methods.get(name)
    made = cls(cls.Config(**options)).synthesize(task, None, 3).check(task.classes, 3, 16, 1).images
    means_CD = torch.stack([task.real.images(c.id).float().mean(dim=0).flatten() for c in task.classes])
    drawn_CD = torch.stack([made[c.id].float().mean(dim=0).flatten() for c in task.classes])
    assert torch.corrcoef(torch.cat([drawn_CD, means_CD]))[:3, 3:].argmax(dim=1).tolist() == [0, 1, 2]


def test_a_run_of_a_grey_suite_is_grey_from_the_prior_to_the_student(suite, tmp_path):
    methods = ["dm", "dit", "rded"]
    run = harness.run(methods=methods, suite=suite, ipc=[1], executor="local", store=tmp_path)
    records = harness.load_results(run)
    assert set(records["status"]) == {"done"}
    assert set(records["method"]) == set(methods)
    made = list(tmp_path.glob("store/synthesize/**/00000.png"))
    assert len(made) == 10 * len(methods)
    for path in made:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (16, 16))


def test_normalisation_and_networks_follow_the_channels():
    grey = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    scale = PixelScale([grey])
    assert tuple(scale.mean.shape) == (1, 1, 1)
    assert scale.shares(scale.normalised(grey)).mul(255).round().to(torch.uint8).equal(grey)
    assert (convnet_for(28, 1), convnet_for(32, 3), convnet_for(20, 3), convnet_for(20, 1)) == (
        "convnet3",
        "convnet3",
        "convnet2",
        "convnet3",
    )
    image = centred(torch.full((2, 1, 2, 2), 9, dtype=torch.uint8), 4, torch.tensor([7], dtype=torch.uint8))
    assert tuple(image.shape) == (2, 1, 4, 4)
    assert image.unique().tolist() == [7, 9]
