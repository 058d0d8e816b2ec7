"""Tables of a study: counts that suppress small cells, and tables as text for reports."""

from __future__ import annotations

import numpy as np
import pandas as pd

from boundary_research._tables import pivot_categories


def count_cooccurrence(coded: pd.DataFrame, *, min_cell: int = 5) -> pd.DataFrame:
    """Count how often the model codes two categories in the same narrative.

    Parameters
    ----------
    coded : DataFrame
        Long table with `incident_id`, `category` and bool `predicted`.
    min_cell : int
        Counts from 1 to below this are suppressed (missing).

    Returns
    -------
    DataFrame
        row_category, column_category, n_both, n_row, share (of the row's narratives).
    """
    wide = pivot_categories(coded, "predicted").astype(float)
    both = wide.T @ wide
    rows = []
    for row in both.index:
        total = both.loc[row, row]
        for column in both.columns:
            count = both.loc[row, column]
            hidden = 0 < count < min_cell or 0 < total < min_cell
            n_both = np.nan if hidden else count
            rows.append((row, column, n_both, total, n_both / total if total else np.nan))
    names = ["row_category", "column_category", "n_both", "n_row", "share"]
    return pd.DataFrame(rows, columns=names)


def count_decisions(coded: pd.DataFrame) -> pd.DataFrame:
    """Count narratives per category: coded 1, and decisions present, review, absent."""
    counts = pd.crosstab(coded["category"], coded["decision"])
    counts = counts.reindex(columns=["present", "review", "absent"], fill_value=0)
    ones = coded.groupby("category")["predicted"].sum()
    counts.insert(0, "coded", ones)
    counts = counts.loc[list(dict.fromkeys(coded["category"]))]
    counts.columns.name = None
    return counts.reset_index()


def percent(value: float, digits: int = 1) -> str:
    """Return a share as percent, or an en dash where it is missing."""
    return "–" if pd.isna(value) else f"{100 * value:.{digits}f}%"


def number(value: float, digits: int = 2) -> str:
    """Return a number with fixed digits, or an en dash where it is missing."""
    return "–" if pd.isna(value) else f"{value:.{digits}f}"


def p_value(value: float) -> str:
    """Return a p-value with three digits, ``<.001`` below that, or an en dash where it is missing.

    Examples
    --------
    >>> p_value(0.0004), p_value(0.0312), p_value(float("nan"))
    ('<.001', '.031', '–')
    """
    if pd.isna(value):
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1.000"


def interval(low: float, high: float, digits: int = 2, *, scale: float = 1.0) -> str:
    """Return an interval as text, or an en dash where it is missing."""
    if pd.isna(low) or pd.isna(high):
        return "–"
    return f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"
