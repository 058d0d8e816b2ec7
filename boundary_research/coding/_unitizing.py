"""Unitizing alpha: agreement on where in a text a category is seen.

Letters follow Krippendorff (2004), *Content Analysis*, 2nd ed., pp. 251–256: m coders, a continuum
of length L, sections with begin b and length l, which are units (v = 1) or gaps (v = 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from boundary_research._checks import DataError
from boundary_research.coding._agreement_intervals import (
    IntervalPlan,
    bootstrap_interval,
    check_interval,
)
from boundary_research.coding._agreement_results import NAN, AgreementResult
from boundary_research.coding._spans import read_continuum, read_spans


@dataclass(frozen=True)
class UnitizingResult(AgreementResult):
    """Unitizing alpha over all categories, and of each.

    Attributes
    ----------
    observed_disagreement, expected_disagreement : float
        D_o and D_e, summed over categories.
    by_category : dict of str to UnitizingResult
        Alpha of each category that somebody marked.
    """

    observed_disagreement: float = NAN
    expected_disagreement: float = NAN
    by_category: dict[str, UnitizingResult] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sums:
    """What the narratives add to one category's disagreements, n narratives."""

    observed: np.ndarray  # (n,) sum of delta² over ordered pairs of coders
    units: np.ndarray  # (n,) number of units
    cubic: np.ndarray  # (n,) sum of (2l³ − 3l² + l) / 3 over units
    square: np.ndarray  # (n,) sum of l (l − 1) over units
    mass: Any  # (n, v) sparse, sum of l² over units, by their distinct lengths
    lengths: np.ndarray  # (v,) distinct lengths of units
    long_gaps: np.ndarray  # (n, 2) number and summed length of gaps that any unit fits in
    short_gaps: Any  # (n, v) sparse, sum of (l_gap − l + 1)+ over the other gaps


def unitizing_alpha(
    spans: Any,
    continuum: Any,
    *,
    coders: Sequence[Any] | None = None,
    confidence: float = 0.95,
    n_boot: int = 2000,
    random_state: int | np.random.Generator | None = None,
) -> UnitizingResult:
    """Return Krippendorff's alpha for evidence spans (unitizing alpha, alpha_U).

    Spans that two coders set over the same words agree by how closely their ends coincide. The
    expected disagreement is that of all units placed anywhere on the continuum (Krippendorff 2004,
    *Content Analysis*, 2nd ed., pp. 251–256). With several narratives, gaps end where a narrative
    ends, and the interval is BCa over resampled narratives.

    Parameters
    ----------
    spans : DataFrame or list of tuples
        A DataFrame with `coder_id`, `category`, and `start` and `end` (or `evidence_start` and
        `evidence_end`); with several narratives also `incident_id`. A list holds (coder, category,
        start, end). Positions are whole characters, `end` exclusive. Spans of one coder and
        category that touch or overlap are taken as one.
    continuum : tuple, int, or mapping
        (begin, end) of one text, its length if it begins at 0, or the length of each narrative by
        `incident_id`. All narratives that the coders coded belong here, those without spans too.
    coders : sequence, optional
        All coders, where one may have marked nothing. Every coder has coded every narrative.
    confidence, n_boot, random_state : optional
        Of the interval.

    Returns
    -------
    UnitizingResult
        The overall value, and `by_category`. With one text there is no interval.

    Raises
    ------
    DataError
        If a span lies outside its text, or columns are missing.

    Examples
    --------
    Krippendorff (2004), p. 254. The .8591 printed there for both categories together follows from
    his rounded disagreements, 1 − .0144 / (.0532 + .0490); unrounded it is .8587.

    >>> spans = [(0, "c", 225, 295), (0, "c", 370, 400), (0, "k", 180, 240), (0, "k", 300, 350),
    ...          (1, "c", 220, 300), (1, "c", 355, 375), (1, "c", 400, 420), (1, "k", 180, 240),
    ...          (1, "k", 300, 350)]
    >>> result = unitizing_alpha(spans, continuum=(150, 450))
    >>> print(f"{result.estimate:.4f}")
    0.8587
    >>> print({category: f"{one.estimate:.4f}" for category, one in result.by_category.items()})
    {'c': '0.7286', 'k': '1.0000'}
    """
    plan = check_interval(
        confidence=confidence, interval="bootstrap", n_boot=n_boot, random_state=random_state
    )
    texts = read_continuum(continuum)
    table = read_spans(spans, texts)
    names = list(coders) if coders is not None else sorted(table["coder_id"].unique(), key=str)
    strangers = set(table["coder_id"]) - set(names)
    if strangers:
        raise DataError(
            f"spans: coder {sorted(map(str, strangers))[0]!r} is not among coders. Add her or drop "
            f"her spans."
        )
    described: dict[str, Any] = {
        "confidence": confidence,
        "interval": "bootstrap",
        "n_units": len(texts),
        "n_coders": len(names),
        "n_ratings": len(table),
    }
    title = "unitizing alpha"
    if len(names) < 2 or not len(table):
        what = "Fewer than two coders" if len(names) < 2 else "Nobody marked a span"
        note = f"{what}, so agreement on spans is not defined."
        return UnitizingResult(coefficient=title, estimate=NAN, note=note, **described)
    lengths = np.array([end - begin for begin, end in texts.values()], dtype=float)
    sums = {
        str(category): _sum_category(rows, texts, names)
        for category, rows in table.groupby("category", sort=True)
    }
    overall = _estimate(list(sums.values()), lengths, len(names), plan, title, described)
    each = {
        category: _estimate([one], lengths, len(names), plan, f"{title}, {category}", described)
        for category, one in sums.items()
    }
    return replace(overall, by_category=each)


