"""Mistakes in what a terminal shows."""

from tests.mutations.kind import Mutation as M

# fmt: off
TERMINAL = (
    M("terminal: a table that does not fit is cut", "harness/reporters/tables/content.py",
      "if parts[-1] and total(", "if False and total(",
      "tests/reporters/tables/test_terminal.py"),
    M("terminal: captions are always printed", "harness/reporters/tables/terminal.py",
      "[table.caption if captions else table.brief, *table.all_notes()]", "[table.caption, *table.all_notes()]",
      "tests/reporters/tables/test_terminal.py"),
    M("screen: two seeds are enough for ranks", "harness/reporters/tables/screen.py",
      "FEW_SEEDS = 3", "FEW_SEEDS = 2",
      "tests/reporters/tables/test_terminal.py"),
    M("screen: a method that lacks an IPC stands first", "harness/reporters/tables/screen.py",
      "lacking = len(ipcs) * len(students) - len(there)", "lacking = 0",
      "tests/reporters/tables/test_terminal.py"),
    M("seeds: a range lacks its last seed", "harness/cli/options.py",
      "range(first, last + 1)", "range(first, last)",
      "tests/cli/test_command_line.py"),
    M("progress: blocked jobs have finished", "harness/execution/progress.py",
      '"failed": counts["failed"],', '"failed": counts["failed"] + counts["blocked"],',
      "tests/execution/test_progress.py"),
    M("failures: the outermost line of a plugin is named", "harness/core/traces.py",
      '":".join(found[-1])', '":".join(found[0])',
      "tests/core/test_traces.py"),
)
