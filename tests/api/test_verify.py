"""`harness verify` names everything that is not as it was written, and changes nothing."""

import hashlib
import json
import shutil

import pytest

import harness
from harness.core.errors import UserError
from harness.core.integrity import MANIFEST
from tests.helpers.damage import edit_json, flip_bit


@pytest.fixture(scope="module")
def finished(tiny_suite, tmp_path_factory):
    """A store with a run of a set with a fit, and the full data."""
    store = tmp_path_factory.mktemp("finished")
    fields = {"methods": ["minimax", "full"], "suite": tiny_suite, "ipc": [1], "executor": "local", "store": store}
    harness.run(**fields, name="first")
    return store


@pytest.fixture
def store(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "s")
    return tmp_path / "s"


def row(store, method="minimax"):
    return harness.load_results("first", store).set_index("method").loc[method]


def state(store):
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def edit_record(store, **changes):
    path = store / "runs" / "first" / "records.json"
    records = json.loads(path.read_text())
    records[0] |= changes
    path.write_text(json.dumps(records))


def told(found):
    return [(problem.state, problem.what.split()[0], problem.told) for problem in found.problems]


def test_all_is_well_with_what_a_run_left(store):
    before = state(store)
    whole, of_run = harness.verify(store=store), harness.verify("first", store)
    assert (whole.ok, of_run.ok) == (True, True)
    kinds = len(list((store / "store").glob("*/*/manifest.json")))
    assert (whole.num_artefacts, whole.num_records, of_run.num_records) == (kinds, 0, 2)
    assert of_run.num_artefacts == 5, "two trainings, a set, its fit and its generator"
    assert whole.num_bytes >= of_run.num_bytes > 10_000
    assert (whole.without_sum, whole.set_aside) == ((), ())
    assert state(store) == before


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"top1_last": 99.9}, "top1_last"), ({"top1_best": 99.9}, "top1_best"), ({"fit_wall_s": 0.1}, "fit_wall_s"),
     ({"storage_bytes": 1}, "storage_bytes"), ({"kappa_last": 1.0}, "kappa_last"), ({"num_images": 1}, "num_images")],
)  # fmt: skip
def test_a_record_that_somebody_edited_is_named(changes, name, store):
    edit_record(store, **changes)
    ((kind, what, text),) = told(harness.verify("first", store))
    assert (kind, what) == ("edited", "record")
    assert text.startswith(f"{name} is {changes[name]}; its artefacts give")
    assert harness.verify(store=store).ok, "no artefact is damaged"


def test_every_number_of_a_record_is_compared(store):
    """But for those that name the machine, tell what a try lost, or depend on the numbers of real images."""
    record = json.loads((store / "runs" / "first" / "records.json").read_text())[0]
    unseen = []
    for name, value in record.items():
        if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
            edit_record(store, **{name: value + 1})
            unseen += [name] if harness.verify("first", store).ok else []
            edit_record(store, **{name: value})
    identity = ["suite_version", "method_version", "protocol_version", "ipc", "distillation_seed", "training_seed"]
    assert set(unseen) <= {*identity, "budget_bytes", "attempts", "lost_s", "distill_lost_s"}


def test_a_damaged_file_an_edited_manifest_and_a_missing_input_are_named(store):
    train, made = row(store)["train_key"], row(store)["distilled_key"]
    flip_bit(store / "store" / "synthesize" / made / "3" / "00000.png")
    edit_json(store / "store" / "train" / train / MANIFEST, top1_last=99.9)
    (prior,) = (store / "store" / "prior").iterdir()
    shutil.rmtree(prior)
    (fit,) = (store / "store" / "fit").iterdir()
    shutil.rmtree(fit)
    before = state(store)
    found = {what: text for _, what, text in told(harness.verify(store=store))}
    assert found["synthesize"] == "3/00000.png has different content than was written"
    assert found["train"] == "manifest.json was changed after it was written"
    assert sorted(found) == ["synthesize", "train"], "what is not there is damaged nowhere"
    of_run = told(harness.verify("first", store))
    assert ("missing", "fit", "a record depends on it, but it is not in the store") in of_run
    assert {what for _, what, _ in of_run} == {"synthesize", "train", "fit"}, "a generator may be deleted to save space"
    assert state(store) == before


