"""Where the project's own data files are: suites, class lists and published numbers, in a checkout or an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder of the project's data called `name`: "datasets" or "results/published".

    A wheel carries them as harness/_data/NAME; a checkout has them at its top level.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
