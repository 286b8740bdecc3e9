"""The page of a run as a file: everything on it, nothing loaded, nothing of a plugin's text taken as markup."""

from __future__ import annotations

import re
import time
from collections import Counter
from html.parser import HTMLParser

import pytest
import torch
from sklearn.datasets import load_digits

import harness
from harness.api import report
from harness.core.classes import ClassInfo
from harness.core.store import Store
from harness.data import contact_sheet
from harness.execution.contact_sheets import SHOWN
from harness.jobs.curves import write_curves
from tests.helpers.made_run import make_grid, make_record, make_run, with_mixed_endings

VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """The elements of a page in order, with their attributes and texts; fails where tags do not balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def mixed(tmp_path) -> str:
    return report.write_page(with_mixed_endings(tmp_path / "mixed")).read_text(encoding="utf-8")


def test_a_page_loads_nothing_and_lets_no_other_code_run(mixed):
    page = Page(mixed)
    sources = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    code = [script for script in page.all("script") if script.get("type") != "application/json"]
    assert len(code) == policy.split("script-src")[1].split(";")[0].count("sha256-")
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on") or a == "style"]


def test_a_plugins_texts_are_never_markup(mixed):
    assert "&lt;script&gt;" in mixed
    assert len(re.findall("<script", mixed)) == 8
    assert "<img src=x" not in mixed
    assert not re.search(r"[\x00-\x08\x0b-\x1f]|\[31m", mixed)


def test_ids_are_unique_and_every_reference_to_one_exists(mixed):
    page = Page(mixed)
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    for _, attributes in page.elements:
        for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls", "data-copy"):
            assert attributes.get(name, next(iter(ids))) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_every_control_picture_and_table_says_what_it_is(mixed):
    page = Page(mixed)
    labelled = {label["for"] for label in page.all("label")}
    assert {control["id"] for control in page.all("input")} == labelled
    assert all(text.strip() for tag in ("button", "label", "summary", "caption") for text in page.texts[tag])
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert {header["scope"] for header in page.all("th")} == {"col", "row"}
    assert page.all("html")[0]["lang"] == "en"


def test_a_page_holds_tables_pictures_configs_provenance_and_every_failure(mixed):
    page = Page(mixed)
    text = " ".join(page.texts["body"][0].split())
    for expected in (
        "8 of 17 results: 4 failed, 4 skipped, 1 interrupted",
        "37.5", "no module named foo", "stopped before this job", "Error: synthesize_broken", "RuntimeError",
        '"steps": 50', "ab12", "ef56 with uncommitted changes", "torch 2.11.0", "harness run --suite imagewoof --methods dit",
        "Leaderboard", "Distillation time", "% dit (", "@misc{distillation-harness,",
    ):  # fmt: skip
        assert expected in text, expected
    kinds = [image["src"].split(";")[0] for image in page.all("img")]
    assert kinds == ["data:image/webp", "data:image/webp"]
    assert "Distilled set of Dit, IPC 10, distillation seed 0" in page.all("img")[1]["alt"]


def test_a_page_shows_what_was_lost_and_tried_again(tmp_path):
    lost = [{"job": "fit dit", "reason": "node <b>h</b> left", "host": "h", "seconds": 61.0, "key": "ab"}]
    folder = make_run(tmp_path / "r", [make_record(attempts=2, lost_to="node h left", lost_s=61.0)], losses=lost)
    text = report.write_page(folder).read_text(encoding="utf-8")
    assert "Attempts lost to system faults" in text
    assert "node &lt;b&gt;h&lt;/b&gt; left" in text
    assert "1m 01s" in text


def test_a_failure_names_its_method_reason_and_what_is_missing_once(mixed):
    rows = [row for row in mixed.split("<tr>") if "no module named foo" in row and 'class="reason"' in row]
    assert len(rows) == 1
    assert "skipped" in rows[0]
    assert "10, 50" in rows[0]
    assert ">4<" in rows[0]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([make_record()], "1 of 1 result", id="one method and one seed"),
        pytest.param([make_record(status="failed", error="no")], "No result: 1 failed", id="no result"),
        pytest.param([make_record(status="skipped", error="no")], "No result: 1 skipped", id="nothing could run"),
        pytest.param([make_record("full", reference_row=True, ipc=None)], "1 of 1 result", id="only full data"),
    ],
)
def test_a_small_run_has_a_page(records, expected, tmp_path):
    page = Page(report.write_page(make_run(tmp_path / "small", records)).read_text(encoding="utf-8"))
    assert expected in page.texts["body"][0]
    assert "nan" not in page.texts["table"][0].lower()


def test_a_run_of_an_older_harness_has_a_page(tmp_path):
    """Its run.json knows neither references nor versions of methods, and not how it ended."""
    old = {"dit": {"config": {}, "code": "ab12", "skipped": None}}
    folder = make_run(tmp_path / "old", [make_record()], methods=old, jobs={}, ended=None, environment={})
    page = Page(report.write_page(folder).read_text(encoding="utf-8"))
    assert "@misc{dit," not in page.texts["body"][0]


def test_a_run_without_records_is_refused_and_nothing_is_written(tmp_path):
    folder = make_run(tmp_path / "killed", [])
    (folder / "records.json").unlink()
    with pytest.raises(harness.UserError, match="stopped before it had results"):
        report.write_page(folder)
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_long_table_is_cut_and_says_where_all_of_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.reporters.page.tables.MOST_ROWS", 3)
    text = report.write_page(make_run(tmp_path / "long", make_grid(5, 1, 1, 1))).read_text(encoding="utf-8")
    assert "First 3 of 5 rows; all rows: tables/leaderboard.csv of this run." in text
    assert "Copy Markdown" in text.split('id="table-paper"')[1]
    assert "Copy Markdown" not in text.split('id="table-paper"')[0]


def test_a_page_of_750_results_and_50_sheets_stays_small_and_takes_seconds(tmp_path):
    """Ten methods, five IPCs, three students, five seeds: promised in 20 s and 15 MB.

    Sheets are those of ten classes at 224 pixels, of noise, the worst case.
    """
    folder = make_run(tmp_path / "large", make_grid(10, 5, 3, 5))
    (folder / "images").mkdir()
    classes = tuple(ClassInfo(f"n{number}", number, f"class {number}") for number in range(10))
    noise = {c.id: torch.randint(256, (SHOWN, 3, 224, 224), dtype=torch.uint8) for c in classes}
    contact_sheet(noise, classes, folder / "images" / "method_00_ipc10_seed0.png", per_row=SHOWN)
    for number in range(1, 50):
        (folder / "images" / f"method_{number // 5:02d}_ipc{10 * (number % 5 + 1)}_seed0.png").hardlink_to(
            folder / "images" / "method_00_ipc10_seed0.png"
        )
    begin = time.process_time()
    path = report.write_page(folder)
    assert time.process_time() - begin < 20
    assert path.stat().st_size < 15_000_000
    assert len(Page(path.read_text(encoding="utf-8")).all("img")) == 50


@pytest.mark.slow
def test_a_page_as_large_as_the_demos_has_less_than_1500_kb(tmp_path):
    """Seventeen methods, two IPCs, two students, three seeds with curves of 60 epochs, colour noise over real digits."""
    records = [
        record | {"ipc": 1 if record["ipc"] == 10 else 10, "train_key": f"{number:032d}"}
        for number, record in enumerate(make_grid(17, 2, 2, 3))
    ]
    folder = make_run(tmp_path / "runs" / "demo", records)
    for record in records:
        rows = [{"epoch": e, "top1": round(record["top1_best"] * (1 - 0.9**e) + e % 7 / 9, 6)} for e in range(1, 61)]
        Store(tmp_path).write(
            "train", record["train_key"], lambda at, rows=rows: write_curves(at / "curves.csv", rows) or {}
        )
    digits = torch.from_numpy(load_digits().images[:100] * 15.9).reshape(10, 10, 1, 8, 8)
    grey = torch.nn.functional.interpolate(digits.flatten(0, 1), size=16, mode="bilinear").repeat(1, 3, 1, 1)
    noisy = (grey + 6 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(0), dtype=grey.dtype)).clamp(
        0, 255
    )
    images = noisy.to(torch.uint8).reshape(10, 10, 3, 16, 16)
    classes = tuple(ClassInfo(str(number), number, str(number)) for number in range(10))
    (folder / "images").mkdir()
    for ipc in (1, 10):
        first = folder / "images" / f"method_00_ipc{ipc}_seed0.png"
        contact_sheet({c.id: images[c.label][:ipc] for c in classes}, classes, first, per_row=SHOWN)
        assert first.stat().st_size > {1: 12_000, 10: 85_000}[ipc], "as much as a sheet of the demo has on average"
        for number in range(1, 17):
            first.with_name(f"method_{number:02d}_ipc{ipc}_seed0.png").hardlink_to(first)
    report.figures(folder, kinds=("accuracy",))
    path = report.write_page(folder)
    page = Page(path.read_text())
    assert len(page.all("img")) == 34 + 4
    assert len([plot for plot in page.all("figure") if plot.get("data-against") == "training"]) == 4
    assert path.stat().st_size < 1_500_000