def test_a_record_without_its_training_is_named(store):
    shutil.rmtree(store / "store" / "train" / row(store, "full")["train_key"])
    assert [one[:2] for one in told(harness.verify("first", store))] == [("missing", "train")]


def test_manifests_from_before_sums_are_counted_and_their_records_compared(store):
    path = store / "store" / "train" / row(store)["train_key"] / MANIFEST
    value = json.loads(path.read_text())
    del value["sum"]
    path.write_text(json.dumps(value))
    found = harness.verify(store=store)
    assert (found.ok, found.without_sum) == (True, (f"train {row(store)['train_key']}",))
    edit_json(path, top1_last=99.9)
    assert harness.verify(store=store).ok, "nothing can tell"
    assert [one[0] for one in told(harness.verify("first", store))] == ["edited"]


def test_the_command_prints_a_line_each_and_a_total(store, cli):
    code, out, _ = cli("verify", "--store", store)
    assert code == 0
    assert out.splitlines()[-1].endswith("no problems found")
    key = row(store)["distilled_key"]
    flip_bit(store / "store" / "synthesize" / key / "3" / "00000.png")
    code, out, err = cli("verify", "first", "--store", store)
    line, total = out.splitlines()
    assert (code, err) == (1, "")
    assert line.startswith(
        f"damaged  synthesize {key} (synthesize minimax ipc 1 seed 0): 3/00000.png has different content"
    )
    assert total.startswith("2 records, 5 artefacts, ")
    assert total.endswith(": 1 damaged")
    code, out, _ = cli("verify", "--store", store, "--json")
    value = json.loads(out)
    assert (code, value["ok"], value["problems"][0]["state"]) == (1, False, "damaged")


def test_what_was_set_aside_is_listed_and_deleted_when_that_is_asked_for(store, cli):
    kept = store / "store" / "train" / f".damaged-{row(store)['train_key']}-0123abcd"
    other = store / "store" / "train" / f".damaged-{'0' * 32}-0123abcd"
    kept.mkdir()
    other.mkdir()
    code, out, _ = cli("verify", "--store", store)
    assert (code, out.count("found damaged earlier")) == (0, 2)
    code, out, _ = cli("verify", "first", "--store", store, "--delete-damaged")
    assert (code, "deleted  1 artefact that" in out) == (0, True)
    assert (kept.exists(), other.exists()) == (False, True)
    assert harness.verify(store=store, delete_damaged=True).num_deleted == 1
    assert not other.exists()


def test_a_store_or_run_that_is_not_there_is_refused(store, tmp_path):
    with pytest.raises(UserError, match="store not found"):
        harness.verify(store=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no run 'second'"):
        harness.verify("second", store)


def test_a_remote_store_is_checked_and_no_copy_stays(store, tmp_path, monkeypatch):
    import tempfile

    import fsspec

    from harness.core.store import Store

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    uri = f"memory://{tmp_path.name}"
    filesystem, base = fsspec.core.url_to_fs(uri)
    for path in store.rglob("*"):
        if path.is_file():
            filesystem.pipe(f"{base}/{path.relative_to(store).as_posix()}", path.read_bytes())
    assert harness.verify("first", uri).ok
    found = harness.verify(store=uri)
    assert (found.ok, found.num_artefacts) == (True, harness.verify(store=store).num_artefacts)
    key = row(store)["distilled_key"]
    filesystem.pipe(f"{base}/store/synthesize/{key}/3/00000.png", b"other")
    assert [one[:2] for one in told(harness.verify(store=uri))] == [("damaged", "synthesize")]
    assert not list(Store(uri).folder.glob("*/*"))
    filesystem.rm(base, recursive=True)
