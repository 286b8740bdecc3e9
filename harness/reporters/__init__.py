"""Tables from records: leaderboard, paper-style table, distillation time. Reads records only; imports no torch."""

from harness.reporters.table import Table, build_reports, register_reporter, reporters

__all__ = ["Table", "build_reports", "register_reporter", "reporters"]
