"""The tables that pass between the stages, each with one schema.

A table is checked where it enters a stage: `check_table(frame, "gold")` returns a cleaned copy or
raises a `DataError` that names the table, the column and the rows, and never a value that could be
narrative text.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns, rows_text

if TYPE_CHECKING:
    import pandera.pandas as pandera

DECISIONS = ("present", "absent", "review")
SOURCES = ("agreed", "adjudicated", "single")
ESTIMATORS = ("naive", "gold_only", "dsl", "ppi", "rogan_gladen")

# Columns that must be there; all others of the schema are optional.
REQUIRED = {
    "incidents": ["incident_id", "narrative"],
    "sample": ["incident_id", "inclusion_probability"],
    "codings": ["incident_id", "coder_id", "category", "present"],
    "gold": ["incident_id", "category", "present"],
    "coded": ["incident_id", "category", "probability", "decision"],
    "evidence": ["incident_id", "category", "start", "end", "weight"],
    "estimates": [
        "term",
        "category",
        "estimator",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
    ],
}
# What identifies a row.
KEYS = {
    "incidents": ["incident_id"],
    "sample": ["incident_id"],
    "codings": ["incident_id", "coder_id", "category"],
    "gold": ["incident_id", "category"],
    "coded": ["incident_id", "category"],
}
ESTIMATE_COLUMNS = [
    "term",
    "category",
    "estimator",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "p_value",
    "p_adjusted",
    "n_gold",
    "n_total",
    "n_clusters",
]
_TEXT_COLUMNS = {
    "incident_id",
    "narrative",
    "coder_id",
    "category",
    "note",
    "stratum",
    "design",
    "source",
    "agency_id",
    "practitioner_id",
    "codebook_version",
    "decision",
    "term",
    "estimator",
    "text",
}
_TRUE = {"1", "1.0", "true", "t", "yes", "y", "x"}
_FALSE = {"0", "0.0", "false", "f", "no", "n", ""}


@lru_cache
def _schema(name: str) -> pandera.DataFrameSchema:
    import pandera.pandas as pa

    probability = pa.Check.in_range(0, 1)
    columns: dict[str, Any] = {
        "incident_id": pa.Column(str, pa.Check.str_length(min_value=1)),
        "narrative": pa.Column(str),
        "coder_id": pa.Column(str, pa.Check.str_length(min_value=1)),
        "category": pa.Column(str, pa.Check.str_length(min_value=1)),
        "present": pa.Column(bool),
        "severity": pa.Column(float, pa.Check.isin([0, 1, 2]), nullable=True),
        "evidence_start": pa.Column(float, pa.Check.ge(0), nullable=True),
        "evidence_end": pa.Column(float, pa.Check.ge(0), nullable=True),
        "start": pa.Column(int, pa.Check.ge(0)),
        "end": pa.Column(int, pa.Check.ge(0)),
        "weight": pa.Column(float),
        "inclusion_probability": pa.Column(
            float, pa.Check(lambda p: (p > 0) & (p <= 1), name="in (0, 1]"), nullable=name == "gold"
        ),
        "probability": pa.Column(float, probability),
        "decision": pa.Column(str, pa.Check.isin(list(DECISIONS))),
        "source": pa.Column(str, pa.Check.isin(list(SOURCES))),
        "estimator": pa.Column(str, pa.Check.isin(list(ESTIMATORS))),
        "estimate": pa.Column(float, nullable=True),
        "std_error": pa.Column(float, nullable=True),
        "conf_low": pa.Column(float, nullable=True),
        "conf_high": pa.Column(float, nullable=True),
    }
    required = REQUIRED[name]
    optional = {
        "sample": [],
        "incidents": [],
        "codings": ["severity", "evidence_start", "evidence_end"],
        "gold": ["severity", "source", "inclusion_probability"],
        "coded": [],
        "evidence": [],
        "estimates": [],
    }[name]
    chosen = {column: columns[column] for column in required if column in columns}
    for column in optional:
        chosen[column] = columns[column]
        chosen[column].required = False
    return pa.DataFrameSchema(chosen, coerce=True, strict=False)


_WORDS = {
    "not_nullable": "is missing",
    "str_length(1, None)": "is empty",
    "in_range(0, 1)": "is not between 0 and 1",
    "in (0, 1]": "is not in (0, 1]",
    "greater_than_or_equal_to(0)": "is below 0",
    "coerce_dtype('float64')": "is not a number",
    "coerce_dtype('int64')": "is not a whole number",
}


def _describe_check(check: str) -> tuple[str, str]:
    """Return what a failed check of a schema means, after "column x", and what to do then."""
    if check in ("not_nullable", "str_length(1, None)"):
        return _WORDS[check], "Fill these cells in, or leave those rows out."
    if check.startswith("isin("):
        allowed = ast.literal_eval(check.removeprefix("isin(").removesuffix(")"))
        return f"is none of {', '.join(map(str, allowed))}", "Correct these values and try again."
    return _WORDS.get(check, f"does not meet {check}"), "Correct these values and try again."


def as_bool(values: pd.Series, *, source: str) -> pd.Series:
    """Return `values` as bools, reading 1/0, true/false, yes/no, x and blank.

    Raises
    ------
    DataError
        If a value is none of these; the message gives the rows.
    """
    if values.dtype == bool:
        return values
    text = values.astype("string").str.strip().str.lower().fillna("")
    wrong = ~text.isin(_TRUE | _FALSE)
    if wrong.any():
        rows = [int(i) + 1 for i in wrong.to_numpy().nonzero()[0]]
        raise DataError(
            f"{source}: column {values.name!r} has values that are not yes or no in "
            f"{rows_text(rows)}. Allowed: 1/0, true/false, yes/no, x or blank."
        )
    return text.isin(_TRUE).astype(bool)


def check_table(frame: pd.DataFrame, name: str, *, source: str | None = None) -> pd.DataFrame:
    """Return a cleaned copy of `frame` that fits the schema of table `name`.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table; columns that the schema does not know are kept.
    name : str
        One of incidents, sample, codings, gold, coded, evidence, estimates.
    source : str, optional
        What to call the table in a message (a file name, say).

    Raises
    ------
    DataError
        If columns are missing, values are not allowed or rows are doubled. Rows are counted from 1,
        without the header.
    """
    import pandera.errors

    check_choice(name, REQUIRED, name="table")
    source = source or f"table {name}"
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{source}: a pandas DataFrame is needed, got {type(frame).__name__}.")
    check_columns(frame.columns, REQUIRED[name], source=source)
    clean = frame.reset_index(drop=True).copy()
    for column in clean.columns.intersection(list(_TEXT_COLUMNS)):
        if column != "narrative" and clean[column].notna().all():
            clean[column] = clean[column].astype(str)
    if "present" in clean.columns:
        if name == "gold" and clean["present"].isna().any():
            rows = [int(i) + 1 for i in clean["present"].isna().to_numpy().nonzero()[0]]
            raise DataError(f"{source}: column 'present' is missing in {rows_text(rows)}.")
        clean["present"] = as_bool(clean["present"], source=source)
    try:
        clean = _schema(name).validate(clean, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        first = cases.iloc[0]
        same = cases[(cases["column"] == first["column"]) & (cases["check"] == first["check"])]
        rows = [int(i) + 1 for i in same["index"].dropna().unique()]
        where = f" in {rows_text(rows)}" if rows else ""
        problem, advice = _describe_check(str(first["check"]))
        raise DataError(
            f"{source}: column {first['column']!r} {problem}{where}. {advice}"
        ) from None
    keys = KEYS.get(name)
    if name == "codings" and "evidence_start" in clean.columns:
        keys = None  # one row for each span
    if keys is not None:
        double = clean.duplicated(keys)
        if double.any():
            rows = [int(i) + 1 for i in double.to_numpy().nonzero()[0]]
            raise DataError(
                f"{source}: {' and '.join(keys)} must be unique together, but {rows_text(rows)} "
                f"repeat an earlier row. Remove the repeats."
            )
    return clean


def pivot_categories(
    table: pd.DataFrame,
    value: str,
    *,
    ids: pd.Index | None = None,
    categories: list[str] | None = None,
) -> pd.DataFrame:
    """Return a long table as one row an incident and one column a category.

    Parameters
    ----------
    table : pandas.DataFrame
        With `incident_id`, `category` and the column named by `value`.
    value : str
        The column that fills the cells; a pair that has no row is missing.
    ids, categories : optional
        The order of rows and columns; by default that of first appearance.
    """
    ids = pd.Index(table["incident_id"].unique()) if ids is None else ids
    names = list(table["category"].unique()) if categories is None else categories
    wide = table.pivot(index="incident_id", columns="category", values=value)
    wide = wide.reindex(index=ids, columns=names)
    wide.columns.name = None
    wide.index.name = "incident_id"
    return wide
