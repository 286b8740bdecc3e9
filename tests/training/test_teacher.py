"""Teachers: one that labels other classes than it says must never reach a student."""

import json
import random

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

import harness
from harness.core.classes import ClassInfo
from harness.core.config.protocol import Protocol
from harness.core.config.suite import Teacher
from harness.core.errors import UserError
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from harness.training.teacher import TeacherScores, check_teacher, exchanged
from harness.training.teacher_folder import TeacherFolder
from harness.training.teacher_weights import in_suite_order, open_weights, write_teacher
from tests.helpers.support import tiny_suite_values

CLASSES = tuple(ClassInfo(name, i, name) for i, name in enumerate(["beagle", "dingo", "samoyed", "shih-tzu"]))


def scores(*rows):
    confusion = torch.tensor(rows)
    return TeacherScores(100 * confusion.diagonal().sum().item() / confusion.sum().item(), confusion)


def check(found, min_share=0.5, full=80.0):
    check_teacher(found, CLASSES, "convnet3", min_share, full)


def test_a_good_teacher_passes():
    check(scores([9, 1, 0, 0], [0, 10, 0, 0], [0, 2, 8, 0], [0, 0, 0, 10]))


def test_two_exchanged_classes_are_named_whatever_the_accuracy():
    """Half of the images are called rightly, which is above the threshold of 40 %."""
    with pytest.raises(UserError, match=r"swapped labels .2 classes.*dingo as 'samoyed', samoyed as 'dingo'"):
        check(scores([10, 0, 0, 0], [0, 1, 9, 0], [0, 8, 2, 0], [0, 0, 0, 10]))


def test_a_circle_of_three_is_an_exchange_too():
    assert exchanged(torch.tensor([[0, 9, 0, 1], [1, 0, 9, 0], [9, 0, 1, 0], [0, 0, 0, 9]])) == [[0, 1, 2]]


def test_a_handful_of_images_is_no_evidence():
    assert exchanged(torch.tensor([[0, 4], [4, 0]])) == []
    assert exchanged(torch.tensor([[0, 5], [5, 0]])) == [[0, 1]]


def test_one_class_taken_for_another_is_a_weakness_and_no_exchange():
    assert exchanged(torch.tensor([[2, 8, 0, 0], [1, 9, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]])) == []


def test_a_teacher_at_chance_is_refused_with_what_it_calls_the_classes():
    with pytest.raises(UserError, match=r"scores 25.0 %.*required: at least 40.0 %.*dingo is predicted as beagle"):
        check(scores([9, 0, 0, 0], [9, 0, 0, 0], [9, 0, 0, 0], [9, 0, 0, 0]))


def check_alone(found, min_share=0.5):
    """As for a suite that states no full-data accuracy."""
    classes = tuple(ClassInfo(str(i), i, str(i)) for i in range(len(found.confusion)))
    check_teacher(found, classes, "convnet3", min_share, None)


@pytest.mark.parametrize(
    "rows",
    [[[9, 0, 0, 0]] * 4, [[55, 45], [50, 50]], [[25, 25], [0, 2]]],
    ids=["four classes", "two classes", "worse than always the large class"],
)
def test_a_teacher_at_chance_is_refused_where_the_suite_states_no_accuracy(rows):
    """Chance is what calling every image the largest class would score."""
    with pytest.raises(UserError, match=r"not clearly better than chance.*full_accuracy.*min_share: 0"):
        check_alone(scores(*rows))


def test_a_large_hold_out_does_not_make_a_hair_above_chance_enough():
    """1,000 classes, 10 images each: 0.19 % is significantly above 0.1 %, and no teacher."""
    confusion = torch.zeros(1000, 1000, dtype=torch.long)
    confusion[:, 0] = 10
    for label in range(1, 10):
        confusion[label, 0], confusion[label, label] = 9, 1
    with pytest.raises(UserError, match=r"scores 0.2 %.*required: at least 0.2 %.*not clearly better than chance"):
        check_alone(scores(*confusion.tolist()))


def test_a_teacher_that_has_learned_passes_where_the_suite_states_no_accuracy():
    check_alone(scores(*(torch.eye(10, dtype=torch.long) * 3 + torch.tensor([7, *[0] * 9])).tolist()))
    check_alone(scores([70, 30], [30, 70]))
    check_alone(scores([2, 0], [0, 2]))  # all that so few images can show


def test_min_share_0_takes_any_teacher():
    check_alone(scores([9, 0], [9, 0]), min_share=0)


class Fixed(nn.Module):
    def forward(self, images):
        return torch.arange(4.0).expand(len(images), -1)


