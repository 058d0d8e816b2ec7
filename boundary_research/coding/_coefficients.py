"""Agreement coefficients for any number of coders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from boundary_research._checks import DataError, check_choice
from boundary_research.coding import _agreement, _alpha
from boundary_research.coding._agreement_estimates import estimate_agreement
from boundary_research.coding._agreement_intervals import AgreementOptions, check_interval
from boundary_research.coding._agreement_results import AgreementResult
from boundary_research.coding._ratings import MISSING, Ratings, read_ratings

_READING = ("categories", "inclusion_probability", "clusters")


def split_options(options: AgreementOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that reading ratings takes, and those of the interval."""
    known = set(AgreementOptions.__annotations__)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise DataError(
            f"Argument {unknown[0]!r} not found. Available: {', '.join(sorted(known))}."
        )
    reading = {name: value for name, value in options.items() if name in _READING}
    planning = {name: value for name, value in options.items() if name not in _READING}
    return reading, planning


def weighted_coefficient(
    ratings: Any,
    weights: Any,
    options: AgreementOptions,
    statistic: Callable[[Ratings, np.ndarray], _agreement.Statistic],
    name: str,
    **kind: Any,
) -> tuple[AgreementResult, Ratings]:
    """Return a coefficient with agreement weights, and the ratings as read."""
    reading, planning = split_options(options)
    read = read_ratings(ratings, **reading)
    matrix = _agreement.agreement_weights(weights, read.values)
    result = estimate_agreement(
        read,
        lambda units: statistic(units, matrix),
        coefficient=name + weights_text(weights),
        plan=check_interval(**planning),
        **kind,
    )
    return result, read


def weights_text(weights: Any) -> str:
    """Return what the weights add to a coefficient's name."""
    if weights is None or (isinstance(weights, str) and weights == "identity"):
        return ""
    return f", {weights} weights" if isinstance(weights, str) else ", own weights"


def krippendorff_alpha(
    ratings: Any, metric: str = "nominal", **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Krippendorff's alpha.

    alpha = 1 − D_o / D_e over all pairs of values within units with two values or more, so coders
    may code different and unequally many units (Krippendorff 2004, *Content Analysis*, 2nd ed.,
    section 11.3). The ordinal metric is Krippendorff's, on the number of values between two ranks;
    it is not Gwet's ordinal weights (see `gwet_ac`).

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit. Numbers for interval and ratio.
    metric : {"nominal", "ordinal", "interval", "ratio"}
        The distance between values. Text in the ordinal metric needs `categories` in order.
    **options
        See `AgreementOptions`.

    Returns
    -------
    AgreementResult
        Its `std_error` is Gwet's (2014, section 5.3).

    Raises
    ------
    DataError
        If the ratings or an option cannot be used.

    Examples
    --------
    Krippendorff (2004), p. 230, two coders, ten units:

    >>> pairs = [(1, 0), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0), (0, 0)]
    >>> result = krippendorff_alpha(pairs)
    >>> print(f"{result.estimate:.3f}", f"{result.observed:.3f}", f"{result.prevalence:.2f}")
    0.095 0.600 0.30
    >>> print(krippendorff_alpha([[1, 1], [1, 1]]).note[:39])
    All ratings fall in one category. Nothi
    """
    check_choice(metric, _alpha.METRICS, name="metric")
    reading, planning = split_options(options)
    read = read_ratings(ratings, **reading)
    if metric in ("interval", "ratio") and not read.numeric and read.categories:
        raise DataError(
            f"The {metric} metric needs numbers, but the ratings are text. Give numbers, or use "
            f"the nominal metric or the ordinal one with categories in order."
        )
    if metric == "ordinal" and not read.numeric and options.get("categories") is None:
        _check_order(ratings, read)
    if metric == "ratio" and (read.values < 0).any():
        raise DataError("The ratio metric needs values of zero or more; some are negative.")
    read = _only_paired(read)
    if metric == "ordinal":
        statistic: Callable[[Ratings], _agreement.Statistic] = _alpha.ordinal_alpha
    else:
        delta = _alpha.squared_distance(metric, read.values)

        def statistic(units: Ratings) -> _agreement.Statistic:
            return _alpha.alpha(units, delta)

    return estimate_agreement(
        read,
        statistic,
        coefficient=f"Krippendorff's alpha, {metric}",
        plan=check_interval(**planning),
    )


def _check_order(ratings: Any, read: Ratings) -> None:
    dtypes = list(getattr(ratings, "dtypes", []))
    if read.categories and not (dtypes and all(getattr(d, "ordered", False) for d in dtypes)):
        raise DataError(
            "The ordinal metric needs the order of the categories, and the ratings are text. Give "
            "categories=[…] from lowest to highest, or an ordered pandas categorical."
        )


def _only_paired(read: Ratings) -> Ratings:
    """Drop units with one value where any has two: they do not enter alpha."""
    paired = (read.codes != MISSING).sum(axis=1) >= 2
    return read.keep(paired) if paired.any() else read


def gwet_ac(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Gwet's AC1, or AC2 where `weights` are given.

    Chance agreement is that of coders who guess on hard units only, which makes the coefficient
    stable where a category is rare (Gwet 2008, *British Journal of Mathematical and Statistical
    Psychology* 61). It depends on the number of categories that coders *could* use: give
    `categories` where some never occur.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit.
    weights : {"identity", "linear", "quadratic", "ordinal"} or array, shape (q, q), optional
        Agreement weights; the ordinal ones are Gwet's.
    **options
        See `AgreementOptions`.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings or an option cannot be used.

    Examples
    --------
    The prevalence paradox: 80 and 5 agreed, 7 and 8 not.

    >>> from boundary_research.coding.reliability import cohen_kappa
    >>> pairs = [(0, 0)] * 80 + [(0, 1)] * 7 + [(1, 0)] * 8 + [(1, 1)] * 5
    >>> for coefficient in (gwet_ac, cohen_kappa, brennan_prediger):
    ...     print(f"{coefficient(pairs).estimate:.3f}")
    0.808
    0.314
    0.700
    """
    name = "Gwet's AC1" if weights_text(weights) == "" else "Gwet's AC2"
    return weighted_coefficient(
        ratings, weights, options, _agreement.gwet, name, rare_matters=False
    )[0]


