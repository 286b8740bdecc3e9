"""Which test decides ranks? Simulated tables under five tests: how often each claims what is not so, and what it detects.

`python -m tests.reporters.stats.simulate_ranks` prints the tables of docs/statistics.md, in a few minutes. A table has two
IPCs; the family of the 5 % is all pairs of methods at both. test_false_claims.py checks the first column.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy import stats

from harness.reporters.stats.comparison import ALPHA, Prior, among_best, holm, moderated, variance_prior, welch_p

NUM_TABLES = 2000
NUM_IPC = 2

DEMO = 1.3, 6.3, 1.2, 4.2, 0.8, 2.3, 1.0, 1.5, 0.9, 2.0, 0.7, 1.6, 1.0, 1.4, 1.2, 1.3, 1.3
"""Standard deviations in points of the demo's 17 methods over training seeds (digits, IPC 1 and 10, two students, `last`)."""


def spread(kind: str, num_methods: int) -> np.ndarray:
    """Return the true standard deviation of each method, in points."""
    first = np.arange(num_methods) < 1
    return {
        "equal": np.ones(num_methods),
        "one x3": 1.0 + 2.0 * first,
        "one x5": 1.0 + 4.0 * first,
        "half x3": 1.0 + 2.0 * (np.arange(num_methods) < num_methods // 2),
        "as in the demo": np.array(DEMO[:num_methods]),
    }[kind]


def simulate(num_methods, num_seeds, kind="equal", *, shift=0.0, blocks=0.0, num_ipc=NUM_IPC, seed=0):
    """Return accuracies in percent, shape (tables, IPCs, seeds, methods), one of 540 test images being the smallest step.

    Args:
        shift: true difference of each method, shape () or (methods,).
        blocks: standard deviation of what a seed does to all methods alike.
    """
    rng, shape = np.random.default_rng(seed), (NUM_TABLES, num_ipc, num_seeds, num_methods)
    values = 80 + shift + spread(kind, num_methods) * rng.normal(size=shape)
    values += blocks * rng.normal(size=(*shape[:-1], 1))
    return np.round(values * 5.4) / 5.4


def pairs(num_methods: int) -> tuple[list[int], list[int]]:
    """Return the positions of every two methods."""
    first, second = zip(*itertools.combinations(range(num_methods), 2), strict=True)
    return list(first), list(second)


def _corrected(p: np.ndarray) -> np.ndarray:
    return holm(p.reshape(len(p), -1)).reshape(p.shape) < ALPHA


def chosen(x: np.ndarray) -> np.ndarray:
    """The harness's test: whether each pair is claimed to differ, shape (tables, IPCs, pairs)."""
    (tables, ipcs, num, methods), (i, j) = x.shape, pairs(x.shape[-1])
    s2 = x.var(axis=2, ddof=1).reshape(tables, -1)
    prior = variance_prior(s2, num - 1) if methods > 2 else Prior(np.zeros(tables), np.zeros(tables))
    variance, df = (own.reshape(tables, ipcs, methods) for own in moderated(s2, num - 1, prior))
    mean, error = x.mean(axis=2), variance / num
    return _corrected(welch_p(mean[..., i] - mean[..., j], (error[..., i], error[..., j]), (df[..., i], df[..., j])))


def bold(x: np.ndarray) -> np.ndarray:
    """Whether each method is bold in the paper table, shape (tables, rows, methods)."""
    (tables, rows, num, methods) = x.shape
    s2 = x.var(axis=2, ddof=1).reshape(tables, -1)
    prior = variance_prior(s2, num - 1) if methods > 2 else Prior(np.zeros(tables), np.zeros(tables))
    variance, df = (own.reshape(tables, rows, methods) for own in moderated(s2, num - 1, prior))
    mean = x.mean(axis=2)
    order = np.argsort(-mean, axis=-1, kind="stable")
    mean, error, df = (np.take_along_axis(own, order, axis=-1) for own in (mean, variance / num, df))
    top, rest = slice(0, 1), slice(1, None)
    difference = mean[..., top] - mean[..., rest]
    p = welch_p(difference, (error[..., top], error[..., rest]), (df[..., top], df[..., rest]))
    found = np.ones_like(mean, dtype=bool)
    found[..., rest] = among_best(difference, p)
    result = np.empty_like(found)
    np.put_along_axis(result, order, found, axis=-1)
    return result


def limma(x: np.ndarray) -> np.ndarray:
    """Variances moderated as published (averages), Satterthwaite's degrees of freedom."""
    (tables, ipcs, num, methods), (i, j) = x.shape, pairs(x.shape[-1])
    s2 = x.var(axis=2, ddof=1)
    prior = variance_prior(s2.reshape(tables, -1), num - 1)
    d0, s0 = prior.df[:, None, None], prior.variance[:, None, None]
    weight = np.where(np.isinf(d0), 1.0, d0 / (np.where(np.isinf(d0), 0.0, d0) + num - 1))
    variance = (weight * s0 + (1 - weight) * s2) / num
    df = np.broadcast_to(np.minimum(d0 + num - 1, ipcs * methods * (num - 1)), s2.shape)
    a, b = variance[..., i], variance[..., j]
    joint = np.minimum((a + b) ** 2 / (a**2 / df[..., i] + b**2 / df[..., j]), ipcs * methods * (num - 1))
    mean = x.mean(axis=2)
    return _corrected(2 * stats.t.sf(np.abs(mean[..., i] - mean[..., j]) / np.sqrt(a + b), joint))


def tukey(x: np.ndarray) -> np.ndarray:
    """Randomised-block analysis of variance (blocks: seeds) with Tukey's HSD, Sidak's correction over the IPCs."""
    (_, ipcs, num, methods), (i, j) = x.shape, pairs(x.shape[-1])
    rest = x - x.mean(-1, keepdims=True) - x.mean(-2, keepdims=True) + x.mean((-1, -2), keepdims=True)
    df, mean = (methods - 1) * (num - 1), x.mean(axis=2)
    error = np.sqrt((rest**2).sum((-1, -2)) / df / num)[..., None]
    limit = stats.studentized_range.isf(1 - (1 - ALPHA) ** (1 / ipcs), methods, df)
    return np.abs(mean[..., i] - mean[..., j]) > limit * error


def games_howell(x: np.ndarray) -> np.ndarray:
    """Games and Howell's test (scipy.stats.tukey_hsd with unequal variances), Sidak's correction over the IPCs."""
    (_, ipcs, num, methods), (i, j) = x.shape, pairs(x.shape[-1])
    a, b = (x.var(axis=2, ddof=1)[..., own] / num for own in (i, j))
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.nan_to_num((a + b) ** 2 / ((a**2 + b**2) / (num - 1)), nan=num - 1)
    grid = np.linspace(num - 1, 2 * (num - 1), 5)
    limits = [stats.studentized_range.isf(1 - (1 - ALPHA) ** (1 / ipcs), methods, own) for own in grid]
    mean = x.mean(axis=2)
    limit = np.exp(np.interp(df, grid, np.log(limits)))
    return np.abs(mean[..., i] - mean[..., j]) > limit * np.sqrt((a + b) / 2)


def paired(x: np.ndarray) -> np.ndarray:
    """Paired t tests, Holm's correction."""
    i, j = pairs(x.shape[-1])
    d = x[..., i] - x[..., j]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = d.mean(axis=2) / np.sqrt(d.var(axis=2, ddof=1) / x.shape[2])
    return _corrected(np.where(np.isfinite(t), 2 * stats.t.sf(np.abs(t), x.shape[2] - 1), np.nan))


TESTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "chosen": chosen, "limma as published": limma, "Tukey in blocks": tukey, "Games-Howell": games_howell,
    "paired t, Holm": paired,
}  # fmt: skip


