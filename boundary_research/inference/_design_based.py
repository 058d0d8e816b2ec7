"""Design-based supervised learning, and what all estimators build their equations from."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from boundary_research._checks import DataError
from boundary_research.inference._inputs import Sample, as_numbers, check_length, check_sample
from boundary_research.inference._moments import Base, Equations, GoldBlock
from boundary_research.inference._options import Options, Settings
from boundary_research.inference._solver import Solution, solve
from boundary_research.inference._variance import Centring, Uncertainty, infer
from boundary_research.inference.results import EstimationResult


def base_of(sample: Sample) -> Base:
    """Return the sum over all rows, row by row."""
    squares = None
    return Base(
        X=sample.X,
        offset=sample.offset,
        weight=sample.weights,
        target=sample.weights[:, None] * sample.predicted,
        labels=sample.labels,
        squares=squares,
    )


def gold_base_of(sample: Sample) -> GoldBlock:
    """Return the base's own terms at the gold rows."""
    rows = sample.rows
    weight = np.repeat(sample.weights[rows, None], sample.predicted.shape[1], axis=1)
    return GoldBlock(sample.X[rows], sample.offset[rows], weight, weight * sample.predicted[rows])


def dsl_equations(
    sample: Sample,
    family: str,
    X_gold: np.ndarray | None = None,
    *,
    base: Base | None = None,
) -> Equations:
    """Return Σ m(ŷ) + Σ_gold (m(y) - m(ŷ)) / π, with x* in m(y) if a gold design is given."""
    own = gold_base_of(sample)
    inverse = (1 / sample.design.probability)[:, None]
    truth = own.weight * sample.gold
    if X_gold is None:
        gold = [GoldBlock(own.X, own.offset, 0 * own.weight, inverse * (truth - own.target))]
    else:
        gold = [
            GoldBlock(own.X, own.offset, -inverse * own.weight, -inverse * own.target),
            GoldBlock(X_gold, own.offset, inverse * own.weight, inverse * truth),
        ]
    factor = np.ones(sample.predicted.shape[1])
    return Equations(family, base_of(sample) if base is None else base, factor, gold, own)


def gold_only_equations(sample: Sample, family: str, base: Base | None = None) -> Equations:
    """Return Σ_gold m(y) / π."""
    own = gold_base_of(sample)
    inverse = (1 / sample.design.probability)[:, None]
    gold = GoldBlock(own.X, own.offset, inverse * own.weight, inverse * own.weight * sample.gold)
    factor = np.zeros(sample.predicted.shape[1])
    return Equations(family, base_of(sample) if base is None else base, factor, [gold], own)


def solve_or_refuse(equations: Equations, start: np.ndarray | None = None) -> Solution:
    """Return the roots, or a DataError if there is none."""
    solution = solve(equations, start)
    if not solution.converged.all():
        if equations.family == "ols":
            raise DataError(
                "The corrected equations have no single solution: the columns of X do not vary "
                "enough among the gold rows. Drop columns, or code more rows."
            )
        raise DataError(
            "No finite estimate: some column of X separates the codes (a level in which every gold "
            "code is alike), or the correction leaves nothing to fit. Merge levels, code "
            "more rows, "
            'or use risk_factors with penalty="logf".'
        )
    return solution


def result_of(
    sample: Sample,
    settings: Settings,
    uncertainty: Uncertainty,
    b: np.ndarray,
    *,
    estimator: str,
    family: str,
    scalar: bool = False,
    power: float = float("nan"),
) -> EstimationResult:
    """Return the result of one outcome; floats if `scalar`."""

    def pick(values: np.ndarray) -> Any:
        return float(values[0, 0]) if scalar else values[0]

    return EstimationResult(
        estimate=pick(b),
        std_error=pick(uncertainty.std_error),
        conf_low=pick(uncertainty.conf_low),
        conf_high=pick(uncertainty.conf_high),
        p_value=pick(uncertainty.p_value),
        vcov=uncertainty.vcov[0],
        df=pick(uncertainty.df),
        n_gold=len(sample.rows),
        n_total=sample.design.n_total,
        n_clusters=sample.design.sizes[0] if sample.design.sizes else sample.design.n_total,
        estimator=estimator,
        family=family,
        conf_level=settings.conf_level,
        power=power,
        notes=uncertainty.notes,
    )


def infer_with(
    equations: Equations,
    solution: Solution,
    sample: Sample,
    settings: Settings,
    centring: Centring | None = None,
) -> Uncertainty:
    """Return the uncertainty at a solution under the given settings."""
    return infer(
        equations,
        solution.b,
        solution.jacobian,
        sample.design,
        small_sample=settings.small_sample,
        conf_level=settings.conf_level,
        centring=centring,
        random_state=settings.random_state,  # type: ignore[arg-type]
    )


