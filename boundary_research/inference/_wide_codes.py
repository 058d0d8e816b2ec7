"""The long table of model codes as arrays, one row an incident and one column a category."""

from __future__ import annotations

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, rows_text
from boundary_research._tables import DECISIONS, REQUIRED, as_bool


def _codes(values: pd.Series) -> tuple[np.ndarray, pd.Index]:
    codes, levels = pd.factorize(values, sort=False)
    return codes, pd.Index(levels).astype(str)


def widen_codes(coded: pd.DataFrame) -> tuple[pd.Index, list[str], dict[str, np.ndarray]]:
    """Return ids, categories and (n, K) arrays of the long table of model codes.

    Millions of rows come through here, so cells are filled by position instead of by a pivot, and
    the table is checked without the copies that a schema makes.
    """
    check_columns(coded.columns, REQUIRED["coded"], source="table coded")
    row, ids = _codes(coded["incident_id"])
    column, names = _codes(coded["category"])
    if (row < 0).any() or (column < 0).any():
        raise DataError(
            "table coded: incident_id or category is missing in some rows. Fill them in."
        )
    n, size = len(ids), len(names)
    cell = row.astype(np.int64) * size + column
    counts = np.bincount(cell, minlength=n * size)
    if (counts > 1).any():
        raise DataError(
            f"table coded: {int((counts > 1).sum())} pairs of incident_id and category come "
            f"more than "
            f"once. Keep one row for each."
        )
    if (counts == 0).any():
        raise DataError(
            f"table coded: {int((counts == 0).sum())} pairs of incident_id and category have "
            f"no row. "
            f"Each incident needs a row for each category, absent ones too."
        )
    probability = coded["probability"].to_numpy(dtype=float, na_value=np.nan)
    if not ((probability >= 0) & (probability <= 1)).all():
        wrong = np.flatnonzero(~((probability >= 0) & (probability <= 1)))
        raise DataError(
            f"table coded: probability must lie in [0, 1], but does not in "
            f"{rows_text([int(i) + 1 for i in wrong])}."
        )
    if "predicted" in coded.columns:
        predicted = as_bool(coded["predicted"], source="table coded").to_numpy(dtype=float)
    else:
        predicted = _decided(coded["decision"], probability)
    out = {}
    for name, values in (("probability", probability), ("predicted", predicted)):
        wide = np.empty(n * size)
        wide[cell] = values
        out[name] = wide.reshape(n, size)
    return ids, list(names), out


def _decided(decision: pd.Series, probability: np.ndarray) -> np.ndarray:
    """Return 1 for present, 0 for absent, and probability >= 0.5 for review."""
    codes, levels = _codes(decision)
    unknown = sorted(set(levels) - set(DECISIONS))
    if unknown or (codes < 0).any():
        raise DataError(
            f"table coded: decision must be one of {', '.join(DECISIONS)}; found "
            f"{', '.join(unknown) or 'missing values'}."
        )
    lookup = np.array([{"present": 1.0, "absent": 0.0, "review": np.nan}[name] for name in levels])
    chosen = lookup[codes]
    return np.where(np.isnan(chosen), probability >= 0.5, chosen)
