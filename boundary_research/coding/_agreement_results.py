"""What an agreement coefficient returns, and what may be said of its size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import DataError, check_choice

NAN = float("nan")

# Level names with the lower end of each; a level ends where the next one up begins.
SCALES: dict[str, list[tuple[str, float]]] = {
    # Landis and Koch (1977), Biometrics 33, p. 165
    "landis_koch": [
        ("poor", -1.0),
        ("slight", 0.0),
        ("fair", 0.2),
        ("moderate", 0.4),
        ("substantial", 0.6),
        ("almost perfect", 0.8),
    ],
    # Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, p. 604
    "fleiss": [("poor", -1.0), ("fair to good", 0.4), ("excellent", 0.75)],
    # Altman (1991), Practical Statistics for Medical Research, p. 404
    "altman": [
        ("poor", -1.0),
        ("fair", 0.2),
        ("moderate", 0.4),
        ("good", 0.6),
        ("very good", 0.8),
    ],
    # Cicchetti (1994), Psychological Assessment 6, p. 286
    "cicchetti": [("poor", -1.0), ("fair", 0.4), ("good", 0.6), ("excellent", 0.75)],
    # Krippendorff (2004), Content Analysis, p. 241
    "krippendorff": [("not reliable", -1.0), ("tentative", 0.667), ("reliable", 0.8)],
}


@dataclass(frozen=True)
class AgreementResult:
    """One agreement coefficient with its uncertainty and what it has to be read beside.

    Attributes
    ----------
    coefficient : str
        What was computed, with its metric, weights or distance.
    estimate : float
        NaN where no value is defined; `note` then says why.
    std_error : float
        Analytic standard error, linearised as published; that of the draws for the bootstrap.
    conf_low, conf_high : float
        Interval at level `confidence`.
    confidence : float
        Level of the interval.
    interval : str
        How the interval was made.
    n_units : int
        Units with two ratings or more.
    n_single : int
        Units with one rating, which show no agreement.
    n_coders : int
        Coders with a rating.
    n_ratings : int
        Ratings in all.
    n_clusters : int or None
        Clusters, where given.
    observed : float
        Share of pairs of coders of a unit in the same category, averaged over units.
    prevalence : float
        Binary ratings: share of the second category among all ratings of a unit, averaged.
    prevalence_index : float
        Binary ratings: absolute difference between the shares of the two categories (Byrt and
        others 1993, *Journal of Clinical Epidemiology* 46).
    bias_index : float
        Binary ratings: highest minus lowest share of the second category among coders; with two
        coders of all units, Byrt's |b − c| / n.
    null_std_error, z : float
        Standard error under no agreement, and the test statistic, where published (Fleiss).
    note : str
        In words: why there is no value, or why an interval is not to be trusted. Empty if all is
        well.
    """

    coefficient: str
    estimate: float
    std_error: float = NAN
    conf_low: float = NAN
    conf_high: float = NAN
    confidence: float = 0.95
    interval: str = "score"
    n_units: int = 0
    n_single: int = 0
    n_coders: int = 0
    n_ratings: int = 0
    n_clusters: int | None = None
    observed: float = NAN
    prevalence: float = NAN
    prevalence_index: float = NAN
    bias_index: float = NAN
    null_std_error: float = NAN
    z: float = NAN
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, for a row of a table."""
        return asdict(self)


def benchmark_probabilities(
    result: AgreementResult, scale: str = "landis_koch", *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the probability of each level of a benchmark scale, by Gwet's method.

    The probability that the coefficient lies in a level is that of a normal distribution with the
    estimate's standard error, truncated to [−1, 1]. Levels are then added up from the highest; the
    highest level whose cumulative probability reaches `confidence` is the one that may be claimed
    (Gwet 2014, *Handbook of Inter-Rater Reliability*, section 6.4). Perfect agreement has a
    standard error of zero, however few the units; the one that its interval implies then takes its
    place.

    Parameters
    ----------
    result : AgreementResult
        A coefficient with a standard error.
    scale : {"landis_koch", "fleiss", "altman", "cicchetti", "krippendorff"}
        The benchmark scale.
    confidence : float
        Cumulative probability that a level has to reach.

    Returns
    -------
    pandas.DataFrame
        From the highest level to the lowest: `level`, `low`, `high`, `probability`, `cumulative`
        and `claimed` (true for one level). All NaN where the coefficient is undefined.

    Raises
    ------
    DataError
        If the scale is unknown or `result` is not an agreement result.

    Examples
    --------
    >>> result = AgreementResult("alpha", estimate=0.70, std_error=0.05)
    >>> table = benchmark_probabilities(result)
    >>> columns = ["level", "probability", "cumulative", "claimed"]
    >>> print(table[columns].round(3).to_string(index=False))
             level  probability  cumulative  claimed
    almost perfect        0.023       0.023    False
       substantial        0.954       0.977     True
          moderate        0.023       1.000    False
              fair        0.000       1.000    False
            slight        0.000       1.000    False
              poor        0.000       1.000    False
    """
    check_choice(scale, SCALES, name="scale")
    if not isinstance(result, AgreementResult):
        raise DataError(
            f"benchmark_probabilities needs the result of a coefficient (krippendorff_alpha and "
            f"others), got {type(result).__name__}."
        )
    levels = SCALES[scale][::-1]
    low = np.array([start for _, start in levels])
    high = np.concatenate([[1.0], low[:-1]])
    std_error = result.std_error
    if std_error < 1e-12 and not np.isnan(result.conf_low):
        quantile = float(stats.norm.ppf((1 + result.confidence) / 2))
        std_error = (result.conf_high - result.conf_low) / quantile
    if np.isnan(result.estimate) or np.isnan(std_error):
        probability = np.full(len(low), np.nan)
    elif std_error < 1e-12:
        inside = (result.estimate > low) & (result.estimate <= high)
        probability = inside.astype(float)
    else:
        ends = np.vstack([high, low, np.ones(len(low)), -np.ones(len(low))])
        at_high, at_low, at_one, at_minus = stats.norm.cdf((ends - result.estimate) / std_error)
        probability = (at_high - at_low) / (at_one - at_minus)
    cumulative = np.cumsum(probability)
    reached = np.nan_to_num(cumulative) >= confidence
    claimed = reached & (np.cumsum(reached) == 1)
    return pd.DataFrame(
        {
            "level": [name for name, _ in levels],
            "low": low,
            "high": high,
            "probability": probability,
            "cumulative": cumulative,
            "claimed": claimed,
        }
    )
