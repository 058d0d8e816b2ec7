"""Krippendorff's alpha over sets of categories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Unpack

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, rows_text
from boundary_research.coding import _alpha
from boundary_research.coding._agreement_estimates import estimate_agreement
from boundary_research.coding._agreement_intervals import AgreementOptions, check_interval
from boundary_research.coding._agreement_results import AgreementResult
from boundary_research.coding._coefficients import split_options
from boundary_research.coding._ratings import read_ratings

SET_DISTANCES = {
    "masi": "MASI (Passonneau 2006)",
    "jaccard": "Jaccard",
    "four_step": "four-step (Passonneau 2004)",
    "nominal": "equal or not",
}


def set_distance(first: Iterable[Any], second: Iterable[Any], distance: str = "masi") -> float:
    """Return the distance between two sets of categories, in [0, 1].

    - ``"jaccard"``: 1 − |A ∩ B| / |A ∪ B|;
    - ``"masi"``: 1 − J × M with J Jaccard's similarity and M the monotonicity, 1 for equal sets,
      2/3 where one holds the other, 1/3 where they overlap, 0 if disjoint (Passonneau 2006, LREC).
      Software that rounds M to .67 and .33 gives slightly other values;
    - ``"four_step"``: 1 − M, the distance that Passonneau (2004, LREC) used first;
    - ``"nominal"``: 0 for equal sets, else 1.

    Two empty sets are equal and at distance 0. An empty set is held by every other: at 1/3 in the
    four-step distance, and at 1 in those with Jaccard's similarity, which is 0.

    Parameters
    ----------
    first, second : iterable
        The two sets.
    distance : {"jaccard", "masi", "four_step", "nominal"}
        Which distance.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If the distance is unknown.

    Examples
    --------
    >>> for name in SET_DISTANCES:
    ...     print(name, round(set_distance({"a", "b"}, {"a"}, name), 3))
    masi 0.667
    jaccard 0.5
    four_step 0.333
    nominal 1.0
    """
    check_choice(distance, SET_DISTANCES, name="distance")
    a, b = frozenset(first), frozenset(second)
    if a == b:
        return 0.0
    if distance == "nominal":
        return 1.0
    nested = a < b or b < a
    monotonicity = 2 / 3 if nested else 1 / 3 if a & b else 0.0
    if distance == "four_step":
        return 1 - monotonicity
    jaccard = len(a & b) / len(a | b)
    return 1 - jaccard if distance == "jaccard" else 1 - jaccard * monotonicity


def set_alpha(
    units: Any,
    distance: str | Callable[[frozenset[Any], frozenset[Any]], float] = "masi",
    **options: Unpack[AgreementOptions],
) -> AgreementResult:
    """Return Krippendorff's alpha of coders who choose any number of categories for a unit.

    Parameters
    ----------
    units : list of sequences, or DataFrame, shape (units, coders)
        Each cell the set (set, frozenset, list or tuple) of categories that a coder chose, empty
        for "none of them", and None or NaN where she did not code the unit. A list of pairs of
        sets is two coders.
    distance : {"masi", "jaccard", "four_step", "nominal"} or callable
        Distance between two sets, see `set_distance`; a callable takes two frozensets and returns
        a number of zero or more, zero for equal sets. As with alpha's metrics it is used as it is,
        not squared.
    **options
        See `AgreementOptions`; `categories` does not apply.

    Returns
    -------
    AgreementResult
        `coefficient` names the distance.

    Raises
    ------
    DataError
        If a cell is not a set, or the distance is unknown or not a distance.

    Examples
    --------
    >>> pairs = [("", ""), ("a", ""), ("a", "a"), ("a", "b"), ("ab", "a"), ("ab", "ac"),
    ...          ("abc", "abc"), ("c", "ac"), ("c", "ac")]
    >>> pairs = [(set(first), set(second)) for first, second in pairs]
    >>> print(f"{set_alpha(pairs, 'masi').estimate:.6f}")
    0.273081
    """
    reading, planning = split_options(options)
    if reading.pop("categories", None) is not None:
        raise DataError("set_alpha takes no categories; the sets that occur are its values.")
    sets, table = _read_sets(units)
    order = sorted(sets, key=lambda members: (len(members), sorted(map(str, members))))
    position = {members: index for index, members in enumerate(order)}
    codes = np.full(table.shape, np.nan)
    for cell, members in np.ndenumerate(table):
        if members is not None:
            codes[cell] = position[members]
    if callable(distance):
        name = f"own distance {getattr(distance, '__name__', 'function')}"
    else:
        name = SET_DISTANCES[check_choice(distance, SET_DISTANCES, name="distance")]
    read = read_ratings(codes, categories=range(len(order)), **reading)
    paired = (read.codes >= 0).sum(axis=1) >= 2
    delta = _distances(order, distance)
    return estimate_agreement(
        read.keep(paired) if paired.any() else read,
        lambda kept: _alpha.alpha(kept, delta),
        coefficient=f"Krippendorff's alpha over sets, {name}",
        plan=check_interval(**planning),
    )


def _distances(
    order: list[frozenset[Any]],
    distance: str | Callable[[frozenset[Any], frozenset[Any]], float],
) -> np.ndarray:
    """Return the distance of each pair of sets, shape (q, q)."""
    if not callable(distance):
        return _named_distances(order, distance)
    delta = np.zeros((len(order), len(order)))
    for i, first in enumerate(order):
        for j in range(i):
            delta[i, j] = delta[j, i] = distance(first, order[j])
    if not np.isfinite(delta).all() or (delta < 0).any():
        raise DataError("distance must return a number of zero or more for any two sets.")
    return delta


def _named_distances(order: list[frozenset[Any]], distance: str) -> np.ndarray:
    """Return `set_distance` of each pair, all at once."""
    members = {name: index for index, name in enumerate(set().union(*order))}
    holds = np.zeros((len(order), max(len(members), 1)))
    for row, one in enumerate(order):
        holds[row, [members[name] for name in one]] = 1
    common = holds @ holds.T
    size = holds.sum(axis=1)
    equal = np.eye(len(order), dtype=bool)
    if distance == "nominal":
        return 1.0 - equal
    smaller, both = np.minimum.outer(size, size), np.add.outer(size, size)
    monotonicity = np.where(common == smaller, 2 / 3, np.where(common > 0, 1 / 3, 0.0))
    jaccard = common / np.maximum(both - common, 1)
    likeness = {
        "four_step": monotonicity,
        "jaccard": jaccard,
        "masi": jaccard * monotonicity,
    }[distance]
    return np.asarray(np.where(equal, 0.0, 1 - likeness))


def _read_sets(units: Any) -> tuple[set[frozenset[Any]], np.ndarray]:
    rows = units.to_numpy(dtype=object) if isinstance(units, pd.DataFrame) else list(units)
    width = {len(row) for row in rows}
    if len(width) > 1:
        raise DataError(
            f"Every unit must have one cell a coder, but units have {min(width)} to {max(width)}. "
            f"Put None where a coder did not code a unit."
        )
    table = np.empty((len(rows), width.pop() if width else 0), dtype=object)
    found: set[frozenset[Any]] = set()
    wrong = []
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
                table[i, j] = None
            elif isinstance(cell, set | frozenset | list | tuple):
                table[i, j] = frozenset(cell)
                found.add(table[i, j])
            else:
                wrong.append(i + 1)
    if wrong:
        raise DataError(
            f"Cells must be sets of categories (or None where not coded), which "
            f"{rows_text(wrong)} are not. One category is {{'name'}}, none of them is set()."
        )
    return found, table
