"""Deliberate mistakes, one at a time, and the tests that must notice each. `make mutants` makes them.

Data only. A mutation replaces `old`, which must occur once, by `new` in one file. Each file here holds one tuple. The tests
that are named are those of the code that it changes, as few as will do, because each costs seconds.
"""

import importlib
import pkgutil

from tests.mutations.kind import Mutation


def _all() -> tuple[Mutation, ...]:
    """Return the mutations of every file of this folder, by the name of the file."""
    files = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "kind")
    tuples = [value for f in files for value in vars(importlib.import_module(f"{__name__}.{f}")).values()]
    return tuple(one for value in tuples if isinstance(value, tuple) for one in value if isinstance(one, Mutation))


MUTATIONS = _all()
