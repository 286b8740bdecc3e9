"""A process that dies of its own doing says how, and one that ends its job says nothing."""

import subprocess
import sys

import pytest

from harness.jobs.last_words import leaving_last_words, read_last_words

DYING = """
import ctypes, os, signal, sys
from pathlib import Path
from harness.jobs.last_words import leaving_last_words
with leaving_last_words(Path(sys.argv[1])):
    {how}
"""


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("ctypes.string_at(0)", "segmentation fault"),
        ("os.abort()", "aborted"),
        ("os._exit(7)", "os._exit(7) was called"),
        ("os.kill(os.getpid(), signal.SIGKILL)", ""),
    ],
)
def test_how_a_process_died_can_be_read_once(tmp_path, how, line):
    path = tmp_path / "deep" / "words"
    ended = subprocess.run([sys.executable, "-c", DYING.format(how=how), path], check=False, capture_output=True)
    assert ended.returncode in (7, -6, -9, -11)
    assert path.exists()
    said, whole = read_last_words(path)
    assert said == line
    assert line in whole.lower()
    assert read_last_words(path) == ("", "")


def test_a_job_that_ends_leaves_nothing(tmp_path):
    with leaving_last_words(tmp_path / "words"):
        pass
    with pytest.raises(KeyError), leaving_last_words(tmp_path / "words"):
        raise KeyError
    assert not list(tmp_path.iterdir())
