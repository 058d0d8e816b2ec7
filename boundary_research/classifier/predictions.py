"""Predictions of any other coder: another tool, a language model, a keyword list, a colleague."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns, check_file, rows_text
from boundary_research._tables import DECISIONS, as_bool, check_table
from boundary_research.classifier.decisions import read_coded
from boundary_research.codebook.model import Codebook

_PROBABILITY = "_probability"
_DECISION = "_decision"
_VALUES = ("probability", "predicted", "decision")


def read_predictions(
    source: str | Path | pd.DataFrame,
    *,
    codebook: Codebook | None = None,
    incidents: pd.DataFrame | None = None,
    id_column: str = "incident_id",
    threshold: float | Mapping[str, float] = 0.5,
    rename: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read anybody's predictions as the coded table that `prevalence` and `risk_factors` take.

    The correction does not ask how predictions were made, only that the same procedure made those
    of the narratives with gold codes and of all others, without having seen the gold codes.

    Parameters
    ----------
    source : str, pathlib.Path or DataFrame
        CSV, TSV, Excel, Parquet or a frame; long or wide.
        Long: one row an incident and category, with `category` and at least one of `probability`
        (0 to 1), `predicted` (yes or no) and `decision` (present, absent, review).
        Wide: one row an incident and one column a category, which holds either 0/1 (yes/no) or
        probabilities; other columns are refused unless a codebook says which are categories. A
        ``coded.csv`` of this package is read as such.
    codebook : Codebook, optional
        Every category must then be the codebook's; in a wide table other columns are left alone.
    incidents : DataFrame, optional
        Every incident of it must then have predictions; others are left out.
    id_column : str
        The column with the incident's id.
    threshold : float or mapping of category to float
        Probability from which `predicted` is yes, where the source gives only probabilities.
    rename : mapping, optional
        The source's names of categories to those of the codebook.

    Returns
    -------
    DataFrame
        `incident_id`, `category`, `probability`, `predicted` (bool), `decision`; sorted as the
        source has them. Without probabilities, `probability` is 1 or 0 as predicted.

    Raises
    ------
    DataError
        If an incident lacks a category (a gap is no "no"), rows repeat, categories are unknown,
        values are neither probabilities nor yes and no, or incidents have no predictions.

    Examples
    --------
    >>> table = pd.DataFrame({"incident_id": ["a", "b"], "gift": [0.9, 0.2], "debt": [0.4, 0.6]})
    >>> read_predictions(table, threshold={"gift": 0.5, "debt": 0.3})["predicted"].tolist()
    [True, True, False, True]
    """
    name = "predictions" if isinstance(source, pd.DataFrame) else Path(source).name
    table = source.copy() if isinstance(source, pd.DataFrame) else _read(source)
    check_columns(table.columns, [id_column], source=name)
    table = table.rename(columns={id_column: "incident_id"})
    if table["incident_id"].isna().any():
        rows = [int(i) + 1 for i in table["incident_id"].isna().to_numpy().nonzero()[0]]
        raise DataError(f"{name}: {id_column} is missing in {rows_text(rows)}. Fill it in.")
    table["incident_id"] = table["incident_id"].astype(str)
    if "category" not in table.columns:
        table = _lengthen(table, codebook, dict(rename or {}), name)
    else:
        table["category"] = table["category"].astype(str).replace(dict(rename or {}))
    _check_categories(table["category"].unique().tolist(), codebook, name)
    if table.duplicated(["incident_id", "category"]).any():
        raise DataError(
            f"{name}: some incidents have two predictions of one category "
            f"({int(table.duplicated(['incident_id', 'category']).sum())} repeats). Keep one."
        )
    if incidents is not None:
        wanted = incidents["incident_id"].astype(str)
        absent = wanted[~wanted.isin(table["incident_id"])]
        if len(absent):
            raise DataError(
                f"{name}: {len(absent)} of {len(wanted)} incidents have no predictions (the first "
                f"is {absent.iloc[0]!r}). Predict them, or leave them out of the incidents."
            )
        table = table[table["incident_id"].isin(set(wanted))]
    table = _complete(table, threshold, name)
    n_categories = table["category"].nunique()
    counts = table.groupby("incident_id", sort=False).size()
    if (counts != n_categories).any():
        short = counts.index[counts != n_categories]
        raise DataError(
            f"{name}: {len(short)} incidents lack a category (the first is {short[0]!r}). "
            f"A gap is not an absence: give every incident all {n_categories}."
        )
    return check_table(table[["incident_id", "category", *_VALUES]], "coded", source=name)


