"""Limits that hold for several categories at once."""

from __future__ import annotations

import numpy as np

from boundary_research.inference._fitting import Fit
from boundary_research.inference._inputs import Sample
from boundary_research.inference._moments import indicator


def correlation_of(result: Fit, sample: Sample) -> np.ndarray:
    """Return the correlation of the estimates of the categories, shape (K, K)."""
    sums = row_scores(result, sample)
    if sample.labels:
        sums = indicator(sample.labels[0], sample.design.sizes[0]) @ sums
    covariance = sums.T @ sums
    root = np.sqrt(np.diag(covariance))
    root[root == 0] = 1.0
    return covariance / np.outer(root, root)


def row_scores(result: Fit, sample: Sample) -> np.ndarray:
    """Return the scores of each row for an intercept-only model, shape (n, K)."""
    residual = sample.predicted - result.b.T
    scores = result.equations.base_factor * sample.weights[:, None] * residual
    gold = result.equations.gold_scores(result.b)[:, 0, :]
    if result.centring is not None:
        scores = scores - sample.weights[:, None] * result.centring.base
        gold = gold - result.centring.gold[:, 0, :]
    np.add.at(scores, sample.rows, gold)
    return scores


def joint_quantile(
    correlation: np.ndarray, conf_level: float, generator: np.random.Generator, draws: int = 20_000
) -> float:
    """Return the quantile of the largest absolute value of correlated normals."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    largest = np.zeros(draws)
    normals = generator.standard_normal((draws, len(correlation))) @ root.T
    np.max(np.abs(normals), axis=1, out=largest)
    return float(np.quantile(largest, conf_level))
