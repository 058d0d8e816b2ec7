"""Checks of texts, codes and predictions that enter the classifier or its evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from boundary_research._checks import DataError


class CodedTexts(NamedTuple):
    """What a classifier learns from, checked: n narratives in k categories.

    Attributes
    ----------
    texts : list of str, length n
    names : array of str, shape (k,)
    labels : bool array, shape (n, k)
    ids : list, length n
        What `incident_id` of evidence refers to.
    groups : list, length n, or None
    auxiliary : bool array, shape (n,)
        Narratives that are never held out.
    """

    texts: list[str]
    names: np.ndarray
    labels: np.ndarray
    ids: list[Any]
    groups: list[Any] | None
    auxiliary: np.ndarray


def check_coded_texts(
    texts: Any, codes: Any, *, groups: Any = None, auxiliary: Any = None, **others: Any
) -> CodedTexts:
    """Return what `fit` was given; `others` have one entry a narrative, too."""
    narratives = check_texts(texts)
    n = len(narratives)
    names, labels = check_codes(codes, n)
    check_per_narrative(n, groups=groups, **others)
    never_held = check_auxiliary(auxiliary, n)
    check_order(texts=texts, codes=codes, groups=groups, auxiliary=auxiliary, **others)
    ids = list(codes.index) if isinstance(codes, pd.DataFrame) else list(range(n))
    owners = None if groups is None else list(groups)
    return CodedTexts(narratives, names, labels, ids, owners, never_held)


def check_texts(texts: Any) -> list[str]:
    """Return the texts as a list of str; DataError names the entry that is none."""
    if isinstance(texts, str):
        raise DataError("texts must be a sequence of texts, got one text. Put it in a list.")
    if sparse.issparse(texts):
        raise DataError("texts must be a sequence of texts, got a sparse matrix.")
    if isinstance(texts, pd.DataFrame):
        raise DataError(
            "texts must be a sequence of texts, got a DataFrame. Take its column of narratives."
        )
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


def check_order(**given: Any) -> None:
    """Raise a DataError where tables or series of one length are not in one order.

    Rows are paired by position. A plain index (0 to n - 1, or any RangeIndex) says nothing of
    another order; but where both hold the same labels they must hold them in the same order, and
    two others must be equal.
    """
    indexes = [
        (name, entries.index)
        for name, entries in given.items()
        if isinstance(entries, pd.Series | pd.DataFrame)
    ]
    for (one, first), (other, second) in combinations(indexes, 2):
        if len(first) != len(second) or first.equals(second):
            continue
        if first.isin(second).all() and second.isin(first).all():
            raise DataError(
                f"{one} and {other} have the same index labels in another order, and rows are "
                f"paired by position. Put them in one order first, such as "
                f"{other}.loc[{one}.index]; or, if their rows belong together as they stand, "
                f"reset_index(drop=True) on both."
            )
        if not (_is_plain(first) or _is_plain(second)):
            raise DataError(
                f"the indexes of {one} and {other} differ, so that their rows may not belong "
                f"together. Give both the same index in the same order; or, if their rows belong "
                f"together as they stand, reset_index(drop=True) on both."
            )


def _is_plain(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) or index.equals(pd.RangeIndex(len(index)))


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


def check_held_out(groups: Sequence[Any] | None, auxiliary: np.ndarray) -> None:
    """Raise a DataError where groups or `auxiliary` leave nothing to hold out in turn.

    Parameters
    ----------
    groups : sequence, length n, optional
    auxiliary : bool array, shape (n,)
    """
    own = np.flatnonzero(~auxiliary)
    which = "narratives that are not auxiliary" if auxiliary.any() else "narratives"
    if len(own) < 2 and auxiliary.any():
        raise DataError(
            "auxiliary is False for one narrative only, which cannot be learned from and held out "
            "at once. At least 2 are needed, and many more to calibrate on."
        )
    if groups is not None and len({str(groups[int(row)]) for row in own}) < 2:
        raise DataError(
            f"groups: all {len(own)} {which} are of one group, and one group cannot be learned "
            f"from and held out at once. Give narratives of at least 2 groups, or leave groups out "
            f"to hold out single narratives."
        )


def check_codes(codes: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return category names, shape (k,), and labels as bools, shape (n, k)."""
    if isinstance(codes, pd.DataFrame):
        names = np.array([str(column) for column in codes.columns], dtype=object)
        values = codes.to_numpy()
    else:
        values = codes.toarray() if sparse.issparse(codes) else np.asarray(codes)
        values = values[:, None] if values.ndim == 1 else values
        names = np.array([str(j) for j in range(values.shape[-1])] if values.ndim else [], object)
    if values.ndim != 2 or len(values) != n:
        raise DataError(
            f"codes must have one row for each of the {n} narratives, got shape {values.shape}."
        )
    if n == 0 or values.shape[1] == 0:
        raise DataError(f"codes has shape {values.shape}: at least one row and column are needed.")
    if len(set(names)) != len(names):
        raise DataError("codes: category names must be unique.")
    return names, _read_labels(values, names, name="codes")


