"""LaTeX that compiles and HTML that parses, whatever a cell holds."""

import html.parser
import re
import shutil
import string
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from harness.core.errors import UserError
from harness.reporters import Table, build_reports
from harness.reporters.tables.choice import Choice
from harness.reporters.tables.latex import CAPTIONS, FIT, MOST_ROWS, escape
from harness.reporters.tables.render import render

NASTY = string.printable + "— – … ± † × − “quoted” Müller Škoda ß 日本 \\input{/etc/passwd} <b>"


@pytest.fixture
def nasty(run):
    return run.assign(
        error=run["error"].where(run["status"] == "done", NASTY), source=NASTY, method_title=run["method"] + NASTY
    )


def check_latex(text: str) -> None:
    """Assert what TeX would stumble over: characters, braces, dollars, environments, columns, undefined commands."""
    assert text.isascii()
    body = re.sub(r"(?m)^%.*\n", "", text)
    bare = re.sub(r"\\[\\{}$&#%_]", "", body)  # without escaped signs and line ends
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not set("#%~^") & set(re.sub(r"\^\\dagger|\^\\circ|\\[~^]\{", "", bare))
    assert not re.search(r"_", bare)
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        stack.append(name) if kind == "begin" else stack.remove(name)
    assert not stack
    known = {
        "begin", "end", "centering", "small", "caption", "label", "toprule", "midrule", "bottomrule", "ref", "textbf",
        "underline", "scriptsize", "footnotesize", "raggedright", "par", "smallskip", "pm", "dagger", "times", "ldots",
        "resizebox", "ifdim", "width", "linewidth", "else", "fi", "medskip", "setlength", "tabcolsep", "shortstack",
        "ss", "v", "r", "H", "c", "u", "lambda", "textbackslash", "textasciicircum", "textasciitilde",
    }  # fmt: skip
    assert set(re.findall(r"\\([A-Za-z]+)", body.replace(r"\\", " "))) <= known
    rows(text)


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row; as many as there are columns."""
    found = []
    for kinds, inner in re.findall(r"(?s)\\begin\{tabular\}\{@\{\}(.*?)@\{\}\}\n(.*?)\\end\{tabular\}", text):
        lines = [line.removesuffix(r" \\") for line in inner.splitlines() if line.endswith(r"\\")]
        cells = [re.split(r"(?<!\\) & ", line) for line in lines]
        assert {len(row) for row in cells} == {len(re.findall(r"[lr]|p\{\d+pt\}", kinds))}
        assert inner.count(r"\toprule") == inner.count(r"\bottomrule") == 1
        found += cells
    assert found
    return found


@pytest.mark.parametrize("layout", ["leaderboard", "paper", "timing", "statistics", "comparisons"])
def test_every_table_is_sound_latex(run, nasty, layout):
    for records in (run, nasty):
        (table,) = build_reports(records, [layout]).values()
        for caption in CAPTIONS:
            check_latex(table.to_latex(caption))


def test_a_paper_table_in_latex_has_small_spreads_bold_and_underlined_means_and_rules_between_ipcs(run):
    run.loc[run["method"] == "dit", "top1_best"] -= 20
    (table,) = build_reports(run, ["paper"]).values()
    text = table.to_latex()
    cells = rows(text)

    assert cells[1] == [
        "10", "ConvNet-6", r"\underline{16.0}{\scriptsize$\,\pm\,$1.0}", r"\textbf{38.0}{\scriptsize$\,\pm\,$1.0}",
        r"30.5{\scriptsize$\,\pm\,$0.7}$^\dagger$", r"$^\dagger$", "---", r"86.5{\scriptsize$\,\pm\,$0.7}",
    ]  # fmt: skip
    assert [row[0] for row in cells[1:]] == ["10", "", "50", ""]
    assert text.count(r"\midrule") == 2
    assert r"\label{tab:paper-table-imagewoof-protocol-idc}" in text


def test_a_long_table_is_cut_between_groups_and_no_row_is_lost():
    """Groups of 30, 30 and 100 rows: one a part, and the last where it must be torn."""
    frame = pd.DataFrame({"IPC": ["1"] * 30 + ["2"] * 30 + ["3"] * 100, "Row": [f"r{i}" for i in range(160)]})
    text = Table("T", "c", frame, notes=("the note",), group="IPC").to_latex()
    check_latex(text)
    parts = [rows(part) for part in text.split(r"\begin{table}")[1:]]
    assert [len(part) - 1 for part in parts] == [30, 30, MOST_ROWS, MOST_ROWS, 20]
    assert [row[1] for part in parts for row in part[1:]] == frame["Row"].tolist()
    assert [part[1][0] for part in parts] == ["1", "2", "3", "3", "3"], "each part names its group"
    assert text.count(r"\caption") == text.count("the note") == 1
    assert r"Table \ref{tab:t}, part 5 of 5" in text


@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the path")
def test_pdflatex_sets_every_table_within_the_width_of_the_text(run, nasty, tmp_path, columns):
    """A hostile text without a space may stand out of a caption, but must compile."""
    names = ["leaderboard", "paper", "timing", "statistics", "comparisons"]
    wide = run.assign(method_title=run["method"] + " of a long name" * 4)
    for records, caption, fits in ((run, "short", True), (wide, "full", True), (nasty, "full", False)):
        log = pdflatex(render(build_reports(records, names), "latex", caption), tmp_path, columns)
        assert not (fits and re.findall(r"Overfull .hbox.*", log))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on the path")
def test_pdflatex_shrinks_no_table_of_a_two_column_paper(run, tmp_path):
    """Widths are estimated without TeX: a tabular as wide as estimated, or narrower, is never made smaller."""
    for choice, environment in ((Choice(("dit",)), "table"), (Choice(), "table*")):
        text = build_reports(run, ["paper"], choice=choice)["paper"].to_latex()
        assert rf"\begin{{{environment}}}" in text
        bare = text.replace(FIT, "").replace(r"\end{tabular}}", r"\end{tabular}")
        assert not re.findall(r"Overfull .hbox.*", pdflatex(bare, tmp_path, "twocolumn"))


def pdflatex(text: str, folder: Path, columns: str) -> str:
    """Return the log of a document that holds the text; fails where it does not compile."""
    head = rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}"
    (folder / "all.tex").write_text("\n".join([head, text, r"\end{document}"]))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, log[-2000:]
    return log


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50% & a_b #1 $x$", r"50\% \& a\_b \#1 \$x\$"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("[5]", "{[}5{]}"),
        ("Müller, Šk", r"M\"{u}ller, \v{S}k"),
        ("a\n b", "a b"),
        ("日", "?"),
        ("--to a---b", "-{}-to a-{}-{}-b"),
        ("* a", "{*} a"),
    ],
)
def test_what_a_cell_holds_is_printed_as_it_is(text, escaped):
    assert escape(text) == escaped


class Reader(html.parser.HTMLParser):
    """Checks nesting, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.stack.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("layout", ["leaderboard", "paper", "timing"])
