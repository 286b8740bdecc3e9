"""The page in a real browser: it sorts, filters and copies, fits a phone, and never complains."""

from __future__ import annotations

import itertools

import pytest

from harness.api import report
from harness.core.store import Store
from harness.jobs.curves import write_curves
from tests.helpers.chromium import Chromium, find_chromium
from tests.helpers.made_run import make_record, make_run, with_mixed_endings, write_noise

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on the path or in HARNESS_CHROMIUM"),
]

BOARD = "document.querySelector('[aria-labelledby=table-leaderboard]')"
RANK, METHOD, IPC, LAST, BEST = range(5)
"""Columns of the leaderboard."""
NAMES = f"[...{BOARD}.querySelectorAll('tbody tr:not([hidden])')].map(row => row.cells[{METHOD}].textContent)"
IPCS = f"[...{BOARD}.querySelectorAll('tbody tr')].map(row => row.cells[{IPC}].textContent)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return report.write_page(with_mixed_endings(tmp_path_factory.mktemp("runs") / "mixed"))


@pytest.fixture(scope="module")
def browser():
    program = find_chromium()
    assert program is not None
    with Chromium(program) as chromium:
        yield chromium


@pytest.fixture
def page(browser, path):
    """Load the page anew; whatever a test does with it, the browser may not complain and nothing may be asked for."""
    browser.resize(1280)
    browser.prefer("light")
    browser.open(path)
    yield browser
    assert not browser.complaints
    assert not browser.requests


def header(number: int) -> str:
    return f"{BOARD}.querySelectorAll('thead th')[{number}]"


def click_header(page, number: int) -> str:
    page.run(f"{header(number)}.querySelector('button').click()")
    return page.run(f"{header(number)}.getAttribute('aria-sort')")


def test_a_header_sorts_up_then_down_then_as_reported(page):
    reported = page.run(NAMES)
    assert click_header(page, IPC) == "ascending"
    assert page.run(IPCS) == ["10"] * 4 + ["50"] * 4 + ["100"]
    assert click_header(page, IPC) == "descending"
    assert page.run(IPCS) == ["100"] + ["50"] * 4 + ["10"] * 4
    assert click_header(page, IPC) == "none"
    assert page.run(NAMES) == reported


def test_accuracies_sort_as_numbers_and_what_has_none_comes_last_either_way(page):
    """As texts, 9.5 would be above 37.5; a failure is no accuracy of zero."""
    click_header(page, BEST)
    up = page.run(NAMES)
    assert up[:4] == ["Herding", "Herding", "Dit", "Dit"]
    click_header(page, BEST)
    down = page.run(NAMES)
    assert down[:4] == ["Dit", "Dit", "Herding", "Herding"]
    assert sorted(up[4:]) == sorted(down[4:])


def test_sorting_by_another_column_forgets_the_first(page):
    click_header(page, IPC)
    click_header(page, METHOD)
    assert page.run(f"{header(IPC)}.getAttribute('aria-sort')") == "none"
    assert page.run(NAMES)[:2] == ["Absent", "Absent"]


def test_a_filter_shows_the_rows_that_hold_every_word_and_says_how_many(page):
    count = f"{BOARD}.querySelector('[role=status]').textContent"
    assert page.run(count) == "9 of 9 rows shown"
    page.run("document.getElementById('filter-leaderboard').focus()")
    page.type("herd 50")
    assert page.run(NAMES) == ["Herding"]
    assert page.run(count) == "1 of 9 rows shown"
    page.type(" nothing")
    assert page.run(count) == "0 of 9 rows shown"


def test_a_filter_stays_while_sorting(page):
    page.run("document.getElementById('filter-leaderboard').focus()")
    page.type("dit")
    click_header(page, IPC)
    assert page.run(NAMES) == ["Dit"] * 3


def test_everything_is_reached_and_worked_by_keyboard(page):
    page.press("Tab", 9)
    assert page.run("document.activeElement.textContent") == "Skip to the results"
    page.press("Enter", 13, "\r")
    assert page.run("location.hash") == "#main"
    page.run(f"{header(IPC)}.querySelector('button').focus()")
    page.press("Enter", 13, "\r")
    assert page.run(f"{header(IPC)}.getAttribute('aria-sort')") == "ascending"
    page.press("Tab", 9)
    assert page.run("document.activeElement.closest('th').textContent").startswith("convnet6 last")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("form", ["Markdown", "BibTeX"])
def test_a_button_copies_and_says_so(page, form):
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.run(f"document.querySelector('[data-form={form}]').click()")
    copied = page.run("new Promise(done => setTimeout(done)).then(() => navigator.clipboard.readText())")
    assert copied.startswith({"Markdown": "### Leaderboard: imagewoof", "BibTeX": "@misc{distillation-harness,"}[form])
    assert page.run("document.getElementById('said').textContent") == f"{form} copied"


def test_where_copying_is_refused_the_text_is_selected(page):
    page.run("Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false")
    page.run("document.querySelector('[data-form=Markdown]').click()")
    assert page.run("getSelection().toString()").startswith("### Leaderboard: imagewoof")
    assert "press Ctrl+C" in page.run("document.getElementById('said').textContent")


