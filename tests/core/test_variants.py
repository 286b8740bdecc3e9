"""Variants: suites declared in another suite's file, which change some of its fields."""

import pytest

from harness.core import suites
from harness.core.errors import UserError
from harness.core.suites import families, load_suite, parse_suite, short_name, suite_names

BASE = """\
name: pets
version: 1
source: {kind: digits}
classes: classes.txt
image_size: 16
budget: {ipc: [1, 10], training_seeds: [0]}
students: [convnet3]
"""
PETS = (
    BASE
    + """\
variants:
  pets_small:
    title: few images
    budget: {ipc: [1]}
    source: {train_share: 0.5}
  pets_20: {image_size: 20}
  pets_3: {students: [convnet4]}
"""
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of suites in place of datasets/."""
    (tmp_path / "pets.yaml").write_text(PETS)
    (tmp_path / "other.yaml").write_text(BASE.replace("pets", "other"))
    monkeypatch.setattr(suites, "data_folder", lambda name: tmp_path)
    return tmp_path


def test_a_variant_is_a_suite_by_its_name(folder):
    assert suite_names() == ["other", "pets", "pets_3", "pets_20", "pets_small"]
    assert families() == {"other": (), "pets": ("pets_3", "pets_20", "pets_small")}
    small, base = load_suite("pets_small"), load_suite("pets")
    assert (small.suite.name, small.suite.title, small.folder) == ("pets_small", "few images", folder)
    assert small.suite.source == {"kind": "digits", "train_share": 0.5}, "mappings are merged"
    assert small.suite.budget.ipc == (1,), "lists are replaced"
    assert small.suite.budget.training_seeds == (0,)
    assert base.suite == load_suite(str(folder / "other.yaml")).suite.model_copy(update={"name": "pets"})


@pytest.mark.parametrize("name", ["cifar10_lt_if50", "cifar100_lt_if200"])
def test_a_variant_equals_a_file_that_includes_and_says_the_same(name, tmp_path):
    """So the keys of a suite do not depend on how it is written."""
    base, factor = name.rsplit("_if", 1)
    variant = load_suite(name).suite
    own = tmp_path / "own.yaml"
    own.write_text(
        f"include: {suites.data_folder('datasets') / base}.yaml\nname: {name}\ntitle: {variant.title}\n"
        f"source: {{imbalance_factor: {factor}}}\nnum_images: {{train: {variant.num_images['train']}}}\n"
        f"classes: {variant.classes}\n"
    )
    assert load_suite(str(own)).suite == variant


def test_a_variant_of_ones_own_file_is_named_behind_its_path(folder, tmp_path):
    path = tmp_path / "mine" / "own.yaml"
    path.parent.mkdir()
    path.write_text(PETS)
    assert load_suite(f"{path}:pets_20").suite.image_size == 20
    assert [short_name(one) for one in (f"{path}:pets_20", str(path), "pets_20")] == ["pets_20", "own", "pets_20"]
    with pytest.raises(
        UserError, match=r"own\.yaml: no variant 'pets_2'\. Did you mean 'pets_20'\? Its variants: pets_s"
    ):
        load_suite(f"{path}:pets_2")
    with pytest.raises(UserError, match=r"other\.yaml: no variant 'x'\. It has no `variants:`"):
        load_suite(f"{folder / 'other.yaml'}:x")


def test_an_include_takes_a_files_own_fields_or_those_of_a_variant(folder, tmp_path):
    def write(included):
        path = tmp_path / "mine" / "own.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"include: {folder}/{included}\nname: mine\nvariants: {{mine_big: {{image_size: 64}}}}\n")
        return path

    (folder / "classes.txt").write_text("0\n")
    path = write("pets.yaml")
    assert load_suite(str(path)).suite.budget.ipc == (1, 10)
    with pytest.raises(UserError, match=r"own\.yaml: no variant 'pets_small'"):
        load_suite(f"{path}:pets_small")
    path = write("pets.yaml:pets_small")
    assert load_suite(str(path)).suite.budget.ipc == (1,)
    big = load_suite(f"{path}:mine_big")
    assert (big.suite.name, big.suite.image_size, big.suite.budget.ipc) == ("mine_big", 64, (1,))
    assert big.class_list.read_text() == "0\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("image_size: 20", "image_size: big", r"pets\.yaml, line 13: field 'image_size'"),
        ("image_size: 20", "image_sise: 20", r"line 13: unknown field 'image_sise'\. Did you mean 'image_size'"),
        ("budget: {ipc: [1]}", "budget: {ipc: [2, 1]}", r"line 11: field 'budget\.ipc': \[2, 1\] must ascend"),
        ("{image_size: 20}", "20", r"line 13: variants\.pets_20: expected the fields it changes"),
        (
            "{image_size: 20}",
            "{name: cats}",
            r"line 13: variants\.pets_20\.name: not allowed in a variant: it is named pets_20",
        ),
        ("{image_size: 20}", "{include: x.yaml}", r"line 13: variants\.pets_20\.include: not allowed in a variant"),
        ("pets_20:", "pets/20:", r"line 13: variants\.pets/20: a name may have letters"),
        ("pets_20:", "20:", r"line 13: variants\.20: a name may have letters"),
        ("pets_20:", "pets_small:", r"line 13: 'pets_small' is given twice"),
    ],
)
def test_a_mistake_in_a_variant_is_told_with_file_and_line(folder, old, new, told):
    path = folder / "pets.yaml"
    path.write_text(PETS.replace(old, new))
    with pytest.raises(UserError, match=told):
        load_suite(f"{path}:pets_small" if "ipc" in old else f"{path}:pets_20")


def test_variants_that_are_no_mapping_are_refused_wherever_the_suite_is_read(folder):
    text = BASE + "variants: [pets_small]\n"
    with pytest.raises(UserError, match=r"mine\.yaml, line 8: variants: expected variant names"):
        parse_suite(text, "mine.yaml")
    (folder / "pets.yaml").write_text(text)
    with pytest.raises(UserError, match=r"pets\.yaml, line 8: variants: expected variant names"):
        load_suite("pets")
    assert suite_names() == ["other", "pets"], "a broken file keeps its name, and the others theirs"


def test_a_mistake_of_the_file_is_told_to_its_variants_with_its_line(folder):
    (folder / "pets.yaml").write_text(PETS.replace("image_size: 16", "image_size: big"))
    with pytest.raises(UserError, match=r"pets\.yaml, line 5: field 'image_size'"):
        load_suite("pets_small")


def test_an_unknown_suite_may_be_meant_for_a_variant(folder):
    with pytest.raises(UserError, match=r"unknown suite 'pets_smal'\. Did you mean 'pets_small'"):
        load_suite("pets_smal")
    with pytest.raises(UserError, match=r"pets_small\.yaml: cannot be read.* is a variant: pets\.yaml:pets_small"):
        load_suite(str(folder / "pets_small.yaml"))


def test_a_variant_in_two_files_is_refused(folder):
    (folder / "cats.yaml").write_text(PETS.replace("name: pets", "name: cats"))
    with pytest.raises(UserError, match="'pets_small' is a variant in several files: cats, pets"):
        load_suite("pets_small")


def test_no_two_suites_of_the_project_have_one_name():
    names = [name for base, others in families().items() for name in (base, *others)]
    assert len(names) == len(set(names))
    assert families()["cifar10_lt"] == tuple(f"cifar10_lt_if{factor}" for factor in (10, 20, 50, 100, 200))
