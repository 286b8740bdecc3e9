"""`harness new method NAME`: a plugin that runs on digits, and its test."""

from __future__ import annotations

import keyword
from pathlib import Path

from harness.core.errors import UserError
from harness.core.plugin import discovery

PLUGIN = '''"""{title}: describe it in one line."""

import torch
from pydantic import Field

from harness import DistilledSet, Method, Task, register_method


@register_method("{name}")
class {cls}(Method):
    version = 1  # +1 whenever an unchanged config would give other images
    title = "{title}"
    reference = "your paper"

    class Config(Method.Config):
        blend: int = Field(2, ge=1, description="real images averaged into each distilled one")

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        """Average `blend` random real images of the class; replace this by your method."""
        images = {{}}
        for c in task.classes:
            real = task.real.images(c.id).float()  # [n, 3, S, S], 0..255
            rows = torch.randint(len(real), (ipc, self.config.blend), generator=task.rng(c.id))
            images[c.id] = real[rows.to(real.device)].mean(dim=1) / 255
        return DistilledSet(images)
'''


TEST = '''"""The plugin in {name}.py runs on digits and appears in the results."""

from pathlib import Path

import harness

PLUGIN = Path(__file__).with_name("{name}.py")


def test_{name}_trains_a_student_on_digits(tmp_path):
    run = harness.run(
        methods=["{name}"], suite="digits", ipc=[2], students=["convnet3"], seeds=[0],
        settings={{"protocol.epochs": {{"up_to": [], "above": 2}}}},
        plugins=[PLUGIN], executor="local", store=tmp_path,
    )  # fmt: skip

    rows = harness.load_results(run)
    assert list(rows["status"]) == ["done"]
    assert rows["num_images"].item() == 20
'''


def write_method(name: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py into `folder`; return both paths.

    Raises:
        UserError: the name is no lower-case Python name or is taken, or a file would be overwritten.
    """
    if not (name.isidentifier() and name == name.lower()) or keyword.iskeyword(name):
        raise UserError(f"method name {name!r}: expected a lower-case Python identifier, e.g. my_method.")
    discovery.discover()
    if name in discovery.methods or name in discovery.methods.broken:
        raise UserError(f"method name {name!r} already exists; `harness list methods` shows all names.")
    words = {"name": name, "title": name.replace("_", " ").capitalize(), "cls": name.title().replace("_", "")}
    files = {folder / f"{name}.py": PLUGIN, folder / f"test_{name}.py": TEST}
    for path in files:
        if path.exists():
            raise UserError(f"{path} already exists; nothing was written. Choose another name or folder (--to DIR).")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error}).") from None
    plugin, test = files
    return plugin, test
