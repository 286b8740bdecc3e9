"""Mistakes in plugins of several files, in what is noticed of random numbers, and in loggers."""

from tests.mutations.kind import Mutation as M

PLUGINS = (
    M("the files of a plugin folder are not in the fingerprint of each other", "harness/core/plugin/plugin_files.py",
      'module.__dict__["__harness_source__"] = found[1]', 'module.__dict__["__harness_source__"] = ""',
      "tests/core/test_plugin_files.py::test_a_helper_of_the_folder_and_its_init_are_in_the_fingerprint"),
    M("the __init__.py of a plugin folder is in no fingerprint", "harness/core/plugin/fingerprint.py",
      'own = "" if package == METHODS else package', 'own = ""',
      "tests/core/test_plugin_files.py::test_a_helper_of_the_folder_and_its_init_are_in_the_fingerprint"),
    M("a worker takes its own copy of a folder of HARNESS_PLUGINS", "harness/core/plugin/discovery.py",
      "if str(own) not in own_plugins:", "if True:",
      "tests/core/test_plugin_files.py::test_a_worker_keeps_the_text_of_the_driver"),
    M("what a notebook's method uses of other cells is in no key", "harness/core/plugin/notebook.py",
      "for name in sorted(_global_names(text) - seen):", "for name in ():",
      "tests/core/test_notebook.py::test_the_key_of_a_method_in_a_cell_follows_its_class_and_what_it_uses"),
    M("random numbers of a fit are not noted", "harness/jobs/distill.py",
      'return {**made, "notes": notes} if notes else made', "return made",
      "tests/jobs/test_random_state.py"),
    M("loading of the harness counts as the method's random numbers", "harness/jobs/random_state.py",
      "            if self._known:\n                self._known = random_states()", "            pass",
      "tests/jobs/test_random_state.py"),
    M("a logger that fails ends the run", "harness/reporters/loggers/send.py",
      "except Exception as error:", "except KeyError as error:",
      "tests/reporters/test_loggers.py::test_a_run_is_logged_and_a_logger_that_fails_breaks_nothing"),
    M("a nested method need not be nested", "harness/testing/checks.py",
      "_require(difference <= allowed,", "_require(difference <= 300,",
      "tests/testing/test_check_method.py"),
)  # fmt: skip
