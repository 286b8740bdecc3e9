"""Every entry that the project carries compiles: required fields, ASCII, one key each. None is in a code fingerprint."""

import re

import pytest

from harness.core.bibtex import parse_bibtex
from harness.core.io import data_folder
from harness.core.plugin import discovery, fingerprint
from harness.core.suites import load_suite, suite_names
from harness.reporters.page.cite import dataset_entries, harness_entry

NO_PAPER = {"full", "random_real"}

discovery.discover()
METHODS = {name: discovery.methods.get(name) for name in discovery.methods.names()}
SHIPPED = {name: cls for name, cls in METHODS.items() if cls.__module__.startswith("methods.")}


def every_entry():
    cited = [entry for name, cls in SHIPPED.items() if name not in NO_PAPER for entry in parse_bibtex(cls.bibtex)]
    data = parse_bibtex((data_folder("datasets") / "references.bib").read_text())
    return [*cited, *data, harness_entry({"started": "2026-01-02"})]


def test_every_method_with_a_paper_states_an_entry_of_its_own():
    assert len(SHIPPED) >= 18
    without = {name for name, cls in SHIPPED.items() if not cls.citation()}
    assert without == NO_PAPER
    keys = [entry.key for entry in every_entry()]
    assert len({key.lower() for key in keys}) == len(keys)


def test_every_entry_has_what_its_kind_needs_in_ascii():
    for entry in every_entry():
        assert not entry.missing(), entry.key
        assert str(entry).isascii(), entry.key
        assert re.fullmatch(r"(19|20)\d\d", entry.fields["year"]), entry.key
        for name, value in entry.fields.items():
            if name == "datasets":  # it is never printed
                continue
            bare = re.sub(r"\$[^$]*\$|\\.", "", value)
            assert not set(bare) & set("%#_^~&$\\"), f"{entry.key}: {name} has a sign that TeX takes for its own"
        authors = entry.fields["author"]
        assert "et al" not in authors, entry.key
        assert all("," in one or one.startswith("{") for one in authors.split(" and ")), entry.key


def test_the_entry_says_the_year_and_place_of_the_reference():
    for name, cls in SHIPPED.items():
        if name in NO_PAPER:
            continue
        year = re.findall(r"\b(?:19|20)\d\d\b", cls.reference)[-1] if name not in ("cao2", "ims3") else None
        fields = parse_bibtex(cls.bibtex)[0].fields
        if year:
            assert fields["year"] == year, name
        place = re.search(r"\b(CVPR|ICCV|ICML|ICLR|WACV|NeurIPS)\b", cls.reference)
        if place:
            assert f"({place[0]})" in fields["booktitle"], name


def test_bibtex_is_in_no_code_fingerprint(monkeypatch):
    """The hash of a method is that of the same files without any `bibtex`, as they were before there was one."""
    before = {name: fingerprint.code_fingerprint(cls) for name, cls in SHIPPED.items()}
    source, cut = fingerprint._source, re.compile(r'^    bibtex = """.*?"""\n', re.M | re.S)
    monkeypatch.setattr(fingerprint, "_source", lambda module: cut.sub("", source(module)))
    assert "bibtex" not in cut.sub("", source(__import__("methods.dc", fromlist=["dc"])))
    assert {name: fingerprint.code_fingerprint(cls) for name, cls in SHIPPED.items()} == before


@pytest.mark.parametrize("changed", ["bibtex = make()", "bibtex = 1", "other = '@misc{a, title = {A}}'"])
def test_what_code_computes_stays_in_the_fingerprint(changed):
    text = "class A(Method):\n    x = 1\n    {}\n"
    assert fingerprint.tree_hash(text.format("bibtex = '@a'")) == fingerprint.tree_hash(text.format(""))
    assert fingerprint.tree_hash(text.format("bibtex: str = '@a'")) == fingerprint.tree_hash(text.format(""))
    assert fingerprint.tree_hash(text.format(changed)) != fingerprint.tree_hash(text.format(""))


def test_every_suite_has_a_data_set_to_cite():
    for name in suite_names():
        suite = load_suite(name).suite
        assert list(dataset_entries(suite.model_dump(mode="json"))), name
