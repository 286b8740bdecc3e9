"""Where weights are looked for, what stands for them in a key, and what a wrong place costs: one message, no job."""

import shutil

import pytest
import torch
import yaml

import harness
from harness.core import hub
from harness.core.classes import ClassInfo
from harness.core.config.generator import GeneratorSpec, PriorTraining
from harness.core.errors import UserError
from harness.core.suites import SuiteFile, load_suite
from harness.diffusion import weights
from harness.planning.request import make_request
from harness.planning.resolve import resolve
from tests.helpers.hub import COMMIT, serve
from tests.helpers.support import ROOT, tiny_suite_values

NAME = "someone/tiny-dit"
DIGITS = [str(i) for i in range(10)]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    """An empty cache of the hub client, and no hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A DiTPipeline folder for the digits suite, barely trained."""
    from harness.diffusion.prior import train_class_conditional

    spec = PriorTraining(vae_channels=(8, 8), vae_steps=2, hidden_size=32, depth=2, num_heads=2, dit_steps=2)
    images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("weights") / "pipeline"
    train_class_conditional(
        images, torch.arange(20) % 10, spec=spec, class_names=DIGITS, out_folder=folder, device="cpu"
    )
    return folder


@pytest.fixture
def file(tmp_path) -> SuiteFile:
    """A suite file in a folder of its own; only the folder is looked at."""
    (tmp_path / "suite").mkdir()
    return SuiteFile(load_suite("digits").suite, tmp_path / "suite")


def snapshot(tmp_path, commit, *, main=True):
    """A snapshot in the hub client's cache."""
    folder = tmp_path / "hub" / "models--someone--tiny-dit"
    (folder / "snapshots" / commit).mkdir(parents=True)
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit


