"""Multiple imputation of missing attributes by chained equations, and Rubin's rules.

Van Buuren and Groothuis-Oudshoorn 2011 (chained equations); Rubin 1987 and Barnard and Rubin 1999
(pooling). Each round draws a bootstrap sample first, so that the imputation model's own
uncertainty is part of the spread. The codes take part as predictors, as they must for the
associations not to be watered down.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from boundary_research.inference._alignment import Codes
from boundary_research.inference._regression import Terms
from boundary_research.inference.results import wald_limits

CYCLES = 5
MOST_ROWS = 20_000  # rows that an imputation model is fitted to
DONORS = 5


def impute_frames(
    frame: pd.DataFrame, codes: Codes, imputations: int, generator: np.random.Generator
) -> list[pd.DataFrame]:
    """Return `imputations` copies of `frame` with missing entries drawn, given all else.

    Assumes that, given the other attributes and the codes, an attribute is missing regardless of
    its value. Each variable needs some stated entries.
    """
    residual = np.zeros_like(codes.probability)
    residual[codes.rows] = codes.gold - codes.probability[codes.rows]
    outcome = np.column_stack([codes.probability, residual])
    return [_one_round(frame, outcome, generator) for _ in range(imputations)]


def _one_round(
    frame: pd.DataFrame, outcome: np.ndarray, generator: np.random.Generator
) -> pd.DataFrame:
    gaps = {name: frame[name].isna().to_numpy() for name in frame.columns}
    gaps = {name: gap for name, gap in gaps.items() if gap.any() and not gap.all()}
    filled = frame.copy()
    for name, gap in gaps.items():  # a start: entries of other rows
        donors = frame[name][~gap].to_numpy()
        filled.loc[gap, name] = generator.choice(donors, size=int(gap.sum()))
    for _ in range(CYCLES if len(gaps) > 1 else 1):
        for name, gap in gaps.items():
            others = _features(filled.drop(columns=name), outcome)
            observed = np.flatnonzero(~gap)
            size = min(len(observed), MOST_ROWS)
            fitted = generator.choice(observed, size=size, replace=True)
            if isinstance(frame[name].dtype, pd.CategoricalDtype):
                drawn = _draw_levels(
                    others, frame[name].cat.codes.to_numpy(), fitted, gap, generator
                )
                levels = frame[name].cat.categories
                filled.loc[gap, name] = np.asarray(levels)[drawn]
            else:
                values = frame[name].to_numpy(dtype=float)
                filled.loc[gap, name] = _draw_numbers(others, values, fitted, gap, generator)
    return filled


def _features(others: pd.DataFrame, outcome: np.ndarray) -> np.ndarray:
    """Return standardised predictors, shape (n, q); a variable with nothing stated is left out."""
    parts = [outcome]
    for name in others.columns:
        column = others[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            marks = pd.get_dummies(column, dtype=float).to_numpy()[:, 1:]
            parts.append(marks)
        elif column.notna().all():
            parts.append(column.to_numpy(dtype=float)[:, None])
    matrix = np.column_stack(parts)
    spread = matrix.std(axis=0)
    keep = spread > 0
    return (matrix[:, keep] - matrix[:, keep].mean(axis=0)) / spread[keep]


def _draw_levels(
    others: np.ndarray,
    codes: np.ndarray,
    fitted: np.ndarray,
    gap: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return drawn level codes from a multinomial logit with a slight ridge."""
    from sklearn.linear_model import LogisticRegression

    found = np.unique(codes[fitted])
    if len(found) < 2:
        return np.full(int(gap.sum()), found[0])
    model = LogisticRegression(C=10.0, max_iter=2_000, tol=1e-3).fit(others[fitted], codes[fitted])
    cumulative = np.cumsum(model.predict_proba(others[gap]), axis=1)
    place = (generator.random((len(cumulative), 1)) > cumulative[:, :-1]).sum(axis=1)
    return np.asarray(model.classes_)[place]


def _draw_numbers(
    others: np.ndarray,
    values: np.ndarray,
    fitted: np.ndarray,
    gap: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return values of rows with a like prediction (predictive mean matching)."""
    design = np.column_stack([np.ones(len(others)), others])
    coefficients = np.linalg.lstsq(design[fitted], values[fitted], rcond=None)[0]
    donors = np.unique(fitted)
    expected = design[donors] @ coefficients
    order = np.argsort(expected)
    donors, expected = donors[order], expected[order]
    near = np.searchsorted(expected, design[gap] @ coefficients)
    near = near + generator.integers(-DONORS, DONORS, size=len(near))
    return values[donors[np.clip(near, 0, len(donors) - 1)]]


def pool(rounds: list[Terms], conf_level: float) -> Terms:
    """Return the terms of several imputed data sets pooled by Rubin's rules."""
    count = len(rounds)
    estimate = np.mean([terms.estimate for terms in rounds], axis=0)
    spread = np.stack([terms.estimate - estimate for terms in rounds])
    between = np.einsum("mkp,mkq->kpq", spread, spread) / (count - 1)
    vcov = np.mean([terms.vcov for terms in rounds], axis=0) + (1 + 1 / count) * between
    total = np.diagonal(vcov, axis1=1, axis2=2)
    lost = (1 + 1 / count) * np.diagonal(between, axis1=1, axis2=2) / total
    df = _pooled_df(lost, np.min([terms.df for terms in rounds], axis=0), count)
    std_error = np.sqrt(np.maximum(total, 0))
    low, high, p_value = wald_limits(estimate, std_error, df, conf_level)
    difference = np.mean([terms.difference for terms in rounds], axis=0)
    within = np.mean([terms.difference_error**2 for terms in rounds], axis=0)
    extra = np.var([terms.difference for terms in rounds], axis=0, ddof=1)
    notes = [
        " / ".join(sorted({str(n) for n in column if n}))
        for column in np.array([terms.note for terms in rounds], dtype=object).T
    ]
    penalties = np.array([terms.penalty for terms in rounds], dtype=object).T
    return replace(
        rounds[0],
        estimate=estimate,
        vcov=vcov,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        p_value=p_value,
        df=df,
        difference=difference,
        difference_error=np.sqrt(within + (1 + 1 / count) * extra),
        penalty=np.array([max(column) for column in penalties], dtype=object),
        note=np.array(notes, dtype=object),
    )


def _pooled_df(lost: np.ndarray, complete: np.ndarray, count: int) -> np.ndarray:
    """Return Barnard and Rubin's degrees of freedom.

    `lost` is the share of the variance due to missing values, `complete` the degrees of freedom
    had there been none.
    """
    share = np.clip(lost, 1e-12, 1.0)
    old = (count - 1) / share**2
    finite = np.where(np.isfinite(complete), complete, 1e12)
    observed = (finite + 1) / (finite + 3) * finite * (1 - share)
    return 1 / (1 / old + 1 / np.maximum(observed, 1e-12))
