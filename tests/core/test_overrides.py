"""`--set` is parsed once and checked like the YAML."""

import pytest

from harness.core.errors import UserError
from harness.core.overrides import parse_overrides


def test_values_are_yaml():
    assert parse_overrides(["minimax.epochs=4", "minimax.flips=false", "protocol.lr=0.02"]) == {
        "minimax": {"epochs": 4, "flips": False},
        "protocol": {"lr": 0.02},
    }


def test_python_gives_a_dict():
    assert parse_overrides({"minimax.epochs": 4}) == {"minimax": {"epochs": 4}}


@pytest.mark.parametrize("text", ["minimax.epochs", "epochs=4", "minimax.=4", ".epochs=4", "minimax.epochs=[1"])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(UserError, match="--set"):
        parse_overrides([text])
