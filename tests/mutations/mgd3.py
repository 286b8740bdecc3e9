"""Mistakes in mgd3."""

from tests.mutations.kind import Mutation as M

TESTS = "tests/methods/test_mgd3.py"
MGD3 = (
    M("mgd3: images are pushed away from their modes", "methods/mgd3.py",
      "return step.mean_BChw - away_BChw", "return step.mean_BChw + away_BChw",
      f"{TESTS}::test_a_whole_chain_is_that_of_the_authors"),
    M("mgd3: the step at stop_t is guided too", "methods/mgd3.py",
      "if step.index <= self.stop:", "if step.index < self.stop:",
      f"{TESTS}::test_a_guided_mean_is_that_of_the_authors"),
    M("mgd3: stop_t counts the steps there are", "methods/mgd3.py",
      "return stop_t * (steps - 1) / (PUBLISHED_STEPS - 1)", "return stop_t",
      f"{TESTS}::test_with_other_numbers_of_steps_the_same_noise_levels_are_guided"),
    M("mgd3: the pull grows with the variance", "methods/mgd3.py",
      "(0.5 * step.log_variance_BChw).exp()", "step.log_variance_BChw.exp()",
      f"{TESTS}::test_a_guided_mean_is_that_of_the_authors"),
    M("mgd3: every batch begins with the first mode", "methods/mgd3.py",
      "self.modes_KChw[step.images_B]", "self.modes_KChw[: len(step.images_B)]",
      f"{TESTS}::test_each_image_has_its_own_mode_also_in_a_later_batch"),
    M("mgd3: KMeans starts elsewhere", "methods/mgd3.py",
      "random_state=0, n_init", "random_state=1, n_init",
      f"{TESTS}::test_modes_are_the_centroids_of_scikit_learns_kmeans_in_its_order"),
    M("mgd3: KMeans in several threads", "methods/mgd3.py",
      "with threadpool_limits(limits=1):", "with threadpool_limits(limits=None):",
      f"{TESTS}::test_modes_do_not_depend_on_the_number_of_threads"),
    M("mgd3: equal images are modes of their own", "methods/mgd3.py",
      "min(num, len(flat_ND.unique(dim=0)))", "min(num, len(flat_ND))",
      f"{TESTS}::test_where_there_are_fewer_images_than_modes_the_modes_come_again"),
    M("mgd3: latents one standard deviation off", "methods/mgd3.py",
      "for mean_BChw, _ in posteriors(task, generator, c):\n",
      "for mean_BChw, _ in posteriors(task, generator, c):\n                mean_BChw = mean_BChw + _\n",
      f"{TESTS}::test_the_latents_are_the_means_of_the_posteriors_in_the_order_of_the_images"),
    M("mgd3: modes have no pull by default", "methods/mgd3.py",
      "            0.1,\n            ge=0,", "            0.0,\n            ge=0,",
      f"{TESTS}::test_the_defaults_are_those_of_the_authors"),
)  # fmt: skip
