"""Figures for a paper: final width, 8 pt text, no words but labels, exact IPCs, told apart in grey print, caption as LaTeX."""

import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from harness.core.errors import UserError
from harness.core.store import Store
from harness.reporters.figures import write_figures
from harness.reporters.figures.accuracy import accuracy_figures
from harness.reporters.figures.curves import curve_figures
from harness.reporters.figures.sheet import COLUMN, PAGE, SCREEN
from harness.reporters.figures.style import PAPER_COLORS, looks, style
from tests.helpers.made_run import make_record, make_run

SHEETS = {"column": COLUMN, "page": PAGE}


def drawn(records, sheet, name="accuracy_ipc", **options):
    with style(sheet):
        return dict(accuracy_figures(records, sheet=sheet, **options))[name]


def shown_texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


@pytest.fixture
def crowded(row, table):
    """Seven methods, one with a long name, and three students: more than two facets fit beside each other in a column."""
    places = [(s, i) for s in ("convnet3", "resnet18", "timm:mobilenetv3_small_100") for i in (1, 10, 50)]
    titles = ["Minimax Diffusion [steps=25, guidance=4.0, epochs=8]", *(f"Method number {n}" for n in range(6))]
    return table(
        [
            row(f"m{n}", 40.0 + n, method_title=title, student=student, ipc=ipc)
            for n, title in enumerate(titles)
            for student, ipc in places
        ]
    )


@pytest.fixture
def written(mixed, tmp_path):
    """Return a function that writes the accuracy figures of `mixed` for paper."""

    def write(paper, folder="a", **options):
        return write_figures(mixed, Store(tmp_path), tmp_path / folder, kinds=("accuracy",), paper=paper, **options)

    return write


@pytest.mark.parametrize(("paper", "environment"), [("column", "figure"), ("page", "figure*")])
def test_files_have_the_final_width_embedded_fonts_and_a_caption(written, paper, environment):
    done = written(paper)
    pdf, svg, tex = done["accuracy_ipc"]
    assert [path.name for path in (pdf, svg, tex)] == [f"accuracy_ipc_{paper}.{e}" for e in ("pdf", "svg", "tex")]
    points = f"{SHEETS[paper].width * 72:g}"
    assert re.search(rf"/MediaBox \[ 0 0 {points} ", pdf.read_bytes().decode("latin-1"))
    assert f'width="{points}pt"' in svg.read_text()
    assert b"/Type3" not in pdf.read_bytes()
    assert b"/FontFile2" in pdf.read_bytes()
    assert "<text" not in svg.read_text()
    check_caption(done["accuracy_bytes"][2].read_text(), f"accuracy_bytes_{paper}", environment)
    assert "one sample standard deviation" in " ".join(tex.read_text().split())  # the default of paper


