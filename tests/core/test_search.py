"""Search spaces: declared where an option is declared, read from a user's text, and in no key."""

import pytest
from pydantic import Field

from harness import AFTER_FIT, UNHASHED, Method, search
from harness.core.config.search import Dimension, declared_space, parse_dimension
from harness.core.errors import UserError
from harness.core.plugin import discovery, fingerprint
from harness.planning.plan import MethodPlan


class Tuned(Method):
    """Has options of each kind."""

    name = "tuned"

    class Config(Method.Config):
        """Options."""

        lr: float = Field(1e-3, json_schema_extra=search("log", 1e-4, 1e-1))
        guidance: float = Field(4.0, json_schema_extra=AFTER_FIT | search("linear", 1, 8))
        batch: int = Field(8, json_schema_extra=search("integers", 1, 16) | UNHASHED)
        start: str = Field("real", json_schema_extra=search("choice", "real", "noise"))
        plain: int = 3

    def fit(self, task):
        return {}


def test_an_option_says_what_may_be_tried():
    assert declared_space(Tuned.Config) == {
        "lr": Dimension("log", (1e-4, 1e-1)),
        "guidance": Dimension("linear", (1, 8)),
        "batch": Dimension("integers", (1, 16)),
        "start": Dimension("choice", ("real", "noise")),
    }


def test_marks_beside_a_search_space_still_count_in_keys():
    changed = {"lr": 0.1, "guidance": 2.0, "batch": 2}
    plan = MethodPlan("tuned", Tuned, Tuned.Config(**changed).model_dump())
    assert plan.hashed("fit") == {"config": {"lr": 0.1}}
    assert plan.hashed("synthesize") == {"config": {"lr": 0.1, "guidance": 2.0}}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("log(1e-4,1e-1)", Dimension("log", (1e-4, 1e-1))),
        (" linear( 0, 1.5 ) ", Dimension("linear", (0, 1.5))),
        ("integers(1, 8)", Dimension("integers", (1, 8))),
        ("choice(ddim, ddpm)", Dimension("choice", ("ddim", "ddpm"))),
        ("choice([a, b], null)", Dimension("choice", (["a", "b"], None))),
    ],
)
def test_a_users_text_is_read(text, wanted):
    assert parse_dimension(text, "--space") == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1e-4..1e-1", "is not a search range; expected linear"),
        ("gauss(0, 1)", "is not a search range"),
        ("log(0, 1)", "a log range must start above 0"),
        ("linear(2, 2)", "the range is empty: 2 is not below 2"),
        ("linear(3, 2)", "the range is empty"),
        ("linear(1)", "linear needs two numbers"),
        ("linear(a, b)", "linear needs two numbers"),
        ("integers(0.5, 2)", "integers needs two integers"),
        ("choice(a)", "a choice needs at least two values"),
        ("choice(a", "is not a search range"),
        ("choice([)", "not valid YAML"),
    ],
)
def test_what_is_no_range_is_told(text, told):
    with pytest.raises(UserError, match=f"--space.*{told}"):
        parse_dimension(text, "--space x.y")


def test_what_may_be_tried_is_in_no_fingerprint_and_all_else_is():
    marked = """
from harness import AFTER_FIT, Method, search
class Config:
    lr: float = Field(1, json_schema_extra=search("log", 1e-4, 1e-1))
    guidance: float = Field(2, json_schema_extra=AFTER_FIT | search("linear", 1, 8))
"""
    plain = """
from harness import AFTER_FIT, Method
class Config:
    lr: float = Field(1)
    guidance: float = Field(2, json_schema_extra=AFTER_FIT)
"""
    assert fingerprint.tree_hash(marked) == fingerprint.tree_hash(plain)
    assert fingerprint.tree_hash(marked) != fingerprint.tree_hash(plain.replace(", json_schema_extra=AFTER_FIT", ""))
    assert fingerprint.tree_hash(marked) != fingerprint.tree_hash(plain.replace("Field(1)", "Field(3)"))


def test_what_our_methods_may_be_tried_with_is_allowed_by_their_own_rules():
    """Both ends of each range, and each choice, make a valid config."""
    discovery.discover()
    spaces = {name: declared_space(discovery.methods.get(name).Config) for name in discovery.methods.names()}
    assert {name for name, space in spaces.items() if space} == {
        *["cao2", "cda", "d3hr", "d3m", "d4m", "dc", "dit", "dm", "dsa", "ims3", "mgd3", "minimax", "rded", "sre2l"]
    }
    for name, space in spaces.items():
        config = discovery.methods.get(name).Config
        for option, dimension in space.items():
            for value in dimension.values:
                assert getattr(config(**{option: value}), option) == value
