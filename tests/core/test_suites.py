"""Mistakes in a suite file are told with file and line."""

import pytest

from harness.core.config.protocol import Protocol
from harness.core.errors import UserError
from harness.core.suites import load_suite, parse_suite, suite_names
from harness.data import read_class_list
from harness.planning.method_selection import select_methods
from harness.planning.plan import PlanInput
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.resolve_suite import check_suite

GOOD = """\
name: mine
version: 1
source: {kind: digits}
classes: classes.txt
image_size: 16
budget:
  ipc: [1, 10]
students: [convnet3]
"""


def test_a_minimal_suite_is_read():
    suite = parse_suite(GOOD, "mine.yaml")
    assert suite.budget.training_seeds == (0, 1, 2)
    assert suite.side == 16


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_the_project_is_valid_and_has_its_class_list(name):
    file = load_suite(name)
    assert file.suite.name == name
    assert file.class_list.is_file()
    assert file.suite.title


@pytest.mark.parametrize(
    ("name", "num_groups"), [("imagewoof", 1), ("imagenette", 1), ("imagenet100", 5), ("imagenet1k", 50)]
)
@pytest.mark.parametrize("method", ["minimax", "d3m"])
def test_class_groups_are_fitted_by_jobs_of_their_own(name, num_groups, method):
    """Ten classes together, or twenty where there are more: minimax breaks beyond that."""
    file = load_suite(name)
    classes = read_class_list(file.class_list)
    request = make_request(suite=name, methods=[method])
    chosen = select_methods(request, file.suite, Protocol(), "cpu")
    plan = make_plan(
        PlanInput(
            suite=file.suite,
            classes=classes,
            methods=chosen,
            students=file.suite.students,
            protocol=Protocol(),
            teacher_protocol=Protocol(),
            data_fingerprint="data",
            generator_fingerprints={"class_conditional": "w"},
        )
    )
    fits = {key: job for key, job in plan.jobs.items() if job.kind == "fit"}
    assert len(fits) == num_groups
    assert sorted(c for job in fits.values() for c in job.spec["group"]) == sorted(c.id for c in classes)
    assert all(set(job.dependencies()).isdisjoint(fits) for job in fits.values())


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_overrides_only_what_exists(name):
    check_suite(load_suite(name).suite)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("image_size: 16", "image_size: [16", "mine.yaml, line 6: not valid YAML"),
        ("image_size: 16", "image_sise: 16", "line 5: unknown field 'image_sise'. Did you mean 'image_size'?"),
        ("image_size: 16", "image_size: big", "line 5: field 'image_size'"),
        ("  ipc: [1, 10]", "  ipc: [10, 1]", "line 7: field 'budget.ipc': [10, 1] must ascend"),
        ("  ipc: [1, 10]", "  ipc: [0, 10]", "line 7: field 'budget.ipc.0'"),
        ("version: 1", "version: 1\nname: again", "line 3: 'name' is given twice"),
        ("name: mine", "name: ../../evil", "line 1: field 'name'"),
        ("image_size: 16", "image_size: yes", "line 5: field 'image_size': expected a value, not a boolean"),
        (
            "students:",
            "generators: {class_conditional: {encoder: x}}\nstudents:",
            "give either `weights` (a folder or hub id) or `train`",
        ),
        ("classes: classes.txt\n", "", "field 'classes' is missing"),
    ],
)
def test_a_mistake_is_told_with_its_line(old, new, told):
    with pytest.raises(UserError) as error:
        parse_suite(GOOD.replace(old, new), "mine.yaml")
    assert told in str(error.value)


def test_a_file_that_is_no_mapping_is_refused():
    with pytest.raises(UserError, match="line 1: expected fields"):
        parse_suite("- 1\n- 2\n", "mine.yaml")


@pytest.mark.parametrize(
    ("generators", "told"),
    [
        ("{text_to_video: {}}", "unknown kind of generator 'text_to_video'; known: class_conditional, text_to_image"),
        ("{text_to_image: {train: {unet_step: 3}}}", "text_to_image.train.unet_step: Extra inputs are not permitted."),
        ("{text_to_image: {train: {unet_step: 3}}}", "Did you mean 'unet_steps'?"),
        ("{class_conditional: {train: {unet_steps: 3}}}", "class_conditional.train.unet_steps: Extra inputs"),
        ("{text_to_image: {trian: {}}}", "unknown field"),
    ],
)
def test_a_generators_training_is_read_by_its_kind(generators, told):
    suite = parse_suite(GOOD + "generators: {class_conditional: {train: {}}, text_to_image: {train: {}}}", "mine.yaml")
    assert {kind: type(spec.train).__name__ for kind, spec in suite.generators.items()} == {
        "class_conditional": "PriorTraining",
        "text_to_image": "TextPriorTraining",
    }
    assert type(suite).model_validate(suite.model_dump(mode="json")) == suite
    with pytest.raises(UserError) as error:
        parse_suite(f"{GOOD}generators: {generators}", "mine.yaml")
    assert told in str(error.value)


