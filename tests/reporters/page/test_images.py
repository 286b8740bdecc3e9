"""Pictures of a run on its page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from harness.reporters.figures.style import facets, frame, save
from harness.reporters.page import images
from tests.helpers.made_run import write_noise


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_a_small_picture_is_embedded_as_it_is(tmp_path):
    write_noise(tmp_path / "dit_ipc10_seed0.png", 30, 20)
    (picture,) = images.read_sheets(tmp_path, {"dit": "DiT"})
    assert base64.b64decode(picture.uri.split(",")[1]) == (tmp_path / "dit_ipc10_seed0.png").read_bytes()
    assert (picture.width, picture.height, picture.note) == (30, 20, "")


def test_a_large_picture_is_made_smaller_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 20_000)
    write_noise(tmp_path / "dit_ipc10_seed0.png", 2000, 500)
    (picture,) = images.read_sheets(tmp_path, {})
    assert len(base64.b64decode(picture.uri.split(",")[1])) <= 20_000
    assert decoded(picture.uri).size == (picture.width, picture.height)
    assert abs(picture.width / picture.height - 4) < 0.1
    assert "reduced from 2000 × 500 pixels" in picture.note


def test_a_file_that_is_no_picture_is_named_instead_of_shown(tmp_path):
    (tmp_path / "dit_ipc10_seed0.png").write_bytes(b"no picture")
    (picture,) = images.read_sheets(tmp_path, {})
    assert not picture.uri
    assert "cannot be shown" in picture.note


def test_sheets_come_by_method_and_ipc_as_a_number(tmp_path):
    for name in ("b_ipc1_seed0", "a_ipc100_seed0", "a_ipc20_seed1", "a_ipc20_seed0", "other"):
        write_noise(tmp_path / f"{name}.png", 3, 3)
    titles = [picture.title for picture in images.read_sheets(tmp_path, {"a": "A", "b": "B"})]
    assert titles == [f"{name}, distillation seed {seed}" for name, seed in (("A", 0), ("A", 1), ("A", 0), ("B", 0))]


def test_an_svg_is_named_and_not_shown_and_a_png_of_its_name_is_shown(tmp_path):
    (tmp_path / "cost.svg").write_text("<svg/>")
    (vector,) = images.read_figures(tmp_path)
    assert (vector.uri, "SVG files are not embedded" in vector.note) == ("", True)
    write_noise(tmp_path / "cost.png", 3, 3)
    (picture,) = images.read_figures(tmp_path)
    assert picture.uri.startswith("data:image/png;")


def test_a_program_for_a_printer_that_is_called_a_picture_is_not_run(tmp_path):
    (tmp_path / "cost.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (picture,) = images.read_figures(tmp_path)
    assert (picture.uri, "cannot be shown" in picture.note) == ("", True)


def test_accuracy_against_ipc_is_the_first_figure(tmp_path):
    names = ["features_pca_ipc10", "accuracy_bytes", "accuracy_time", "accuracy_ipc_2", "accuracy_ipc", "training_loss"]
    for name in names:
        write_noise(tmp_path / f"{name}.png", 3, 3)
    assert [picture.title for picture in images.read_figures(tmp_path)] == [
        "Accuracy ipc", "Accuracy ipc 2", "Accuracy time", "Accuracy bytes", "Features pca ipc10", "Training loss",
    ]  # fmt: skip


def test_a_run_without_pictures_shows_none(tmp_path):
    assert images.read_figures(tmp_path / "figures") == images.read_sheets(tmp_path / "images", {}) == []


def test_a_figure_is_called_by_its_own_title(tmp_path):
    figure, _ = facets(["ConvNet-3"])
    frame(figure, "digits: accuracy against IPC", "", [], [])
    save(figure, tmp_path, "accuracy_ipc")
    (picture,) = images.read_figures(tmp_path)
    assert picture.title == "digits: accuracy against IPC"
    assert picture.alt.startswith("Figure: digits: accuracy against IPC")


def test_of_a_sheet_of_many_classes_the_upper_part_is_shown_where_all_would_be_too_small(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 20_000)
    write_noise(tmp_path / "dit_ipc10_seed0.png", 300, 1500)
    (picture,) = images.read_sheets(tmp_path, {})
    assert abs(picture.height / picture.width - images.TALLEST) < 0.05
    assert "top part only, reduced from 300 × 1500 pixels; original: " in picture.note


def test_of_very_many_sheets_the_first_seeds_are_shown_and_the_others_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_SHEETS", 3)
    for name in ("a_ipc10_seed1", "a_ipc10_seed2", "a_ipc20_seed0", "b_ipc10_seed0", "b_ipc10_seed1"):
        write_noise(tmp_path / f"{name}.png", 3, 3)
    *shown, rest = images.read_sheets(tmp_path, {})
    assert [(picture.title, picture.ipc) for picture in shown] == [
        ("a, distillation seed 1", 10), ("a, distillation seed 0", 20), ("b, distillation seed 0", 10),
    ]  # fmt: skip
    assert (rest.title, rest.note) == (
        "2 more sheets, of further distillation seeds",
        f"in {tmp_path.name}/ of this run",
    )
