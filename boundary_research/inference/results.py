"""The result that every estimator returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._tables import ESTIMATE_COLUMNS


@dataclass(frozen=True)
class EstimationResult:
    """An estimate with its uncertainty; p-values and intervals come from the same distribution.

    Attributes
    ----------
    estimate, std_error, conf_low, conf_high, p_value : float or numpy.ndarray, shape (p,)
        Floats for a mean, arrays for a regression, one entry a column of `X`; for a multinomial
        regression shape ((levels - 1) * p,), the levels one after the other. The p-value is
        two-sided, for the hypothesis that the coefficient is 0, and is below ``1 - conf_level``
        exactly where the interval leaves out 0.
    vcov : numpy.ndarray, shape (p, p)
    df : float or numpy.ndarray, shape (p,)
        Degrees of freedom of the t distribution; infinite means normal.
    n_gold, n_total : int
        Rows with a gold code, and all rows.
    n_clusters : int
        Clusters of the (first) clustering; the number of rows if there is none.
    estimator, family : str
    conf_level : float
    power : float
        The weight λ given to the predictions by a prediction-powered estimator, else missing.
    notes : tuple of str
        What the reader should know (a bootstrap that was used, say).
    """

    estimate: Any
    std_error: Any
    conf_low: Any
    conf_high: Any
    p_value: Any
    vcov: np.ndarray
    df: Any
    n_gold: int
    n_total: int
    n_clusters: int
    estimator: str = ""
    family: str = ""
    conf_level: float = 0.95
    power: float = float("nan")
    notes: tuple[str, ...] = ()

    def to_frame(self, terms: Sequence[str] | None = None, *, category: str = "") -> pd.DataFrame:
        """Return the result as an estimates table, one row a term.

        Parameters
        ----------
        terms : sequence of str, optional
            Names of the columns of `X`; by default x0, x1, …
        category : str
            What to write in the column `category`.
        """
        size = np.size(self.estimate)
        names = [f"x{i}" for i in range(size)] if terms is None else list(terms)
        frame = pd.DataFrame({"term": names})
        frame["category"] = category
        frame["estimator"] = self.estimator
        for column in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
            frame[column] = np.atleast_1d(getattr(self, column)).astype(float)
        frame["p_adjusted"] = np.nan
        for column in ("n_gold", "n_total", "n_clusters"):
            frame[column] = getattr(self, column)
        return frame[ESTIMATE_COLUMNS]


def wald_limits(
    estimate: np.ndarray, std_error: np.ndarray, df: np.ndarray, conf_level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lower limits, upper limits and two-sided p-values from one t distribution.

    A standard error that is zero or missing gives a missing p-value.
    """
    usable = np.isfinite(std_error) & (std_error > 0)
    half = stats.t.ppf(0.5 + conf_level / 2, df) * std_error
    statistic = np.divide(
        estimate, std_error, out=np.full(np.shape(estimate), np.nan), where=usable
    )
    return estimate - half, estimate + half, 2 * stats.t.sf(np.abs(statistic), df)
