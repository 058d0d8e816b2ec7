"""Agreement coefficients as functions of sums over units, with their published linearisations.

Every coefficient is written as ``g(T)`` with ``T = sum_i w_i f_i`` a vector of sums over units i of
features ``f_i``. One definition then serves the estimate, the jackknife (``T - w_i f_i``) and the
bootstrap (``W @ f``), by unit or by cluster, weighted or not.

Letters follow Gwet (2014), *Handbook of Inter-Rater Reliability*, 4th ed.: n units, r coders, q
categories, ``r_i`` coders of unit i, ``r_ik`` of whom chose category k, ``w_kl`` the agreement
weight of k and l, ``p_a`` observed and ``p_e`` chance agreement. Krippendorff's are those of
Krippendorff (2004), *Content Analysis*, ch. 11: ``o_ck`` coincidences, ``n_c`` values, ``delta``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from boundary_research._checks import DataError, check_choice
from boundary_research.coding._ratings import MISSING, Ratings

METRICS = ("nominal", "ordinal", "interval", "ratio")
WEIGHTS = ("identity", "linear", "quadratic", "ordinal")
# Above this many categories (sets of categories, say) counts are kept sparse.
MANY_CATEGORIES = 64
_TINY = 1e-12


@dataclass(frozen=True)
class Statistic:
    """A coefficient on one set of ratings.

    Attributes
    ----------
    features : ndarray or sparse array, shape (n, k)
        What each unit adds to the sums.
    evaluate : callable
        From sums of shape (..., k) to coefficients of shape (...,), NaN where undefined.
    influence : ndarray, shape (n,)
        Linearised deviation of each unit, with a weighted mean of zero.
    room : float
        How far the coefficient falls from 1 if no unit agreed is one over this: 1 − p_e.
    support : ndarray of bool, shape (n,), or None
        The units that bear on the coefficient, if not all do.
    leave_out : callable or None
        A shorter way from the features of groups to the coefficient without each.
    """

    features: Any
    evaluate: Callable[[np.ndarray], np.ndarray]
    influence: np.ndarray
    room: float = 1.0
    support: np.ndarray | None = None
    leave_out: Callable[[Any], np.ndarray] | None = None


def agreement_weights(weights: Any, values: np.ndarray) -> np.ndarray:
    """Return the q × q matrix of agreement weights named by `weights`.

    identity 1 on the diagonal; linear 1 − |x_k − x_l| / range; quadratic 1 − (x_k − x_l)² / range²;
    ordinal 1 − C(|k − l| + 1, 2) / C(q, 2) (Gwet 2014, section 3.5), which is not Krippendorff's
    ordinal metric. A matrix of the user's own is checked and returned.
    """
    q = len(values)
    if weights is None:
        return np.eye(q)
    if isinstance(weights, str):
        check_choice(weights, WEIGHTS, name="weights")
        if weights == "identity" or q < 2:
            return np.eye(q)
        gap = np.abs(values[:, None] - values[None, :])
        if weights == "linear":
            return np.asarray(1 - gap / gap.max())
        if weights == "quadratic":
            return np.asarray(1 - (gap / gap.max()) ** 2)
        steps = np.abs(np.arange(q)[:, None] - np.arange(q)[None, :])
        return np.asarray(1 - steps * (steps + 1) / (q * (q - 1)))
    try:
        matrix = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (q, q) or not np.allclose(matrix, matrix.T):
        raise DataError(
            f"weights must be one of {', '.join(WEIGHTS)} or a symmetric {q} × {q} matrix (one row "
            f"a category), got an array of shape {matrix.shape}."
        )
    if not np.allclose(np.diag(matrix), 1) or matrix.min() < 0 or matrix.max() > 1:
        raise DataError("weights must lie in [0, 1] and be 1 on the diagonal.")
    return matrix


def _corrected(p_a: np.ndarray, p_e: np.ndarray) -> np.ndarray:
    room = 1 - p_e
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > _TINY, (p_a - p_e) / np.where(room > _TINY, room, 1), np.nan)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    safe = np.where(bottom > _TINY, bottom, 1)
    return np.where(bottom > _TINY, top / safe, np.nan)


def pair_agreement(counts: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of agreeing pairs of coders for each unit, and whether it has a pair."""
    r_i = counts.sum(axis=1)
    pairs = r_i * (r_i - 1)
    agreeing = (counts * (counts @ w - 1)).sum(axis=1)
    paired = (r_i >= 2).astype(float)
    return agreeing / np.where(pairs > 0, pairs, 1) * paired, paired


def _mean(weights: np.ndarray, values: np.ndarray) -> Any:
    return weights @ values / weights.sum()