def test_html_nests_and_takes_cells_literally(nasty, layout):
    (table,) = build_reports(nasty, [layout]).values()
    reader = Reader()
    reader.feed(table.to_html())
    reader.close()

    assert reader.stack == []
    assert "b" not in reader.seen
    assert "<b>" in reader.text
    assert "日本" in reader.text
    assert table.to_html().isascii()
    assert reader.seen.count("tr") == 1 + len(table.rows)


def test_html_stresses_means_and_sets_groups_apart(run):
    run.loc[run["method"] == "dit", "top1_best"] -= 20
    (table,) = build_reports(run, ["paper"]).values()
    text = table.to_html()
    assert "<strong>38.0</strong><small> &#177; 1.0</small>" in text
    assert "<u>16.0</u>" in text
    assert text.count('<tr class="group">') == 1


def test_csv_of_one_kind_is_one_table_and_of_several_a_message(record, frame):
    two = frame(record(), record(protocol="plain"))
    text = render(build_reports(two, ["paper"]), "csv")
    assert [line.split(",")[3] for line in text.splitlines()] == ["protocol", "idc", "plain"]
    with pytest.raises(UserError, match="--layout leaderboard"):
        render(build_reports(two, ["leaderboard", "paper"]), "csv")


def test_an_unknown_format_is_a_message():
    with pytest.raises(UserError, match="Did you mean 'latex'"):
        render({}, "latx")
