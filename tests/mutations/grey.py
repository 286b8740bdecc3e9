"""Mistakes in grey suites."""

from tests.mutations.kind import Mutation as M

GREY = (
    M("luma is rounded down", "harness/data/channels.py",
      "+ 2**15) >> 16", ") >> 16",
      "tests/data/test_channels.py::test_rgb_becomes_luma_bit_for_bit_as_pillow_converts_it"),
    M("grey and colour share a file of decoded images", "harness/data/decoded.py",
      '*(["grey"] if split.channels == 1 else [])', "",
      "tests/data/test_channels.py"),
    M("only 28 pixels are padded by 3", "harness/students/convnet.py",
      "padding=3 if grey else 1", "padding=3 if grey and image_size == 28 else 1",
      "tests/students/test_grey_students.py"),
    M("contrast of grey images against a third of their mean", "harness/training/augment.py",
      "GREY if protocol.channels == 3 else (1.0,)", "GREY if protocol.channels == 3 else (0.299,)",
      "tests/training/test_grey_training.py"),
    M("grey and colour share their keys", "harness/planning/keys.py",
      "if channels != 3:", "if channels == 0:",
      "tests/datasets/test_grey_suite.py::test_grey_and_colour_share_no_key"),
    M("colour lighting on grey images is let pass", "harness/planning/resolve_suite.py",
      "if suite.channels == 1 and protocol.pca_lighting:", "if suite.channels == 3 and protocol.name == '':",
      "tests/datasets/test_grey_suite.py::test_a_protocol_for_three_channels_is_refused_before_anything_is_written"),
    M("colour images are taken into a grey suite", "harness/data/imported/folder.py",
      "if self._channels == 1 and not is_grey(images):", "if self._channels == 3 and not is_grey(images):",
      "tests/data/imported/test_grey_sets.py"),
    M("a teacher for RGB images is taken in a grey suite", "harness/training/teacher_weights.py",
      "_check_channels(about.protocol.channels, protocol.channels, teacher.weights)", "pass",
      "tests/training/test_grey_training.py::test_given_weights_of_other_channels_are_refused"),
)  # fmt: skip
