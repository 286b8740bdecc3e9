"""Numbers for people: what is not known is a dash, never "nan"."""

from __future__ import annotations

import math
import re
from typing import Any

DASH = "—"


DAGGER = "†"


def known(value: Any) -> bool:
    """Return whether a number is there: not None, not NaN, not pandas' NA."""
    try:
        return value is not None and not math.isnan(value)
    except TypeError:  # pandas' NA refuses to become a float
        return False


def duration(seconds: Any) -> str:
    """Return seconds as "0.42 s", "12.3 s", "4m 05s", "1h 02m" or "2d 03h"."""
    if not known(seconds):
        return DASH
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d {hours % 24:02d}h"


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str | float) -> float:
    """Return the seconds that "600s", "90m", "2h", "1h30m", "1.5d" or "600" means.

    Raises:
        ValueError: it means none, or no time at all.
    """
    found = re.fullmatch(r"\s*(?:\d+(?:\.\d+)?\s*[smhd]\s*)+", str(text))
    plain = re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", str(text))
    if found is None and plain is None:
        raise ValueError(f"{str(text)!r} is not a duration; expected seconds, or e.g. 600s, 90m, 2h, 1h30m or 1d")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", str(text)) or [(str(text), "s")]
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds > 0:
        raise ValueError(f"{str(text)!r} is zero; expected more than 0 seconds")
    return seconds


def byte_size(num_bytes: Any) -> str:
    """Return bytes as "512 B", "1.5 KiB", "2.0 MiB", ...; steps of 1024."""
    if not known(num_bytes):
        return DASH
    size = float(num_bytes)
    if round(size) < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1023.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def parse_bytes(text: str | int) -> int:
    """Return the bytes that "500", "8kB", "64 KiB" or "1.5MB" means: k, M, G in steps of 1000, Ki, Mi, Gi of 1024.

    Raises:
        ValueError: it means none, or less than one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kKMGT])(i?))?[bB]?\s*", str(text))
    if match is None:
        raise ValueError(f"{str(text)!r} is not a size; expected bytes, e.g. 76800, 76.8kB, 75KiB or 1.5MB")
    power = " kMGT".index(match[2].replace("K", "k")) if match[2] else 0
    size = float(match[1]) * (1024 if match[3] else 1000) ** power
    if size < 1 or size != round(size):
        raise ValueError(f"{str(text)!r} is {size:g} bytes; expected an integer of at least 1")
    return round(size)


def energy(joules: Any) -> str:
    """Return joules as "850 J", "12.3 kJ" or "4.6 MJ"."""
    if not known(joules):
        return DASH
    if joules < 999.5:
        return f"{joules:.0f} J"
    return f"{joules / 1e3:.1f} kJ" if joules < 999_950 else f"{joules / 1e6:.1f} MJ"


def count(number: Any) -> str:
    """Return a whole number with thousands separated."""
    return f"{int(number):,}" if known(number) else DASH


def shorten(text: str, width: int = 60) -> str:
    """Return the text on one line, cut to `width` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def times(number: int, word: str) -> str:
    """Return "1 seed" or "3 seeds"."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def interval(low: Any, high: Any, *, digits: int = 1) -> str:
    """Return "36.1 to 38.0", or a dash where there is none."""
    return f"{low:.{digits}f} to {high:.{digits}f}" if known(low) and known(high) else DASH


def points(difference: Any, *, digits: int = 1) -> str:
    """Return a difference with its sign, "+1.2" or "−0.3"; a dash where there is none."""
    return f"{difference:+.{digits}f}".replace("-", "−") if known(difference) else DASH


def probability(p: Any) -> str:
    """Return a p value as "0.03", "0.0042" or "<0.0001"; a dash where there is no test."""
    if not known(p):
        return DASH
    return "<0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])")


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def without_controls(text: str) -> str:
    """Return text without colours, cursor moves and other marks for a terminal; of a line written over, its last state."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _CONTROLS.sub("", "\n".join(lines))
