"""Label- and augmentation-robust scores: DD-Ranking's formulas, and the students that they need."""

import hashlib
import json
import math
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.core.config.protocol import HARD_LABELS
from harness.reporters.stats.robustness import augmentation_robust, label_robust, normalised
from harness.training.protocols import resolve_protocol, variants
from tests.helpers.cifar_files import cifar10_files, write_folder
from tests.helpers.support import small_suite

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "dd_ranking.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["lrs"], ids=lambda c: f"{c['evaluator']}-{c['lrs']:.3f}")
def test_the_label_robust_score_is_the_documented_one(case):
    accuracy = {name: value / 100 for name, value in case["accuracy_percent"].items()}
    assert label_robust(**accuracy, weight=case["weight"]) == pytest.approx(case["lrs"], rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["ars"], ids=lambda c: f"{c['ars']:.3f}")
def test_the_augmentation_robust_score_is_the_documented_one(case):
    accuracy = {name.replace("noaug", "plain"): value / 100 for name, value in case["accuracy_percent"].items()}
    assert augmentation_robust(**accuracy, weight=case["weight"]) == pytest.approx(case["ars"], rel=1e-9)


def test_half_of_the_weight_is_on_either_part_unless_one_asks():
    """golden/dd_ranking.json, formulas: default w = 0.5, default g = 0.5."""
    lrs, ars = ([case for case in GOLDEN[kind] if case["weight"] == 0.5] for kind in ("lrs", "ars"))
    assert min(len(lrs), len(ars)) >= 5
    for case in lrs:
        accuracy = {name: value / 100 for name, value in case["accuracy_percent"].items()}
        assert label_robust(**accuracy) == pytest.approx(case["lrs"], rel=1e-9)
    for case in ars:
        accuracy = {name.replace("noaug", "plain"): value / 100 for name, value in case["accuracy_percent"].items()}
        assert augmentation_robust(**accuracy) == pytest.approx(case["ars"], rel=1e-9)


def test_the_mapping_is_the_documented_one():
    for case in GOLDEN["normalisation"]:
        assert normalised(case["value"]) == pytest.approx(case["normalised"], rel=1e-9)


def test_percent_is_refused_where_fractions_are_due():
    """The authors' code takes it, and prints 10 ** 14."""
    with pytest.raises(ValueError, match=r"accuracy 84.83 is no fraction; divide percent by 100"):
        label_robust(84.83, 40.04, 73.22, 53.21)


def test_soft_labels_need_hard_ones_too_and_every_protocol_one_without_augmentation():
    assert set(variants(resolve_protocol("idc"))) == {"no augmentation"}
    found = variants(resolve_protocol("rded"))
    assert set(found) == {"no augmentation", HARD_LABELS}
    assert found[HARD_LABELS].labels == "hard"
    plain = found["no augmentation"]
    assert plain.labels == "soft"
    assert (plain.cutmix_probability, plain.patch_shuffle, plain.crop_scale, plain.flip) == (0, 1, None, False)


@pytest.fixture(scope="module")
def scored(tmp_path_factory, shared_store):
    """Herding, with the references that scores bring along, under soft labels; on 101 images, for full data are trained on."""
    root, files = tmp_path_factory.mktemp("scored"), cifar10_files(num_train=20)
    write_folder(files, root / "cifar-10-batches-py")
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    few = {"epochs": {"up_to": [], "above": 2}, "num_evaluations": 1, "scale_epochs_at_100_classes": False}
    suite = small_suite(
        "cifar10_lt_if10", root, source={"md5": sums}, protocol_overrides={"rded": few},
        teacher={"student": "convnet3", "epochs": 1, "min_share": 0},
    )  # fmt: skip
    return harness.run(
        methods=["herding"], suite=suite, data_root=root, ipc=[2], seeds=[0, 1], protocol="rded", executor="local",
        store=shared_store, scores=True,
    )  # fmt: skip


def test_scores_bring_their_references_and_train_what_they_need(scored):
    rows = harness.load_results(scored)
    assert set(rows["status"]) == {"done"}
    trained = rows.groupby("method")["variant"].apply(lambda v: sorted(set(v))).to_dict()
    everything = ["", HARD_LABELS, "no augmentation"]
    assert trained == {"herding": everything, "random_real": everything, "full": ["", HARD_LABELS]}


def test_a_score_is_the_formula_on_the_accuracies_of_its_seeds(scored):
    rows = harness.load_results(scored)
    best = rows.set_index(["method", "variant", "training_seed"])["top1_best"] / 100

    def both(seed):
        def at(method, variant=""):
            return best.loc[(method, variant, seed)]

        return (
            label_robust(at("full", HARD_LABELS), at("herding", HARD_LABELS), at("herding"), at("random_real")),
            augmentation_robust(
                at("herding"), at("random_real"), at("herding", "no augmentation"), at("random_real", "no augmentation")
            ),
        )

    expected = pd.DataFrame([both(0), both(1)]) * 100
    table = harness.report(scored)["scores"].frame.set_index("method")
    assert table.loc["herding", "num_runs"] == 2
    assert table.loc["herding", "lrs_mean_x100"] == pytest.approx(expected[0].mean())
    assert table.loc["herding", "ars_std_x100"] == pytest.approx(expected[1].std())
    assert table.loc["random_real", "ars_mean_x100"] == pytest.approx(100 * normalised(0))


def test_a_chosen_method_keeps_its_scores_though_their_references_are_not_chosen(scored):
    whole, chosen = (
        harness.report(scored, layout="scores", methods=names)["scores"].frame for names in ((), ("herding",))
    )
    expected = whole[whole["method"] == "herding"].reset_index(drop=True)
    pd.testing.assert_frame_equal(chosen, expected)


def test_students_of_a_changed_protocol_stand_in_no_other_table(scored):
    board = harness.report(scored)["leaderboard"].frame.set_index("method")
    assert board.loc["herding", "convnet3_num_runs"] == 2


def test_a_run_without_scores_has_no_such_table(tiny_suite, shared_store):
    run = harness.run(methods=["random_real"], suite=tiny_suite, executor="local", store=shared_store)
    assert "scores" not in harness.report(run)


def test_a_missing_reference_leaves_a_dash(scored):
    from harness.reporters.tables.scores import scores

    rows = harness.load_results(scored)
    without = rows[rows["method"] != "full"]
    table = scores(without)[0]
    assert set(table.display["LRS"]) == {"—"}
    assert not set(table.display["ARS"]) & {"—"}
    assert all(math.isnan(v) for v in table.frame["lrs_mean_x100"])
