"""Deliberate mistakes in protocols, their files, siamese augmentation in training, and whitening."""

from __future__ import annotations

from tests.mutations.kind import Mutation as M

MUTATIONS = (
    M("dc: one epoch less", "datasets/protocols/dc.yaml",
      "epochs: 301", "epochs: 300",
      "tests/training/test_classic_protocols.py::test_every_epoch_has_the_learning_rate_of_the_authors"),
    M("dsa: the learning rate falls an epoch late", "datasets/protocols/dsa.yaml",
      "lr_milestones: [0.502]", "lr_milestones: [0.503]",
      "tests/training/test_classic_protocols.py::test_every_epoch_has_the_learning_rate_of_the_authors"),
    M("dc: momentum goes on at the milestone", "harness/training/trainer.py",
      "if epoch in self.recipe.restarts:", "if False:",
      "tests/training/test_classic_protocols.py::test_momentum_starts_from_zero_where_the_learning_rate_falls"),
    M("dsa: all images of a batch alike", "harness/training/siamese.py",
      "torch.rand(3, num, dtype=torch.float64, generator=rng)",
      "torch.rand(3, 1, dtype=torch.float64, generator=rng).expand(3, num)",
      "tests/training/test_classic_protocols.py::test_each_batch_draws_one_operation_and_each_image_its_own_share_of_it"),
    M("sre2l: half of the cosine", "datasets/protocols/sre2l.yaml",
      "schedule: cosine", "schedule: half_cosine",
      "tests/training/test_classic_protocols.py::test_sre2l_follows_the_cosine_of_the_authors_and_is_scored_every_ten_epochs"),
    M("zca: divided by N", "harness/training/whitening.py",
      "alpha=1 / (num - 1)", "alpha=1 / num",
      "tests/training/test_whitening.py"),
    M("zca: test images as they are", "harness/training/trainer.py",
      "rank(run.forward, test, run.protocol, num_classes, whitening)", "rank(run.forward, test, run.protocol.model_copy("
      "update={'whitening': 'none'}), num_classes)",
      "tests/training/test_whitening.py::test_training_and_test_images_are_whitened_alike"),
    M("protocol files: an include brings its version", "harness/training/protocol_files.py",
      '_OWN = ("name", "version", "title", "source")', '_OWN = ("name", "title", "source")',
      "tests/training/test_protocol_files.py::test_a_file_beside_it_may_be_included_but_not_its_name_or_title"),
    M("protocol files: a teacher's key holds the path", "harness/planning/resolve_suite.py",
      'update={"protocol": name_of(suite.teacher.protocol)}', 'update={"protocol": suite.teacher.protocol}',
      "tests/planning/test_protocol_files.py::test_a_teacher_learns_by_a_file_and_no_key_holds_its_path"),
)  # fmt: skip