def test_places_are_searched_in_the_documented_order(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, root = tmp_path / "data", tmp_path / "weights"
    order = [root / NAME, root / "tiny-dit", data / "weights" / NAME, data / "weights" / "tiny-dit", data / NAME,
             file.folder / NAME, tmp_path / NAME]  # fmt: skip
    spec = GeneratorSpec(weights=NAME)
    for place in reversed(order):
        place.mkdir(parents=True)
        assert weights.locate(spec, file, str(data), str(root)).weights == str(place)
    assert weights.locate(spec, file, str(data), None).weights == str(order[2])


def test_an_alternative_is_taken_before_a_download_and_after_the_first_name(file, tmp_path):
    (tmp_path / "DiT.pt").touch()
    spec = GeneratorSpec(weights=NAME, alternatives=("other.pt", "DiT.pt"))
    assert weights.locate(spec, file, "data", str(tmp_path)).weights == str(tmp_path / "DiT.pt")
    (tmp_path / "tiny-dit").mkdir()
    assert weights.locate(spec, file, "data", str(tmp_path)).weights == str(tmp_path / "tiny-dit")


def test_a_hub_id_is_pinned_to_what_the_cache_holds(file, tmp_path):
    spec = GeneratorSpec(weights=NAME)
    assert weights.locate(spec, file, "data").weights == NAME
    folder = snapshot(tmp_path, "abc")
    assert weights.locate(spec, file, "data").weights == f"{NAME}@abc"
    assert hub.on_disk(f"{NAME}@abc") == folder
    assert hub.on_disk(f"{NAME}@other") is None


def test_a_snapshot_without_the_note_of_its_branch_is_found(file, tmp_path):
    """A download by commit leaves no such note."""
    snapshot(tmp_path, "abc", main=False)
    assert weights.locate(GeneratorSpec(weights=NAME), file, "data").weights == f"{NAME}@abc"
    assert weights.locate(GeneratorSpec(weights=f"{NAME}@v2"), file, "data").weights == f"{NAME}@v2"


def test_the_key_is_the_same_before_and_after_the_download(file, tmp_path, monkeypatch):
    spec = GeneratorSpec(weights=NAME)
    served = tmp_path / "served"
    served.mkdir()
    with serve({NAME: served}) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        before = weights.locate(spec, file, "data", ask_hub=True)
    snapshot(tmp_path, COMMIT)
    after = weights.locate(spec, file, "data")
    assert before.weights == after.weights == f"{NAME}@{COMMIT}"
    assert weights.fingerprint(before, ()) == weights.fingerprint(after, ())


def test_the_fingerprint_names_contents_and_not_places(pipeline, tmp_path):
    copy = shutil.copytree(pipeline, tmp_path / "elsewhere")
    first, second = (weights.fingerprint(GeneratorSpec(weights=str(p)), ()) for p in (pipeline, copy))
    assert first == second
    (copy / "model_index.json").write_text("{}")
    assert weights.fingerprint(GeneratorSpec(weights=str(copy)), ()) != first


def write_suite(tmp_path, generator, **changes):
    values = tiny_suite_values() | changes
    values["generators"] = {"class_conditional": generator}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_run_samples_weights_from_the_weights_root(pipeline, tmp_path, shared_store):
    suite = write_suite(tmp_path, {"weights": "someone/pipeline"})
    run = harness.run(
        methods=["dit"], suite=suite, ipc=[1], executor="local", store=shared_store, weights_root=pipeline.parent
    )
    assert set(harness.load_results(run)["status"]) == {"done"}


def prepare(suite, root, methods=("dit",)):
    return resolve(make_request(methods=methods, suite=suite, weights_root=root))


def test_weights_of_another_size_are_refused_before_any_job(pipeline, tmp_path):
    suite = write_suite(tmp_path, {"weights": "pipeline"}, image_size=32)
    with pytest.raises(UserError, match=r"draws images of 16 pixels .* the suite's image_size is 32"):
        prepare(suite, pipeline.parent)


def test_another_pipeline_is_refused_before_any_job(pipeline, tmp_path):
    shutil.copytree(pipeline, tmp_path / "w" / "pipeline")
    config = tmp_path / "w" / "pipeline" / "transformer" / "config.json"
    config.write_text(config.read_text().replace("DiTTransformer2DModel", "PixArtTransformer2DModel"))
    with pytest.raises(UserError, match="describes a PixArtTransformer2DModel"):
        prepare(write_suite(tmp_path, {"weights": "pipeline"}), tmp_path / "w")


def test_weights_that_no_method_of_the_request_needs_are_not_looked_at(tmp_path):
    suite = write_suite(tmp_path, {"weights": "no/such"})
    assert prepare(suite, None, ("random_real",)).plan_input.generator_fingerprints == {}


def test_a_network_of_other_classes_is_refused_where_nothing_says_which_is_which(pipeline, tmp_path):
    shutil.copytree(pipeline, tmp_path / "w" / "pipeline")
    suite = write_suite(tmp_path, {"weights": "pipeline"})
    prepare(suite, tmp_path / "w")
    index = tmp_path / "w" / "pipeline" / "model_index.json"
    index.write_text(index.read_text().replace('"0": "0"', '"0": "tench"'))
    with pytest.raises(UserError, match=r"has 1000 classes, the suite 10,.*label_classes"):
        prepare(suite, tmp_path / "w")


def test_a_method_is_skipped_with_the_reason_where_the_generator_lacks_classes(pipeline, tmp_path, shared_store):
    """A remote-sensing suite with a generator of ImageNet."""
    (tmp_path / "theirs.txt").write_text("\n".join(DIGITS[:8]))
    suite = write_suite(tmp_path, {"weights": "pipeline", "label_classes": str(tmp_path / "theirs.txt")})
    run = harness.run(
        methods=["dit", "random_real"], suite=suite, ipc=[1], executor="local", store=shared_store,
        weights_root=pipeline.parent,
    )  # fmt: skip
    rows = harness.load_results(run).set_index("method")
    assert rows.loc["random_real", "status"] == "done"
    assert rows.loc["dit", "status"] == "skipped"
    assert "not trained on 2 of the suite's 10 classes (8, 9)" in rows.loc["dit", "error"]


def test_imagenets_classes_are_known_to_the_suites_generators():
    file = load_suite("imagewoof")
    labels = weights.label_ids(file.suite.generators["class_conditional"], file)
    assert len(labels) == 1000
    classes = [ClassInfo(line.split()[0], i, "") for i, line in enumerate(file.class_list.read_text().splitlines())]
    assert weights.why_unknown("class_conditional", labels, classes) == ""


def test_a_weights_root_that_is_no_folder_is_refused(cli, tmp_path):
    for command in (["run", "--store", tmp_path / "s"], ["doctor", "--store", tmp_path / "s"]):
        code, _, err = cli(*command, "--weights-root", tmp_path / "nowhere")
        assert code == 2
        assert "folder not found" in err
    assert not (tmp_path / "s").exists()


def test_weights_that_cannot_be_had_are_told_before_any_work(tmp_path, monkeypatch):
    """Nobody should find after a night that one method of ten could never have begun."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    suite, store = write_suite(tmp_path, {"weights": NAME}), tmp_path / "store"
    request = {"suite": suite, "ipc": [1], "executor": "local", "store": store}
    with pytest.raises(
        UserError, match=rf"{NAME}: not on this machine, and the model hub cannot be reached.*need it: dit"
    ):
        harness.run(methods=["dit", "random_real"], **request)
    assert not store.exists()
    assert harness.run(methods=["random_real"], **request).exit_code == 0, "what needs no weights goes on without them"


def test_doctor_lists_every_part_of_every_generator(tmp_path, monkeypatch):
    from rich.console import Console

    from harness.cli.doctor import print_report

    monkeypatch.chdir(ROOT)
    (tmp_path / "sd-vae-ft-mse").mkdir()
    with (tmp_path / "out.txt").open("w") as handle:
        print_report(
            Console(file=handle, width=250), data_root=str(tmp_path), store=str(tmp_path), weights_root=str(tmp_path),
            every=True,
        )  # fmt: skip
    lines = [line.strip() for line in (tmp_path / "out.txt").read_text().splitlines()]
    here = [line for line in lines if "decoder" in line and "sd-vae-ft-mse" in line]
    assert any(f"found, {tmp_path}" in line for line in here)
    for name in ("class_conditional weights", "class_conditional encoder", "text_to_image weights"):
        assert any(name in line and "the first run downloads it" in line for line in lines), name
    assert any("class_conditional" in line and "no config.json" in line for line in lines), "an empty folder is no VAE"
