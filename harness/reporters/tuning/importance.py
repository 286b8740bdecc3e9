"""How much each option mattered: Optuna's fANOVA where it can be fitted, else the size of the rank correlation.

In: the trials of one method. Out: shares by option and which of the two they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

LEAST = 4
"""Scored trials below which nothing is said."""

_FOR_FANOVA = 10
"""Scored trials below which a forest says less than a correlation."""


@dataclass(frozen=True)
class Importance:
    """Shares that sum to 1 (fANOVA), or absolute Spearman correlations, by option; empty where too few trials scored."""

    values: dict[str, float]
    how: str


def importance(trials: pd.DataFrame, options: list[str]) -> Importance:
    """Return the importance of options for the score, over trials that ended whole.

    Args:
        trials: of one method.
        options: columns METHOD.OPTION.
    """
    whole = trials[(trials["status"] == "done") & trials["score"].notna()]
    varied = [name for name in options if whole[name].map(_text).nunique() > 1]
    if len(whole) < LEAST or not varied or whole["score"].nunique() < 2:
        return Importance({}, "too few trials ended whole")
    if len(whole) >= _FOR_FANOVA:
        try:
            return Importance(_fanova(whole, varied), "fANOVA (Optuna): share of the variance of the score")
        except (ValueError, RuntimeError):
            pass
    found = {name: abs(_correlation(whole[name], whole["score"])) for name in varied}
    return Importance(found, "absolute rank correlation (Spearman) with the score")


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def _fanova(whole: pd.DataFrame, options: list[str]) -> dict[str, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    columns = {name: _numbers(whole[name]) for name in options}
    space: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(values.min(), values.max()) for name, values in columns.items()
    }
    study = optuna.create_study(direction="maximize")
    for i, score in enumerate(whole["score"]):
        params = {name: float(values[i]) for name, values in columns.items()}
        study.add_trial(optuna.trial.create_trial(value=float(score), params=params, distributions=space))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _numbers(values: pd.Series) -> np.ndarray:
    """Return the ranks of an option's values; choices by order of appearance. Forests and ranks ask for no more."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return stats.rankdata(np.asarray(values, dtype=float))
    return pd.factorize(values.map(_text))[0].astype(float)


def _correlation(values: pd.Series, scores: pd.Series) -> float:
    return float(stats.spearmanr(_numbers(values), scores).statistic)
