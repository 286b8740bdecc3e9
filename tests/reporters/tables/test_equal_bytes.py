"""Accuracy at equal bytes: chosen by size, never by accuracy."""

import pytest

from harness.reporters.tables.equal_bytes import equal_bytes

KIB = 1024


@pytest.fixture
def rows(record, frame):
    """Images at 10 and 50 KiB; tokens of 4 KiB whatever the IPC, best at IPC 10; one method that failed."""
    made = []
    for ipc in (10, 50):
        for seed in (0, 1):
            place = {"ipc": ipc, "training_seed": seed, "budget_bytes": ipc * KIB}
            made.append(record("images", 40.0 + ipc / 10 + seed, storage_bytes=ipc * KIB, **place))
            tokens = {"storage_bytes": 4 * KIB, "shared_bytes": 9 * KIB}
            made.append(record("tokens", (46.0 if ipc == 10 else 44.5) + seed, **tokens, **place))
            made.append(record("broken", **place, status="failed", error="out of ideas"))
    made.append(record("full", 87.0, reference_row=True, ipc=None))
    return frame(*made)


def test_a_set_that_fits_at_a_larger_ipc_is_shown_at_it(rows):
    table = equal_bytes(rows)[0].frame.set_index(["budget_bytes", "method"])
    small, large = 10 * KIB, 50 * KIB
    assert table.loc[(small, "images"), ["ipc", "kept_bytes"]].tolist() == [10, small]
    assert table.loc[(large, "images"), ["ipc", "kept_bytes"]].tolist() == [50, large]
    assert table.loc[(small, "tokens"), ["ipc", "kept_bytes", "shared_bytes"]].tolist() == [50, 4 * KIB, 9 * KIB]
    assert table.loc[(small, "images"), "convnet6_mean_percent"] == 41.5
    assert table.loc[(small, "tokens"), "convnet6_mean_percent"] == 45.0, "the largest IPC counts, not the best"


def test_a_method_that_failed_keeps_its_row_and_full_data_has_none(rows):
    display = equal_bytes(rows)[0].display
    broken = display[display["Method"] == "BROKEN"]
    assert broken["convnet6"].tolist() == ["—", "—"]
    assert broken["Status"].tolist() == ["failed: out of ideas"] * 2
    assert "FULL" not in display["Method"].tolist()


def test_a_set_that_is_too_large_says_so(record, frame):
    rows = frame(
        record("a", storage_bytes=20 * KIB, budget_bytes=10 * KIB),
        record("b", storage_bytes=5 * KIB, budget_bytes=10 * KIB),
    )
    display = equal_bytes(rows)[0].display.set_index("Method")
    assert display.loc["A", "convnet6"] == "—"
    assert display.loc["A", "Status"] == "the smallest sets, IPC 10, take up to 20.0 KiB"
    assert display.loc["B", "convnet6"] == "34.0"


def test_an_ipc_counts_for_a_budget_only_if_all_its_sets_fit(record, frame):
    """The mean of the seeds that happen to be small would be shown as the method's."""
    rows = frame(
        *(
            record("a", 30.0 + ipc, ipc=ipc, distillation_seed=seed, storage_bytes=size, budget_bytes=100)
            for ipc, sizes in {10: (20, 21), 50: (99, 101)}.items()
            for seed, size in enumerate(sizes)
        ),
        *(record("b", distillation_seed=s, storage_bytes=99 + 2 * s, budget_bytes=100) for s in (0, 1)),
    )
    table = equal_bytes(rows)[0]
    line = table.frame.set_index("method").loc["a"]
    assert (line["ipc"], line["convnet6_num_runs"], line["convnet6_mean_percent"]) == (10, 2, 40.0)
    status = table.display.set_index("Method").loc["B", "Status"]
    assert status == "the smallest sets, IPC 10, take up to 101 B"


def test_a_set_that_was_made_counts_although_its_student_failed(record, frame):
    place = {"ipc": 50, "budget_bytes": 100}
    failed = {"status": "failed", "error": "loss is NaN", "storage_bytes": 101}
    rows = frame(record("a", storage_bytes=99, **place), record("a", distillation_seed=1, **failed, **place))
    assert equal_bytes(rows)[0].display["convnet6"].tolist() == ["—"]


def test_the_best_of_each_budget_is_bold_and_unused_columns_are_left_out(rows):
    table = equal_bytes(rows)[0]
    stressed = [(table.display["Budget"][i], table.display["Method"][i]) for i, _ in sorted(table.bold)]
    assert stressed == [("10.0 KiB", "TOKENS"), ("50.0 KiB", "IMAGES")]
    assert "Generator" in table.display
    assert "Teacher" not in table.display
    assert "not counted" in table.caption


def test_records_without_budgets_make_no_table(record, frame):
    assert equal_bytes(frame(record("a"))) == []
