"""Mistakes in the variants of suites, and in what lists and `harness doctor` say of suites."""

from tests.mutations.kind import Mutation as M

# fmt: off
FAMILIES = (
    M("suites: a variant keeps the name of its file", "harness/core/suites.py",
      '{**values, "name": name}', "values",
      "tests/core/test_variants.py"),
    M("suites: the file wins over its variant", "harness/core/suites.py",
      "[*_chosen(layer, variant), layer]", "[layer, *_chosen(layer, variant)]",
      "tests/core/test_variants.py"),
    M("suites: a mistake of a variant is told with the line of the file", "harness/core/suites.py",
      "nodes.get(name, layer.root), {", "layer.root, {",
      "tests/core/test_variants.py"),
    M("suites: names know no variants", "harness/core/suites.py",
      "for name in (base, *others)))", "for name in (base,)))",
      "tests/core/test_variants.py"),
    M("doctor: each suite tells what it lacks", "harness/cli/doctor.py",
      "parts.setdefault(part, []).append(name)", "parts.setdefault((part[0], f\"{name}: {part[1]}\", part[2]), []).append(name)",
      "tests/cli/test_suite_lists.py"),
    M("list suites: variants have lines of their own", "harness/cli/list_suites.py",
      "for name, variants in families().items():",
      "for name, variants in [(n, ()) for b, o in families().items() for n in (b, *o)]:",
      "tests/cli/test_suite_lists.py"),
)