def _read(path: str | Path) -> pd.DataFrame:
    file = check_file(path, what="Predictions")
    kind = file.suffix.lower()
    readers = {
        ".csv": pd.read_csv,
        ".tsv": lambda f: pd.read_csv(f, sep="\t"),
        ".xlsx": pd.read_excel,
        ".parquet": pd.read_parquet,
        ".pq": pd.read_parquet,
    }
    check_choice(kind, readers, name="Kind of file")
    try:
        table: pd.DataFrame = readers[kind](file)
    except Exception as error:  # whatever a reader makes of a damaged file
        raise DataError(
            f"{file.name!r} cannot be read as a table ({type(error).__name__})."
        ) from None
    if kind in (".csv", ".parquet") and any(str(c).endswith(_DECISION) for c in table.columns):
        return read_coded(file)
    return table


def _lengthen(
    table: pd.DataFrame, codebook: Codebook | None, rename: dict[str, str], name: str
) -> pd.DataFrame:
    """Return a wide table as long, with `probability` or `predicted`."""
    table = table.rename(columns=lambda c: str(c).removesuffix(_PROBABILITY)).rename(columns=rename)
    if table.columns.duplicated().any():
        double = table.columns[table.columns.duplicated()][0]
        raise DataError(f"{name}: two columns stand for {double!r}. Keep one.")
    names = [c for c in table.columns if c != "incident_id"]
    if codebook is not None:
        names = [c for c in names if c in codebook]
        missing = [c for c in codebook.category_ids if c not in names]
        if missing and not names:
            check_columns(table.columns, missing, source=name)
    if not names:
        raise DataError(f"{name}: no column holds a category. Give one column a category.")
    long = table.melt(
        id_vars="incident_id", value_vars=names, var_name="category", value_name="value"
    )
    order = pd.Index(table["incident_id"])
    if order.duplicated().any():
        raise DataError(f"{name}: {order[order.duplicated()][0]!r} stands in two rows. Keep one.")
    position = order.get_indexer(pd.Index(long["incident_id"]))
    long = long.iloc[np.argsort(position, kind="stable")].reset_index(drop=True)
    values = pd.to_numeric(long["value"], errors="coerce")
    probable = values.notna().all() and not values.isin([0, 1]).all()
    long["probability" if probable else "predicted"] = values if probable else long["value"]
    return long.drop(columns="value")


def _check_categories(found: Sequence[str], codebook: Codebook | None, name: str) -> None:
    if codebook is None:
        return
    unknown = [category for category in found if category not in codebook]
    if unknown:
        near = difflib.get_close_matches(unknown[0], codebook.category_ids, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"{name}: category {unknown[0]!r} is not in codebook {codebook.id} {codebook.version}."
            f"{hint} Available: {', '.join(codebook.category_ids)}. Use rename= to map it."
        )


def _complete(
    table: pd.DataFrame, threshold: float | Mapping[str, float], name: str
) -> pd.DataFrame:
    """Fill in what follows from the values that are there."""
    given = [value for value in _VALUES if value in table.columns]
    if not given:
        check_columns(table.columns, ["probability"], source=name)
    for value in given:
        gaps = table[value].isna().to_numpy()
        if gaps.any():
            raise DataError(
                f"{name}: {value} is missing for {int(gaps.sum())} incidents and categories (the "
                f"first is row {int(gaps.nonzero()[0][0]) + 1}). A gap is not an absence: fill it."
            )
    table = table.copy()
    if "probability" in given:
        numbers = pd.to_numeric(table["probability"], errors="coerce")
        if not numbers.between(0, 1).all():
            raise DataError(f"{name}: probability must be a number from 0 to 1 throughout.")
        table["probability"] = numbers.astype(float)
    if "decision" in given:
        table["decision"] = table["decision"].astype(str).str.strip().str.lower()
        for value in table["decision"].unique():
            check_choice(value, DECISIONS, name=f"{name}: decision")
    if "predicted" in given:
        table["predicted"] = as_bool(table["predicted"], source=name)
    elif "probability" in given:
        cut = _thresholds(table["category"], threshold)
        table["predicted"] = table["probability"] >= cut
    elif (table["decision"] == "review").any():
        raise DataError(
            f"{name}: a decision 'review' says neither yes nor no. Give the column probability or "
            f"predicted beside it."
        )
    else:
        table["predicted"] = table["decision"] == "present"
    if "probability" not in given:
        table["probability"] = table["predicted"].astype(float)
    if "decision" not in given:
        table["decision"] = np.where(table["predicted"], "present", "absent")
    return table


def _thresholds(categories: pd.Series, threshold: float | Mapping[str, float]) -> np.ndarray:
    if not isinstance(threshold, Mapping):
        return np.full(len(categories), float(threshold))
    missing = sorted(set(categories) - set(threshold))
    if missing:
        raise DataError(
            f"threshold: no value for category {missing[0]!r}. Give one number for all, or one "
            f"for each category."
        )
    return categories.map(dict(threshold)).to_numpy(dtype=float)
