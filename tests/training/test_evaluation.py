"""Scoring a student: as it will be used, and as little else as possible."""

import torch
from torch import nn

from harness.core.config.protocol import Protocol
from harness.training.evaluation import predict


class Changeable(nn.Module):
    """A network that answers otherwise while it trains: batch statistics, and half of its inputs dropped."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 3))

    def forward(self, images):
        return self.net(images)


def test_students_are_scored_in_eval_mode_and_learn_nothing_from_test_images():
    """golden/protocol.json, golden/rded.json: validation in eval mode, no grad."""
    torch.manual_seed(0)
    model = Changeable().train()
    images = torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8)
    first, again = (predict(model, images, Protocol()) for _ in range(2))
    alone = torch.cat([predict(model.train(), image[None], Protocol()) for image in images])

    assert torch.equal(first, again)
    torch.testing.assert_close(alone, first, rtol=1e-5, atol=1e-6)
    assert not first.requires_grad
    assert model.net[0].num_batches_tracked == 0
