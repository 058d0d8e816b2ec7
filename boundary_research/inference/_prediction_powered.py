"""Prediction-powered inference with power tuning (PPI++), one λ for point and interval.

Angelopoulos, Duchi and Zrnic 2023 (arXiv 2311.01453). With n gold and N other rows the estimate of
a moment is λ mean_other(m̂) + mean_gold(m - λ m̂). Written over all rows with κ = λ (n + N) / N
this is κ mean_all(m̂) + mean_gold(m - κ m̂), which carries over to unequal inclusion probabilities
with gold means weighted by 1 / π (Hájek); λ = N / (n + N), that is κ = 1, is then `dsl` with
normalised weights.
"""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from boundary_research._checks import DataError, check_fraction
from boundary_research.inference._design_based import (
    base_of,
    gold_base_of,
    infer_with,
    result_of,
    solve_or_refuse,
)
from boundary_research.inference._inputs import Sample, check_sample
from boundary_research.inference._moments import Base, Equations, GoldBlock
from boundary_research.inference._options import Options, Settings
from boundary_research.inference._variance import Centring, sampling_meat
from boundary_research.inference.results import EstimationResult


def ppi_equations(
    sample: Sample, family: str, factor: np.ndarray, base: Base | None = None
) -> Equations:
    """Return the equations at κ = `factor`, shape (K,)."""
    own = gold_base_of(sample)
    weight = gold_weights(sample)[:, None] * own.weight
    gold = GoldBlock(
        own.X,
        own.offset,
        weight * (1 - factor),
        weight * (sample.gold - factor * sample.predicted[sample.rows]),
    )
    return Equations(family, base_of(sample) if base is None else base, factor, [gold], own)


def gold_weights(sample: Sample) -> np.ndarray:
    """Return 1 / π normalised so that the gold rows stand for all rows, shape (g,)."""
    inverse = 1 / sample.design.probability
    weights = sample.weights
    return inverse * weights.sum() / np.sum(inverse * weights[sample.rows])


def is_equal(sample: Sample) -> bool:
    """Return whether every row had the same chance to be drawn and has the same weight."""
    inverse = gold_weights(sample)
    return bool(np.ptp(inverse) < 1e-12 * inverse.max() and np.ptp(sample.weights) == 0)


def centring_of(equations: Equations, sample: Sample, b: np.ndarray) -> Centring:
    """Return the centring of scores at any b.

    With equal chances, both groups are centred at their own mean, as in the paper's two-sample
    variance; else gold terms at their weighted mean and base terms at theirs.
    """
    gold = equations.gold_scores(b)
    base_total = equations.base_sum(b)
    rest = sample.design.n_total - len(sample.rows)
    if is_equal(sample) and rest:
        own = equations.gold_base.scores(b, equations.family) * equations.base_factor
        unlabelled = (base_total - own.sum(axis=0)) / rest / sample.weights[0]
        labelled = (own + gold).mean(axis=0) - unlabelled * sample.weights[0]
        return Centring(unlabelled, np.broadcast_to(labelled, gold.shape))
    return Centring(base_total / sample.weights.sum(), gold_centre(gold, sample))


