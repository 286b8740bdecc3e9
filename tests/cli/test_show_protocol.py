"""`harness list protocols`, `harness show protocol`, and `--protocol` with a file."""

import io
import re

import pytest
from rich.console import Console

from harness.cli.show_protocol import print_protocol
from harness.core.config.protocol import Protocol
from harness.training.protocol_files import shipped_names
from harness.training.protocols import shipped

MINE = "name: mine\ntitle: one of ours\nsource: nobody\ninclude: dc\nepochs: 3\nlr: 0.25\n"


def rows(out):
    """Return field -> its other cells, without what they mean."""
    lines = out.split("\nfield ", 1)[1].splitlines()[1:]
    return {line.split()[0]: re.split(r"\s{2,}", line.strip())[1:] for line in lines if line[:1].strip()}


def shown(name, suite=None):
    """Return what `harness show protocol` prints on a terminal so wide that nothing is wrapped."""
    text = io.StringIO()
    print_protocol(str(name), Console(file=text, width=2000), suite=suite, plugins=[])
    return text.getvalue()


def test_a_list_says_what_each_protocol_is(cli):
    code, out, _ = cli("list", "protocols")
    assert code == 0
    for name in shipped_names():
        assert re.search(rf"^{name} +{re.escape(shipped(name).title)}", out, flags=re.M)


def test_show_prints_every_field_beside_the_default_and_the_source():
    out = shown("dsa")
    assert "VICO-UoE/DatasetCondensation@53f63a6" in out
    found = rows(out)
    assert list(found) == [name for name in Protocol.model_fields if name not in ("name", "version")]
    assert found["epochs"][:2] == [
        "1001",
        "3000 to IPC 1, 2000 to IPC 10, 1500 to IPC 50, 1000 to IPC 200, 500 to IPC 500, 300",
    ]
    assert found["dsa"][:2] == ["[color, crop, cutout, flip, scale, rotate]", "[]"]
    assert found["crop_scale"][:2] == ["null", "[0.5, 1]"]
    assert found["restart_optimizer"][:2] == ["true", "false"]


def test_show_prints_what_a_suite_makes_of_it():
    found = rows(shown("dsa", suite="digits"))
    assert found["lr"][:3] == ["0.01", "0.02", "0.01"]
    assert found["dsa"][:3] == [
        "[color, crop, cutout, flip, scale, rotate]",
        "[color, crop, cutout, scale, rotate]",
        "[]",
    ]


def test_show_takes_a_file(cli, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    code, out, _ = cli("show", "protocol", path, "--suite", "digits")
    assert code == 0
    assert "mine (version 1): one of ours" in out
    assert rows(out)["lr"][:3] == ["0.25", "0.25", "0.01"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("protocol", "dsb"), "unknown protocol 'dsb'. Did you mean 'dsa'?"),
        (("protocol", "none.yaml"), "protocol file none.yaml: cannot be read"),
        (("suite", "digits", "--suite", "digits"), "--suite works only with `harness show protocol`"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_message(cli, words, told):
    code, _, err = cli("show", *words)
    assert code == 2
    assert told in " ".join(err.split())


def test_a_run_under_a_file_keeps_the_protocol_in_its_records(cli, tiny_suite, tmp_path):
    import harness

    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    words = ("--suite", tiny_suite, "--methods", "random_real", "--ipc", "1", "--seeds", "0", "--students", "convnet3")
    code, _, err = cli("run", *words, "--protocol", path, "--store", tmp_path / "s", "--executor", "local")
    assert code == 0, err
    records = harness.load_results(next((tmp_path / "s" / "runs").iterdir()))
    assert set(records["protocol"]) == {"mine"}
    done = records[records["status"] == "done"]
    assert (done["top1_best"] == done["top1_last"]).all(), "scored once"
    assert set(done["epochs"]) == {3}


def test_a_mistake_in_a_file_writes_nothing(cli, tiny_suite, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{MINE}momentum: 2\n")
    words = ("--suite", tiny_suite, "--methods", "random_real", "--protocol", path, "--store", tmp_path / "s")
    code, _, err = cli("run", *words)
    assert code == 2
    assert "mine.yaml, line 7: field 'momentum'" in " ".join(err.split())
    assert not (tmp_path / "s").exists()
