"""Every kind of image file becomes the RGB that one sees, and broken ones are named."""

import contextlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core.errors import UserError
from harness.data.decode import read_files, square

NOISE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def save(path, image, **options):
    image.save(path, **options)
    return path


def centre(path, size=8):
    """Colour of the middle pixel."""
    return read_files([path], size=size, crop="resize")[0, :, size // 2, size // 2].tolist()


def flat(mode, colour):
    return Image.new(mode, (16, 16), colour)


def palette_with_transparency():
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize(
    ("name", "image", "options", "expected"),
    [
        ("rgb.png", flat("RGB", (10, 20, 30)), {}, [10, 20, 30]),
        ("grey.PNG", flat("L", 77), {}, [77, 77, 77]),
        ("bit.png", flat("1", 1), {}, [255, 255, 255]),
        ("half_clear.png", flat("RGBA", (0, 0, 0, 0)), {}, [255, 255, 255]),
        ("grey_alpha.png", flat("LA", (100, 255)), {}, [100, 100, 100]),
        ("palette.png", palette_with_transparency(), {}, [0, 0, 255]),
        ("palette_clear.png", palette_with_transparency(), {"transparency": 1}, [255, 255, 255]),
        ("palette_alpha.png", palette_with_transparency(), {"transparency": b"\xff\x00"}, [255, 255, 255]),
        ("grey_key.png", flat("L", 9), {"transparency": 9}, [255, 255, 255]),
        ("rgb.bmp", flat("RGB", (1, 2, 3)), {}, [1, 2, 3]),
        ("cmyk.tif", flat("CMYK", (0, 255, 255, 0)), {}, [255, 0, 0]),
        ("grey.pgm", flat("L", 5), {}, [5, 5, 5]),
        ("rgb.webp", flat("RGB", (255, 255, 255)), {"lossless": True}, [255, 255, 255]),
    ],
)
def test_every_mode_becomes_the_rgb_that_one_sees(tmp_path, name, image, options, expected):
    assert centre(save(tmp_path / name, image, **options)) == expected


def test_cmyk_jpeg_is_read(tmp_path):
    red, green, blue = centre(save(tmp_path / "a.JPEG", flat("CMYK", (0, 255, 255, 0)), quality=95))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (32896, 128), (65535, 255), (300, 1)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, value, expected, ending):
    image = Image.fromarray(np.full((16, 16), value, dtype=np.uint16))
    assert centre(save(tmp_path / f"a.{ending}", image)) == [expected] * 3


def test_exif_orientation_is_ignored(tmp_path):
    image = Image.fromarray(NOISE)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = save(tmp_path / "plain.jpg", image)
    turned = save(tmp_path / "turned.jpg", image, exif=exif)

    assert torch.equal(*(read_files([p], size=16, crop="adm") for p in (plain, turned)))


def test_resize_crop_equals_torchvision(tmp_path):
    from torchvision import transforms

    for shape in ((40, 57), (33, 32), (17, 90), (32, 32)):
        image = Image.fromarray(np.resize(NOISE, (*shape, 3)))
        expected = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(32)])(image)
        assert np.array_equal(square(image, 32, "resize"), expected)


def test_a_margin_is_left_out_around_the_crop():
    """224 pixels are cut from 256, and 16 from 16: golden/rded.json, test_transform."""
    image = Image.fromarray(NOISE)
    assert np.array_equal(square(image, 16, "margin"), square(image, 16, "resize"))
    side = min(image.size)
    large = image.resize((image.width * 72 // side, image.height * 72 // side), Image.Resampling.BILINEAR)
    left, top = round((large.width - 64) / 2), round((large.height - 64) / 2)
    assert np.array_equal(square(image, 64, "margin"), large.crop((left, top, left + 64, top + 64)))


def test_adm_crop_halves_before_it_resizes():
    image = Image.fromarray(np.resize(NOISE, (70, 131, 3)))
    halved = image.resize((65, 35), Image.Resampling.BOX)
    halved = halved.resize((32, 17), Image.Resampling.BOX)
    expected = halved.resize((30, 16), Image.Resampling.BICUBIC).crop((7, 0, 23, 16))

    assert np.array_equal(square(image, 16, "adm"), expected)
    assert square(Image.fromarray(NOISE), 64, "adm").size == (64, 64)
    with pytest.raises(ValueError, match="'adm', 'resize' or 'margin'"):
        square(image, 16, "centre")


def test_broken_files_are_named_together(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(NOISE).save(whole, "JPEG", quality=95)
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:600])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "good.jpg").write_bytes(whole.getvalue())
    flat("F", 0.5).save(tmp_path / "float.tif")
    names = ["good.jpg", "cut.jpg", "empty.jpg", "text.jpg", "absent.jpg", "float.tif"]

    with pytest.raises(UserError) as caught:
        read_files([tmp_path / n for n in names], size=8, crop="adm")

    text = str(caught.value)
    assert "good.jpg" not in text
    assert all(str(tmp_path / n) in text for n in names[1:])
    assert "empty.jpg: empty file (0 bytes)" in text
    assert "text.jpg: not an image of a known format" in text


def test_at_most_ten_broken_files_are_named(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(30)]
    with pytest.raises(UserError, match="there may be more") as caught:
        read_files(paths, size=8, crop="adm")
    assert str(caught.value).count(".png:") == 10


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about what the damage did to sizes and metadata
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_damaged_bytes_never_escape_as_another_error(tmp_path, form):
    whole = io.BytesIO()
    Image.fromarray(NOISE).save(whole, form)
    rng = np.random.default_rng(1)
    for trial in range(60):
        damaged = bytearray(whole.getvalue()[: rng.integers(1, whole.tell() + 1)])
        for position in rng.integers(0, min(len(damaged), 200), 3):
            damaged[position] = rng.integers(256)
        path = tmp_path / f"{trial}.png"
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert read_files([path], size=8, crop="adm").shape == (1, 3, 8, 8)
