"""Standard errors and intervals for agreement coefficients: score, Wald and bootstrap.

The default is a score interval because it was the one that kept its level when measured
(`benchmarks/reliability_coverage.py`): with 50 narratives and good agreement, Wald intervals on the
published standard errors cover 86–95% and score intervals 94–97%.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from scipy import stats

from boundary_research._checks import (
    DataError,
    check_choice,
    check_fraction,
    check_random_state,
)
from boundary_research.coding._agreement import Statistic, pair_agreement
from boundary_research.coding._agreement_results import NAN, AgreementResult
from boundary_research.coding._ratings import MISSING, Ratings

INTERVALS = ("score", "wald", "bootstrap")
# Below these counts measured coverage leaves 93–97%, and the note says so.
FEW_RARE_UNITS = 8
FEW_UNITS = 20
FEW_CLUSTERS = 20
_CHUNK_CELLS = 4_000_000


class AgreementOptions(TypedDict, total=False):
    """Keyword arguments that all coefficients share.

    Attributes
    ----------
    categories : sequence
        All categories that coders could choose, in order; by default those that occur.
    inclusion_probability : array-like, shape (units,)
        Probability in (0, 1] with which each unit was drawn; units then weigh 1/π. Needed where
        the double-coded units were picked by a queue or an unequal-probability design.
    clusters : array-like, shape (units,)
        What each unit belongs to (its agency); standard errors and draws are then by cluster.
    confidence : float
        Level of the interval, 0.95 by default.
    interval : {"score", "wald", "bootstrap"}
        "score" (default) is Wilson's interval on the coefficient's range with the effective number
        of units that its jackknife variance implies; "wald" is the published estimate ± quantile
        × standard error; "bootstrap" is BCa by unit, or by cluster where `clusters` is given.
    n_boot : int
        Bootstrap draws, 2,000 by default.
    random_state : int, Generator or None
        Of the bootstrap.
    """

    categories: Sequence[Any] | None
    inclusion_probability: Any
    clusters: Any
    confidence: float
    interval: str
    n_boot: int
    random_state: int | np.random.Generator | None


@dataclass(frozen=True)
class IntervalPlan:
    """Checked options of an interval."""

    confidence: float
    interval: str
    n_boot: int
    generator: np.random.Generator
    clustered: bool = False


def check_interval(
    *,
    confidence: float = 0.95,
    interval: str = "score",
    n_boot: int = 2000,
    random_state: int | np.random.Generator | None = None,
) -> IntervalPlan:
    """Return the options of an interval, checked."""
    if isinstance(n_boot, bool) or not isinstance(n_boot, int | np.integer) or n_boot < 100:
        raise DataError(f"n_boot must be a whole number of at least 100, got {n_boot!r}.")
    return IntervalPlan(
        check_fraction(confidence, name="confidence"),
        check_choice(interval, INTERVALS, name="interval"),
        int(n_boot),
        check_random_state(random_state),
    )


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
    notes = _doubts(ratings, paired, statistic.support, rare_matters, groups=len(sums))
    if plan.interval == "bootstrap":
        std_error, conf_low, conf_high, words = bootstrap_interval(
            sums, statistic.evaluate, estimate, plan
        )
        notes += words
    elif plan.interval == "wald":
        level = (1 + plan.confidence) / 2
        step = stats.norm.ppf(level) if normal_wald else stats.t.ppf(level, max(len(sums) - 1, 1))
        conf_low, conf_high = estimate - step * std_error, estimate + step * std_error
    else:
        most = _unit_number(statistic, ratings)
        conf_low, conf_high = score_interval(
            sums, statistic.evaluate, estimate, plan, most=most, room=statistic.room, low=low
        )
    return AgreementResult(
        estimate=estimate,
        std_error=std_error,
        conf_low=float(np.clip(conf_low, low, 1)),
        conf_high=float(np.clip(conf_high, low, 1)),
        note=" ".join(notes),
        **described,
    )


def _by_cluster(statistic: Statistic, ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted features and deviations of each unit, or summed over each cluster."""
    sums = ratings.weights[:, None] * statistic.features
    moved = ratings.weights * statistic.influence
    if ratings.clusters is None:
        return sums, moved
    groups = int(ratings.clusters.max()) + 1
    by_group = np.zeros((groups, sums.shape[1]))
    np.add.at(by_group, ratings.clusters, sums)
    return by_group, np.bincount(ratings.clusters, weights=moved, minlength=groups)


def _linearised_error(moved: np.ndarray, total: float, asymptotic: bool) -> float:
    groups = len(moved)
    if groups < 2:
        return NAN
    factor = 1.0 if asymptotic else groups / (groups - 1)
    return float(np.sqrt(factor * np.sum(moved**2)) / total)


