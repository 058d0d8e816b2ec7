"""Checks of texts and codes that enter the classifier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from boundary_research._checks import DataError


def check_texts(texts: Any) -> list[str]:
    """Return the texts as a list of str; DataError names the entry that is none."""
    if isinstance(texts, str):
        raise DataError("texts must be a sequence of texts, got one text. Put it in a list.")
    if sparse.issparse(texts):
        raise DataError("texts must be a sequence of texts, got a sparse matrix.")
    result: Iterable[Any] = texts.tolist() if hasattr(texts, "tolist") else texts
    if not isinstance(result, Iterable):
        raise DataError(f"texts must be a sequence of texts, got {type(texts).__name__}.")
    result = list(result)
    for number, text in enumerate(result, 1):
        if not isinstance(text, str):
            raise DataError(
                f"texts: entry {number} is {type(text).__name__}, not text. "
                f"Drop missing narratives first; load_incidents does."
            )
    return result


def check_per_narrative(n: int, **given: Any) -> None:
    """Raise a DataError that names an argument without one entry for each of n narratives."""
    for name, entries in given.items():
        if entries is not None and len(entries) != n:
            raise DataError(f"{name} has {len(entries)} entries for {n} narratives.")


def check_auxiliary(auxiliary: Any, n: int) -> np.ndarray:
    """Return which narratives are never held out as bools, shape (n,); none by default."""
    if auxiliary is None:
        return np.zeros(n, dtype=bool)
    check_per_narrative(n, auxiliary=auxiliary)
    values = np.asarray(auxiliary)
    if values.dtype != bool:
        raise DataError(f"auxiliary must be True or False for each narrative, got {values.dtype}.")
    if values.all():
        raise DataError(
            "auxiliary is True for every narrative, so that none is left to calibrate on. Leave "
            "it out, or mark only narratives that were written to teach."
        )
    return values


def check_codes(codes: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return category names, shape (k,), and labels as bools, shape (n, k)."""
    if isinstance(codes, pd.DataFrame):
        names = np.array([str(column) for column in codes.columns], dtype=object)
        values = codes.to_numpy()
    else:
        values = codes.toarray() if sparse.issparse(codes) else np.asarray(codes)
        values = values[:, None] if values.ndim == 1 else values
        names = np.array([str(j) for j in range(values.shape[1])], dtype=object)
    if values.ndim != 2 or len(values) != n:
        raise DataError(
            f"codes must have one row for each of the {n} narratives, got shape {values.shape}."
        )
    if n == 0 or values.shape[1] == 0:
        raise DataError(f"codes has shape {values.shape}: at least one row and column are needed.")
    if len(set(names)) != len(names):
        raise DataError("codes: category names must be unique.")
    if values.dtype != bool:
        try:
            numbers = values.astype(float)
        except (TypeError, ValueError):
            numbers = np.full(values.shape, np.nan)
        if not np.isin(numbers, (0.0, 1.0)).all():
            raise DataError("codes must be True/False or 1/0 in every cell, with none missing.")
        values = numbers == 1.0
    return names, values
