"""Folds, calibration and thresholds from cross-validated scores of one category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import optimize, special

expit = special.expit


def split_folds(
    labels: np.ndarray,
    groups: Sequence[Any] | None,
    n_folds: int,
    random_state: int,
    *,
    auxiliary: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield train and test rows; folds keep whole groups, or else balance every category.

    Parameters
    ----------
    labels : bool array, shape (n, k)
    groups : sequence of length n, optional
    n_folds : int
        Fewer are made when there are fewer rows or groups; none below two.
    auxiliary : bool array, shape (n,), optional
        Rows that are in every train part and in no test part.
    """
    if auxiliary is not None and auxiliary.any():
        own, always = np.flatnonzero(~auxiliary), np.flatnonzero(auxiliary)
        groups = None if groups is None else [groups[int(row)] for row in own]
        for train, test in split_folds(labels[own], groups, n_folds, random_state):
            yield np.sort(np.concatenate([own[train], always])), own[test]
        return
    n = len(labels)
    if groups is not None:
        _, codes = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
        units = int(codes.max()) + 1 if n else 0
    else:
        codes, units = np.arange(n), n
    n_folds = min(n_folds, units)
    if n_folds < 2:
        return
    fold_of_unit = _balance(labels, codes, units, n_folds, np.random.default_rng(random_state))
    folds = fold_of_unit[codes]
    for fold in range(n_folds):
        test = np.flatnonzero(folds == fold)
        if 0 < len(test) < n:
            yield np.flatnonzero(folds != fold), test


def _balance(
    labels: np.ndarray, codes: np.ndarray, units: int, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Deal units to folds, rarest category first, each to the fold that lacks it most.

    The greedy rule of Sechidis, Tsoumakas and Vlahavas (2011), applied to groups of rows.
    """
    counts = np.zeros((units, labels.shape[1] + 1))
    np.add.at(counts, codes, np.column_stack([labels, np.ones(len(labels))]).astype(float))
    wanted = np.tile(counts.sum(axis=0) / n_folds, (n_folds, 1))
    fold = np.full(units, -1)
    order = rng.permutation(units)
    by_rarity = np.argsort(counts[:, :-1].sum(axis=0), kind="stable")
    for column in [*by_rarity, labels.shape[1]]:
        members = order[(fold[order] < 0) & (counts[order, column] > 0)]
        members = members[np.argsort(-counts[members, column], kind="stable")]
        for unit in members:
            best = np.lexsort((-wanted[:, -1], -wanted[:, column]))[0]
            fold[unit] = best
            wanted[best] -= counts[unit]
    return fold


def fit_platt(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of the logistic curve through the scores.

    Platt (2000), with his smoothed targets (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2). The slope is kept from
    going below zero: a score that ranks the wrong way carries no information.
    """
    n_positive = labels.sum()
    n_negative = len(labels) - n_positive
    target = np.where(labels, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        line = parameters[0] * scores + parameters[1]
        error = expit(line) - target
        value = np.logaddexp(0, line).sum() - (target * line).sum()
        return float(value), np.array([error @ scores, error.sum()])

    share = n_positive / len(labels)
    start = np.array([1.0, np.log(share / (1 - share))])
    result = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return float(result.x[0]), float(result.x[1])


def choose_threshold(probabilities: np.ndarray) -> float:
    """Return the probability from which calling the category present gives the best expected F1.

    With calibrated probabilities the expected F1 of calling the m most probable narratives present
    is 2 Σp(1..m) / (m + Σp), and the best threshold is half of its maximum (Lipton, Elkan and
    Naryanaswamy 2014, theorem 1). It varies less from sample to sample than the cut with the best
    F1 in the sample itself.
    """
    ranked = np.sort(probabilities)[::-1]
    expected = 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + ranked.sum())
    return float(expected.max() / 2)


def choose_review_band(
    probabilities: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    *,
    precision: float,
    miss_rate: float,
) -> tuple[float, float]:
    """Return the limits between which a person should look.

    From `high` on the share of right calls in the cross-validated scores is at least `precision`;
    below `low` lie at most `miss_rate` of the category's narratives. The band always holds the
    threshold; `high` is infinite where no probability is high enough.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], labels[order]
    cut = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    right = np.cumsum(hits)[cut] / (cut + 1)
    good = cut[right >= precision]
    high = float(ranked[good[-1]]) if len(good) else np.inf
    positives = np.sort(probabilities[labels])
    low = float(positives[int(np.floor(miss_rate * len(positives)))])
    return min(low, threshold), max(high, threshold)
