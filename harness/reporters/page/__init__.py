"""One HTML page of a run, or of several: tables, images, figures, configs, provenance, failures. It loads nothing."""

from __future__ import annotations

from harness.reporters.page.page import Sources, page_of, write_page

__all__ = ["Sources", "page_of", "write_page"]
