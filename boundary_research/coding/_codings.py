"""The codings table as ratings and as sets of categories."""

from __future__ import annotations

from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import check_table


def read_codings(codings: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each incident, coder and category, several spans folded into one."""
    table = check_table(codings, "codings")
    keys = ["incident_id", "coder_id", "category"]
    how: dict[str, Any] = {
        column: "first" for column in table.columns if column not in (*keys, "present", "severity")
    }
    how["present"] = "any"
    if "severity" in table.columns:
        how["severity"] = "max"
    if not len(table):
        return table
    return table.groupby(keys, sort=False, as_index=False).agg(how)


def ratings_from_codings(
    codings: pd.DataFrame, category: str, *, value: str = "present"
) -> pd.DataFrame:
    """Return one category's codings as ratings of shape (incidents, coders).

    Parameters
    ----------
    codings : DataFrame
        The `codings` table; several rows of one decision (one for each evidence span) are one.
    category : str
        The category.
    value : {"present", "severity"}
        What to put in the cells: presence as 0 and 1, or severity where present.

    Returns
    -------
    pandas.DataFrame
        Rows are incidents, columns coders, NaN where a coder did not code the category.

    Raises
    ------
    DataError
        If the table or the category cannot be used.

    Examples
    --------
    >>> codings = pd.DataFrame({"incident_id": ["i1", "i1", "i2"], "coder_id": ["a", "b", "a"],
    ...                         "category": "x", "present": [True, False, True]})
    >>> print(ratings_from_codings(codings, "x").to_string())
    coder_id       a    b
    incident_id
    i1           1.0  0.0
    i2           1.0  NaN
    """
    table = read_codings(codings)
    known = list(table["category"].unique())
    if category not in known:
        raise DataError(f"category {category!r} not found. Available: {', '.join(known)}.")
    check_columns(table.columns, [value], source="codings")
    return pivot_codings(table[table["category"] == category], value)


def pivot_codings(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return one value a unit and coder, a unit being an incident or what `_unit` names."""
    if value == "severity":
        rows = rows[rows["present"]]
    wide = rows.assign(**{value: rows[value].astype(float)})
    index = [name for name in ("incident_id", "_unit") if name in wide.columns][-1:]
    wide = wide.pivot(index=index, columns="coder_id", values=value)
    return wide.sort_index(axis=1)


def sets_from_codings(table: pd.DataFrame) -> pd.DataFrame:
    """Return the set of categories that each coder found in each incident she coded."""
    chosen = table[table["present"]].groupby(["incident_id", "coder_id"])["category"].agg(frozenset)
    coded = pd.MultiIndex.from_frame(table[["incident_id", "coder_id"]].drop_duplicates())
    found = chosen.to_dict()
    sets = pd.Series([found.get(pair, frozenset()) for pair in coded], index=coded, dtype=object)
    return sets.unstack("coder_id")
