"""Diagnostics beside `evaluate`: calibration, whole sets, groups, coders, learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_random_state
from boundary_research.classifier._calibration import split_folds
from boundary_research.classifier._inputs import (
    check_coded_texts,
    check_codes,
    check_held_out,
    check_order,
    check_per_narrative,
    check_predicted,
    check_probabilities,
)
from boundary_research.classifier._parameters import check_folds, check_whole
from boundary_research.classifier.evaluation import fit_rows
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.coding._agreement_intervals import AgreementOptions
from boundary_research.coding._codings import read_codings, sets_from_codings
from boundary_research.coding._set_agreement import set_alpha

RELIABILITY_COLUMNS = ["category", "low", "high", "n", "mean_probability", "share_positive"]


def reliability_diagram(
    codes: pd.DataFrame, probabilities: np.ndarray | pd.DataFrame, *, n_bins: int = 10
) -> pd.DataFrame:
    """Return the points of a reliability diagram for each category and for all together.

    Parameters
    ----------
    codes : DataFrame of bools, shape (n, k)
        Gold codes.
    probabilities : float array or DataFrame, shape (n, k)
        As for `evaluate`.
    n_bins : int
        Bins of equal width; empty ones are left out.

    Returns
    -------
    DataFrame
        `category` (``(micro)`` pools all decisions), the bin's `low` and `high`, the `n` decisions
        in it, their `mean_probability` and the `share_positive` among them.

    Raises
    ------
    DataError
        If `n_bins` is below one, or codes or probabilities are none, as in `evaluate`.

    Examples
    --------
    >>> codes = pd.DataFrame({"gift": [False, False, True, True]})
    >>> table = reliability_diagram(codes, np.array([[0.1], [0.3], [0.7], [0.9]]), n_bins=2)
    >>> table.loc[table["category"] == "gift", "mean_probability"].tolist()
    [0.2, 0.8]
    """
    names, labels = check_codes(codes, len(codes))
    probabilities = check_probabilities(probabilities, codes, names)
    check_whole(n_bins, name="n_bins")
    edges = np.linspace(0, 1, n_bins + 1)
    rows: list[tuple[Any, ...]] = []
    columns = [(str(name), labels[:, j], probabilities[:, j]) for j, name in enumerate(names)]
    for name, y, p in [*columns, ("(micro)", labels.ravel(), probabilities.ravel())]:
        place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, n_bins - 1)
        for i in np.unique(place):
            inside = place == i
            rows.append(
                (name, edges[i], edges[i + 1], inside.sum(), p[inside].mean(), y[inside].mean())
            )
    return pd.DataFrame(rows, columns=RELIABILITY_COLUMNS)


def calibration_error(
    codes: pd.DataFrame, probabilities: np.ndarray | pd.DataFrame, *, n_bins: int = 10
) -> pd.Series:
    """Return the expected calibration error of each category and of all together.

    ECE is the mean over decisions of the absolute difference between the share of positives and
    the mean probability in their bin (Naeini, Cooper and Hauskrecht 2015, section 2), with bins of
    equal width.

    Returns
    -------
    Series
        Indexed by category, ``(micro)`` last.
    """
    table = reliability_diagram(codes, probabilities, n_bins=n_bins)
    gap = (table["share_positive"] - table["mean_probability"]).abs() * table["n"]
    grouped = gap.groupby(table["category"], sort=False).sum()
    return grouped / table["n"].groupby(table["category"], sort=False).sum()


def example_scores(codes: pd.DataFrame, predicted: np.ndarray | pd.DataFrame) -> pd.Series:
    """Return scores of whole narratives: how well each one's set of codes is hit.

    Precision, recall, F1 and Jaccard are means over narratives (Godbole and Sarawagi 2004); where
    the set that divides is empty they are 1 if both sets are, else 0. `exact_match` is the share
    of narratives with every code right, `hamming` the share of right decisions.

    Parameters
    ----------
    codes : DataFrame of bools, shape (n, k)
    predicted : bool array or DataFrame, shape (n, k)
        As for `evaluate`.

    Raises
    ------
    DataError
        If codes or predictions are neither True/False nor 1/0, or do not fit each other.

    Examples
    --------
    >>> codes = pd.DataFrame({"a": [True, False], "b": [True, False]})
    >>> scores = example_scores(codes, np.array([[True, False], [False, False]])).round(2)
    >>> scores[["precision", "recall", "f1", "exact_match"]].tolist()
    [1.0, 0.75, 0.83, 0.5]
    """
    _, labels, predicted = _check_decisions(codes, predicted)
    hit, real, called = ((x).sum(axis=1) for x in (labels & predicted, labels, predicted))
    empty = (real + called == 0).astype(float)

    def mean(above: np.ndarray, below: np.ndarray) -> float:
        return float(np.where(below > 0, above / np.maximum(below, 1), empty).mean())

    return pd.Series(
        {
            "precision": mean(hit, called),
            "recall": mean(hit, real),
            "f1": mean(2 * hit, real + called),
            "jaccard": mean(hit, real + called - hit),
            "exact_match": float((labels == predicted).all(axis=1).mean()),
            "hamming": float((labels == predicted).mean()),
        }
    )


def errors_by_group(
    codes: pd.DataFrame, predicted: np.ndarray | pd.DataFrame, groups: Sequence[Any]
) -> pd.DataFrame:
    """Return errors by an attribute of the narratives, such as setting or role.

    Parameters
    ----------
    codes : DataFrame of bools, shape (n, k)
    predicted : bool array or DataFrame, shape (n, k)
        As for `evaluate`.
    groups : sequence, length n
        Missing values form a group of their own.

    Returns
    -------
    DataFrame
        One row a group: `n_narratives`, `n_positive` codes, pooled `false_positive_rate` (of
        decisions on absent codes), `miss_rate` (of present ones), `f1` and `exact_match`; missing
        where nothing defines it.

    Raises
    ------
    DataError
        If codes or predictions are neither True/False nor 1/0, or groups do not fit them.
    """
    _, labels, predicted = _check_decisions(codes, predicted)
    check_per_narrative(len(labels), groups=groups)
    check_order(codes=codes, groups=groups)
    owner = pd.Series(list(groups), dtype=object)
    owner = owner.where(owner.notna(), "(missing)").astype(str).to_numpy()
    rows = []
    for group in np.unique(owner):
        y, hat = labels[owner == group], predicted[owner == group]
        with np.errstate(divide="ignore", invalid="ignore"):
            false_positives = np.float64((hat & ~y).sum()) / (~y).sum()
            misses = np.float64((y & ~hat).sum()) / y.sum()
            f1 = np.float64(2 * (y & hat).sum()) / (y.sum() + hat.sum())
        exact = (y == hat).all(axis=1).mean()
        rows.append((group, len(y), y.sum(), false_positives, misses, f1, exact))
    names = ["n_narratives", "n_positive", "false_positive_rate", "miss_rate", "f1", "exact_match"]
    return pd.DataFrame(rows, columns=["group", *names])


def agreement_with_gold(
    codes: pd.DataFrame,
    predicted: np.ndarray | pd.DataFrame,
    *,
    codings: pd.DataFrame | None = None,
    distance: str = "masi",
    **options: Unpack[AgreementOptions],
) -> pd.DataFrame:
    """Return how far the model agrees with gold, beside how far human coders agree.

    Krippendorff's alpha over each narrative's set of categories, for the pair of model and gold
    and for the coders: a model cannot be asked for more agreement than coders have.

    Parameters
    ----------
    codes : DataFrame of bools, shape (n, k)
        Gold codes; the index holds incident ids.
    predicted : bool array or DataFrame, shape (n, k)
        As for `evaluate`.
    codings : DataFrame, optional
        Codings table of human coders; those of the incidents of `codes` are used.
    distance : str
        See `set_alpha`.
    **options
        See `AgreementOptions`.

    Returns
    -------
    DataFrame
        `between`, `estimate`, `conf_low`, `conf_high`, `n_units`.

    Raises
    ------
    DataError
        If codes or predictions are neither True/False nor 1/0, or do not fit each other, or no
        incident was coded by two coders.

    Examples
    --------
    >>> codes = pd.DataFrame({"a": [True, False] * 4, "b": [False, False, True, True] * 2})
    >>> agreement_with_gold(codes, codes.to_numpy())["estimate"].tolist()
    [1.0]
    """
    names, labels, predicted = _check_decisions(codes, predicted)
    pairs = [
        (set(names[real]), set(names[called]))
        for real, called in zip(labels, predicted, strict=True)
    ]
    results = {"model and gold": set_alpha(pairs, distance, **options)}
    if codings is not None:
        table = read_codings(codings)
        kept = table["incident_id"].isin(codes.index.astype(str)) & table["category"].isin(names)
        results["coders"] = set_alpha(sets_from_codings(table[kept]), distance, **options)
    return pd.DataFrame(
        [(b, r.estimate, r.conf_low, r.conf_high, r.n_units) for b, r in results.items()],
        columns=["between", "estimate", "conf_low", "conf_high", "n_units"],
    )


def learning_curve(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    codes: pd.DataFrame,
    *,
    groups: Sequence[Any] | None = None,
    evidence: pd.DataFrame | None = None,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    n_folds: int = 5,
    random_state: int = 0,
) -> pd.DataFrame:
    """Return macro F1 on held-out narratives against how many were coded.

    A curve that still rises says that more coding would help.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Cloned, not changed.
    texts, codes, groups, evidence
        As for `crossfit`, but with gold codes in every row.
    shares : sequence of float
        Shares of each training part, drawn at random; a larger share holds the smaller ones.
    n_folds : int
    random_state : int

    Returns
    -------
    DataFrame
        One row a share and fold: `share`, `n_narratives` (trained on), `fold`, `macro_f1` over
        the categories that occur in the fold's held-out part.

    Raises
    ------
    DataError
        If a share is not in (0, 1] or holds narratives of one group only, or the arguments are
        none, as in `crossfit`.
    """
    if any(not 0 < share <= 1 for share in shares):
        raise DataError("shares must lie in (0, 1].")
    check_folds(n_folds, name="n_folds")
    given = check_coded_texts(texts, codes, groups=groups)
    narratives, owners = given.texts, given.groups
    coded = pd.DataFrame(given.labels, index=given.ids, columns=given.names)
    check_held_out(owners, given.auxiliary)
    rng = check_random_state(random_state)
    rows = []
    for fold, (train, test) in enumerate(split_folds(given.labels, owners, n_folds, random_state)):
        order = rng.permutation(train)
        for share in shares:
            used = np.sort(order[: max(2, round(share * len(order)))])
            if owners is not None and len({str(owners[row]) for row in used}) < 2:
                raise DataError(
                    f"shares: {share:g} of a training part is {len(used)} narratives of one group, "
                    f"and a model needs another to calibrate on. Begin with a larger share, or "
                    f"leave groups out."
                )
            model = fit_rows(classifier, narratives, coded, used, groups=owners, evidence=evidence)
            score = model.score([narratives[i] for i in test], coded.iloc[test])
            rows.append((share, len(used), fold, score))
    return pd.DataFrame(rows, columns=["share", "n_narratives", "fold", "macro_f1"])


def _check_decisions(
    codes: pd.DataFrame, predicted: np.ndarray | pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return category names, shape (k,), labels and predicted codes, bools of shape (n, k)."""
    names, labels = check_codes(codes, len(codes))
    return names, labels, check_predicted(predicted, codes, names)
