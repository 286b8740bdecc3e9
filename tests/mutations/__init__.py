"""Deliberate mistakes in our code, each of which must fail a test: what `make mutants` tries, one at a time.

Data only. A mutation replaces `old`, which stands exactly once in `file`, by `new`; the test files (or one test each)
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
