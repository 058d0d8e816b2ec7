"""Intervals for agreement coefficients: score, Wald and bootstrap.

The default is a score interval because it was the one that kept its level when measured
(`benchmarks/reliability_coverage.py`, 1,000 runs a cell): with 50 or 200 narratives, 2 or 4 coders,
prevalence .3 or .5 and coefficients of .48 to .92, score intervals covered 94.3–97.1% and Wald
intervals on the published standard errors 86.0–95.6%. With 50 narratives and a prevalence of .05,
kappa and alpha intervals of either kind covered as little as 78–88%; the note then warns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from scipy import sparse, stats

from boundary_research._checks import (
    DataError,
    check_choice,
    check_fraction,
    check_random_state,
)
from boundary_research.coding._agreement_results import NAN

INTERVALS = ("score", "wald", "bootstrap")
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


def _in_chunks(
    rows: int, columns: int, compute: Callable[[int, int], np.ndarray], *, extra: int = 0
) -> np.ndarray:
    step = max(1, _CHUNK_CELLS // max(columns + extra, 1))
    parts = [compute(start, min(start + step, rows)) for start in range(0, rows, step)]
    return np.concatenate(parts)


def jackknife_values(
    sums: Any,
    evaluate: Callable[[np.ndarray], np.ndarray],
    leave_out: Callable[[Any], np.ndarray] | None = None,
) -> np.ndarray:
    """Return the coefficient without each unit (or cluster), shape (groups,).

    Parameters
    ----------
    sums : ndarray or sparse array, shape (groups, k)
        What each group adds to the features.
    evaluate, leave_out : callable
        From sums of features to the coefficient; `leave_out` is a shorter way for all groups.
    """
    if leave_out is not None:
        return leave_out(sums)
    totals = np.asarray(sums.sum(axis=0))

    def without(start: int, stop: int) -> np.ndarray:
        part = sums[start:stop]
        return evaluate(totals - (part.toarray() if sparse.issparse(part) else part))

    return _in_chunks(sums.shape[0], sums.shape[1], without)


def score_interval(
    left_out: np.ndarray,
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
    groups = len(left_out)
    if groups < 2:
        return NAN, NAN
    level = (1 + plan.confidence) / 2
    quantile = float(stats.t.ppf(level, groups - 1) if plan.clustered else stats.norm.ppf(level))
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
    sums: Any,
    evaluate: Callable[[np.ndarray], np.ndarray],
    n_boot: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the coefficient in `n_boot` resamples of the rows of `sums` with replacement."""
    groups = sums.shape[0]

    def draw(start: int, stop: int) -> np.ndarray:
        size = stop - start
        picked = generator.integers(groups, size=(size, groups))
        picked += np.arange(size)[:, None] * groups
        times = np.bincount(picked.ravel(), minlength=size * groups).reshape(size, groups)
        return evaluate(times.astype(float) @ sums)

    return _in_chunks(n_boot, groups, draw, extra=sums.shape[1])


def bootstrap_interval(
    sums: Any,
    evaluate: Callable[[np.ndarray], np.ndarray],
    estimate: float,
    plan: IntervalPlan,
    *,
    leave_out: Callable[[Any], np.ndarray] | None = None,
) -> tuple[float, float, float, list[str]]:
    """Return standard error, ends of the BCa interval (Efron 1987) and notes.

    Draws in which the coefficient is undefined are left out and counted in a note.
    """
    if sums.shape[0] < 2:
        return NAN, NAN, NAN, []
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
    left_out = jackknife_values(sums, evaluate, leave_out)
    skew = np.nan_to_num(np.nanmean(left_out) - left_out)
    scale = np.sum(skew**2) ** 1.5
    acceleration = float(np.sum(skew**3) / (6 * scale)) if scale > 0 else 0.0
    below = (np.sum(draws < estimate - 1e-12) + np.sum(draws <= estimate + 1e-12)) / 2
    bias = float(stats.norm.ppf(np.clip(below / len(draws), 1e-6, 1 - 1e-6)))
    z = stats.norm.ppf([(1 - plan.confidence) / 2, (1 + plan.confidence) / 2])
    shifted = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
    ends = np.quantile(draws, np.clip(shifted, 0, 1))
    return float(draws.std(ddof=1)), float(ends[0]), float(ends[1]), notes
