"""Mistakes in the page of a run."""

from tests.mutations.kind import Mutation as M

_BOARD, _PLOTS = "harness/reporters/page/board.py", "harness/reporters/page/plots.py"

# fmt: off
PAGE = (
    M("page: the full data competes for bold", _BOARD,
      "for i in measured if row[ipc].text.isdecimal() else ():", "for i in measured:",
      "tests/reporters/page/test_board.py"),
    M("page: bars are always of 100 %", _BOARD,
      "return min(100, max(10, 10 * math.ceil(highest / 10)))", "return 100",
      "tests/reporters/page/test_board.py"),
    M("page: bars show the accuracy that is not ranked", _BOARD,
      "if mean is None or not _is_of(column, _WORDS[metric])", 'if mean is None or not _is_of(column, "best")',
      "tests/reporters/page/test_board.py"),
    M("page: a name ends the data of the plots", "harness/reporters/page/parts/page.html",
      "{{ plots | tojson }}", "{{ plots | as_json | safe }}",
      "tests/reporters/page/test_plots.py::test_no_name_ends_the_data_of_the_plots"),
    M("page: damaged curves are drawn", _PLOTS,
      "if is_regular(path) and not flaw(folder, sums=True):", "if is_regular(path):",
      "tests/reporters/page/test_plots.py"),
    M("page: a curve goes on where trainings have ended", _PLOTS,
      "num = min(len(epochs) for epochs, _ in curves)", "num = len(curves[0][0])",
      "tests/reporters/page/test_plots.py"),
    M("page: any text of the project is a link", "harness/reporters/page/header.py",
      'if re.fullmatch(r"https?://', 'if address or re.fullmatch(r"https?://',
      "tests/reporters/page/test_header.py"),
    M("page: several runs overwrite the page of one", "harness/api/report.py",
      "if len(folders) > 1 and target.resolve() in", "if False and target.resolve() in",
      "tests/reporters/page/test_several_runs.py"),
    M("page: contact sheets keep every byte", "harness/reporters/page/images.py",
      "if len(packed) < len(data) else", "if False else",
      "tests/reporters/page/test_page.py"),
)
