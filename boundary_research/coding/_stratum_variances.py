"""Variances of a category within strata, for Neyman allocation."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research._tables import check_table
from boundary_research.coding._sampling_frame import read_population, stratum_labels


def estimate_variances(
    incidents: pd.DataFrame,
    codes: pd.DataFrame,
    *,
    strata: str | Sequence[str],
    category: str,
) -> pd.Series:
    """Return the variance of a category within each stratum, for Neyman allocation.

    p (1 - p) with p the mean probability of a model, or the share of a pilot's gold codes. In a
    pilot half a presence and half an absence are added to each stratum, so that a stratum in which
    nothing was seen keeps some variance (Agresti and Coull 1998 smooth in the same way).

    Parameters
    ----------
    incidents : pandas.DataFrame
        The incidents table.
    codes : pandas.DataFrame
        A `coded` table (column `probability`) or a `gold` table (column `present`, weighted by
        `inclusion_probability` if it is there).
    strata : str or sequence of str
        As for `draw_stratified`.
    category : str

    Returns
    -------
    pandas.Series
        Index: the strata.

    Raises
    ------
    DataError
        If a stratum has no code of this category.
    """
    population = read_population(incidents)
    labels = stratum_labels(population, strata, name="strata")
    stratum = pd.Series(labels.to_numpy(), index=population["incident_id"])
    model = "probability" in codes.columns
    table = check_table(codes, "coded" if model else "gold")
    known = list(table["category"].unique())
    check_choice(category, known, name="category")
    rows = table[table["category"] == category]
    rows = rows[rows["incident_id"].isin(stratum.index)]
    frame = pd.DataFrame(
        {
            "stratum": stratum.loc[rows["incident_id"]].to_numpy(),
            "value": rows["probability" if model else "present"].to_numpy(dtype=float),
            "weight": 1.0,
        }
    )
    if not model and "inclusion_probability" in rows.columns:
        frame["weight"] = 1 / rows["inclusion_probability"].fillna(1.0).to_numpy(dtype=float)
    missing = sorted(set(labels) - set(frame["stratum"]))
    if missing:
        raise DataError(
            f"No code of category {category!r} in stratum {', '.join(map(repr, missing[:5]))}. "
            f"Use fewer strata, or give variances by hand."
        )
    frame["weighted"] = frame["value"] * frame["weight"]
    sums = frame.groupby("stratum")[["weighted", "weight"]].sum()
    share = sums["weighted"] / sums["weight"]
    if not model:
        count = frame.groupby("stratum").size()
        share = (share * count + 0.5) / (count + 1)
    return (share * (1 - share)).rename("variance").rename_axis("stratum")
