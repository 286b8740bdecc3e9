"""Released sets from file to table: several sets in a file, float pixels, ZCA, and doubts about their class order."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import harness
from harness.api.doubts import suspicious_below
from harness.api.evaluate import evaluation
from harness.core.errors import UserError
from harness.core.suites import load_suite
from harness.data.sets.floats import FLOATS_FILE
from harness.jobs.context import real_images
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from harness.training.whitening import fit_zca


@pytest.fixture
def given(tensors):
    """Images uint8 [30, 3, 16, 16], class after class, and labels."""
    order = np.argsort(tensors[1], kind="stable")
    return torch.from_numpy(tensors[0][order]), torch.from_numpy(tensors[1][order])


def evaluate(images, suite, store, **fields):
    return harness.evaluate(
        images, **{"as_name": "theirs", "suite": suite, "ipc": 1, "executor": "local", "store": store} | fields
    )


def done(run):
    rows = harness.load_results(run)
    assert set(rows["status"]) == {"done"}, rows["error"].tolist()
    return rows


def planned(images, suite, store, **fields):
    with evaluation(
        images, **{"as_name": "theirs", "suite": suite, "ipc": 1, "executor": "local", "store": store} | fields
    ) as ready:
        return ready


def test_each_set_of_a_file_is_a_distillation_seed(given, tiny_suite, tmp_path):
    images, labels = given
    torch.save({"data": [[images, labels], [images.flip(3), labels]], "accs_all_exps": {}}, tmp_path / "res.pt")
    rows = done(evaluate(tmp_path / "res.pt", tiny_suite, tmp_path / "s", seeds=[0]))
    assert sorted(rows["distillation_seed"]) == [0, 1]
    folders = [tmp_path / "s" / "store" / "synthesize" / key for key in rows["distilled_key"]]
    assert len({(folder / "2" / "00000.png").read_bytes() for folder in folders}) == 2, "images of its own for each"
    first = planned(tmp_path / "res.pt", tiny_suite, tmp_path / "s", distill_seeds=[1])
    assert [job.spec["seed"] for job in first.plan.jobs.values() if job.kind == "synthesize"] == [1]
    with pytest.raises(UserError, match=r"\(distillation seeds 0 to 1\); there is no seed 2"):
        planned(tmp_path / "res.pt", tiny_suite, tmp_path / "s", distill_seeds=[0, 2])


def test_floats_that_are_bytes_train_as_the_bytes_and_others_as_they_are(given, tiny_suite, tmp_path):
    """The float path changes nothing but the rounding: equal numbers for equal pixels, another key, other bytes kept."""
    images, labels = given
    torch.save([images, labels], tmp_path / "bytes.pt")
    torch.save([images / 255, labels], tmp_path / "floats.pt")
    torch.save([images / 255 * 3 - 1, labels], tmp_path / "wide.pt")
    store, kept = tmp_path / "s", {"keep_float": True, "normalised": "none"}
    plain = done(evaluate(tmp_path / "bytes.pt", tiny_suite, store)).iloc[0]
    floats = done(run := evaluate(tmp_path / "floats.pt", tiny_suite, store, ipc=[1, 3], **kept)).set_index("ipc")
    assert floats.loc[1, "top1_last"] == pytest.approx(plain["top1_last"], abs=1.0)
    assert floats.loc[1, "train_key"] != plain["train_key"]
    assert floats["method_title"].tolist() == ["theirs (float32 pixels)"] * 2
    file = store / "store" / "synthesize" / floats.loc[3, "distilled_key"] / FLOATS_FILE
    assert floats.loc[3, "storage_bytes"] == file.stat().st_size > 4 * 3 * 10 * 3 * 256
    assert floats.loc[1, "storage_bytes"] == round(file.stat().st_size / 3)
    assert (run.folder / "images" / "theirs_ipc1_seed0.png").is_file()
    wide = done(evaluate(tmp_path / "wide.pt", tiny_suite, store, **kept)).iloc[0]
    assert "clipping" in wide["notes"]
    kept_file = load_file(store / "store" / "synthesize" / wide["distilled_key"] / FLOATS_FILE)
    assert (kept_file["0"].min(), kept_file["0"].max()) == (-1, pytest.approx((images[0] / 255 * 3 - 1).max()))
    assert wide["top1_last"] != floats.loc[1, "top1_last"]


def whitened(images, suite):
    context = resolve(make_request(suite=suite)).context
    zca = fit_zca(real_images(context, "train", 16)[0])
    return zca(images / 255)


def test_zca_is_undone_with_the_training_split(given, tiny_suite, tmp_path):
    """A whitened set scores what its images score; under a protocol that whitens, with floats, too."""
    images, labels = given
    torch.save([images, labels], tmp_path / "plain.pt")
    torch.save([whitened(images, tiny_suite), labels], tmp_path / "white.pt")
    store = tmp_path / "s"
    plain = done(evaluate(tmp_path / "plain.pt", tiny_suite, store)).iloc[0]
    white = done(evaluate(tmp_path / "white.pt", tiny_suite, store, normalised="zca")).iloc[0]
    assert white["top1_last"] == plain["top1_last"]
    sets = [store / "store" / "synthesize" / row["distilled_key"] for row in (plain, white)]
    for image in sorted(sets[0].glob("*/*.png")):
        assert image.read_bytes() == (sets[1] / image.relative_to(sets[0])).read_bytes()
    assert "whitening was inverted" in white["notes"]
    soft = torch.nn.functional.one_hot(labels, 10) * 4.0
    torch.save([whitened(images, tiny_suite) * 1.5, soft], tmp_path / "datm.pt")
    chosen = {"protocol.whitening": "zca", "protocol.temperature": 1}
    datm = evaluate(
        tmp_path / "datm.pt", tiny_suite, store, normalised="zca", keep_float=True, labels="own", settings=chosen
    )
    assert done(datm)["label_bytes"].tolist() == [2 * 10 * 10]


@pytest.mark.slow
def test_a_wrong_class_order_is_warned_of(given, tiny_suite, tmp_path, capsys):
    """Before anything runs where the store has a teacher, and where all students end at chance."""
    images, labels = given
    torch.save([images, labels], tmp_path / "right.pt")
    torch.save([images, (labels + 1) % 10], tmp_path / "wrong.pt")
    store = tmp_path / "s"
    evaluate(tmp_path / "right.pt", tiny_suite, store, protocol="rded")  # trains the teacher
    assert not any(line.startswith("warning") for line in planned(tmp_path / "right.pt", tiny_suite, store).about)
    assert any("class order looks wrong" in line for line in planned(tmp_path / "wrong.pt", tiny_suite, store).about)
    capsys.readouterr()
    evaluate(tmp_path / "wrong.pt", tiny_suite, store, ipc=3)
    assert "warning  all students of theirs are near chance" in capsys.readouterr().err
    evaluate(tmp_path / "right.pt", tiny_suite, store, ipc=3)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(("classes", "share"), [(2, 2 / 3), (3, 5 / 9), (4, 0.5), (10, 0.2), (1000, 0.002)])
def test_what_is_suspicious_is_twice_chance_from_four_classes_on(classes, share):
    assert suspicious_below(classes) == pytest.approx(share)


def test_soft_labels_of_another_order_are_warned_of_and_hard_protocols_ask_for_a_temperature(
    given, tiny_suite, tmp_path
):
    images, labels = given
    soft = torch.nn.functional.one_hot((labels + 1) % 10, 10) * 5.0
    torch.save({"images": images, "labels": labels, "soft_labels": soft}, tmp_path / "set.pt")
    ready = planned(tmp_path / "set.pt", tiny_suite, tmp_path / "s", labels="own", protocol="rded")
    assert any(line.startswith("warning  only 0.0 % of the soft labels") for line in ready.about)
    assert load_suite(str(tiny_suite)).suite.protocol == "idc"
    with pytest.raises(UserError, match=r"protocol idc is made for hard labels.*--set protocol.temperature=1"):
        planned(tmp_path / "set.pt", tiny_suite, tmp_path / "s", labels="own")
    chosen = {"settings": {"protocol.temperature": 1}}
    ready = planned(tmp_path / "set.pt", tiny_suite, tmp_path / "s", labels="own", **chosen)
    assert ready.resolved.plan_input.protocol.labels == "stored"


def test_the_command_line_takes_two_files(given, tiny_suite, tmp_path, cli):
    torch.save(given[0], tmp_path / "images_best.pt")
    torch.save(given[1], tmp_path / "labels_best.pt")
    common = ("--as", "theirs", "--suite", tiny_suite, "--store", tmp_path / "s", "--dry-run")
    code, _, err = cli("evaluate", tmp_path / "images_best.pt", tmp_path / "labels_best.pt", *common)
    assert code == 0, err
    assert "30 images of 10 classes; 3 of each are used" in err
    code, _, err = cli("evaluate", *[tmp_path / "images_best.pt"] * 3, *common)
    assert code == 2
    assert "3 paths were given" in err
