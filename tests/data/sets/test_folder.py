"""Distilled sets on disk: equal bytes for equal images, and the way back."""

import pytest
import torch
from PIL import Image

from harness.core.classes import ClassInfo
from harness.core.errors import UserError
from harness.data import contact_sheet, load_distilled, save_distilled, storage_bytes

CLASSES = (ClassInfo("b", 0, "Border terrier"), ClassInfo("a", 1, "a"))


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(0)
    return {c.id: torch.randint(0, 256, (3, 3, 8, 8), generator=rng).to(torch.uint8) for c in CLASSES}


def test_what_is_saved_comes_back(tmp_path, images):
    save_distilled(tmp_path, images, CLASSES)
    loaded, labels = load_distilled(tmp_path, CLASSES, 8)

    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    assert torch.equal(loaded, torch.cat([images["b"], images["a"]]))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_head_of_a_nested_set(tmp_path, images):
    save_distilled(tmp_path, images, CLASSES)

    assert torch.equal(load_distilled(tmp_path, CLASSES, 8, ipc=2)[0], torch.cat([images["b"][:2], images["a"][:2]]))
    with pytest.raises(UserError, match="fewer than 4 images of class b, a"):
        load_distilled(tmp_path, CLASSES, 8, ipc=4)


def test_bytes_are_deterministic_and_counted_without_the_contact_sheet(tmp_path, images):
    for name in ("one", "two"):
        save_distilled(tmp_path / name, images, CLASSES)
    contact_sheet(images, CLASSES, tmp_path / "one" / "contact_sheet.png")
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").glob("*/*.png"))

    assert len(files) == 6
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    assert storage_bytes(tmp_path / "one") == sum((tmp_path / "one" / f).stat().st_size for f in files)


def test_a_student_may_see_another_size(tmp_path, images):
    save_distilled(tmp_path, images, CLASSES)
    assert load_distilled(tmp_path, CLASSES, 6)[0].shape == (6, 3, 6, 6)


def test_older_images_never_mix_with_new_ones(tmp_path, images):
    save_distilled(tmp_path, images, CLASSES)
    with pytest.raises(FileExistsError):
        save_distilled(tmp_path, images, CLASSES)


@pytest.mark.parametrize("wrong", [{}, {"b": torch.zeros(1, 3, 8, 8)}, {"b": torch.zeros(0, 3, 8, 8).byte()}])
def test_only_uint8_images_are_saved(tmp_path, wrong):
    with pytest.raises(ValueError, match="class 'b': images to save must be uint8"):
        save_distilled(tmp_path, wrong, CLASSES)
    assert not list(tmp_path.iterdir())


def test_an_incomplete_folder_is_the_users_error(tmp_path, images):
    save_distilled(tmp_path, images, CLASSES)
    with pytest.raises(UserError, match="no folder for 1 of 3 classes: c"):
        load_distilled(tmp_path, (*CLASSES, ClassInfo("c", 2, "c")), 8)


def test_the_contact_sheet_enlarges_tiny_images_by_whole_numbers(tmp_path, images):
    contact_sheet(images, CLASSES, tmp_path / "sheet.png", per_row=2)
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = opened.convert("RGB")

    left = sheet.width - 10 - 2 * 68
    tile = sheet.crop((left, 10, left + 64, 74))
    assert list(tile.resize((8, 8), Image.Resampling.NEAREST).getpixel((3, 5))) == images["b"][0, :, 5, 3].tolist()
    assert tile.crop((0, 0, 8, 8)).getcolors() == [(64, tuple(images["b"][0, :, 0, 0].tolist()))]


def test_a_contact_sheet_of_many_large_images_shows_all_of_them_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.data.sets.folder.MOST_PIXELS", 6 * 80**2)
    red = torch.tensor([200, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    large = {c.id: red.expand(3, 3, 200, 200) for c in CLASSES}
    contact_sheet(large, CLASSES, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 20 + 2 * 84
        assert (6 * 80**2, (200, 0, 0)) in sheet.getcolors()


def test_the_contact_sheet_says_what_it_leaves_out(tmp_path, images):
    contact_sheet(images, CLASSES, tmp_path / "all.png")
    contact_sheet(images, CLASSES, tmp_path / "one.png", max_classes=1)
    with Image.open(tmp_path / "all.png") as everything, Image.open(tmp_path / "one.png") as one:
        assert one.height == everything.height - 68 + 24
    with pytest.raises(ValueError, match="a class with images"):
        contact_sheet({}, CLASSES, tmp_path / "none.png")
