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


class _OneCoefficient:
    """The test of one coefficient against any value.

    With d the estimate less the value, the restricted scores are s_g + d J_g path, so that the
    bootstrapped sum is a + d c and its squared error q0 + 2 d q1 + d² q2, for each draw of weights.

    Parameters
    ----------
    scores : shape (G, p)
        At the estimate.
    curvature : shape (G, p, p)
    inverse : shape (p, p)
        J⁻¹.
    weights : shape (B, G)
    """

    def __init__(
        self,
        j: int,
        estimate: float,
        scores: np.ndarray,
        curvature: np.ndarray,
        inverse: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        row = inverse[j]
        size = len(scores)
        self.estimate = estimate
        self.std_error = float(np.sqrt(size / (size - 1) * np.sum((scores @ row) ** 2)))
        path = inverse[:, j] / row[j]  # change of b for a unit change of coefficient j
        shares = curvature @ row  # (G, p)
        parts = []
        for part in (scores, curvature @ path):
            own = weights * (part @ row)  # (B, G)
            moved = (weights @ part) @ inverse.T  # (B, p) change of the coefficients
            parts.append((own.sum(axis=1), own - moved @ shares.T))
        (self._sum, first), (self._sum_slope, second) = parts
        factor = size / (size - 1)
        self._square = factor * np.sum(first**2, axis=1)
        self._cross = factor * np.sum(first * second, axis=1)
        self._square_slope = factor * np.sum(second**2, axis=1)

    def p_value(self, null: float) -> float:
        """Return the two-sided p-value of the hypothesis that the coefficient is `null`."""
        d = self.estimate - null
        observed = abs(d) / self.std_error
        drawn = np.abs(self._sum + d * self._sum_slope)
        square = self._square + 2 * d * self._cross + d**2 * self._square_slope
        error = np.sqrt(np.maximum(square, 0.0))
        # A draw in which every cluster moves alike says nothing and counts against the hypothesis
        # being false.
        extreme = np.count_nonzero(drawn >= observed * error * (1 - 1e-9))
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
            if not inverse[j, j] > 0:
                continue
            test = _OneCoefficient(
                j, float(b[k, j]), scores, clusters.curvature[:, k], inverse, weights
            )
            if not test.std_error > 0:
                continue
            p_value[k, j] = test.p_value(0.0)
            low[k, j] = _limit(test, -1.0, 1 - conf_level)
            high[k, j] = _limit(test, 1.0, 1 - conf_level)
    return low, high, p_value