def check_caption(text, name, environment):
    """It compiles, holds what a point means, and no message of a failed method."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert text.isascii()
    assert code.startswith(f"\\begin{{{environment}}}[t]")
    assert code.endswith(f"\\end{{{environment}}}")
    assert f"\\includegraphics{{{name}.pdf}}" in code
    bare = re.sub(r"\\.", "", code)
    assert bare.count("{") == bare.count("}")
    caption = " ".join(code.split())
    assert "Larger markers: larger IPC (10, 50)." in caption
    assert not re.search(r"(?<!\\)[%#&$]", caption)
    assert "ran out of" not in code
    assert "ran out of $images" in text


def test_equal_figures_are_equal_bytes_and_intervals_can_be_asked_for(written):
    first, second = (written("column", name, bars="ci95") for name in "bc")
    for paths, others in zip(first.values(), second.values(), strict=True):
        assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in others]
    assert r"95 \% confidence interval" in " ".join(first["accuracy_ipc"][2].read_text().split())


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_all_text_is_8_points_and_inside_the_figure(crowded, sheet):
    with style(sheet):
        for name, figure in accuracy_figures(crowded, sheet=sheet):
            figure.draw_without_rendering()  # places axes and legend
            box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
            width, height = figure.get_size_inches()
            assert width == sheet.width
            assert box.x0 >= -0.02, name
            assert box.y0 >= -0.02, name
            assert box.x1 <= width + 0.02, name
            assert box.y1 <= height + 0.02, name
            assert {t.get_fontsize() for t in shown_texts(figure)} == {8}


def test_the_figure_has_labels_and_a_legend_and_the_caption_has_the_rest(mixed):
    figure = drawn(mixed, COLUMN)
    assert not figure.texts
    said = " ".join(t.get_text() for t in shown_texts(figure))
    assert "digits" not in said
    assert {"ConvNet-3", "ResNet-18", "Dit", "Full", "Top-1 accuracy (%)"} <= {
        t.get_text() for t in shown_texts(figure)
    }
    words = figure.words
    assert words.title.endswith("digits, protocol idc")
    assert "Suite digits (version 1)" in words.source


def test_points_of_paper_are_at_their_ipc_and_of_a_screen_within_6_percent(crowded):
    for sheet, most in ((COLUMN, 0.0), (SCREEN, 0.0601)):
        figure = drawn(crowded, sheet)
        x = [p[0] for c in figure.axes[0].collections if isinstance(c, PathCollection) for p in c.get_offsets()]
        off = [min(abs(np.log(value / ipc)) for ipc in (1, 10, 50)) for value in x]
        assert max(off) <= most
        assert (max(off) > 0) == bool(most)


def test_error_bars_of_paper_are_apart_but_cross_their_markers(mixed):
    figure = drawn(mixed, COLUMN, bars="std")
    figure.draw_without_rendering()
    bars = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    places = [bar.get_transform().transform(bar.get_segments()[0])[0, 0] * 72 / figure.dpi for bar in bars]
    assert len(bars) == 2
    assert 0.5 < places[1] - places[0] <= COLUMN.settings["lines.markersize"]


def luminance(color):
    return float(np.dot([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)],
                        [0.2126, 0.7152, 0.0722]))  # fmt: skip


def test_methods_are_told_apart_in_grey_print():
    found = list(looks((f"m{i}" for i in range(44)), COLUMN).values())
    assert len({(look.marker, look.line) for look in found}) == 44
    assert all(abs(luminance(a) - luminance(b)) > 0.05 for a, b in itertools.pairwise(PAPER_COLORS))
    assert all(1.05 / (luminance(color) + 0.05) > 2 for color in PAPER_COLORS), "pale on white paper"


def curves(tmp_path, num):
    """Return a store with the curves k0 and k1 of `num` epochs."""
    store = Store(tmp_path)
    for seed in (0, 1):
        lines = "".join(f"{e},{2.0 - seed},{10 * e}\n" for e in range(1, num + 1))

        def fill(folder, lines=lines):
            (folder / "curves.csv").write_text(f"epoch,train_loss,top1\n{lines}")
            return {}

        store.write("train", f"k{seed}", fill)
    return store


@pytest.mark.parametrize(("num", "line", "said"), [(4, "None", "Points"), (5, "-", "Lines")])
def test_curves_of_few_points_are_points(row, table, tmp_path, num, line, said):
    rows = [row(training_seed=s, ipc=ipc, train_key=f"k{s}") for s in (0, 1) for ipc in (10, 50)]
    store = curves(tmp_path, num)
    with style(COLUMN):
        found = dict(curve_figures(table(rows), store, sheet=COLUMN))
    assert set(found) == {f"training_{what}_ipc{ipc}" for what in ("accuracy", "loss") for ipc in (10, 50)}
    figure = found["training_loss_ipc10"]
    assert figure.axes[0].lines[0].get_linestyle() == line
    assert figure.words.notes[0].startswith(said)
    with style():
        assert dict(curve_figures(table(rows), store))["training_loss"].axes[0].lines[0].get_linestyle() == line


@pytest.fixture
def two_runs(tmp_path):
    for name, method in (("a", "dit"), ("b", "minimax")):
        records = [
            make_record(method, ipc=ipc, training_seed=s, top1_best=40.0 + s) for ipc in (10, 50) for s in (0, 1)
        ]
        make_run(tmp_path / "runs" / name, records)
    return tmp_path


def test_several_runs_are_one_figure(two_runs, cli):
    code, out, err = cli(
        "report", "a", "b", "--figures", "--paper", "column", "--to", two_runs / "out", "--store", two_runs
    )
    assert code == 0, err
    assert "accuracy_ipc" in out
    svg = (two_runs / "out" / "accuracy_ipc_column.svg").read_text()
    assert svg.count("<!-- Dit -->") == svg.count("<!-- Minimax -->") == 1
    assert not (two_runs / "runs" / "a" / "figures").exists()


def test_figures_of_a_run_for_paper_lie_apart_from_those_for_screens(two_runs, cli):
    assert cli("report", "a", "--figures", "--paper", "page", "--store", two_runs)[0] == 0
    own = two_runs / "runs" / "a" / "figures"
    assert (own / "paper" / "accuracy_ipc_page.pdf").is_file()
    assert not list(own.glob("*.*"))
    assert cli("report", "a", "--figures", "--to", two_runs / "mine", "--store", two_runs)[0] == 0
    assert {p.suffix for p in (two_runs / "mine").iterdir()} == {".png", ".pdf", ".svg"}
    assert not list(own.glob("*.*"))


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--figures", "--paper", "a4"), "choose column or page"), (("--paper", "column"), "add --figures")],
)
def test_a_wrong_paper_is_one_message_and_nothing_is_written(two_runs, cli, options, told):
    code, _, err = cli("report", "a", *options, "--store", two_runs)
    assert (code, told in " ".join(err.split())) == (2, True)
    assert not (two_runs / "runs" / "a" / "tables").exists()
    with pytest.raises(UserError, match="paper 'a4' is not known"):
        write_figures(None, None, two_runs, kinds=("accuracy",), paper="a4")


def test_settings_of_matplotlib_stay(mixed):
    before = dict(mpl.rcParams)
    drawn(mixed, COLUMN)
    assert dict(mpl.rcParams) == before
