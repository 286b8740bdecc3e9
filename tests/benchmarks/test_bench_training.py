"""Speed of augmentation and of one training step. Run: pytest -o addopts= --benchmark-only tests/benchmarks.

Steps are timed on one CPU thread, with freed pages kept as in a job; torch's setting is restored after the module.
"""

from itertools import count

import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import hflip, normalize, resized_crop

from harness.core.config.protocol import Protocol
from harness.jobs import threads as job_threads
from harness.students import build_student
from harness.training import evaluation
from harness.training.augment import GREY, Augmenter, draw
from harness.training.evaluation import predict
from harness.training.together import Stack, begin
from harness.training.trainer import TrainingInput

STEPS = [
    ("convnet3", 16, 64),
    ("resnet_ap10_cifar", 16, 64),
    ("convnet6", 224, 8),
    ("resnet_ap10", 224, 8),
    ("resnet18", 224, 8),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    job_threads.keep_pages()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def some_images(num, side):
    return torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def one_by_one(images, protocol):
    """The reference's way: each image on its own, one operation after the other."""
    grey = torch.tensor(GREY).view(3, 1, 1)
    vectors = torch.eye(3)
    done = []
    for image in images:
        x = image.float() / 255
        box = RandomResizedCrop.get_params(x, list(protocol.crop_scale), list(protocol.crop_ratio))
        x = resized_crop(x, *box, list(x.shape[-2:]), antialias=False)
        x = hflip(x) if torch.rand(()) < 0.5 else x
        for i in torch.randperm(3).tolist():
            alpha = protocol.color_jitter * (2 * torch.rand(()) - 1)
            own = (x * grey).sum(0, keepdim=True)
            x = x + alpha * ((torch.zeros_like(own), own.mean(), own)[i] - x)
        x = x + (vectors @ (protocol.pca_lighting * torch.randn(3))).view(3, 1, 1)
        done.append(normalize(x, list(protocol.mean), list(protocol.std)))
    return torch.stack(done)


@pytest.mark.parametrize("way", ["batched", "one_by_one"])
@pytest.mark.parametrize("side", [16, 224])
def test_bench_augmentation(benchmark, side, way):
    benchmark.group = f"augmentation of 64 images of {side} pixels"
    protocol, images = Protocol(), some_images(64, side)
    if way == "one_by_one":
        benchmark(one_by_one, images, protocol)
        return
    augment, rng = Augmenter(protocol, torch.device("cpu")), torch.Generator().manual_seed(0)
    benchmark(lambda: augment(images, draw(protocol, 64, side, rng)))


@pytest.mark.parametrize(("student", "side", "batch"), STEPS, ids=[f"{name}@{side}" for name, side, _ in STEPS])
def test_bench_training_step(benchmark, student, side, batch):
    """Forward, backward and update on a ready batch."""
    benchmark.group = f"training step, batch {batch} of {side} pixels"
    torch.manual_seed(0)
    model = build_student(student, 10, side)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    images, labels = some_images(batch, side) / 255, torch.arange(batch) % 10

    def step():
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("way", ["as one", "one after the other"])
def test_bench_an_epoch_of_four_seeds(benchmark, way):
    """Why a CPU trains them one after the other; `make speed` has the same on a GPU."""
    benchmark.group = "an epoch of four seeds of convnet3@16, 100 images"
    images, labels = some_images(100, 16), torch.arange(100) % 10
    seeds = [
        TrainingInput("convnet3", Protocol(), images, labels, images[:10], labels[:10], 10, seed, torch.device("cpu"))
        for seed in range(4)
    ]
    epochs, runs = count(1), begin(seeds)
    if way == "as one":
        stack = Stack(runs)
        benchmark(lambda: stack.train_epoch(next(epochs)))
        return

    def each():
        epoch = next(epochs)
        for run in runs:
            run.train_epoch(epoch)

    benchmark(each)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bench_an_epoch_in_each_precision(benchmark, precision):
    """bfloat16 gains where the CPU has instructions for it (`avx512_bf16` or AMX), and loses where it has none."""
    benchmark.group = "an epoch of convnet3@32, 100 images"
    images, labels, protocol = some_images(100, 32), torch.arange(100) % 10, Protocol(precision=precision)
    one = TrainingInput("convnet3", protocol, images, labels, images[:10], labels[:10], 10, 0, torch.device("cpu"))
    (run,), epochs = begin([one]), count(1)
    benchmark(lambda: run.train_epoch(next(epochs)))


@pytest.mark.parametrize("way", ["float32", "bfloat16", "bfloat16, channels first", "bfloat16, one batch"])
def test_bench_scoring_in_each_layout(benchmark, monkeypatch, way):
    """Why bfloat16 maps are laid out channels last on a CPU, and why batches are small there."""
    benchmark.group = "scoring 1,000 images with convnet3@32"
    model, protocol = build_student("convnet3", 10, 32), Protocol(precision=way.split(",")[0])
    model.channels_last = "first" not in way
    if "one batch" in way:
        monkeypatch.setattr(evaluation, "_CPU_PIXELS", 1000 * 32 * 32)
    benchmark.pedantic(predict, (model, some_images(1000, 32), protocol), rounds=3, warmup_rounds=1)
