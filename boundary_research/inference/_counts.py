"""Counts that may be shown.

Small cells are held back, and one more where a total would give them away.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boundary_research._checks import DataError


def check_min_cell(min_cell: Any) -> int:
    """Return `min_cell` as a whole number of 0 or more; 0 and 1 hold nothing back."""
    if isinstance(min_cell, bool) or not isinstance(min_cell, int | np.integer) or min_cell < 0:
        raise DataError(f"min_cell must be a whole number of 0 or more, got {min_cell!r}.")
    return int(min_cell)


def held_back(counts: Any, min_cell: int) -> np.ndarray:
    """Return which of the counts of one total to hold back, shape (m,), as bools.

    Counts of 1 to ``min_cell - 1`` are; if that is one count only, so is the smallest other count
    above zero, since the total would give the first away (secondary suppression).

    Examples
    --------
    >>> held_back([3, 40, 12, 0], 5).tolist()
    [True, False, True, False]
    >>> held_back([3, 40, 2, 0], 5).tolist()
    [True, False, True, False]
    """
    numbers = np.asarray(counts, dtype=float)
    small = (numbers > 0) & (numbers < min_cell)
    if small.sum() == 1:
        others = np.where(small | (numbers <= 0), np.inf, numbers)
        if np.isfinite(others).any():
            small[int(np.argmin(others))] = True
    return small
