"""Multinomial regression corrected for prediction error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd
from scipy import special

from boundary_research._checks import DataError
from boundary_research.inference._inputs import Sample, check_sample
from boundary_research.inference._moments import indicator
from boundary_research.inference._options import Options, Settings
from boundary_research.inference._prediction_powered import (
    check_power,
    gold_weights,
    largest_factor,
)
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


def _softmax(X: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the chances of all levels but the first, shape (n, C), at b, shape (C, p)."""
    eta = np.column_stack([np.zeros(len(X)), X @ b.T])
    return np.asarray(special.softmax(eta, axis=1)[:, 1:])


def _solve(X: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients, shape (C p,), of Σ x (target - w softmax) = 0, and J, by Newton."""
    p = X.shape[1]
    outcomes = target.shape[1]
    b = np.zeros((outcomes, p))

    def evaluate(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = _softmax(X, b)
        total = ((target - weights[:, None] * mean).T @ X).ravel()
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
        "correction leaves a level without weight. Merge levels, or code more rows."
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
    return _multinomial(
        X, predicted, gold, inclusion_probability, levels, clusters, options, "dsl", None
    )


def ppi_multinomial(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    levels: list[Any] | None = None,
    clusters: Any = None,
    power: float | str | None = "tuned",
    **options: Unpack[Options],
) -> EstimationResult:
    """Return prediction-powered multinomial-logit coefficients.

    The moment of `dsl_multinomial` with one λ for all levels, the point and the interval (see
    `ppi_logit`, which it is for two levels).

    Parameters
    ----------
    X, predicted, gold, inclusion_probability, levels, clusters, **options
        As in `dsl_multinomial`.
    power : float in [0, 1] or "tuned"
        λ; tuned is the value that makes the sum of the variances least.
    """
    fixed = check_power(power)
    return _multinomial(
        X, predicted, gold, inclusion_probability, levels, clusters, options, "ppi", fixed
    )


def _codes_of_levels(
    predicted: Any, gold: Any, levels: list[Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return memberships of predictions and gold codes, shape (n, levels - 1)."""
    if levels is None:
        found = pd.unique(pd.Series(np.asarray(gold)).dropna())
        levels = sorted(found.tolist())
    if len(levels) < 2:
        raise DataError("multinomial: two levels at least are needed in gold or `levels`.")
    truth = _membership(gold, levels, name="gold")
    guesses = np.asarray(predicted)
    if guesses.ndim == 2:
        if guesses.shape[1] != len(levels):
            raise DataError(
                f"predicted has {guesses.shape[1]} columns, but there are {len(levels)} levels; "
                f"give one probability a level, or the predicted level itself."
            )
        return guesses[:, 1:].astype(float), truth
    return _membership(guesses, levels, name="predicted"), truth


@dataclass
class _Roots:
    """Coefficients (q,), J, and the base terms (n, q) and gold terms (g, q) there."""

    b: np.ndarray
    jacobian: np.ndarray
    base: np.ndarray
    gold: np.ndarray


def _fit(sample: Sample, truth: np.ndarray, guess: np.ndarray, factor: float | None) -> _Roots:
    """Return the roots of DSL (`factor` None) or of PPI at κ = `factor`, its terms centred."""
    rows, weights, X = sample.rows, sample.weights, sample.X
    inverse = 1 / sample.design.probability if factor is None else gold_weights(sample)
    share = 1.0 if factor is None else factor
    own = inverse * weights[rows]
    total, scale = share * weights[:, None] * guess, share * weights
    correction = truth[rows] - share * guess[rows]
    total[rows] += own[:, None] * correction
    scale[rows] += own * (1 - share)
    b, jacobian = _solve(X, total, scale)
    mean = _softmax(X, b.reshape(-1, X.shape[1]))
    base = (share * weights)[:, None] * (guess - mean)
    gold = own[:, None] * (correction - (1 - share) * mean[rows])
    base = (base[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    gold = (gold[:, :, None] * X[rows, None, :]).reshape(len(rows), -1)
    if factor is not None:
        base = base - np.outer(weights, base.sum(axis=0)) / weights.sum()
        gold = gold - np.outer(own, gold.sum(axis=0)) / weights.sum()
    return _Roots(b, jacobian, base, gold)


def _tune(sample: Sample, truth: np.ndarray, guess: np.ndarray) -> float:
    """Return the κ that makes the trace of the variance of the draw least, as `ppi_logit` does."""
    most = largest_factor(sample)
    start = _fit(sample, truth, guess, min(1.0, most))
    inverse = np.linalg.inv(start.jacobian)
    mean = _softmax(sample.X, start.b.reshape(-1, sample.X.shape[1]))[sample.rows]
    own = gold_weights(sample) * sample.weights[sample.rows]
    curve = []
    for factor in (0.0, 0.5, 1.0):
        left = truth[sample.rows] - factor * guess[sample.rows] - (1 - factor) * mean
        gold = ((own[:, None] * left)[:, :, None] * sample.X[sample.rows, None, :]).reshape(
            len(own), -1
        )
        gold = gold - np.outer(own, gold.sum(axis=0)) / sample.weights.sum()
        meat = sampling_meat(gold[:, :, None], sample.design)[1][0]
        curve.append(float(np.trace(inverse @ meat @ inverse)))
    bend = 2 * (curve[0] - 2 * curve[1] + curve[2])
    slope = curve[2] - curve[0] - bend
    return float(np.clip(-slope / (2 * bend) if bend > 0 else 0.0, 0, most))


def _multinomial(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    levels: list[Any] | None,
    clusters: Any,
    options: Options,
    estimator: str,
    power: float | None,
) -> EstimationResult:
    settings = Settings.of(options)
    if settings.small_sample not in ("none", "CR1"):
        raise DataError(
            f"{estimator}_multinomial: small_sample {settings.small_sample!r} not found. "
            f"Available: none, CR1."
        )
    matrix, truth = _codes_of_levels(predicted, gold, levels)
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
    factor = None
    if estimator == "ppi":
        most = largest_factor(sample)
        factor = _tune(sample, truth, matrix) if power is None else power * most
        power = factor / most if most else 0.0
    roots = _fit(sample, truth, matrix, factor)
    scores = roots.base
    scores[sample.rows] += roots.gold
    drawn = roots.gold[:, :, None]
    meat, df = _meat(scores, drawn, sample.labels, sample.design, settings.small_sample)
    inverse = np.linalg.inv(roots.jacobian)
    vcov = inverse @ meat @ inverse
    std_error = np.sqrt(np.maximum(np.diag(vcov), 0))
    freedom = np.full(len(roots.b), df)
    low, high, p_value = wald_limits(roots.b, std_error, freedom, settings.conf_level)
    return EstimationResult(
        estimate=roots.b,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        vcov=vcov,
        df=freedom,
        n_gold=len(sample.rows),
        n_total=len(scores),
        n_clusters=sample.design.sizes[0] if sample.design.sizes else len(scores),
        estimator=estimator,
        family="multinomial",
        conf_level=settings.conf_level,
        power=float("nan") if power is None else power,
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
