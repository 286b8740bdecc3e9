"""How a protocol is executed: its precision, and compiled or not. What both change, and what they must not.

A compiled graph without fusion ("eager") needs no C++ compiler and multiplies in the same order: equal to 1e-6.
"""

import pytest
import torch

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.data.rows import as_rows
from harness.students import build_student
from harness.training.evaluation import predict
from harness.training.forward import Forward
from harness.training.protocols import at_device, changes
from harness.training.soft_labels import SoftLabels
from harness.training.trainer import train_student
from tests.training.test_trainer import digits, protocol  # noqa: F401


@pytest.fixture
def without_compiler(monkeypatch):
    """Trace the whole network, and run what was traced as it is."""
    sizes = []

    def trace(forward, **options):
        graph = torch.compile(forward, backend="eager", fullgraph=True, **options)
        return lambda images: (sizes.append(len(images)), graph(images))[1]

    monkeypatch.setattr("harness.training.forward.torch", _Torch(compile=trace))
    return sizes


class _Torch:
    """torch, with something in another place."""

    def __init__(self, **own):
        self.__dict__ |= own

    def __getattr__(self, name):
        return getattr(torch, name)


def train(digits, seed=0, *, num=100, epochs=40, student="convnet3", **options):  # noqa: F811
    images, labels, test_images, test_labels = digits
    return train_student(
        student=student,
        protocol=protocol(epochs, num_evaluations=1, **options),
        train_images=images[:num],
        train_labels=labels[:num],
        test_images=test_images,
        test_labels=test_labels,
        num_classes=10,
        seed=seed,
    )


@pytest.mark.parametrize("student", ["convnet2", "convnet2_bn"])
def test_a_compiled_training_is_the_plain_one(digits, without_compiler, student):  # noqa: F811
    plain, result = train(digits, epochs=2, num=40, student=student)
    model, compiled = train(digits, epochs=2, num=40, student=student, compiled=True)
    assert without_compiler == [32, 8, 32, 8, 256, 256, 28]
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    assert compiled.top1_last == pytest.approx(result.top1_last, abs=0.2)


def test_the_last_images_of_a_split_are_scored_as_the_others(digits, without_compiler, monkeypatch):  # noqa: F811
    model = build_student("convnet2", 10, 16)
    monkeypatch.setattr("harness.training.evaluation._CPU_PIXELS", 100 * 16 * 16)
    exact = predict(model, as_rows(digits[2], "cpu"), Protocol())
    logits = predict(model, as_rows(digits[2], "cpu"), Protocol(compiled=True))
    assert without_compiler == [*[100] * 5, 40]
    torch.testing.assert_close(logits, exact, atol=1e-6, rtol=1e-5)


def test_a_teacher_is_compiled_once_for_all_that_it_labels(digits, without_compiler, monkeypatch):  # noqa: F811
    resets = []
    monkeypatch.setattr("harness.training.forward.torch.compiler", _Torch(reset=lambda: resets.append(1)))
    teacher = SoftLabels(build_student("convnet2", 10, 16), Protocol(compiled=True), 0)
    for rows in (slice(0, 30), slice(30, 60)):
        teacher.label(digits[0][rows])
    assert (len(resets), without_compiler) == (1, [30, 30])


def test_a_third_size_runs_uncompiled(without_compiler):
    forward = Forward(torch.nn.Linear(3, 2), Protocol(compiled=True))
    assert [len(forward(torch.rand(num, 3))) for num in (4, 3, 2, 4)] == [4, 3, 2, 4]
    assert without_compiler == [4, 3, 4]


def test_a_machine_without_a_compiler_is_told_what_to_install():
    from torch._inductor import config

    forward = Forward(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Sigmoid()), Protocol(compiled=True))
    told = r"compile failed on this machine .* C\+\+ compiler .* protocol.compiled to false"
    with config.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(UserError, match=told):
        forward(torch.rand(4, 3))


def test_an_error_of_the_network_itself_stays_what_it_is(without_compiler):
    forward = Forward(torch.nn.Linear(3, 2), Protocol(compiled=True))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Forward(torch.nn.Linear(3, 2), Protocol())(torch.rand(4, 5))
    assert forward(torch.rand(4, 3)).shape == (4, 2)


def test_accuracies_of_both_precisions_agree_within_the_spread_of_seeds(digits):  # noqa: F811
    """Three seeds at IPC 10: the means differ by less than twice the spread of the seeds."""
    scores = {
        name: torch.tensor([train(digits, seed, epochs=6, precision=name)[1].top1_last for seed in range(3)])
        for name in ("float32", "bfloat16")
    }
    exact, rounded = scores.values()
    assert not torch.equal(exact, rounded)
    spread = max(exact.std().item(), rounded.std().item())
    assert abs(exact.mean() - rounded.mean()) < 2 * spread, scores


def test_auto_is_what_the_device_is_fast_at():
    given = Protocol(precision="auto")
    assert at_device(given, "cpu") == Protocol()
    assert at_device(given, "cuda").precision == "bfloat16"
    assert at_device(Protocol(precision="bfloat16"), "cpu").precision == "bfloat16"


def test_changes_name_what_differs_from_the_protocol_of_that_name():
    own = Protocol(lr=0.02)
    assert changes(own, own) == ""
    changed = own.model_copy(update={"lr": 0.1, "crop_scale": (0.2, 1.0)})
    assert changes(changed, own) == "lr=0.1, crop_scale=[0.2, 1.0]"
    assert changes(Protocol(epochs=7), Protocol()) == "epochs=7"


def test_an_execution_other_than_the_default_is_named_even_where_the_protocol_itself_has_it():
    fast = Protocol(name="fast", precision="bfloat16", compiled=True)
    assert changes(fast, fast) == "precision=bfloat16, compiled=true"


@pytest.mark.drill
def test_a_graph_of_the_cpp_compiler_trains_as_well(digits):  # noqa: F811
    """Needs a C++ compiler, and half a minute of it."""
    _, exact = train(digits, epochs=20)
    _, compiled = train(digits, epochs=20, compiled=True)
    _, both = train(digits, epochs=20, compiled=True, precision="bfloat16")
    assert compiled.top1_last == pytest.approx(exact.top1_last, abs=3)
    assert both.top1_last == pytest.approx(exact.top1_last, abs=4)
    assert compiled.train_loss_last == pytest.approx(exact.train_loss_last, rel=0.02)
