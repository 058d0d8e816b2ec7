"""How different reporting would have to be between groups to explain an association away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from boundary_research._checks import DataError, check_columns, check_fraction

_KEYS = ["term", "category", "estimator"]
_MEASURES = {"odds_ratio": "odds ratio", "rate_ratio": "rate ratio", "ratio": "ratio of shares"}
REMAINS = "the association remains"  # the interval leaves out 1, on the side of the estimate
UNCLEAR = "no clear association"  # the interval takes in 1
REVERSED = "the association is reversed"  # the interval leaves out 1, on the other side
MEANING = {
    "odds ratio": (
        "reporting of incidents of the category relative to the other incidents, at the exposed "
        "level divided by the same at the reference level"
    ),
    "ratio of shares": (
        "reporting of incidents of the category relative to all incidents, at the exposed level "
        "divided by the same at the reference level"
    ),
    "rate ratio": "reporting at the exposed level divided by reporting at the reference level",
}


def _ratios_of_terms(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return measure, ratio and limits of the rows of a risk-factor or rate table."""
    there = set(estimates.columns)
    columns = [c for c in _MEASURES if {c, f"{c}_low", f"{c}_high"} <= there]
    if not columns:
        raise DataError(
            "estimates has no ratio with limits (odds_ratio, rate_ratio or ratio, each with _low "
            "and _high). Give the table of risk_factors or incidence_rates, or shares by group "
            "with `by`, `exposed` and `reference`."
        )
    column = columns[0]
    kept = [name for name in (*_KEYS, "group", "missing") if name in estimates.columns]
    rows = estimates
    if "term" in rows.columns:
        rows = rows[rows["term"] != "Intercept"]
    table = rows[kept].copy()
    table["measure"] = _MEASURES[column]
    for name, source in (("ratio", ""), ("ratio_low", "_low"), ("ratio_high", "_high")):
        table[name] = rows[f"{column}{source}"].astype(float)
    return table.dropna(subset=["ratio"]).reset_index(drop=True)


