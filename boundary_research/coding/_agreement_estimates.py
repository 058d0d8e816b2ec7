"""Estimates of agreement with standard error, interval and what has to be read beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse, stats

from boundary_research.coding._agreement import Statistic
from boundary_research.coding._agreement_intervals import (
    IntervalPlan,
    bootstrap_interval,
    jackknife_values,
    score_interval,
)
from boundary_research.coding._agreement_results import NAN, AgreementResult
from boundary_research.coding._ratings import MISSING, Ratings

# Below these counts measured coverage leaves 93–97%, and the note says so.
FEW_RARE_UNITS = 8
FEW_UNITS = 20
FEW_CLUSTERS = 20


def estimate_agreement(
    ratings: Ratings,
    statistic_of: Callable[[Ratings], Statistic],
    *,
    coefficient: str,
    plan: IntervalPlan,
    low: float = -1.0,
    chance_corrected: bool = True,
    normal_wald: bool = False,
    rare_matters: bool = True,
) -> AgreementResult:
    """Return a coefficient with its interval; NaN and a note where no value is defined.

    Parameters
    ----------
    statistic_of : callable
        Makes the `Statistic` from the ratings; called only if the data define one.
    low : float
        Smallest value of the coefficient: −1, or 0 for shares.
    chance_corrected : bool
        Whether data in one category leave it undefined.
    normal_wald : bool
        Whether the published interval has the asymptotic variance (divided by n) and a normal
        quantile, not n − 1 and a t quantile.
    rare_matters : bool
        Whether its interval fails where few units hold the rarer categories.
    """
    plan = replace(plan, clustered=ratings.clusters is not None)
    described = _describe(ratings, coefficient, plan)
    paired = (ratings.codes != MISSING).sum(axis=1) >= 2
    if not paired.any():
        note = "No unit was coded by two coders, so agreement is not defined."
        return AgreementResult(estimate=NAN, note=note, **described)
    used = np.unique(ratings.codes[ratings.codes != MISSING])
    if len(used) < 2 and chance_corrected:
        note = (
            "All ratings fall in one category. Nothing shows that the coders can tell categories "
            "apart, so no chance-corrected agreement is defined."
        )
        return AgreementResult(estimate=NAN, note=note, **described)
    statistic = statistic_of(ratings)
    weights = ratings.weights
    totals = weights @ statistic.features
    estimate = float(statistic.evaluate(totals))
    if np.isnan(estimate):
        note = (
            "The units that two coders coded leave nothing to disagree about (all in one category, "
            "or the category never chosen), so no value is defined."
        )
        return AgreementResult(estimate=NAN, note=note, **described)
    sums, moved = _by_cluster(statistic, ratings)
    std_error = _linearised_error(moved, weights.sum(), normal_wald)
    groups = len(moved)
    notes = _doubts(ratings, paired, statistic.support, rare_matters, groups=groups)
    if plan.interval == "bootstrap":
        std_error, conf_low, conf_high, words = bootstrap_interval(
            sums, statistic.evaluate, estimate, plan, leave_out=statistic.leave_out
        )
        notes += words
    elif plan.interval == "wald":
        level = (1 + plan.confidence) / 2
        step = stats.norm.ppf(level) if normal_wald else stats.t.ppf(level, max(groups - 1, 1))
        conf_low, conf_high = estimate - step * std_error, estimate + step * std_error
    else:
        most = _unit_number(statistic, ratings)
        values = jackknife_values(sums, statistic.evaluate, statistic.leave_out)
        conf_low, conf_high = score_interval(
            values, estimate, plan, most=most, room=statistic.room, low=low
        )
    return AgreementResult(
        estimate=estimate,
        std_error=std_error,
        conf_low=float(np.clip(conf_low, low, 1)),
        conf_high=float(np.clip(conf_high, low, 1)),
        note=" ".join(notes),
        **described,
    )


def _by_cluster(statistic: Statistic, ratings: Ratings) -> tuple[Any, np.ndarray]:
    """Return weighted features and deviations of each unit, or summed over each cluster."""
    moved = ratings.weights * statistic.influence
    n = len(moved)
    group = np.arange(n) if ratings.clusters is None else ratings.clusters
    groups = int(group.max()) + 1
    weighting = sparse.csr_array((ratings.weights, (group, np.arange(n))), shape=(groups, n))
    return weighting @ statistic.features, np.bincount(group, weights=moved, minlength=groups)


def _linearised_error(moved: np.ndarray, total: float, asymptotic: bool) -> float:
    groups = len(moved)
    if groups < 2:
        return NAN
    factor = 1.0 if asymptotic else groups / (groups - 1)
    return float(np.sqrt(factor * np.sum(moved**2)) / total)


def _unit_number(statistic: Statistic, ratings: Ratings) -> float:
    """Return the number of units or clusters that bear on a coefficient, Kish's where weighted."""
    support = np.ones(len(ratings.codes), bool) if statistic.support is None else statistic.support
    if ratings.clusters is not None:
        return float(len(np.unique(ratings.clusters[support])))
    weights = ratings.weights[support]
    return float(weights.sum() ** 2 / (weights**2).sum())


