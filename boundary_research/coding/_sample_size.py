"""How many narratives to code for an interval of a wanted width."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from boundary_research._checks import DataError, check_choice, check_fraction

TARGETS = ("prevalence", "odds_ratio", "alpha", "kappa")
FEW = 10  # expected counts below which a normal interval is not to be trusted


@dataclass(frozen=True)
class SamplePlan:
    """How many narratives to code, and what that number gives.

    Attributes
    ----------
    target : str
    n : int
        Narratives to code (by every coder, for alpha and kappa).
    half_width : float
        Half-width to expect with `n`; for an odds ratio, of its logarithm.
    std_error : float
        Standard error to expect with `n`.
    n_present : float
        Narratives with the category to expect among `n`.
    conf_level : float
    note : str
        In words, what to be careful with; empty if nothing.
    """

    target: str
    n: int
    half_width: float
    std_error: float
    n_present: float
    conf_level: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, for a row of a table."""
        return asdict(self)


def plan_sample(
    target: str,
    half_width: float,
    *,
    prevalence: float,
    n_total: int | None = None,
    correlation: float = 0.0,
    odds_ratio: float = 1.0,
    exposed: float = 0.5,
    agreement: float = 0.8,
    n_coders: int = 2,
    design_effect: float = 1.0,
    conf_level: float = 0.95,
) -> SamplePlan:
    """Return how many narratives to code for a half-width of `half_width`.

    Parameters
    ----------
    target : {"prevalence", "odds_ratio", "alpha", "kappa"}
        What the interval is for.
    half_width : float
        Half the length of the interval. For an odds ratio that of its logarithm: the interval runs
        from OR / exp(w) to OR · exp(w), so ``math.log(1.5)`` is "within a factor of 1.5".
    prevalence : float
        Expected share of narratives with the category; for an odds ratio, among the unexposed.
    n_total : int, optional
        Size of the population that the sample is to describe, for the finite-population correction
        (prevalence only). Without it the population is taken as large.
    correlation : float
        Correlation of a model's predictions of all narratives with the gold codes (prevalence
        only); 0 plans without a model.
    odds_ratio, exposed : float
        Expected odds ratio, and share of narratives that are exposed.
    agreement : float
        Expected alpha or kappa, for these targets.
    n_coders : int
        Coders of each narrative, for these targets.
    design_effect : float
        Factor on the variance (clustering by agency, unequal probabilities).
    conf_level : float

    Returns
    -------
    SamplePlan

    Raises
    ------
    DataError
        If an argument is out of range, or no sample of `n_total` is enough.

    Notes
    -----
    Prevalence: (1 - ρ²) p (1 - p) (1/n - 1/N), times N / (N - 1) for a finite population (Cochran
    1977, *Sampling Techniques*, equations 3.8 and 7.29, the latter for the regression estimator).
    Odds ratio: variance of its logarithm 1 / (n x p₁ (1 - p₁)) + 1 / (n (1 - x) p₀ (1 - p₀))
    (Woolf 1955, *Annals of Human Genetics* 19). Alpha and kappa: the linearised variance of the
    intraclass kappa for coders with one marginal distribution, which with two coders is that of
    Bloch and Kraemer (1989, *Biometrics* 45), (1 - κ)[(1 - κ)(1 - 2κ) + κ(2 - κ) / (2 p (1 - p))];
    with more, counts of presences are taken as beta-binomial. A design-based interval corrected by
    a model from a pilot is planned by `boundary_research.inference.planning.plan_double_coding`.

    Examples
    --------
    A share near one half, in a large and in a small population, and agreement on a rare category:

    >>> plan_sample("prevalence", 0.05, prevalence=0.5).n
    385
    >>> plan_sample("prevalence", 0.05, prevalence=0.5, n_total=1000).n
    278
    >>> plan_sample("alpha", 0.1, prevalence=0.1, agreement=0.8).n
    401
    """
    check_choice(target, TARGETS, name="target")
    half_width = _positive(half_width, name="half_width")
    p = check_fraction(prevalence, name="prevalence")
    conf_level = check_fraction(conf_level, name="conf_level")
    effect = _positive(design_effect, name="design_effect")
    z = float(stats.norm.ppf(0.5 + conf_level / 2))
    wanted = (half_width / z) ** 2
    inverse_total, note, share = 0.0, "", p
    if target == "prevalence":
        rho = _correlation(correlation)
        unit = effect * p * (1 - p) * (1 - rho**2)
        if n_total is not None:
            if n_total < 2:
                raise DataError(f"n_total must be 2 or more, got {n_total}.")
            unit *= n_total / (n_total - 1)
            inverse_total = 1 / n_total
    elif target == "odds_ratio":
        x = check_fraction(exposed, name="exposed")
        ratio = _positive(odds_ratio, name="odds_ratio")
        p1 = ratio * p / (1 - p + ratio * p)
        unit = effect * (1 / (x * p1 * (1 - p1)) + 1 / ((1 - x) * p * (1 - p)))
        share = x * p1 + (1 - x) * p
    else:
        unit = effect * agreement_variance(agreement, p, n_coders)
    n = max(2, math.ceil(1 / (wanted / unit + inverse_total) - 1e-9)) if unit else 2
    if n_total is not None and n > n_total:
        raise DataError(f"{n} narratives are needed, and n_total is {n_total}. Widen half_width.")
    error = math.sqrt(max(unit * (1 / n - inverse_total), 0.0))
    cells = [n * share, n * (1 - share)]
    if target == "odds_ratio":
        x = exposed
        cells = [n * x * p1, n * x * (1 - p1), n * (1 - x) * p, n * (1 - x) * (1 - p)]
    if min(cells) < FEW:
        note = (
            f"About {min(cells):.1f} narratives are expected in the smallest group; below {FEW} a "
            f"normal interval is not to be trusted. Draw more, or oversample predicted presence "
            f"(draw_two_phase)."
        )
    return SamplePlan(target, n, z * error, error, n * share, conf_level, note)


