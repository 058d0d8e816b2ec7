"""The wild cluster bootstrap with the null imposed, from cluster scores alone.

Cameron, Gelbach and Miller 2008; for estimating equations the score bootstrap of Kline and Santos
2012. Webb 2023 for the six-point weights. Exact for linear models; for others the restricted
estimate is taken to first order, so no model is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])


@dataclass
class ClusterScores:
    """Scores, shape (G, p, K), and shares in J, shape (G, K, p, p), of G clusters."""

    sums: np.ndarray
    curvature: np.ndarray


@dataclass
class _OneCoefficient:
    """What the test of one coefficient needs; see `_statistic`."""

    scores: np.ndarray  # (G, p) at the estimate
    shift: np.ndarray  # (G, p) change of the scores for each unit of the restriction
    inverse: np.ndarray  # (p, p)
    shares: np.ndarray  # (G, p) row j of J⁻¹ times J_g
    row: np.ndarray  # (p,) row j of J⁻¹
    weights: np.ndarray  # (B, G)
    estimate: float
    std_error: float

    def p_value(self, null: float) -> float:
        """Return the two-sided p-value of the hypothesis that the coefficient is `null`."""
        observed = abs(self.estimate - null) / self.std_error
        restricted = self.scores + (self.estimate - null) * self.shift
        own = self.weights * (restricted @ self.row)  # (B, G)
        moved = (self.weights @ restricted) @ self.inverse.T  # (B, p) change of the coefficients
        spread = own - moved @ self.shares.T
        size = len(self.scores)
        error = np.sqrt(size / (size - 1) * np.sum(spread**2, axis=1))
        drawn = np.abs(own.sum(axis=1))
        # A draw in which every cluster moves alike says nothing and counts against the hypothesis
        # being false.
        extreme = np.count_nonzero(drawn >= observed * error * (1 - 1e-12))
        return (extreme + 1) / (len(drawn) + 1)


def _limit(test: _OneCoefficient, direction: float, alpha: float) -> float:
    """Return the value at which the test passes from kept to rejected, by bisection."""
    inner, width = test.estimate, 2 * test.std_error
    outer = inner + direction * width
    for _ in range(40):
        if test.p_value(outer) <= alpha:
            break
        inner, width = outer, 2 * width
        outer = test.estimate + direction * width
    else:
        return direction * np.inf
    for _ in range(40):
        middle = (inner + outer) / 2
        if test.p_value(middle) <= alpha:
            outer = middle
        else:
            inner = middle
        if abs(outer - inner) < 1e-6 * test.std_error:
            break
    return (inner + outer) / 2


def wild_cluster_bootstrap(
    clusters: ClusterScores,
    b: np.ndarray,
    jacobian: np.ndarray,
    *,
    conf_level: float,
    random_state: np.random.Generator | None,
    draws: int = 999,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return limits, by inverting the test, and p-values, each of shape (K, p).

    The same draws serve the test and its inversion, so that an interval leaves out 0 exactly where
    the p-value is at most ``1 - conf_level``.
    """
    generator = np.random.default_rng(0) if random_state is None else random_state
    size = len(clusters.sums)
    if size < 12:  # two-point weights would give fewer than 2^11 different draws
        weights = generator.choice(WEBB, size=(draws, size))
    else:
        weights = generator.choice([-1.0, 1.0], size=(draws, size))
    low, high, p_value = (np.full(b.shape, np.nan) for _ in range(3))
    for k in range(len(b)):
        inverse = np.linalg.inv(jacobian[k])
        scores = clusters.sums[:, :, k]
        for j in range(b.shape[1]):
            row = inverse[j]
            std_error = np.sqrt(size / (size - 1) * np.sum((scores @ row) ** 2))
            if not std_error > 0 or not row[j] > 0:
                continue
            path = inverse[:, j] / row[j]  # change of b for a unit change of coefficient j
            test = _OneCoefficient(
                scores=scores,
                shift=clusters.curvature[:, k] @ path,
                inverse=inverse,
                shares=clusters.curvature[:, k] @ row,
                row=row,
                weights=weights,
                estimate=float(b[k, j]),
                std_error=float(std_error),
            )
            p_value[k, j] = test.p_value(0.0)
            low[k, j] = _limit(test, -1.0, 1 - conf_level)
            high[k, j] = _limit(test, 1.0, 1 - conf_level)
    return low, high, p_value
