"""Multinomial regression corrected for prediction error."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import pandas as pd
from scipy import special

from boundary_research._checks import DataError
from boundary_research.inference._inputs import check_sample
from boundary_research.inference._moments import indicator
from boundary_research.inference._options import Options, Settings
from boundary_research.inference._variance import (
    SamplingDesign,
    nearest_positive,
    sampling_meat,
)
from boundary_research.inference.results import EstimationResult, wald_limits


def _membership(values: Any, levels: list[Any], *, name: str) -> np.ndarray:
    """Return an indicator matrix (n, levels - 1) without the first level; NaN where missing."""
    array = np.asarray(values)
    codes = pd.Categorical(array, categories=levels).codes
    missing = np.asarray(pd.isna(array))
    if ((codes < 0) & ~missing).any():
        raise DataError(
            f"{name} has levels that are not among {', '.join(map(str, levels))}. "
            f"Give all levels in `levels`."
        )
    matrix = (codes[:, None] == np.arange(1, len(levels))).astype(float)
    matrix[missing] = np.nan
    return matrix


def _solve(X: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients, shape (C p,), of Σ w x (target - softmax) = 0, and J, by Newton."""
    n, p = X.shape
    outcomes = target.shape[1]
    b = np.zeros((outcomes, p))

    def evaluate(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        eta = np.column_stack([np.zeros(n), X @ b.T])
        mean = special.softmax(eta, axis=1)[:, 1:]
        total = ((weights[:, None] * (target - mean)).T @ X).ravel()
        blocks = np.empty((outcomes, p, outcomes, p))
        for i in range(outcomes):
            for j in range(i, outcomes):
                factor = weights * mean[:, i] * ((i == j) - mean[:, j])
                blocks[i, :, j] = blocks[j, :, i] = (X * factor[:, None]).T @ X
        return total, blocks.reshape(outcomes * p, outcomes * p)

    total, jacobian = evaluate(b)
    scale = np.tile(np.sqrt(np.mean(X**2, axis=0)), outcomes)
    for _ in range(80):
        if np.linalg.cond(jacobian) > 1e14 or np.max(np.abs(b.ravel() * scale)) > 30:
            break
        step = np.linalg.solve(jacobian, total)
        size = np.max(np.abs(step * scale))
        length = 1.0
        for _ in range(30):
            trial = b + length * step.reshape(outcomes, p)
            new, new_jacobian = evaluate(trial)
            if np.linalg.norm(new / scale) < np.linalg.norm(total / scale) or size < 1e-9:
                b, total, jacobian = trial, new, new_jacobian
                break
            length /= 2
        else:
            break
        if size < 1e-10 * (1 + np.max(np.abs(b.ravel() * scale))):
            return b.ravel(), jacobian
    raise DataError(
        "No finite estimate: some column of X separates the levels of the outcome, or the "
        "correction "
        "leaves a level without weight. Merge levels, or code more rows."
    )


def dsl_multinomial(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    levels: list[Any] | None = None,
    clusters: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return multinomial-logit coefficients corrected for prediction error.

    The moment is x (1[y = c] - softmax_c(x'b)) for each level c but the first (Egami and others
    2023, table 1).

    Parameters
    ----------
    X : array of shape (n, p)
        With its intercept column.
    predicted : array of shape (n,), or (n, levels)
        Levels, or the probability of each level in the order of `levels`.
    gold : array of shape (n,)
        Levels; missing where there is no gold code.
    inclusion_probability : array of shape (n,), or one number
    levels : list, optional
        All levels, the reference first; by default those found, sorted.
    clusters, **options
        See the module `boundary_research.inference.estimators`; for ``small_sample`` only "none"
        and "CR1" are available.

    Returns
    -------
    EstimationResult
        With arrays of shape ((levels - 1) * p,): all columns of X for the second level, then the
        third …
    """
    settings = Settings.of(options)
    if settings.small_sample not in ("none", "CR1"):
        raise DataError(
            f"dsl_multinomial: small_sample {settings.small_sample!r} not found. Available: "
            f"none, CR1."
        )
    if levels is None:
        found = pd.unique(pd.Series(np.asarray(gold)).dropna())
        levels = sorted(found.tolist())
    if len(levels) < 2:
        raise DataError("dsl_multinomial: two levels at least are needed in gold or `levels`.")
    truth = _membership(gold, levels, name="gold")
    guesses = np.asarray(predicted)
    if guesses.ndim == 2:
        if guesses.shape[1] != len(levels):
            raise DataError(
                f"predicted has {guesses.shape[1]} columns, but there are {len(levels)} levels; "
                f"give one probability a level, or the predicted level itself."
            )
        matrix = guesses[:, 1:].astype(float)
    else:
        matrix = _membership(guesses, levels, name="predicted")
    sample = check_sample(
        X,
        matrix[:, 0],
        truth[:, 0],
        inclusion_probability,
        family="logit",
        clusters=clusters,
        offset=None,
        settings=settings,
    )
    rows, weights = sample.rows, sample.weights
    correction = (truth[rows] - matrix[rows]) / sample.design.probability[:, None]
    target = matrix.copy()
    target[rows] += correction
    b, jacobian = _solve(sample.X, target, weights)
    eta = np.column_stack([np.zeros(len(target)), sample.X @ b.reshape(-1, sample.X.shape[1]).T])
    residual = weights[:, None] * (target - special.softmax(eta, axis=1)[:, 1:])
    scores = (residual[:, :, None] * sample.X[:, None, :]).reshape(len(target), -1)
    weighted = (weights[rows, None] * correction)[:, :, None] * sample.X[rows, None, :]
    drawn = weighted.reshape(len(rows), -1)[:, :, None]
    meat, df = _meat(scores, drawn, sample.labels, sample.design, settings.small_sample)
    inverse = np.linalg.inv(jacobian)
    vcov = inverse @ meat @ inverse
    std_error = np.sqrt(np.maximum(np.diag(vcov), 0))
    freedom = np.full(len(b), df)
    low, high, p_value = wald_limits(b, std_error, freedom, settings.conf_level)
    return EstimationResult(
        estimate=b,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        vcov=vcov,
        df=freedom,
        n_gold=len(rows),
        n_total=len(target),
        n_clusters=sample.design.sizes[0] if sample.design.sizes else len(target),
        estimator="dsl",
        family="multinomial",
        conf_level=settings.conf_level,
    )


def _meat(
    scores: np.ndarray,
    drawn: np.ndarray,
    labels: list[np.ndarray],
    design: SamplingDesign,
    small_sample: str,
) -> tuple[np.ndarray, float]:
    """Return the meat, shape (q, q), and degrees of freedom."""
    independent, as_drawn = sampling_meat(drawn, design)
    if design.finite:
        return as_drawn[0], np.inf
    df = np.inf
    if labels:
        meat = np.zeros((scores.shape[1],) * 2)
        df = float(min(design.sizes) - 1)
        for way, (codes, size) in enumerate(zip(labels, design.sizes, strict=True)):
            sums = indicator(codes, size) @ scores
            factor = size / (size - 1) if small_sample == "CR1" else 1.0
            meat += (-1.0 if way == 2 else 1.0) * factor * sums.T @ sums
    else:
        meat = scores.T @ scores
    if design.strata is not None:
        meat = meat - independent[0] + as_drawn[0]
    if len(labels) > 1 or design.strata is not None:
        meat = nearest_positive(meat[None])[0]
    return meat, df
