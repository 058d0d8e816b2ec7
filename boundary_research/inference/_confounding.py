"""E-values: how strong unmeasured confounding would have to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice

_COLUMNS = {"odds_ratio": "odds ratio", "rate_ratio": "rate ratio", "ratio": "risk ratio"}


def _e_value(ratio: np.ndarray) -> np.ndarray:
    above = np.where(ratio < 1, 1 / ratio, ratio)
    return above + np.sqrt(above * (above - 1))


def e_value(
    estimate: Any,
    conf_low: Any = None,
    conf_high: Any = None,
    *,
    measure: str | None = None,
    common_outcome: bool = True,
) -> pd.DataFrame:
    """Return E-values of ratios and of the confidence limits nearest to 1.

    The E-value is the least strength, as a risk ratio, that an unmeasured confounder would need
    with both the exposure and the outcome, given the measured ones, to explain the ratio away.

    Parameters
    ----------
    estimate : float, array, or pandas.DataFrame
        Ratios above 0; or a table with `odds_ratio`, `rate_ratio` or `ratio` and limits.
    conf_low, conf_high : float or array, optional
        Limits of the ratios. Not with a table.
    measure : {"odds ratio", "risk ratio", "rate ratio"}, optional
        What the numbers are; must be given unless a table says it.
    common_outcome : bool
        For odds ratios of outcomes that more than about 15% have: the square root of the odds ratio
        stands in for the risk ratio. With False the odds ratio is taken as it is.

    Returns
    -------
    pandas.DataFrame
        `measure`, `ratio`, `ratio_low`, `ratio_high`, `e_value`, `e_value_limit` (1 where the
        interval takes in 1; missing without limits), after the `term`, `category`, `estimator` of
        a table.

    Notes
    -----
    RR + sqrt(RR (RR - 1)) for RR >= 1, else for 1 / RR (VanderWeele and Ding 2017, Ann Intern Med
    167:268-274, table 2; the square root there, and VanderWeele 2017, Biometrics 73:1-6). It
    speaks of confounding only: not of reporting, for which see `reporting_tipping_point`.

    Examples
    --------
    >>> e_value(3.9, 1.8, 8.7, measure="risk ratio")[["e_value", "e_value_limit"]].round(2)
       e_value  e_value_limit
    0     7.26            3.0
    """
    keys = pd.DataFrame()
    if isinstance(estimate, pd.DataFrame):
        if conf_low is not None or conf_high is not None:
            raise DataError("e_value: give limits as columns of the table, not as arguments.")
        column = next((name for name in _COLUMNS if name in estimate.columns), None)
        if column is None:
            raise DataError(
                f"e_value: no column {', '.join(map(repr, _COLUMNS))} in the table. Give a table "
                f"of ratios, such as that of risk_factors."
            )
        rows = estimate
        if "term" in rows.columns:
            rows = rows[rows["term"] != "Intercept"]
        rows = rows.reset_index(drop=True)
        kept = [k for k in ("term", "category", "estimator", "group", "missing") if k in rows]
        keys, measure = rows[kept], measure or _COLUMNS[column]
        missing = pd.Series(np.nan, index=rows.index)
        estimate = rows[column]
        conf_low, conf_high = (rows.get(f"{column}_{end}", missing) for end in ("low", "high"))
    check_choice(measure, _COLUMNS.values(), name="measure")
    ratio = np.atleast_1d(np.asarray(estimate, dtype=float))
    limits = [
        np.full(ratio.shape, np.nan) if v is None else np.atleast_1d(np.asarray(v, dtype=float))
        for v in (conf_low, conf_high)
    ]
    low, high = limits
    if low.shape != ratio.shape or high.shape != ratio.shape:
        raise DataError("e_value: estimate, conf_low and conf_high must have the same length.")
    if (ratio <= 0).any() or (low < 0).any() or (high <= 0).any():
        raise DataError("e_value needs ratios above 0; exponentiate coefficients on the log scale.")
    if ((low > ratio) | (high < ratio)).any():
        raise DataError("e_value: an estimate lies outside its limits; check their order.")
    root = np.sqrt if measure == "odds ratio" and common_outcome else np.asarray
    nearest = np.where(ratio >= 1, np.maximum(low, 1), np.minimum(high, 1))
    nearest = np.where(np.isnan(low) & np.isnan(high), np.nan, nearest)
    numbers = pd.DataFrame(
        {
            "measure": measure,
            "ratio": ratio,
            "ratio_low": low,
            "ratio_high": high,
            "e_value": _e_value(root(ratio)),
            "e_value_limit": _e_value(root(nearest)),
        }
    )
    return pd.concat([keys, numbers], axis=1)
