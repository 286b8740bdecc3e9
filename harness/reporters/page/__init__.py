"""One HTML page per run that holds everything: tables, images, figures, configs, provenance, failures. No network."""

from __future__ import annotations

from harness.reporters.page.page import write_page

__all__ = ["write_page"]
