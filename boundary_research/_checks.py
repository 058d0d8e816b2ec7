"""Checks that return the cleaned value, and the one error that users see."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class DataError(ValueError):
    """Something in the user's data, files or arguments is not as it must be.

    The message is one paragraph: what was found, what is allowed, what to do next. It names the
    file, the row and the column, and never holds narrative text.
    """


def check_choice(value: Any, allowed: Iterable[str], *, name: str) -> str:
    """Return `value` if it is one of `allowed`.

    Raises
    ------
    DataError
        If it is not; the message lists what is available.

    Examples
    --------
    >>> check_choice("dsl", ["naive", "dsl"], name="estimator")
    'dsl'
    """
    allowed = list(allowed)
    if value not in allowed:
        raise DataError(f"{name} {value!r} not found. Available: {', '.join(map(str, allowed))}.")
    return str(value)


def check_columns(columns: Iterable[Any], required: Sequence[str], *, source: str) -> None:
    """Raise a DataError that names the missing columns and the ones that are there."""
    found = [str(column) for column in columns]
    missing = [column for column in required if column not in found]
    if missing:
        listed = ", ".join(found[:20]) + (", …" if len(found) > 20 else "")
        what = "column" if len(missing) == 1 else "columns"
        raise DataError(
            f"{source}: {what} {', '.join(map(repr, missing))} not found. "
            f"Columns there are: {listed or 'none'}. Rename the column or map it."
        )


def check_fraction(value: Any, *, name: str, zero: bool = False, one: bool = False) -> float:
    """Return `value` as a float in (0, 1), with 0 or 1 allowed on request."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be a number, got {type(value).__name__}.") from None
    low = number >= 0 if zero else number > 0
    high = number <= 1 if one else number < 1
    if not (low and high):
        interval = f"{'[' if zero else '('}0, 1{']' if one else ')'}"
        raise DataError(f"{name} must lie in {interval}, got {number:g}.")
    return number


def check_random_state(random_state: int | np.random.Generator | None) -> np.random.Generator:
    """Return a generator of its own; the global one is never touched."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if random_state is None or isinstance(random_state, int | np.integer):
        return np.random.default_rng(random_state)
    raise DataError(
        f"random_state must be a whole number, a numpy Generator or None, "
        f"got {type(random_state).__name__}."
    )


def check_output_folder(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a folder that exists and can be written to, making it if need be."""
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"Output folder {str(path)!r} cannot be written to ({error.strerror}). "
            f"Choose another with -o or --output, or change its permissions."
        ) from None
    return folder


def check_file(path: str | os.PathLike[str], *, what: str) -> Path:
    """Return `path` as an existing, readable file that is not empty."""
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"{what} {str(path)!r} does not exist. Check the path.")
    if file.is_dir():
        raise DataError(f"{what} {str(path)!r} is a folder; a file is needed.")
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except OSError as error:
        raise DataError(f"{what} {str(path)!r} cannot be read ({error.strerror}).") from None
    if not first:
        raise DataError(f"{what} {str(path)!r} is empty. Check that it was saved or downloaded.")
    return file


def rows_text(rows: Sequence[Any], *, most: int = 5) -> str:
    """Return row numbers as text for a message: ``"rows 3, 8, 9 and 12 more"``."""
    shown = ", ".join(str(row) for row in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
