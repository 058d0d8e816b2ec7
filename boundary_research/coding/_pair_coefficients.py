"""Coefficients of two coders, and agreement that is not corrected for chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Unpack

import numpy as np

from boundary_research._checks import DataError
from boundary_research.coding import _agreement
from boundary_research.coding._agreement_estimates import estimate_agreement
from boundary_research.coding._agreement_intervals import AgreementOptions, check_interval
from boundary_research.coding._agreement_results import AgreementResult
from boundary_research.coding._coefficients import (
    split_options,
    weighted_coefficient,
    weights_text,
)
from boundary_research.coding._ratings import MISSING, Ratings, read_ratings


def _two_coders(
    ratings: Any,
    weights: Any,
    options: AgreementOptions,
    statistic: Callable[[Ratings, np.ndarray], _agreement.Statistic],
    name: str,
    many: str,
) -> AgreementResult:
    """Return a two-coder coefficient on the units that both coded."""
    reading, planning = split_options(options)
    read = read_ratings(ratings, **reading)
    if read.codes.shape[1] != 2:
        raise DataError(
            f"{name} is for two coders, but the ratings have {read.codes.shape[1]} columns. Use "
            f"{many}, or choose two columns."
        )
    both = (read.codes != MISSING).all(axis=1)
    single = int((~both).sum())
    matrix = _agreement.agreement_weights(weights, read.values)
    result = estimate_agreement(
        read.keep(both) if both.any() else read,
        lambda units: statistic(units, matrix),
        coefficient=name + weights_text(weights),
        plan=check_interval(**planning),
        normal_wald=True,
    )
    return replace(result, n_single=single)


def cohen_kappa(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Cohen's kappa of two coders, on the units that both coded.

    Cohen (1960, *Educational and Psychological Measurement* 20; weighted 1968, *Psychological
    Bulletin* 70). `std_error` is the asymptotic one of Fleiss, Cohen and Everitt (1969,
    *Psychological Bulletin* 72), the ASE of other software, and ``interval="wald"`` uses it with
    a normal quantile.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, 2)
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
        If there are not two columns, or the ratings or an option cannot be used.

    Examples
    --------
    >>> table = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]
    >>> pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(table[i][j])]
    >>> result = cohen_kappa(pairs, interval="wald")
    >>> print(*(f"{x:.4f}" for x in (result.estimate, result.std_error)))
    0.4842 0.1380
    """
    return _two_coders(
        ratings, weights, options, _agreement.conger, "Cohen's kappa", "conger_kappa"
    )


def scott_pi(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return Scott's pi of two coders, on the units that both coded.

    Scott (1955), *Public Opinion Quarterly* 19: chance agreement is that of the coders' mean
    distribution of categories.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, 2)
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
        If there are not two columns, or the ratings or an option cannot be used.
    """
    return _two_coders(ratings, weights, options, _agreement.fleiss, "Scott's pi", "fleiss_kappa")


def percent_agreement(
    ratings: Any, weights: Any = None, **options: Unpack[AgreementOptions]
) -> AgreementResult:
    """Return the share of pairs of coders of a unit that agree, averaged over units.

    It is not corrected for chance; read it beside the other coefficients.

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
        ratings,
        weights,
        options,
        _agreement.percent,
        "percent agreement",
        low=0.0,
        chance_corrected=False,
        rare_matters=False,
    )
    if len(np.unique(read.codes[read.codes != MISSING])) == 1 and not np.isnan(result.estimate):
        words = "All ratings fall in one category: this agreement says nothing of the coders."
        return replace(result, note=f"{words} {result.note}".strip())
    return result


class SpecificAgreement(NamedTuple):
    """Agreement on what is present and on what is absent."""

    positive: AgreementResult
    negative: AgreementResult


def specific_agreement(
    ratings: Any, positive: Any = None, **options: Unpack[AgreementOptions]
) -> SpecificAgreement:
    """Return positive and negative agreement.

    Positive agreement is the probability that a second coder of the same unit also chose the
    category, given that one did: o_cc / n_c of the coincidence matrix, which for two coders is
    2a / (2a + b + c) (Cicchetti and Feinstein 1990, *Journal of Clinical Epidemiology* 43).
    Negative agreement is the same for all other categories taken as one.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        NaN where a coder did not code a unit.
    positive : optional
        The positive category; by default the second of two.
    **options
        See `AgreementOptions`.

    Returns
    -------
    SpecificAgreement
        `positive` and `negative`, each an `AgreementResult`.

    Raises
    ------
    DataError
        If there are more than two categories and `positive` is not given, or it is not one of them.

    Examples
    --------
    >>> pairs = [(0, 0)] * 80 + [(0, 1)] * 7 + [(1, 0)] * 8 + [(1, 1)] * 5
    >>> agreement = specific_agreement(pairs)
    >>> print(f"{agreement.positive.estimate:.2f} {agreement.negative.estimate:.2f}")
    0.40 0.91
    """
    reading, planning = split_options(options)
    read = read_ratings(ratings, **reading)
    position = _position(read, positive)
    rest = "rest"
    binary = np.where(read.codes == MISSING, MISSING, (read.codes == position).astype(int))
    read = replace(
        read,
        codes=binary,
        categories=(rest, positive),
        values=np.array([0.0, 1.0]),
    )
    plan = check_interval(**planning)

    def one(category: int, name: str) -> AgreementResult:
        return estimate_agreement(
            read,
            lambda units: _agreement.specific(units, category),
            coefficient=name,
            plan=plan,
            low=0.0,
            chance_corrected=False,
        )

    return SpecificAgreement(one(1, "positive agreement"), one(0, "negative agreement"))


def _position(read: Ratings, positive: Any) -> int:
    if positive is None:
        if len(read.categories) > 2:
            raise DataError(
                f"There are {len(read.categories)} categories; say which is positive with "
                f"positive=…. Available: {', '.join(map(str, read.categories[:10]))}."
            )
        # with one category or none there is nothing to tell apart; 1 and True count as positive
        one = len(read.categories) == 1 and read.categories[0] in (1, True)
        return 0 if one else 1
    if positive not in read.categories:
        raise DataError(
            f"positive {positive!r} not found. Available: "
            f"{', '.join(map(str, read.categories[:10]))}."
        )
    return read.categories.index(positive)
