"""Predictions that no model made for a row it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_random_state
from boundary_research.inference._alignment import Codes
from boundary_research.inference._inputs import (
    as_numbers,
    check_codes,
    check_length,
    check_probability,
    codes_of,
)

PREDICTIONS = ("predicted", "probability", "augmented")  # what a correction may start from


def assign_folds(
    n: int,
    gold_rows: np.ndarray,
    groups: Any,
    n_splits: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return a fold 0 … n_splits - 1 for each row, with whole groups in one fold.

    Groups are dealt out from the one with the most gold rows down, each to the fold that has
    fewest.
    """
    codes = np.arange(n) if groups is None else codes_of(groups, n, name="groups")[0]
    size = int(codes.max()) + 1
    gold = np.bincount(codes[gold_rows], minlength=size).astype(float)
    if np.count_nonzero(gold) < n_splits:
        raise DataError(
            f"groups: {np.count_nonzero(gold)} have gold codes, {n_splits} folds were asked "
            f"for. Use "
            f"fewer folds or a finer grouping."
        )
    order = np.lexsort((generator.random(size), -gold))
    rows = np.bincount(codes, minlength=size)
    load = np.zeros((n_splits, 2))
    fold_of = np.empty(size, dtype=int)
    for group in order:
        # Groups without gold codes only even out the number of rows.
        by = 0 if gold[group] else 1
        fold = int(np.argmin(load[:, by]))
        fold_of[group] = fold
        load[fold] += (gold[group], rows[group])
    return fold_of[codes]


