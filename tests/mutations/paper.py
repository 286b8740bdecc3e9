"""Mistakes in figures for a paper and in citations."""

from tests.mutations.kind import Mutation as M

# fmt: off
PAPER = (
    M("paper: points are moved to other IPCs", "harness/reporters/figures/accuracy.py",
      "_Shift(bar=float(most * place))", "_Shift(point=float(np.exp(half * place)))",
      "tests/reporters/figures/test_paper.py::test_points_of_paper_are_at_their_ipc_and_of_a_screen_within_6_percent"),
    M("paper: the legend is wider than the figure", "harness/reporters/figures/style.py",
      "if box.width / figure.dpi <= width or columns == 1:", "if True:",
      "tests/reporters/figures/test_paper.py::test_all_text_is_8_points_and_inside_the_figure"),
    M("paper: fonts are of type 3", "harness/reporters/figures/sheet.py",
      '"pdf.fonttype": 42', '"pdf.fonttype": 3',
      "tests/reporters/figures/test_paper.py::test_files_have_the_final_width_embedded_fonts_and_a_caption[column-figure]"),
    M("paper: errors of methods are in the caption", "harness/reporters/figures/caption.py",
      "(words.title, *words.notes))", "(words.title, *words.notes, *words.details))",
      "tests/reporters/figures/test_paper.py::test_files_have_the_final_width_embedded_fonts_and_a_caption[column-figure]"),
    M("curves: two points are a line", "harness/reporters/figures/curves.py",
      "few = num < FEW", "few = False",
      "tests/reporters/figures/test_paper.py::test_curves_of_few_points_are_points"),
    M("bibtex: it is in the code fingerprint", "harness/core/plugin/fingerprint.py",
      "if not (_is_work(part) or _is_citation(part))", "if not _is_work(part)",
      "tests/methods/test_references.py::test_bibtex_is_in_no_code_fingerprint"),
    M("bibtex: a method is cited with the paper of its base class", "harness/core/plugin/method.py",
      'if "bibtex" in vars(base) or "reference" in vars(base):', 'if "bibtex" in vars(base):',
      "tests/core/test_bibtex.py"),
    M("bibtex: a received run may hold any TeX", "harness/reporters/page/cite.py",
      "(entries if safe else []), reference", "entries, reference",
      "tests/reporters/page/test_cite.py"),
)
