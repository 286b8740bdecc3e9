"""A grey suite: the digits as they are, one channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.helpers.support import tiny_suite_values


def grey_suite(folder: Path, **changes: Any) -> Path:
    """Write the tiny digits suite with `channels: 1` and one number where a protocol normalises."""
    values = tiny_suite_values() | {"name": "grey_digits", "channels": 1}
    del values["generators"]
    for protocol in values["protocol_overrides"].values():
        protocol |= {"mean": [0.3], "std": [0.32]}
    path = folder / "grey_digits.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path