def crossfit_predictions(
    classifier: Any,
    texts: Any,
    gold: Any,
    *,
    groups: Any = None,
    n_splits: int = 5,
    random_state: int | np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-fold probabilities for all rows, and the fold of each.

    For each fold a fresh copy of the classifier is trained on the gold rows of the other folds and
    predicts all rows of the fold, labelled or not (cross-fitting; Chernozhukov and others 2018,
    Egami and others 2023, section 3). Pass both to an estimator with ``trained_on_gold=True,
    fold=fold``.

    Parameters
    ----------
    classifier : object with fit(texts, y) and predict_proba(texts)
        In the manner of scikit-learn; it is cloned, never changed.
    texts : sequence of length n
        Narratives, or rows of features.
    gold : array of shape (n,) or (n, K)
        0 or 1, NaN where there is no gold code. With K categories one classifier is trained for
        each.
    groups : array of length n, optional
        Rows of one group (agency, practitioner) stay in one fold; give the clusters of the
        analysis.
    n_splits : int
    random_state : int, numpy.random.Generator or None
        For ties in the dealing of groups to folds.

    Returns
    -------
    probability : numpy.ndarray, shape (n,) or (n, K)
    fold : numpy.ndarray, shape (n,)

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> x = np.linspace(-2, 2, 12)[:, None]
    >>> gold = np.where(np.arange(12) % 2, np.nan, x[:, 0] > 0)
    >>> model = LogisticRegression()
    >>> probability, fold = crossfit_predictions(model, x, gold, n_splits=2, random_state=0)
    >>> probability.shape, sorted(set(fold.tolist()))
    ((12,), [0, 1])
    """
    from sklearn.base import clone

    if not (hasattr(classifier, "fit") and hasattr(classifier, "predict_proba")):
        raise DataError("classifier must have fit and predict_proba, as scikit-learn's have.")
    flat = np.ndim(gold) == 1
    codes = as_numbers(gold, name="gold", ndim=1 if flat else 2)
    codes = codes[:, None] if flat else codes
    rows = np.flatnonzero(~np.isnan(codes).all(axis=1))
    if n_splits < 2:
        raise DataError(f"n_splits must be 2 or more, got {n_splits}.")
    features = np.asarray(texts, dtype=object) if isinstance(texts, list | tuple) else texts
    if isinstance(features, pd.Series):
        features = features.to_numpy(dtype=object)
    n = len(codes)
    if features.shape[0] != n:
        raise DataError(f"texts has {features.shape[0]} rows, gold has {n}.")
    fold = assign_folds(n, rows, groups, n_splits, check_random_state(random_state))
    probability = np.empty(codes.shape)
    for k in range(codes.shape[1]):
        labelled = ~np.isnan(codes[:, k])
        for f in range(n_splits):
            train, predict = labelled & (fold != f), fold == f
            y = codes[train, k]
            if len(np.unique(y)) < 2:
                raise DataError(
                    f"category {k + 1}: the gold rows outside fold {f} are all alike "
                    f"({len(y)} rows). Use fewer folds, or code more rows of the rare kind."
                )
            model = clone(classifier).fit(features[train], y.astype(int))
            probability[predict, k] = np.asarray(model.predict_proba(features[predict]))[:, 1]
    return (probability[:, 0] if flat else probability), fold


def augment_predictions(
    probability: Any,
    gold: Any,
    inclusion_probability: Any,
    X: Any = None,
    *,
    groups: Any = None,
    n_splits: int = 5,
    random_state: int | np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions sharpened by a regression of the gold codes on them and on attributes.

    A logistic regression of the gold code on the logit of the probability, on X and on both
    together, weighted by 1 / π and fitted out of fold, so that `dsl` and `ppi` stay unbiased.
    Where the classifier errs differently by setting, a setting in X takes that up and the
    corrected intervals get shorter. Predictions that are themselves in-sample for the gold rows
    cannot be mended so; use `crossfit_predictions`.

    The prediction that makes the variance of a corrected estimate least is the chance of the gold
    code given all that is known of the row (Robins, Rotnitzky and Zhao 1994, JASA 89:846-866; for
    survey samples Särndal, Swensson and Wretman 1992, chapter 6; cross-fitted, Zrnic and Candès
    2024, PNAS 121:e2322083121). A poor regression makes intervals longer, never wrong.

    Parameters
    ----------
    probability : array of shape (n,)
    gold, inclusion_probability : arrays of shape (n,)
    X : array of shape (n, q), optional
        Attributes; a constant column does no harm.
    groups, n_splits, random_state
        As in `crossfit_predictions`.

    Returns
    -------
    predicted : numpy.ndarray, shape (n,)
        Pass it with ``fold=fold``.
    fold : numpy.ndarray, shape (n,)
    """
    from sklearn.linear_model import LogisticRegression

    guess = as_numbers(probability, name="probability")
    n = len(guess)
    codes = check_length(as_numbers(gold, name="gold"), n, name="gold")
    check_codes(guess, "logit", name="probability")
    rows = np.flatnonzero(~np.isnan(codes))
    weight = np.ones(n)
    weight[rows] = 1 / check_probability(inclusion_probability, rows, n, rescale=False)
    clipped = np.clip(guess, 0.01, 0.99)
    score = np.log(clipped / (1 - clipped))[:, None]
    parts = [score]
    if X is not None:
        attributes = check_length(as_numbers(X, name="X", ndim=2), n, name="X")
        attributes = attributes[:, attributes.std(axis=0) > 0]
        attributes = (attributes - attributes.mean(axis=0)) / attributes.std(axis=0)
        parts += [attributes, score * attributes]
    features = np.column_stack(parts)
    fold = assign_folds(n, rows, groups, n_splits, check_random_state(random_state))
    predicted = np.empty(n)
    labelled = ~np.isnan(codes)
    for f in range(n_splits):
        train, predict = labelled & (fold != f), fold == f
        y = codes[train]
        if len(np.unique(y)) < 2:
            predicted[predict] = y[0]
            continue
        model = LogisticRegression(C=1.0, max_iter=2_000)
        scale = weight[train] / weight[train].mean()
        model.fit(features[train], y.astype(int), sample_weight=scale)
        predicted[predict] = model.predict_proba(features[predict])[:, 1]
    return predicted, fold


def augment_codes(
    codes: Codes, X: np.ndarray | None, labels: pd.DataFrame | None, generator: np.random.Generator
) -> np.ndarray:
    """Return `augment_predictions` of each category, (n, K), with whole clusters in a fold."""
    n = len(codes.ids)
    groups = None if labels is None else labels.iloc[:, 0].to_numpy()
    if groups is not None and len(np.unique(groups[codes.rows])) < 5:
        groups = None
    chance = np.full(n, np.nan)
    chance[codes.rows] = codes.inclusion_probability
    augmented = np.empty_like(codes.probability)
    for k in range(augmented.shape[1]):
        gold = np.full(n, np.nan)
        gold[codes.rows] = codes.gold[:, k]
        augmented[:, k] = augment_predictions(
            codes.probability[:, k], gold, chance, X, groups=groups, random_state=generator
        )[0]
    return augmented