def fleiss_kappa(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Fleiss' kappa, generalised to unequal numbers of coders and to weights.

    Chance agreement is that of one shared distribution of categories (Fleiss 1971, *Psychological
    Bulletin* 76; Gwet 2014, section 5.3). Each unit has one say, whatever its number of coders.
    With equal numbers of coders and no weights, `null_std_error` and `z` test "no agreement"
    (Fleiss, Nee and Landis 1979, *Psychological Bulletin* 86).

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit.
    weights : {"identity", "linear", "quadratic", "ordinal"} or array, shape (q, q), optional
        Agreement weights.
    **options
        See `AgreementOptions`.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings or an option cannot be used.
    """
    result, read = weighted_coefficient(
        ratings, weights, options, _agreement.fleiss, "Fleiss' kappa"
    )
    each = np.unique((read.codes != MISSING).sum(axis=1))
    plain = weights_text(weights) == "" and not read.weighted and read.clusters is None
    if np.isnan(result.estimate) or not plain or len(each) > 1:
        return result
    counts, m = read.counts, float(each[0])
    p = counts.sum(axis=0) / counts.sum()
    room = float((p * (1 - p)).sum())
    variance = room**2 - float((p * (1 - p) * (1 - 2 * p)).sum())
    error = float(np.sqrt(2 * variance / (len(counts) * m * (m - 1))) / room)
    return replace(result, null_std_error=error, z=result.estimate / error)


def conger_kappa(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Conger's kappa: Cohen's for any number of coders.

    Each coder keeps her own distribution of categories; chance agreement is averaged over pairs of
    coders (Conger 1980, *Psychological Bulletin* 88).

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit.
    weights : {"identity", "linear", "quadratic", "ordinal"} or array, shape (q, q), optional
        Agreement weights.
    **options
        See `AgreementOptions`.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings or an option cannot be used.
    """
    result, _ = weighted_coefficient(ratings, weights, options, _agreement.conger, "Conger's kappa")
    return result


def brennan_prediger(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Brennan and Prediger's coefficient: chance agreement of q equally likely categories.

    Brennan and Prediger (1981), *Educational and Psychological Measurement* 41. Give `categories`
    where some never occur: q is the number that coders could use.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit.
    weights : {"identity", "linear", "quadratic", "ordinal"} or array, shape (q, q), optional
        Agreement weights.
    **options
        See `AgreementOptions`.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings or an option cannot be used.
    """
    result, _ = weighted_coefficient(
        ratings, weights, options, _agreement.brennan, "Brennan–Prediger", rare_matters=False
    )
    return result
