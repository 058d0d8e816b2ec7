"""Risk control: limits of automatic decisions whose error rates hold with stated confidence."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import DataError, check_fraction
from boundary_research.classifier._inputs import check_codes, check_texts
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
        A value above one, so that nothing is called present, where no limit passes.
    """
    limits = np.unique(np.maximum(GRID, lowest))
    called = probabilities[:, None] >= limits
    n_called, n_wrong = called.sum(axis=0), (called & ~labels[:, None]).sum(axis=0)
    p_values = stats.binom.cdf(n_wrong, n_called, false_discovery_rate)
    passed = (n_called > 0) & (p_values <= (1 - confidence) / len(limits))
    return float(limits[passed][0]) if passed.any() else float(np.nextafter(1.0, 2.0))


def control_risk(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    codes: Any,
    *,
    miss_rate: float = 0.1,
    false_discovery_rate: float = 0.2,
    confidence: float = 0.95,
) -> tuple[NarrativeClassifier, pd.DataFrame]:
    """Set the limits of `decide` so that its error rates are bounded with confidence.

    `fit` chooses the limits by what it saw in cross-validation, which promises nothing. Here they
    come from narratives that the model has not seen, such as your double-coded random sample: for
    each category, and each with probability `confidence` over such samples, at most `miss_rate`
    of the narratives that have it are called absent, and at most `false_discovery_rate` of those
    called present lack it. This holds for narratives drawn as the sample was.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Fitted; it is copied, not changed.
    texts : sequence of str, length n
        Narratives that it was not trained on.
    codes : DataFrame of bools or indicator array, shape (n, k)
        A DataFrame's columns may stand in any order.
    miss_rate, false_discovery_rate, confidence : float

    Returns
    -------
    classifier : NarrativeClassifier
        A copy with new `review_low_` and `review_high_`; probabilities and `predict` stay.
    limits : DataFrame
        One row a category: the limits, the positives they rest on, and how many narratives of the
        sample fall on each side. A `high` above one means that nothing is called present, a `low`
        of zero that nothing is called absent, for want of evidence.

    Raises
    ------
    DataError
        If rates are not between zero and one, or the codes lack a category.
    """
    check_fraction(miss_rate, name="miss_rate")
    check_fraction(false_discovery_rate, name="false_discovery_rate")
    check_fraction(confidence, name="confidence")
    narratives = check_texts(texts)
    names = [str(name) for name in classifier.classes_]
    if isinstance(codes, pd.DataFrame):
        missing = [name for name in names if name not in codes.columns]
        if missing:
            raise DataError(f"codes: column {missing[0]!r} not found.")
        codes = codes[names]
    _, labels = check_codes(codes, len(narratives))
    if labels.shape[1] != len(names):
        raise DataError(f"codes has {labels.shape[1]} columns, the model {len(names)} categories.")
    probabilities = classifier.predict_proba(narratives)
    result = copy.copy(classifier)
    result.review_low_ = np.zeros(len(names))
    result.review_high_ = np.ones(len(names))
    for j in range(len(names)):
        p, y, threshold = probabilities[:, j], labels[:, j], float(classifier.thresholds_[j])
        low = bound_misses(p, y, miss_rate=miss_rate, confidence=confidence)
        result.review_high_[j] = bound_false_discoveries(
            p,
            y,
            false_discovery_rate=false_discovery_rate,
            confidence=confidence,
            lowest=threshold,
        )
        # Lowering the limit can only lower the misses.
        result.review_low_[j] = min(low, threshold)
    decided = result.decide(probabilities)
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
