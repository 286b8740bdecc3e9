"""Tune options of methods with equal budgets, on a part of the training split: `run` is the verb, `trial` what workers import."""
