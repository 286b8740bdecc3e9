"""Protocols as files: found by name or path, merged with what they include, and told with file and line where they are wrong."""

import pytest

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.planning.keys import hashed_protocol
from harness.training import protocols, register_protocol, resolve_protocol
from harness.training.protocol_files import read_protocol, shipped_folder, shipped_names
from harness.training.protocols import find_protocol, shipped, without_augmentation

HEAD = "name: mine\ntitle: one of ours\nsource: nobody\n"

AS_CODE = {  # what stood for them in keys while they were code
    "idc": {"name": "idc", "version": 1},
    "plain": {
        "name": "plain", "version": 1, "cutmix_probability": 0.0, "crop_scale": None, "flip": False, "color_jitter": 0.0,
        "pca_lighting": 0.0,
    },
    "rded": {
        "name": "rded", "version": 2, "labels": "soft", "epochs": ["ByIpc", {"above": 300, "up_to": []}],
        "scale_epochs_at_100_classes": False, "switch_above_100_classes": False, "evaluate_every": 10,
        "evaluate_after": 0.8, "optimizer": "adamw", "lr": 0.001,
        "lr_by_student": {
            "timm:vgg11": 0.0005, "timm:efficientnet_b0": 0.002, "timm:mobilenetv2_100": 0.0025, "alexnet": 0.0001,
            "timm:vit_base_patch16_224": 0.0001, "timm:swinv2_tiny_window8_256": 0.0001,
        },
        "schedule": "half_cosine", "weight_decay": 0.01, "decay_matrices_only": True,
        "batch_by_ipc": ["ByIpc", {"above": 100, "up_to": [[1, 10], [10, 50]]}], "patch_shuffle": 2,
        "color_jitter": 0.0, "pca_lighting": 0.0, "test_margin": True,
    },
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", AS_CODE)
def test_a_protocol_that_became_a_file_keeps_its_key(name):
    assert hashed_protocol(resolve_protocol(name)) == AS_CODE[name]


@pytest.mark.parametrize("name", shipped_names())
def test_each_file_is_called_as_its_protocol_and_says_what_it_is_and_whence(name):
    file = shipped(name)
    assert file.protocol.name == name
    assert len(file.title) <= 120
    assert len(file.source) > 20
    assert file.protocol.version >= 1


def test_names_are_those_of_the_folder_and_of_plugins(monkeypatch):
    monkeypatch.setattr(protocols, "_items", {})
    register_protocol(Protocol(name="from_a_plugin"))
    assert protocols.names() == sorted(["from_a_plugin", "idc", "plain", "rded", "dc", "dsa", "ltdd", "sre2l"])
    assert "dsa" in protocols
    assert "dsb" not in protocols


def test_a_plugin_cannot_take_the_name_of_one_that_is_there(monkeypatch):
    monkeypatch.setattr(protocols, "_items", {})
    with pytest.raises(UserError, match="a built-in protocol has this name"):
        register_protocol(Protocol(name="dc", lr=0.5))
    register_protocol(resolve_protocol("dc"))


def test_what_a_file_leaves_out_has_its_default_and_what_it_includes_comes_along(write):
    mine = find_protocol(str(write(f"{HEAD}include: rded\nlr: 0.5\nlr_by_student: {{alexnet: 0.25}}\n")))
    rded = resolve_protocol("rded")
    assert mine.lr_by_student == {**rded.lr_by_student, "alexnet": 0.25}
    changes = {"name": "mine", "version": 1, "lr": 0.5, "lr_by_student": mine.lr_by_student}
    assert mine == rded.model_copy(update=changes)
    assert find_protocol(str(write(HEAD))) == Protocol(name="mine")


def test_a_file_beside_it_may_be_included_but_not_its_name_or_title(write):
    write("name: base\nversion: 7\ntitle: the base\nsource: me\nlr: 0.5\nepochs: 4\n", "base.yaml")
    file = read_protocol(write(f"{HEAD}include: base.yaml\nepochs: 5\n"))
    assert (file.protocol.lr, file.protocol.epochs.at(1), file.protocol.version) == (0.5, 5, 1)
    assert (file.protocol.name, file.title, file.source) == ("mine", "one of ours", "nobody")
    with pytest.raises(UserError, match="field 'title' is missing"):
        read_protocol(write("include: base.yaml\nname: mine\nsource: me\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD}lr: -1\n", "line 4: field 'lr': Input should be greater than 0; found -1"),
        (f"{HEAD}\nlrr: 1\n", "line 5: unknown field 'lrr'. Did you mean 'lr'?"),
        (f"{HEAD}epochs:\n  up_to: [[1, 5]]\n", "line 4: field 'epochs.above' is missing"),
        (f"{HEAD}epochs:\n  up_to: [[5, 1], [1, 5]]\n  above: 3\n", "line 4: epochs.up_to has the IPC bounds [5, 1]"),
        (f"{HEAD}dsa: [color, crap]\n", "line 4: field 'dsa.1': Input should be 'color'"),
        (f"{HEAD}dsa: [flip, flip]\n", "line 4: dsa ['flip', 'flip'] lists an operation twice"),
        (f"{HEAD}include: dc\nschedule: cosine\n", "restart_optimizer with schedule: cosine"),
        (f"{HEAD}include: ltdd\nlabels: soft\n", "whitening: zca with labels: soft"),
        ("name: mine\nsource: me\n", "line 1: field 'title' is missing"),
        ("title: mine\nsource: me\n", "line 1: field 'name' is missing"),
        ("name: a/b\ntitle: mine\nsource: me\n", "line 1: field 'name': String should match"),
        ("name: mine\nname: mine\n", "line 2: 'name' is given twice"),
        ("- a\n", "line 1: expected fields (name: ..., title: ...), found ['a']"),
        ("lr: [\n", "line 2: not valid YAML"),
        (f"{HEAD}include: dcc\n", "line 4: include: no protocol 'dcc'. Did you mean 'dc'?"),
        (f"{HEAD}include: [dc]\n", "line 4: include: expected a protocol name or a file; found ['dc']"),
        (f"{HEAD}include: mine.yaml\n", "line 4: include: mine.yaml includes this file again"),
        (f"{HEAD}include: none.yaml\n", "none.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_told_with_file_and_line_and_what_was_expected(write, text, told):
    path = write(text)
    with pytest.raises(UserError) as caught:
        find_protocol(str(path))
    assert told in str(caught.value)
    assert str(path.parent) in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_mistake_in_an_included_file_is_told_with_that_file(write):
    write("name: base\ntitle: the base\nsource: me\nlr: big\n", "base.yaml")
    with pytest.raises(UserError, match=r"base\.yaml, line 4: field 'lr'"):
        find_protocol(str(write(f"{HEAD}include: base.yaml\n")))


def test_a_file_cannot_take_the_name_of_another_protocol(write):
    """Tables would call both the same, and its numbers would stand beside published ones."""
    with pytest.raises(UserError, match="name 'idc' is already used by another protocol"):
        find_protocol(str(write(HEAD.replace("mine", "idc"))))
    assert find_protocol(str(shipped_folder() / "idc.yaml")) == Protocol()


def test_an_unknown_name_says_that_a_file_works_too():
    with pytest.raises(
        UserError, match=r"unknown protocol 'dsaa'\. Did you mean 'dsa'\? .* A path to a YAML file works"
    ):
        resolve_protocol("dsaa")


def test_a_file_that_is_written_again_is_read_again(write):
    first, path = find_protocol(str(write(f"{HEAD}lr: 0.5\n"))), write(f"{HEAD}lr: 0.25\n")
    assert (first.lr, find_protocol(str(path)).lr) == (0.5, 0.25)


def test_the_augmentation_robust_score_leaves_siamese_augmentation_out():
    assert without_augmentation(resolve_protocol("dsa")).dsa == ()
    assert without_augmentation(resolve_protocol("idc")) == resolve_protocol("plain").model_copy(update={"name": "idc"})
