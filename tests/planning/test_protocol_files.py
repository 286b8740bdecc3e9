"""A request and a suite may name a protocol by its file: no key holds its path, and a mistake is found before anything runs."""

import pytest
import yaml

from harness.core.errors import UserError
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.support import tiny_suite_values

MINE = "name: mine\ntitle: one of ours\nsource: nobody\nepochs: 3\nbatch_size: 5\n"


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def write_suite(folder, **changes):
    """Write the tiny suite with changes and return its path."""
    folder.mkdir(exist_ok=True)
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**tiny_suite_values(), "name": "other", **changes}))
    return path


def keys(suite, **fields):
    fields = {"methods": ["random_real"], "ipc": [1], **fields}
    return make_plan(resolve(make_request(suite=suite, **fields)).plan_input).jobs


def test_a_request_takes_a_file_and_its_jobs_have_the_whole_protocol(tiny_suite, mine):
    resolved = resolve(make_request(suite=tiny_suite, methods=["random_real"], ipc=[1], protocol=mine))
    assert resolved.plan_input.protocol.name == "mine"
    jobs = [job for job in make_plan(resolved.plan_input).jobs.values() if job.kind == "train"]
    assert {job.spec["protocol"]["batch_size"] for job in jobs} == {5}
    assert {job.spec["protocol"]["name"] for job in jobs} == {"mine"}


def test_where_the_file_lies_changes_no_key(tiny_suite, mine, tmp_path):
    moved = tmp_path / "elsewhere.yml"
    moved.write_text(f"# a comment\n{MINE}")
    assert list(keys(tiny_suite, protocol=mine)) == list(keys(tiny_suite, protocol=moved))
    moved.write_text(MINE.replace("batch_size: 5", "batch_size: 6"))
    assert list(keys(tiny_suite, protocol=mine)) != list(keys(tiny_suite, protocol=moved))


def test_a_suite_changes_fields_of_a_file_by_its_name(mine, tmp_path):
    suite = write_suite(tmp_path / "s", protocol="../mine.yaml", protocol_overrides={"mine": {"batch_size": 7}})
    resolved = resolve(make_request(suite=suite, methods=["random_real"]))
    assert (resolved.plan_input.protocol.name, resolved.plan_input.protocol.batch_size) == ("mine", 7)
    assert resolved.suite.protocol == "mine", "a path would differ between machines"


def test_a_teacher_learns_by_a_file_and_no_key_holds_its_path(mine, tmp_path):
    first, other = ({"student": "convnet3", "epochs": 1, "protocol": p} for p in ("../mine.yaml", str(mine)))
    wanted = {"methods": ["herding"]}
    jobs = [keys(write_suite(tmp_path / str(i), teacher=t), **wanted) for i, t in enumerate((first, other))]
    assert list(jobs[0]) == list(jobs[1])
    teacher = next(job for job in jobs[0].values() if job.kind == "teacher")
    assert teacher.spec["protocol"]["batch_size"] == 5
    assert teacher.spec["teacher"]["protocol"] == "mine"


def test_a_suite_that_includes_another_takes_its_file(mine, tmp_path):
    write_suite(tmp_path / "base", protocol="../mine.yaml")
    child = tmp_path / "child.yaml"
    child.write_text("include: base/suite.yaml\nname: child\n")
    assert resolve(make_request(suite=child, methods=["random_real"])).plan_input.protocol.name == "mine"


def test_two_files_of_one_name_are_refused(mine, tmp_path):
    suite = write_suite(tmp_path / "s", protocol="../mine.yaml")
    other = tmp_path / "other.yaml"
    other.write_text(MINE.replace("epochs: 3", "epochs: 4"))
    with pytest.raises(UserError, match="another file of this run is also named 'mine'"):
        resolve(make_request(suite=suite, methods=["random_real"], protocol=other))


def test_a_file_that_is_not_there_is_told(tiny_suite, tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read: No such file"):
        resolve(make_request(suite=tiny_suite, methods=["random_real"], protocol=tmp_path / "none.yaml"))


def test_no_teacher_learns_on_whitened_images(tmp_path):
    suite = write_suite(tmp_path / "s", teacher={"student": "convnet3", "epochs": 1, "protocol": "ltdd"})
    with pytest.raises(UserError, match=r"teacher\.protocol 'ltdd' has whitening: zca"):
        resolve(make_request(suite=suite, methods=["random_real"]))


def test_images_that_are_too_large_to_be_whitened_are_refused_in_the_plan(tmp_path):
    suite = write_suite(tmp_path / "s", student_image_size=65)
    with pytest.raises(
        UserError, match=r"suite other, protocol 'ltdd': whitening: zca supports images of at most 12,288"
    ):
        resolve(make_request(suite=suite, methods=["random_real"], protocol="ltdd"))
