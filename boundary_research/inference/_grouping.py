"""Columns of incidents, groups and clusters in the order of the codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import ESTIMATE_COLUMNS
from boundary_research.inference._alignment import Codes
from boundary_research.inference._counts import held_back

OWN_COLUMNS = [*ESTIMATE_COLUMNS, "n_gold_present", "note"]  # of a table of shares


def incident_column(
    values: Any, codes: Codes, incidents: pd.DataFrame | None, *, name: str
) -> pd.Series | None:
    """Return a column in the order of the codes."""
    if values is None:
        return None
    if isinstance(values, pd.Series):
        index = pd.Index(values.index).astype(str)
        where = index.get_indexer(codes.ids) if index.is_unique else np.array([-1])
        if (where < 0).any():
            raise DataError(
                f"{name}: a Series must be indexed by incident_id, once for every incident. Use "
                f"incidents.set_index('incident_id')[column]."
            )
        column = values.iloc[where].reset_index(drop=True)
        column.name = values.name if values.name is not None else name
        return column
    if incidents is None:
        raise DataError(f"{name}={values!r} is a column name; give the table as incidents= too.")
    check_columns(incidents.columns, [values], source="table incidents")
    return incidents[values].reset_index(drop=True)


def cluster_columns(
    clusters: Any, codes: Codes, incidents: pd.DataFrame | None
) -> pd.DataFrame | None:
    """Return one or two columns of clusters; "auto" is agency_id where it is there without gaps."""
    if isinstance(clusters, str) and clusters == "auto":
        if incidents is None or "agency_id" not in incidents.columns:
            return None
        agency = incidents["agency_id"]
        return None if agency.isna().any() or agency.nunique() < 3 else agency.to_frame()
    if clusters is None:
        return None
    chosen = [clusters] if isinstance(clusters, str | pd.Series) else list(clusters)
    found = [incident_column(item, codes, incidents, name="clusters") for item in chosen]
    frame = pd.concat([item for item in found if item is not None], axis=1)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if frame.columns.has_duplicates:
        raise DataError(f"clusters: {frame.columns[0]} is given twice. Name two different columns.")
    return frame


def attribute_matrix(
    attributes: str | Sequence[str] | None, codes: Codes, incidents: pd.DataFrame | None
) -> np.ndarray | None:
    """Return attributes as numbers, shape (n, q): a mark for each level, one for missing ones."""
    if attributes is None:
        return None
    parts = []
    for name in [attributes] if isinstance(attributes, str) else attributes:
        column = incident_column(name, codes, incidents, name="attributes")
        if column is None:
            continue
        if pd.api.types.is_numeric_dtype(column.dtype):
            number = column.to_numpy(dtype=float, na_value=np.nan)
            gap = ~np.isfinite(number)
            middle = float(np.mean(number[~gap])) if not gap.all() else 0.0
            parts.append(np.column_stack([np.where(gap, middle, number), gap]))
        else:
            level, levels = pd.factorize(column.astype(object))
            parts.append((level[:, None] == np.arange(len(levels))).astype(float))
    return np.column_stack(parts) if parts else None


def check_fold_clusters(fold: np.ndarray | None, labels: pd.DataFrame | None) -> None:
    """Refuse folds that split a cluster: a model then saw rows that hang together with its own."""
    if fold is None or labels is None:
        return
    for name in labels.columns:
        pairs = pd.DataFrame({"cluster": labels[name].to_numpy(), "fold": fold}).dropna()
        split = pairs.groupby("cluster", observed=True)["fold"].nunique()
        if (split > 1).any():
            raise DataError(
                f"table coded: {int((split > 1).sum())} of {len(split)} clusters lie in more "
                f"than one "
                f"fold, so a model saw other rows of the cluster it predicts. Cross-fit with these "
                f"clusters as groups, or analyse without clusters (clusters=None)."
            )


def split_groups(
    by: Any, codes: Codes, incidents: pd.DataFrame | None, min_cell: int
) -> Iterator[tuple[dict[str, Any], np.ndarray | None, int, bool]]:
    """Yield each group's keys, its mask, its count and whether it is held back."""
    if by is None:
        yield {}, None, len(codes.ids), False
        return
    chosen = [by] if isinstance(by, str | pd.Series) else list(by)
    columns = [incident_column(item, codes, incidents, name="by") for item in chosen]
    frame = pd.concat([column for column in columns if column is not None], axis=1)
    clash = [str(name) for name in frame.columns if name in OWN_COLUMNS]
    if clash:
        raise DataError(f"by: {', '.join(clash)} is a name of the result's own. Rename the column.")
    filled = frame.astype(object).where(frame.notna(), "not_stated")
    number = filled.groupby(list(filled.columns), sort=True).ngroup().to_numpy()
    counts = np.bincount(number)
    hidden = held_back(counts, min_cell)
    for g in range(len(counts)):
        keep = number == g
        keys = filled.iloc[int(np.argmax(keep))].to_dict()
        yield (
            {str(key): value for key, value in keys.items()},
            keep,
            int(counts[g]),
            bool(hidden[g]),
        )