def test_an_unknown_suite_suggests_the_closest():
    with pytest.raises(UserError, match=r"unknown suite 'digit'\. Did you mean 'digits'"):
        load_suite("digit")


def test_a_suite_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.yaml: cannot be read"):
        load_suite(str(tmp_path / "nothing.yaml"))


@pytest.fixture
def variant(tmp_path):
    """Return a function that writes a suite, and a file that includes it, in the folder named; returns the latter."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "base.yaml").write_text(GOOD)
    (tmp_path / "base" / "classes.txt").write_text("0\n1\n")

    def write(text, folder="base"):
        path = tmp_path / folder / "variant.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def test_a_variant_says_only_what_it_changes(variant):
    suite = load_suite(
        variant("include: base.yaml\nname: other\nsource: {imbalance_factor: 10}\nstudents: [convnet4]\n")
    ).suite
    assert suite.name == "other"
    assert suite.source == {"kind": "digits", "imbalance_factor": 10}, "mappings are merged"
    assert suite.students == ("convnet4",), "lists are replaced"
    assert suite.budget.ipc == (1, 10)


def test_the_class_list_of_an_included_file_is_found_from_another_folder(variant):
    file = load_suite(variant("include: ../base/base.yaml\nname: other\n", folder="elsewhere"))
    assert file.class_list.read_text() == "0\n1\n"


def test_every_path_of_an_included_file_is_found_from_another_folder(variant, tmp_path):
    """Those of the teacher and of the generators too; what is not beside the file is looked up as it stands."""
    base = tmp_path / "base"
    for name in ("model.pt", "order.txt", "pipeline", "other"):
        (base / name).write_text("x")
    (base / "base.yaml").write_text(
        GOOD
        + "teacher: {student: convnet3, weights: model.pt, classes: order.txt}\n"
        + "generators: {class_conditional: {weights: pipeline, alternatives: [other, hub/name], "
        + "label_classes: order.txt, decoder: hub/vae}}\n"
    )
    suite = load_suite(variant("include: ../base/base.yaml\nname: other\n", folder="elsewhere")).suite
    assert (suite.teacher.weights, suite.teacher.classes) == (str(base / "model.pt"), str(base / "order.txt"))
    generator = suite.generators["class_conditional"]
    assert (generator.weights, generator.label_classes) == (str(base / "pipeline"), str(base / "order.txt"))
    assert generator.alternatives == (str(base / "other"), "hub/name")
    assert generator.decoder == "hub/vae"


def test_a_teacher_of_the_timm_package_is_no_path(variant, tmp_path):
    base = tmp_path / "base"
    (base / "base.yaml").write_text(GOOD + "teacher: {weights: 'timm:resnet18', classes: classes.txt}\n")
    teacher = load_suite(variant("include: ../base/base.yaml\nname: other\n", folder="elsewhere")).suite.teacher
    assert (teacher.weights, teacher.classes) == ("timm:resnet18", str(base / "classes.txt"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("include: base.yaml\nname: other\nimage_size: big\n", r"variant\.yaml, line 3: field 'image_size'"),
        ("include: base.yaml\nname: other\nbudget: {ipc: [2, 1]}\n", r"variant\.yaml, line 3: field 'budget.ipc'"),
        ("include: base.yaml\nname: other\nbudget: {bytes: [9]}\n", r"variant\.yaml, line 3: field 'budget'"),
        ("include: nothing.yaml\nname: other\n", r"nothing\.yaml: cannot be read"),
        ("name: other\ninclude: [base.yaml]\n", r"variant\.yaml, line 2: include: expected a file name"),
        (
            "include: variant.yaml\nname: other\n",
            r"variant\.yaml, line 1: include: variant\.yaml includes this file again",
        ),
    ],
)
def test_a_mistake_of_a_variant_is_told_with_its_own_file_and_line(variant, text, told):
    with pytest.raises(UserError, match=told):
        load_suite(variant(text))


def test_a_mistake_of_an_included_file_is_told_with_that_file(variant, tmp_path):
    path = variant("include: base.yaml\nname: other\n")
    (tmp_path / "base" / "base.yaml").write_text(GOOD.replace("image_size: 16", "image_size: big"))
    with pytest.raises(UserError, match=r"base\.yaml, line 5: field 'image_size'"):
        load_suite(path)
