"""Classical estimates from the gold rows alone."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from boundary_research.inference._design_based import (
    dsl_mean,
    gold_only_equations,
    infer_with,
    result_of,
    solve_or_refuse,
)
from boundary_research.inference._inputs import as_numbers, check_sample
from boundary_research.inference._options import Options, Settings
from boundary_research.inference.results import EstimationResult


def _gold_only(
    X: Any,
    gold: Any,
    inclusion_probability: Any,
    family: str,
    clusters: Any,
    options: Options,
    offset: Any = None,
) -> EstimationResult:
    settings = Settings.of(options)
    settings.trained_on_gold, settings.fold = False, None  # no prediction is used
    sample = check_sample(
        X,
        None,
        gold,
        inclusion_probability,
        family=family,
        clusters=clusters,
        offset=offset,
        settings=settings,
    )
    equations = gold_only_equations(sample, family)
    solution = solve_or_refuse(equations)
    uncertainty = infer_with(equations, solution, sample, settings)
    mean = X is None
    name = "mean" if mean else family
    return result_of(
        sample, settings, uncertainty, solution.b, estimator="gold_only", family=name, scalar=mean
    )


def hajek_mean(
    gold: Any, inclusion_probability: Any, *, clusters: Any = None, **options: Unpack[Options]
) -> EstimationResult:
    """Return Σ y / π over Σ 1 / π from the gold rows alone (Hájek 1971)."""
    return _gold_only(None, gold, inclusion_probability, "ols", clusters, options)


def ht_mean(
    gold: Any, inclusion_probability: Any, *, clusters: Any = None, **options: Unpack[Options]
) -> EstimationResult:
    """Return Σ y / π over n from the gold rows alone (Horvitz and Thompson 1952).

    It is `dsl_mean` with predictions that are all zero, and as such has its variance.
    """
    options = {**options, "trained_on_gold": False, "fold": None}
    zero = np.zeros(len(as_numbers(gold, name="gold")))
    result = dsl_mean(zero, gold, inclusion_probability, clusters=clusters, **options)
    return EstimationResult(**{**vars(result), "estimator": "gold_only"})


def gold_only_ols(
    X: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return linear-regression coefficients from the gold rows alone, weighted by 1 / π."""
    return _gold_only(X, gold, inclusion_probability, "ols", clusters, options)


def gold_only_logit(
    X: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return logistic-regression coefficients from the gold rows alone, weighted by 1 / π."""
    return _gold_only(X, gold, inclusion_probability, "logit", clusters, options)


def gold_only_poisson(
    X: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    offset: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return log-linear coefficients from the gold rows alone, weighted by 1 / π."""
    return _gold_only(X, gold, inclusion_probability, "poisson", clusters, options, offset)
