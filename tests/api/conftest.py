"""Sets that were made elsewhere, for the tests of this folder."""

from tests.helpers.imported_sets import pixels, tensors, write_folder  # noqa: F401
