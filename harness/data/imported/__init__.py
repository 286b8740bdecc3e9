"""Sets that were made elsewhere: read, checked, and scored as a method of their own. Importing this imports no torch."""

from __future__ import annotations

from harness.data.imported.method import ImportedImages

__all__ = ["ImportedImages"]
