"""The feature extractor: shapes, normalisation, resizing, batching, and weights that cannot be had."""

import pytest
import timm
import torch

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.students import FeatureExtractor, build_student


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_student("convnet3_bn", 10, 16)


def test_features_are_those_of_the_student_on_normalised_images(model, images):
    protocol = Protocol(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    features = FeatureExtractor.from_student(model, protocol, 16)(images)

    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    with torch.no_grad():
        expected = model.eval().features((images / 255 - mean) / std)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_batches_do_not_change_features(model, images):
    whole = FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16)(images)
    cut = FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16, batch_size=2)(images)
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-5)


def test_images_of_another_side_are_resized(model):
    flat = torch.full((2, 3, 40, 24), 77, dtype=torch.uint8)
    extract = FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16)
    torch.testing.assert_close(extract(flat), extract(flat[:, :, :16, :16]), rtol=1e-4, atol=1e-5)


def test_extraction_leaves_batch_norm_statistics_and_gradients_alone(images):
    model = build_student("convnet3_bn", 10, 16).train()
    before = [b.clone() for b in model.buffers()]
    features = FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16)(images)
    assert not features.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))


@pytest.mark.parametrize("bad", [torch.zeros(2, 3, 16, 16), torch.zeros(3, 16, 16, dtype=torch.uint8)])
def test_what_is_not_a_batch_of_uint8_images_is_refused(model, bad):
    with pytest.raises(ValueError, match="expected uint8"):
        FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16)(bad)


def test_no_images_are_refused(model):
    with pytest.raises(ValueError, match="no images"):
        FeatureExtractor(model, mean=(0.5,) * 3, std=(0.5,) * 3, side=16)(torch.zeros(0, 3, 16, 16, dtype=torch.uint8))


def test_a_timm_extractor_takes_normalisation_and_side_from_the_model(monkeypatch):
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: real(name, pretrained=False))
    extract = FeatureExtractor.from_timm("timm:resnet18")
    assert extract.side == 224
    assert extract(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape == (1, 512)


def test_weights_that_cannot_be_had_are_explained(monkeypatch):
    def offline(name, pretrained):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"pretrained weights of timm model 'resnet18'.*no route.*teacher"):
        FeatureExtractor.from_timm("resnet18")


def test_an_unknown_timm_extractor_gets_close_names():
    with pytest.raises(UserError, match="timm:resnet18"):
        FeatureExtractor.from_timm("resnet_18")
