"""The caption of a paper's figure: a LaTeX file beside it, to be read with \\input."""

from __future__ import annotations

import textwrap

from harness.reporters.figures.sheet import Drawing
from harness.reporters.tables.latex import escape

_STAR = {"column": "", "page": "*"}
"""`figure*` is as wide as both columns."""


def caption_tex(figure: Drawing, name: str) -> str:
    """Return a figure environment with caption and label; what is too long for a caption stands above it as a comment.

    Args:
        figure: drawn for a column or a page.
        name: of the files, without ending.
    """
    words, star = figure.words, _STAR[figure.sheet.name]
    about = [
        f"{name}.pdf is {figure.sheet.width:g} inches wide: include it unscaled. Needs \\usepackage{{graphicx}}.",
        *filter(None, (words.source, *words.details)),
    ]
    caption = " ".join(escape(f"{text.rstrip('.')}.") for text in (words.title, *words.notes))
    lines = [
        *(line for text in about for line in _wrapped(_in_ascii(text), "% ", "%   ")),
        rf"\begin{{figure{star}}}[t]",
        r"  \centering",
        rf"  \includegraphics{{{name}.pdf}}",
        *_wrapped(rf"\caption{{{caption}}}", "  ", "    "),
        rf"  \label{{fig:{name}}}",
        rf"\end{{figure{star}}}",
    ]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, first: str, other: str) -> list[str]:
    """Break lines at spaces only: TeX would print a space for any other break."""
    return textwrap.wrap(
        text, 120, initial_indent=first, subsequent_indent=other, break_long_words=False, break_on_hyphens=False
    )


def _in_ascii(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()