def _positive(value: float, *, name: str) -> float:
    if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value > 0):
        raise DataError(f"{name} must be a number above 0.")
    return float(value)


def _correlation(value: float) -> float:
    if not -1 < value < 1:
        raise DataError(f"correlation must lie in (-1, 1), got {value:g}.")
    return float(value)


def agreement_variance(kappa: float, p: float, n_coders: int) -> float:
    """Return n times the variance of alpha when coders share one marginal distribution.

    1 - α is D_o / D_e; with r of m coders saying present, D_o is the mean of
    d_r = 2 r (m - r) / (m (m - 1)) and D_e = 2 p (1 - p). The variance is that of the influence
    of one narrative, -(d_r - D_o) / D_e + D_o / D_e² · 2 (1 - 2p)(r/m - p).
    """
    kappa = check_fraction(kappa, name="agreement", zero=True, one=True)
    if isinstance(n_coders, bool) or not isinstance(n_coders, int) or n_coders < 2:
        raise DataError("n_coders must be a whole number, 2 or more.")
    m = n_coders
    r = np.arange(m + 1)
    if m == 2:
        both = p * p + kappa * p * (1 - p)
        chance = np.array([1 - 2 * p + both, 2 * (p - both), both])
    elif kappa == 0:
        chance = stats.binom.pmf(r, m, p)
    elif kappa == 1:
        chance = np.where(r == 0, 1 - p, np.where(r == m, p, 0.0))
    else:
        spread = (1 - kappa) / kappa
        chance = stats.betabinom.pmf(r, m, p * spread, (1 - p) * spread)
    disagreement = 2 * r * (m - r) / (m * (m - 1))
    observed, expected = chance @ disagreement, 2 * p * (1 - p)
    influence = -(disagreement - observed) / expected + (
        observed / expected**2 * 2 * (1 - 2 * p) * (r / m - p)
    )
    return float(chance @ influence**2)
