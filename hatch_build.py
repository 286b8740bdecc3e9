"""Put the methods into the wheel as `harness.methods`.

A checkout has them as the package `methods`. In site-packages that name could be another distribution's, so the wheel has one
package at its top, `harness`. The method files are copied with their own imports renamed; code fingerprints, and so keys, are
those of a checkout (harness/core/plugin/fingerprint.py).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def renamed(source: str, file: str) -> str:
    """Return a method file as the wheel has it: `from methods.dit import x` becomes `from harness.methods.dit import x`.

    Raises:
        ValueError: the file says `import methods...`, whose name would then be another one in its code.
    """
    if re.search(r"^\s*import methods\b", source, re.M):
        raise ValueError(f"{file}: write `from methods.NAME import ...`; `import methods.NAME` cannot go into a wheel")
    return re.sub(r"^(\s*)from methods\b", r"\1from harness.methods", source, flags=re.M)


class MethodsHook(BuildHookInterface):
    """Called by hatchling for each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the renamed files; an editable installation uses the checkout's own."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        for file in sorted(Path(self.root, "methods").glob("*.py")):
            copy = Path(self._folder.name, file.name)
            copy.write_text(renamed(file.read_text(encoding="utf-8"), f"methods/{file.name}"), encoding="utf-8")
            build_data["force_include"][str(copy)] = f"harness/methods/{file.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the copies."""
        if version != "editable":
            self._folder.cleanup()