def _log_odds(shares: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    share, error = (shares[name].to_numpy(dtype=float) for name in ("estimate", "std_error"))
    inside = (share > 0) & (share < 1)
    share = np.where(inside, share, np.nan)
    return special.logit(share), error / (share * (1 - share))


def _ratios_of_shares(
    estimates: pd.DataFrame, by: str, exposed: Any, reference: Any
) -> pd.DataFrame:
    """Return the odds ratio between two groups of a table of shares, the groups independent."""
    check_columns(
        estimates.columns, [by, *_KEYS[1:], "estimate", "std_error"], source="table estimates"
    )
    levels = list(pd.unique(estimates[by]))
    for name, level in (("exposed", exposed), ("reference", reference)):
        if level not in levels:
            raise DataError(
                f"{name} {level!r} not found in {by}. Available: {', '.join(map(str, levels))}."
            )
    conf_level = float(estimates.attrs.get("conf_level", 0.95))
    first, second = (
        estimates[estimates[by] == level].set_index(_KEYS[1:]) for level in (exposed, reference)
    )
    second = second.reindex(first.index)
    one, one_error = _log_odds(first)
    zero, zero_error = _log_odds(second)
    half = stats.norm.ppf(0.5 + conf_level / 2) * np.hypot(one_error, zero_error)
    table = first.index.to_frame(index=False)
    table.insert(0, "term", f"{by}[{exposed} against {reference}]")
    table["measure"] = "odds ratio"
    table["ratio"] = np.exp(one - zero)
    table["ratio_low"], table["ratio_high"] = np.exp(one - zero - half), np.exp(one - zero + half)
    return table.dropna(subset=["ratio"]).reset_index(drop=True)


def _ratios(estimates: pd.DataFrame, by: str | None, exposed: Any, reference: Any) -> pd.DataFrame:
    if by is None:
        table = _ratios_of_terms(estimates)
    else:
        table = _ratios_of_shares(estimates, by, exposed, reference)
    if table.empty:
        raise DataError("estimates has no ratio to examine: all are missing or held back.")
    low, high = table["ratio_low"].to_numpy(), table["ratio_high"].to_numpy()
    table["tipping_point"] = table["ratio"]
    table["tipping_point_limit"] = np.where(low > 1, low, np.where(high < 1, high, 1.0))
    return table


def _readings(base: pd.DataFrame) -> pd.Series:
    """Return a sentence for each estimate: what it is, and what reporting would make of it."""

    def read(row: pd.Series) -> str:
        numbers = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        text = f"The {row['measure']} is {numbers} if reporting was alike."
        point, limit = f"{row['tipping_point']:.2f}", f"{row['tipping_point_limit']:.2f}"
        if row["tipping_point_limit"] == 1:
            return f"{text} The interval takes in 1, so there is no clear association to explain."
        # A rate ratio has no other incidents in it
        whom = "incidents" if row["measure"] == "rate ratio" else "such incidents, beside others,"
        return (
            f"{text} If {whom} were reported {limit} times as readily at the exposed level as at "
            f"the reference, the association would no longer be clear; at {point} times, reporting "
            f"alone would explain it."
        )

    return base.apply(read, axis=1)


def reporting_tipping_point(
    estimates: pd.DataFrame,
    *,
    by: str | None = None,
    exposed: Any = None,
    reference: Any = None,
    relative_reporting: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return what an association would be if reporting differed between two levels.

    Parameters
    ----------
    estimates : pandas.DataFrame
        Of `risk_factors` (odds ratios, or ratios of shares), of `incidence_rates` (rate ratios), or
        of ``prevalence(…, by=…)``, then with the next three.
    by : str, optional
        Column of the groups in a table of shares.
    exposed, reference : optional
        The two groups. Their shares are compared as an odds ratio with its delta-method interval,
        the groups taken as independent.
    relative_reporting : sequence of float, optional
        Values r > 0 at which to compute; by default 61 values on a log scale, from 1/4 to 4 or
        further where an association is stronger.

    Returns
    -------
    pandas.DataFrame
        One row for each estimate and r: `term`, `category`, `estimator` (where there), `measure`,
        `relative_reporting`, `ratio`, `ratio_low`, `ratio_high` after correction for r;
        `tipping_point`, the r at which the ratio is 1; `tipping_point_limit`, the r nearest to 1 at
        which the interval takes in 1 (1 where it does already); `conclusion` at this r ("the
        association remains", "no clear association", "the association is reversed"); `reading`, a
        sentence on the whole curve. ``attrs["meaning"]`` says what r is for the measure.

    Notes
    -----
    With reporting probabilities S, the observed odds ratio is the true one times
    (S_category,exposed / S_others,exposed) / (S_category,reference / S_others,reference) (Greenland
    and Lash in Rothman, Greenland and Lash, Modern Epidemiology, 3rd ed. 2008, chapter 19; Lash,
    Fox and Fink 2009, chapter 4). That factor is r; dividing by it removes the bias, so the tipping
    point is the observed ratio itself. For a rate ratio r is S_exposed / S_reference. Differences
    that are the same for all kinds of incidents leave an odds ratio as it is, and do not leave a
    rate ratio as it is.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"term": ["rural"], "category": ["a"], "estimator": ["dsl"], "odds_ratio": [1.8],
    ...      "odds_ratio_low": [1.2], "odds_ratio_high": [2.7]}
    ... )
    >>> tipped = reporting_tipping_point(table, relative_reporting=[1, 1.5, 1.8])
    >>> curve = tipped[["relative_reporting", "ratio", "conclusion"]].round(2)
    >>> curve.values.tolist()  # doctest: +NORMALIZE_WHITESPACE
    [[1.0, 1.8, 'the association remains'],
     [1.5, 1.2, 'no clear association'],
     [1.8, 1.0, 'no clear association']]
    >>> tipped[["tipping_point", "tipping_point_limit"]].iloc[0].tolist()
    [1.8, 1.2]
    >>> print(tipped["reading"].iloc[0])
    The odds ratio is 1.80 (1.20 to 2.70) if reporting was alike. If such incidents, beside others,
    were reported 1.20 times as readily at the exposed level as at the reference, the association
    would no longer be clear; at 1.80 times, reporting alone would explain it.
    """
    base = _ratios(estimates, by, exposed, reference)
    if relative_reporting is None:
        extreme = np.exp(np.abs(np.log(base["ratio"])).max())
        reach = max(4.0, 1.5 * float(extreme))
        grid = np.geomspace(1 / reach, reach, 61)
    else:
        grid = np.asarray(relative_reporting, dtype=float)
        if grid.size == 0 or not (np.isfinite(grid) & (grid > 0)).all():
            raise DataError("relative_reporting must hold numbers above 0; 1 is equal reporting.")
    repeated = base.loc[np.repeat(base.index, len(grid))].reset_index(drop=True)
    repeated["relative_reporting"] = np.tile(grid, len(base))
    observed = repeated["ratio"].to_numpy()
    for name in ("ratio", "ratio_low", "ratio_high"):
        repeated[name] = repeated[name] / repeated["relative_reporting"]
    above = observed > 1
    away = np.where(above, repeated["ratio_low"] > 1, repeated["ratio_high"] < 1)
    turned = np.where(above, repeated["ratio_high"] < 1, repeated["ratio_low"] > 1)
    repeated["conclusion"] = np.select([away, turned], [REMAINS, REVERSED], UNCLEAR)
    repeated["reading"] = _readings(base).loc[np.repeat(base.index, len(grid))].to_numpy()
    first = [name for name in repeated.columns if name in (*_KEYS, "group", "missing")]
    numbers = ["ratio", "ratio_low", "ratio_high", "tipping_point", "tipping_point_limit"]
    words = ["conclusion", "reading"]
    table = repeated[[*first, "measure", "relative_reporting", *numbers, *words]]
    table.attrs["meaning"] = MEANING[str(base["measure"].iloc[0])]
    return table


def required_reporting(
    estimates: pd.DataFrame,
    *,
    baseline_reporting: Sequence[float] = (0.05, 0.1, 0.25, 0.5),
    by: str | None = None,
    exposed: Any = None,
    reference: Any = None,
) -> pd.DataFrame:
    """Return the reporting probability at the exposed level that would erase an association.

    Parameters
    ----------
    estimates, by, exposed, reference
        See `reporting_tipping_point`.
    baseline_reporting : sequence of float in (0, 1]
        Probability that an incident is reported at the reference level. Hibbert and others 2023:
        incident systems held a mean of 7.0% of the events that trigger tools found.

    Returns
    -------
    pandas.DataFrame
        `baseline_reporting`, `required` (for the point estimate) and `required_limit` (for the
        limit nearest to 1) beside the columns of the estimate; missing where no probability up to
        1 would do, so that reporting alone cannot explain the association.

    Notes
    -----
    For an odds ratio the comparison incidents are taken to be reported alike at both levels.
    """
    base = _ratios(estimates, by, exposed, reference)
    levels = np.array(
        [check_fraction(p, name="baseline_reporting", one=True) for p in baseline_reporting]
    )
    table = base.loc[np.repeat(base.index, len(levels))].reset_index(drop=True)
    table["baseline_reporting"] = np.tile(levels, len(base))
    for name, source in (("required", "tipping_point"), ("required_limit", "tipping_point_limit")):
        needed = table["baseline_reporting"] * table[source]
        table[name] = needed.where(needed <= 1)
    return table
