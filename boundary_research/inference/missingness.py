"""How often attributes are not stated, and for whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from boundary_research._checks import check_columns
from boundary_research.inference._counts import held_back


def missing_exposures(
    incidents: pd.DataFrame, columns: Sequence[str], *, by: str | None = None, min_cell: int = 5
) -> pd.DataFrame:
    """Return how often attributes are missing or `not_stated`, by setting, say.

    Parameters
    ----------
    incidents : pandas.DataFrame
    columns : sequence of str
    by : str, optional
        Column whose groups are compared; its own missing values are the group `not_stated`.
    min_cell : int
        Groups of fewer incidents are held back.

    Returns
    -------
    pandas.DataFrame
        Columns `variable`, the group (if `by`), `n_total`, `n_missing`, `share_missing`.

    Examples
    --------
    >>> table = pd.DataFrame({"setting": ["rural"] * 6, "role": ["nurse", "not_stated"] * 3})
    >>> missing_exposures(table, ["role"], by="setting")
      variable setting  n_total  n_missing  share_missing
    0     role   rural      6.0        3.0            0.5
    """
    wanted = [columns] if isinstance(columns, str) else list(columns)
    check_columns(
        incidents.columns, wanted + ([by] if by is not None else []), source="table incidents"
    )
    if by is None:
        group = pd.Series("all", index=incidents.index)
    else:
        group = incidents[by].astype(object).where(incidents[by].notna(), "not_stated").astype(str)
    parts = []
    for name in wanted:
        column = incidents[name]
        text = column.astype("string").str.strip()
        gone = column.isna() | text.eq("not_stated").fillna(False)
        part = gone.astype(float).groupby(group).agg(["size", "sum"]).reset_index()
        part.columns = pd.Index([by or "group", "n_total", "n_missing"])
        part = part.astype({"n_total": float})
        part["share_missing"] = part["n_missing"] / part["n_total"]
        hidden = held_back(part["n_total"], min_cell)
        part.loc[hidden, ["n_total", "n_missing", "share_missing"]] = np.nan
        part.insert(0, "variable", name)
        parts.append(part if by is not None else part.drop(columns="group"))
    return pd.concat(parts, ignore_index=True)
