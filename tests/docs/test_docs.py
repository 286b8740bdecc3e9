"""What README and docs tell people to type works, and what they show is true."""

import json
import re
import shlex
import shutil
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import harness
from harness.core.config.suite import Suite
from harness.core.suites import load_suite, suite_names
from harness.data import open_source
from harness.planning.groups import load_groups
from harness.planning.trials import Trials
from harness.testing.checks import CHECKS, Subject
from tests.helpers.support import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
WRITTEN = {"eigenimages.py", "contrast.py", "loud.py", "my.yaml", "pets.yaml", "pets.yaml:pets_large", "photos"}
"""Files and folders that the pages tell a reader to make."""
QUICK = {"protocol.epochs": {"up_to": [], "above": 1}}


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


def prose(page):
    """The page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.S)


COMMANDS = list(
    dict.fromkeys(
        line.split(" #")[0].strip()
        for page in PAGES
        for block in blocks(page, "bash")
        for line in block.splitlines()
        if line.startswith("harness ") and "--ray-address" not in line  # tests/docs/test_cluster_page.py has those
    )
)


def is_here(suite):
    """Return whether a suite finds its data without a data root: embedded, or a package of the system."""
    return open_source(load_suite(suite).suite.source, (), Path("no such folder")).is_here()


ABSENT = tuple({s for s in suite_names() if not is_here(s)} | set(load_groups()) - {"all"})
"""Suites and groups whose data are not on this machine."""


def wants_absent_data(command):
    return any(suite in command.split() for suite in ABSENT) and "show" not in command


@pytest.mark.parametrize("command", [c for c in COMMANDS if wants_absent_data(c)])
def test_a_command_for_data_that_are_not_here_gets_as_far_as_that(command, cli, tmp_path):
    """All is understood but for the images; a fetch is given an archive that is not there, so that it asks no network."""
    words = [*shlex.split(command)[1:], "--data-root", str(tmp_path)]
    if words[:2] == ["data", "fetch"]:
        words += ["--archive", str(tmp_path / "absent.tgz")]
    code, _, err = cli(*words)
    assert code == 2
    assert "file not found" in err if "fetch" in words else "does not exist" in err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def a_store(tmp_path_factory):
    """A store with small runs of the names that the pages use, and the set of one of them.

    "cell" and "table1" are runs on digits under the name of the suite that has published numbers.
    """
    folder = tmp_path_factory.mktemp("a_store")
    include, quick_teacher = str(ROOT / "datasets" / "digits.yaml"), {"epochs": 1, "min_share": 0}
    woof, digits = folder / "imagewoof.yaml", folder / "digits.yaml"
    woof.write_text(yaml.safe_dump({"include": include, "name": "imagewoof"}))
    digits.write_text(yaml.safe_dump({"include": include, "teacher": quick_teacher}))
    quick = {"ipc": [10], "students": ["convnet3"], "seeds": [0], "settings": QUICK, "executor": "local"}
    for name, suite in {"cell": woof, "table1": woof, "first": digits}.items():
        methods = (
            ["random_real", "herding"] if name == "first" else ["random_real"]
        )  # herding has a teacher, for inspect
        harness.run(**quick, methods=methods, suite=suite, name=name, store=folder)
    harness.export("first", method="random_real", ipc=10, to=folder / "exported", store=folder)
    return folder


def code_of(page, language, holding):
    """The one block of a page that holds a text."""
    return next(b for b in blocks(DOCS / page, language) if holding in b)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A folder with the files that pages tell a reader to write: plugins, a protocol, and a suite with its photographs."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("examples")
    for name in ("eigenimages", "contrast"):
        (folder / f"{name}.py").write_text(code_of("add_a_method.md", "python", f'@register_method("{name}")'))
    (folder / "loud.py").write_text(code_of("architecture.md", "python", "@register_executor"))
    parts = (code_of("add_a_suite.md", "yaml", part) for part in ("name: pets", "variants:"))
    (folder / "pets.yaml").write_text("".join(parts))
    (folder / "my.yaml").write_text(code_of("protocols.md", "yaml", "# my.yaml"))
    (folder / "pets.txt").write_text(code_of("add_a_suite.md", "text", "dog"))
    rng = np.random.default_rng(0)
    for split, num in {"train": 10, "val": 4}.items():
        for colour, name in enumerate(("cat", "dog", "owl")):
            place = folder / "photos" / "pets" / split / name
            place.mkdir(parents=True)
            for i in range(num):
                pixels = rng.integers(0, 80, (40, 48, 3), dtype=np.uint8)
                pixels[..., colour] += 150
                Image.fromarray(pixels).save(place / f"{i}.jpg")
    return folder


@pytest.fixture(scope="module")
def a_bundle(a_store):
    return harness.bundle("first", to=a_store / "first.zip", store=a_store)


@pytest.fixture(scope="module", autouse=True)
def trials_once():
    """A network is timed once for all commands, not for each: what a plan estimates is tested elsewhere."""
    once, prior, rates, priors = Trials._once, Trials._prior, {}, {}

    def found(self, named, measure):
        place = json.dumps(named[:3], default=str)
        if place not in rates:
            rates[place] = once(self, named, measure)
        return rates[place]

    def found_prior(self, job):
        place = json.dumps(job.spec["train"], sort_keys=True, default=str)
        if place not in priors:
            priors[place] = prior(self, job)
        return priors[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trials, "_once", found)
        patch.setattr(Trials, "_prior", found_prior)
        yield


def with_bundles(words, bundle, folder):
    """A command with its bundles in a folder; those that it reads are there."""
    writes = words[0] == "bundle" and "--check" not in words
    named = [
        str(folder / word) if word.endswith(".zip") or words[i - 1] == "--to" else word for i, word in enumerate(words)
    ]
    for word in () if writes else [word for word in named if word.endswith(".zip")]:
        shutil.copy(bundle, word)
    return named


@pytest.mark.parametrize("command", [c for c in COMMANDS if not wants_absent_data(c)])
def test_a_command_of_the_docs_is_understood(command, cli, tmp_path, request):
    """`run`, `evaluate` and `tune` are planned, not run; the other commands run for real, in a folder of their own."""
    words = shlex.split(command)[1:]
    if words[:2] == ["new", "method"]:
        words[words.index("--to") + 1] = str(tmp_path)
    if "plugins/my_method.py" in words:
        cli("new", "method", "my_method", "--to", tmp_path)
        words[words.index("plugins/my_method.py")] = str(tmp_path / "my_method.py")
    if WRITTEN & set(words):
        folder = request.getfixturevalue("examples")
        words = [str(folder / w) if w in WRITTEN else w for w in words]
    if words[0] == "evaluate":
        words[1] = str(request.getfixturevalue("a_store") / "exported")
    if words[0] in ("run", "evaluate", "tune") and "--dry-run" not in words:
        words.append("--dry-run")
    if words[0] in ("bundle", "report") and any(word.endswith(".zip") for word in words):
        words = with_bundles(words, request.getfixturevalue("a_bundle"), tmp_path)
    if words[:2] in (["show", "job"], ["show", "log"]):
        rows = harness.load_results("first", store=request.getfixturevalue("a_store")).set_index("method")
        words[2] = rows.loc["random_real", "train_key"][: len(words[2])]
    if words[0] in ("export", "report") and "--to" in words and "--store" not in words:
        at = words.index("--to") + 1
        words[at] = str(tmp_path / f"out{Path(words[at]).suffix}")
    of_a_run = words[0] in ("report", "cite", "export", "bundle", "inspect", "verify", "status", "logs", "trace")
    if of_a_run or words[:2] in (["show", "run"], ["show", "job"], ["show", "log"]):
        words += ["--store", str(request.getfixturevalue("a_store"))]
    code, out, err = cli(*words)
    assert code == 0, err
    assert out


def test_the_example_method_of_the_readme_runs_in_25_lines(tiny_suite, shared_store, tmp_path):
    example = next(b for b in blocks(ROOT / "README.md", "python") if "register" in b)
    assert len([line for line in example.splitlines() if line.strip()]) <= 25
    plugin = tmp_path / "mean_image.py"
    plugin.write_text(example)
    run = harness.run(methods=["mean_image"], suite=tiny_suite, plugins=[plugin], executor="local", store=shared_store)
    assert set(harness.load_results(run)["status"]) == {"done"}


def test_the_python_example_of_the_readme_names_what_exists():
    example = next(b for b in blocks(ROOT / "README.md", "python") if "harness.run" in b)
    compile(example, "README.md", "exec")
    for name in re.findall(r"harness\.(\w+)", example):
        assert hasattr(harness, name)


def test_the_example_of_a_generative_method_runs(tiny_suite, shared_store, examples):
    fields = {
        "methods": ["contrast"],
        "suite": tiny_suite,
        "plugins": [examples / "contrast.py"],
        "store": shared_store,
    }
    run = harness.run(**fields, ipc=[1], executor="local", settings={"contrast.steps": 2})
    assert set(harness.load_results(run)["status"]) == {"done"}


def test_the_example_executor_says_what_it_runs(tiny_suite, tmp_path, examples, capsys):
    fields = {"methods": ["random_real"], "suite": tiny_suite, "plugins": [examples / "loud.py"], "store": tmp_path}
    run = harness.run(**fields, ipc=[1], executor="loud")
    assert set(harness.load_results(run)["status"]) == {"done"}
    assert "now: synthesize random_real" in capsys.readouterr().out


@pytest.fixture
def eigenimages(examples):
    """The example method, known in this process for one test."""
    from harness.core.plugin import discovery

    discovery.load_plugin(examples / "eigenimages.py")
    return "eigenimages"


def test_the_example_method_passes_the_conformance_tests(eigenimages, make_task):
    for check in CHECKS.values():
        assert check(Subject(eigenimages, make_task)) is None


def test_the_example_method_goes_on_from_a_checkpoint(eigenimages, make_task):
    """A fit of ten steps, and one that takes up its checkpoint, end where a fit of twenty steps ends."""
    import torch

    from harness.core.plugin import discovery

    class Kept:
        state = None

        def load(self):
            return self.state

        def save(self, state):
            self.state = dict(state)

    def fit(steps, checkpoint):
        method = discovery.methods.get(eigenimages)
        task = make_task("fit", eigenimages)
        task.checkpoint = checkpoint
        return method(method.Config(steps=steps)).fit(task)

    kept = Kept()
    fit(10, kept)
    assert kept.state["step"] == 10
    whole, resumed = fit(20, Kept()), fit(20, kept)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def plan_of(plugin, tiny_suite, **settings):
    """Return kind -> keys of the jobs that the example method plans."""
    from harness.api.run import prepare
    from harness.planning.request import make_request

    named = {f"eigenimages.{name}": value for name, value in settings.items()}
    request = make_request(
        methods=["eigenimages"], suite=tiny_suite, ipc=[1], plugins=[plugin], settings=named, executor="local"
    )
    jobs = prepare(request)[1].jobs.values()
    return {kind: {job.key for job in jobs if job.kind == kind} for kind in ("fit", "synthesize")}


def test_what_the_page_says_runs_again_does(examples, tiny_suite, tmp_path):
    """docs/add_a_method.md, "What is computed again, and what not"."""
    plugin, text = tmp_path / "eigenimages.py", (examples / "eigenimages.py").read_text()
    plugin.write_text(text)
    before = plan_of(plugin, tiny_suite)
    assert plan_of(plugin, tiny_suite, checkpoint_every=3) == before
    after_fit = plan_of(plugin, tiny_suite, spread=0.5)
    assert after_fit["fit"] == before["fit"]
    assert after_fit["synthesize"].isdisjoint(before["synthesize"])
    assert plan_of(plugin, tiny_suite, steps=3)["fit"].isdisjoint(before["fit"])
    plugin.write_text(text.replace('"""Eigenimages: draw', '"""Another docstring: draw') + "\n# and a comment\n")
    assert plan_of(plugin, tiny_suite) == before
    plugin.write_text(text.replace(".clamp(0, 1)", ".clamp(0, 0.5)"))
    assert plan_of(plugin, tiny_suite)["fit"].isdisjoint(before["fit"])


def test_the_example_suite_runs_on_photographs(examples, shared_store):
    run = harness.run(
        suite=examples / "pets.yaml", data_root=examples / "photos", methods=["random_real", "dit"], ipc=[1], seeds=[0],
        settings=QUICK, executor="local", store=shared_store,
    )  # fmt: skip
    rows = harness.load_results(run).set_index("method")
    assert rows.loc["random_real", "status"] == "done"
    assert rows.loc["dit", "status"] == "skipped"
    assert "provides no class_conditional_generator" in rows.loc["dit", "error"]


def test_the_page_on_suites_names_every_field():
    table = (DOCS / "add_a_suite.md").read_text().split("## Field by field")[1].split("\n## ")[0]
    named = {name for cell in re.findall(r"^\| (`[^|]*) \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)}
    assert named == {*Suite.model_fields, "include", "variants"}


def test_the_page_on_tables_names_every_column():
    """Those of the tables of a run; students are columns of their own."""
    from harness.reporters.tables import equal_bytes, timing

    text = (DOCS / "read_the_tables.md").read_text()
    columns = [column.name for column in (*timing._COLUMNS, *equal_bytes._columns([], list(equal_bytes._EXTRAS)))]
    assert [c for c in columns if not re.search(rf"\b{c}\b", text)] == []


def slug(heading):
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page):
    return {slug(line.lstrip("#")) for line in prose(page).splitlines() if re.match(r"#+ ", line)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """To a file of the repository, and to a heading that is there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_documents_that_the_code_cites_are_in_the_repository():
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "methods").rglob("*.py")]:
        for cited in set(re.findall(r"[\w/]+\.md\b", path.read_text())) - {"STEM.md"}:
            assert (ROOT / cited).is_file(), f"{path.relative_to(ROOT)} cites {cited}"