def test_outputs_are_matched_by_class_id():
    own = ["shih-tzu", "beagle", "cat", "samoyed", "dingo"]

    class Five(nn.Module):
        def forward(self, images):
            return torch.arange(5.0).expand(len(images), -1)

    assert in_suite_order(Five(), own, CLASSES)(torch.zeros(1, 3, 2, 2)).tolist() == [[1, 4, 3, 0]]
    same = Fixed()
    assert in_suite_order(same, [c.id for c in CLASSES], CLASSES) is same
    with pytest.raises(
        UserError, match=r"does not know class dingo: its list of 3 classes starts with beagle, samoyed, shih-tzu"
    ):
        in_suite_order(same, ["beagle", "samoyed", "shih-tzu"], CLASSES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with soft labels whose teacher was trained by the run, and a function that makes a suite with given weights."""
    folder = tmp_path_factory.mktemp("teacher")
    values = tiny_suite_values()
    values["teacher"] |= {"epochs": 3, "min_share": 0.5}
    values["protocol_overrides"]["rded"]["epochs"] = {"up_to": [], "above": 2}

    def suite(name, **teacher):
        changed = values | ({"teacher": teacher} if teacher else {})
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(changed))
        return path

    run = harness.run(**request(suite("own"), folder / "store"))
    assert run.exit_code == 0, run.errors
    teacher = next((folder / "store" / "store" / "teacher").iterdir())
    return folder, suite, run, teacher


def request(suite, store):
    return {
        "methods": ["random_real"],
        "suite": suite,
        "store": store,
        "ipc": [1],
        "protocol": "rded",
        "executor": "local",
    }


def permuted(teacher, folder, order):
    """Write the teacher's weights with its outputs in another order, and the class list in that order."""
    tensors = load_file(str(teacher / "model.safetensors"))
    classes = json.loads((teacher / "teacher.json").read_text())["classes"]
    head = [name for name, t in tensors.items() if len(t) == 10][-2:]
    assert len(head) == 2
    changed = {n: t[order].contiguous() if n in head else t for n, t in tensors.items()}
    save_file(changed, str(folder / "permuted.safetensors"))
    (folder / "permuted.txt").write_text("\n".join(classes[i] for i in order))
    return {"student": "convnet3", "weights": "permuted.safetensors", "classes": "permuted.txt"}


def test_a_permuted_teacher_with_its_class_list_gives_the_same_students(trained):
    folder, suite, run, teacher = trained
    order = list(range(10))
    random.Random(0).shuffle(order)
    path = suite("permuted", **permuted(teacher, folder, order))
    again = harness.run(**request(path, folder / "permuted_store"))
    columns = ["top1_best", "top1_last", "top5_last"]
    ours, theirs = harness.load_results(run)[columns], harness.load_results(again)[columns]
    assert ours.equals(theirs)


def test_a_teacher_with_two_classes_exchanged_is_refused_and_the_students_say_why(trained):
    folder, suite, _, teacher = trained
    spec = permuted(teacher, folder, list(range(10)))
    names = (folder / "permuted.txt").read_text().split()
    names[3], names[7] = names[7], names[3]
    (folder / "permuted.txt").write_text("\n".join(names))
    done = harness.run(**request(suite("exchanged", **spec), folder / "exchanged_store"))
    assert done.exit_code == 1
    errors = set(harness.load_results(done)["error"])
    assert len(errors) == 1
    assert "swapped labels (2 classes): on real images it predicts 3 as '7', 7 as '3'" in errors.pop()


def test_the_folder_of_another_run_is_a_teacher_as_it_stands(trained):
    folder, suite, _, teacher = trained
    path = suite("folder", weights=str(teacher), min_share=0.5)
    plan = make_plan(resolve(make_request(**request(path, folder / "x"))).plan_input)
    assert plan.counts()["teacher"] == 1
    assert json.loads((teacher / "teacher.json").read_text())["holdout_top1"] > 50


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"weights": "gone.pt", "student": "convnet3", "classes": "x.txt"},
            r"teacher.weights 'gone.pt' does not exist",
        ),
        (
            {"weights": "here.pt", "student": "convnet3"},
            r"here.pt is a state dict; `student` must give .* `classes` its label",
        ),
        ({"weights": "timm:resnet18"}, r"timm:resnet18 needs `classes`"),
        ({"weights": "here.pt", "epochs": 3, "student": "convnet3"}, r"either `epochs` .* or `weights`"),
        ({"epochs": 3}, r"needs `student`"),
        ({"weights": "empty"}, r"is not a teacher folder \(teacher.json: FileNotFoundError"),
    ],
    ids=["missing", "no classes", "timm without classes", "both", "no student", "other folder"],
)
def test_a_teacher_that_cannot_be_is_refused_before_any_work(trained, spec, message):
    folder, suite, _, _ = trained
    (folder / "here.pt").write_bytes(b"x")
    (folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=message):
        resolve(make_request(**request(suite("wrong", **spec), folder / "x")))


def test_missing_weights_do_not_hinder_a_run_that_needs_no_teacher(trained):
    folder, suite, _, _ = trained
    path = suite("unused", weights="gone.pt", student="convnet3", classes="x.txt")
    resolve(make_request(methods=["random_real"], suite=path, store=folder / "x"))


@pytest.mark.parametrize("content", [b"no tensors", None], ids=["damaged", "other network"])
def test_weights_that_do_not_fit_say_so(tmp_path, content):
    path = tmp_path / "teacher.pt"
    if content is None:
        torch.save({"state_dict": {"module.layer.weight": torch.zeros(3, 3)}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"teacher.pt: not a state dict of convnet3"):
        open_weights(Teacher(weights=str(path), student="convnet3", classes="c"), ["a", "b"], 16, Protocol())


def test_a_timm_model_brings_its_own_normalisation_and_must_fit_the_class_list(monkeypatch):
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **k: create(name, pretrained=False, **k))
    teacher = Teacher(weights="timm:resnet10t", classes="c")
    with pytest.raises(UserError, match=r"timm:resnet10t has 1000 outputs, but its class list has 2 ids"):
        open_weights(teacher, ["a", "b"], 32, Protocol())
    model, about = open_weights(teacher, [str(i) for i in range(1000)], 32, Protocol(mean=(0.1, 0.1, 0.1)))
    assert about.protocol.mean == tuple(timm.data.resolve_model_data_config(create("resnet10t"))["mean"])
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_a_written_teacher_is_read_back_with_equal_outputs(tmp_path):
    from harness.students.build import build_student
    from harness.training.teacher_weights import read_teacher

    model = build_student("convnet1_bn", 2, 8).eval()
    write_teacher(tmp_path, model, TeacherFolder("convnet1_bn", 8, ("a", "b"), Protocol()))
    again, about = read_teacher(tmp_path)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(again(images), model(images))
    assert about.classes == ("a", "b")
