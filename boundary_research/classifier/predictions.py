"""Predictions of any other coder: another tool, a language model, a keyword list, a colleague."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from boundary_research._checks import (
    DataError,
    check_choice,
    check_columns,
    check_file,
    check_fraction,
    rows_text,
)
from boundary_research._tables import as_bool, check_table
from boundary_research.classifier._prediction_columns import (
    read_probabilities,
    read_yes_or_no,
    refuse_gaps,
    refuse_other_decisions,
)
from boundary_research.classifier.decisions import is_coded, lengthen_coded
from boundary_research.codebook.model import Codebook
from boundary_research.corpus._readers import sniff_delimiter
from boundary_research.corpus.incidents import LoadedIncidents

_PROBABILITY = "_probability"
_VALUES = ("probability", "predicted", "decision")
_HEAD = 200_000  # characters of a file that show how it is delimited


def read_predictions(
    source: str | Path | pd.DataFrame,
    *,
    codebook: Codebook | None = None,
    incidents: pd.DataFrame | LoadedIncidents | None = None,
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
        (0 to 1), `predicted` (yes or no) and `decision` (present, absent, review); other columns
        are passed over.
        Wide: one row an incident and one column a category, which holds either 0/1 (yes/no) or
        probabilities. Besides the id, **every** column is taken for a category: one that holds
        neither is refused by name, but an attribute that is 0/1 cannot be told from a category
        unless a codebook says so. Drop such columns, or give the codebook. A ``coded.csv`` of this
        package is read as such.
    codebook : Codebook, optional
        Every category, and so every column of a wide table, must then be the codebook's.
    incidents : DataFrame or LoadedIncidents, optional
        Every incident of it must then have predictions; others are left out.
    id_column : str
        The column with the incident's id.
    threshold : float or mapping of category to float
        Probability, above 0 and below 1, from which `predicted` is yes, where the source gives
        only probabilities.
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
        `rename` has a name that the source has not, values are neither probabilities nor yes and
        no, or incidents have no predictions.

    Examples
    --------
    >>> table = pd.DataFrame({"incident_id": ["a", "b"], "gift": [0.9, 0.2], "debt": [0.4, 0.6]})
    >>> read_predictions(table, threshold={"gift": 0.5, "debt": 0.3})["predicted"].tolist()
    [True, True, False, True]
    """
    name = "predictions" if isinstance(source, pd.DataFrame) else Path(source).name
    _check_threshold(threshold)
    table = _with_ids(source, id_column, name)
    if "category" not in table.columns:
        table = _lengthen(table, codebook, dict(rename or {}), name)
    else:
        table = _rename_categories(table, dict(rename or {}), name)
    _check_categories(table["category"].unique().tolist(), codebook, name)
    if table.duplicated(["incident_id", "category"]).any():
        raise DataError(
            f"{name}: some incidents have two predictions of one category "
            f"({int(table.duplicated(['incident_id', 'category']).sum())} repeats). Keep one."
        )
    if incidents is not None:
        table = _keep_incidents(table, incidents, name)
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


def _with_ids(source: str | Path | pd.DataFrame, id_column: str, name: str) -> pd.DataFrame:
    """Return the source as a table with text in `incident_id` and gaps where cells are blank."""
    table = source if isinstance(source, pd.DataFrame) else _read(source, id_column)
    _check_id_column(table.columns, id_column, name)
    table = table.reset_index(drop=True).rename(columns={id_column: "incident_id"})
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            table[column] = table[column].replace(r"^\s*$", np.nan, regex=True)
    if table["incident_id"].isna().any():
        rows = [int(i) + 1 for i in table["incident_id"].isna().to_numpy().nonzero()[0]]
        raise DataError(f"{name}: {id_column} is missing in {rows_text(rows)}. Fill it in.")
    table["incident_id"] = table["incident_id"].astype(str)
    return lengthen_coded(table, source=name) if is_coded(table) else table


def _check_id_column(columns: pd.Index, id_column: str, name: str) -> None:
    """Refuse a table without its ids, or with two columns of one name."""
    found = [str(column) for column in columns]
    if id_column not in found:
        listed = ", ".join(found[:20]) + (", …" if len(found) > 20 else "")
        raise DataError(
            f"{name}: column {id_column!r} not found; it is to hold the incidents' ids. "
            f"Columns there are: {listed or 'none'}. Name the one with the ids by id_column=."
        )
    double = [column for column in found if found.count(column) > 1]
    if id_column != "incident_id" and "incident_id" in found:
        raise DataError(
            f"{name}: there is a column 'incident_id' beside {id_column!r}, the one of id_column=. "
            f"Drop the one that does not hold the ids."
        )
    if double:
        raise DataError(f"{name}: two columns are called {double[0]!r}. Keep one.")


def _read(path: str | Path, id_column: str) -> pd.DataFrame:
    file = check_file(path, what="Predictions")
    ids_as_text = {id_column: "str"}  # else 007 becomes 7
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: pd.read_csv(file, dtype=ids_as_text, sep=_delimiter(file, id_column)),
        ".tsv": lambda: pd.read_csv(file, dtype=ids_as_text, sep="\t"),
        ".xlsx": lambda: pd.read_excel(file, dtype=ids_as_text),
        ".parquet": lambda: pd.read_parquet(file),
        ".pq": lambda: pd.read_parquet(file),
    }
    kind = check_choice(file.suffix.lower(), readers, name="Kind of file")
    try:
        return readers[kind]()
    except Exception as error:  # whatever a reader makes of a damaged file
        raise DataError(
            f"{file.name!r} cannot be read as a table ({type(error).__name__})."
        ) from None


