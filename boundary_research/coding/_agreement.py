"""Agreement coefficients as functions of sums over units, with their published linearisations.

Every coefficient is written as ``g(T)`` with ``T = sum_i w_i f_i`` a vector of sums over units i of
features ``f_i``. One definition then serves the estimate, the jackknife (``T - w_i f_i``) and the
bootstrap (``W @ f``), by unit or by cluster, weighted or not.

Letters follow Gwet (2014), *Handbook of Inter-Rater Reliability*, 4th ed.: n units, r coders, q
categories, ``r_i`` coders of unit i, ``r_ik`` of whom chose category k, ``w_kl`` the agreement
weight of k and l, ``p_a`` observed and ``p_e`` chance agreement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boundary_research._checks import DataError, check_choice
from boundary_research.coding._ratings import MISSING, Ratings

WEIGHTS = ("identity", "linear", "quadratic", "ordinal")
TINY = 1e-12


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
        return np.where(room > TINY, (p_a - p_e) / np.where(room > TINY, room, 1), np.nan)


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return top / bottom, NaN where bottom is zero."""
    safe = np.where(bottom > TINY, bottom, 1)
    return np.where(bottom > TINY, top / safe, np.nan)


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
    if not 1 - p_e > TINY:
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
        features, lambda t: divide(t[..., 0], t[..., 1]), (p_ai - p_a / share * paired) / share
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
    return Statistic(features, lambda t: divide(t[..., 0], t[..., 1]), influence, support=chose > 0)


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
        pi = t[..., 3:] / np.maximum(t[..., 2:3], TINY)
        return _corrected(divide(t[..., 0], t[..., 1]), scale * (pi * (1 - pi)).sum(axis=-1))

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
        pi = t[..., 3:] / np.maximum(t[..., 2:3], TINY)
        return _corrected(divide(t[..., 0], t[..., 1]), ((pi @ w) * pi).sum(axis=-1))

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
        lambda t: _corrected(divide(t[..., 0], t[..., 1]), np.asarray(p_e)),
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
        return divide(((total @ w) * total).sum(axis=-1) - own, pairs.astype(float))

    def evaluate(t: np.ndarray) -> np.ndarray:
        sums = t[..., 2:].reshape(*t.shape[:-1], r, q)
        each = sums.sum(axis=-1, keepdims=True)
        seen = each[..., 0] > TINY
        p = sums / np.where(each > TINY, each, 1)
        return _corrected(divide(t[..., 0], t[..., 1]), chance(p, seen))

    coded = (codes != MISSING).astype(float)
    mean_coded = _mean(ratings.weights, coded)
    p = _mean(ratings.weights, chose.reshape(n, r * q)).reshape(r, q) / mean_coded[:, None]
    p_e = float(chance(p, np.ones(r, dtype=bool)))
    p_a = float(_mean(ratings.weights, p_ai) / _mean(ratings.weights, paired))
    others = (p.sum(axis=0) - p) @ w / (r * (r - 1)) if r > 1 else np.full((r, q), np.nan)
    part = (chose - p * coded[:, :, None]) * (others / mean_coded[:, None])
    influence = _linearise(ratings, p_ai, paired, p_a, p_e, part.sum(axis=(1, 2)) + p_e)
    return Statistic(features, evaluate, influence, 1 - p_e)
