"""How a number of a results table comes about, and how far chance may move it.

Three origins are told apart. ``inputs``: given the input files the number is fixed (counts of gold
codes, agreement in closed form, estimates from the gold codes alone). ``draws``: limits and
p-values of a bootstrap, around an estimate that is fixed. ``folds``: everything behind the random
folds of cross-fitting, or behind imputed values: another seed trains other models, and the estimate
itself moves.

For ``draws`` there is a Monte-Carlo standard error in closed form. For ``folds`` there is none that
could be had without running the study many times over, so the yardstick is the published standard
error s of the number itself, and one s is allowed by default. Two runs that differ in their folds
only are two valid estimates from the same data. If they lie s apart, their midpoint is s/2 from
each, and the variance that takes the split into account (Chernozhukov and others 2018,
*Econometrics Journal* 21, section 3.4: variance plus squared distance from the median over splits)
is s² + s²/4: an interval 12 % wider than the published one, and no other conclusion. This is a
convention: docs/replication.md gives what was measured on the example study.
"""

from __future__ import annotations

from inspect import signature
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from boundary_research.classifier.evaluation import evaluate
from boundary_research.coding.reliability import agreement_table
from boundary_research.inference._bootstrap import wild_cluster_bootstrap

# Half the width of a published 95 % interval, in standard errors.
_WIDTH = float(norm.ppf(0.975))
# Tables that hold what the classifier made, from the folds.
_CODED_TABLES = ("decisions", "cooccurrence")
# Tables that rest on what coders and inputs say alone.
_HUMAN_TABLES = ("reliability", "missingness")


class Spread(NamedTuple):
    """How far chance moves each number of a column, on its scale.

    Attributes
    ----------
    folds : float array, shape (n,)
        Published standard error of a number behind random folds.
    draws : float array, shape (n,)
        Monte-Carlo standard error of the difference between two bootstraps.
    """

    folds: np.ndarray
    draws: np.ndarray


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)


def find_origins(
    name: str, frame: pd.DataFrame, column: str, *, crossfitted: bool = True
) -> np.ndarray:
    """Return inputs, draws or folds for each row of a column.

    Parameters
    ----------
    name : str
        The table; the plotted data of a figure as ``figures/NAME``.
    frame : DataFrame
        The published table.
    column : str
    crossfitted : bool
        Whether the model was trained on the gold sample in random folds; a finished model's codes
        do not depend on the seed.
    """
    n = len(frame)
    origin = np.full(n, "inputs", dtype=object)
    behind = "folds" if crossfitted else "inputs"
    table = name.removeprefix("figures/")
    limits = column in ("conf_low", "conf_high", "std_error")
    if table in _HUMAN_TABLES or "coefficient" in frame.columns:
        if limits and "interval" in frame.columns:
            origin[(frame["interval"] == "bootstrap").to_numpy()] = "draws"
        return origin
    if table in _CODED_TABLES:
        return np.full(n, behind, dtype=object)
    if table == "registration":
        # What was planned and run names the seed.
        return np.full(n, "folds", dtype=object)
    if column.startswith("n_") and column != "n_tests":
        # Who is counted is given, but for levels that were imputed.
        behind = "inputs"
    if "metric" in frame.columns:
        origin[:] = "draws" if limits and not crossfitted else behind
        return origin
    origin[:] = behind
    if "estimator" in frame.columns:
        # Limits of few clusters come from a wild bootstrap.
        drawn = column.startswith("p_") or column.endswith(("_low", "_high"))
        origin[(frame["estimator"] == "gold_only").to_numpy()] = "draws" if drawn else "inputs"
    if "missing" in frame.columns:
        origin[(frame["missing"] == "multiple_imputation").to_numpy()] = "folds"
    return origin


