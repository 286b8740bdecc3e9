"""Deliberate mistakes in our code, each of which must fail a test: what `make mutants` tries, one at a time.

Data only. A mutation replaces `old`, which stands exactly once in `file`, by `new`; the test files (or one test each)
that are named are those of the code that it changes, as few as will do, because each costs seconds.
"""

from tests.mutations.cao2_ims3 import CAO2_IMS3
from tests.mutations.kind import Mutation
from tests.mutations.labels import LABELS
from tests.mutations.methods import METHODS
from tests.mutations.models import MODELS
from tests.mutations.scores import SCORES
from tests.mutations.training import TRAINING

MUTATIONS: tuple[Mutation, ...] = (*TRAINING, *MODELS, *METHODS, *CAO2_IMS3, *SCORES, *LABELS)
