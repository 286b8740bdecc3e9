"""What a method sees of the real data."""

import pytest
import torch

from harness.data import RealImages, open_source
from harness.data.rows import LIMIT


@pytest.fixture
def split(tmp_path):
    return open_source({"kind": "digits"}, tuple("0123456789"), tmp_path).split("train").restrict(["2", "7"])


@pytest.fixture
def real(split):
    return RealImages(split, size=16, crop="adm", device=torch.device("cpu"))


def test_it_shows_the_split(real, split):
    assert real.class_ids == ("2", "7")
    assert real.num_per_class == split.num_per_class
    assert real.names("7") == split.names("7")
    assert real.labels["7"] == 7


def test_a_class_stays_resident_and_agrees_with_partial_reads(real):
    some = real.images("7", [4, 1])
    whole = real.images("7")

    assert torch.equal(some, whole[[4, 1]])
    assert real.images("7") is whole
    assert torch.equal(real.images("7", torch.tensor([4, 1])), some)


def test_above_the_limit_the_class_asked_for_first_goes(real, monkeypatch):
    """So a coreset that walks over a thousand classes does not hold a million images."""
    first = real.images("2")
    limit = (len(first) + len(real.images("7"))) * 3 * 16 * 16
    monkeypatch.setenv(LIMIT, str((limit - 1) / 1e9))
    second = real.images("7")
    assert real.images("7") is second
    again = real.images("2")
    assert again is not first
    assert torch.equal(again, first)
    assert real.images("7") is not second


def test_tensors_are_resident_and_share_memory_with_the_classes(real):
    images, labels = real.tensors()

    assert images.shape == (sum(real.num_per_class.values()), 3, 16, 16)
    assert labels.unique().tolist() == [2, 7]
    assert real.tensors()[0] is images
    assert real.images("2").data_ptr() == images.data_ptr()


@pytest.mark.parametrize("resident", [False, True])
def test_an_index_out_of_range_is_refused(real, resident):
    if resident:
        real.images("2")
    with pytest.raises(ValueError, match="images 0 to"):
        real.images("2", [-1])
