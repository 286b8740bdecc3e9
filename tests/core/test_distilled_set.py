"""What a method returns in place of a set is told in words of its own mistake."""

import pytest
import torch

from harness.core.classes import ClassInfo
from harness.core.plugin.distilled_set import DistilledSet

CLASSES = (ClassInfo("0", 0, "zero"), ClassInfo("1", 1, "one"))


def test_a_tensor_in_place_of_a_dict_is_told():
    with pytest.raises(ValueError, match="was given a Tensor; expected a dict of class id -> images"):
        DistilledSet(torch.zeros(2, 3, 4, 4))


def test_keys_that_are_numbers_are_told():
    images = {label: torch.zeros(1, 3, 4, 4) for label in range(2)}
    with pytest.raises(ValueError, match=r"must be class ids .strings such as '0'.; found the int 0\. Use c\.id"):
        DistilledSet(images).check(CLASSES, 1, 4)
