"""Krippendorff's alpha as a function of sums over units.

Letters are those of Krippendorff (2004), *Content Analysis*, 2nd ed., chapter 11: ``o_ck``
coincidences, ``n_c`` values, ``delta`` distances, D_o and D_e observed and expected disagreement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from boundary_research.coding._agreement import TINY, Statistic, divide
from boundary_research.coding._ratings import Ratings

METRICS = ("nominal", "ordinal", "interval", "ratio")
# Above this many categories (sets of categories, say) counts are kept sparse.
MANY_CATEGORIES = 64


def squared_distance(metric: str, values: np.ndarray) -> np.ndarray:
    """Return Krippendorff's delta² for categories at `values` (nominal, interval, ratio)."""
    gap = values[:, None] - values[None, :]
    if metric == "nominal":
        return (gap != 0).astype(float)
    if metric == "interval":
        return np.asarray(gap**2)
    total = values[:, None] + values[None, :]
    return np.asarray((gap / np.where(total == 0, 1, total)) ** 2)


def alpha(ratings: Ratings, delta: np.ndarray) -> Statistic:
    """Return Krippendorff's alpha for a fixed matrix of squared distances delta, shape (q, q).

    alpha = 1 − (N − 1) sum_ck o_ck delta_ck / sum_ck n_c n_k delta_ck (Krippendorff 2004, section
    11.3). Units with fewer than two values do not enter. `influence` is Gwet's (2014, section 5.3):
    that of alpha with N in place of N − 1, the correction kept in the term for unequal coders.
    """
    many = len(ratings.categories) > MANY_CATEGORIES
    counts = ratings.sparse_counts if many else ratings.counts
    r_i = np.asarray(counts.sum(axis=1))
    paired = (r_i >= 2).astype(float)
    counts = sparse.diags_array(paired) @ counts if many else counts * paired[:, None]
    observed = _own_distance(counts, delta) / np.where(r_i > 1, r_i - 1, 1)
    stack = sparse.hstack([observed[:, None], counts], format="csr") if many else None
    features = np.column_stack([observed, counts]) if stack is None else stack

    def evaluate(t: np.ndarray) -> np.ndarray:
        n_c = t[..., 1:]
        expected = ((n_c @ delta) * n_c).sum(axis=-1)
        return 1 - divide((n_c.sum(axis=-1) - 1) * t[..., 0], expected)

    def leave_out(sums: Any) -> np.ndarray:
        own = sums[:, 1:]
        n_c, first = np.asarray(own.sum(axis=0)), _dense(sums[:, [0]])[:, 0]
        expected = n_c @ delta @ n_c - 2 * (own @ (delta @ n_c)) + _own_distance(own, delta)
        size = n_c.sum() - np.asarray(own.sum(axis=1))
        return 1 - divide((size - 1) * (first.sum() - first), expected)

    total = ratings.weights @ features
    d_o, n_c = total[0], total[1:]
    d_e, size = n_c @ delta @ n_c, n_c.sum()
    if not d_e > TINY:
        return Statistic(features, evaluate, np.full(len(r_i), np.nan))
    ratio = size * d_o / d_e
    change = size * observed + r_i * paired * d_o - ratio * 2 * (counts @ (delta @ n_c))
    influence = _alpha_influence(change, r_i * paired, d_o, d_e, ratings)
    room = float(d_e / size**2 / delta.max())
    return Statistic(features, evaluate, influence, room, leave_out=leave_out)


def _dense(values: Any) -> np.ndarray:
    return np.asarray(values.toarray() if sparse.issparse(values) else values)


def _own_distance(counts: Any, delta: np.ndarray) -> np.ndarray:
    """Return sum_ck n_c n_k delta_ck of each row of counts, shape (n,)."""
    if not sparse.issparse(counts):
        return np.asarray(((counts @ delta) * counts).sum(axis=1))
    parts = []
    step = max(1, 4_000_000 // counts.shape[1])
    for start in range(0, counts.shape[0], step):
        rows = counts[start : start + step]
        parts.append(np.asarray(rows.multiply(rows @ delta).sum(axis=1)).ravel())
    return np.concatenate(parts)


def _alpha_influence(
    change: np.ndarray, r_i: np.ndarray, d_o: Any, d_e: Any, ratings: Ratings
) -> np.ndarray:
    """Return Gwet's deviations for alpha from the derivatives of N d_o / d_e, times d_e."""
    mean_r = np.average(r_i, weights=ratings.weights)
    slope = (change - np.average(change, weights=ratings.weights)) * ratings.weights.sum()
    return np.asarray(-(slope + d_o * (r_i - mean_r) / mean_r) / d_e)


def ordinal_alpha(ratings: Ratings) -> Statistic:
    """Return Krippendorff's alpha with the ordinal metric.

    delta²_ck = (sum_{g=c..k} n_g − (n_c + n_k) / 2)², which is (R_c − R_k)² with R the mid-ranks of
    the pairable values. R changes with the sample, and the linearisation accounts for that.
    """
    counts, q = ratings.counts, len(ratings.categories)
    r_i = counts.sum(axis=1)
    counts = counts * (r_i >= 2)[:, None]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(q), np.arange(q)] -= counts
    pairs /= np.where(r_i > 1, r_i - 1, 1)[:, None, None]
    features = pairs.reshape(len(counts), q * q)
    to_ranks = np.tri(q, k=-1) + np.eye(q) / 2

    def parts(o: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n_c = o.sum(axis=-1)
        rank = n_c @ to_ranks.T
        delta = (rank[..., :, None] - rank[..., None, :]) ** 2
        d_o = (o * delta).sum(axis=(-2, -1))
        d_e = (n_c[..., :, None] * n_c[..., None, :] * delta).sum(axis=(-2, -1))
        return n_c, rank, d_o, d_e

    def evaluate(t: np.ndarray) -> np.ndarray:
        n_c, _, d_o, d_e = parts(t.reshape(*t.shape[:-1], q, q))
        return 1 - divide((n_c.sum(axis=-1) - 1) * d_o, d_e)

    o = (ratings.weights @ features).reshape(q, q)
    n_c, rank, d_o, d_e = parts(o)
    if not d_e > TINY:
        return Statistic(features, evaluate, np.full(len(counts), np.nan))
    size = n_c.sum()
    delta = (rank[:, None] - rank[None, :]) ** 2
    moved = counts @ to_ranks.T
    change_o = features @ delta.ravel() + 4 * moved @ (rank * n_c - o @ rank)
    change_e = 2 * counts @ delta @ n_c + 4 * moved @ (n_c * (rank * size - n_c @ rank))
    change = size * change_o + counts.sum(axis=1) * d_o - size * d_o / d_e * change_e
    influence = _alpha_influence(change, counts.sum(axis=1), d_o, d_e, ratings)
    return Statistic(features, evaluate, influence, float(d_e / size**2 / delta.max()))
