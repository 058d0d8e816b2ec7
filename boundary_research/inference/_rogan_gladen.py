"""The Rogan-Gladen share, for comparison."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from boundary_research._checks import DataError
from boundary_research.inference._design_based import result_of
from boundary_research.inference._inputs import check_sample
from boundary_research.inference._moments import indicator
from boundary_research.inference._options import Options, Settings
from boundary_research.inference._variance import Uncertainty
from boundary_research.inference.results import EstimationResult, wald_limits


def rogan_gladen(
    predicted: Any,
    gold: Any,
    inclusion_probability: Any,
    *,
    clusters: Any = None,
    **options: Unpack[Options],
) -> EstimationResult:
    """Return the share (q + specificity - 1) / (sensitivity + specificity - 1).

    q is the share predicted present in all rows; sensitivity and specificity are from the gold
    rows, weighted by 1 / π. Linearised variance over rows or clusters (Rogan and Gladen 1978, with
    the error rates estimated). Given for comparison: it needs error rates that are the same
    everywhere, is biased where they are not, and takes no regressors.

    Parameters
    ----------
    predicted : array of shape (n,)
        0 or 1.
    gold, inclusion_probability : arrays of shape (n,)
    clusters, **options
        See the module `boundary_research.inference.estimators`; only `weights`, `conf_level`,
        `rescale`, `trained_on_gold` and `fold` are used.

    Raises
    ------
    DataError
        Also if predictions are not 0 or 1, or are no better than chance.
    """
    settings = Settings.of(options)
    sample = check_sample(
        None,
        predicted,
        gold,
        inclusion_probability,
        family="logit",
        clusters=clusters,
        offset=None,
        settings=settings,
    )
    guess, rows, y = sample.predicted[:, 0], sample.rows, sample.gold[:, 0]
    if not np.isin(guess, [0, 1]).all():
        raise DataError("rogan_gladen: predicted must be 0 or 1; cut probabilities first.")
    weight = sample.weights[rows] / sample.design.probability
    present, absent = weight * (y == 1), weight * (y == 0)
    if not present.any() or not absent.any():
        raise DataError("rogan_gladen: gold codes of both kinds are needed; only one was found.")
    sensitivity = np.sum(present * guess[rows]) / present.sum()
    specificity = np.sum(absent * (1 - guess[rows])) / absent.sum()
    youden = sensitivity + specificity - 1
    if youden <= 0:
        raise DataError(
            f"rogan_gladen: sensitivity {sensitivity:.2f} and specificity {specificity:.2f} are no "
            f"better than chance, so the share cannot be solved for. Use dsl_mean."
        )
    q = np.average(guess, weights=sample.weights)
    share = (q + specificity - 1) / youden
    influence = sample.weights * (guess - q) / sample.weights.sum() / youden
    influence[rows] -= share / youden * present * (guess[rows] - sensitivity) / present.sum()
    influence[rows] += (
        (1 - share) / youden * absent * (1 - guess[rows] - specificity) / absent.sum()
    )
    variance = 0.0
    for way, labels in enumerate(sample.labels or [np.arange(len(guess))]):
        size = int(labels.max()) + 1
        sums = indicator(labels, size) @ influence
        variance += (-1.0 if way == 2 else 1.0) * float(np.sum(sums**2))
    b = np.array([[share]])
    df = np.array([[min(sample.design.sizes) - 1.0 if sample.design.sizes else np.inf]])
    std_error = np.array([[np.sqrt(max(variance, 0.0))]])
    low, high, p_value = wald_limits(b, std_error, df, settings.conf_level)
    uncertainty = Uncertainty(std_error[:, :, None] ** 2, std_error, low, high, p_value, df)
    return result_of(
        sample, settings, uncertainty, b, estimator="rogan_gladen", family="mean", scalar=True
    )
