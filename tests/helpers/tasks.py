"""What tests of methods need beside harness/testing."""

from __future__ import annotations

from harness.core.plugin import discovery
from harness.testing.checks import Subject
from harness.testing.tasks import quick_method, task_maker

__all__ = ["distil", "quick_config", "quick_method", "subject", "task_maker"]

SETTINGS = {"d3hr": {"groups": 50}}
"""Options that make a method quick and that no other has."""


def subject(make_task, name):
    """The method as the conformance tests take it."""
    return Subject(name, make_task, SETTINGS.get(name, {}))


def quick_config(cls):
    """The default options, with fewer epochs, denoising steps and crops."""
    return quick_method(cls.name, SETTINGS.get(cls.name)).config if cls.name in discovery.methods else cls.Config()


def distil(make_task, name, ipc, seed=0):
    """What a method makes with quick options: class id -> images, checked."""
    return subject(make_task, name).distil(ipc, seed)
