"""Tables on a terminal: never wider than it, and no column left out."""

import io
from dataclasses import replace

import pandas as pd
import pytest
import rich.console

from harness.reporters import Table, build_reports
from harness.reporters.tables.columns import ipc_column, mean_column, word_column
from harness.reporters.tables.leaderboard import leaderboard
from harness.reporters.tables.screen import leaderboard_screen

NAMES = [f"metric_{i:02}_of_something" for i in range(14)]


def shown(table: Table, width: int, **options) -> list[str]:
    console = rich.console.Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table.to_rich(width, **options))
    return console.file.getvalue().splitlines()


def wide() -> Table:
    means = {name: [i * 10 + 1.5, i * 10 + 2.5] for i, name in enumerate(NAMES)}
    stds = {f"{name}_std": [i / 10] * 2 for i, name in enumerate(NAMES)}
    values = pd.DataFrame({"method": ["DiT", "Minimax Diffusion"], "ipc": [10, 10], **means, **stds})
    scores = [mean_column(name, name, f"{name}_std") for name in NAMES]
    columns = (word_column("Method", "method"), ipc_column(), *scores)
    return Table("T", "the caption " * 20, values, columns, ("a note",), brief="the line")


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_wide_table_is_stacked_and_keeps_every_number(width):
    lines = shown(wide(), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for i in range(len(NAMES)):
        assert f"{i * 10 + 1.5}±{i / 10}" in text
        assert f"{i * 10 + 2.5}±{i / 10}" in text
    parts = sum(line.startswith("Minimax Diffusion ") for line in lines)
    assert parts == sum(line.startswith("DiT ") for line in lines) == sum("──" in line for line in lines) > 1


def test_a_table_that_fits_stands_in_one_piece_with_whole_headers():
    lines = shown(wide(), 400)
    assert sum("──" in line for line in lines) == 1
    assert any(NAMES[0] in line for line in lines)


@pytest.mark.parametrize(
    ("captions", "there", "away"), [(True, "the caption", "the line"), (False, "the line", "the caption")]
)
def test_the_caption_stands_below_at_the_width_of_the_console_or_one_line_instead(captions, there, away):
    text = "\n".join(lines := shown(wide(), 100, captions=captions))
    assert there in text
    assert "a note" in text
    assert away not in text
    if captions:
        assert max(len(line) for line in lines if "caption" in line) > 80


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_every_table_of_a_run_fits_the_console(run, width):
    for table in build_reports(run).values():
        assert max(map(len, shown(table, width))) <= width, table.title


def test_the_screen_has_a_line_per_method_and_names_what_failed(run):
    (table,) = leaderboard(run)
    screen = leaderboard_screen(table)
    assert sorted(screen.display["Method"]) == sorted(set(table.display["Method"]))
    row = screen.display.set_index("Method").loc["MINIMAX"]
    assert [c for c in screen.display.columns if c.startswith("IPC 10\n")] == [
        "IPC 10\nrank", "IPC 10\nconvnet6", "IPC 10\nresnet18"
    ]  # fmt: skip
    assert "±" in row["IPC 50\nresnet18"]
    failed = [note for note in screen.notes if "failed" in note]
    assert [note.split(":")[0] for note in failed][:2] == ["HALF at IPC 10, 50", "BROKEN at IPC 10, 50"]
    assert len(screen.brief) < 200
    assert "3 seeds" in screen.brief


def test_methods_stand_in_the_order_of_their_mean_and_the_full_data_last(frame, record):
    rows = [
        record(m, v + s, ipc=ipc, training_seed=s, distillation_seed=s)
        for m, v in (("low", 30.0), ("high", 50.0))
        for ipc in (1, 10)
        for s in range(3)
    ]
    rows += [record("half", 90.0 + s, ipc=10, training_seed=s, distillation_seed=s) for s in range(3)]
    rows += [record("full", 95.0, reference_row=True, ipc=pd.NA, training_seed=s) for s in range(3)]
    display = leaderboard_screen(leaderboard(frame(*rows))[0]).display
    assert list(display["Method"]) == ["HIGH", "LOW", "HALF", "FULL"]
    assert display.set_index("Method").loc["HALF", "IPC 1\nconvnet6"] == "—"
    assert set(display.set_index("Method").loc["FULL"]) == {"—", "94.0 ± 0.0"}


def test_two_seeds_are_too_few_for_ranks(frame, record):
    rows = [record(m, v + s, training_seed=s) for m, v in (("a", 30.0), ("b", 50.0)) for s in range(2)]
    screen = leaderboard_screen(leaderboard(frame(*rows))[0])
    assert not [c for c in screen.display.columns if "rank" in c]
    assert "Fewer than 3 seeds: no ranks." in screen.brief


@pytest.mark.parametrize(
    ("rank_by", "shown_as", "told"), [("last", "29.0", "final model"), ("best", "30.0", "best evaluation")]
)
def test_the_screen_shows_the_accuracy_that_ranks_go_by(frame, record, rank_by, shown_as, told):
    (table,) = leaderboard(frame(*(record("a", 30.0, training_seed=s) for s in range(3))))
    table = replace(table, frame=table.frame.assign(rank_by=rank_by))
    screen = leaderboard_screen(table)
    assert screen.display.iloc[0, -1].startswith(shown_as)
    assert told in screen.brief
