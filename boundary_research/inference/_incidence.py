"""Rates of incidents where exposure is known, and words for what is estimated where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import DataError, check_columns, check_fraction
from boundary_research.inference._counts import check_min_cell, held_back

ESTIMANDS = {
    "share": "share of reported incidents",
    "difference": "difference in the share of reported incidents (share points)",
    "odds ratio": "odds ratio of being in the category, among reported incidents",
    "rate": "reported incidents per unit of exposure",
    "rate ratio": "ratio of rates of reported incidents",
    "risk": "reported incidents per person at risk",
    "risk ratio": "ratio of risks of a reported incident",
}
_NEED_DENOMINATORS = ("rate", "rate ratio", "risk", "risk ratio")
_WHY = (
    "Incident reports are case-only data: they say what kinds of incidents are reported, not how "
    "often incidents happen."
)


def describe_estimand(measure: str, *, exposure: Any = None) -> str:
    """Return what a number means, in words for tables and figures.

    Parameters
    ----------
    measure : {"share", "difference", "odds ratio", "rate", "rate ratio", "risk", "risk ratio"}
    exposure : optional
        The denominators (practitioners, practitioner-years, client contacts). Rates and risks are
        refused without them.

    Raises
    ------
    DataError
        If `measure` is a rate or a risk and there is no exposure.

    Examples
    --------
    >>> describe_estimand("share")
    'share of reported incidents'
    """
    if measure not in ESTIMANDS:
        raise DataError(f"measure {measure!r} not found. Available: {', '.join(ESTIMANDS)}.")
    if measure in _NEED_DENOMINATORS and exposure is None:
        raise DataError(
            f"A {measure} cannot be stated without denominators. {_WHY} Give the exposure behind "
            f"each group (practitioners, practitioner-years or contacts), or speak of the "
            f"{ESTIMANDS['share']}."
        )
    return ESTIMANDS[measure]


def garwood_interval(events: Any, conf_level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return exact limits of Poisson means (Garwood 1936, Biometrika 28:437-442).

    Examples
    --------
    >>> low, high = garwood_interval([0, 10])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 4.795], [3.689, 18.39])
    """
    count = np.asarray(events, dtype=float)
    alpha = 1 - conf_level
    low = np.where(count > 0, stats.chi2.ppf(alpha / 2, 2 * np.maximum(count, 1)) / 2, 0.0)
    return low, stats.chi2.ppf(1 - alpha / 2, 2 * count + 2) / 2


def _rate_ratio(
    events: float, exposure: float, events_0: float, exposure_0: float, conf_level: float
) -> tuple[float, float, float, float]:
    """Return rate ratio, exact limits and p-value, given the total (Clopper and Pearson 1934)."""
    total = int(events + events_0)
    if total == 0:
        return np.nan, 0.0, np.inf, 1.0
    scale = exposure_0 / exposure
    ratio = np.inf if events_0 == 0 else events / events_0 * scale
    alpha = (1 - conf_level) / 2
    low = 0.0 if events == 0 else float(stats.beta.ppf(alpha, events, events_0 + 1))
    high = 1.0 if events_0 == 0 else float(stats.beta.ppf(1 - alpha, events + 1, events_0))
    share = exposure / (exposure + exposure_0)
    tails = stats.binom.cdf(events, total, share), stats.binom.sf(events - 1, total, share)
    limits = [np.inf if p == 1 else p / (1 - p) * scale for p in (low, high)]
    return float(ratio), limits[0], limits[1], min(1.0, 2 * float(min(tails)))


def _exposure_of(exposure: Any, by: str) -> pd.Series:
    if exposure is None:
        describe_estimand("rate")
    if isinstance(exposure, pd.DataFrame):
        check_columns(exposure.columns, [by, "exposure"], source="table exposure")
        exposure = exposure.groupby(by, observed=True)["exposure"].sum()
    series = pd.Series(exposure, dtype=float)
    series.index = series.index.astype(str)
    if series.index.has_duplicates or not (np.isfinite(series) & (series > 0)).all():
        raise DataError(f"exposure must be one number above 0 for each level of {by}.")
    return series


def _counts(incidents: pd.DataFrame, by: str, exposure: pd.Series) -> pd.Series:
    level = incidents[by].astype(object).where(incidents[by].notna(), "not_stated").astype(str)
    counts = level.value_counts()
    left = counts.drop(index=[*exposure.index, "not_stated"], errors="ignore")
    if len(left):
        raise DataError(
            f"exposure has no number for {by} = {left.index[0]!r} ({int(left.iloc[0])} incidents). "
            f"Give one for each level, or leave these incidents out."
        )
    return counts.reindex(exposure.index, fill_value=0)


