"""Real images that do not fit in memory, beside torchvision's ImageFolder and DataLoader, and the memory they take.

Run by `make bench`. 20,000 JPEGs of about 224 to 300 pixels are made in a temporary folder, some minutes; each way runs in a
process of its own, with two workers, and says how long an epoch of batches took and what its memory peaked at.
"""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

NUM = int(os.environ.get("BENCH_IMAGES", "20000"))
CLASSES, SIDE, BATCH, WORKERS = 10, 224, 64, 2

OURS = """
import json, os, sys, time
from pathlib import Path
import torch
from harness.data.decoded import DecodedFile
from harness.data.rows import FileRows
from harness.data.sources.base import open_source
from harness.jobs import threads

root, side, batch, classes, workers = json.loads(sys.argv[1])
threads.keep_pages()
threads.set_threads(workers)
split = open_source({"kind": "image_folder", "root": "set"}, tuple(classes), Path(root)).split("train")
times = []
for epoch in range(3):
    start = time.perf_counter()
    file = DecodedFile.of(split, "train", "0", size=side, crop="resize")
    file.make()
    rows = FileRows(file.path, file.shape, len(file.header), "cpu")
    seen = sum(len(images) for images in rows.batches(torch.randperm(len(rows)), batch))
    times.append(seen / (time.perf_counter() - start))
"""

THEIRS = """
import json, sys, time
import torch
from torchvision import transforms
from torchvision.datasets import ImageFolder

root, side, batch, classes, workers = json.loads(sys.argv[1])
torch.set_num_threads(workers)
steps = [transforms.Resize(side), transforms.CenterCrop(side), transforms.PILToTensor()]
data = ImageFolder(root + "/set/train", transforms.Compose(steps))
loader = torch.utils.data.DataLoader(data, batch, shuffle=True, num_workers=workers, persistent_workers=True)
times = []
for epoch in range(2):
    start = time.perf_counter()
    seen = sum(len(images) for images, _ in loader)
    times.append(seen / (time.perf_counter() - start))
"""

TOLD = """
memory = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([times, int(memory) / 1e6]))
"""

FLAT = """
from torch import nn
from harness.students import register_student

@register_student("flat")
class Flat(nn.Module):
    def __init__(self, spec, num_classes, side):
        super().__init__()
        self.pool, self.head = nn.AvgPool2d(side // 8), nn.Linear(3 * 8 * 8, num_classes)

    def features(self, images):
        return self.pool(images).flatten(1)

    def forward(self, images):
        return self.head(self.features(images))
"""

TRAINED = """
import json, sys
from pathlib import Path
from harness.api.run import prepare
from harness.jobs.execute import execute
from harness.planning.real_images import host_memory
from harness.planning.request import make_request

root, side, batch, classes, workers = json.loads(sys.argv[1])
Path(root, "classes.txt").write_text("".join(f"{c} class {c}\\n" for c in classes))
Path(root, "photos.yaml").write_text(json.dumps({
    "name": "photos", "version": 1, "source": {"kind": "image_folder", "root": "set"}, "classes": "classes.txt",
    "image_size": side, "budget": {"ipc": [1]}, "protocol": "plain", "students": ["flat"],
    "resources": {"train": {"cpus": workers}},
}))
settings = {"protocol.epochs": {"up_to": [], "above": 2}, "protocol.num_evaluations": 1, "protocol.lr": 0.001}
request = make_request(
    suite=Path(root, "photos.yaml"), methods=["full"], data_root=root, store=Path(root, "store"), device="cpu",
    executor="local", seeds=[0], plugins=[Path(root, "flat.py")], settings=settings,
)
resolved, plan = prepare(request)
job, = plan.jobs.values()
stated = host_memory(resolved, job) / 1e9
outcome = execute(job, resolved.context, lambda *_: None)
assert outcome.ok, outcome.trace
times = stated
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A data root with JPEGs of noise on gradients, quality 90: about 30 kB each."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    noise = rng.integers(-24, 25, (600, 600, 3))

    def make(number):
        own = np.random.default_rng(number)
        height, width = own.integers(224, 301, 2)
        top, left = own.integers(0, 300, 2)
        ramp = (
            np.linspace(0, own.uniform(60, 200), height)[:, None, None]
            + np.linspace(0, own.uniform(0, 50), width)[:, None]
        )
        image = np.clip(ramp * own.uniform(0.3, 1, 3) + noise[top : top + height, left : left + width] + 24, 0, 255)
        path = root / "set" / ("val" if number >= NUM else "train") / f"n{number % CLASSES}" / f"{number:06d}.jpg"
        Image.fromarray(image.astype(np.uint8)).save(path, quality=90)

    (root / "flat.py").write_text(FLAT)
    for split in ("train", "val"):
        for c in range(CLASSES):
            (root / "set" / split / f"n{c}").mkdir(parents=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(make, range(NUM + 10 * CLASSES)))
    yield root
    shutil.rmtree(root)  # 7 GB


def measured(code, given, folder):
    """Run code in a process of its own; return images/s of each epoch and the peak memory in GB."""
    env = os.environ | {"HARNESS_CACHE": str(folder / "cache"), "HARNESS_IMAGES_IN_MEMORY_GB": "0.5"}
    done = subprocess.run(
        [sys.executable, "-c", code + TOLD, json.dumps(given)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_streaming_beside_image_folder(benchmark, photos):
    """Images/s at two workers: the first epoch, in which we decode and write, and later ones; peak memory."""
    classes = [f"n{c}" for c in range(CLASSES)]
    given = [str(photos), SIDE, BATCH, classes, WORKERS]
    theirs, their_gb = measured(THEIRS, given, photos)
    ours, our_gb = benchmark.pedantic(measured, (OURS, given, photos), rounds=1)
    first, later = ours[0] / theirs[0], min(ours[1:]) / theirs[1]
    benchmark.extra_info.update(ours=ours, theirs=theirs, first=first, later=later, our_gb=our_gb, their_gb=their_gb)
    print(
        f"\nimages/s of ours / ImageFolder + DataLoader({WORKERS}): first epoch {ours[0]:,.0f} / {theirs[0]:,.0f} = {first:.2f}, "
        f"later {min(ours[1:]):,.0f} / {theirs[1]:,.0f} = {later:.1f}; peak memory {our_gb:.2f} GB ({their_gb:.2f} GB)"
    )
    assert our_gb < 3
    assert first >= 1
    assert later >= 1


def test_memory_of_a_training_on_all_images(benchmark, photos):
    """A whole job of `full`: decode, two epochs, an evaluation. Its peak memory is what a dry run states, at most."""
    given = [str(photos), SIDE, BATCH, [f"n{c}" for c in range(CLASSES)], WORKERS]
    stated, used = benchmark.pedantic(measured, (TRAINED, given, photos), rounds=1)
    benchmark.extra_info.update(stated_gb=stated, used_gb=used)
    print(f"\npeak memory of a training on {NUM:,} images of {SIDE} pixels: {used:.2f} GB, stated {stated:.2f} GB")
    assert used < 3
    assert used < stated
