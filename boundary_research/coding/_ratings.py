"""Ratings as agreement code needs them: category codes, counts, weights and clusters of units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from boundary_research._checks import DataError, rows_text

MISSING = -1


@dataclass(frozen=True)
class Ratings:
    """Ratings of n units by c coders in q categories.

    Attributes
    ----------
    codes : ndarray of int, shape (n, c)
        Position of the category in `categories`, -1 where not coded.
    categories : tuple
        The q categories in their order.
    values : ndarray of float, shape (q,)
        The categories as numbers, or their ranks 1 … q where they are text.
    numeric : bool
        Whether `values` are numbers that the user gave.
    coders : tuple
        The c coders.
    weights : ndarray of float, shape (n,)
        Unit weights, scaled to a mean of one.
    clusters : ndarray of int, shape (n,), or None
        Cluster of each unit.
    weighted : bool
        Whether an inclusion probability was given.
    """

    codes: np.ndarray
    categories: tuple[Any, ...]
    values: np.ndarray
    numeric: bool
    coders: tuple[Any, ...]
    weights: np.ndarray
    clusters: np.ndarray | None
    weighted: bool

    @property
    def counts(self) -> np.ndarray:
        """How many coders put unit i in category k, shape (n, q)."""
        n, q = len(self.codes), len(self.categories)
        unit, coder = np.nonzero(self.codes != MISSING)
        cells = np.bincount(unit * q + self.codes[unit, coder], minlength=n * q)
        return cells.reshape(n, q).astype(float)

    @property
    def sparse_counts(self) -> Any:
        """The same as a sparse array, for many categories."""
        n, q = len(self.codes), len(self.categories)
        unit, coder = np.nonzero(self.codes != MISSING)
        cells = (np.ones(len(unit)), (unit, self.codes[unit, coder]))
        return sparse.coo_array(cells, shape=(n, q)).tocsr()

    def keep(self, units: np.ndarray) -> Ratings:
        """Return the ratings of some units, `units` being a mask of shape (n,)."""
        weights = self.weights[units]
        if weights.size:
            weights = weights / weights.mean()
        clusters = None if self.clusters is None else _recode(self.clusters[units])
        return replace(self, codes=self.codes[units], weights=weights, clusters=clusters)


def _recode(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(values, return_inverse=True)[1])


def read_ratings(
    ratings: Any,
    *,
    categories: Sequence[Any] | None = None,
    inclusion_probability: Any = None,
    clusters: Any = None,
) -> Ratings:
    """Return ratings of shape (units, coders) as a `Ratings`; units that nobody coded are dropped.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        Numbers, bools or text; NaN, None or NA where a coder did not code a unit.
    categories : sequence, optional
        All categories that coders could choose, in their order; by default those that occur, in
        ascending order (that of an ordered pandas categorical where all columns are one).
    inclusion_probability : array-like, shape (units,), optional
        Probability with which each unit was drawn, in (0, 1].
    clusters : array-like, shape (units,), optional
        What each unit belongs to (its agency, say).

    Raises
    ------
    DataError
        If the shape is not two-dimensional, a value is not among `categories`, lengths differ, or a
        probability is outside (0, 1].
    """
    table, coders = _as_object_table(ratings)
    missing: np.ndarray = np.asarray(pd.isna(table))
    if categories is None:
        categories = _categories_of(ratings)
    codes, order, numeric, values = _encode(table, missing, categories)
    n = len(table)
    weights = _read_weights(inclusion_probability, n)
    groups = _read_clusters(clusters, n)
    rated = np.asarray(~missing.all(axis=1))
    read = Ratings(
        codes=codes,
        categories=order,
        values=values,
        numeric=numeric,
        coders=coders,
        weights=weights,
        clusters=groups,
        weighted=inclusion_probability is not None,
    )
    return read.keep(rated)


def _as_object_table(ratings: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
    if isinstance(ratings, pd.DataFrame):
        if all(pd.api.types.is_numeric_dtype(dtype) for dtype in ratings.dtypes) and len(ratings):
            return ratings.to_numpy(dtype=float, na_value=np.nan), tuple(ratings.columns)
        return ratings.to_numpy(dtype=object), tuple(ratings.columns)
    if isinstance(ratings, np.ndarray):
        table = ratings
    else:
        try:
            table = np.asarray(ratings, dtype=object)
        except ValueError:
            table = np.empty(0, dtype=object)
    if table.ndim != 2:
        raise DataError(
            f"ratings must have two dimensions (units, coders), got {table.ndim}. Give one row a "
            f"unit and one column a coder, with NaN where a coder did not code a unit."
        )
    if table.dtype.kind in "iufb":
        table = table.astype(float)
    elif table.dtype.kind != "O":
        table = table.astype(object)
    return table, tuple(range(table.shape[1]))


def _categories_of(ratings: Any) -> list[Any] | None:
    """Return the order of an ordered categorical that all columns share, if they do."""
    if not isinstance(ratings, pd.DataFrame) or not len(ratings.columns):
        return None
    dtypes = list(ratings.dtypes)
    first = dtypes[0]
    if isinstance(first, pd.CategoricalDtype) and all(dtype == first for dtype in dtypes):
        return list(first.categories)
    return None


def _encode(
    table: np.ndarray, missing: np.ndarray, categories: Sequence[Any] | None
) -> tuple[np.ndarray, tuple[Any, ...], bool, np.ndarray]:
    found = table[~missing]
    try:
        uniques = pd.unique(found)
        numeric = all(isinstance(u, int | float | np.number | np.bool_) for u in uniques)
        if numeric:
            uniques = np.asarray(uniques, dtype=float)
            found = found.astype(float)
        if categories is not None:
            order = list(categories)
            numeric = bool(order) and all(
                isinstance(c, int | float | np.number | np.bool_) for c in order
            )
        elif numeric:
            order = sorted(uniques.tolist())
        else:
            order = sorted(uniques.tolist(), key=lambda u: (str(type(u)), u))
        index = pd.Index(order, dtype=float if numeric else object)
        if index.has_duplicates:
            raise DataError("categories must be unique, but one is given twice. Remove the repeat.")
        positions = index.get_indexer(pd.Index(found, dtype=index.dtype))
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "ratings must be numbers or text, with NaN where not coded. Sets of "
            "categories go to set_alpha."
        ) from None
    if (positions < 0).any():
        rows = np.nonzero(~missing)[0][positions < 0]
        listed = ", ".join(map(str, order[:10]))
        raise DataError(
            f"ratings: a value in {rows_text([int(r) + 1 for r in np.unique(rows)])} is not among "
            f"the categories ({listed}). Add it to categories or correct the rows."
        )
    codes = np.full(table.shape, MISSING, dtype=np.int64)
    codes[~missing] = positions
    values = np.asarray(order, dtype=float) if numeric else np.arange(1.0, len(order) + 1)
    if not np.isfinite(values).all():
        raise DataError("ratings hold an infinite value. Correct it or set it to NaN.")
    return codes, tuple(order), numeric, values


def _read_weights(inclusion_probability: Any, n: int) -> np.ndarray:
    if inclusion_probability is None:
        return np.ones(n)
    try:
        probability = np.asarray(inclusion_probability, dtype=float)
    except (TypeError, ValueError):
        raise DataError("inclusion_probability must be numbers in (0, 1].") from None
    if probability.shape != (n,):
        raise DataError(
            f"inclusion_probability has shape {probability.shape}, but there are {n} units. Give "
            f"one probability a unit, in the order of the rows of ratings."
        )
    wrong = ~((probability > 0) & (probability <= 1))
    if wrong.any():
        rows = [int(i) + 1 for i in np.nonzero(wrong)[0]]
        raise DataError(
            f"inclusion_probability must lie in (0, 1], which {rows_text(rows)} does not. Use the "
            f"column that the sampling design or the review queue wrote."
        )
    return np.asarray(1 / probability)


def _read_clusters(clusters: Any, n: int) -> np.ndarray | None:
    if clusters is None:
        return None
    labels = pd.Series(np.asarray(clusters, dtype=object))
    if len(labels) != n:
        raise DataError(f"clusters has {len(labels)} values, but there are {n} units.")
    if labels.isna().any():
        rows = [int(i) + 1 for i in np.nonzero(labels.isna().to_numpy())[0]]
        raise DataError(
            f"clusters is missing in {rows_text(rows)}. Give every unit its cluster, or each unit "
            f"without one a cluster of its own."
        )
    return np.asarray(pd.factorize(labels)[0])
