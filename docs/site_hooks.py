"""What mkdocs.yml asks for: files outside docs/ that pages link to become part of the site.

In the repository a page says `../notebooks/quickstart.ipynb`, and CONTRIBUTING.md says `docs/data.md`; on the site both lie
beside the other pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
BROUGHT = ("CONTRIBUTING.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "LICENSE", "notebooks/*.ipynb")
"""Files of the repository's top level that are part of the site, under the same name."""


def on_files(files: Files, config: Any) -> Files:
    """Add the files that lie outside docs/."""
    for pattern in BROUGHT:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where the site has their targets."""
    here = posixpath.dirname(page.file.src_uri)
    brought = page.file.generated_by is not None

    def moved(match: re.Match[str]) -> str:
        target = match[1]
        if "://" in target or target.startswith("#"):
            return match[0]
        inside = posixpath.normpath(posixpath.join(here if brought else posixpath.join("docs", here), target))
        return f"]({posixpath.relpath(inside.removeprefix('docs/'), here or '.')})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, markdown)
