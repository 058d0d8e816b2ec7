"""Columns of somebody's predictions: yes and no, probabilities, and what is wrong with others."""

from __future__ import annotations

import re

import pandas as pd

from boundary_research._checks import DataError, rows_text
from boundary_research._tables import DECISIONS, as_bool

_PERCENT = re.compile(r"\s*\d{1,3}([.,]\d+)?\s*%\s*")
_DECIMAL_COMMA = re.compile(r"\s*[01]?,\d+\s*")


def refuse_gaps(values: pd.Series, column: str, *, source: str) -> None:
    """Raise a DataError that names the column and the rows (index from 0), if a cell is missing."""
    gaps = values.isna().to_numpy()
    if gaps.any():
        raise DataError(
            f"{source}: column {column!r} is missing in {rows_text(_numbers(values[gaps]))}. "
            f"A gap is not an absence: fill it."
        )


def refuse_other_decisions(values: pd.Series, column: str, *, source: str) -> None:
    """Raise a DataError that names the column and the rows whose cell is no decision."""
    other = ~values.isin(DECISIONS).to_numpy()
    if other.any():
        # Not the cells: they may hold text of narratives.
        raise DataError(
            f"{source}: column {column!r} is none of {', '.join(DECISIONS)} in "
            f"{rows_text(_numbers(values[other]))}. Correct the cells, or give another column."
        )


def read_yes_or_no(values: pd.Series) -> pd.Series | None:
    """Return a column of yes and no (1 and 0) as bools, and None for any other column.

    Examples
    --------
    >>> read_yes_or_no(pd.Series(["yes", "no"])).tolist()
    [True, False]
    >>> read_yes_or_no(pd.Series([0.2, 1.0])) is None
    True
    """
    if pd.api.types.is_numeric_dtype(values) and not values.isin([0, 1]).all():
        return None
    try:
        return as_bool(values, source="")
    except DataError:
        return None


def read_probabilities(
    values: pd.Series, column: str, *, source: str, otherwise: str = ""
) -> pd.Series:
    """Return a column as probabilities.

    Parameters
    ----------
    values : Series
        Numbers, or texts that are numbers, without gaps; its index counts the rows from 0.
    column : str
        What to call it in a message.
    source : str
        What to call its table.
    otherwise : str
        What else the column might be, and what to do then; ends a message that has no better hint.

    Raises
    ------
    DataError
        If a value is no number from 0 to 1; percentages and decimal commas are named as such.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    wrong = ~numbers.between(0, 1).to_numpy()
    if wrong.any():
        hint = _likely_cause(values[wrong], numbers) or otherwise or "Correct these values."
        raise DataError(
            f"{source}: column {column!r} must hold numbers from 0 to 1 throughout, but does not "
            f"in {rows_text(_numbers(values[wrong]))}. {hint}"
        )
    return numbers


def _likely_cause(wrong: pd.Series, numbers: pd.Series) -> str:
    texts = wrong.astype(str)
    large = numbers.between(0, 100).all() and (numbers > 1).mean() >= 0.5
    if large or texts.str.fullmatch(_PERCENT).all():
        return "They look like percentages: divide them by 100, and leave out the sign %."
    if texts.str.fullmatch(_DECIMAL_COMMA).all():
        return (
            "They look like numbers with a decimal comma: write 0.85 for 0,85, or read the table "
            'with pandas.read_csv(…, decimal=",") and pass it on.'
        )
    return ""


def _numbers(values: pd.Series) -> list[int]:
    """Return the numbers of rows, from 1; the index gives them even where rows were dropped."""
    return [int(i) + 1 for i in values.index]
