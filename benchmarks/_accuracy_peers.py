"""Peers of the accuracy benchmark: what scikit-learn offers, and how all are scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_union

from boundary_research.corpus.bundled import Corpus


def ngrams() -> BaseEstimator:
    """Return TF-IDF of the n-grams that the default uses, as scikit-learn has them."""
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, token_pattern=r"\w+"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True),
    )


def best_threshold(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Return the cut with the best F1 in a sample."""
    ranked = np.argsort(-probabilities)
    hits = np.cumsum(y[ranked])
    f1 = 2 * hits / (np.arange(1, len(y) + 1) + y.sum())
    return float(probabilities[ranked[np.argmax(f1)]])


def run_peer(
    model: BaseEstimator,
    train: Sequence[str],
    codes: pd.DataFrame,
    test: Sequence[str],
    groups: Sequence[str] | None,
    *,
    tuned: bool,
    auxiliary: Sequence[bool] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and predictions of one scikit-learn model a category.

    Thresholds are tuned on narratives that are not auxiliary, as the classes here do.
    """
    own = np.ones(len(train), dtype=bool) if auxiliary is None else ~np.array(auxiliary)
    probabilities = np.zeros((len(test), codes.shape[1]))
    predicted = np.zeros(probabilities.shape, dtype=bool)
    vectorizer = ngrams()
    features, unseen = vectorizer.fit_transform(train), vectorizer.transform(test)
    folds = KFold(5, shuffle=True, random_state=0) if groups is None else GroupKFold(5)
    for j in range(codes.shape[1]):
        y = codes.iloc[:, j].to_numpy(dtype=bool)
        threshold = 0.5
        if tuned:
            out = cross_val_predict(
                model, features, y, groups=groups, cv=folds, method="predict_proba"
            )[:, 1]
            threshold = best_threshold(out[own], y[own])
        probabilities[:, j] = model.fit(features, y).predict_proba(unseen)[:, 1]
        predicted[:, j] = probabilities[:, j] >= threshold
    return probabilities, predicted


def pairs_right(corpus: Corpus, ids: Sequence[str], predicted: np.ndarray) -> tuple[int, int]:
    """Return how many contrast pairs are right on both sides where they differ, of how many."""
    row = {incident: i for i, incident in enumerate(ids)}
    codes = corpus.codes.loc[list(ids)].to_numpy(dtype=bool)
    right = total = 0
    incidents = corpus.incidents[corpus.incidents["incident_id"].isin(row)]
    for _, pair in incidents.dropna(subset="pair_id").groupby("pair_id"):
        rows = [row[incident] for incident in pair["incident_id"]]
        differ = codes[rows].min(axis=0) != codes[rows].max(axis=0)
        if len(rows) == 2 and differ.any():
            total += 1
            right += bool((predicted[rows] == codes[rows])[:, differ].all())
    return right, total


def f1_pair(codes: pd.DataFrame, predicted: np.ndarray) -> tuple[float, float]:
    """Return micro and macro F1."""
    return tuple(  # type: ignore[return-value]
        float(f1_score(codes, predicted, average=average, zero_division=0))
        for average in ("micro", "macro")
    )


def as_markdown(rows: list[dict[str, str]]) -> str:
    """Return a table of text cells."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
