"""Mistakes in tables: what a cell shows, what it sorts by, and what a paper gets."""

from tests.mutations.kind import Mutation as M

# fmt: off
TABLES = (
    M("columns: a cell of words sorts by a number", "harness/reporters/tables/columns.py",
      "number=None if self.words else", "number=None if not self.words else",
      "tests/reporters/tables/test_columns.py"),
    M("columns: a reason is never cut", "harness/reporters/tables/columns.py",
      "self.reason if width is None else shorten(self.reason, width)", "self.reason",
      "tests/reporters/tables/test_columns.py"),
    M("html: a reason is left out", "harness/reporters/tables/html.py",
      "escape(cell.mark + reason)", "escape(cell.mark)",
      "tests/reporters/tables/test_columns.py"),
    M("latex: every table spans the page", "harness/reporters/tables/latex.py",
      "COLUMN, PAGE = 229.0, 469.0", "COLUMN, PAGE = 9.0, 469.0",
      "tests/reporters/tables/test_choice.py"),
    M("latex: a table that is too wide is not stacked", "harness/reporters/tables/latex.py",
      "COLUMN, PAGE = 229.0, 469.0", "COLUMN, PAGE = 229.0, 9469.0",
      "tests/reporters/tables/test_choice.py"),
    M("latex: the short caption is the whole text", "harness/reporters/tables/latex.py",
      'text = table.caption if caption == "full" else', "text = table.caption or",
      "tests/reporters/tables/test_choice.py"),
    M("choice: methods that are not chosen are tested", "harness/reporters/tables/registry.py",
      "made = make(choice.chosen(records), **options)", "made = make(records, **options)",
      "tests/reporters/tables/test_choice.py"),
    M("choice: the order is lost", "harness/reporters/tables/choice.py",
      "place.get(name, len(place))", "0",
      "tests/reporters/tables/test_choice.py"),
    M("students: two test models share a name", "harness/students/spec.py",
      "if shared[title] > 1 else title", "if shared[title] > 9 else title",
      "tests/students/test_student_names.py"),
)
