"""Every number of the reference results that the README and the documentation show is in the committed records or published."""

import re
from pathlib import Path

import pytest

import harness
from harness.reporters.published_numbers import load_published

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results" / "reference" / "fashion_mnist"


def table(text, first):
    """The rows of the Markdown table whose header begins with `first`, as header -> cell."""
    lines = text[text.index(f"| {first}") :].split("\n\n")[0].splitlines()
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [list(zip(header, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def measured():
    """(protocol, method, IPC) -> "mean±std" of the final models."""
    found = {}
    for folder in RECORDS.glob("*/MANIFEST.json"):
        rows = harness.load_results(folder.parent)
        for (protocol, title, ipc), scores in rows.groupby(["protocol", "method_title", "ipc"])["top1_last"]:
            found[protocol, title, ipc] = f"{scores.mean():.1f}±{scores.std():.1f}"
    return found


@pytest.fixture(scope="module")
def published():
    return {
        (number.protocol, number.method, number.ipc): f"{number.mean}±{number.std}"
        for number in load_published()
        if number.suite == "fashion_mnist"
    }


def test_the_page_shows_every_row_of_the_records_beside_what_is_published(measured, published):
    shown, beside = {}, {}
    for row in table((ROOT / "docs" / "fashion_mnist.md").read_text(), "Method"):
        (_, title), (_, protocol), *cells = row
        for name, text in cells:
            ipc, (number, other) = int(name.removeprefix("IPC ")), re.fullmatch(r"(\S*)(?: \((.*)\))?", text).groups()
            if number not in ("", "—"):
                shown[protocol, title, ipc] = number
            if other:
                beside[protocol, title.lower(), ipc] = other
    assert shown == measured
    assert beside == {place: text for place, text in published.items() if place in beside}
    assert {("dc", "dc", 1), ("dc", "dc", 10), ("dsa", "dsa", 1), ("dsa", "dsa", 10)} <= beside.keys()


def test_the_readme_shows_the_same_numbers(measured, published):
    text = (ROOT / "README.md").read_text()
    for (_, ipc), *cells in table(text[text.index("Fashion-MNIST, protocols") :], "IPC"):
        for name, number in cells:
            title = name.removesuffix(", published")
            protocol = "dsa" if title == "DSA" else "dc"
            place = (protocol, title.lower(), int(ipc)) if title != name else (protocol, title, int(ipc))
            assert number == (published if title != name else measured).get(place, "—"), (ipc, name)
