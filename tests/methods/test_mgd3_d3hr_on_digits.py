"""What mgd3 and d3hr do to real digits, with one generator that is trained in seconds for both."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from harness.core.config.generator import PriorTraining
from harness.core.plugin.task import Task
from harness.data.real import RealImages
from harness.diffusion.prior import train_class_conditional
from harness.jobs.context import open_split
from harness.jobs.task_resources import load_generator
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from methods._ddim import Ddim
from methods.d3hr import D3HR, group_scores
from methods.dit import DiT
from methods.mgd3 import MGD3, modes

pytestmark = pytest.mark.drill  # they train a generator
SMALL = {
    "vae_channels": (16, 32, 32),
    "vae_steps": 150,
    "hidden_size": 96,
    "depth": 3,
    "num_heads": 3,
    "dit_steps": 400,
}
IPC = 10


@pytest.fixture(scope="module")
def make_task(tmp_path_factory):
    """Tasks of the first five digits, whose generator is small but knows them."""
    context, folder = resolve(make_request(suite="digits", device="cpu")).context, tmp_path_factory.mktemp("prior")
    split, threads = open_split(context, "train"), torch.get_num_threads()
    torch.set_num_threads(1)
    train_class_conditional(
        *split.tensors(size=16, crop="adm"), spec=PriorTraining(**SMALL), class_names=[c.id for c in context.classes],
        out_folder=folder / "pipeline", device="cpu",
    )  # fmt: skip

    class Services:
        def generator(self, kind="class_conditional"):
            return load_generator(context, kind, folder)

    def make(kind, name):
        classes = context.classes[:5]
        real = RealImages(split.restrict([c.id for c in classes]), size=16, device="cpu")
        return Task(classes, real, 16, torch.device("cpu"), 0, (kind, name, classes[0].id), Services())

    yield make
    torch.set_num_threads(threads)


def made(make_task, method, name):
    state = method.fit(make_task("fit", name))
    return method.synthesize(make_task("synthesize", name), state, IPC).images, state


def recognised(images, task):
    """Share of images whose nearest real image is of their class: right for 98 % of real test digits."""
    real, labels = task.real.tensors()
    right = [
        labels[torch.cdist(images[c.id].flatten(1).float(), real.flatten(1).float()).argmin(dim=1)] == c.label
        for c in task.classes
    ]
    return torch.cat(right).float().mean().item()


def test_mgd3s_images_lie_nearer_to_their_modes_than_those_of_plain_sampling(make_task):
    """Also where plain images may each choose the mode that suits them all best."""
    options = {"guidance": 1.5, "sampling_steps": 30}
    led, state = made(make_task, MGD3(MGD3.Config(**options, stop_t=0, mode_guidance=0.2)), "mgd3")
    plain, _ = made(make_task, DiT(DiT.Config(**options)), "dit")
    task, distance = make_task("synthesize", "mgd3"), {"led": 0.0, "plain": 0.0, "plain at best": 0.0}
    for c in task.classes:
        modes_KD = modes(state[c.id], IPC).flatten(1)
        to_modes = [
            torch.cdist(task.generator().encode_moments(images[c.id])[0].flatten(1), modes_KD)
            for images in (led, plain)
        ]
        distance["led"] += to_modes[0].diag().mean().item() / 5
        distance["plain"] += to_modes[1].diag().mean().item() / 5
        distance["plain at best"] += to_modes[1][linear_sum_assignment(to_modes[1])].mean().item() / 5
    assert distance["led"] < 0.7 * distance["plain"]
    assert distance["led"] < 0.9 * distance["plain at best"]
    assert recognised(led, task) >= 0.8


def test_d3hrs_groups_beat_random_ones_and_its_images_are_digits(make_task, monkeypatch):
    starts, sample = [], Ddim.sample
    monkeypatch.setattr(Ddim, "sample", lambda self, p, x, start: starts.append(x) or sample(self, p, x, start))
    method = D3HR(D3HR.Config(guidance=1.5, sampling_steps=20, groups=1000))
    images, state = made(make_task, method, "d3hr")
    for chosen, (mean, variance) in zip(starts, (s.flatten(1) for s in state.values()), strict=True):
        noise = torch.randn(300, IPC, len(mean), generator=torch.Generator().manual_seed(0))
        random = group_scores(noise * variance.sqrt() + mean, mean, variance.sqrt(), 0.1)
        score = group_scores(chosen.flatten(1)[None], mean, variance.sqrt(), 0.1).item()
        assert score < random.mean() - 2.3 * random.std()
    assert recognised(images, make_task("synthesize", "d3hr")) >= 0.8, "chance: 0.1"
