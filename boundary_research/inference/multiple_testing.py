"""Adjustment of p-values for the number of tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from boundary_research._checks import check_choice
from boundary_research.inference._inputs import as_numbers

METHODS = ("bh", "by", "holm", "bonferroni")


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
    values = as_numbers(p_values, name="p_values")
    adjusted = values.copy()
    there = ~np.isnan(values)
    if method is not None:
        check_choice(method, METHODS, name="method")
        adjusted[there] = _adjust(values[there], method)
    return adjusted


def _adjust(p: np.ndarray, method: str) -> np.ndarray:
    """Return adjusted p-values of m tests, none missing."""
    if not len(p):
        return p
    if method in ("bh", "by"):
        return stats.false_discovery_control(p, method=method)
    if method == "bonferroni":
        return np.minimum(p * len(p), 1.0)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