def check_known_codes(codes: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, shape (n, k), and which rows have gold codes, shape (n,).

    A row may be missing throughout; its labels are then False.
    """
    if not isinstance(codes, pd.DataFrame):
        raise DataError(
            f"codes must be a DataFrame with one column a category, got {type(codes).__name__}."
        )
    gaps = codes.isna().to_numpy()
    known = ~gaps.any(axis=1)
    if (gaps.any(axis=1) & ~gaps.all(axis=1)).any():
        raise DataError(
            "codes: a narrative has gold codes for some categories only. Code the rest."
        )
    if len(known) and not known.any():
        raise DataError("codes: no narrative has gold codes. Code some by hand first.")
    _, labels = check_codes(codes.astype(object).where(~gaps, False), n)
    return labels, known


def check_codes_of(classes: Iterable[Any], codes: Any, n: int) -> np.ndarray:
    """Return the labels of a model's categories, bool array of shape (n, k).

    The columns of a DataFrame are taken by name, in any order and among others.
    """
    wanted = [str(name) for name in classes]
    if isinstance(codes, pd.DataFrame):
        named = codes.set_axis([str(column) for column in codes.columns], axis=1)
        missing = [name for name in wanted if name not in named.columns]
        if missing:
            raise DataError(
                f"codes: column {missing[0]!r} not found. The model's categories are: "
                f"{', '.join(wanted)}."
            )
        codes = named[wanted]
    _, labels = check_codes(codes, n)
    if labels.shape[1] != len(wanted):
        raise DataError(f"codes has {labels.shape[1]} columns, the model {len(wanted)} categories.")
    return labels


def check_predicted(predicted: Any, codes: Any, names: np.ndarray) -> np.ndarray:
    """Return predicted codes as bools in the shape and order of codes, (n, k)."""
    values = _arrange(predicted, codes, names, name="predicted")
    return _read_labels(values, names, name="predicted")


def check_probabilities(probabilities: Any, codes: Any, names: np.ndarray) -> np.ndarray:
    """Return probabilities as floats in the shape and order of codes, (n, k)."""
    values = _arrange(probabilities, codes, names, name="probabilities")
    numbers = _read_numbers(values)
    wrong = ~((numbers >= 0) & (numbers <= 1))
    if wrong.any():
        row, column = _first_fault(wrong)
        found = "missing or no number" if np.isnan(numbers[row, column]) else "outside [0, 1]"
        raise DataError(
            f"probabilities: column {names[column]!r} must lie in [0, 1] in every cell, with none "
            f"missing; that of row {row + 1} is {found}."
        )
    return numbers


def _arrange(values: Any, codes: Any, names: np.ndarray, *, name: str) -> np.ndarray:
    """Return predictions as an array whose rows and columns are those of codes."""
    shape = (len(codes), len(names))
    if isinstance(values, pd.DataFrame):
        values = values.set_axis([str(column) for column in values.columns], axis=1)
        if sorted(values.columns) != sorted(names):
            odd = [*(set(values.columns) ^ set(names))] or [*values.columns]
            raise DataError(
                f"{name}: its columns must be those of codes ({', '.join(names)}), each once; "
                f"{min(odd)!r} is not in both."
            )
        if isinstance(codes, pd.DataFrame) and not values.index.equals(codes.index):
            raise DataError(
                f"{name}: its index must be that of codes, in the same order. Use "
                f"{name}.loc[codes.index], or {name}.to_numpy() if its rows are those of codes "
                f"already."
            )
        values = values[list(names)].to_numpy()
    array = values.toarray() if sparse.issparse(values) else np.asarray(values)
    if array.shape != shape:
        raise DataError(f"{name} {array.shape} must have the shape of codes, {shape}.")
    return array


def _read_labels(values: np.ndarray, names: np.ndarray, *, name: str) -> np.ndarray:
    """Return True/False or 1/0 as bools; DataError names the first column with another cell."""
    if values.dtype == bool:
        return values
    numbers = _read_numbers(values)
    wrong = ~np.isin(numbers, (0.0, 1.0))
    if wrong.any():
        row, column = _first_fault(wrong)
        found = values[row, column]
        kind = "missing" if pd.api.types.is_scalar(found) and pd.isna(found) else "neither"
        raise DataError(
            f"{name}: column {names[column]!r} must be True/False or 1/0 in every cell, with none "
            f"missing; that of row {row + 1} is {kind}. Map yes and no to True and False, and "
            f"leave out narratives that were not coded."
        )
    return numbers == 1.0


def _read_numbers(values: np.ndarray) -> np.ndarray:
    """Return cells as floats, NaN where a cell is missing or no number."""
    try:
        return values.astype(float)
    except (TypeError, ValueError):
        numbers = [pd.to_numeric(pd.Series(list(c)), errors="coerce") for c in values.T]
        return np.column_stack([column.to_numpy(float, na_value=np.nan) for column in numbers])


def _first_fault(wrong: np.ndarray) -> tuple[int, int]:
    """Return row and column of the first cell at fault, of the first column that has one."""
    column = int(wrong.any(axis=0).argmax())
    return int(wrong[:, column].argmax()), column
