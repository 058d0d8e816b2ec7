"""Risk control: limits of automatic decisions whose error rates hold with stated confidence."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import DataError, check_fraction
from boundary_research.classifier._inputs import check_codes_of, check_order, check_texts
from boundary_research.classifier.model import NarrativeClassifier

RISK_COLUMNS = ["category", "low", "high", "n_positive", "n_present", "n_absent", "n_review"]
# Fixed before the data are seen, as the correction for several tests asks.
GRID = np.round(np.arange(0.1, 1.0, 0.1), 1)


def bound_misses(
    probabilities: np.ndarray, labels: np.ndarray, *, miss_rate: float, confidence: float
) -> float:
    """Return the probability below which at most `miss_rate` of all positives lie.

    With the k-th smallest of n positives' probabilities as the limit, the share of positives
    below it is at most a Beta(k, n + 1 - k) variable (split-conformal, conditional on the
    calibration sample: Vovk 2012, *Conditional validity*, proposition 2a); k is the largest for
    which that is within `miss_rate` with the confidence asked for.

    Parameters
    ----------
    probabilities : float array, shape (n,)
        Of narratives on which the model was not trained.
    labels : bool array, shape (n,)
    miss_rate, confidence : float

    Returns
    -------
    float
        0, so that nothing is called absent, where there are too few positives: 29 are needed for
        a miss rate of .1 with confidence .95.

    Examples
    --------
    >>> p = np.arange(1, 101) / 100
    >>> bound_misses(p, p > 0, miss_rate=0.1, confidence=0.95)
    0.05
    """
    positives = np.sort(probabilities[labels])
    rank = np.arange(1, len(positives) + 1)
    sure = stats.beta.cdf(miss_rate, rank, len(positives) + 1 - rank) >= confidence
    return float(positives[sure.sum() - 1]) if sure.any() else 0.0


def bound_false_discoveries(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    false_discovery_rate: float,
    confidence: float,
    lowest: float = 0.0,
) -> float:
    """Return the probability from which at most a given share of the calls are wrong.

    Each of the fixed limits `GRID` is tested by the exact binomial test of its wrong calls, with
    Bonferroni's correction (Angelopoulos et al. 2021, *Learn then test*, section 2.3); the lowest
    limit that passes is returned.

    Parameters
    ----------
    probabilities : float array, shape (n,)
        Of narratives on which the model was not trained.
    labels : bool array, shape (n,)
    false_discovery_rate, confidence : float
    lowest : float
        Limits below it are raised to it; it must not depend on these data.

    Returns
    -------
    float
        Infinity, so that nothing is called present, where no limit passes.
    """
    limits = np.unique(np.maximum(GRID, lowest))
    called = probabilities[:, None] >= limits
    n_called, n_wrong = called.sum(axis=0), (called & ~labels[:, None]).sum(axis=0)
    p_values = stats.binom.cdf(n_wrong, n_called, false_discovery_rate)
    passed = (n_called > 0) & (p_values <= (1 - confidence) / len(limits))
    return float(limits[passed][0]) if passed.any() else np.inf


def control_risk(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    codes: Any,
    *,
    miss_rate: float | None = 0.1,
    false_discovery_rate: float | None = 0.2,
    confidence: float = 0.95,
) -> tuple[NarrativeClassifier, pd.DataFrame]:
    """Set the limits of `decide` so that its error rates are bounded with confidence.

    `fit` chooses the limits by what it saw in cross-validation, which promises nothing. Here they
    come from narratives that the model has not seen, such as your double-coded random sample: for
    each category, and each with probability `confidence` over such samples, at most `miss_rate`
    of the narratives that have it are called absent, and at most `false_discovery_rate` of those
    called present lack it. This holds for narratives drawn as the sample was, as `code` decides on
    them: those that `find_unfamiliar` names go to review.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Fitted; it is copied, not changed.
    texts : sequence of str, length n
        Narratives that it was not trained on, row by row those of `codes`.
    codes : DataFrame of bools or indicator array, shape (n, k)
        A DataFrame's columns may stand in any order.
    miss_rate : float or None
        None leaves the limit of `absent` as it is, with what was promised of it, if anything was.
    false_discovery_rate : float or None
        None leaves the limit of `present` as it is, likewise. Not both are None.
    confidence : float

    Returns
    -------
    classifier : NarrativeClassifier
        A copy with new `review_low_` and `review_high_`, and in `risk_control_` for each rate that
        was controlled: the `rate`, the `confidence` and `n_narratives`, which `save` keeps and
        `describe_decisions` tells. Probabilities and `predict` stay.
    limits : DataFrame
        One row a category: the limits, the positives they rest on, and how many narratives of the
        sample fall on each side. An infinite `high` means that nothing is called present, a `low`
        of zero that nothing is called absent, for want of evidence.

    Raises
    ------
    DataError
        If the classifier is not fitted, rates are not between zero and one, both are None, or the
        codes lack a category or are not True/False or 1/0.

    Examples
    --------
    >>> texts = ["He lent her money.", "She was never visited."] * 10
    >>> codes = pd.DataFrame({"money": [True, False] * 10})
    >>> model = NarrativeClassifier().fit(texts, codes)
    >>> new = texts * 2  # stands in for narratives that the model has not seen
    >>> controlled, limits = control_risk(
    ...     model, new, pd.concat([codes] * 2), miss_rate=0.2, false_discovery_rate=None
    ... )
    >>> controlled.risk_control_
    {'miss_rate': {'rate': 0.2, 'confidence': 0.95, 'n_narratives': 40}}
    """
    rates = {"miss_rate": miss_rate, "false_discovery_rate": false_discovery_rate}
    asked = {name: check_fraction(r, name=name) for name, r in rates.items() if r is not None}
    if not asked:
        raise DataError(
            "miss_rate and false_discovery_rate are both None, so that nothing would be "
            "controlled. Give at least one."
        )
    check_fraction(confidence, name="confidence")
    if not all(hasattr(classifier, name) for name in ("thresholds_", "review_high_")):
        raise DataError(
            f"{type(classifier).__name__} has no limits of decisions: fit it first, or load a "
            f"fitted model with load_classifier."
        )
    narratives = check_texts(texts)
    names = [str(name) for name in classifier.classes_]
    labels = check_codes_of(names, codes, len(narratives))
    check_order(texts=texts, codes=codes)
    probabilities = classifier.predict_proba(narratives)
    # `code` calls these neither present nor absent.
    unfamiliar = np.array(classifier.find_unfamiliar(narratives), dtype=bool)
    result = copy.copy(classifier)
    result.review_low_, result.review_high_ = _limits(
        classifier, probabilities, labels, unfamiliar, asked, confidence
    )
    promise = {"confidence": float(confidence), "n_narratives": len(narratives)}
    result.risk_control_ = getattr(classifier, "risk_control_", {}) | {
        name: {"rate": rate, **promise} for name, rate in asked.items()
    }
    decided = result.decide(probabilities)
    decided[unfamiliar] = "review"
    limits = pd.DataFrame(
        {
            "category": names,
            "low": result.review_low_,
            "high": result.review_high_,
            "n_positive": labels.sum(axis=0),
            **{f"n_{d}": (decided == d).sum(axis=0) for d in ("present", "absent", "review")},
        }
    )
    return result, limits[RISK_COLUMNS]


def _limits(
    classifier: NarrativeClassifier,
    probabilities: np.ndarray,
    labels: np.ndarray,
    unfamiliar: np.ndarray,
    asked: dict[str, float],
    confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return below what is called absent and from what on present, each of shape (k,).

    Misses are counted among all narratives, for those that are reviewed instead are no misses;
    false discoveries among the familiar ones, for only they are called present.
    """
    low, high = classifier.review_low_.copy(), classifier.review_high_.copy()
    for j, threshold in enumerate(classifier.thresholds_.tolist()):
        p, y = probabilities[:, j], labels[:, j]
        if "false_discovery_rate" in asked:
            rate = asked["false_discovery_rate"]
            high[j] = bound_false_discoveries(
                p[~unfamiliar],
                y[~unfamiliar],
                false_discovery_rate=rate,
                confidence=confidence,
                lowest=threshold,
            )
        if "miss_rate" in asked:
            bound = bound_misses(p, y, miss_rate=asked["miss_rate"], confidence=confidence)
            # Lowering the limit can only lower the misses.
            low[j] = min(bound, threshold)
        low[j] = min(low[j], high[j])
    return low, high


