"""Pickles from outside are read as data; nothing in them runs."""

import os
import pickle

import numpy as np
import pytest

from harness.core.errors import UserError
from harness.data.sources.plain_pickle import read_plain_pickle
from tests.helpers.cifar_files import python2_pickle, python3_pickle

VALUES = {
    "data": np.arange(12, dtype=np.uint8).reshape(2, 6),
    "labels": [3, 300],
    "batch_label": "x",
    "filenames": ["a"],
}


class Runs:
    """A pickle of this runs a command wherever it is loaded by `pickle.load`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_batch_as_python_2_wrote_it_is_read():
    read = read_plain_pickle(python2_pickle(VALUES), "batch")
    np.testing.assert_array_equal(read["data"], VALUES["data"])
    assert (read["labels"], read["batch_label"], read["filenames"]) == ([3, 300], b"x", [b"a"])
    genuine = pickle.loads(python2_pickle(VALUES | {"data": None}), encoding="bytes")
    assert genuine[b"labels"] == [3, 300], "the test's own pickles are what pickle itself takes for Python 2's"


def test_a_batch_written_again_by_python_3_is_read():
    read = read_plain_pickle(python3_pickle({"data": VALUES["data"], "raw": b"\xff"}), "batch")
    np.testing.assert_array_equal(read["data"], VALUES["data"])
    assert read["raw"] == b"\xff"
    turned = read_plain_pickle(python3_pickle({"data": np.asfortranarray(VALUES["data"])}), "batch")
    np.testing.assert_array_equal(turned["data"], VALUES["data"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, protocol):
    hostile = pickle.dumps({"data": VALUES["data"].tolist(), "labels": Runs(tmp_path / "made")}, protocol=protocol)
    with pytest.raises(UserError, match=r"data_batch_1: not a pickle of plain data: it requests (posix|nt)\.mkdir"):
        read_plain_pickle(hostile, "data_batch_1")
    assert not (tmp_path / "made").exists()
    pickle.loads(hostile)
    assert (tmp_path / "made").is_dir(), "the ordinary way of reading it does run it"


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02cbuiltins\neval\nU\x031+1\x85R.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"\x80\x02ccopy_reg\n_reconstructor\n.",
        b"\x80\x02cnumpy\nloads\n.",
        python3_pickle({"data": np.array([{}], dtype=object)}),
        python2_pickle(VALUES)[:40],
        b"",
        b"\x80\x02]q.",
        b"not a pickle",
    ],
)
def test_whatever_is_not_plain_data_is_refused(content):
    with pytest.raises(UserError, match="batch: "):
        read_plain_pickle(content, "batch")


def test_a_pickle_that_holds_no_dict_is_refused():
    with pytest.raises(UserError, match="holds a list, expected a dict"):
        read_plain_pickle(python2_pickle([1]), "batch")
