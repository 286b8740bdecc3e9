"""Mistakes in what the dry run foretells."""

from tests.mutations.kind import Mutation as M

# fmt: off
ESTIMATES = (
    M("estimate: a teacher learns from its holdout too", "harness/planning/amounts.py",
      "return epochs * (self.num_real - held)", "return epochs * self.num_real",
      "tests/planning/test_estimate.py"),
    M("estimate: evaluations cost what trainings cost", "harness/planning/trials.py",
      "rates.learn_s * learned + rates.pass_s * scored", "rates.learn_s * (learned + scored)",
      "tests/planning/test_estimate.py"),
    M("estimate: one trial for all sizes of batch", "harness/planning/trials.py",
      "recipe.batch_size, min(num, recipe.batch_size)]", "recipe.batch_size]",
      "tests/planning/test_estimate.py"),
    M("estimate: records of other images count", "harness/planning/estimate.py",
      "str(manifest[\"spec\"][\"data\"]) not in data", "False",
      "tests/planning/test_estimate.py"),
    M("clock: loading is CPU time of the job", "harness/jobs/clock.py",
      "if kind in (_FIXED, _PER_IMAGE) else 0.0", "if kind != _PAUSED else 0.0",
      "tests/jobs/test_clock.py"),
)
