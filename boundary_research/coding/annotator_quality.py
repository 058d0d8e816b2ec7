"""Sensitivity and specificity of each coder by latent classes, as a diagnostic.

Dawid and Skene's model takes what the coders say of each narrative as their only trace of an
unseen truth, and estimates how often each coder says "present" where it is so (sensitivity) and
"absent" where it is not (specificity). It assumes that coders err independently given the truth,
which coders trained on one codebook do not quite: use it to see whom to talk to, and not in place
of adjudication.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_fraction, check_random_state
from boundary_research._intervals import wilson_interval
from boundary_research.coding._codings import pivot_codings, read_codings
from boundary_research.coding._latent_classes import Fit, Patterns, fit_classes
from boundary_research.coding._ratings import MISSING, Ratings, read_ratings

FEW_UNITS_OF_A_KIND = 10
COLUMNS = [
    "coder_id",
    "n_units",
    "sensitivity",
    "sensitivity_low",
    "sensitivity_high",
    "specificity",
    "specificity_low",
    "specificity_high",
    "note",
]


@dataclass(frozen=True)
class CoderQuality:
    """Result of Dawid and Skene's model for one category.

    Attributes
    ----------
    coders : DataFrame
        One row a coder: `coder_id`, `n_units`, `sensitivity` and `specificity` with `_low` and
        `_high`, and `note` where an interval rests on few narratives.
    prevalence : float
        Estimated share of narratives in which the category is present.
    posterior : Series
        Probability of "present" for each unit, by its position or index label, NaN where uncoded.
    n_units, n_coders : int
        What entered.
    converged : bool
        Whether the iterations settled.
    note : str
        In words: why there is no value, or what to beware of.
    """

    coders: pd.DataFrame
    prevalence: float
    posterior: pd.Series
    n_units: int
    n_coders: int
    converged: bool
    note: str


def dawid_skene(
    ratings: Any,
    *,
    inclusion_probability: Any = None,
    clusters: Any = None,
    confidence: float = 0.95,
    n_boot: int = 500,
    max_iter: int = 2000,
    random_state: int | np.random.Generator | None = None,
) -> CoderQuality:
    """Return each coder's sensitivity and specificity by Dawid and Skene's model.

    The two-class model is fitted by expectation maximisation from the share of "present" for each
    unit (Dawid and Skene 1979, *Applied Statistics* 28, equations 2.3–2.5), with half a unit added
    to each of a coder's counts. Intervals are Wilson's at the effective number of units that the
    bootstrap variance implies, and never more than the coder's estimated units of that kind.

    Parameters
    ----------
    ratings : array-like or DataFrame, shape (units, coders)
        0 absent, 1 present (or bools), NaN where a coder did not code a unit.
    inclusion_probability : array-like, shape (units,), optional
        Probability with which each unit was drawn; units then weigh 1/π.
    clusters : array-like, shape (units,), optional
        What each unit belongs to; the bootstrap then draws clusters.
    confidence : float
        Level of the intervals.
    n_boot : int
        Bootstrap draws.
    max_iter : int
        Most iterations.
    random_state : int, Generator or None
        Of the bootstrap.

    Returns
    -------
    CoderQuality
        All NaN, with a note, where the data do not identify the model: two coders never do.

    Raises
    ------
    DataError
        If the ratings are not 0, 1 or missing, or an option cannot be used.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> truth = rng.random(2000) < 0.3
    >>> says_present = np.where(truth[:, None], [0.95, 0.9, 0.6], [0.05, 0.2, 0.1])
    >>> ratings = (rng.random((2000, 3)) < says_present).astype(int)
    >>> quality = dawid_skene(ratings, n_boot=100, random_state=1)
    >>> print(quality.coders[["coder_id", "sensitivity", "specificity"]].round(1).to_string())
       coder_id  sensitivity  specificity
    0         0          0.9          0.9
    1         1          0.9          0.8
    2         2          0.6          0.9
    """
    level = check_fraction(confidence, name="confidence")
    generator = check_random_state(random_state)
    if isinstance(n_boot, bool) or not isinstance(n_boot, int | np.integer) or n_boot < 100:
        raise DataError(f"n_boot must be a whole number of at least 100, got {n_boot!r}.")
    labels = ratings.index if isinstance(ratings, pd.DataFrame) else None
    frame = pd.DataFrame(ratings) if labels is None else ratings
    read = read_ratings(
        frame,
        categories=[0, 1],
        inclusion_probability=inclusion_probability,
        clusters=clusters,
    )
    kept = frame.notna().any(axis=1).to_numpy()
    posterior = pd.Series(np.nan, index=frame.index, name="probability_present")
    problem = _unidentified(read)
    if problem:
        return _nothing(read, posterior, problem)
    patterns, member = _find_patterns(read)
    weights = np.bincount(member, weights=read.weights, minlength=len(patterns.yes))
    fit = fit_classes(patterns, weights[None, :], max_iter)
    draws = _resample(read, member, len(patterns.yes), int(n_boot), generator)
    spread = fit_classes(patterns, draws, max_iter, start=fit)
    posterior[kept] = fit.posterior[0, member]
    coders = _describe_coders(read, patterns, weights, fit, spread, level)
    notes = [] if fit.converged else [f"Did not settle in {max_iter} iterations."]
    if (coders["sensitivity"] + coders["specificity"] < 1).any():
        notes.append("A coder does worse than chance; check that she read the category as meant.")
    return CoderQuality(
        coders=coders,
        prevalence=float(fit.prevalence[0]),
        posterior=posterior,
        n_units=len(read.codes),
        n_coders=len(coders),
        converged=fit.converged,
        note=" ".join(notes),
    )


def _unidentified(read: Ratings) -> str:
    """Return in words why the model cannot be fitted, or nothing.

    The model has 2c + 1 parameters; the data give one share a coder and one for each pair and
    triple of coders with units in common.
    """
    coded = read.codes != MISSING
    if len(np.unique(read.codes[coded])) < 2:
        return "All ratings are alike, so nothing can be said of the coders."
    c = int(coded.any(axis=0).sum())
    rows = np.unique(coded, axis=0)
    sets = [frozenset(np.nonzero(row)[0]) for row in rows]
    shares = {
        subset
        for one in sets
        for size in (1, 2, 3)
        for subset in map(frozenset, combinations(sorted(one), size))
    }
    if c < 3 or len(shares) < 2 * c + 1:
        return (
            f"{c} coders with {len(rows)} patterns of who coded what do not identify sensitivity "
            f"and specificity. At least three coders have to code narratives in common."
        )
    return ""


def _nothing(read: Ratings, posterior: pd.Series, note: str) -> CoderQuality:
    coded = (read.codes != MISSING).sum(axis=0)
    coders = pd.DataFrame({"coder_id": list(read.coders), "n_units": coded}).reindex(
        columns=COLUMNS
    )
    coders["note"] = note
    return CoderQuality(
        coders=coders,
        prevalence=float("nan"),
        posterior=posterior,
        n_units=len(read.codes),
        n_coders=int((coded > 0).sum()),
        converged=False,
        note=note,
    )


def _find_patterns(read: Ratings) -> tuple[Patterns, np.ndarray]:
    rows, member = np.unique(read.codes, axis=0, return_inverse=True)
    patterns = Patterns((rows == 1).astype(float), (rows == 0).astype(float))
    return patterns, np.asarray(member).ravel()


def _resample(
    read: Ratings, member: np.ndarray, p: int, n_boot: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the weight of each pattern in resamples of units or clusters, shape (n_boot, p)."""
    n = len(member)
    if read.clusters is None and not read.weighted:
        return generator.multinomial(n, np.bincount(member, minlength=p) / n, size=n_boot) * 1.0
    group = np.arange(n) if read.clusters is None else read.clusters
    groups = int(group.max()) + 1
    mass = np.zeros((groups, p))
    np.add.at(mass, (group, member), read.weights)
    times = generator.multinomial(groups, np.full(groups, 1 / groups), size=n_boot)
    return np.asarray(times @ mass)


