"""Evaluation: cross-fitted predictions, and per-category errors with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from boundary_research._checks import DataError, check_fraction, check_random_state
from boundary_research._intervals import wilson_interval
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
_COUNTED = ("precision", "recall", "f1")
_RANKED = ("average_precision", "auc", "brier")
_NO_VARIANCE = 1e-15


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
    bootstrap of narratives or groups finds, times g / (g - 1), and t with g - 1 degrees of freedom
    for g units (for AUC and average precision at most as many as there are positives).
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
        The bootstrap draws whole groups (authors, agencies); single narratives by default. One
        group tells nothing of the variance, and intervals are then missing.
    n_boot : int
        Draws of the bootstrap that measures the variance; 0 leaves the intervals out.

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
    check_whole(n_boot, name="n_boot", least=0)
    check_fraction(conf_level, name="conf_level")
    point = _metrics(labels, probabilities, predicted, np.ones((1, n)))
    weights = _bootstrap_weights(n, groups, n_boot, random_state)
    drawn = _metrics(labels, probabilities, predicted, weights) if n_boot else {}
    limits = _intervals(point, drawn, _sizes(labels, predicted), _count(groups, n), conf_level)
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


def _sizes(labels: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return of how many decisions or narratives each metric speaks, shape (k,) or (k + 2,)."""
    real, called = labels.sum(axis=0), predicted.sum(axis=0)
    decided = {"precision": called, "recall": real, "f1": called + real}
    n = len(labels)
    return {
        name: np.append(count, [count.sum()] * 2).astype(float) for name, count in decided.items()
    } | {
        "average_precision": real.astype(float),
        "auc": np.minimum(real, n - real).astype(float),
        "brier": np.full(labels.shape[1], float(n)),
    }


def _count(groups: Sequence[Any] | None, n: int) -> int:
    return n if groups is None else len({str(group) for group in groups})


def _intervals(
    point: dict[str, np.ndarray],
    drawn: dict[str, np.ndarray],
    sizes: dict[str, np.ndarray],
    units: int,
    conf_level: float,
) -> dict[str, np.ndarray]:
    """Return the limits of each metric, shape (2, k) or (2, k + 2); none for fewer than 2 units."""
    limits = {}
    for metric, draws in drawn.items() if units > 1 else ():
        value = point[metric][0]
        known = np.isfinite(draws)
        # Draws without positives, say, define no recall.
        mean = np.where(known, draws, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.where(known, draws - mean, 0) ** 2
        most = sizes[metric]
        # What ranks positives among the others rests on the fewer of the two.
        free = np.minimum(units, most) - 1 if metric in _RANKED else np.full(len(most), units - 1.0)
        free = np.maximum(free, 1)
        variance = spread.sum(axis=0) / np.maximum(known.sum(axis=0) - 1, 1) * (1 + 1 / free)
        # Without variance all decisions were right, or all wrong: as many as there were count.
        certain = variance < _NO_VARIANCE
        size = np.where(certain, most, value * (1 - value) / np.where(certain, 1, variance))
        if metric in _COUNTED:
            size = np.minimum(size, most)
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = wilson_interval(value, size, conf_level, df=free)
        limits[metric] = np.where(np.isnan(value) | (size <= 0), np.nan, np.array([low, high]))
    return limits


def _bootstrap_weights(
    n: int, groups: Sequence[Any] | None, n_boot: int, random_state: int
) -> np.ndarray:
    """Return how often each narrative is drawn, shape (n_boot, n)."""
    rng = check_random_state(random_state)
    owner = np.arange(n)
    if groups is not None:
        _, owner = np.unique(np.array([str(g) for g in groups]), return_inverse=True)
    units = int(owner.max()) + 1
    counts = rng.multinomial(units, np.full(units, 1 / units), size=n_boot)
    return counts[:, owner].astype(float)


def _counted(
    labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 under each row of weights, shape (draws, k + 2)."""
    hit = weights @ (labels & predicted)
    called = weights @ predicted.astype(float)
    real = weights @ labels.astype(float)
    pooled = [np.column_stack([x, x.sum(axis=1)]) for x in (hit, called, real)]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = pooled[0] / pooled[1]
        recall = pooled[0] / pooled[2]
        f1 = np.where(pooled[2] > 0, 2 * pooled[0] / (pooled[1] + pooled[2]), np.nan)

    def with_macro(values: np.ndarray) -> np.ndarray:
        some = np.isfinite(values[:, :-1])
        total = np.where(some, values[:, :-1], 0).sum(axis=1)
        macro = total / np.maximum(some.sum(axis=1), 1)
        return np.column_stack([values, macro])

    return {"precision": with_macro(precision), "recall": with_macro(recall), "f1": with_macro(f1)}


def _metrics(
    labels: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return every metric under each row of weights, shape (draws, k or k + 2)."""
    ranked = [_ranked(labels[:, j], probabilities[:, j], weights) for j in range(labels.shape[1])]
    return _counted(labels, predicted, weights) | {
        name: np.column_stack([column[name] for column in ranked]) for name in _RANKED
    }


def _ranked(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return weighted average precision, AUC and Brier score of one category, shape (draws,).

    Average precision is the sum of precision over the steps of recall; AUC the share of pairs of a
    positive and a negative in the right order, ties counting half.
    """
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of narratives that tie
    real = np.cumsum((weights * y)[:, order], axis=1)[:, last]
    called = np.cumsum(weights[:, order], axis=1)[:, last]
    new = np.diff(real, prepend=0.0, axis=1)
    wrong = np.diff(called - real, prepend=0.0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(called > 0, real / called, 0.0)
        average = (precision * new).sum(axis=1) / real[:, -1]
        behind = (called - real)[:, -1:] - (called - real) + wrong / 2
        auc = (new * behind).sum(axis=1) / (real[:, -1] * (called - real)[:, -1])
        brier = weights @ (p - y) ** 2 / weights.sum(axis=1)
    return {"average_precision": average, "auc": auc, "brier": brier}
