"""The students against golden/students.json: sizes, logits and features of two deterministic weight fills."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.students.build import build_student

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "students.json").read_text(encoding="utf-8"))
CASES = {case["id"]: case for case in GOLDEN["cases"]}


def name_of(case):
    suffix = "_cifar" if case.get("dataset_arg", "").startswith("cifar") else ""
    return f"{case['family']}{case['depth']}{suffix}{'_bn' if case['norm'] == 'batch' else ''}"


def unit_values(kind, size):
    """The fills of tests/golden/README.md: values, scale of matrices, scale of biases."""
    k = np.arange(size, dtype=np.uint64)
    if kind == "cos":
        return np.cos(k.astype(np.float64)), 1.0, 0.01
    h = (k * np.uint64(2654435761) + np.uint64(12345)) % np.uint64(2**32)
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(2246822519)) % np.uint64(2**32)
    h ^= h >> np.uint64(13)
    return h / 2**32 - 0.5, np.sqrt(12), 0.02


@torch.no_grad()
def fill(model, kind):
    for name, parameter in model.named_parameters():
        values, matrix_scale, vector_scale = unit_values(kind, parameter.numel())
        if parameter.ndim >= 2:
            values = values * matrix_scale / np.sqrt(parameter.numel() / parameter.shape[0])
        else:
            values = vector_scale * values + (0.0 if name.endswith("bias") else 1.0)
        parameter.copy_(torch.from_numpy(values).view(parameter.shape))


def golden_input(case):
    shape = (case["batch"], 3, case["image_size"], case["image_size"])
    return torch.from_numpy(np.sin(0.01 * np.arange(np.prod(shape), dtype=np.float64))).view(shape).float()


@pytest.mark.parametrize("case_id", CASES)
def test_parameters_are_those_of_the_reference(case_id):
    case = CASES[case_id]
    model = build_student(name_of(case), case["num_classes"], case["image_size"])

    parameters = list(model.parameters())
    assert sum(p.numel() for p in parameters) == case["parameters"]
    assert len(parameters) == case["parameter_tensors"]
    assert len(list(model.buffers())) == case["buffers"]
    shapes = sorted(list(p.shape) for p in parameters)
    assert shapes == sorted(row["shape"] for row in case["parameter_shapes"] for _ in range(row["count"]))
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all((m.bias is not None) == case["conv_has_bias"] for m in convolutions)


STEMS = [
    ("resnet_ap10", 129, 7, 1, 32), ("resnet_ap10", 128, 3, 1, 64), ("resnet_ap10", 65, 3, 1, 32),
    ("resnet_ap10", 64, 3, 1, 64), ("resnet_ap10", 32, 3, 1, 32), ("resnet_ap10_cifar", 224, 3, 1, 224),
    ("resnet18", 129, 7, 2, 33), ("resnet18", 128, 3, 1, 64), ("resnet18", 65, 3, 1, 33), ("resnet18", 64, 3, 1, 64),
    ("resnet18", 32, 3, 1, 32), ("resnet18_cifar", 224, 3, 1, 224),
]  # fmt: skip


@pytest.mark.parametrize(("name", "side", "kernel", "stride", "out"), STEMS)
def test_the_stem_goes_by_the_image_size_as_in_the_reference(name, side, kernel, stride, out):
    """The facts of students.json, "architectures": sizes that none of its logits has, on both sides of each bound."""
    stem = build_student(name, 2, side).stem
    assert (stem[0].kernel_size, stem[0].stride, stem[0].bias) == ((kernel, kernel), (stride, stride), None)
    with torch.inference_mode():
        assert stem(torch.zeros(1, 3, side, side)).shape[-1] == out
    pools = [type(layer).__name__ for layer in stem[3:]]
    small, pooled = side <= 64 or name.endswith("_cifar"), name.startswith("resnet_ap")
    assert pools == ([] if small else ["HalvingPool"] * (2 if side > 128 else 1) if pooled else ["MaxPool2d"])


@pytest.mark.parametrize("kind", ["cos", "hash"])
@pytest.mark.parametrize("case_id", CASES)
def test_logits_and_features_are_those_of_the_reference(case_id, kind):
    """Tolerance from the golden file: ten times the reference's own float32 error, at least 1e-5."""
    case = CASES[case_id]
    golden = case[f"fill_{kind}"]
    model = build_student(name_of(case), case["num_classes"], case["image_size"]).eval()
    fill(model, kind)
    images = golden_input(case)
    with torch.inference_mode():
        logits, features = model(images), model.features(images)

    expected = torch.tensor(golden["logits_float64"], dtype=torch.float64)
    assert (logits.double() - expected).abs().max() <= golden["abs_tolerance"]
    stats = golden["features"]
    assert list(features.shape) == stats["shape"]
    found = [features.mean(), features.std(correction=0), features.abs().max()]
    expected = [stats["mean"], stats["std_population"], stats["abs_max"]]
    torch.testing.assert_close(torch.stack(found), torch.tensor(expected), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(features.mean(1), torch.tensor(stats["per_item_mean"]), rtol=1e-4, atol=1e-6)
    spread = torch.tensor(stats["per_item_std_population"])
    torch.testing.assert_close(features.std(1, correction=0), spread, rtol=1e-4, atol=1e-6)
