"""Checks of the arrays that estimators take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, rows_text
from boundary_research.inference._options import Settings
from boundary_research.inference._variance import SamplingDesign


@dataclass
class Sample:
    """Cleaned arrays: n rows, p columns, K outcomes, g gold rows.

    Attributes
    ----------
    X : shape (n, p)
    predicted : shape (n, K)
    rows : shape (g,)
        Positions of the gold rows.
    gold : shape (g, K)
    weights, offset : shape (n,)
    labels : list of arrays of shape (n,)
        Cluster codes; with two ways of clustering, the third is their intersection.
    design : SamplingDesign
    """

    X: np.ndarray
    predicted: np.ndarray
    rows: np.ndarray
    gold: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    labels: list[np.ndarray]
    design: SamplingDesign


def as_numbers(values: Any, *, name: str, ndim: int = 1) -> np.ndarray:
    """Return `values` as a float array of `ndim` dimensions."""
    try:
        array = np.asarray(pd.array(values) if isinstance(values, list) else values)
        if array.dtype == object:
            array = np.where(pd.isna(array), np.nan, array)
        array = array.astype(float)
    except (TypeError, ValueError):
        raise DataError(f"{name} must hold numbers (missing as NaN).") from None
    if array.ndim != ndim:
        raise DataError(f"{name} must have {ndim} dimension(s), got {array.ndim}.")
    return array


def check_length(array: np.ndarray, n: int, *, name: str) -> np.ndarray:
    """Return `array` if it has n rows."""
    if len(array) != n:
        raise DataError(f"{name} has {len(array)} rows, the predictions have {n}; give one a row.")
    return array


def check_probability(
    inclusion_probability: Any, rows: np.ndarray, n: int, *, rescale: bool
) -> np.ndarray:
    """Return the inclusion probabilities of the gold rows, shape (g,).

    With `rescale`, all n probabilities are multiplied by (g / n) / mean(π) first, as the R package
    dsl does, so that their mean is the share of rows with a gold code.
    """
    if inclusion_probability is None:
        raise DataError(
            "inclusion_probability is missing. Without the probability with which each gold "
            "row was "
            "drawn the correction would be wrong; pass the column that the sample table holds, or "
            "one number if every row had the same chance."
        )
    if np.ndim(inclusion_probability) == 0:
        probability = np.full(
            n, as_numbers([inclusion_probability], name="inclusion_probability")[0]
        )
    else:
        probability = as_numbers(inclusion_probability, name="inclusion_probability")
    check_length(probability, n, name="inclusion_probability")
    gone = rows[np.isnan(probability[rows])]
    if len(gone):
        raise DataError(
            f"inclusion_probability is missing for {len(gone)} gold rows "
            f"({rows_text([int(i) + 1 for i in gone])}). Join it from the sample table; rows "
            f"picked "
            f"without a known probability cannot be used for estimation."
        )
    wrong = np.flatnonzero(~np.isnan(probability) & ~((probability > 0) & (probability <= 1)))
    if len(wrong):
        raise DataError(
            f"inclusion_probability must lie in (0, 1], but does not in "
            f"{rows_text([int(i) + 1 for i in wrong])}. Give probabilities, not weights or "
            f"per cents."
        )
    if rescale:
        if np.isnan(probability).any():
            raise DataError(
                "rescale=True needs the inclusion probability of every row, drawn or not; "
                f"{int(np.isnan(probability).sum())} are missing. Fill them in, or leave "
                f"rescale out."
            )
        probability = probability * (len(rows) / n) / probability.mean()
        if (probability[rows] > 1).any():
            raise DataError(
                "rescale=True takes some inclusion probabilities above 1. Leave rescale out, so "
                "that they are used as given."
            )
    return probability[rows]


def codes_of(values: Any, n: int, *, name: str) -> tuple[np.ndarray, int]:
    """Return codes 0 … G - 1 and G."""
    array = np.asarray(values, dtype=object) if isinstance(values, list) else np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{name} must have one entry a row, got {array.ndim} dimensions.")
    check_length(array, n, name=name)
    codes, levels = pd.factorize(array, sort=False)
    if (codes < 0).any():
        rows = [int(i) + 1 for i in np.flatnonzero(codes < 0)]
        raise DataError(
            f"{name} is missing in {rows_text(rows)}. Give such rows a cluster of their own, or "
            f"leave them out."
        )
    return codes, len(levels)


def check_clusters(clusters: Any, n: int) -> tuple[list[np.ndarray], list[int]]:
    """Return cluster codes and numbers of clusters; two ways give a third, their intersection.

    `clusters` is one array of length n, or two: a tuple, or an array or frame of shape (n, 2).
    """
    if clusters is None:
        return [], []
    ways: list[Any]
    if isinstance(clusters, pd.DataFrame):
        ways = [clusters.iloc[:, i] for i in range(clusters.shape[1])]
    elif isinstance(clusters, tuple):
        ways = list(clusters)
    elif isinstance(clusters, np.ndarray) and clusters.ndim == 2:
        ways = [clusters[:, i] for i in range(clusters.shape[1])]
    else:
        ways = [clusters]
    if len(ways) > 2:
        raise DataError(f"clusters: one or two ways of clustering are allowed, got {len(ways)}.")
    labels, sizes = [], []
    for way in ways:
        codes, size = codes_of(way, n, name="clusters")
        if size < 3:
            raise DataError(
                f"clusters: only {size} found. Errors clustered over fewer than three "
                f"clusters mean "
                f"nothing; use a finer clustering, or clusters=None and say so."
            )
        labels.append(codes)
        sizes.append(size)
    if len(ways) == 2:
        codes, levels = pd.factorize(labels[0].astype(np.int64) * sizes[1] + labels[1])
        labels.append(codes)
        sizes.append(len(levels))
    return labels, sizes


def check_crossfit(
    trained_on_gold: bool, fold: Any, rows: np.ndarray, n: int, labels: list[np.ndarray]
) -> None:
    """Refuse predictions by a model that saw the gold rows, unless they are out of fold.

    With `fold`, each gold row must have one, there must be two or more, and no cluster may lie in
    two folds (Egami and others 2023, section 3: cross-fitting).
    """
    if not trained_on_gold and fold is None:
        return
    if fold is None:
        raise DataError(
            "trained_on_gold=True: the predictions come from a model that saw these gold codes, so "
            "its errors on them are too small. Make out-of-fold predictions with "
            "crossfit_predictions and pass their fold."
        )
    folds = check_length(np.asarray(fold, dtype=object), n, name="fold")
    missing = rows[pd.isna(folds[rows])]
    if len(missing):
        raise DataError(
            f"fold is missing for {len(missing)} gold rows "
            f"({rows_text([int(i) + 1 for i in missing])}); each needs an out-of-fold prediction."
        )
    codes = pd.factorize(folds)[0]
    if len(np.unique(codes[rows])) < 2:
        raise DataError(
            "fold: the gold rows lie in one fold, so no model was left to predict them."
        )
    if labels:
        frame = pd.DataFrame({"cluster": labels[0], "fold": codes})[codes >= 0]
        split = frame.groupby("cluster")["fold"].nunique()
        if (split > 1).any():
            raise DataError(
                f"fold: {int((split > 1).sum())} clusters lie in more than one fold, so a "
                f"model saw "
                f"rows of the cluster it predicts. Pass groups=clusters to crossfit_predictions."
            )


def check_design(X: Any, n: int) -> np.ndarray:
    """Return the design matrix, shape (n, p), of full column rank."""
    array = as_numbers(X, name="X", ndim=2)
    check_length(array, n, name="X")
    if not np.isfinite(array).all():
        rows = [int(i) + 1 for i in np.flatnonzero(~np.isfinite(array).all(axis=1))]
        raise DataError(f"X is missing or infinite in {rows_text(rows)}. Leave these rows out.")
    scale = np.sqrt(np.mean(array**2, axis=0))
    if (scale == 0).any() or np.linalg.matrix_rank(
        (array / scale).T @ (array / scale) / n, tol=1e-11, hermitian=True
    ) < array.shape[1]:
        raise DataError(
            "X has columns that are zero or that the others determine (a dummy for every level "
            "beside an intercept, say). Drop the redundant columns."
        )
    return array


def check_codes(values: np.ndarray, family: str, *, name: str) -> None:
    """Raise if predictions or gold codes are outside what the family allows."""
    low, high = (0.0, np.inf) if family == "poisson" else (0.0, 1.0)
    wrong = np.isinf(values)
    if family != "ols":
        wrong |= (values < low) | (values > high)
    if wrong.any():
        rows = [int(i) + 1 for i in np.flatnonzero(wrong.reshape(len(values), -1).any(axis=1))]
        allowed = "[0, 1]" if family == "logit" else "[0, ∞)" if family == "poisson" else "finite"
        raise DataError(f"{name}: allowed values are {allowed}; others are in {rows_text(rows)}.")


def check_sample(
    X: Any,
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    family: str,
    clusters: Any,
    offset: Any,
    settings: Settings,
) -> Sample:
    """Return cleaned arrays, or raise a DataError that says what to do."""
    codes = as_numbers(gold, name="gold")
    n = len(codes)
    if not n:
        raise DataError("gold has no rows.")
    rows = np.flatnonzero(~np.isnan(codes))
    if not len(rows):
        raise DataError("gold has no codes; all are missing. Code a probability sample first.")
    y = codes[rows]
    check_codes(y, family, name="gold")
    if predicted is None:
        guesses = np.zeros(n)
    else:
        guesses = check_length(as_numbers(predicted, name="predicted"), n, name="predicted")
        if np.isnan(guesses).any():
            missing = [int(i) + 1 for i in np.flatnonzero(np.isnan(guesses))]
            raise DataError(
                f"predicted is missing in {rows_text(missing)}; every row needs a prediction."
            )
        check_codes(guesses, family, name="predicted")
    design_matrix = np.ones((n, 1)) if X is None else check_design(X, n)
    if predicted is None:
        probability = check_probability(inclusion_probability, rows, n, rescale=settings.rescale)
    else:
        probability = check_probability(inclusion_probability, rows, n, rescale=settings.rescale)
    labels, sizes = check_clusters(clusters, n)
    check_crossfit(settings.trained_on_gold, settings.fold, rows, n, labels)
    return Sample(
        X=design_matrix,
        predicted=guesses[:, None],
        rows=rows,
        gold=y[:, None],
        weights=_row_numbers(settings.weights, n, default=1.0, name="weights"),
        offset=_row_numbers(offset, n, default=0.0, name="offset"),
        labels=labels,
        design=SamplingDesign(
            probability=probability,
            n_total=n,
            sizes=sizes,
            gold_labels=[codes[rows] for codes in labels],
            strata=_gold_codes(settings.strata, rows, n, name="strata"),
            units=_gold_codes(settings.sampling_units, rows, n, name="sampling_units"),
            finite=settings.finite_population,
        ),
    )


def _row_numbers(values: Any, n: int, *, default: float, name: str) -> np.ndarray:
    if values is None:
        return np.full(n, default)
    array = check_length(as_numbers(values, name=name), n, name=name)
    if not np.isfinite(array).all() or (name == "weights" and (array < 0).any()):
        raise DataError(f"{name} must be finite{' and not negative' * (name == 'weights')}.")
    return array


def _gold_codes(values: Any, rows: np.ndarray, n: int, *, name: str) -> np.ndarray | None:
    """Return codes at the gold rows only; elsewhere they may be missing."""
    if values is None:
        return None
    array = check_length(np.asarray(values, dtype=object), n, name=name)
    return codes_of(array[rows], len(rows), name=name)[0]
