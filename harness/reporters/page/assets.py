"""Style and scripts of a page, and the policy that lets nothing else run.

In: the names of files in `parts` and `vendor`. Out: their texts, and a content security policy with the hash of each.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

PARTS = Path(__file__).parent / "parts"


_UPLOT = Path(__file__).parent / "vendor" / "uplot"


_SCRIPTS = ("theme.js", "tables.js", "tabs.js", "zoom.js", "copy.js")


@dataclass(frozen=True)
class Assets:
    """What a page carries.

    Attributes:
        style: CSS.
        scripts: JavaScript; the first runs before the page is drawn.
        policy: content security policy: nothing is loaded, and of inline code only `style` and `scripts` run.
    """

    style: str
    scripts: tuple[str, ...]
    policy: str


def assets(*, plots: bool) -> Assets:
    """Return style and scripts of a page.

    Args:
        plots: with uPlot and the code that draws with it.
    """
    style, scripts = _read("page.css"), [_read(name) for name in _SCRIPTS]
    if plots:
        licence = (_UPLOT / "LICENSE").read_text(encoding="utf-8")
        style = (_UPLOT / "uPlot.min.css").read_text(encoding="utf-8") + style
        library = (_UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8")
        scripts += [f"/*! {licence} */\n{library}", _read("plots.js")]
    return Assets(style, tuple(scripts), _policy(style, scripts))


def _read(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    rules = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        "script-src": " ".join(map(_hash, scripts)),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
