"""The number behind a cell that people read."""

import pytest

from harness.core import text as text_module
from harness.reporters.page.tables import sort_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("95.0 ± 0.6", 95.0),
        ("1,257", 1257.0),
        ("0–3", 0.0),
        ("37.2†", 37.2),
        ("-0.5", -0.5),
        ("−0.5", -0.5),
        ("(2)", 2.0),
        ("—", None),
        ("", None),
        ("done", None),
        ("failed: 3 images", None),
        ("10 50", None),
    ],
)
def test_a_cell_sorts_by_its_number(text, key):
    assert sort_key(text) == key


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (text_module.duration, [0.42, 12.3, 245.0, 3720.0, 183_600.0]),
        (text_module.byte_size, [512, 1536, 2 * 2**20, 3 * 2**30, 5 * 2**40]),
        (text_module.energy, [850, 12_300, 4_600_000]),
    ],
)
def test_what_the_reports_write_sorts_by_size(form, values):
    assert [sort_key(form(value)) for value in values] == pytest.approx(values, rel=0.01)