def to_scale(values: np.ndarray, scale: str) -> np.ndarray:
    """Return numbers on the scale on which their standard error is meant.

    Ratios are taken as logarithms, and p-values as the normal deviates behind them.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "logarithm":
            return np.log(values)
        if scale == "normal deviate":
            return norm.isf(np.clip(values, 1e-300, 1) / 2)
    return values


def _from_interval(frame: pd.DataFrame, low: str, high: str, scale: str) -> np.ndarray:
    upper, lower = (to_scale(_numbers(frame, end), scale) for end in (high, low))
    return (upper - lower) / (2 * _WIDTH)


def _of_means(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Bound the standard error of a mean of values in [0, 1].

    A variable in [0, 1] with mean m has variance of at most m (1 - m) (Bhatia and Davis 2000,
    *American Mathematical Monthly* 107). Average precision and AUC are means over the positives,
    the Brier score is one over narratives, a share of co-occurrence one over the row's narratives.
    """
    values = _numbers(frame, column)
    n = _numbers(frame, "n_row")
    if "metric" in frame.columns:
        per_narrative = (frame["metric"] == "brier").to_numpy()
        n = np.where(per_narrative, _numbers(frame, "n_narratives"), _numbers(frame, "n_positive"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(np.where((values >= 0) & (values <= 1), values * (1 - values) / n, np.nan))


def _quantile_error(n_draws: int) -> float:
    """Return the Monte-Carlo standard error of a 2.5 % quantile of normal draws, over their sd.

    sqrt(q (1 - q) / B) / f(x_q) (Serfling 1980, *Approximation Theorems*, section 2.3.3).
    """
    tail = 0.025
    return float(np.sqrt(tail * (1 - tail) / n_draws) / norm.pdf(norm.ppf(tail)))


def _count_draws(frame: pd.DataFrame) -> int:
    """Return how many draws stand behind the limits of a table."""
    if "metric" in frame.columns:
        return int(signature(evaluate).parameters["n_boot"].default)
    if "coefficient" in frame.columns:
        return int(signature(agreement_table).parameters["n_boot"].default)
    return int(signature(wild_cluster_bootstrap).parameters["draws"].default)


def _draw_error(frame: pd.DataFrame, column: str, sampling: np.ndarray) -> np.ndarray:
    """Return the Monte-Carlo standard error of the difference between two bootstraps."""
    n_draws = _count_draws(frame)
    if column.startswith("p_"):
        # A share of draws has relative error sqrt((1 - p) / (p B)); adjustment multiplies p.
        p = np.fmax(_numbers(frame, "p_value"), 1 / (n_draws + 1))
        shown = np.clip(_numbers(frame, column), 1 / (n_draws + 1), 1)
        relative = np.sqrt(np.fmax(1 - p, 0) / (p * n_draws))
        return np.sqrt(2) * shown * relative / (2 * norm.pdf(to_scale(shown, "normal deviate")))
    if column == "std_error":
        # The standard error of a standard deviation of B normal draws.
        return np.sqrt(2) * _numbers(frame, "std_error") / np.sqrt(2 * (n_draws - 1))
    return np.sqrt(2) * _quantile_error(n_draws) * sampling


def measure_spread(name: str, frame: pd.DataFrame, column: str, *, kind: str) -> tuple[str, Spread]:
    """Return the scale of a column, and how far chance moves its numbers on that scale.

    The standard error is the published one; where a table has none, it is read off the 95 %
    interval, and for counts of what a model codes it is the square root of the count.

    Parameters
    ----------
    name : str
    frame : DataFrame
        The published table.
    column : str
    kind : str
        count or estimate.
    """
    n = len(frame)
    if kind == "count":
        root = np.sqrt(np.fmax(np.abs(_numbers(frame, column)), 1))
        return "linear", Spread(root, np.zeros(n))
    if column.startswith("p_"):
        draws = _draw_error(frame, column, np.ones(n))
        return "normal deviate", Spread(np.ones(n), draws)
    scale = "logarithm" if "ratio" in column else "linear"
    stem = column.removesuffix("_low").removesuffix("_high")
    if column == "std_error":
        # As much as moves a limit of the interval by one standard error.
        sampling = _numbers(frame, column) / _WIDTH
    elif stem in ("estimate", "conf"):
        sampling = _numbers(frame, "std_error")
        limits = _from_interval(frame, "conf_low", "conf_high", scale)
        sampling = np.where(np.isfinite(sampling), sampling, limits)
    else:
        sampling = _from_interval(frame, f"{stem}_low", f"{stem}_high", scale)
    sampling = np.where(np.isfinite(sampling), sampling, _of_means(frame, column))
    # With few clusters the published interval is wider than its standard error says.
    ends = (f"{stem}_low", f"{stem}_high") if stem != "estimate" else ("conf_low", "conf_high")
    width = np.fmax(sampling, _from_interval(frame, *ends, scale))
    return scale, Spread(sampling, _draw_error(frame, column, width))
