"""Means, intervals, tests and scores from accuracies."""
