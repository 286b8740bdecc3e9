"""The line of a plugin or method at which an error began."""

import json

from harness.core.errors import did_you_mean
from harness.core.traces import own_place

TRACE = """Traceback (most recent call last):
  File "{harness}", line 110, in execute
    run()
  File "/home/me/mine.py", line 12, in synthesize
    json.loads(text)
  File "{library}", line 346, in loads
    raise
"""


def test_it_is_the_innermost_one_that_is_no_library_of_others():
    trace = TRACE.format(harness=did_you_mean.__code__.co_filename, library=json.__file__)
    assert own_place(trace) == "/home/me/mine.py:12"
    assert own_place(trace.replace("/home/me/mine.py", json.__file__)) == ""
    assert own_place("") == ""
