"""A browser for the tests of the page."""

from __future__ import annotations

import pytest

from tests.helpers.chromium import Chromium, find_chromium


@pytest.fixture(scope="module")
def browser():
    program = find_chromium()
    assert program is not None
    with Chromium(program) as chromium:
        yield chromium
