"""Joint inclusion probabilities of the designs that `sampling` draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import check_table


def _pairs(drawn: Any, size: Any) -> Any:
    """Return the chance that two given units of `size` are both among `drawn`."""
    return np.where(size > 1, drawn * (drawn - 1) / np.maximum(size * (size - 1), 1), 0.0)


def inclusion_probability_matrix(
    sample: pd.DataFrame, *, first_phase: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the joint inclusion probabilities of all pairs of a sample.

    Within a stratum of N narratives of which n are drawn, a pair has n (n - 1) / (N (N - 1)), and
    pairs of different strata are independent (Cochran 1977, *Sampling Techniques*, section 5A.7 and
    chapter 5). With m of M clusters drawn and k of K narratives in each, a pair of one cluster has
    m/M · k (k - 1) / (K (K - 1)), and one of two clusters m (m - 1) / (M (M - 1)) · k/K · k'/K'
    (Särndal, Swensson and Wretman 1992, *Model Assisted Survey Sampling*, section 4.3). For a
    second phase these are multiplied by the joint probabilities of the first (section 9.3).

    Parameters
    ----------
    sample : pandas.DataFrame
        What one of the draws returned, with all its rows and columns.
    first_phase : pandas.DataFrame, optional
        The sample that a two-phase draw was given as its first phase.

    Returns
    -------
    pandas.DataFrame
        Shape (n, n), rows and columns `incident_id`; the diagonal is `inclusion_probability`.

    Raises
    ------
    DataError
        If the sample lacks the columns that its design needs, or rows were taken out.

    Examples
    --------
    >>> from boundary_research.coding.sampling import draw_simple
    >>> incidents = pd.DataFrame({"incident_id": ["a", "b", "c", "d"], "narrative": ""})
    >>> sample = draw_simple(incidents, 2, random_state=1)
    >>> print(inclusion_probability_matrix(sample).round(3).to_string(index=False, header=False))
    0.500 0.167
    0.167 0.500
    """
    table = check_table(sample, "sample")
    check_columns(table.columns, ["stratum", "design", "stratum_size"], source="table sample")
    if "first_inclusion_probability" in table.columns:
        if first_phase is None:
            raise DataError("This sample has a first phase; pass it as first_phase= too.")
        joint = _second_phase(table) * _first_phase(table, first_phase)
    elif "cluster" in table.columns:
        joint = _clusters(table)
    else:
        joint = _strata(table)
    np.fill_diagonal(joint, table["inclusion_probability"])
    ids = pd.Index(table["incident_id"], name="incident_id")
    return pd.DataFrame(joint, index=ids, columns=ids.rename(None))


def joint_inclusion_probability(
    sample: pd.DataFrame, i: str, j: str, *, first_phase: pd.DataFrame | None = None
) -> float:
    """Return the probability that narratives `i` and `j` are both drawn.

    Parameters
    ----------
    sample, first_phase
        As for `inclusion_probability_matrix`.
    i, j : str
        Two `incident_id` of the sample.

    Raises
    ------
    DataError
        If one of them is not in the sample.
    """
    matrix = inclusion_probability_matrix(sample, first_phase=first_phase)
    for name in (i, j):
        if str(name) not in matrix.index:
            raise DataError(f"incident_id {str(name)!r} is not in the sample.")
    return float(matrix.loc[str(i), str(j)])


def _strata(table: pd.DataFrame) -> np.ndarray:
    probability = table["inclusion_probability"].to_numpy()
    return _within_strata(table, probability)


def _within_strata(table: pd.DataFrame, probability: np.ndarray) -> np.ndarray:
    """Return joint probabilities of simple draws in strata; `probability` is that of each row."""
    size = table["stratum_size"].to_numpy(dtype=float)
    drawn = table.groupby("stratum")["stratum"].transform("size").to_numpy(dtype=float)
    if not np.allclose(drawn / size, probability, rtol=1e-9):
        raise DataError(
            "table sample: the rows of a stratum do not match its inclusion probability; rows were "
            "taken out or put in. Use the table as it was drawn."
        )
    same = table["stratum"].to_numpy()[:, None] == table["stratum"].to_numpy()[None, :]
    return np.where(same, _pairs(drawn, size)[:, None], probability[:, None] * probability)


def _second_phase(table: pd.DataFrame) -> np.ndarray:
    own = table["inclusion_probability"] / table["first_inclusion_probability"]
    return _within_strata(table, own.to_numpy())


def _first_phase(table: pd.DataFrame, first_phase: pd.DataFrame) -> np.ndarray:
    first = inclusion_probability_matrix(first_phase)
    missing = ~table["incident_id"].isin(first.index)
    if missing.any():
        raise DataError(f"first_phase lacks {missing.sum()} narratives of the sample.")
    return first.loc[table["incident_id"], table["incident_id"]].to_numpy()


def _clusters(table: pd.DataFrame) -> np.ndarray:
    check_columns(table.columns, ["cluster_size", "n_clusters_total"], source="table sample")
    cluster = table["cluster"].astype(str).to_numpy()
    drawn, total = len(set(cluster)), float(table["n_clusters_total"].iloc[0])
    size = table["cluster_size"].to_numpy(dtype=float)
    taken = table.groupby("cluster")["cluster"].transform("size").to_numpy(dtype=float)
    share = taken / size
    if not np.allclose(drawn / total * share, table["inclusion_probability"], rtol=1e-9):
        raise DataError(
            "table sample: the rows of a cluster do not match its inclusion probability; rows were "
            "taken out or put in. Use the table as it was drawn."
        )
    inside = drawn / total * _pairs(taken, size)[:, None]
    between = float(_pairs(np.float64(drawn), total)) * share[:, None] * share[None, :]
    return np.where(cluster[:, None] == cluster[None, :], inside, between)
