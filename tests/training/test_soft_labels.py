"""A teacher as methods ask it: `SoftLabels.label`. (As the rded protocol asks it: test_rded.py.)"""

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.core.config.protocol import Protocol
from harness.data.rows import FileRows
from harness.training.soft_labels import SoftLabels


class Pixels(nn.Module):
    """Returns what it sees."""

    def forward(self, images):
        return images.flatten(1)


def test_images_of_another_size_are_resized_to_the_teachers():
    images = torch.randint(0, 256, (70, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    protocol = Protocol(mean=(0, 0, 0), std=(1, 1, 1))
    seen = SoftLabels(Pixels(), protocol, 0, side=4).label(images)
    expected = functional.interpolate(images.float(), size=(4, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen.view(70, 3, 4, 4) * 255, expected, rtol=0, atol=0.501)
    for side in (8, None):
        torch.testing.assert_close(
            SoftLabels(Pixels(), protocol, 0, side).label(images) * 255, images.flatten(1).float()
        )


@pytest.mark.parametrize("side", [4, 8])
def test_images_in_a_file_get_the_labels_of_images_in_memory(tmp_path, side):
    """Also where the teacher sees them at another size: resized a batch at a time, never all at once."""
    images = torch.randint(0, 256, (70, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (tmp_path / "images").write_bytes(images.numpy().tobytes())
    rows = FileRows(tmp_path / "images", (70, 3, 8, 8), 0, "cpu")
    teacher = SoftLabels(Pixels(), Protocol(), 0, side=side)
    assert torch.equal(teacher.label(rows), teacher.label(images))
    assert torch.equal(teacher.label(rows, torch.half), teacher.label(images).half())
