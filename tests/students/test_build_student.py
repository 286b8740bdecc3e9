"""Building students: what fits, what is refused, how weights begin."""

import math

import pytest
import torch
from torch import nn

from harness.core.errors import UserError
from harness.students import build_student, parse, register_student, students
from harness.students.sizes import last_side


@pytest.mark.parametrize("name", ["convnet3", "resnet18_cifar", "resnet_ap10_cifar_bn", "timm:resnet18"])
def test_forward_is_the_last_linear_layer_on_the_features(name):
    torch.manual_seed(0)
    model = build_student(name, 7, 16).eval()
    images = torch.randn(2, 3, 16, 16)
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    with torch.inference_mode():
        torch.testing.assert_close(head(model.features(images)), model(images))


def test_a_convnet_too_deep_for_the_images_is_refused():
    with pytest.raises(UserError, match=r"0x0 feature map for 16x16 pixels. Use at most convnet4"):
        build_student("convnet5", 10, 16)
    assert build_student("convnet4", 10, 16).classifier.in_features == 128


@pytest.mark.parametrize("name", ["resnet10", "resnet_ap10", "resnet_ap10_cifar"])
def test_instance_norm_of_single_pixels_is_refused_and_batch_norm_advised(name):
    """Measured: such a network trains to exactly chance, without an error."""
    with pytest.raises(UserError, match=rf"1x1 pixels in its last stage from 8x8.*chance.*{name}_bn"):
        build_student(name, 10, 8)
    build_student(f"{name}_bn", 10, 8)


def test_pooling_to_nothing_is_refused():
    with pytest.raises(UserError, match="0x0 feature map for 4x4"):
        build_student("resnet_ap10_bn", 10, 4)


@pytest.mark.parametrize("name", ["resnet10", "resnet_ap10", "resnet10_cifar", "resnet_ap10_cifar"])
@pytest.mark.parametrize("side", [17, 31, 64, 65, 100, 129, 150])
def test_the_side_of_the_last_stage_is_known_before_building(name, side):
    model = build_student(name, 2, side)
    with torch.inference_mode():
        maps = model.stages(model.stem(torch.zeros(1, 3, side, side)))
    assert maps.shape[-1] == last_side(parse(name), side)


def test_resnets_begin_with_fan_out_normal_weights_and_identity_norms():
    torch.manual_seed(0)
    model = build_student("resnet_ap10_cifar", 10, 16)
    conv = model.stages[-1].residual[0]
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    norms = [m for m in model.modules() if isinstance(m, nn.GroupNorm)]
    assert all((n.weight == 1).all() and (n.bias == 0).all() for n in norms)


def test_an_unknown_timm_model_gets_close_names():
    with pytest.raises(UserError, match=r"no model 'resnet_18'.*timm:resnet18"):
        build_student("timm:resnet_18", 10, 64)


def test_a_timm_model_of_fixed_size_is_built_for_the_images_at_hand():
    model = build_student("timm:vit_tiny_patch16_224", 5, 32)
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
        assert model.features(torch.zeros(1, 3, 32, 32)).shape == (1, 192)


def test_a_timm_model_that_cannot_take_the_images_is_refused():
    with pytest.raises(UserError, match=r"timm:inception_v3.*16x16 images"):
        build_student("timm:inception_v3", 10, 16)


@pytest.fixture
def forget_students(monkeypatch):
    monkeypatch.setattr(students, "_items", dict(students._items))


class Linear(nn.Module):
    def __init__(self, num_classes, side):
        super().__init__()
        self.head = nn.Linear(3 * side * side, num_classes)

    def forward(self, images):
        return self.head(images.flatten(1))


@pytest.mark.usefixtures("forget_students")
def test_a_registered_student_is_built_by_its_name():
    class WithFeatures(Linear):
        def features(self, images):
            return images.flatten(1)

    register_student("linear")(lambda spec, num_classes, side: WithFeatures(num_classes, side))
    assert build_student("linear", 4, 8)(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


@pytest.mark.usefixtures("forget_students")
def test_a_registered_student_without_features_is_told_what_to_add():
    register_student("bare")(lambda spec, num_classes, side: Linear(num_classes, side))
    with pytest.raises(UserError, match=r"has no `features\(images\)`"):
        build_student("bare", 4, 8)


@pytest.mark.usefixtures("forget_students")
def test_a_registered_student_with_other_outputs_is_refused():
    class Wrong(Linear):
        def features(self, images):
            return images.flatten(1)

    register_student("wrong")(lambda spec, num_classes, side: Wrong(num_classes + 1, side))
    with pytest.raises(UserError, match=r"logits \[1, 5\].*expected \[1, 4\]"):
        build_student("wrong", 4, 8)


def test_building_leaves_a_student_in_training_mode():
    assert build_student("convnet3_bn", 10, 16).training
