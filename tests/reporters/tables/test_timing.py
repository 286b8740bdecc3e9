"""Costs: counted once per distilled set, never averaged over devices."""

import pandas as pd

from harness.reporters.tables.timing import timing


def test_costs_count_once_per_distilled_set_whatever_the_students(record, frame):
    rows = [
        record(student=s, training_seed=t, distillation_seed=d, fit_wall_s=60.0 + 2 * d, protocol=p, peak_host_bytes=d)
        for s in ("a", "b") for t in (0, 1) for d in (0, 1) for p in ("idc", "plain")
    ]  # fmt: skip
    (table,) = timing(frame(*rows))
    line = table.frame.iloc[0]

    assert (line["num_sets"], line["fit_wall_s"], line["total_wall_s"]) == (2, 61.0, 66.0)
    assert (line["device_s"], line["peak_host_bytes"]) == (125.0, 1)
    assert line["storage_bytes_per_class"] == 1_048_576 / 10
    assert line["total_wall_std_s"] == 2**0.5


def test_display_is_for_people(record, frame):
    (table,) = timing(frame(record(energy_j=12_345.0)))
    row = table.display.iloc[0].to_dict()

    assert row["Total"] == "1m 05s"
    assert row["Device time"] == "2m 05s"
    assert row["Peak host"] == "1.0 GiB"
    assert (row["Storage"], row["Per class"], row["Images"]) == ("1.0 MiB", "102.4 KiB", "100")
    assert row["Energy"] == "12.3 kJ"


def test_what_no_row_knows_has_no_column_and_a_single_device_stands_in_the_caption(run):
    (table,) = timing(run)

    assert not {"Energy", "Peak device", "Device"} & set(table.display)
    assert "Measured on cpu." in table.caption


def test_lost_time_stands_below_the_table_and_in_no_other_time(record, frame):
    (plain,) = timing(frame(record()))
    (table,) = timing(frame(record(distill_lost_s=90.0, lost_s=95.0, attempts=2), record("calm", distill_lost_s=0.0)))
    assert table.display.iloc[0]["Total"] == plain.display.iloc[0]["Total"]
    assert sorted(table.frame["lost_s"]) == [0.0, 90.0]
    assert [note for note in table.notes if "cost 1m 30s more" in note]
    assert len(table.notes) == 1
    assert "lost_s" not in plain.frame
    assert list(plain.display) == list(table.display)


def test_devices_stay_apart(record, frame):
    (table,) = timing(frame(record(), record(device="cuda", fit_wall_s=1.0, distillation_seed=1)))
    assert table.display[["Device", "Total"]].values.tolist() == [["cuda", "6.00 s"], ["cpu", "1m 05s"]]


def test_failed_and_skipped_methods_keep_a_row_and_the_reference_is_last(run):
    (table,) = timing(run)
    status = dict(zip(table.display["Method"], table.display["Status"], strict=True))

    assert (status["BROKEN"], status["PLUGIN"]) == ("failed", "skipped")
    assert table.failures[0][0] == "BROKEN: failed"
    assert table.failures[0][1].startswith("ran out\nof images")
    assert table.failures[1] == ("PLUGIN: skipped", "no module named [foo]")
    assert status["HALF"] == "done", "its distillation went well; only a student failed"
    assert table.display.iloc[-1][["Method", "IPC", "Total", "Status"]].tolist() == [
        "FULL",
        "all",
        "—",
        "not distilled",
    ]


def test_a_method_without_fit_and_a_set_that_failed(record, frame):
    made = record(fit_wall_s=0.0, fit_device_s=0.0)
    (table,) = timing(frame(made, record(distillation_seed=1, status="failed", error="out of memory")))

    assert table.display[["Fit", "Total", "n"]].values.tolist() == [["—", "5.00 s", "1"]]
    assert table.display.loc[0, "Status"] == "1 of 2 not made"
    assert table.failures == (("DIT: 1 of 2 not made", "out of memory"),)


def test_byte_columns_are_whole_numbers_with_gaps(run):
    frame = timing(run)[0].frame
    assert str(frame["peak_device_bytes"].dtype) == "Int64"
    assert frame["peak_device_bytes"].isna().all()
    assert pd.isna(frame["total_wall_std_s"].iloc[0])


def test_each_ipc_shows_its_own_time_and_a_note_names_who_cannot_tell(record, frame):
    rows = [
        record(method=m, method_title=m, ipc=ipc, synthesize_wall_s=s, fit_wall_s=0.0, synthesize_measured=how)
        for m, ipc, s, how in (
            ("share", 10, 2.0, "share"), ("share", 50, 10.0, "whole"),
            ("mute", 10, 9.0, "largest set"), ("mute", 50, 9.0, "whole"),
        )
    ]  # fmt: skip
    (table,) = timing(frame(*rows))
    assert table.frame[["method", "ipc", "synthesize_wall_s", "synthesize_measured"]].values.tolist() == [
        ["share", 10, 2.0, "share"], ["mute", 10, 9.0, "largest set"],
        ["mute", 50, 9.0, "whole"], ["share", 50, 10.0, "whole"],
    ]  # fmt: skip
    assert len(table.notes) == 1
    assert "smaller sets show the time of the largest" in table.notes[0]
    assert "mute" in table.notes[0].lower()
