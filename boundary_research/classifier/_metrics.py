"""Metrics of decisions and probabilities under weights of narratives, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boundary_research._checks import check_random_state
from boundary_research._intervals import wilson_interval

_COUNTED = ("precision", "recall", "f1")
_RANKED = ("average_precision", "auc", "brier")
_NO_VARIANCE = 1e-15


def count_decisions(labels: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
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


def count_units(
    labels: np.ndarray, predicted: np.ndarray, groups: Sequence[Any] | None
) -> dict[str, np.ndarray]:
    """Return how many narratives or groups tell of a metric's variance, shape (k,) or (k + 2,)."""
    n = len(labels)
    if groups is None:
        ranked = {name: count_decisions(labels, predicted)[name] for name in _RANKED}
        return {name: np.full(labels.shape[1] + 2, float(n)) for name in _COUNTED} | ranked
    owner = _number(groups)

    def count(rows: np.ndarray) -> np.ndarray:
        return np.array([len(np.unique(owner[row])) for row in rows.T], dtype=float)

    counted = {"precision": predicted, "recall": labels, "f1": labels | predicted}
    units = {
        name: np.append(count(rows), [count(rows.any(axis=1)[:, None])[0]] * 2)
        for name, rows in counted.items()
    }
    positive = count(labels)
    ranked = {"average_precision": positive, "auc": np.minimum(positive, count(~labels))}
    return units | ranked | {"brier": np.full(labels.shape[1], owner.max() + 1.0)}


def _number(groups: Sequence[Any]) -> np.ndarray:
    """Return the groups as numbers from 0, shape (n,)."""
    return np.unique(np.array([str(g) for g in groups]), return_inverse=True)[1]


def find_intervals(
    point: dict[str, np.ndarray],
    drawn: dict[str, np.ndarray],
    sizes: dict[str, np.ndarray],
    units: dict[str, np.ndarray],
    conf_level: float,
) -> dict[str, np.ndarray]:
    """Return the limits of each metric, shape (2, k) or (2, k + 2); none for fewer than 2 units."""
    limits = {}
    for metric, draws in drawn.items():
        value, most = point[metric][0], sizes[metric]
        known = np.isfinite(draws)
        # Draws without positives, say, define no recall.
        mean = np.where(known, draws, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.where(known, draws - mean, 0) ** 2
        free = np.maximum(units[metric] - 1, 1)
        variance = spread.sum(axis=0) / np.maximum(known.sum(axis=0) - 1, 1) * (1 + 1 / free)
        # Where all decisions were right, or all wrong, as many as there were count.
        certain = (value == 0) | (value == 1)
        told = (units[metric] > 1) & (most > 0) & (certain | (variance > _NO_VARIANCE))
        size = np.where(certain, most, value * (1 - value) / np.where(certain | ~told, 1, variance))
        if metric in _COUNTED:
            size = np.minimum(size, most)
        size = np.where(told & np.isfinite(value), size, np.nan)
        limits[metric] = np.array(wilson_interval(value, size, conf_level, df=free))
    return limits


def bootstrap_weights(
    n: int, groups: Sequence[Any] | None, n_boot: int, random_state: int
) -> np.ndarray:
    """Return how often each narrative is drawn, shape (n_boot, n)."""
    rng = check_random_state(random_state)
    owner = np.arange(n)
    if groups is not None:
        owner = _number(groups)
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
        macro = np.where(some.any(axis=1), total / np.maximum(some.sum(axis=1), 1), np.nan)
        return np.column_stack([values, macro])

    return {"precision": with_macro(precision), "recall": with_macro(recall), "f1": with_macro(f1)}


def compute_metrics(
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
