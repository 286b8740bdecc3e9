"""The layers: what docs/architecture.md shows is what the linter enforces, and only start-up imports late."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.support import ROOT

CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
LAYERS = [[package.strip() for package in layer.split("|")] for layer in CONTRACT["layers"]]
TEXT = (ROOT / "docs" / "architecture.md").read_text()

LATE = {
    ("harness.api.doubts", "harness.jobs.task_resources"),  # torch
    ("harness.api.report", "harness.reporters.figures"),  # matplotlib
    ("harness.cli.inspect", "harness.api"),  # `inspect`: torch and matplotlib
    ("harness.reporters.page.page", "harness.reporters.page.measured"),  # matplotlib's colours
    ("harness.cli.test", "harness.testing.run"),  # torch
    ("harness.cli.published", "harness.reporters.tables.published"),  # pandas
    ("harness.cli.tune", "harness.api.tune"),  # matplotlib
    ("harness.planning.trials", "harness.planning.calibrate"),  # times students and denoisers
    ("harness.planning.trials", "harness.planning.try_prior"),  # it trains a generator for a few steps
    ("harness.planning.resolve_data", "harness.students.build"),  # builds students that are not built-in
    ("harness.execution.ray.executor", "harness.jobs.together"),  # torch, which only workers need
    ("harness.students", "harness.students.build"),
    ("harness.students", "harness.students.features"),
    ("harness.training", "harness.training"),  # the trainer
}
"""All imports of our own modules inside functions: (module, what it imports from). Each keeps torch or matplotlib away."""


def test_the_picture_shows_the_layers_of_the_linter():
    picture = TEXT.split("```text", 1)[1].split("```", 1)[0]
    every = {package for layer in LAYERS for package in layer}
    shown = [
        [word for word in re.findall(r"[a-z]+", line[8:42]) if word in every]
        for line in picture.splitlines()
        if re.match(r"   [a-z]+ ", line) and not line.startswith("   layer")
    ]
    assert shown == LAYERS


def test_the_table_explains_each_package_and_each_is_in_a_layer():
    explained = re.findall(r"^\| `([a-z]+)` \|", TEXT, flags=re.M)
    packages = {path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")}
    assert sorted(explained) == sorted(packages) == sorted(package for layer in LAYERS for package in layer)
    assert not CONTRACT.get("ignore_imports")
    loose = {path.name for path in (ROOT / "harness").glob("*.py")}
    assert loose == {"__init__.py"}


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("core/seeds.py", "from harness.jobs.job import Job", "harness.core is not allowed to import harness.jobs"),
        (
            "planning/plan.py",
            "from harness.planning.planner import Planner",
            "No cycles are allowed in harness.planning",
        ),
    ],
)
def test_the_linter_refuses_an_upward_import_and_a_circle(tmp_path, file, line, said):
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "harness" / file
    path.write_text(
        path.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n"
        )
    )
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())


def _late_imports():
    for path in sorted((ROOT / "harness").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
                        yield module, node.module, node.lineno
                    if isinstance(node, ast.Import) and any(a.name.startswith("harness") for a in node.names):
                        yield module, node.names[0].name, node.lineno


def test_only_what_keeps_the_start_free_of_torch_is_imported_late():
    found = list(_late_imports())
    assert {(module, target) for module, target, _ in found} == LATE
    assert len(found) <= 20


def test_the_command_line_and_the_plan_need_no_torch():
    modules = (
        "harness.cli.app, harness.cli.show, harness.api.run, harness.planning.planner, harness.core.plugin.discovery"
    )
    plan = "harness.api.run.prepare(make_request(methods=['all'], suite='digits'))"
    code = (
        f"import sys, {modules}; from harness.planning.request import make_request; {plan}; "
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_generative_method_needs_at_most_240_lines_of_reading():
    """The section of the how-to, what a generator can do, and the shortest method that uses one."""
    how_to = (
        (ROOT / "docs" / "add_a_method.md").read_text().split("## A generative method\n", 1)[1].split("\n## ", 1)[0]
    )
    files = [ROOT / "harness" / "core" / "plugin" / "generators.py", ROOT / "methods" / "dit.py"]
    named = [path.relative_to(ROOT).as_posix() for path in files]
    assert all(name in how_to for name in named)
    texts = [
        re.sub(r'    bibtex = """.*?"""\n', "", path.read_text(), flags=re.S) for path in files
    ]  # nobody reads that
    assert len(how_to.splitlines()) + sum(len(text.splitlines()) for text in texts) <= 240


def test_every_test_folder_mirrors_a_package():
    packages = {path.parent.relative_to(ROOT / "harness") for path in (ROOT / "harness").rglob("__init__.py")}
    beside = {
        Path(name)
        for name in (
            "helpers",
            "methods",
            "datasets",
            "docs",
            "golden",
            "benchmarks",
            "mutations",
            "old_tree",
            "packaging",
        )
    }
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        assert folder == Path() or folder in packages or folder.parts[0] in {p.name for p in beside}, path


def test_jobs_and_inspection_load_a_heavy_library_where_they_need_it():
    """Each takes a worker seconds; an import at the top of a file would make every job pay."""
    modules = "harness.jobs.train, harness.jobs.distill, harness.jobs.teacher, harness.jobs.prior, harness.api.inspect"
    heavy = ("timm", "diffusers", "transformers", "tqdm.auto")
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
