"""Real images and distilled folders: sources, splits, class lists. Importing this package imports no torch."""

from harness.core.classes import read_class_list
from harness.data.real import RealImages
from harness.data.sets.folder import contact_sheet, load_distilled, save_distilled, storage_bytes
from harness.data.sources.base import ImageSource, open_source, register_source
from harness.data.split import ImageReader, Split

__all__ = [
    "ImageReader",
    "ImageSource",
    "RealImages",
    "Split",
    "contact_sheet",
    "load_distilled",
    "open_source",
    "read_class_list",
    "register_source",
    "save_distilled",
    "storage_bytes",
]