def describe_decisions(classifier: NarrativeClassifier) -> str:
    """Return in words what a model's present, absent and review rest on.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Fitted, with or without limits that `control_risk` has set.

    Examples
    --------
    >>> codes = pd.DataFrame({"money": [True, False] * 10})
    >>> model = NarrativeClassifier().fit(["He lent money.", "She left."] * 10, codes)
    >>> print(describe_decisions(model))
    “present” and “absent” are decisions that held up in cross-validation on the training
    narratives; “review” asks for a person.
    """
    told = getattr(classifier, "risk_control_", {})
    review = "“review” asks for a person."
    if not told:
        return (
            "“present” and “absent” are decisions that held up in cross-validation on the training "
            f"narratives; {review}"
        )
    sides = {
        "miss_rate": ("absent", "of the narratives that have a category are called “absent”"),
        "false_discovery_rate": ("present", "of those called “present” lack the category"),
    }
    parts = []
    for name, (decision, what) in sides.items():
        if name not in told:
            parts.append(
                f"“{decision}” held up in cross-validation on the training narratives, without a "
                f"guarantee"
            )
            continue
        one = told[name]
        parts.append(
            f"at most {100 * one['rate']:g}% {what} (for each category with "
            f"{100 * one['confidence']:g}% confidence, in narratives drawn as the "
            f"{one['n_narratives']:g} that set this limit, which the model had not seen)"
        )
    text = "; ".join([*parts, review])
    return text[0].upper() + text[1:]