def _delimiter(file: Path, id_column: str) -> str:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return sniff_delimiter(stream.read(_HEAD), [id_column])


def _lengthen(
    table: pd.DataFrame, codebook: Codebook | None, rename: dict[str, str], name: str
) -> pd.DataFrame:
    """Return a wide table as long, with `probability` or `predicted`."""
    found = {str(c): str(c).removesuffix(_PROBABILITY) for c in table.columns}
    del found["incident_id"]
    _check_rename(rename, [*found, *found.values()], "columns", name)
    names = [rename.get(column, rename.get(stem, stem)) for column, stem in found.items()]
    if not names:
        raise DataError(f"{name}: no column holds a category. Give one column a category.")
    double = [category for category in names if names.count(category) > 1]
    if double:
        raise DataError(f"{name}: two columns stand for {double[0]!r}. Keep one.")
    _check_categories(names, codebook, name, wide=True)
    order = pd.Index(table["incident_id"])
    if order.duplicated().any():
        raise DataError(f"{name}: {order[order.duplicated()][0]!r} stands in two rows. Keep one.")
    advice = (
        f"Neither are they yes and no. Every column besides the id is taken for a category: drop "
        f"{{column!r}} if it is none{'' if codebook else ', or give codebook='}."
    )
    decided = []
    for column in found:
        refuse_gaps(table[column], column, source=name)
        decided.append(read_yes_or_no(table[column]))
    probable = any(values is None for values in decided)
    cells = [
        read_probabilities(table[c], c, source=name, otherwise=advice.format(column=c))
        if yes is None
        else yes
        for c, yes in zip(found, decided, strict=True)
    ]
    values = np.column_stack([part.to_numpy(float if probable else bool) for part in cells])
    return pd.DataFrame(
        {
            "incident_id": np.repeat(table["incident_id"].to_numpy(), len(names)),
            "category": np.tile(np.array(names, dtype=object), len(table)),
            "probability" if probable else "predicted": values.ravel(),
        }
    )


def _rename_categories(table: pd.DataFrame, rename: dict[str, str], name: str) -> pd.DataFrame:
    refuse_gaps(table["category"], "category", source=name)
    categories = table["category"].astype(str)
    _check_rename(rename, categories.unique().tolist(), "categories", name)
    return table.assign(category=categories.replace(rename))


def _check_rename(rename: dict[str, str], found: Sequence[str], what: str, name: str) -> None:
    unknown = [key for key in rename if key not in found]
    if unknown:
        listed = list(dict.fromkeys(found))
        shown = ", ".join(listed[:20]) + (", …" if len(listed) > 20 else "")
        raise DataError(
            f"{name}: rename has {', '.join(map(repr, unknown))}, which the source has not. Its "
            f"{what}: {shown}. The source's name comes first: {{'theirs': 'ours'}}."
        )


def _check_categories(
    found: Sequence[str], codebook: Codebook | None, name: str, *, wide: bool = False
) -> None:
    if codebook is None:
        return
    unknown = [category for category in found if category not in codebook]
    if unknown:
        near = difflib.get_close_matches(unknown[0], codebook.category_ids, n=1)
        hint = f" Did you mean {near[0]!r} for {unknown[0]!r}?" if near else ""
        what = "column" if wide else "category"
        listed = ", ".join(map(repr, unknown))
        raise DataError(
            f"{name}: {what} {listed} not found in codebook {codebook.id} {codebook.version}."
            f"{hint} Available: {', '.join(codebook.category_ids)}. Use rename= to map what is a "
            f"category, and drop what is none."
        )


def _keep_incidents(
    table: pd.DataFrame, incidents: pd.DataFrame | LoadedIncidents, name: str
) -> pd.DataFrame:
    """Return the predictions of the incidents, each of which must have some."""
    frame = incidents.incidents if isinstance(incidents, LoadedIncidents) else incidents
    check_columns(frame.columns, ["incident_id"], source="incidents")
    wanted = frame["incident_id"].astype(str)
    absent = wanted[~wanted.isin(table["incident_id"])]
    if len(absent):
        raise DataError(
            f"{name}: {len(absent)} of {len(wanted)} incidents have no predictions (the first "
            f"is {absent.iloc[0]!r}). Predict them, or leave them out of the incidents."
        )
    return table[table["incident_id"].isin(set(wanted))]


def _complete(
    table: pd.DataFrame, threshold: float | Mapping[str, float], name: str
) -> pd.DataFrame:
    """Fill in what follows from the values that are there."""
    given = [value for value in _VALUES if value in table.columns]
    if not given:
        check_columns(table.columns, ["probability"], source=name)
    table = table.copy()
    for value in given:
        refuse_gaps(table[value], value, source=name)
    if "probability" in given:
        table["probability"] = read_probabilities(table["probability"], "probability", source=name)
    if "decision" in given:
        table["decision"] = table["decision"].astype(str).str.strip().str.lower()
        refuse_other_decisions(table["decision"], "decision", source=name)
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


def _check_threshold(threshold: float | Mapping[str, float]) -> None:
    if not isinstance(threshold, Mapping):
        check_fraction(threshold, name="threshold")
        return
    for category, value in threshold.items():
        check_fraction(value, name=f"threshold of category {category!r}")


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