def _gold_design(X_gold: Any, sample: Sample) -> np.ndarray | None:
    """Return the gold rows of the alternative design, shape (g, p)."""
    if X_gold is None:
        return None
    array = as_numbers(X_gold, name="X_gold", ndim=2)
    check_length(array, sample.design.n_total, name="X_gold")
    if array.shape != sample.X.shape:
        raise DataError(
            f"X_gold has {array.shape[1]} columns and X {sample.X.shape[1]}; they must be the same "
            f"columns, with gold in place of predicted attributes."
        )
    rows = array[sample.rows]
    if not np.isfinite(rows).all():
        raise DataError("X_gold is missing in rows that have a gold code. Fill these in.")
    return rows


def _dsl(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    family: str,
    clusters: Any,
    options: Options,
    *,
    X_gold: Any = None,
    offset: Any = None,
) -> EstimationResult:
    settings = Settings.of(options)
    sample = check_sample(
        X,
        predicted,
        gold,
        inclusion_probability,
        family=family,
        clusters=clusters,
        offset=offset,
        settings=settings,
    )
    equations = dsl_equations(sample, family, _gold_design(X_gold, sample))
    solution = solve_or_refuse(equations)
    uncertainty = infer_with(equations, solution, sample, settings)
    mean = X is None
    name = "mean" if mean else family
    return result_of(
        sample, settings, uncertainty, solution.b, estimator="dsl", family=name, scalar=mean
    )


def dsl_mean(
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return the mean of the gold code over all rows, corrected for prediction error.

    The estimate is mean(ŷ + (R / π)(y - ŷ)), unbiased whatever the predictions (Egami and others
    2023, equation 4; the difference estimator of survey sampling).

    Parameters
    ----------
    predicted : array of shape (n,)
        A code or a probability for each row.
    gold : array of shape (n,)
        NaN where there is no gold code.
    inclusion_probability : array of shape (n,), or one number
    clusters, **options
        See the module `boundary_research.inference.estimators`.

    Returns
    -------
    EstimationResult
        With floats.

    Raises
    ------
    DataError
        If arrays do not fit, or the inclusion probability of a gold row is missing or outside (0,
        1].

    Examples
    --------
    >>> nan = float("nan")
    >>> result = dsl_mean([1, 1, 0, 0], [1, nan, 0, nan], 0.5)
    >>> result.estimate, result.n_gold, result.n_total
    (0.5, 2, 4)
    """
    return _dsl(None, predicted, gold, inclusion_probability, "ols", clusters, options)


def dsl_ols(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    X_gold: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return linear-regression coefficients corrected for prediction error.

    Parameters
    ----------
    X : array of shape (n, p)
        With its intercept column; model-coded attributes as predicted.
    predicted, gold, inclusion_probability : arrays of shape (n,)
        As in `dsl_mean`. If the outcome is known for all rows and only an attribute is predicted,
        give the outcome as both.
    X_gold : array of shape (n, p), optional
        X with the gold value of predicted attributes, read in the gold rows alone. Then the moment
        is m(ŷ, x̂) + (R / π)(m(y, x) - m(ŷ, x̂)) (Egami and others 2023, section 4).
    clusters, **options
        See the module `boundary_research.inference.estimators`.
    """
    return _dsl(X, predicted, gold, inclusion_probability, "ols", clusters, options, X_gold=X_gold)


def dsl_logit(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    X_gold: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return logistic-regression coefficients (log odds ratios) corrected for prediction error.

    Parameters and options are those of `dsl_ols`; the moment is x (y - expit(x'b)), solved to
    1e-10.

    Raises
    ------
    DataError
        Also if there is no finite estimate (separation).
    """
    return _dsl(
        X, predicted, gold, inclusion_probability, "logit", clusters, options, X_gold=X_gold
    )


def dsl_poisson(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    X_gold: Any = None,
    offset: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return log-linear coefficients (log rate ratios) corrected for prediction error.

    Parameters and options are those of `dsl_ols`, with the moment x (y - exp(x'b + offset)).

    Parameters
    ----------
    offset : array of shape (n,), optional
        The logarithm of the exposure (person-years, caseload) behind each row.
    """
    return _dsl(
        X,
        predicted,
        gold,
        inclusion_probability,
        "poisson",
        clusters,
        options,
        X_gold=X_gold,
        offset=offset,
    )