def false_claims(test, x: np.ndarray) -> float:
    """Return the share of tables without a true difference in which a test claims one or more."""
    return float(test(x).any(axis=(1, 2)).mean())


def detected(test, num_methods: int, num_seeds: int, kind: str, points: float) -> float:
    """Return the share of true differences of so many points that a test detects; every second method is worse."""
    worse = np.arange(num_methods) % 4 > 1  # so that both halves hold wide methods of the demo
    i, j = (np.array(own) for own in pairs(num_methods))
    return float(test(simulate(num_methods, num_seeds, kind, shift=-points * worse))[..., worse[i] != worse[j]].mean())


def main() -> None:
    """Print both tables."""
    names = " | ".join(TESTS)
    print(f"| false claims, % of tables | seeds | methods | {names} |\n|" + " --- |" * (3 + len(TESTS)))
    for kind in ("equal", "one x3", "one x5", "half x3", "as in the demo"):
        for num_seeds, num_methods in itertools.product((3, 5), (2, 3, 8, 17)):
            x = simulate(num_methods, num_seeds, kind)
            found = " | ".join(f"{100 * false_claims(test, x):.1f}" for test in TESTS.values())
            print(f"| {kind} | {num_seeds} | {num_methods} | {found} |", flush=True)
    print(
        "\n| equal methods not bold, %: mean, worst | seeds | methods | bold though 8 points worse, % |\n|"
        + " --- |" * 5
    )
    for kind in ("equal", "one x3", "one x5", "half x3", "as in the demo"):
        for num_seeds, num_methods in itertools.product((3, 5), (2, 3, 8, 17)):
            lost = 100 * (1 - bold(simulate(num_methods, num_seeds, kind)).mean(axis=(0, 1)))
            worse = -8.0 * (np.arange(num_methods) > 0)
            kept = 100 * bold(simulate(num_methods, num_seeds, kind, shift=worse))[..., 1:].mean()
            print(
                f"| {kind}: {lost.mean():.1f}, {lost.max():.1f} | {num_seeds} | {num_methods} | {kept:.0f} |",
                flush=True,
            )
    print(f"\n| detected, % | points | seeds | methods | {names} |\n|" + " --- |" * (4 + len(TESTS)))
    for kind, num_methods in (("equal", 8), ("equal", 17), ("as in the demo", 8), ("as in the demo", 17)):
        for num_seeds, points in itertools.product((3, 5), (2, 4, 8)):
            found = " | ".join(
                f"{100 * detected(test, num_methods, num_seeds, kind, points):.0f}" for test in TESTS.values()
            )
            print(f"| {kind} | {points} | {num_seeds} | {num_methods} | {found} |", flush=True)


if __name__ == "__main__":
    main()
