"""Which class of the suite a given folder or number is: told by names, never guessed.

In: folder names or numbers, and the suite's classes. Out: class ids, and one line that says what was taken for what. A
wrong order would not fail: it would score every student at chance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.classes import ClassInfo, read_class_list
from harness.core.errors import UserError, did_you_mean

_SHOWN = 10


_NUMBER = re.compile(r"(?:new)?([0-9]{1,9})")
"""Names of folders that are numbers: 7, 00007, and new007 as SRe2L, CDA and SCDD write them. Source:
VILA-Lab/SRe2L@8d00cba SRe2L/recover/data_synthesis.py."""


ORDERS = ("labels", "sorted")


def classes_of_folders(
    names: Sequence[str], classes: Sequence[ClassInfo], order: str | None, where: str
) -> tuple[dict[str, str], str]:
    """Tell the class of each folder.

    Args:
        names: of the folders.
        classes: of the suite, in label order.
        order: what numbers mean, see `classes_of_numbers`; None: folders are called by class ids, or by numbers whose
            order cannot be doubted.
        where: the place, for messages.

    Returns:
        class id -> folder name for every class of the suite, and one line for people.

    Raises:
        UserError: folders are missing, or called neither by the suite's class ids nor by its numbers.
    """
    ids = [c.id for c in classes]
    if order is None and set(ids) & set(names):
        unknown = sorted(set(names) - set(ids))
        missing = [c for c in ids if c not in set(names)]
        if unknown or missing:
            raise UserError(f"{where}: {_mismatch(unknown, missing, ids)}")
        return dict(zip(ids, ids, strict=True)), "class folders are named by the suite's class ids"
    told = {name: number for name in names if (number := _NUMBER.fullmatch(name))}
    numbers = {int(number[1]): name for name, number in told.items()}
    if not numbers or len(numbers) < len(names):
        unknown = sorted(set(names) - set(told))
        asked = f" --class-order {order} applies only to folders named by numbers." if order else ""
        raise UserError(f"{where}: {_mismatch(unknown or sorted(names), ids if not numbers else [], ids)}{asked}")
    if sorted(numbers) != list(range(len(ids))):
        raise UserError(
            f"{where}: folders are named by {len(numbers)} numbers from {min(numbers)} to {max(numbers)}; expected "
            f"each number from 0 to {len(ids) - 1} once, one per class of the suite."
        )
    by_number, text = classes_of_numbers(classes, order, where)
    found = {class_id: numbers[number] for number, class_id in enumerate(by_number)}
    return found, f"{text}: {_pairs({numbers[number]: by_number[number] for number in sorted(numbers)}, classes)}"


def classes_of_numbers(classes: Sequence[ClassInfo], order: str | None, where: str) -> tuple[tuple[str, ...], str]:
    """Return the class ids that 0, 1, 2, ... stand for, and what was taken.

    Args:
        classes: of the suite, in label order.
        order: "labels": the suite's label order; "sorted": the sorted class ids, as torchvision's ImageFolder numbers
            them; a file: a class list in the order of the numbers. None: right only where the first two agree.
        where: the place, for messages.

    Raises:
        UserError: nothing tells the order, or the file is no list of the suite's classes.
    """
    by_label = tuple(c.id for c in classes)
    by_name = tuple(sorted(by_label))
    if order is None and by_label != by_name:
        raise UserError(
            f"{where}: classes are numbers, and their order is ambiguous: the suite's label order starts with "
            f"{', '.join(by_label[:3])}, the sorted class ids (as torchvision's ImageFolder numbers them) with "
            f"{', '.join(by_name[:3])}. A wrong order gives chance accuracy. Choose one: --class-order labels, "
            "--class-order sorted, or --class-order FILE with one class id per line, in the order of the numbers."
        )
    if order in (None, "labels"):
        return by_label, "numbers are the suite's label order"
    if order == "sorted":
        return by_name, "numbers are the order of the sorted class ids"
    path = Path(str(order))
    if not path.is_file():
        raise UserError(f"--class-order {order!r}: expected labels, sorted, or a file; file not found.")
    listed = tuple(c.id for c in read_class_list(path))
    if sorted(listed) != sorted(by_label):
        unknown, missing = sorted(set(listed) - set(by_label)), sorted(set(by_label) - set(listed))
        raise UserError(f"--class-order {order}: {_mismatch(unknown, missing, by_label, 'lines')}")
    return listed, f"numbers are the lines of {path.name}"


def _pairs(found: Mapping[str, str], classes: Sequence[ClassInfo]) -> str:
    """Return "00000 = n02086240 (Shih-Tzu), ..." for the first few."""
    names = {c.id: c.name for c in classes}
    shown = [
        f"{given} = {class_id}" + (f" ({names[class_id]})" if names[class_id] != class_id else "")
        for given, class_id in list(found.items())[:_SHOWN]
    ]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(shown) + more


def _mismatch(unknown: Sequence[str], missing: Sequence[str], ids: Sequence[str], what: str = "folders") -> str:
    parts = []
    if unknown:
        hint = did_you_mean(unknown[0], list(ids))
        parts.append(f"{len(unknown)} {what} are not classes of the suite: {_some(unknown)}.{hint}")
    if missing:
        parts.append(f"{len(missing)} of {len(ids)} classes are missing: {_some(missing)}.")
    wanted = "Expected one folder per class, named by class id (or number, 0 to " if what == "folders" else ""
    return " ".join(parts) + (f" {wanted}{len(ids) - 1})." if wanted else "")


def _some(items: Sequence[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
