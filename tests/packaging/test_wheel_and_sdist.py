"""What a user installs: one package, with its data, and methods whose keys are those of a checkout."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from harness.core.plugin import discovery
from harness.core.plugin.fingerprint import code_fingerprint
from hatch_build import renamed
from tests.helpers.support import ROOT

ASK = """
import json, sys
from pathlib import Path
import harness
from harness.core.io import data_folder
from harness.core.plugin import discovery
from harness.core.plugin.fingerprint import code_fingerprint
from harness.core.suites import load_suite, suite_names
from harness.data.dataset_cards import load_known
from harness.training import protocols, resolve_protocol

assert harness.__file__.startswith(sys.argv[1]), harness.__file__
discovery.discover()
print(json.dumps({
    "methods": {n: code_fingerprint(discovery.methods.get(n)) for n in discovery.methods.names()},
    "broken": discovery.methods.broken,
    "modules": sorted({discovery.methods.get(n).__module__.rpartition(".")[0] for n in discovery.methods.names()}),
    "suites": suite_names(),
    "digits' classes": load_suite("digits").class_list.is_file(),
    "protocols": protocols.names(),
    "dsa's batch": resolve_protocol("dsa").batch_size,
    "published": sorted(path.name for path in data_folder("results/published").glob("*.csv")),
    "requests": sorted(path.name for path in data_folder("results/reference").glob("*/requests/*.yaml")),
    "known classes": len(load_known("imagewoof2").class_ids),
    "parts of the page": len(list(Path(harness.__file__).parent.glob("reporters/page/parts/*"))),
}))
"""


def build(folder, *targets, source=ROOT):
    """Build with the backend itself, which asks no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run([*command, *(w for t in targets for w in ("-t", t))], check=True, capture_output=True, cwd=source)
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, as a release has them."""
    return build(tmp_path_factory.mktemp("dist"), "wheel", "sdist")


@pytest.fixture(scope="module")
def told(built, tmp_path_factory):
    """What an installed wheel says, in a folder where another package is called `methods`."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(built[".whl"]).extractall(folder / "site")
    (folder / "methods.py").write_text('raise RuntimeError("this is not our package")\n')
    path = os.pathsep.join(map(str, (folder / "site", folder)))
    command = [sys.executable, "-c", ASK, str(folder / "site")]
    return json.loads(subprocess.check_output(command, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": path}))


def test_a_wheel_has_one_package_at_its_top_and_the_licence(built):
    names = zipfile.ZipFile(built[".whl"]).namelist()
    assert {name.split("/")[0] for name in names} == {"harness", "distillation_harness-0.1.0.dist-info"}
    assert "distillation_harness-0.1.0.dist-info/licenses/LICENSE" in names
    assert "harness/_data/CITATION.cff" in names


def test_an_installed_wheel_finds_its_methods_with_the_keys_of_a_checkout(told):
    """A number that was made in a checkout is found again by an installed harness, and the other way round."""
    own = {n: discovery.methods.get(n) for n in discovery.methods.names()}
    own = {n: code_fingerprint(cls) for n, cls in own.items() if cls.__module__.startswith("methods.")}
    assert told["broken"] == {}
    assert told["modules"] == ["harness.methods"]
    assert told["methods"] == own


def test_an_installed_wheel_carries_suites_protocols_and_published_numbers(told):
    files = sorted(path.name for path in (ROOT / "results" / "published").glob("*.csv"))
    requests = sorted(path.name for path in (ROOT / "results" / "reference").glob("*/requests/*.yaml"))
    assert "digits" in told["suites"]
    assert told["digits' classes"]
    assert told["protocols"] == ["dc", "dsa", "idc", "ltdd", "plain", "rded", "sre2l"]
    assert (told["dsa's batch"], told["known classes"]) == (256, 10)
    assert (told["published"], told["requests"]) == (files, requests)
    assert len(requests) >= 4
    assert told["parts of the page"] == len(list((ROOT / "harness/reporters/page/parts").iterdir()))


def test_an_sdist_is_the_checkout_and_builds_the_same_wheel(built, tmp_path):
    with tarfile.open(built[".gz"]) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.iterdir())
    for name in (
        "Makefile",
        "constraints.txt",
        "LICENSE",
        ".ci/run",
        "mkdocs.yml",
        "docs/index.md",
        "tests/conftest.py",
    ):
        assert (source / name).is_file(), name
    again = build(tmp_path / "again", "wheel", source=source)[".whl"]
    assert again.read_bytes() == built[".whl"].read_bytes()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from methods.dit import passes", "from harness.methods.dit import passes"),
        ("    from methods import _pixels", "    from harness.methods import _pixels"),
        ("from methods_of_mine import x", "from methods_of_mine import x"),
        ("from harness import methods", "from harness import methods"),
    ],
)
def test_imports_of_method_files_are_renamed_for_a_wheel(line, expected):
    assert renamed(f"{line}\n", "methods/x.py") == f"{expected}\n"


def test_an_import_that_cannot_be_renamed_is_refused():
    with pytest.raises(ValueError, match=r"methods/x\.py: write `from methods\.NAME"):
        renamed("import methods.dit\n", "methods/x.py")
