"""Figures of every kind of run are drawn, readable as text, equal byte for byte, and leave matplotlib as it was."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from harness.core.errors import UserError
from harness.core.store import Store
from harness.reporters.figures import write_figures
from harness.reporters.figures.accuracy import accuracy_figures
from harness.reporters.figures.curves import curve_figures
from harness.reporters.figures.style import MARKERS, looks, style

NAMES = {"accuracy_ipc", "accuracy_time", "accuracy_bytes", "accuracy_device_seconds"}
DEFAULTS = {"kinds": ("accuracy", "curves"), "bars": "ci95", "metric": "best"}


def texts(figure):
    found = [t.get_text() for t in figure.texts] + [t.get_text() for t in figure.legends[0].get_texts()]
    return "\n".join(found + [t.get_text() for ax in figure.axes for t in (ax.title, ax.xaxis.label, ax.yaxis.label)])


def test_a_figure_says_what_it_shows(mixed):
    with style():
        figure = dict(accuracy_figures(mixed))["accuracy_time"]
    said = texts(figure)
    for part in ("digits", "embedded", "protocol idc", "ConvNet-3", "ResNet-18", "95 % confidence interval", "n = 2 students",
                 "Dit", "(%)", "Distillation time", "Broken (failed: ran out of $images)"):  # fmt: skip
        assert part in " ".join(said.split()), part


def test_what_has_no_result_is_named_but_not_in_the_legend(mixed):
    with style():
        figure = dict(accuracy_figures(mixed))["accuracy_ipc"]
    assert {t.get_text() for t in figure.legends[0].get_texts()} == {"Dit", "D3M".title(), "Full"}


def test_files_are_equal_byte_for_byte_and_settings_stay(mixed, tmp_path):
    before = dict(mpl.rcParams)
    first, second = (write_figures(mixed, Store(tmp_path), tmp_path / name, **DEFAULTS) for name in ("a", "b"))
    assert set(first) == NAMES
    for name in NAMES:
        for one, other in zip(first[name], second[name], strict=True):
            assert one.read_bytes() == other.read_bytes()
    assert first["accuracy_ipc"][1].read_bytes().count(b"CreationDate") == 0
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("changes", [{}, {"synthesize_wall_s": 0.0, "fit_wall_s": 0.0}, {"storage_bytes": None}])
def test_one_method_ipc_and_seed_is_a_figure(row, table, tmp_path, changes):
    drawn = write_figures(table([row(**changes)]), Store(tmp_path), tmp_path, **DEFAULTS | {"bars": "std"})
    assert set(drawn) == NAMES - ({"accuracy_bytes"} if "storage_bytes" in changes else set())


def test_a_run_without_results_has_no_figure_and_leaves_no_folder(row, table, tmp_path):
    assert write_figures(table([row(accuracy=None)]), Store(tmp_path), tmp_path / "f", **DEFAULTS) == {}
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("wrong", [{"bars": "sem"}, {"metric": "mean"}, {"kinds": ("photos",)}])
def test_an_unknown_choice_is_refused_before_anything_is_drawn(row, table, tmp_path, wrong):
    with pytest.raises(UserError, match="choose from"):
        write_figures(table([row()]), Store(tmp_path), tmp_path / "f", **DEFAULTS | wrong)
    assert not (tmp_path / "f").exists()


def test_no_two_of_a_hundred_methods_look_the_same_and_neighbours_differ_in_marker_too():
    found = list(looks(f"m{i}" for i in range(100)).values())
    assert len(set(found)) == 100
    assert all(a.marker != b.marker and a.color != b.color for a, b in itertools.pairwise(found))
    assert len(set(MARKERS)) == len(MARKERS)


def write_curve(store, kind, key, text, deps=None):
    def fill(folder):
        (folder / "curves.csv").write_text(text)
        return {"deps": deps or {}}

    store.write(kind, key, fill)


def test_curves_are_the_mean_over_seeds(row, table, tmp_path):
    store = Store(tmp_path)
    write_curve(store, "train", "k0", "epoch,lr,train_loss,top1,top5\n1,0.1,2.0,10,50\n2,0.1,1.0,30,60\n")
    write_curve(store, "train", "k1", "epoch,lr,train_loss,top1,top5\n1,0.1,2.0,20,50\n2,0.1,1.0,50,60\n")
    write_curve(store, "fit", "f0", "step,denoising_loss\n1,0.5\n2,0.25\n")
    write_curve(store, "synthesize", "s0", "", {"fit": ["f0"]})
    rows = [row(training_seed=s, train_key=f"k{s}", distilled_key="s0") for s in (0, 1)]
    rows.append(row(training_seed=2, train_key="gone", distilled_key="s0"))
    with style():
        found = dict(curve_figures(table(rows), store))
    assert set(found) == {"training_accuracy", "training_loss", "fit_dit"}
    line = found["training_accuracy"].axes[0].lines[0]
    assert np.allclose(line.get_xdata(), [1, 2])
    assert np.allclose(line.get_ydata(), [15, 40])
    assert "1 curve not found" in texts(found["training_accuracy"])
    assert np.allclose(found["fit_dit"].axes[0].lines[0].get_ydata(), [0.5, 0.25])


def test_a_method_whose_cost_is_not_known_is_named_below_and_not_in_the_legend(row, table):
    cost = {"synthesize_wall_s": None, "synthesize_device_s": None}
    with style():
        drawn = dict(accuracy_figures(table([row("dit"), row("given", **cost)])))
    labels = {name: [text.get_text() for text in figure.legends[0].get_texts()] for name, figure in drawn.items()}
    assert labels["accuracy_ipc"] == ["Dit", "Given"]
    assert labels["accuracy_time"] == ["Dit"]
    assert "Not drawn, because the cost is unknown: Given." in texts(drawn["accuracy_time"])