def _linearise(
    ratings: Ratings,
    p_ai: np.ndarray,
    paired: np.ndarray,
    p_a: float,
    p_e: float,
    p_ei: np.ndarray,
) -> np.ndarray:
    """Return Gwet's linearised deviations for a coefficient (p_a − p_e) / (1 − p_e).

    Gwet (2014), section 5.3: the number of units with two ratings or more is taken as fixed, and
    `p_ei` is each unit's part in p_e, halved, with mean p_e.
    """
    if not 1 - p_e > _TINY:
        return np.full(len(p_ai), np.nan)
    coefficient = (p_a - p_e) / (1 - p_e)
    share = _mean(ratings.weights, paired)
    unit = (p_ai - p_e * paired) / share / (1 - p_e)
    return np.asarray(unit - 2 * (1 - coefficient) * (p_ei - p_e) / (1 - p_e) - coefficient)


def percent(ratings: Ratings, w: np.ndarray) -> Statistic:
    """Return the share of pairs of coders of a unit that agree, averaged over units."""
    p_ai, paired = pair_agreement(ratings.counts, w)
    features = np.column_stack([p_ai, paired])
    p_a, share = _mean(ratings.weights, features)
    return Statistic(
        features, lambda t: _divide(t[..., 0], t[..., 1]), (p_ai - p_a / share * paired) / share
    )


def specific(ratings: Ratings, category: int) -> Statistic:
    """Return the agreement specific to one category: o_cc / n_c of the coincidence matrix."""
    counts = ratings.counts
    r_i = counts.sum(axis=1)
    chose = counts[:, category] * (r_i >= 2)
    both = chose * (chose - 1) / np.where(r_i > 1, r_i - 1, 1)
    features = np.column_stack([both, chose])
    top, bottom = _mean(ratings.weights, features)
    influence = (both - top / bottom * chose) / bottom if bottom > 0 else np.full(len(r_i), np.nan)
    return Statistic(
        features, lambda t: _divide(t[..., 0], t[..., 1]), influence, support=chose > 0
    )


def _shares(ratings: Ratings) -> np.ndarray:
    """Return r_ik / r_i, the share of a unit's coders that chose k, shape (n, q)."""
    counts = ratings.counts
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def gwet(ratings: Ratings, w: np.ndarray) -> Statistic:
    """Return Gwet's AC1 or AC2: p_e = sum(w) / (q (q − 1)) sum_k pi_k (1 − pi_k).

    Gwet (2008), *British Journal of Mathematical and Statistical Psychology* 61.
    """
    q = len(ratings.categories)
    scale = w.sum() / (q * (q - 1)) if q > 1 else np.nan
    p_ai, paired = pair_agreement(ratings.counts, w)
    shares = _shares(ratings)
    features = np.column_stack([p_ai, paired, np.ones(len(p_ai)), shares])

    def evaluate(t: np.ndarray) -> np.ndarray:
        pi = t[..., 3:] / np.maximum(t[..., 2:3], _TINY)
        return _corrected(_divide(t[..., 0], t[..., 1]), scale * (pi * (1 - pi)).sum(axis=-1))

    pi = _mean(ratings.weights, shares)
    p_e = float(scale * (pi * (1 - pi)).sum())
    p_a = float(_mean(ratings.weights, p_ai) / _mean(ratings.weights, paired))
    influence = _linearise(ratings, p_ai, paired, p_a, p_e, scale * (shares @ (1 - pi)))
    return Statistic(features, evaluate, influence, 1 - p_e)


def fleiss(ratings: Ratings, w: np.ndarray) -> Statistic:
    """Return Fleiss' kappa, generalised: p_e = pi' w pi with pi the mean share over units.

    Fleiss (1971), *Psychological Bulletin* 76; unequal numbers of coders after Gwet (2014),
    section 5.3.
    """
    p_ai, paired = pair_agreement(ratings.counts, w)
    shares = _shares(ratings)
    features = np.column_stack([p_ai, paired, np.ones(len(p_ai)), shares])

    def evaluate(t: np.ndarray) -> np.ndarray:
        pi = t[..., 3:] / np.maximum(t[..., 2:3], _TINY)
        return _corrected(_divide(t[..., 0], t[..., 1]), ((pi @ w) * pi).sum(axis=-1))

    pi = _mean(ratings.weights, shares)
    p_e = float(pi @ w @ pi)
    p_a = float(_mean(ratings.weights, p_ai) / _mean(ratings.weights, paired))
    influence = _linearise(ratings, p_ai, paired, p_a, p_e, shares @ (w @ pi))
    return Statistic(features, evaluate, influence, 1 - p_e)


