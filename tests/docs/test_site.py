"""The documentation as a site: `make site`, strictly built, as a reader's browser gets it."""

import os
import re
import subprocess
import sys

import pytest

import harness
from tests.helpers.support import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """mkdocs.yml says strict: a link, an anchor or a menu entry that leads nowhere fails here."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_loads_anything_from_another_host(site):
    """No fonts, scripts or pictures of others; links that a reader may click are no loading."""
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]*)"', page.read_text())
        loaded += re.findall(r'<link\b[^>]*\brel="(?:stylesheet|icon|preconnect)"[^>]*>', page.read_text())
        assert loaded
        assert not [text for text in loaded if "//" in text], page.relative_to(site)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet.relative_to(site)


def test_the_page_on_the_api_has_every_public_name_with_its_docstring(site):
    page = (site / "api" / "index.html").read_text()
    missing = [name for name in harness.__all__ if f'id="harness.{name}"' not in page]
    assert not missing, f"docs/api.md lacks {missing}: add a line `::: harness.NAME` to one of its sections"
    assert "Run a benchmark and return the run." in page


def test_files_outside_the_folder_of_the_docs_are_part_of_the_site(site):
    """Pages link to notebooks and to the files at the top; there the links lead into docs/."""
    assert 'href="notebooks/quickstart.ipynb"' in (site / "index.html").read_text()
    assert (site / "notebooks" / "quickstart.ipynb").is_file()
    contributing = (site / "CONTRIBUTING" / "index.html").read_text()
    assert 'href="../add_a_method/"' in contributing
    assert (site / "LICENSE").is_file()