def _sections(
    rows: list[tuple[float, float]], begin: float, end: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return begin, length and v of the sections that spans cut a text into."""
    merged: list[list[float]] = []
    for start, stop in sorted(rows):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    cuts: list[tuple[float, float, int]] = []
    at = begin
    for start, stop in merged:
        if start > at:
            cuts.append((at, start - at, 0))
        cuts.append((start, stop - start, 1))
        at = stop
    if end > at:
        cuts.append((at, end - at, 0))
    b, length, v = zip(*cuts, strict=True)
    return np.array(b), np.array(length), np.array(v)


def _difference(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> float:
    """Return the sum of delta² over the sections of two coders (Krippendorff 2004, p. 253)."""
    b, length, v = (part[:, None] for part in first)
    b2, length2, v2 = (part[None, :] for part in second)
    gap = b - b2
    ends = gap + length - length2
    both = (v == 1) & (v2 == 1) & (gap > -length) & (gap < length2)
    inside = (v == 1) & (v2 == 0) & (gap >= 0) & (length2 - length >= gap)
    around = (v == 0) & (v2 == 1) & (gap <= 0) & (length - length2 >= -gap)
    total = both * (gap**2 + ends**2) + inside * length**2 + around * length2**2
    return float(total.sum())


def _sum_category(
    rows: pd.DataFrame, texts: Mapping[Any, tuple[float, float]], coders: Sequence[Any]
) -> _Sums:
    marked: dict[Any, dict[Any, list[tuple[float, float]]]] = {}
    columns = (rows["text"], rows["coder_id"], rows["start"], rows["end"])
    for text, coder, start, end in zip(*columns, strict=True):
        own = marked.setdefault(None if pd.isna(text) else text, {})
        own.setdefault(coder, []).append((start, end))
    n, m = len(texts), len(coders)
    observed = np.zeros(n)
    unit_rows: list[tuple[int, float]] = []
    gap_rows: list[tuple[int, float]] = []
    for a, (key, (begin, end)) in enumerate(texts.items()):
        if key not in marked:  # nobody marked it: one gap a coder, no disagreement
            gap_rows += [(a, end - begin)] * m
            continue
        cut = [_sections(marked[key].get(coder, []), begin, end) for coder in coders]
        for i, first in enumerate(cut):
            for second in cut[:i]:
                observed[a] += 2 * _difference(first, second)
        for _, lengths, v in cut:
            unit_rows += [(a, length) for length in lengths[v == 1]]
            gap_rows += [(a, length) for length in lengths[v == 0]]
    units, gaps = np.array(unit_rows), np.array(gap_rows).reshape(-1, 2)
    return _sum_sections(observed, units, gaps)


def _sum_sections(observed: np.ndarray, units: np.ndarray, gaps: np.ndarray) -> _Sums:
    """Return the sums from (narrative, length) of all units and gaps."""
    n = len(observed)
    at, length = units[:, 0].astype(int), units[:, 1]
    values, which = np.unique(length, return_inverse=True)
    shape = (n, len(values))

    def add(weights: np.ndarray) -> np.ndarray:
        return np.bincount(at, weights=weights, minlength=n)

    owner, gap = gaps[:, 0].astype(int), gaps[:, 1]
    long = gap >= values[-1] - 1
    room = np.maximum(gap[~long, None] - values + 1, 0)
    row, column = np.nonzero(room)
    short = (room[row, column], (owner[~long][row], column))
    return _Sums(
        observed=observed,
        units=add(np.ones(len(length))),
        cubic=add((2 * length**3 - 3 * length**2 + length) / 3),
        square=add(length * (length - 1)),
        mass=sparse.coo_array((length**2, (at, which)), shape=shape).tocsr(),
        lengths=values,
        long_gaps=np.column_stack(
            [
                np.bincount(owner[long], minlength=n),
                np.bincount(owner[long], weights=gap[long], minlength=n),
            ]
        ),
        short_gaps=sparse.coo_array(short, shape=shape).tocsr(),
    )


def _disagreements(
    one: _Sums, lengths: np.ndarray, m: int, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return D_o and D_e of a category (Krippendorff 2004, pp. 253–256).

    Narratives are repeated `weights` times: shape (b, n) → (b,).
    """
    long = weights @ lengths
    count, summed = (weights @ one.long_gaps).T
    room = (summed + count)[:, None] - count[:, None] * one.lengths + weights @ one.short_gaps
    top = (weights @ one.units - 1) * (weights @ one.cubic)
    top = top + ((weights @ one.mass) * room).sum(axis=1)
    bottom = m * long * (m * long - 1) - weights @ one.square
    observed = weights @ one.observed / (m * (m - 1) * long**2)
    return observed, 2 / long * top / np.where(bottom > 0, bottom, 1)


def _disagreement_sums(
    sums: Sequence[_Sums], lengths: np.ndarray, m: int, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return D_o and D_e summed over categories."""
    each = [_disagreements(one, lengths, m, weights) for one in sums]
    return np.sum([d_o for d_o, _ in each], axis=0), np.sum([d_e for _, d_e in each], axis=0)


def _alpha(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    defined = expected > 1e-12
    return np.where(defined, 1 - observed / np.where(defined, expected, 1), np.nan)


def _estimate(
    sums: Sequence[_Sums],
    lengths: np.ndarray,
    m: int,
    plan: IntervalPlan,
    title: str,
    described: dict[str, Any],
) -> UnitizingResult:
    n = len(lengths)
    d_o, d_e = _disagreement_sums(sums, lengths, m, np.ones((1, n)))
    described = {
        **described,
        "observed_disagreement": float(d_o[0]),
        "expected_disagreement": float(d_e[0]),
    }
    estimate = float(_alpha(d_o, d_e)[0])
    if np.isnan(estimate):
        note = "The spans leave no room for disagreement, so no value is defined."
        return UnitizingResult(coefficient=title, estimate=NAN, note=note, **described)
    if n < 2:
        note = "One text cannot be resampled, so there is no interval."
        return UnitizingResult(coefficient=title, estimate=estimate, note=note, **described)
    error, low, high, notes = bootstrap_interval(
        sparse.eye_array(n, format="csr"),
        lambda weights: _alpha(*_disagreement_sums(sums, lengths, m, weights)),
        estimate,
        plan,
    )
    return UnitizingResult(
        coefficient=title,
        estimate=estimate,
        std_error=error,
        conf_low=low,
        conf_high=high,
        note=" ".join(notes),
        **described,
    )
