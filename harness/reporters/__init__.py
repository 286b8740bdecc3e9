"""Tables from records: leaderboard, paper-style table, distillation time. Reads records only; imports no torch."""

from harness.reporters.tables.registry import build_reports, register_reporter, reporters
from harness.reporters.tables.table import Table

__all__ = ["Table", "build_reports", "register_reporter", "reporters"]
