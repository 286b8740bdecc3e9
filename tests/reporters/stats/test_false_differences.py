"""Where no method is better than another, a page declares a difference in at most 5 % of 1,000 simulated runs.

A page is a leaderboard (the mean over students, at each IPC) and a paper table (each IPC and student). What a seed does to
all methods alike is in every simulation.
"""

import itertools

import numpy as np
import pandas as pd
import pytest

from harness.reporters.stats.comparison import ALPHA, Residuals, excess, holm, moderated_p, residuals, spreads
from harness.reporters.tables.compare import TABLE_ALPHA, compare

NUM_RUNS = 1000
LARGE, SMALL = (10, 5, 3), (8, 2, 2)
"""Methods, IPCs and students."""


def simulate(size, num_seeds, *, spread=1.0, sets_of=1, test_images=None, shift=0.0, seed=0):
    """Return observations of runs without a true difference, shape (runs, IPCs, students, N, M), in percent.

    Args:
        size: methods, IPCs and students.
        num_seeds: N: distillation seeds where `sets_of` is above 1, else training seeds.
        spread: standard deviation of each method's trainings (and of its sets, which students share), shape () or (M,).
        sets_of: trainings on each distilled set.
        test_images: accuracies are rounded to one of them; None: not rounded.
        shift: what each method's accuracy truly differs by, shape () or (M,).
    """
    rng = np.random.default_rng(seed)
    (num_methods, num_ipc, num_students), spread = size, np.asarray(spread)
    shape = (NUM_RUNS, num_ipc, num_students, num_seeds, sets_of, num_methods)
    values = 80 + shift + spread * rng.normal(size=shape) + rng.normal(size=(NUM_RUNS, 1, 1, num_seeds, sets_of, 1))
    if sets_of > 1:
        values += spread * rng.normal(size=(NUM_RUNS, num_ipc, 1, num_seeds, 1, num_methods))
    if test_images:
        values = np.round(values * test_images / 100) * 100 / test_images
    return values.mean(axis=4)


def p_values(values):
    """Return Holm's p values of one table, shape (runs, places, pairs), from values (runs, places, N, M)."""
    first, second = map(list, zip(*itertools.combinations(range(values.shape[-1]), 2), strict=True))
    differences = np.moveaxis(values[..., first] - values[..., second], 2, 3)
    found = spreads(differences, around(values))
    by_place = [np.moveaxis(np.broadcast_to(own, found.mean.shape), 1, -1) for own in found.relative]
    p = moderated_p(found, np.moveaxis(excess(*by_place), -1, 1))
    return holm(p.reshape(len(values), -1)).reshape(p.shape)


def around(values):
    """Return the residuals of every place; the textbook's sums where nothing is missing, because they are fast."""
    *places, num, methods = values.shape
    if not np.isnan(values).any():
        rest = (
            values
            - values.mean(-1, keepdims=True)
            - values.mean(-2, keepdims=True)
            + values.mean((-1, -2), keepdims=True)
        )
        return Residuals((rest**2).sum((-1, -2))[..., None], (methods - 1) * (num - 1), methods - 2)
    found = [residuals(own) for own in values.reshape(-1, num, methods)]
    columns = [[getattr(one, name) for one in found] for name in ("squares", "df", "num_others")]
    return Residuals(*(np.reshape(column, (*places, 1)) for column in columns))


def declared(values, which=slice(None)):
    """Return the share of runs whose page calls any two methods different, of the pairs `which`."""
    tables = values.mean(axis=2), values.reshape(NUM_RUNS, -1, *values.shape[-2:])
    return float(np.any([(p_values(table)[..., which] < TABLE_ALPHA).any((1, 2)) for table in tables], axis=0).mean())


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("num_seeds", [2, 3, 5])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param({}, id="equal spread"),
        pytest.param({"spread": 0.5, "test_images": 540}, id="rounded to one of 540 images"),
        pytest.param({"spread": "first x3", "test_images": 540}, id="one method with three times the spread"),
        pytest.param({"spread": "first x5"}, id="one method with five times the spread"),
        pytest.param({"spread": "half x3"}, id="half of the methods with three times the spread"),
        pytest.param({"spread": "first x3", "sets_of": 2}, id="sets and trainings"),
    ],
)
def test_a_page_declares_a_difference_in_at_most_5_percent_of_runs_without_one(size, num_seeds, case):
    first, half = np.arange(size[0]) < 1, np.arange(size[0]) < size[0] // 2
    wide = {"first x3": 1.0 + 2.0 * first, "first x5": 1.0 + 4.0 * first, "half x3": 1.0 + 2.0 * half}
    spread = case.get("spread", 1.0)
    spread = wide.get(spread, spread)

    assert declared(simulate(size, num_seeds, **{**case, "spread": spread})) <= ALPHA


@pytest.mark.parametrize("num_methods", [2, 3, 4, 5])
@pytest.mark.parametrize("num_seeds", [3, 5])
def test_a_page_of_few_methods_declares_no_more(num_methods, num_seeds):
    """With two methods the test is exact: 5 % but for chance."""
    spread = 1.0 + 2.0 * (np.arange(num_methods) < 1)
    chance = 2 * (ALPHA * (1 - ALPHA) / NUM_RUNS) ** 0.5
    assert declared(simulate((num_methods, 2, 2), num_seeds, spread=spread)) <= ALPHA + chance * (num_methods == 2)


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_missing_cells_declare_no_more(num_seeds):
    values = simulate(SMALL, num_seeds, spread=1.0 + 2.0 * (np.arange(8) < 1))
    values[:, np.random.default_rng(7).random(values.shape[1:]) < 0.15] = np.nan
    assert declared(values) <= ALPHA


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_methods_that_truly_differ_do_not_make_equal_ones_different(num_seeds):
    """Two groups of four, 20 points apart: no two of one group may be told apart."""
    group = np.arange(8) // 4
    pairs = np.array([group[i] == group[j] for i, j in itertools.combinations(range(8), 2)])
    values = simulate(SMALL, num_seeds, shift=20 * group, spread=1.0 + 2.0 * (np.arange(8) < 1))

    assert declared(values, pairs) <= ALPHA
    assert declared(values, ~pairs) == 1.0


def test_nine_standard_deviations_are_told_apart_at_three_seeds():
    """95 against 86 at a standard deviation of 1, eight methods, two IPCs, two students: the demo's table."""
    values = simulate(SMALL, 3, shift=-9.0 * (np.arange(8) < 1))
    leaderboard, cells = values.mean(axis=2), values.reshape(NUM_RUNS, -1, 3, 8)

    assert (p_values(leaderboard)[..., :7] < TABLE_ALPHA).mean() > 0.99
    assert (p_values(cells)[..., :7] < TABLE_ALPHA).mean() > 0.95


def test_the_tables_test_as_these_simulations_do():
    values = simulate(SMALL, 3, shift=np.arange(8))[0].mean(axis=1)
    values[0, 0, 3] = values[1, 2, 5] = np.nan
    seeds = pd.MultiIndex.from_product([[0], range(3)])
    tables = {ipc: pd.DataFrame(own, index=seeds, columns=list("abcdefgh")) for ipc, own in enumerate(values)}
    order = {ipc: dict.fromkeys("abcdefgh", 0.0) for ipc in tables}

    found = [pair.p_adjusted for contest in compare(tables, order).values() for pair in contest.pairs]
    assert found == pytest.approx(p_values(values[None]).ravel().tolist())
