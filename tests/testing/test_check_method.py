"""`harness test method` finds the mistakes that a plugin is likely to have, each with what to do."""

import pytest

from harness.core.plugin import discovery
from harness.testing.checks import CHECKS, Subject
from harness.testing.run import _checked
from tests.core.test_plugin_files import METHOD

PLUGIN = '''"""A method with mistakes, or without."""

import random
import torch
from pydantic import Field
from harness import DistilledSet, Method, register_method
{more}

@register_method("checked_one")
class CheckedOne(Method):
    title = "Checked"
    reference = "none"
    nested = True

    class Config(Method.Config):
        rounds: int = Field(1, ge=1{described})

    def synthesize(self, task, state, ipc):
        images = {{}}
        with {mark}:
            for c in task.classes:
                real = task.real.images(c.id)
                order = [int(i) for i in {order}]
                images[c.id] = real[[order[i % len(order)] for i in range(ipc)]]
        return DistilledSet(images)
'''
RIGHT = {
    "more": "",
    "described": ', description="rounds"',
    "mark": "task.per_image()",
    "order": "torch.randperm(len(real), generator=task.rng(c.id))",
}
MISTAKES = {
    "torch's own numbers": (
        {"order": "torch.randperm(len(real))"},
        "uses torch random numbers; draw from task.rng",
    ),
    "Python's numbers": (
        {"order": "[random.randrange(len(real)) for _ in real]"},
        "uses Python's random random numbers",
    ),
    "a stream for each size": (
        {"order": "torch.randperm(len(real), generator=task.rng(f'{c.id}/{ipc}'))"},
        "the set at IPC 1 is not the head of that at IPC 3",
    ),
    "no mark": ({"mark": "task.progress(1)"}, "under `with task.per_image():`"),
    "too few": ({"order": "list(range(len(real)))[:ipc]", "mark": "task.per_image()"}, ""),
    "an inner import": ({"more": "from harness.core.seeds import generator\n"}, "line 7 imports harness.core.seeds"),
    "no description": ({"described": ""}, "options without a description: rounds"),
}


def _write(folder, **changes):
    path = folder / "checked_one.py"
    path.write_text(PLUGIN.format(**{**RIGHT, **changes}))
    return path


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_found_and_told(case, make_task, tmp_path):
    changes, told = MISTAKES[case]
    discovery.load_plugin(_write(tmp_path, **changes))
    ended = [_checked(check, Subject("checked_one", make_task)) for check in CHECKS]
    problems = [one.problem for one in ended if one.problem]
    assert bool(problems) == bool(told), problems
    assert told in "; ".join(problems)


def test_a_folder_and_options_for_the_tests(cli, tmp_path):
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "in_folder.py").write_text(METHOD.format(name="in_folder"))
    code, out, _ = cli("test", "method", "in_folder", "--plugin", tmp_path)
    assert "set `reference`" in out
    assert "ValueError: class '0': images have shape [2, 3, 1, 1], expected [2, 3, 16, 16]" in out
    assert code == 1
    code, _, err = cli("test", "method", "checked_one", "--plugin", _write(tmp_path), "--set", "checked_one.rounds=0")
    assert code == 2
    assert "field 'rounds'" in err


@pytest.mark.slow
def test_a_method_with_a_generator_is_tested_with_a_small_one(cli):
    code, out, err = cli("test", "method", "dit")
    assert code == 0, out + err
    assert out.count("ok ") == 6
