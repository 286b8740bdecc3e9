"""Student names: what they mean, and what a wrong one is told."""

import subprocess
import sys

import pytest

from harness.core.errors import UserError
from harness.students import catalogue, parse, register_student, students
from harness.students.spec import titles_of


@pytest.mark.parametrize(
    ("name", "family", "depth", "norm", "variant"),
    [
        ("convnet3", "convnet", 3, "instance", "imagenet"),
        ("convnet4_bn", "convnet", 4, "batch", "imagenet"),
        ("resnet18", "resnet", 18, "instance", "imagenet"),
        ("resnet_ap10", "resnet_ap", 10, "instance", "imagenet"),
        ("resnet_ap10_cifar", "resnet_ap", 10, "instance", "cifar"),
        ("resnet18_cifar_bn", "resnet", 18, "batch", "cifar"),
        ("resnet18_bn_cifar", "resnet", 18, "batch", "cifar"),
    ],
)
def test_a_name_says_family_depth_norm_and_variant(name, family, depth, norm, variant):
    spec = parse(name)
    assert (spec.name, spec.family, spec.depth, spec.norm, spec.variant) == (name, family, depth, norm, variant)


def test_a_timm_name_keeps_what_follows_the_colon():
    assert parse("timm:resnet18.a1_in1k").timm_name == "resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("resnetap10", "resnet_ap10"), ("ConvNet-6", "convnet6"), ("resnet_ap10_cfar", "resnet_ap10_cifar")],
)
def test_an_unknown_name_gets_the_closest_known_one(name, meant):
    with pytest.raises(UserError, match=f"Did you mean '{meant}'"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnet", "needs a depth, e.g. convnet3"),
        ("resnet_ap_bn", "needs a depth, e.g. resnet_ap10"),
        ("convnet0", "at least one layer"),
        ("convnet3_cifar", "write convnet3"),
        ("resnet50", "timm:resnet50"),
        ("resnet6_cifar", "at least 8"),
        ("convnet3_bn_bn", "suffix twice"),
        ("timm:", "has no model name"),
        ("timm", "unknown student"),
        ("timm18", "unknown student"),
    ],
)
def test_a_name_that_means_nothing_is_told_why(name, message):
    with pytest.raises(UserError, match=message):
        parse(name)


@pytest.fixture
def own_family(monkeypatch):
    """A registered family, forgotten after the test."""
    monkeypatch.setattr(students, "_items", dict(students._items))

    @register_student("tiny")
    def build_tiny(spec, num_classes, image_size):
        """A tiny network."""
        raise NotImplementedError

    return build_tiny


def test_a_registered_name_takes_depth_and_suffixes(own_family):
    assert parse("tiny").depth is None
    spec = parse("tiny8_bn")
    assert (spec.family, spec.depth, spec.norm) == ("tiny", 8, "batch")
    assert students.get("tiny") is own_family


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["convnet3", "resnet18_bn"], ["ConvNet-3", "ResNet-18 (BN)"]),
        (["resnet_ap10_cifar"], ["ResNetAP-10"]),
        (["resnet_ap10_cifar", "resnet_ap10", "convnet4"], ["ResNetAP-10 (CIFAR)", "ResNetAP-10", "ConvNet-4"]),
        (["timm:resnet50", "somebody_elses", ""], ["resnet50 (timm)", "somebody_elses", ""]),
    ],
)
def test_students_have_the_names_of_papers_and_no_two_the_same(names, titles):
    assert list(titles_of(names).values()) == titles


def test_a_registered_student_has_the_title_that_it_was_given(monkeypatch):
    monkeypatch.setattr(students, "_items", dict(students._items))
    register_student("mynet", title="MyNet")(lambda spec, num_classes, image_size: None)
    assert titles_of(["mynet", "mynet8_bn"]) == {"mynet": "MyNet", "mynet8_bn": "MyNet-8 (BN)"}


def test_the_catalogue_lists_registered_students_after_the_built_in_ones(own_family):
    assert [name for name, _ in catalogue()] == ["convnet<D>", "resnet<D>", "resnet_ap<D>", "timm:NAME", "tiny"]
    assert dict(catalogue())["tiny"] == "A tiny network."


@pytest.mark.parametrize("name", ["convnet", "timm"])
def test_a_built_in_student_cannot_be_replaced(name):
    with pytest.raises(UserError, match="built in"):
        register_student(name)


def test_a_name_that_no_command_line_could_tell_apart_is_refused():
    with pytest.raises(UserError, match="lower-case"):
        register_student("My Net")


def test_listing_and_parsing_students_import_no_torch():
    code = (
        "import sys, harness.students as s, harness.training as t; s.catalogue(); s.parse('resnet_ap10_cifar'); "
        "t.make_recipe(t.resolve_protocol('idc'), 10, 10); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
