"""Mistakes in what a wheel contains and in how its methods keep their keys."""

from tests.mutations.kind import Mutation

FINGERPRINT, BUILD = "harness/core/plugin/fingerprint.py", "hatch_build.py"
PACKAGING = (
    Mutation(
        "a method of a wheel has keys of its own",
        FINGERPRINT,
        "            node.module = _in_a_checkout(node.module)",
        "            pass",
        "tests/core/test_fingerprint.py",
    ),
    Mutation(
        "another package whose name begins alike is taken for the methods",
        FINGERPRINT,
        'if f"{name}.".startswith(f"{_IN_A_WHEEL}.") else name',
        "if name.startswith(_IN_A_WHEEL) else name",
        "tests/core/test_fingerprint.py",
    ),
    Mutation(
        "a method of a wheel stands on the whole harness",
        FINGERPRINT,
        '    return _in_a_checkout(name).partition(".")[0]',
        '    return name.partition(".")[0]',
        "tests/core/test_fingerprint.py",
    ),
    Mutation(
        "a method of a wheel stands on the package's own file",
        FINGERPRINT,
        'inside = ("." in _in_a_checkout(name) or',
        'inside = ("." in name or',
        "tests/core/test_fingerprint.py",
    ),
    Mutation(
        "an import inside a function is not renamed for a wheel",
        BUILD,
        r'r"^(\s*)from methods\b"',
        r'r"^()from methods\b"',
        "tests/packaging/test_wheel_and_sdist.py::test_imports_of_method_files_are_renamed_for_a_wheel",
    ),
    Mutation(
        "a method file that a wheel cannot have is packed",
        BUILD,
        r'if re.search(r"^\s*import methods\b"',
        r'if re.search(r"^\s*import method\b"',
        "tests/packaging/test_wheel_and_sdist.py::test_an_import_that_cannot_be_renamed_is_refused",
    ),
)
