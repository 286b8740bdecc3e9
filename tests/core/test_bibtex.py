"""BibTeX is read, checked and written again; what BibTeX would stop at is one message."""

import pytest

from harness.core.bibtex import Entry, parse_bibtex, unique
from harness.core.errors import UserError
from harness.core.plugin import discovery

TEXT = r"""@inproceedings{a2021x,
  author = {Last, First and L{\'e}on, B.},
  title = "The {B}ook of \{x\}",
  booktitle = {Proc. of
               Y},
  year = 2021
}
@Misc{b, title={{B}},}
"""


def test_entries_are_read_with_braces_quotes_numbers_and_a_comment_before():
    first, second = parse_bibtex("two papers\n" + TEXT)
    assert (first.kind, first.key, second.kind, second.key) == ("inproceedings", "a2021x", "misc", "b")
    assert first.fields == {
        "author": r"Last, First and L{\'e}on, B.",
        "title": r"The {B}ook of \{x\}",
        "booktitle": "Proc. of Y",
        "year": "2021",
    }
    assert second.fields == {"title": "{B}"}
    assert not first.missing()


def test_what_is_written_is_read_again():
    entries = parse_bibtex(TEXT)
    assert parse_bibtex("\n".join(map(str, entries))) == entries


BAD = {
    "nothing": ("", "found nothing"),
    "no entry": ("Zhao et al., 2021", "expected a BibTeX entry"),
    "no key": ("@misc{, title = {A}}", "expected a BibTeX entry"),
    "open brace": ("@misc{a, title = {A {B}\n", r"braces of the value .* do not balance"),
    "no comma": ("@misc{a, title = {A} year = 2020}", "expected a comma"),
    "no value": ("@misc{a, title = A}", "expected a value in braces"),
    "not closed": ("@misc{a, title = {A},", "found the end of the text"),
    "twice": ("@misc{a, title = {A}, Title = {B}}", "field 'Title' occurs twice"),
    "text between": ("@misc{a, title = {A}}\n}", "expected a BibTeX entry"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_bibtex_would_stop_at_is_one_message(case):
    text, told = BAD[case]
    with pytest.raises(UserError, match=told):
        parse_bibtex(text)


def test_an_entry_stands_once_and_two_with_one_key_get_two_keys():
    one, same, other = (Entry("misc", key, {"title": t}) for key, t in (("a", "A"), ("a", "A"), ("A", "B")))
    assert [e.key for e in unique([one, same, other, other])] == ["a", "A-2"]


def test_missing_fields_are_named():
    assert parse_bibtex("@article{a, title = {A}, year = 2020}")[0].missing() == ["author", "journal"]


METHOD = """
from harness import DistilledSet, Method, register_method
{imports}

@register_method("cited")
class Cited({base}):
    title = "Cited"
    {body}
"""


def load(tmp_path, body, imports="", base="Method"):
    (tmp_path / "p.py").write_text(METHOD.format(body=body, imports=imports, base=base))
    discovery.load_plugin(tmp_path / "p.py")
    return discovery.methods.get("cited")


@pytest.mark.parametrize("value", ["7", "'Zhao et al., 2021'", "'@misc{a, title = {A}'"])
def test_a_plugin_with_bad_bibtex_is_refused_when_it_is_registered(tmp_path, value):
    with pytest.raises(UserError, match=r"method 'cited' \(class Cited\): `bibtex`: ") as error:
        load(tmp_path, f"bibtex = {value}")
    assert "\n" not in str(error.value)


def test_a_method_on_another_is_cited_with_the_other_unless_it_has_a_reference_of_its_own(tmp_path):
    built_on = {"imports": "from methods.dm import DM", "base": "DM"}
    assert "zhao2023dm" in load(tmp_path, "pass", **built_on).citation()
    discovery.methods.forget("cited")
    assert load(tmp_path, "reference = 'mine'", **built_on).citation() == ""
    discovery.methods.forget("cited")
    own = "reference = 'mine'\n    bibtex = '@misc{mine, title = {M}}'"
    assert load(tmp_path, own, **built_on).citation() == "@misc{mine, title = {M}}"