def test_the_index_names_every_page():
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", (DOCS / "index.md").read_text())}
    assert {page for page in DOCS.rglob("*.md") if page.name != "index.md"} <= linked


def options_of(command):
    """Every option of a command and of those below it."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options_of(c) for c in getattr(command, "commands", {}).values()))


def test_options_that_the_prose_names_exist():
    import typer

    from harness.cli.app import app

    known = options_of(typer.main.get_command(app)) | {"--help", "--constraint"}  # the last is pip's
    for page in PAGES:
        for code in re.findall(r"`([^`]+)`", prose(page)):
            if code.startswith(("pip ", "ray ")):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
                assert option in known, f"{name_of(page)}: {code}"


def test_make_targets_that_pages_name_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for page in PAGES:
        lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
        for line in [*lines, *re.findall(r"`([^`]+)`", prose(page))]:
            if line.startswith("make "):
                assert line.split()[1] in targets, f"{name_of(page)}: {line}"


def test_the_errors_that_a_page_shows_are_the_real_ones(cli):
    """docs/first_run.md, "Make a mistake"; the list of known methods may grow."""
    block = code_of("first_run.md", "text", "error: unknown method")
    for shown, told in pairwise(block.splitlines()):
        if shown.startswith("$ harness "):
            code, _, err = cli(*shlex.split(shown)[2:])
            assert code == 2
            assert err.startswith(told.split(" Known:")[0])
