"""Mistakes in opening released sets."""

from tests.mutations.kind import Mutation as M

LAYOUTS = "tests/data/imported/test_layouts.py"
API = "tests/api/test_released_sets.py"

RELEASED = (
    M("released: numbers of numpy are refused", "harness/data/imported/read.py",
      "torch.serialization.safe_globals(inert)", "torch.serialization.safe_globals([])",
      f"{LAYOUTS}::test_dc_dsa_and_dm_have_a_set_for_each_experiment"),
    M("released: a pickle is run", "harness/data/imported/read.py",
      'map_location="cpu", weights_only=True)', 'map_location="cpu", weights_only=False)',
      f"{LAYOUTS}::test_nothing_in_a_hostile_file_is_run"),
    M("released: optimised labels say the class of an image", "harness/data/imported/given_labels.py",
      "if share > 0.5:", "if share > 1.5:",
      f"{LAYOUTS}::test_mtt_tesla_and_datm_write_two_files"),
    M("released: every seed takes the first set", "harness/data/imported/method.py",
      "found = found.sets[task.seed]", "found = found.sets[0]",
      f"{API}::test_each_set_of_a_file_is_a_distillation_seed"),
    M("released: kept floats are clipped", "harness/core/plugin/distilled_set.py",
      "image = floats[c.id].clamp(0, 1)", "image = floats[c.id] = floats[c.id].clamp(0, 1)",
      f"{API}::test_floats_that_are_bytes_train_as_the_bytes_and_others_as_they_are"),
    M("released: whitening is applied and not undone", "harness/data/imported/method.py",
      "whitening.inverse(images.to(task.device))", "whitening(images.to(task.device))",
      f"{API}::test_zca_is_undone_with_the_training_split"),
    M("released: a wrong class order is warned of only below chance", "harness/api/doubts.py",
      "return chance + min(chance, (1 - chance) / 3)", "return chance",
      f"{API}::test_what_is_suspicious_is_twice_chance_from_four_classes_on"),
)  # fmt: skip
