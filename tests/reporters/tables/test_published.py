"""Published numbers by themselves: laid out as papers do, every one of them, context apart."""

import pytest

import harness
from harness.core.errors import UserError
from harness.reporters.published_numbers import PublishedNumber
from harness.reporters.tables.published import report_published


def number(**changes):
    base = {"suite": "imagewoof", "protocol": "idc", "ipc": 10, "student": "convnet6", "method": "dit",
            "metric": "top1_best", "mean": 34.2, "std": 1.1, "source": "A paper, Table 1"}  # fmt: skip
    return PublishedNumber.model_validate(base | changes)


def test_table_1_of_minimax_diffusion_has_its_rows_columns_and_numbers():
    (table,) = (t for t in harness.report_published("imagewoof").values() if "Gu et al." in t.caption)
    shown = table.display.set_index(["IPC", "Test model"])
    assert len(shown) == 5 * 3
    assert list(shown.columns)[-1] == "full"
    assert shown.loc[("10", "resnet_ap10"), "minimax"] == "39.2 ± 1.3"
    assert shown.loc[("100", "resnet_ap10"), ["random_real", "full"]].tolist() == ["59.4 ± 1.0", "87.5 ± 0.5"]
    assert shown.loc[("100", "convnet6"), "glad"] == "—"
    assert len(table.frame) == 111
    assert "Table 1" in table.caption


def test_context_stands_apart_with_the_decimals_that_it_was_published_with():
    tables = harness.report_published("aid")
    assert list(tables) == ["published_context"]
    table = tables["published_context"]
    assert table.display.iloc[0].tolist() == ["minimax", "overall_accuracy", "—", "—", "48.96"]
    assert "Do not compare measured numbers" in table.caption


def test_sources_protocols_and_metrics_are_never_mixed():
    numbers = [number(), number(source="Another"), number(protocol="rded"), number(metric="top1_last")]
    tables = report_published("imagewoof", numbers)
    assert list(tables) == ["published", "published_2", "published_3", "published_4"]
    assert all(len(table.display) == 1 for table in tables.values())


def test_two_numbers_of_one_cell_are_both_shown():
    (table,) = report_published("imagewoof", [number(), number(mean=35.0, std=None)]).values()
    assert table.display["dit"].tolist() == ["34.2 ± 1.1; 35.0"]


def test_full_data_alone_is_a_table():
    (table,) = report_published("imagewoof", [number(ipc="full", method="full")]).values()
    assert table.display.iloc[0].tolist() == ["—", "convnet6", "34.2 ± 1.1"]


def test_a_suite_without_published_numbers_is_a_message():
    with pytest.raises(UserError, match="no published number for suite 'digits'; there are some for aid"):
        harness.report_published("digits")


def test_numbers_of_one_protocol_and_ipc_can_be_chosen():
    numbers = [number(), number(ipc=50), number(protocol="rded"), number(ipc="full", method="full")]
    (table,) = report_published("imagewoof", numbers, protocol="idc", ipc=10).values()
    assert table.frame[["published_protocol", "method"]].values.tolist() == [["idc", "dit"], ["idc", "full"]]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"protocol": "rdde"}, r"no published number .* under protocol 'rdde'\. Did you mean 'rded'.* for idc, rded\."),
        ({"protocol": "idc", "ipc": 20}, r"no published number .* under protocol idc at IPC 20; .* for IPC 10, 50\."),
    ],
)
def test_a_choice_that_leaves_nothing_is_a_message(chosen, told):
    with pytest.raises(UserError, match=told):
        report_published("imagewoof", [number(), number(ipc=50), number(protocol="rded", ipc=1)], **chosen)


def test_the_command_shows_published_numbers_without_a_run(cli):
    code, out, _ = cli("published", "fashion_mnist", "--ipc", "1", "--format", "csv")
    assert code == 0
    assert "70.5" in out
    assert "82.3" not in out
    code, out, err = cli("published", "digits")
    assert (code, out) == (2, "")
    assert "no published number for suite 'digits'" in err