def gold_centre(gold: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the weighted mean of gold terms (g, p, K) times each row's weight, the same shape."""
    weight = (gold_weights(sample) * sample.weights[sample.rows])[:, None, None]
    return weight * gold.sum(axis=0) / sample.weights.sum()


def largest_factor(sample: Sample) -> float:
    """Return κ at λ = 1; zero if every row is gold, when predictions say nothing more."""
    rest = sample.design.n_total - len(sample.rows)
    return sample.design.n_total / rest if rest else 0.0


def tune(
    sample: Sample,
    family: str,
    b: np.ndarray,
    jacobian: np.ndarray,
    *,
    coordinate: int | None = None,
    base: Base | None = None,
) -> np.ndarray:
    """Return the κ of each outcome that makes the variance at b least, shape (K,).

    Least is the trace, or one coefficient's variance. Equal chances without strata: section 6 of
    the paper, with its pooled variance of m̂. Else the variance over draws of the gold rows is a
    parabola in κ, which three values determine. That is the part to make least whatever the
    clusters: given the rows, the estimate aims at the answer that all gold codes would give, which
    no κ moves, so Var = Var(that answer) + E Var(draw | rows) and only the second term has κ in it.
    Tuning on sums over clusters aims at the same κ, but by few clusters it is so noisy that the
    least variance found is too small.
    """
    inverse = np.linalg.inv(jacobian)
    outcomes = len(b)

    def spread(meat: np.ndarray) -> np.ndarray:
        diagonal = np.einsum("kip,kpq,kiq->ki", inverse, meat, inverse, optimize=True)
        return diagonal.sum(axis=1) if coordinate is None else diagonal[:, coordinate]

    if is_equal(sample) and sample.design.strata is None and sample.design.units is None:
        with_all = ppi_equations(sample, family, np.ones(outcomes), base)
        n, total = len(sample.rows), sample.design.n_total
        own = gold_base_of(sample)
        truth = GoldBlock(own.X, own.offset, own.weight, own.weight * sample.gold)
        m, guess = truth.scores(b, family), own.scores(b, family)
        m, guess = m - m.mean(axis=0), guess - guess.mean(axis=0)
        shared = np.einsum("gpk,gqk->kpq", m, guess, optimize=True) / n
        mean = with_all.base_weighted_sum(b)[0] / total / sample.weights[0]
        pooled = with_all.base_squares(b) - total * np.einsum("pk,qk->kpq", mean, mean)
        top, bottom = spread((shared + np.swapaxes(shared, 1, 2)) / 2), spread(pooled / (total - 1))
        bottom = bottom * total / max(total - n, 1)
        power = np.divide(top, bottom, out=np.zeros(outcomes), where=bottom > 0)
        return np.clip(power, 0, 1) * largest_factor(sample)
    parts = []
    for factor in (0.0, 0.5, 1.0):
        equations = ppi_equations(sample, family, np.full(outcomes, factor), base)
        gold = equations.gold_scores(b)
        gold = gold - gold_centre(gold, sample)
        parts.append(spread(sampling_meat(gold, sample.design)[1]))
    curve = 2 * (parts[0] - 2 * parts[1] + parts[2])
    slope = parts[2] - parts[0] - curve
    best = np.divide(-slope, 2 * curve, out=np.zeros(outcomes), where=curve > 0)
    return np.clip(best, 0, largest_factor(sample))


def check_power(power: float | str | None) -> float | None:
    """Return a fixed λ, or None where it is to be tuned."""
    if power is None or power == "tuned":
        return None
    return check_fraction(power, name="power (λ)", zero=True, one=True)


def _ppi(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    family: str,
    clusters: Any,
    power: float | str | None,
    tune_for: int | None,
    options: Options,
) -> EstimationResult:
    settings = Settings.of(options)
    sample = check_sample(
        X,
        predicted,
        gold,
        inclusion_probability,
        family=family,
        clusters=clusters,
        offset=None,
        settings=settings,
    )
    p = sample.X.shape[1]
    if tune_for is not None and not 0 <= tune_for < p:
        raise DataError(f"tune_for must be a column of X, 0 to {p - 1}, got {tune_for}.")
    fixed = check_power(power)
    most = largest_factor(sample)
    if fixed is None:
        start = solve_or_refuse(ppi_equations(sample, family, np.array([min(1.0, most)])))
        factor = tune(sample, family, start.b, start.jacobian, coordinate=tune_for)
    else:
        factor = np.array([fixed * most])
    equations = ppi_equations(sample, family, factor)
    solution = solve_or_refuse(equations)
    centring = centring_of(equations, sample, solution.b)
    uncertainty = infer_with(equations, solution, sample, settings, centring)
    mean = X is None
    return result_of(
        sample,
        settings,
        uncertainty,
        solution.b,
        estimator="ppi",
        family="mean" if mean else family,
        scalar=mean,
        power=float(factor[0] / most) if most else 0.0,
    )


def ppi_mean(
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    power: float | str | None = "tuned",
    **options: Unpack[Options],
) -> EstimationResult:
    """Return the prediction-powered mean λ mean_other(ŷ) + mean_gold(y - λ ŷ).

    Parameters
    ----------
    predicted, gold, inclusion_probability : arrays of shape (n,)
        As in `dsl_mean`; gold means are weighted by 1 / π where π differs.
    power : float in [0, 1] or "tuned"
        λ. 0 leaves the predictions out, N / (n + N) is `dsl_mean` (with weights that are
        normalised). Tuned is the value with the least variance; the result's `power` tells it.
    clusters, **options
        See the module `boundary_research.inference.estimators`.

    Examples
    --------
    >>> nan = float("nan")
    >>> result = ppi_mean([1, 1, 0, 0], [1, nan, 0, nan], 0.5, power=0.5)
    >>> result.estimate, result.power
    (0.5, 0.5)
    """
    return _ppi(None, predicted, gold, inclusion_probability, "ols", clusters, power, None, options)


def ppi_ols(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    power: float | str | None = "tuned",
    tune_for: int | None = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return prediction-powered linear-regression coefficients.

    Parameters
    ----------
    X : array of shape (n, p)
    predicted, gold, inclusion_probability : arrays of shape (n,)
    power : float in [0, 1] or "tuned"
        λ, the same for the point and the interval.
    tune_for : int, optional
        Column of `X` whose variance λ makes least; by default the sum over all (the trace).
    clusters, **options
        See the module `boundary_research.inference.estimators`.
    """
    return _ppi(
        X, predicted, gold, inclusion_probability, "ols", clusters, power, tune_for, options
    )


def ppi_logit(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    power: float | str | None = "tuned",
    tune_for: int | None = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return prediction-powered logistic-regression coefficients (log odds ratios).

    Parameters are those of `ppi_ols`.
    """
    return _ppi(
        X, predicted, gold, inclusion_probability, "logit", clusters, power, tune_for, options
    )