def test_texts_of_plugins_run_no_script(page):
    assert page.run("document.title").startswith("imagewoof, protocol idc – mixed – ")
    assert "<script>document.title" in page.run("document.querySelector('#failures ~ details pre').textContent")


def test_pictures_are_shown(page):
    script = "Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode()))).then(() => document.images.length)"
    assert page.run(script) == 2, "a sheet and a figure; an SVG file, which may hold scripts, is named and not shown"


def test_no_picture_is_shown_larger_than_it_is(page):
    """A sheet of one image per class would fill several screens."""
    shown = "[...document.images].filter(i => i.hasAttribute('width')).map(i => [i.clientWidth, i.naturalWidth])"
    page.run("Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode())))")
    sizes = page.run(shown)
    assert len(sizes) == 2
    assert all(width == natural for width, natural in sizes)


def test_ranks_sort_as_numbers(browser, tmp_path):
    rows = [
        make_record(name, top1_last=last + 0.1 * seed, training_seed=seed)
        for name, last in (("b", 40), ("c", 30), ("d", 20))
        for seed in range(3)
    ]
    browser.open(report.write_page(make_run(tmp_path / "ranks", rows)))
    assert browser.run(f"{header(RANK)}.className") == "number"
    for direction in ("ascending", "descending"):
        assert click_header(browser, RANK) == direction
        ranks = browser.run(f"[...{BOARD}.querySelectorAll('tbody tr')].map(row => row.cells[{RANK}].textContent)")
        assert ranks == sorted(["1", "2", "3"], reverse=direction == "descending")