def _interval(share: float, variance: float, most: float, level: float) -> tuple[float, float]:
    """Return Wilson's interval at the effective number of units, at most `most`."""
    size = min(share * (1 - share) / variance, most) if variance > 0 else most
    low, high = wilson_interval(share, max(size, 1e-9), level)
    return float(low), float(high)


def _describe_coders(
    read: Ratings,
    patterns: Patterns,
    weights: np.ndarray,
    fit: Fit,
    spread: Fit,
    level: float,
) -> pd.DataFrame:
    coded = patterns.yes + patterns.no
    present = (fit.posterior[0] * weights) @ coded
    absent = ((1 - fit.posterior[0]) * weights) @ coded
    rows = []
    for c, name in enumerate(read.coders):
        n_units = int((read.codes[:, c] != MISSING).sum())
        if n_units == 0:
            rows.append([name, 0, *[np.nan] * 6, "She coded nothing."])
            continue
        row: list[Any] = [name, n_units]
        for values, draws, mass in (
            (fit.sensitivity, spread.sensitivity, present),
            (fit.specificity, spread.specificity, absent),
        ):
            share = float(values[0, c])
            row += [share, *_interval(share, float(draws[:, c].var(ddof=1)), float(mass[c]), level)]
        kinds = [("present", present[c]), ("absent", absent[c])]
        few = [f"{mass:.0f} {kind}" for kind, mass in kinds if mass < FEW_UNITS_OF_A_KIND]
        row.append(f"Rests on few narratives ({' and '.join(few)})." if few else "")
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def coder_quality_table(
    codings: pd.DataFrame,
    *,
    confidence: float = 0.95,
    n_boot: int = 500,
    random_state: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Return each coder's sensitivity and specificity for each category.

    Parameters
    ----------
    codings : DataFrame
        The `codings` table.
    confidence, n_boot, random_state : optional
        See `dawid_skene`.

    Returns
    -------
    pandas.DataFrame
        One row a category and coder, with `category`, the columns of `CoderQuality.coders` and
        `prevalence`. NaN with a note where a category's codings do not identify the model.

    Raises
    ------
    DataError
        If the table cannot be used.
    """
    generator = check_random_state(random_state)
    parts = []
    for category, rows in read_codings(codings).groupby("category", sort=False):
        quality = dawid_skene(
            pivot_codings(rows, "present"),
            confidence=confidence,
            n_boot=n_boot,
            random_state=generator,
        )
        part = quality.coders.assign(prevalence=quality.prevalence)
        part.insert(0, "category", category)
        if quality.note:
            words = [f"{own} {quality.note}".strip() for own in part["note"]]
            part["note"] = [quality.note if quality.note in own else own for own in words]
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=["category", *COLUMNS, "prevalence"])
    return pd.concat(parts, ignore_index=True)
