"""Tiny-ImageNet's folders in small, and its zip archive."""

from __future__ import annotations

import io
import zipfile

from tests.helpers.archive_server import photograph

CLASSES = ("n01443537", "n01629819", "n02124075")
TOP = "tiny-imagenet-200"


def tiny_files(num_train: int = 2, num_test: int = 1) -> dict[str, bytes]:
    """Return path -> content: so many training and validation images of each of three classes, in mixed order."""
    found = {f"{TOP}/wnids.txt": "\n".join(reversed(CLASSES)).encode(), f"{TOP}/words.txt": b"n01443537\tgoldfish\n"}
    annotations = []
    for position, c in enumerate(CLASSES):
        boxes = "".join(f"{c}_{i}.JPEG\t0\t0\t63\t63\n" for i in range(num_train))
        found[f"{TOP}/train/{c}/{c}_boxes.txt"] = boxes.encode()
        for i in range(num_train):
            found[f"{TOP}/train/{c}/images/{c}_{i}.JPEG"] = photograph(10 * position + i, 64)
    for number in range(num_test * len(CLASSES)):
        found[f"{TOP}/val/images/val_{number}.JPEG"] = photograph(100 + number, 64)
        annotations.append(f"val_{number}.JPEG\t{CLASSES[-1 - number % len(CLASSES)]}\t0\t32\t44\t62\n")
    found[f"{TOP}/val/val_annotations.txt"] = "".join(annotations).encode()
    found[f"{TOP}/test/images/test_0.JPEG"] = photograph(200, 64)
    return found


def zipped(members: dict[str, bytes], *, link: str = "") -> bytes:
    """Return a zip archive of these files and their folders; `link` is a member that is a symbolic link."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir(f"{next(iter(members)).split('/')[0]}/")
        for name, content in members.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc")
    return file.getvalue()