def incidence_rates(
    incidents: pd.DataFrame,
    exposure: pd.DataFrame | pd.Series | Mapping[str, float] | None,
    *,
    by: str,
    reference: str | None = None,
    shares: pd.DataFrame | None = None,
    per: float = 1000.0,
    conf_level: float = 0.95,
    min_cell: int = 5,
) -> pd.DataFrame:
    """Return rates of reported incidents by group, and their ratios to a reference group.

    Parameters
    ----------
    incidents : pandas.DataFrame
        Reported incidents, with the column `by`.
    exposure : mapping or Series of level to exposure, or pandas.DataFrame
        Practitioner-years, say, behind the incidents of each level; a table has the columns `by`
        and `exposure`, and its rows are summed. Refused without it.
    by : str
    reference : str, optional
        The level that others are compared with; by default the one with the largest exposure.
    shares : pandas.DataFrame, optional
        Of ``prevalence(…, by=by)``: then there are also rows for each category and estimator, with
        the number of incidents estimated as share times count.
    per : float
        Units of exposure that a rate is for.
    conf_level : float
    min_cell : int
        Groups of fewer incidents are held back, and one more where a total would give them away.

    Returns
    -------
    pandas.DataFrame
        `term`, `category` ("all" for all incidents), `estimator` ("count" for all incidents),
        `group`, `reference`, `events`, `exposure`, `rate`, `conf_low`, `conf_high` (per `per`),
        `rate_ratio`, `rate_ratio_low`, `rate_ratio_high`, `p_value`; the ratio is missing in the
        reference group. ``attrs["n_not_stated"]`` counts incidents that enter no rate because `by`
        is not stated.

    Raises
    ------
    DataError
        If exposure is missing, or lacks a level.

    Notes
    -----
    Counts: exact Poisson limits (Garwood 1936); ratios of counts by the conditional binomial with
    Clopper-Pearson limits and twice the smaller tail as p-value (Przyborowski and Wilenski 1940).
    Categories: the variance of the logarithm of share times count is (SE / share)² + 1 / count
    (delta method, the count a Poisson variable), limits on the log scale.

    Examples
    --------
    >>> reports = pd.DataFrame({"setting": ["rural"] * 41 + ["urban"] * 15})
    >>> rates = incidence_rates(reports, {"rural": 28010, "urban": 19017}, by="setting",
    ...                         reference="urban")
    >>> rates[["group", "rate", "rate_ratio", "rate_ratio_low"]].round(2).values.tolist()
    [['rural', 1.46, 1.86, 1.01], ['urban', 0.79, nan, nan]]
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    person_time = _exposure_of(exposure, by)
    check_columns(incidents.columns, [by], source="table incidents")
    counts = _counts(incidents, by, person_time)
    if reference is None:
        reference = str(person_time.idxmax())
    if reference not in person_time.index:
        raise DataError(
            f"reference {reference!r} not found in {by}. Available: {', '.join(person_time.index)}."
        )
    low, high = garwood_interval(counts, conf_level)
    table = pd.DataFrame(
        {
            "category": "all",
            "estimator": "count",
            "group": person_time.index,
            "events": counts.to_numpy(dtype=float),
            "exposure": person_time.to_numpy(),
        }
    )
    table["rate"], table["conf_low"], table["conf_high"] = (
        v / table["exposure"] * per for v in (table["events"], low, high)
    )
    ratios = [
        (np.nan,) * 4
        if group == reference
        else _rate_ratio(
            counts[group],
            person_time[group],
            counts[reference],
            person_time[reference],
            conf_level,
        )
        for group in person_time.index
    ]
    columns = ["rate_ratio", "rate_ratio_low", "rate_ratio_high", "p_value"]
    table[columns] = np.array(ratios, dtype=float)
    if shares is not None:
        parts = _category_rates(shares, by, counts, person_time, reference, per, conf_level)
        table = pd.concat([table, parts], ignore_index=True)
    hidden = counts.index[held_back(counts, check_min_cell(min_cell))]
    numbers = ["events", "rate", "conf_low", "conf_high"]
    table.loc[table["group"].isin(hidden), [*numbers, *columns]] = np.nan
    if reference in hidden:
        table[columns] = np.nan
    table.insert(0, "term", by + "[T." + table["group"] + "]")
    table.loc[table["group"] == reference, "term"] = by
    table.insert(4, "reference", reference)
    table.attrs["estimand"] = f"reported incidents per {per:g} units of exposure"
    table.attrs["n_not_stated"] = int(len(incidents) - counts.sum())
    return table


def _category_rates(
    shares: pd.DataFrame,
    by: str,
    counts: pd.Series,
    exposure: pd.Series,
    reference: str,
    per: float,
    conf_level: float,
) -> pd.DataFrame:
    needed = [by, "category", "estimator", "estimate", "std_error"]
    check_columns(shares.columns, needed, source="table shares")
    group = shares[by].astype(str)
    rows = shares[group.isin(exposure.index)]
    group = rows[by].astype(str)
    share = rows["estimate"].to_numpy(dtype=float)
    positive = np.where(share > 0, share, np.nan)
    number = counts.reindex(group).to_numpy(dtype=float)
    time = exposure.reindex(group).to_numpy()
    rate = positive * number / time
    variance = (rows["std_error"].to_numpy(dtype=float) / positive) ** 2 + 1 / np.maximum(number, 1)
    table = rows[["category", "estimator"]].reset_index(drop=True)
    table["group"] = group.to_numpy()
    table["events"], table["exposure"] = share * number, time
    z = stats.norm.ppf(0.5 + conf_level / 2)
    table["rate"] = rate * per
    table["conf_low"] = table["rate"] * np.exp(-z * np.sqrt(variance))
    table["conf_high"] = table["rate"] * np.exp(z * np.sqrt(variance))
    keyed = table.assign(log_rate=np.log(rate), variance=variance)
    base = keyed[keyed["group"] == reference].set_index(["category", "estimator"])
    matched = base.reindex(pd.MultiIndex.from_frame(table[["category", "estimator"]]))
    log_ratio = keyed["log_rate"].to_numpy() - matched["log_rate"].to_numpy()
    error = np.sqrt(keyed["variance"].to_numpy() + matched["variance"].to_numpy())
    log_ratio = np.where(table["group"] == reference, np.nan, log_ratio)
    table["rate_ratio"] = np.exp(log_ratio)
    table["rate_ratio_low"] = np.exp(log_ratio - z * error)
    table["rate_ratio_high"] = np.exp(log_ratio + z * error)
    table["p_value"] = 2 * stats.norm.sf(np.abs(log_ratio / error))
    return table