def _describe(ratings: Ratings, coefficient: str, plan: IntervalPlan) -> dict[str, Any]:
    """Return what the result says beside the estimate."""
    coded = ratings.codes != MISSING
    each = coded.sum(axis=1)
    described: dict[str, Any] = {
        "coefficient": coefficient,
        "confidence": plan.confidence,
        "interval": plan.interval,
        "n_units": int((each >= 2).sum()),
        "n_single": int((each == 1).sum()),
        "n_coders": int(coded.any(axis=0).sum()),
        "n_ratings": int(each.sum()),
        "n_clusters": None if ratings.clusters is None else len(np.unique(ratings.clusters)),
    }
    if (each >= 2).any():
        counts = ratings.sparse_counts
        agreeing = np.asarray(counts.multiply(counts).sum(axis=1)).ravel() - each
        weights = ratings.weights * (each >= 2)
        share = agreeing / np.where(each >= 2, each * (each - 1), 1)
        described["observed"] = float(weights @ share / weights.sum())
    if len(ratings.categories) == 2 and len(ratings.codes):
        second = (ratings.codes == 1).astype(float)
        prevalence = float(np.average(second.sum(axis=1) / each, weights=ratings.weights))
        mass = ratings.weights @ coded
        shares = (ratings.weights @ second)[mass > 0] / mass[mass > 0]
        described["prevalence"] = prevalence
        described["prevalence_index"] = abs(2 * prevalence - 1)
        described["bias_index"] = float(np.ptp(shares)) if len(shares) > 1 else NAN
    return described


def _doubts(
    ratings: Ratings,
    paired: np.ndarray,
    support: np.ndarray | None,
    rare_matters: bool,
    *,
    groups: int,
) -> list[str]:
    """Return in words why an interval may not keep its level."""
    notes = []
    n_units = int(paired.sum())
    if groups < 2:
        notes.append("One unit or cluster gives no standard error and no interval.")
    if n_units < FEW_UNITS:
        notes.append(f"Only {n_units} units were coded twice; the interval may not keep its level.")
    if ratings.clusters is not None and groups < FEW_CLUSTERS:
        notes.append(f"Only {groups} clusters; standard error and interval are rough.")
    if support is not None:
        if support.sum() < FEW_RARE_UNITS:
            notes.append(
                f"Only {int(support.sum())} units bear on it; the interval is not to be trusted."
            )
        return notes
    codes = ratings.codes[paired]
    modal = np.bincount(codes[codes != MISSING]).argmax()
    rare = int((((codes != MISSING) & (codes != modal)).sum(axis=1) >= 2).sum())
    if rare_matters and rare < FEW_RARE_UNITS:
        notes.append(
            f"Two coders chose anything but the most common category in only {rare} units; the "
            f"interval is not to be trusted (it may cover far less often than its level says)."
        )
    return notes
