"""Mistakes in reading and fetching data sets of files."""

from tests.mutations.kind import Mutation as M

IDX = "tests/data/sources/test_idx.py"
FETCH = "tests/data/fetch/test_fetch_files.py"

SOURCES = (
    M(
        "sources: SVHN's label 10 stays 10",
        "harness/data/sources/svhn.py",
        "labels.astype(np.int64) % 10",
        "labels.astype(np.int64) - 1",
        "tests/data/sources/test_svhn.py",
    ),
    M(
        "sources: SVHN's rows and columns change places",
        "harness/data/sources/svhn.py",
        "images.transpose(3, 2, 0, 1)",
        "images.transpose(3, 2, 1, 0)",
        "tests/data/sources/test_svhn.py",
    ),
    M(
        "sources: an IDX file may be longer than it announces",
        "harness/data/sources/idx_files.py",
        "if len(body) < wanted or more:",
        "if len(body) < wanted:",
        IDX,
    ),
    M(
        "sources: an IDX file's sum is not looked at",
        "harness/data/sources/idx_files.py",
        "sums.get(file_names(split, part)[0])",
        "None",
        IDX,
    ),
    M(
        "sources: a class is its place in the class list",
        "harness/data/sources/arrays.py",
        "{c: np.flatnonzero(labels == int(c)).tolist() for c in self.class_ids}",
        "{c: np.flatnonzero(labels == i).tolist() for i, c in enumerate(self.class_ids)}",
        IDX,
    ),
    M(
        "sources: the fingerprint forgets the pixels",
        "harness/data/sources/arrays.py",
        "digest.update(images[positions].tobytes())",
        "digest.update(b'')",
        IDX,
    ),
    M(
        "sources: downloads of two data sets share a name",
        "harness/data/fetch/obtain.py",
        'f"{variant.root}-{file.file_name}" if variant.files',
        "file.file_name if variant.files",
        FETCH,
    ),
    M(
        "sources: what the user gave is deleted",
        "harness/data/fetch/obtain.py",
        "        if not one.is_given:\n            one.path.unlink()",
        "        one.path.unlink()",
        FETCH,
    ),
    M(
        "sources: a link in a zip archive is let through",
        "harness/data/fetch/unpack.py",
        '"a symbolic link" if stat.S_ISLNK(mode)',
        '"a symbolic link" if stat.S_ISBLK(mode)',
        FETCH,
    ),
)
