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
    step = max(1, -(-len(design.X) // MOST_ROWS))
    X, shift = design.X[::step], offset[::step, None]
    mean = inverse_link(X @ b.T + shift, family)
    slope = inverse_link_slope(mean, family)
    for j, variable in design.slopes.items():
        if variable in design.alone:
            difference[:, j] = b[:, j] * slope.mean(axis=0)
            bend = _second_slope(mean, family)
            gradient[:, j] = (b[:, j, None] * (bend.T @ X)) / len(X)
            gradient[:, j, j] += slope.mean(axis=0)
    for variable, reference in design.references.items():
        columns = design.columns_of(variable)
        if not columns:
            continue
        at_reference = _at_level(design, X, step, variable, reference)
        base_mean = inverse_link(at_reference @ b.T + shift, family)
        base_gradient = inverse_link_slope(base_mean, family).T @ at_reference / len(X)
        for j in columns:
            level = design.levels[j][1]
            changed = _at_level(design, X, step, variable, level)
            new_mean = inverse_link(changed @ b.T + shift, family)
            difference[:, j] = (new_mean - base_mean).mean(axis=0)
            new_gradient = inverse_link_slope(new_mean, family).T @ changed / len(X)
            gradient[:, j] = new_gradient - base_gradient
    variance = np.einsum("kjp,kpq,kjq->kj", gradient, vcov, gradient, optimize=True)
    return difference, np.where(np.isnan(difference), np.nan, np.sqrt(np.maximum(variance, 0)))


def _second_slope(mean: np.ndarray, family: str) -> np.ndarray:
    """Return d²μ/dη² as a function of μ."""
    if family == "ols":
        return np.zeros_like(mean)
    return mean * (1 - mean) * (1 - 2 * mean) if family == "logit" else mean


def _at_level(design: Design, X: np.ndarray, step: int, variable: str, level: str) -> np.ndarray:
    """Return the design with a variable set to one level in every row."""
    if variable in design.alone:
        changed = X.copy()
        for j in design.columns_of(variable):
            changed[:, j] = float(design.levels[j][1] == level)
        return changed
    frame = design.frame.iloc[::step].copy()
    categories = frame[variable].cat.categories
    frame[variable] = frame[variable].cat.set_categories(categories)
    frame[variable] = level
    frame[variable] = frame[variable].astype("category").cat.set_categories(categories)
    return np.asarray(design.spec.get_model_matrix(frame, context={}), dtype=float)
