"""Regressions of all categories on one design, by each estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from boundary_research._checks import DataError
from boundary_research.inference._alignment import Codes
from boundary_research.inference._fitting import Fit, aggregate, fit
from boundary_research.inference._formula import Design
from boundary_research.inference._inputs import Sample
from boundary_research.inference._margins import average_differences
from boundary_research.inference._moments import Base, Equations
from boundary_research.inference._penalty import posterior_variance, solve_penalised
from boundary_research.inference._prediction_powered import centring_of
from boundary_research.inference._variance import (
    Centring,
    SamplingDesign,
    Uncertainty,
    choose_small_sample,
    infer,
)
from boundary_research.inference.results import wald_limits


@dataclass
class Request:
    """What was asked for."""

    family: str
    estimators: list[str]
    predictions: str
    penalty: str | None
    conf_level: float
    small_sample: str
    finite: bool
    generator: np.random.Generator
    bootstrap: bool = True

    def without_bootstrap(self) -> Request:
        """Return the request with CR2 in place of the bootstrap, which cannot be pooled."""
        return replace(self, bootstrap=False)


@dataclass
class Terms:
    """Estimates of K categories and p terms; arrays of shape (K, p), text of shape (K,)."""

    estimate: np.ndarray
    vcov: np.ndarray
    std_error: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    p_value: np.ndarray
    df: np.ndarray
    difference: np.ndarray
    difference_error: np.ndarray
    conf_level: float
    penalty: np.ndarray
    note: np.ndarray

    def columns(self) -> dict[str, np.ndarray]:
        """Return the numbers of the result table; differences in share points."""
        low, high, _ = wald_limits(self.difference, self.difference_error, self.df, self.conf_level)
        return {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "conf_low": self.conf_low,
            "conf_high": self.conf_high,
            "p_value": self.p_value,
            "difference_points": 100 * self.difference,
            "difference_points_low": 100 * low,
            "difference_points_high": 100 * high,
        }


def fit_terms(
    design: Design,
    codes: Codes,
    ways: tuple[list[np.ndarray], list[int]],
    offset: np.ndarray,
    thin: np.ndarray,
    request: Request,
) -> dict[str, Terms]:
    """Return the fits of each estimator; `thin`, shape (K, p), marks columns of thin levels."""
    labels, sizes = ways
    sampling = SamplingDesign(
        probability=codes.inclusion_probability,
        n_total=len(codes.ids),
        sizes=sizes,
        gold_labels=[way[codes.rows] for way in labels],
        strata=codes.strata,
        units=codes.units,
        finite=request.finite,
    )
    sample = Sample(
        X=design.X,
        predicted=codes.predicted,
        rows=codes.rows,
        gold=codes.gold,
        weights=np.ones(len(codes.ids)),
        offset=offset,
        labels=labels,
        design=sampling,
    )
    base = aggregate(sample)
    start: np.ndarray | None = None
    results = {}
    for name in request.estimators:
        used = sample
        if name == "naive":
            used = replace(sample, design=replace(sampling, strata=None, units=None, finite=False))
        elif request.predictions != "predicted":
            used = replace(sample, predicted=codes.probability)
        own = base if used.predicted is sample.predicted else aggregate(used)
        usual = None if name == "gold_only" else start
        fitted = fit(used, request.family, name, base=own, start=usual)
        if name != "gold_only" and fitted.converged.all():
            start = fitted.b
        results[name] = _terms(fitted, used, own, name, thin, codes, design, offset, request)
    return results


def _terms(
    fitted: Fit,
    sample: Sample,
    base: Base,
    estimator: str,
    thin: np.ndarray,
    codes: Codes,
    design: Design,
    offset: np.ndarray,
    request: Request,
) -> Terms:
    """Return the terms of one estimator, penalised where called for."""
    outcomes, p = fitted.b.shape
    wanted = ~fitted.converged.copy()
    if request.penalty in ("logf", "firth"):
        wanted[:] = True
    elif request.penalty == "auto" and estimator != "naive":
        wanted |= thin.any(axis=1)
    if request.penalty is None and wanted.any() and estimator != "gold_only":
        _refuse(np.array(codes.categories)[wanted], request.family)
    terms = _empty(outcomes, p, request.conf_level)
    plain = np.flatnonzero(~wanted)
    option = choose_small_sample(request.small_sample, sample.design.sizes)
    if not request.bootstrap and option == "wild":
        option = "CR2"
    if len(plain):
        equations = fitted.equations.select(plain)
        centring = fitted.centring
        if centring is not None:
            centring = Centring(centring.base[:, plain], centring.gold[:, :, plain])
        uncertainty = _infer(
            equations, fitted.b[plain], fitted.jacobian[plain], sample, option, centring, request
        )
        _store(terms, plain, fitted.b[plain], uncertainty)
    for k in np.flatnonzero(wanted):
        if request.penalty is None:
            terms.note[k] = "no finite estimate: separated codes"
            continue
        _penalise(terms, fitted, sample, base, estimator, int(k), thin[k], option, request)
    terms.difference, terms.difference_error = average_differences(
        design, terms.estimate, terms.vcov, request.family, offset
    )
    return terms


def _refuse(categories: np.ndarray, family: str) -> None:
    advice = ' Use penalty="auto" or "logf".' if family == "logit" else ""
    raise DataError(
        f"No finite estimate for {', '.join(map(str, categories[:5]))}: in some level every "
        f"code is "
        f"alike (separation), or the corrected share is not between 0 and 1. Merge levels or "
        f"code more "
        f"narratives.{advice}"
    )


def _empty(outcomes: int, p: int, conf_level: float) -> Terms:
    parts = [np.full((outcomes, p), np.nan) for _ in range(8)]
    return Terms(
        estimate=parts[0],
        vcov=np.full((outcomes, p, p), np.nan),
        std_error=parts[1],
        conf_low=parts[2],
        conf_high=parts[3],
        p_value=parts[4],
        df=parts[5],
        difference=parts[6],
        difference_error=parts[7],
        conf_level=conf_level,
        penalty=np.full(outcomes, "", dtype=object),
        note=np.full(outcomes, "", dtype=object),
    )


def _store(terms: Terms, which: np.ndarray, b: np.ndarray, uncertainty: Uncertainty) -> None:
    terms.estimate[which] = b
    terms.vcov[which] = uncertainty.vcov
    terms.std_error[which] = uncertainty.std_error
    terms.conf_low[which] = uncertainty.conf_low
    terms.conf_high[which] = uncertainty.conf_high
    terms.p_value[which] = uncertainty.p_value
    terms.df[which] = uncertainty.df
    terms.note[which] = "; ".join(uncertainty.notes)


def _infer(
    equations: Equations,
    b: np.ndarray,
    jacobian: np.ndarray,
    sample: Sample,
    option: str,
    centring: Centring | None,
    request: Request,
) -> Uncertainty:
    return infer(
        equations,
        b,
        jacobian,
        sample.design,
        small_sample=option,
        conf_level=request.conf_level,
        centring=centring,
        random_state=request.generator,
    )


def _penalise(
    terms: Terms,
    fitted: Fit,
    sample: Sample,
    base: Base,
    estimator: str,
    k: int,
    thin: np.ndarray,
    option: str,
    request: Request,
) -> None:
    """Write the penalised estimate of category k into `terms`; `thin`: its thin columns, (p,)."""
    kind = "firth" if request.penalty == "firth" else "logf"
    equations = fitted.equations.select(np.array([k]))
    option = "CR2" if option == "wild" else option
    one = replace(sample, predicted=sample.predicted[:, [k]], gold=sample.gold[:, [k]])
    inverse = 1 / sample.design.probability
    weight = 1.0 if estimator == "naive" else float(np.sum(inverse**2) / np.sum(inverse))
    b, jacobian, added, reached = solve_penalised(equations, penalty=kind, X=base.X, weight=weight)
    if not reached:
        terms.note[k] = "no finite estimate: too few gold codes in some level"
        return
    centring = centring_of(equations, one, b[None]) if estimator == "ppi" else None
    uncertainty = _infer(equations, b[None], jacobian[None], one, option, centring, request)
    vcov = posterior_variance(uncertainty.vcov[0], added)
    # In a thin cell residuals are near zero and the sandwich is too small; not below what as many
    # gold codes by themselves would give.
    floor = posterior_variance(weight * np.linalg.inv(jacobian), added)
    if not fitted.converged[k]:
        thin = np.ones(len(b), dtype=bool)
    wider = np.sqrt(np.maximum(np.diag(floor) / np.diag(vcov), 1.0))
    wider[~thin] = 1.0
    vcov = vcov * np.outer(wider, wider)
    std_error = np.sqrt(np.maximum(np.diag(vcov), 0))
    low, high, p_value = wald_limits(b, std_error, uncertainty.df[0], request.conf_level)
    terms.estimate[k], terms.vcov[k], terms.std_error[k] = b, vcov, std_error
    terms.conf_low[k], terms.conf_high[k], terms.p_value[k] = low, high, p_value
    terms.df[k] = uncertainty.df[0]
    terms.penalty[k] = kind
    few = request.penalty == "auto"
    terms.note[k] = "few gold codes in some level: weak prior used" if few else ""
