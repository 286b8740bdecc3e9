"""bfloat16 against float32 on real data: the means of three seeds differ by less than the seeds do."""

import pytest

import harness
from harness.core.suites import load_suite
from harness.data import open_source, read_class_list


def _is_here():
    file = load_suite("fashion_mnist")
    ids = tuple(c.id for c in read_class_list(file.class_list))
    return open_source(file.suite.source, ids, "data").is_here()


@pytest.mark.drill
@pytest.mark.skipif(not _is_here(), reason="Fashion-MNIST is not here; Debian: dataset-fashion-mnist")
def test_bfloat16_is_as_accurate_as_float32(tmp_path):
    """Measured with all 301 epochs, over three sets: at most 0.1 points of difference (docs/performance.md)."""
    scores = {}
    for precision in ("float32", "bfloat16"):
        done = harness.run(
            methods=["random_real"],
            suite="fashion_mnist",
            ipc=[1],
            seeds=[0, 1, 2],
            protocol="dc",
            settings={"protocol.epochs": 60, "protocol.precision": precision},
            store=tmp_path,
            executor="local",
        )
        scores[precision] = harness.load_results(done, tmp_path)["top1_last"]
    assert scores["float32"].min() > 40, "a tenth is chance"
    assert abs(scores["float32"].mean() - scores["bfloat16"].mean()) <= max(1.0, scores["float32"].std())
    assert scores["float32"].tolist() != scores["bfloat16"].tolist()
