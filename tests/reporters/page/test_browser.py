"""The page in a real browser: it sorts, filters and copies, fits a phone, and never complains."""

from __future__ import annotations

import pytest

from harness.api import report
from tests.helpers.chromium import find_chromium
from tests.helpers.made_run import make_record, make_run, with_mixed_endings

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


def test_a_run_without_a_result_has_a_page_that_works(browser, tmp_path):
    folder = make_run(tmp_path / "none", [make_record(status="failed", error="no")])
    browser.open(report.write_page(folder))
    assert browser.run("document.querySelector('.summary').textContent") == "No result: 1 failed"
    assert not browser.complaints
