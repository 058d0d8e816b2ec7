"""What every draw needs: the population, its strata, and a draw in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import check_table

RandomState = int | np.random.Generator | None


def read_population(incidents: pd.DataFrame) -> pd.DataFrame:
    """Return the checked incidents; narratives need not be there."""
    check_columns(incidents.columns, ["incident_id"], source="table incidents")
    table = incidents if "narrative" in incidents.columns else incidents.assign(narrative="")
    return check_table(table, "incidents")


def check_count(value: object, *, name: str, most: int, what: str) -> int:
    """Return `value` if it is a whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DataError(f"{name} must be a whole number, got {type(value).__name__}.")
    if not 1 <= value <= most:
        raise DataError(f"{name} must lie between 1 and the {most} {what}, got {value}.")
    return int(value)


def stratum_labels(
    population: pd.DataFrame, columns: str | Sequence[str], *, name: str
) -> pd.Series:
    """Return the values of one or more columns as one text a row."""
    columns = [columns] if isinstance(columns, str) else list(columns)
    if not columns:
        raise DataError(f"{name}: name a column of the incidents.")
    check_columns(population.columns, columns, source="table incidents")
    for column in columns:
        empty = population[column].isna()
        if empty.any():
            raise DataError(
                f"table incidents: column {column!r} is missing in {empty.sum()} rows. "
                f"Write 'not_stated' there, or leave these rows out."
            )
    return population[columns].astype(str).agg(" / ".join, axis=1)


def draw_strata(
    ids: pd.Series, stratum: pd.Series, counts: Mapping[str, int], rng: np.random.Generator
) -> pd.DataFrame:
    """Draw so many narratives of each stratum at random without replacement."""
    rows = []
    sizes = stratum.value_counts()
    for name in sorted(counts):
        members = np.flatnonzero(stratum.to_numpy() == name)
        chosen = rng.choice(members, size=counts[name], replace=False)
        rows.append(np.sort(chosen))
    order = np.sort(np.concatenate(rows))
    drawn = stratum.iloc[order].reset_index(drop=True)
    size = drawn.map(sizes).astype(int)
    probability = drawn.map(dict(counts)).astype(float) / size
    return pd.DataFrame(
        {
            "incident_id": ids.iloc[order].to_numpy(),
            "inclusion_probability": probability,
            "stratum": drawn,
            "stratum_size": size,
        }
    )


def finish_sample(sample: pd.DataFrame, design: str) -> pd.DataFrame:
    """Return the checked sample, with the name of its design."""
    sample.insert(3, "design", design)
    return check_table(sample, "sample")
