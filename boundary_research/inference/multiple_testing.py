"""Adjustment of p-values for the number of tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from boundary_research._checks import check_choice
from boundary_research.inference._inputs import as_numbers

METHODS = {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm", "bonferroni": "bonferroni"}


def adjust_p_values(p_values: Any, method: str | None = "bh") -> np.ndarray:
    """Return adjusted p-values; missing ones stay missing and are not counted as tests.

    Parameters
    ----------
    p_values : array of shape (m,)
    method : {"bh", "by", "holm", "bonferroni"} or None
        Benjamini and Hochberg 1995 (false discovery rate), Benjamini and Yekutieli 2001 (the same,
        under any dependence), Holm 1979 (any false positive), Bonferroni. None leaves them as they
        are.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan"), 0.03], "holm").round(2).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    values = as_numbers(p_values, name="p_values")
    adjusted = values.copy()
    there = ~np.isnan(values)
    if method is not None and there.any():
        name = METHODS[check_choice(method, METHODS, name="method")]
        adjusted[there] = multipletests(values[there], method=name)[1]
    return adjusted