def test_dark_and_light_follow_the_system_until_the_button_is_pressed(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.prefer("dark")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # then pages are told
    dark = page.run(ground)
    assert dark != light
    assert page.run("document.getElementById('theme').ariaPressed") == "true"
    page.run("document.getElementById('theme').click()")
    assert page.run(ground) == light
    assert page.run("document.getElementById('theme').ariaPressed") == "false"
    page.run("localStorage.clear()")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_only_tables_scroll_sideways(page, width):
    page.resize(width)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.run("document.querySelectorAll('details').forEach(d => (d.open = true))")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_texts_stand_out_from_their_ground_in_both_schemes(page):
    """WCAG AA: a contrast of at least 4.5, of the quietest text on the least clear ground."""
    script = """(() => {
      const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
      const shine = (element, what) => {
        const [r, g, b] = getComputedStyle(element)[what].match(/[\\d.]+/g).map(Number);
        return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
      };
      const raised = shine(document.querySelector("thead th"), "backgroundColor");
      return [".about", "nav a", ".spread", "td"].map((name) => {
        const [low, high] = [shine(document.querySelector(name), "color"), raised].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
      });
    })()"""
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        assert min(page.run(script)) >= 4.5


VISIBLE = "(found => found.filter(e => e.checkVisibility()))"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a page with plots, curves, tabs for two IPCs and two students, and a sheet wider than a phone."""
    base = tmp_path_factory.mktemp("drawn")
    rows = []
    for n, (method, ipc, student, seed) in enumerate(
        itertools.product(("dit", "dm"), (10, 50), ("convnet6", "resnet_ap10"), range(3))
    ):
        key, top1 = f"{n:032d}", 30.0 + ipc / 10 + seed + (method == "dm")
        rows.append(make_record(method, ipc=ipc, student=student, training_seed=seed, top1_last=top1, train_key=key))
        curve = [{"epoch": e, "top1": top1 * e / 20} for e in range(1, 21)]
        Store(base).write("train", key, lambda folder, curve=curve: write_curves(folder / "curves.csv", curve) or {})
    folder = make_run(base / "runs" / "drawn", rows)
    for ipc in (10, 50):
        write_noise(folder / "images" / f"dit_ipc{ipc}_seed0.png", 600, 6 * ipc)
    write_noise(folder / "figures" / "accuracy_ipc.png", 900, 400)
    return report.write_page(folder)


@pytest.fixture
def plotted(browser, drawn):
    browser.resize(1280)
    browser.prefer("light")
    browser.open(drawn)
    yield browser
    assert not browser.complaints
    assert not browser.requests


def pick(page, tab: str, text: str) -> None:
    labels = f"[...document.querySelectorAll('[data-tabs={tab}] label')]"
    page.run(f"{labels}.find(label => label.textContent === '{text}').click()")


def test_tabs_show_one_ipc_and_one_student_everywhere(plotted):
    rows = f"{VISIBLE}([...{BOARD}.querySelectorAll('tbody tr')]).map(row => row.cells[{IPC}].textContent)"
    heads = f"{VISIBLE}([...{BOARD}.querySelectorAll('thead th')]).map(th => th.textContent)"
    assert plotted.run(rows) == ["10", "10", "50", "50"]
    pick(plotted, "ipc", "50")
    pick(plotted, "student", "resnet_ap10")
    assert plotted.run(rows) == ["50", "50"]
    assert plotted.run(f"{BOARD}.querySelector('[role=status]').textContent") == "2 of 4 rows shown"
    assert [head for head in plotted.run(heads) if "convnet6" in head] == []
    assert len([head for head in plotted.run(heads) if "resnet_ap10" in head]) == 2
    assert plotted.run(f"{VISIBLE}([...document.querySelectorAll('.group h3')]).map(h => h.textContent)") == ["IPC 50"]
    pick(plotted, "ipc", "All")
    pick(plotted, "student", "All")
    assert plotted.run(rows) == ["10", "10", "50", "50"]


def test_a_tab_is_reached_and_worked_by_keyboard(plotted):
    plotted.run("document.getElementById('tab-ipc-1').focus()")
    plotted.press("ArrowRight", 39)
    assert plotted.run("document.activeElement.value") == "10"
    assert plotted.run(f"{VISIBLE}([...{BOARD}.querySelectorAll('tbody tr')]).length") == 2


SEEN = f"{VISIBLE}([...document.querySelectorAll('.plot')])"


def settle(page) -> None:
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")


def test_a_plot_tells_the_number_under_the_pointer(plotted):
    assert plotted.run(f"{SEEN}.map(plot => plot.querySelector('figcaption').textContent)") == ["convnet6", "resnet_ap10"]
    plotted.run(f"{SEEN}[0].scrollIntoView({{behavior: 'instant', block: 'center'}})")
    settle(plotted)
    x, y, width, height = plotted.run(
        f"(r => [r.x, r.y, r.width, r.height])({SEEN}[0].querySelector('.u-over').getBoundingClientRect())"
    )
    told = f"{SEEN}[0].querySelector('.told')"
    for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        plotted.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 0.9 * width, y=y + share * height)
        if not plotted.run(f"{told}.hidden"):
            break
    text = plotted.run(f"{told}.textContent").split("\n")
    assert text[0] in ("Dit", "Dm")
    assert text[1] == {"Dit": "IPC 50: 36.0 %", "Dm": "IPC 50: 37.0 %"}[text[0]]
    assert text[2].startswith("95 % interval: ")
    assert text[3] == "3 students"


def test_curves_are_drawn_when_their_tab_is_opened_and_a_name_hides_its_line(plotted):
    pick(plotted, "against", "Epoch")
    settle(plotted)
    captions = ["convnet6, IPC 10", "convnet6, IPC 50", "resnet_ap10, IPC 10", "resnet_ap10, IPC 50"]
    assert plotted.run(f"{SEEN}.map(plot => plot.querySelector('figcaption').textContent)") == captions
    assert plotted.run(f"{SEEN}.every(plot => plot.querySelector('canvas'))")
    pixels = f"{SEEN}[0].querySelector('canvas').toDataURL()"
    before = plotted.run(pixels)
    plotted.run("document.querySelector('#legend button').click()")
    settle(plotted)
    assert plotted.run("document.querySelector('#legend button').ariaPressed") == "false"
    assert plotted.run(pixels) != before


def test_a_picture_opens_in_full_size_and_escape_closes_it(plotted):
    plotted.resize(390)
    plotted.run("document.getElementById('static').open = true")
    for place in (".sheets", ".figures"):
        image = f"document.querySelector('{place} img')"
        assert plotted.run(f"{image}.clientWidth") < 390
        plotted.run(f"document.querySelector('{place} .open').click()")
        assert plotted.run("document.querySelector('#whole img').naturalWidth === document.querySelector('#whole img').clientWidth")
        plotted.press("Escape", 27)
        assert not plotted.run("document.getElementById('whole').open")


def test_without_scripts_everything_is_shown_but_what_needs_them(plotted, drawn):
    plotted.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        plotted.open(drawn)
    finally:
        plotted.call("Emulation.setScriptExecutionDisabled", value=False)
    assert plotted.run(f"{VISIBLE}([...{BOARD}.querySelectorAll('tbody tr')]).length") == 4
    assert plotted.run(f"{VISIBLE}([...document.images]).length") == 3, "two sheets and the static figure"
    assert plotted.run(f"{VISIBLE}([...document.querySelectorAll('form, #plots, .filter, main button')]).length") == 0


def test_lines_of_the_column_that_stays_go_with_it_on_a_phone(plotted):
    plotted.resize(390)
    plotted.run(f"{BOARD}.querySelector('.scroll').scrollLeft = 400")
    head = f"{BOARD}.querySelector('tbody tr:nth-child(2) th')"
    assert plotted.run(f"getComputedStyle({BOARD}.querySelector('table')).borderCollapse") == "separate"
    assert plotted.run(f"getComputedStyle({head}).borderTopWidth") == "1px"
    left = f"{head}.getBoundingClientRect().left - {BOARD}.querySelector('.scroll').getBoundingClientRect().left"
    assert plotted.run(left) < 2


def test_a_run_without_a_result_has_a_page_that_works(browser, tmp_path):
    folder = make_run(tmp_path / "none", [make_record(status="failed", error="no")])
    browser.open(report.write_page(folder))
    assert browser.run("document.querySelector('.summary').textContent") == "No result: 1 failed"
    assert not browser.complaints
