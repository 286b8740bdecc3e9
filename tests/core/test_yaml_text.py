"""YAML from anybody: what is too much, and what it would read as another number."""

import time

import pytest

from harness.core.errors import UserError
from harness.core.overrides import parse_overrides
from harness.core.suites import parse_suite
from harness.core.yaml_text import parse_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, r"line \d+: aliases and values expand to more than 100,000 values"),
        ("a: &a [*a]\n", "line 1: lists and mappings are nested more than 40 levels deep"),
        ("a: " + "[" * 60 + "]" * 60, "line 1: lists and mappings are nested more than 40 levels deep"),
        ("a: " + "[" * 50_000, "lists and mappings are nested more than 40 levels deep"),
        ("a: " + "x" * 2_000_000, "has 2,000,003 characters; the limit is 1,000,000"),
        (
            "a: 1\nipc: [1, 010]\n",
            "line 2: 010 is a different number in YAML .octal or base 60.; write a plain decimal number",
        ),
        ("seconds: 1:30\n", "line 1: 1:30 is a different number in YAML"),
        ("day: 2024-99-99\n", "not valid YAML: month must be in 1..12"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is given twice"),
    ],
)
def test_hostile_and_misleading_files_are_one_message_at_once(text, told):
    began = time.monotonic()
    with pytest.raises(UserError, match=f"^the file.*{told}"):
        parse_yaml(text, "the file")
    assert time.monotonic() - began < 5


def test_anchors_and_plain_numbers_are_read():
    text = "base: &b {lr: 0.01, n: 0}\nother: {<<: *b, n: -10}\nagain: *b\n"
    assert parse_yaml(text, "the file")[1] == {
        "base": {"lr": 0.01, "n": 0},
        "other": {"lr": 0.01, "n": -10},
        "again": {"lr": 0.01, "n": 0},
    }


def test_suites_and_settings_are_read_this_way():
    with pytest.raises(UserError, match=r"suite file s\.yaml, line 1: 010 is a different number"):
        parse_suite("budget: {ipc: [010]}", "s.yaml")
    with pytest.raises(UserError, match=r"--set 'minimax.epochs=010', line 1: 010 is a different number"):
        parse_overrides(["minimax.epochs=010"])
