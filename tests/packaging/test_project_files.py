"""The files by which others adopt the project agree with each other."""

import re
import tomllib

import yaml

import harness
from tests.helpers.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_is_valid_and_of_this_version():
    """The fields that version 1.2.0 of the Citation File Format requires, and its type of every author: an entity."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert all(set(author) == {"name"} for author in citation["authors"])
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert citation["version"] == PROJECT["version"] == harness.__version__
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"


def test_every_install_command_names_the_distribution_and_an_extra_that_there_is():
    """`pip install harness` would fetch another project's package."""
    files = [p for folder in ("harness", "methods", "docs", "notebooks") for p in (ROOT / folder).rglob("*")]
    for file in (*ROOT.glob("*.md"), *(f for f in files if f.suffix in (".py", ".md", ".ipynb", ".html"))):
        text = file.read_text()
        for name, extra in re.findall(r"['\"` ]([\w.-]+)\[(\w+)\](?=['\"` ])", text):
            if name in (".", "distillation-harness"):
                assert extra in PROJECT["optional-dependencies"], f"{file.relative_to(ROOT)}: {name}[{extra}]"
        assert not re.search(r"pip install [^\n`]*(?<![\w-])harness\b", text), file.relative_to(ROOT)


def test_hooks_and_the_ci_fetch_no_tools():
    """They run what `make check` runs: local hooks of .venv, and .ci/run."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks[0]["hooks"]:
        program, *words = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        assert f"$(BIN)/{program.removeprefix('.venv/bin/')} {words[0] if words else ''}".strip() in makefile
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert any(step.get("run") == ".ci/run" for job in jobs.values() for step in job["steps"])


def test_templates_are_forms_with_required_answers():
    for name in ("bug", "method"):
        form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE" / f"{name}.yml").read_text())
        assert {"name", "description", "body"} <= set(form)
        assert any(part.get("validations", {}).get("required") for part in form["body"])
        assert len({part["id"] for part in form["body"]}) == len(form["body"])
