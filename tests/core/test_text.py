"""Numbers for people."""

import pandas as pd
import pytest

from harness.core import text as text_module


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"), (0.424, "0.42 s"), (9.996, "10.0 s"), (59.96, "1m 00s"), (245, "4m 05s"),
        (3599.7, "1h 00m"), (3720, "1h 02m"), (86_399, "1d 00h"), (183_600, "2d 03h"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert text_module.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**41, "2.0 TiB"),
    ],
)
def test_sizes(size, text):
    assert text_module.byte_size(size) == text


@pytest.mark.parametrize(("joules", "text"), [(850, "850 J"), (999.6, "1.0 kJ"), (4.6e6, "4.6 MJ")])
def test_energies(joules, text):
    assert text_module.energy(joules) == text


@pytest.mark.parametrize("unknown", [None, float("nan"), pd.NA])
@pytest.mark.parametrize(
    "show",
    [
        text_module.duration,
        text_module.byte_size,
        text_module.energy,
        text_module.count,
        text_module.points,
        text_module.probability,
    ],
)
def test_the_unknown_is_a_dash(show, unknown):
    assert show(unknown) == "—"


def test_mean_and_spread():
    assert text_module.count(1234567) == "1,234,567"
    assert text_module.shorten("a\nb " + "c" * 20, 10) == "a b ccccc…"
    assert text_module.interval(36.14, 38) == "36.1 to 38.0"
    assert text_module.interval(float("nan"), float("nan")) == "—"
    assert (text_module.points(1.25), text_module.points(-0.31)) == ("+1.2", "−0.3")
    assert [text_module.probability(p) for p in (0.5, 0.0421, 0.00312, 1e-6)] == ["0.50", "0.042", "0.0031", "<0.0001"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("600s", 600),
        ("90m", 5400),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5d", 129_600),
        ("600", 600),
        (600, 600),
        (" 2 h ", 7200),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert text_module.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "0", "0h", "1w", "1h and more", "nan", "1e9", "h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"is (not a duration|zero)"):
        text_module.parse_duration(text)
