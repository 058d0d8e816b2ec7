"""Evaluation: cross-fitted predictions, and per-category errors with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from boundary_research._checks import DataError, check_fraction
from boundary_research.classifier._calibration import split_folds
from boundary_research.classifier._inputs import (
    check_codes,
    check_known_codes,
    check_order,
    check_per_narrative,
    check_predicted,
    check_probabilities,
    check_texts,
)
from boundary_research.classifier._metrics import (
    bootstrap_weights,
    compute_metrics,
    count_decisions,
    count_units,
    find_intervals,
)
from boundary_research.classifier._parameters import check_folds, check_whole
from boundary_research.classifier.model import NarrativeClassifier

METRIC_COLUMNS = [
    "category",
    "metric",
    "estimate",
    "conf_low",
    "conf_high",
    "n_positive",
    "n_narratives",
]


class Crossfit(NamedTuple):
    """Predictions of n narratives in k categories, each by a model that has not seen it.

    Attributes
    ----------
    probabilities : float array, shape (n, k)
    predicted : bool array, shape (n, k)
    decisions : array of str, shape (n, k)
        present, absent or review.
    fold : int array, shape (n,)
        The fold in which each narrative was predicted.
    """

    probabilities: np.ndarray
    predicted: np.ndarray
    decisions: np.ndarray
    fold: np.ndarray


def crossfit(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    codes: pd.DataFrame,
    *,
    groups: Sequence[Any] | None = None,
    evidence: pd.DataFrame | None = None,
    n_folds: int = 5,
    random_state: int = 0,
) -> Crossfit:
    """Predict every narrative with a model that has not seen it (nor its group).

    All narratives are dealt to folds, those without gold codes too. A fold is predicted by a model
    trained on the gold codes of the other folds, so that within a fold gold and other narratives
    have the same model: the error measured on the one is that of the other, as a correction
    needs. Thresholds and calibration are chosen inside each training part again.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Cloned, not changed.
    texts : sequence of str, length n
        In the order of `codes`, as for `fit`.
    codes : DataFrame, shape (n, k)
        Bools or 1/0; a row that is missing throughout has no gold codes and is only predicted.
    groups : sequence, length n, optional
        Authors or agencies that must stay on one side; at least three with gold codes, for a model
        calibrates on groups that it holds out itself.
    evidence : DataFrame, optional
        As for `fit`; `incident_id` refers to the index of `codes`.
    n_folds : int
        At least 2.
    random_state : int

    Returns
    -------
    Crossfit

    Raises
    ------
    DataError
        If there are too few groups (or narratives) to split, a row is missing in part, codes are
        not True/False or 1/0, or the indexes of texts, codes and groups say that their rows do not
        belong together.
    """
    check_folds(n_folds, name="n_folds")
    narratives = check_texts(texts)
    labels, known = check_known_codes(codes, len(narratives))
    check_per_narrative(len(narratives), groups=groups)
    check_order(texts=texts, codes=codes, groups=groups)
    owners = None if groups is None else [str(group) for group in groups]
    units = len(set(owners)) if owners is not None else len(narratives)
    if units < 2:
        raise DataError(f"cross-fitting needs at least 2 groups or narratives, found {units}.")
    probabilities = np.full(labels.shape, np.nan)
    predicted = np.zeros(labels.shape, dtype=bool)
    decisions = np.full(labels.shape, "review", dtype=object)
    fold = np.full(len(narratives), -1)
    coded = pd.DataFrame(labels, index=codes.index, columns=codes.columns)
    for number, (outside, test) in enumerate(split_folds(labels, owners, n_folds, random_state)):
        train = outside[known[outside]]
        _check_training_part(train, owners, number)
        model = fit_rows(classifier, narratives, coded, train, groups=owners, evidence=evidence)
        probabilities[test] = model.predict_proba([narratives[row] for row in test])
        predicted[test] = probabilities[test] >= model.thresholds_
        decisions[test] = model.decide(probabilities[test])
        fold[test] = number
    return Crossfit(probabilities, predicted, decisions, fold)


def _check_training_part(train: np.ndarray, owners: Sequence[str] | None, number: int) -> None:
    """Refuse a training part of which nothing could be held out to calibrate on."""
    units = len(train) if owners is None else len({owners[row] for row in train})
    if units < 2:
        what = "narratives" if owners is None else "groups"
        raise DataError(
            f"of the {what} with gold codes {units} remain{'s' if units == 1 else ''} to learn "
            f"from while fold {number + 1} is predicted, and at least 2 are needed: one to learn "
            f"from and one to calibrate on. Code narratives of more {what}"
            f"{'' if owners is None else ', or leave groups out'}."
        )


def fit_rows(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    codes: pd.DataFrame,
    rows: np.ndarray,
    *,
    groups: Sequence[Any] | None = None,
    evidence: pd.DataFrame | None = None,
) -> NarrativeClassifier:
    """Return a clone fitted on some narratives, with their groups and evidence only."""
    narratives = list(texts)
    if evidence is not None:
        evidence = evidence[evidence["incident_id"].isin(codes.index[rows])]
    return clone(classifier).fit(
        [narratives[i] for i in rows],
        codes.iloc[rows],
        groups=None if groups is None else np.asarray(groups, dtype=object)[rows].tolist(),
        evidence=evidence,
    )


def evaluate(
    codes: pd.DataFrame,
    probabilities: np.ndarray | pd.DataFrame,
    predicted: np.ndarray | pd.DataFrame,
    *,
    groups: Sequence[Any] | None = None,
    n_boot: int = 500,
    conf_level: float = 0.95,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return precision, recall, F1, average precision, AUC and Brier score, with intervals.

    Intervals are Wilson's at the effective sample size v (1 - v) / variance of an estimate v
    (Franco, Little, Louis and Slud 2019, J Surv Stat Methodol 7:334-364), with the variance that a
    bootstrap of narratives or groups finds, times g / (g - 1), and t with g - 1 degrees of freedom,
    where g units tell of it: the narratives (for AUC and average precision the positives), or the
    groups that have any of the decisions in question. One such group tells nothing of the
    variance, and the interval is missing.
    Percentiles of the same draws cover too seldom where groups are few
    (`benchmarks/evaluation_coverage.py`).

    Parameters
    ----------
    codes : DataFrame of bools, shape (n, k)
        Gold codes; 1/0 will do.
    probabilities : float array or DataFrame, shape (n, k)
        From 0 to 1. The columns of a DataFrame are taken by name; its index must be that of codes.
    predicted : bool array or DataFrame, shape (n, k)
    groups : sequence, length n, optional
        The bootstrap draws whole groups (authors, agencies); single narratives by default.
    n_boot : int
        Draws of the bootstrap that measures the variance, at least 2; 0 leaves intervals out.

    Returns
    -------
    DataFrame
        One row a category and metric; the rows of category ``(micro)`` and ``(macro)`` hold the
        pooled and the mean F1, ``(macro)`` over categories that occur. ``n_positive`` is the
        number of gold positives. A metric that the data do not define (recall without
        positives) is missing.

    Raises
    ------
    DataError
        If a code is neither True/False nor 1/0, or missing; if a probability is missing or outside
        [0, 1]; or if shapes, columns or indexes differ.
    """
    categories, labels = check_codes(codes, len(codes))
    n, k = labels.shape
    probabilities = check_probabilities(probabilities, codes, categories)
    predicted = check_predicted(predicted, codes, categories)
    check_per_narrative(n, groups=groups)
    check_order(codes=codes, groups=groups)
    if check_whole(n_boot, name="n_boot", least=0) == 1:
        raise DataError("n_boot must be 0 or at least 2, got 1: one draw has no variance.")
    check_fraction(conf_level, name="conf_level")
    point = compute_metrics(labels, probabilities, predicted, np.ones((1, n)))
    weights = bootstrap_weights(n, groups, n_boot, random_state)
    drawn = compute_metrics(labels, probabilities, predicted, weights) if n_boot else {}
    units = count_units(labels, predicted, groups)
    limits = find_intervals(point, drawn, count_decisions(labels, predicted), units, conf_level)
    rows = []
    names = [*categories, "(micro)", "(macro)"]
    for j, name in enumerate(names):
        for metric, values in point.items():
            if j >= values.shape[1]:
                continue
            low = high = np.nan
            if metric in limits:
                low, high = limits[metric][:, j]
            positives = int(labels[:, j].sum()) if j < k else int(labels.sum())
            rows.append((name, metric, values[0, j], low, high, positives, n))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)
