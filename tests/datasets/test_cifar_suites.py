"""The CIFAR-LT suites end to end, on archives in the original's format with few images."""

import hashlib
import json

import pandas as pd
import pytest

import harness
from harness.core.io import data_folder
from harness.core.suites import load_suite
from harness.data import read_class_list
from harness.data.dataset_cards import load_known
from harness.data.sources.long_tail import long_tail_counts
from tests.helpers.cifar_files import CIFAR10, cifar10_files, cifar100_files, write_archive, write_folder
from tests.helpers.support import TINY_PRIOR, TINY_TEXT_PRIOR, small_suite, tiny_suite_values


def sums(files):
    return {name: hashlib.md5(content).hexdigest() for name, content in files.items()}


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory, shared_store):
    """A run of every method at imbalance factor 10, on 20 images of the largest class and 2 of the smallest."""
    root, files = tmp_path_factory.mktemp("cifar10"), cifar10_files(num_train=20)
    write_folder(files, root / "cifar-10-batches-py")
    methods = tiny_suite_values()["method_overrides"]
    methods["d3m"]["initializer"] = "object"  # the neutral word of these suites
    suite = small_suite(
        "cifar10_lt_if10", root, source={"md5": sums(files)}, method_overrides=methods,
        budget={"ipc": [1, 4], "training_seeds": [0]},
        generators={"class_conditional": {"train": TINY_PRIOR}, "text_to_image": {"train": TINY_TEXT_PRIOR}},
    )  # fmt: skip
    return harness.run(methods="all", suite=suite, data_root=root, executor="local", store=shared_store)


@pytest.fixture(scope="module")
def rows(cifar10):
    return harness.load_results(cifar10)


@pytest.mark.slow
def test_every_method_runs_on_the_long_tail(rows):
    assert set(rows["status"]) == {"done"}, rows["error"].unique()
    assert {"full", "random_real", "herding", "k_center", "dit", "minimax", "d3m"} <= set(rows["method"])
    assert set(rows["suite"]) == {"cifar10_lt_if10"}
    assert rows["source"].str.contains("imbalance factor 10, 20 to 2 images per class").all()
    assert rows.query("method == 'full'")["num_images"].item() == sum(long_tail_counts(20, 10, 10))


@pytest.mark.slow
def test_a_class_smaller_than_ipc_is_repeated_and_the_record_says_so(rows):
    found = rows.query("method == 'random_real'").set_index("ipc")["duplicates"]
    short = [4 - n for n in long_tail_counts(20, 10, 10) if n < 4]
    assert (found[1], found[4]) == (0, sum(short))


@pytest.mark.slow
def test_records_hold_head_to_tail_and_every_class(rows):
    for _, row in rows.iterrows():
        by_class = json.loads(row["class_accuracy_last"])
        assert list(by_class) == list(CIFAR10)
        values = list(by_class.values())
        thirds = [sum(part) / len(part) for part in (values[:3], values[3:7], values[7:])]
        named = [row[f"{name}_accuracy_last"] for name in ("head", "medium", "tail")]
        assert named == pytest.approx(thirds)
        assert row["average_accuracy_last"] == pytest.approx(row["top1_last"]), "equal on a balanced test split only"


@pytest.mark.slow
def test_tables_show_head_to_tail_and_every_class(cifar10):
    shown = pd.read_csv(cifar10.folder / "tables" / "metrics.csv")
    assert shown["tail_accuracy_last_mean_percent"].notna().all()
    assert "Head accuracy %" in (cifar10.folder / "tables" / "metrics.md").read_text()
    by_class = pd.read_csv(cifar10.folder / "tables" / "class_accuracy.csv")
    assert set(by_class["class"]) == set(CIFAR10)


@pytest.mark.slow
def test_the_confusion_matrix_lies_beside_the_curve(rows, shared_store):
    row = rows.query("method == 'full'").iloc[0]
    frame = pd.read_csv(shared_store / "store" / "train" / row["train_key"] / "confusion.csv")
    last = frame.query("evaluation == 'last'")
    assert last.groupby("true_class")["num_images"].sum().to_dict() == dict.fromkeys(CIFAR10, 2)
    hits = last.query("true_class == called_class")["num_images"].sum()
    assert row["top1_last"] == pytest.approx(100 * hits / 20)
    assert set(frame["evaluation"]) == {"last", "best"}


@pytest.mark.slow
def test_the_factor_is_set_on_the_command_line_too(cifar10, shared_store):
    root = cifar10.folder.parents[0]
    files = cifar10_files(num_train=20)
    write_archive(files, root / "cifar-10-python.tar.gz", "cifar-10-batches-py")
    suite = small_suite("cifar10_lt", root, source={"md5": sums(files)})
    run = harness.run(
        methods=["random_real"], suite=suite, data_root=root, executor="local", store=shared_store,
        settings={"data.imbalance_factor": 5},
    )  # fmt: skip
    assert "imbalance factor 5, 20 to 4 images" in harness.load_results(run)["source"].item()


@pytest.mark.slow
def test_cifar100_runs_with_its_hundred_classes(tmp_path, shared_store):
    names = [c.id for c in read_class_list(data_folder("datasets") / "classes" / "cifar100.txt")]
    files = cifar100_files(names)
    write_folder(files, tmp_path / "cifar-100-python")
    suite = small_suite("cifar100_lt_if10", tmp_path, source={"md5": sums(files)})
    run = harness.run(methods=["random_real"], suite=suite, data_root=tmp_path, executor="local", store=shared_store)
    row = harness.load_results(run).iloc[0]
    assert (row["status"], row["num_images"]) == ("done", 100)
    assert 0 <= row["tail_accuracy_last"] <= 100
    assert pd.isna(row["many_shot_accuracy_last"]), "no class of this small copy has more than 100 images"


@pytest.mark.parametrize("num", [10, 100])
def test_every_imbalance_factor_is_a_suite_that_changes_nothing_else(num):
    base = load_suite(f"cifar{num}_lt").suite
    same = {"name", "title", "source", "num_images"}
    for factor in (10, 20, 50, 100, 200):
        suite = load_suite(f"cifar{num}_lt_if{factor}").suite
        assert suite.source == {**base.source, "imbalance_factor": factor}
        assert suite.model_dump(exclude=same) == base.model_dump(exclude=same)
        counts = long_tail_counts(50000 // num, num, factor)
        assert suite.num_images == {"train": sum(counts), "test": 10000}


def test_archive_sums_are_those_that_torchvision_knows():
    from torchvision.datasets import CIFAR10 as Ten
    from torchvision.datasets import CIFAR100 as Hundred

    for suite, known in (("cifar10_lt", Ten), ("cifar100_lt", Hundred)):
        source = load_suite(suite).suite.source
        variant = load_known(source["origins"][0]).source.variants["full"]
        assert variant.archive is not None
        assert (variant.archive.url, variant.archive.md5) == (known.url, known.tgz_md5)
        assert (source["archive"], variant.root) == (known.filename, known.base_folder)
        files = [*known.train_list, *known.test_list, [known.meta["filename"], known.meta["md5"]]]
        assert source["md5"] == dict(files)
        assert source["root"] == known.base_folder