def _in_chunks(
    rows: int, columns: int, compute: Callable[[int, int], np.ndarray], *, extra: int = 0
) -> np.ndarray:
    step = max(1, _CHUNK_CELLS // max(columns + extra, 1))
    parts = [compute(start, min(start + step, rows)) for start in range(0, rows, step)]
    return np.concatenate(parts)


def jackknife_values(sums: np.ndarray, evaluate: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the coefficient without each unit (or cluster), shape (len(sums),)."""
    totals = sums.sum(axis=0)
    return _in_chunks(
        len(sums), sums.shape[1], lambda start, stop: evaluate(totals - sums[start:stop])
    )


def _unit_number(statistic: Statistic, ratings: Ratings) -> float:
    """Return the number of units or clusters that bear on a coefficient, Kish's where weighted."""
    support = np.ones(len(ratings.codes), bool) if statistic.support is None else statistic.support
    if ratings.clusters is not None:
        return float(len(np.unique(ratings.clusters[support])))
    weights = ratings.weights[support]
    return float(weights.sum() ** 2 / (weights**2).sum())


def score_interval(
    sums: np.ndarray,
    evaluate: Callable[[np.ndarray], np.ndarray],
    estimate: float,
    plan: IntervalPlan,
    *,
    most: float,
    room: float,
    low: float = -1.0,
) -> tuple[float, float]:
    """Return Wilson's score interval on [low, 1] at the effective number of units.

    The coefficient is put on u = (estimate − low) / (1 − low); the effective number of units is
    u (1 − u) over its jackknife variance. Wilson (1927), *Journal of the American Statistical
    Association* 22; the effective size after Korn and Graubard (1998), *Survey Methodology* 24.
    With two coders and two equally common categories it is the interval of the share of agreeing
    pairs.

    Where that variance is zero, as with perfect agreement, it is Wilson's interval for the share of
    agreeing units (`most` in number), put on the coefficient's scale by `room` = 1 − p_e, since
    perfect agreement on a rare category proves little.

    A t quantile is used with clusters and a normal one without, as measured.
    """
    groups = len(sums)
    if groups < 2:
        return NAN, NAN
    level = (1 + plan.confidence) / 2
    quantile = float(stats.t.ppf(level, groups - 1) if plan.clustered else stats.norm.ppf(level))
    left_out = jackknife_values(sums, evaluate)
    left_out = left_out[~np.isnan(left_out)]
    spread = float(np.sum((left_out - left_out.mean()) ** 2)) if left_out.size else 0.0
    variance = (groups - 1) / groups * spread / (1 - low) ** 2
    u = (estimate - low) / (1 - low)
    if variance > 1e-15 and 1e-12 < u < 1 - 1e-12:
        size = u * (1 - u) / variance
    else:
        size = max((most + quantile**2) * room * (1 - low) - quantile**2, 0.05)
    shrink = quantile**2 / size
    middle = (u + shrink / 2) / (1 + shrink)
    half = quantile / (1 + shrink) * np.sqrt(max(u * (1 - u), 0) / size + shrink / (4 * size))
    return low + (1 - low) * float(middle - half), low + (1 - low) * float(middle + half)


def bootstrap_draws(
    sums: np.ndarray,
    evaluate: Callable[[np.ndarray], np.ndarray],
    n_boot: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the coefficient in `n_boot` resamples of the rows of `sums` with replacement."""
    groups = len(sums)

    def draw(start: int, stop: int) -> np.ndarray:
        size = stop - start
        picked = generator.integers(groups, size=(size, groups))
        picked += np.arange(size)[:, None] * groups
        times = np.bincount(picked.ravel(), minlength=size * groups).reshape(size, groups)
        return evaluate(times.astype(float) @ sums)

    return _in_chunks(n_boot, groups, draw, extra=sums.shape[1])


def bootstrap_interval(
    sums: np.ndarray,
    evaluate: Callable[[np.ndarray], np.ndarray],
    estimate: float,
    plan: IntervalPlan,
) -> tuple[float, float, float, list[str]]:
    """Return standard error, ends of the BCa interval (Efron 1987) and notes.

    Draws in which the coefficient is undefined are left out and counted in a note.
    """
    if len(sums) < 2:
        return NAN, NAN, NAN, ["One unit or cluster cannot be resampled."]
    draws = bootstrap_draws(sums, evaluate, plan.n_boot, plan.generator)
    notes = []
    undefined = int(np.isnan(draws).sum())
    if undefined:
        notes.append(
            f"No value was defined in {undefined} of {len(draws)} draws; they are left out."
        )
    draws = draws[~np.isnan(draws)]
    if len(draws) < 100 or np.ptp(draws) < 1e-12:
        words = "All draws are alike, so the bootstrap gives no interval; use interval='score'."
        return NAN, NAN, NAN, [*notes, words]
    left_out = jackknife_values(sums, evaluate)
    skew = np.nan_to_num(np.nanmean(left_out) - left_out)
    scale = np.sum(skew**2) ** 1.5
    acceleration = float(np.sum(skew**3) / (6 * scale)) if scale > 0 else 0.0
    below = (np.sum(draws < estimate - 1e-12) + np.sum(draws <= estimate + 1e-12)) / 2
    bias = float(stats.norm.ppf(np.clip(below / len(draws), 1e-6, 1 - 1e-6)))
    z = stats.norm.ppf([(1 - plan.confidence) / 2, (1 + plan.confidence) / 2])
    shifted = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
    ends = np.quantile(draws, np.clip(shifted, 0, 1))
    return float(draws.std(ddof=1)), float(ends[0]), float(ends[1]), notes


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
        agreed, paired = pair_agreement(ratings.counts, np.eye(len(ratings.categories)))
        described["observed"] = float(ratings.weights @ agreed / (ratings.weights @ paired))
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
    counts = ratings.counts[paired]
    modal = int(counts.sum(axis=0).argmax())
    rare = int((counts.sum(axis=1) - counts[:, modal] >= 2).sum())
    if rare_matters and rare < FEW_RARE_UNITS:
        notes.append(
            f"Two coders chose anything but the most common category in only {rare} units; the "
            f"interval is not to be trusted (it covers less often than its level says)."
        )
    return notes
