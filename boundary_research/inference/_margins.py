"""Average marginal differences with delta-method standard errors."""

from __future__ import annotations

import numpy as np

from boundary_research.inference._formula import Design
from boundary_research.inference._moments import inverse_link, inverse_link_slope

MOST_ROWS = 50_000  # evenly spaced rows that averages are taken over, if there are more


def average_differences(
    design: Design, b: np.ndarray, vcov: np.ndarray, family: str, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean difference in the outcome that each term makes, and its standard error.

    For a level of a variable: the mean over all rows of μ at that level less μ at the reference,
    all else as it is; for a numeric variable the mean slope. Covariates are taken as fixed (the
    usual delta method). Terms that cannot be changed by themselves (interactions) are missing.

    Parameters
    ----------
    b : shape (K, p); vcov : shape (K, p, p)

    Returns
    -------
    difference, std_error : shape (K, p)
    """
    outcomes, p = b.shape
    difference = np.full((outcomes, p), np.nan)
    gradient = np.zeros((outcomes, p, p))
    rows, share = _distinct_rows(design, offset)
    X, shift = design.X[rows], offset[rows, None]
    mean = inverse_link(X @ b.T + shift, family)
    slope = inverse_link_slope(mean, family)
    for j, variable in design.slopes.items():
        if variable in design.alone:
            difference[:, j] = b[:, j] * (share @ slope)
            bend = share[:, None] * _second_slope(mean, family)
            gradient[:, j] = b[:, j, None] * (bend.T @ X)
            gradient[:, j, j] += share @ slope
    for variable, reference in design.references.items():
        columns = design.columns_of(variable)
        if not columns:
            continue
        at_reference = _at_level(design, rows, variable, reference)
        base_mean = inverse_link(at_reference @ b.T + shift, family)
        base_slope = share[:, None] * inverse_link_slope(base_mean, family)
        base_gradient = base_slope.T @ at_reference
        for j in columns:
            level = design.levels[j][1]
            changed = _at_level(design, rows, variable, level)
            new_mean = inverse_link(changed @ b.T + shift, family)
            difference[:, j] = share @ (new_mean - base_mean)
            new_slope = share[:, None] * inverse_link_slope(new_mean, family)
            gradient[:, j] = new_slope.T @ changed - base_gradient
    variance = np.einsum("kjp,kpq,kjq->kj", gradient, vcov, gradient, optimize=True)
    return difference, np.where(np.isnan(difference), np.nan, np.sqrt(np.maximum(variance, 0)))


def _second_slope(mean: np.ndarray, family: str) -> np.ndarray:
    """Return d²μ/dη² as a function of μ."""
    if family == "ols":
        return np.zeros_like(mean)
    return mean * (1 - mean) * (1 - 2 * mean) if family == "logit" else mean


def _distinct_rows(design: Design, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to average over and the share of each: equal rows once, where that saves work."""
    step = max(1, -(-len(design.X) // MOST_ROWS))
    rows = np.arange(0, len(design.X), step)
    if design.alone >= set(design.frame.columns) and np.ptp(offset) == 0:
        _, first, inverse = np.unique(
            design.X[rows] @ np.random.default_rng(0).normal(size=design.X.shape[1]),
            return_index=True,
            return_inverse=True,
        )
        few = len(first) <= len(rows) / 3
        if few and np.array_equal(design.X[rows], design.X[rows[first[inverse]]]):
            return rows[first], np.bincount(inverse) / len(rows)
    return rows, np.full(len(rows), 1 / len(rows))


def _at_level(design: Design, rows: np.ndarray, variable: str, level: str) -> np.ndarray:
    """Return some rows of the design with a variable set to one level."""
    if variable in design.alone:
        changed = design.X[rows]
        for j in design.columns_of(variable):
            changed[:, j] = float(design.levels[j][1] == level)
        return changed
    frame = design.frame.iloc[rows].copy()
    categories = frame[variable].cat.categories
    frame[variable] = frame[variable].cat.set_categories(categories)
    frame[variable] = level
    frame[variable] = frame[variable].astype("category").cat.set_categories(categories)
    return np.asarray(design.spec.get_model_matrix(frame, context={}), dtype=float)
