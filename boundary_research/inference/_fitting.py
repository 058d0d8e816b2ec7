"""Fits of naive, gold-only, DSL and PPI estimates for many categories at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from boundary_research.inference._design_based import (
    base_of,
    dsl_equations,
    gold_base_of,
    gold_only_equations,
)
from boundary_research.inference._inputs import Sample
from boundary_research.inference._moments import Base, Equations, indicator
from boundary_research.inference._prediction_powered import (
    centring_of,
    largest_factor,
    ppi_equations,
    tune,
)
from boundary_research.inference._solver import solve
from boundary_research.inference._variance import Centring


@dataclass
class Fit:
    """Roots of one estimator for K outcomes."""

    equations: Equations
    b: np.ndarray
    jacobian: np.ndarray
    converged: np.ndarray
    power: np.ndarray
    centring: Centring | None = None


def aggregate(sample: Sample) -> Base:
    """Return the base as cells of rows with equal x, offset and cluster, where that saves work.

    Rows are compared by a random projection first and then exactly. Row weights and two-way
    clusters are left as rows. Where clusters make cells too many, cells of equal x and offset stand
    beside the rows for the sums that need no clusters.
    """
    base = base_of(sample)
    n = len(sample.X)
    if n < 2_000 or len(sample.labels) > 1 or np.ptp(sample.weights) > 0:
        return base
    values = np.column_stack([sample.X, sample.offset])
    projection = values @ np.random.default_rng(0).normal(size=values.shape[1])
    _, first, inverse = np.unique(projection, return_index=True, return_inverse=True)
    if len(first) > n / 3:
        return base
    for start in range(0, n, 100_000):
        part = slice(start, start + 100_000)
        if not np.array_equal(values[part], values[first[inverse[part]]]):
            return base
    if not sample.labels:
        return _cells(sample, first, inverse)
    coarse = _cells(sample, first, inverse)
    key = inverse.astype(np.int64) * sample.design.sizes[0] + sample.labels[0]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return replace(base if len(first) > n / 3 else _cells(sample, first, inverse), coarse=coarse)


def _cells(sample: Sample, first: np.ndarray, inverse: np.ndarray) -> Base:
    """Return cells: `first` holds a row of each, `inverse` the cell of each row."""
    member = indicator(inverse, len(first))
    weight = sample.weights[0]
    counts = np.bincount(inverse, minlength=len(first)).astype(float)
    totals = member @ sample.predicted
    squares = None
    if not sample.labels:
        squared = member @ sample.predicted**2
        squares = (weight**2 * counts, weight**2 * totals, weight**2 * squared)
    return Base(
        X=sample.X[first],
        offset=sample.offset[first],
        weight=weight * counts,
        target=weight * totals,
        labels=[labels[first] for labels in sample.labels],
        squares=squares,
    )


def fit(
    sample: Sample,
    family: str,
    estimator: str,
    *,
    base: Base | None = None,
    start: np.ndarray | None = None,
) -> Fit:
    """Return the fit of one estimator: naive, gold_only, dsl or ppi (tuned by trace)."""
    base = base_of(sample) if base is None else base
    outcomes = sample.predicted.shape[1]
    power = np.full(outcomes, np.nan)
    centring = None
    if estimator == "naive":
        equations = Equations(family, base, np.ones(outcomes), [], gold_base_of(sample))
    elif estimator == "gold_only":
        equations = gold_only_equations(sample, family, base)
    elif estimator == "dsl":
        equations = dsl_equations(sample, family, base=base)
    else:
        most = largest_factor(sample)
        first = np.full(outcomes, min(1.0, most))
        rough = solve(ppi_equations(sample, family, first, base), start)
        good = rough.converged
        if not good.all():
            # Where the full correction has no root, tune from the gold codes alone.
            alone = solve(ppi_equations(sample, family, np.zeros(outcomes), base), None)
            rescued = ~good & alone.converged
            rough.b[rescued], rough.jacobian[rescued] = alone.b[rescued], alone.jacobian[rescued]
            good = good | rescued
        if good.any():
            anywhere = np.flatnonzero(good)[0]  # stands in where there is no root
            b = np.where(good[:, None], rough.b, rough.b[anywhere])
            jacobian = np.where(good[:, None, None], rough.jacobian, rough.jacobian[anywhere])
            tuned = tune(sample, family, b, jacobian, base=base)
            first = np.where(good, tuned, first)
            start = b
        factor = first
        equations = ppi_equations(sample, family, factor, base)
        power = factor / most if most else np.zeros(outcomes)
    solution = solve(equations, start)
    if estimator == "ppi":
        centring = centring_of(equations, sample, solution.b)
    return Fit(equations, solution.b, solution.jacobian, solution.converged, power, centring)
