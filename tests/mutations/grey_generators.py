"""Mistakes in generators and methods of grey suites."""

from tests.mutations.kind import Mutation as M

GREY_GENERATORS = (
    M("a generator for RGB gives its channels in another order as grey", "harness/diffusion/vae.py",
      "LUMA = (19595, 38470, 7471)", "LUMA = (7471, 38470, 19595)",
      "tests/diffusion/test_grey.py::test_a_generator_for_rgb_encodes_grey_images_as_rgb_and_gives_luma"),
    M("a prior of grey images gives RGB", "harness/diffusion/prior.py",
      "        out_channels=channels,\n", "        out_channels=3,\n",
      "tests/diffusion/test_grey.py::test_a_prior_of_grey_images_has_one_channel_from_its_config_to_its_samples"),
    M("a grey Stable Diffusion passes for RGB until it is opened", "harness/diffusion/weight_checks.py",
      '_vae("pipeline\'s", vae or folder, channels)', '_vae("pipeline\'s", vae or folder, 1)',
      "tests/diffusion/test_grey.py::test_a_grey_generator_is_refused_for_rgb_images_before_any_job_and_where_it_is_opened"),
    M("sizes of a prior are looked at when it trains", "harness/diffusion/generator_kinds.py",
      "spec.train.check_side(image_size)", "pass",
      "tests/diffusion/test_grey.py::test_sizes_of_a_prior_that_do_not_divide_the_image_are_told_before_any_job"),
    M("what fits 28 pixels is one level too many", "harness/core/config/generator.py",
      "list(self.vae_channels[:fits])", "list(self.vae_channels[: fits + 1])",
      "tests/diffusion/test_grey.py::test_what_does_not_divide_28_pixels_is_told_with_what_does"),
    M("ConvNets for grey images are as deep as for RGB", "methods/_pixels.py",
      "side if channels == 3 else side + 4", "side",
      "tests/methods/test_grey.py::test_normalisation_and_networks_follow_the_channels"),
    M("SRe2L starts from three channels", "methods/sre2l.py",
      "shape = (task.channels,", "shape = (3,",
      "tests/methods/test_grey.py::test_a_method_makes_grey_images_that_repeat"),
)  # fmt: skip
