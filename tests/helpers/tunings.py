"""A method that blends noise into real images, as a plugin, and trials of it that take no time."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from harness.api.tune.trial import Report

BLEND = '''"""Real images with noise blended in: less is better, and none is best."""

import torch
from pydantic import Field

from harness import DistilledSet, Method, Task, register_method, search


@register_method("blend")
class Blend(Method):
    version = 1
    title = "Blend"
    reference = "none"

    class Config(Method.Config):
        noise: float = Field(0.5, ge=0, le=1, json_schema_extra=search("linear", 0.0, 1.0))
        kind: str = Field("normal", description="not tuned unless asked for")

    def synthesize(self, task: Task, state: None, ipc: int) -> DistilledSet:
        images = {}
        for c in task.classes:
            real = task.real.images(c.id)[:ipc].float() / 255
            noise = torch.rand(real.shape, generator=task.rng(c.id))
            images[c.id] = (1 - self.config.noise) * real + self.config.noise * noise
        return DistilledSet(images)
'''


class FakeTrials:
    """Trials that take no time: accuracy falls with noise. Each leaves a line in a file as it begins.

    Args:
        log: the file.
        kill_at: which trial kills the process group as it begins; 0: none.
        records: of a trial.
    """

    def __init__(self, log: Path, kill_at: int = 0, records: int = 1) -> None:
        self.log, self.kill_at, self.records = log, kill_at, records

    def __call__(self, method, point):
        """Run a trial."""
        with self.log.open("a") as handle:
            handle.write(json.dumps(point, sort_keys=True) + "\n")
        if self.kill_at and len(self.log.read_text().splitlines()) == self.kill_at:
            os.kill(int(self.log.with_name("driver").read_text()), signal.SIGKILL)
            signal.pause()
        for record in range(self.records):
            score = 90 - 60 * point.get("blend.noise", 0.5) - record
            yield Report(score, 1 + point.get("blend.noise", 0.5), record + 1, self.records, {f"{method}-{point}": 2.0})
