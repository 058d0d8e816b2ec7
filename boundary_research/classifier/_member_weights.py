"""What each member of a combined classifier counts in the mean of their log-odds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize
from scipy.special import expit

from boundary_research._checks import DataError

_SMALLEST = 1e-9  # a probability of zero would outvote every other member


def learn_shares(odds: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Return the shares of members with which their mean predicts held-out labels best.

    The weights w ≥ 0 minimise the log loss of Σ wₘ oₘ over all held-out narratives and categories:
    stacking (Wolpert 1992) with as many parameters as members.

    Parameters
    ----------
    odds : sequence of float arrays of shape (n, k)
        One a member; rows with NaN are passed over.
    labels : bool array, shape (n, k)

    Returns
    -------
    ndarray, shape (n members,), summing to 1
    """
    held = np.isfinite(odds).all(axis=(0, 2))
    if not held.any():
        return to_shares(None, len(odds))
    rows = np.array([part[held].ravel() for part in odds])
    sign = np.where(labels[held].ravel(), 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (weights @ rows)
        gradient = -(rows * (sign * expit(-margin))).mean(axis=1)
        return float(np.logaddexp(0, -margin).mean()), gradient

    start = np.full(len(rows), 1 / len(rows))
    bounds = [(0, None)] * len(rows)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return to_shares(found.tolist() if found.any() else None, len(rows))


def to_shares(weights: Sequence[float] | str | None, n: int) -> np.ndarray:
    """Return what each of n members counts in the mean, summing to 1."""
    if weights is None:
        return np.full(n, 1 / n)
    try:
        given = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        given = np.full(0, np.nan)
    if given.shape != (n,) or not (np.isfinite(given) & (given >= 0)).all() or not given.any():
        raise DataError(
            f"weights must be 'learned' or {n} numbers from 0 up, one a member and not all 0, "
            f"got {weights!r}."
        )
    return given / given.sum()


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, none of them infinite."""
    inside = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(inside / (1 - inside)))


def mean_odds(odds: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Return the weighted mean of members' log-odds, shape (n, k)."""
    return np.asarray(sum(share * part for share, part in zip(shares, odds, strict=True)))
