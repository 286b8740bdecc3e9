"""Tabs, plots and pictures of the page in a real browser."""

from __future__ import annotations

import itertools
import time

import pytest

from harness.api import report
from harness.core.store import Store
from harness.jobs.curves import write_curves
from tests.helpers.chromium import find_chromium
from tests.helpers.made_run import make_record, make_run, write_noise

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium on the path or in HARNESS_CHROMIUM"),
]

BOARD = "document.querySelector('[aria-labelledby=table-leaderboard]')"
IPC = 2
"""Column of the leaderboard."""

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
    assert plotted.run(f"{SEEN}.map(plot => plot.querySelector('figcaption').textContent)") == [
        "convnet6",
        "resnet_ap10",
    ]
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
        whole = "document.querySelector('#whole img')"
        in_full = f"{whole}?.naturalWidth > 0 && {whole}.naturalWidth === {whole}.clientWidth"
        assert any(plotted.run(in_full) or time.sleep(0.1) for _ in range(100)), "within 10 s, on a busy machine"
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
