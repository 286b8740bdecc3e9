"""Opening a source from a suite's mapping: every mistake is a message, and nothing heavy is imported."""

import subprocess
import sys

import pytest

from harness.core.errors import UserError
from harness.data import ImageSource, open_source
from harness.data.sources.base import sources


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "digit"}, "unknown source 'digit'. Did you mean 'digits'?"),
        ({}, "needs a kind"),
        ("digits", "needs a kind"),
        ({"kind": "image_folder"}, "'root' is missing"),
        ({"kind": "image_folder", "rot": "x", "root": "x"}, "unknown field 'rot'. Did you mean 'root'?"),
        ({"kind": "image_folder", "root": 3}, "'root'"),
        ({"kind": "image_folder", "root": "x", "test_dir": "train/"}, "tested on their training images"),
        ({"kind": "image_folder", "root": "x", "extensions": ["jpg"]}, "must start with a dot"),
        ({"kind": "digits", "root": "x"}, "unknown field 'root'"),
    ],
)
def test_a_wrong_source_is_the_users_error(tmp_path, source, message):
    with pytest.raises(UserError) as caught:
        open_source(source, ("a",), tmp_path)

    assert message in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("kind", sources.names())
def test_every_registered_source_is_an_image_source(kind):
    assert issubclass(sources.get(kind), ImageSource)


def test_opening_and_fingerprinting_a_folder_import_no_torch(make_tree):
    data_root = make_tree(("a",))
    code = (
        "import sys, harness.data as d\n"
        f"s = d.open_source({{'kind': 'image_folder', 'root': 'set'}}, ('a',), {str(data_root)!r})\n"
        "s.check(), s.fingerprint(), s.describe()\n"
        "sys.exit(','.join(sorted({'torch', 'torchvision', 'PIL', 'sklearn'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