def brennan(ratings: Ratings, w: np.ndarray) -> Statistic:
    """Return Brennan and Prediger's coefficient: p_e = sum(w) / q² (1981, their kappa_n)."""
    q = len(ratings.categories)
    p_e = float(w.sum()) / q**2 if q else np.nan
    p_ai, paired = pair_agreement(ratings.counts, w)
    features = np.column_stack([p_ai, paired])
    p_a = float(_mean(ratings.weights, p_ai) / _mean(ratings.weights, paired))
    return Statistic(
        features,
        lambda t: _corrected(_divide(t[..., 0], t[..., 1]), np.asarray(p_e)),
        _linearise(ratings, p_ai, paired, p_a, p_e, np.full(len(p_ai), p_e)),
        1 - p_e,
    )


def conger(ratings: Ratings, w: np.ndarray) -> Statistic:
    """Return Conger's kappa: p_e is the mean over pairs of coders of p_g' w p_h.

    Conger (1980), *Psychological Bulletin* 88; with two coders of all units it is Cohen's kappa
    (1960; weighted 1968). A coder's shares p_g are over the units that she coded.
    """
    codes, q = ratings.codes, len(ratings.categories)
    codes = codes[:, (codes != MISSING).any(axis=0)]
    n, r = codes.shape
    p_ai, paired = pair_agreement(ratings.counts, w)
    chose = (codes[:, :, None] == np.arange(q)).astype(float)
    features = np.column_stack([p_ai, paired, chose.reshape(n, r * q)])

    def chance(p: np.ndarray, seen: np.ndarray) -> np.ndarray:
        total = p.sum(axis=-2)
        own = ((p @ w) * p).sum(axis=(-2, -1))
        pairs = seen.sum(axis=-1) * (seen.sum(axis=-1) - 1)
        return _divide(((total @ w) * total).sum(axis=-1) - own, pairs.astype(float))

    def evaluate(t: np.ndarray) -> np.ndarray:
        sums = t[..., 2:].reshape(*t.shape[:-1], r, q)
        each = sums.sum(axis=-1, keepdims=True)
        seen = each[..., 0] > _TINY
        p = sums / np.where(each > _TINY, each, 1)
        return _corrected(_divide(t[..., 0], t[..., 1]), chance(p, seen))

    coded = (codes != MISSING).astype(float)
    mean_coded = _mean(ratings.weights, coded)
    p = _mean(ratings.weights, chose.reshape(n, r * q)).reshape(r, q) / mean_coded[:, None]
    p_e = float(chance(p, np.ones(r, dtype=bool)))
    p_a = float(_mean(ratings.weights, p_ai) / _mean(ratings.weights, paired))
    others = (p.sum(axis=0) - p) @ w / (r * (r - 1)) if r > 1 else np.full((r, q), np.nan)
    part = (chose - p * coded[:, :, None]) * (others / mean_coded[:, None])
    influence = _linearise(ratings, p_ai, paired, p_a, p_e, part.sum(axis=(1, 2)) + p_e)
    return Statistic(features, evaluate, influence, 1 - p_e)


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
        return 1 - _divide((n_c.sum(axis=-1) - 1) * t[..., 0], expected)

    def leave_out(sums: Any) -> np.ndarray:
        own = sums[:, 1:]
        n_c, first = np.asarray(own.sum(axis=0)), _dense(sums[:, [0]])[:, 0]
        expected = n_c @ delta @ n_c - 2 * (own @ (delta @ n_c)) + _own_distance(own, delta)
        size = n_c.sum() - np.asarray(own.sum(axis=1))
        return 1 - _divide((size - 1) * (first.sum() - first), expected)

    total = ratings.weights @ features
    d_o, n_c = total[0], total[1:]
    d_e, size = n_c @ delta @ n_c, n_c.sum()
    if not d_e > _TINY:
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
    mean_r = _mean(ratings.weights, r_i)
    slope = (change - _mean(ratings.weights, change)) * ratings.weights.sum()
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
        return 1 - _divide((n_c.sum(axis=-1) - 1) * d_o, d_e)

    o = (ratings.weights @ features).reshape(q, q)
    n_c, rank, d_o, d_e = parts(o)
    if not d_e > _TINY:
        return Statistic(features, evaluate, np.full(len(counts), np.nan))
    size = n_c.sum()
    delta = (rank[:, None] - rank[None, :]) ** 2
    moved = counts @ to_ranks.T
    change_o = features @ delta.ravel() + 4 * moved @ (rank * n_c - o @ rank)
    change_e = 2 * counts @ delta @ n_c + 4 * moved @ (n_c * (rank * size - n_c @ rank))
    change = size * change_o + counts.sum(axis=1) * d_o - size * d_o / d_e * change_e
    influence = _alpha_influence(change, counts.sum(axis=1), d_o, d_e, ratings)
    return Statistic(features, evaluate, influence, float(d_e / size**2 / delta.max()))
