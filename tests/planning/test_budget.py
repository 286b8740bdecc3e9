"""Budgets in bytes, and soft labels that cost a teacher: what must be kept, and what it reaches."""

import pytest
import yaml

import harness
from harness.core.errors import UserError
from harness.core.store import Store
from harness.core.text import parse_bytes
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.support import tiny_suite_values

PER_IPC = 10 * 3 * 16 * 16
"""Bytes of one uncompressed image for each class of the tiny suite."""


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500", 500),
        ("8kB", 8000),
        ("64 KiB", 65536),
        ("1.5MB", 1_500_000),
        ("2G", 2 * 10**9),
        ("7680b", 7680),
        (12, 12),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "1.5", "8 kilo", "1e6"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"size|bytes"):
        parse_bytes(text)


def test_a_budget_in_bytes_holds_as_many_uncompressed_images_as_fit(tiny_suite):
    resolved = resolve(make_request(suite=tiny_suite, bytes=["7.68kB", 3 * PER_IPC - 1, 3 * PER_IPC]))
    assert resolved.suite.budget.ipc == (1, 2, 3)


def test_a_suite_may_give_its_budget_in_bytes(tmp_path):
    values = tiny_suite_values()
    values["budget"] = {"bytes": [PER_IPC, 4 * PER_IPC], "training_seeds": [0]}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    assert resolve(make_request(suite=path)).suite.budget.ipc == (1, 4)
    assert resolve(make_request(suite=path, ipc=[2])).suite.budget.ipc == (2,)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"bytes": ["7kB"]}, r"7,000 bytes is too small for one image for each of 10 classes.*smallest .* 7,680 bytes"),
        (
            {"bytes": ["8kB", "9kB"]},
            r"8,000 and 9,000 bytes hold the same number of images per class .1.; keep one of them",
        ),
        ({"bytes": ["lots"]}, r"--bytes: 'lots' is not a size; expected bytes, e.g."),
        ({"bytes": ["8kB"], "ipc": [1]}, r"either as IPC or as bytes"),
        ({"bytes": []}, r"bytes: the list is empty"),
    ],
)
def test_a_budget_that_cannot_be_says_what_to_do(tiny_suite, budget, message):
    with pytest.raises(UserError, match=message):
        resolve(make_request(suite=tiny_suite, **budget))


@pytest.fixture(scope="module")
def soft(tiny_suite, shared_store):
    """Images and tokens under a byte budget, with soft labels."""
    return harness.run(
        methods=["random_real", "d3m", "full"], suite=tiny_suite, bytes=["16kB"], protocol="rded", executor="local",
        store=shared_store,
    )  # fmt: skip


def test_soft_labels_are_made_on_the_fly_by_the_suites_teacher(soft, shared_store):
    rows = harness.load_results(soft).set_index("method")
    assert set(rows["status"]) == {"done"}
    assert set(rows["protocol"]) == {"rded"}
    store = Store(shared_store)
    (key,) = store.manifest("train", rows.loc["full", "train_key"])["deps"]["teacher"]
    teacher = store.path("teacher", key) / "model.safetensors"
    assert rows["teacher_bytes"].tolist() == [teacher.stat().st_size] * 3
    assert rows.loc["random_real", ["ipc", "budget_bytes"]].tolist() == [2, 16000]
    assert rows.loc["d3m", "storage_bytes"] < 16000 < rows.loc["d3m", "shared_bytes"]


def test_the_table_shows_what_must_be_kept_and_what_is_needed_besides(soft):
    table = harness.report(soft)["bytes"]
    shown = table.display.set_index("Method")
    assert shown["Budget"].tolist() == ["15.6 KiB"] * 2
    assert shown["IPC"].tolist() == ["2", "2"]
    assert (shown["Teacher"] != "—").all()
    assert shown.loc["D3M", "Generator"] != "—"
    assert shown.loc["Random real", "Generator"] == "—"


def test_hard_labels_need_no_teacher(tiny_suite):
    from harness.planning.planner import make_plan

    def kinds(protocol):
        return make_plan(
            resolve(make_request(suite=tiny_suite, methods=["random_real"], protocol=protocol)).plan_input
        ).counts()

    assert kinds("idc")["teacher"] == 0
    assert kinds("rded")["teacher"] == 1


def test_soft_labels_without_a_teacher_are_refused_before_any_work(tmp_path):
    values = tiny_suite_values()
    del values["teacher"]
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"'rded' needs a teacher for soft labels, but suite tiny has none"):
        resolve(make_request(suite=path, protocol="rded"))


def test_a_teacher_cannot_learn_from_soft_labels(tmp_path):
    values = tiny_suite_values()
    values["teacher"]["protocol"] = "rded"
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"teacher.protocol 'rded' has soft labels"):
        resolve(make_request(suite=path))
