"""A method may be defined in a notebook cell: it runs here, and its key follows what its class uses of the notebook."""

import json
import subprocess
import sys

import pytest

from tests.helpers.support import ROOT

IMPORTS = (
    "import torch\nimport numpy as np\nimport harness\nfrom harness import DistilledSet, Method, register_method\n"
)
HELPER = "LEVEL = 1\nimages = torch.zeros(2)\ndef level(task):\n    return LEVEL\n"
METHOD = """@register_method("celled")
class Celled(Method):
    title = "Celled"

    def synthesize(self, task, state, ipc):
        images = {c.id: torch.full((ipc, 3, task.image_size, task.image_size), level(task) / 2) for c in task.classes}
        return DistilledSet(images)
"""
CODE = "from harness.core.plugin.fingerprint import code_fingerprint\ncodes.append(code_fingerprint(Celled))\n"
CHILD = METHOD.split("    def")[0].replace("celled", "child").replace("Celled(Method)", "Child(Celled)")

SCRIPT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
codes = shell.user_ns["codes"] = []
told = shell.user_ns["told"] = []
for cell in json.loads(sys.stdin.read()):
    result = shell.run_cell(cell, silent=False)
    result.raise_error()
print(json.dumps([codes, told]))
"""


def _run_cells(*cells):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(cells), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_key_of_a_method_in_a_cell_follows_its_class_and_what_it_uses():
    def fail(cell):
        return f"try:\n    {cell}\nexcept harness.UserError as error:\n    told.append(str(error))"

    codes, told = _run_cells(
        IMPORTS, HELPER, METHOD, CODE,
        "unrelated = 3  # another cell", METHOD.replace("        return", "        # a comment\n        return"), CODE,
        HELPER.replace("LEVEL = 1", "LEVEL = 2"), CODE,
        HELPER.replace("return LEVEL", "return 2 * LEVEL"), CODE,
        METHOD.replace("/ 2", "/ 4"), CODE,
        CHILD, CODE.replace("Celled", "Child"),
        "LEVEL = torch.zeros(1)", fail("code_fingerprint(Celled)"),
        fail('harness.run(methods="celled", suite="digits")'),
    )  # fmt: skip
    assert codes[0] == codes[1]
    assert len(set(codes)) == len(codes) - 1
    assert "uses `LEVEL` from another cell; a Tensor" in told[0]
    assert "%%writefile celled.py" in told[1]


@pytest.mark.slow
def test_a_method_in_a_cell_runs_in_this_process(tmp_path, tiny_suite):
    call = f"""run = harness.run(methods="celled", suite={str(tiny_suite)!r}, ipc=1, executor="local", store={str(tmp_path)!r},
                      settings={{"protocol.epochs": {{"up_to": [], "above": 1}}}})
told.append(run.records["status"].tolist() + [len(run.leaderboard().frame)])"""
    _, told = _run_cells(IMPORTS, HELPER, METHOD, call)
    assert told == [["done", 1]]
