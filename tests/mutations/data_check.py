"""Mistakes in what `harness data check` says about image folders."""

from tests.mutations.kind import Mutation as M

# fmt: off
DATA_CHECK = (
    M("data check: images that cannot be read wait for the next check", "harness/data/fetch/check.py",
      "*_unreadable(source, classes, decode_all)]", "]",
      "tests/data/fetch/test_check.py"),
    M("data check: an empty file is decoded too", "harness/data/sources/image_folder.py",
      "in sized if size > 0]", "in sized if size > 9**9]",
      "tests/data/fetch/test_check.py"),
    M("data check: classes of a larger data set are a remark", "harness/data/sources/image_folder.py",
      "if 0 < len(others) <= len(self.class_ids):", "if others:",
      "tests/data/fetch/test_check.py"),
    M("data check: no hint at the folders that are there", "harness/data/sources/image_folder.py",
      " + self._hint(split)", "",
      "tests/data/fetch/test_check.py"),
)
