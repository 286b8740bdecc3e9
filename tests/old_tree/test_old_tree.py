"""A plugin and a suite as users wrote them before the layers (November 2026) still run; do not change those files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import harness

HERE = Path(__file__).parent
FEW = {"protocol.epochs": {"up_to": [], "above": 1}, "protocol.num_evaluations": 1}


@pytest.fixture
def photos(tmp_path):
    """The data root that the suite was written for."""
    rng = np.random.default_rng(0)
    for split, num in {"train": 6, "val": 4}.items():
        for colour, name in enumerate(("cat", "dog", "owl")):
            place = tmp_path / "photos" / "pets" / split / name
            place.mkdir(parents=True)
            for i in range(num):
                pixels = rng.integers(0, 80, (40, 48, 3), dtype=np.uint8)
                pixels[..., colour] += 150
                Image.fromarray(pixels).save(place / f"{i}.jpg")
    return tmp_path / "photos"


def test_a_plugin_and_a_suite_of_the_old_tree_run(tmp_path, photos):
    run = harness.run(
        methods=["eigenimages", "random_real"],
        suite=HERE / "pets.yaml",
        plugins=[HERE / "eigenimages.py"],
        data_root=photos,
        ipc=[1],
        seeds=[0],
        settings={**FEW, "eigenimages.directions": 2, "eigenimages.steps": 2},
        executor="local",
        store=tmp_path / "results",
    )
    rows = harness.load_results(run)
    assert set(rows["method"]) == {"eigenimages", "random_real"}
    assert set(rows["status"]) == {"done"}
