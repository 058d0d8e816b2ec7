"""How many narratives to code by hand, and which way to draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from boundary_research._checks import DataError, check_choice, check_fraction
from boundary_research.inference._alignment import Codes, align_codes, match_incidents
from boundary_research.inference._fitting import fit
from boundary_research.inference._formula import build_design, clean_variables, parse_formula
from boundary_research.inference._grouping import cluster_columns
from boundary_research.inference._inputs import Sample, check_clusters
from boundary_research.inference._moments import Equations
from boundary_research.inference._variance import SamplingDesign, infer

DESIGNS = ("equal", "by_prediction", "by_uncertainty")
FLOOR = 0.2  # least probability of an adaptive design, as a share of the equal one


def plan_double_coding(
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    n_gold: Sequence[int],
    *,
    formula: str | None = None,
    incidents: pd.DataFrame | None = None,
    clusters: str | Sequence[str] | pd.Series | None = "auto",
    contrasts: Mapping[str, str] | None = None,
    family: str = "logit",
    designs: Sequence[str] = DESIGNS,
    categories: Sequence[str] | None = None,
    effect: float | None = None,
    conf_level: float = 0.95,
    trained_on_gold: bool | None = None,
) -> pd.DataFrame:
    """Return the standard errors to expect from corrected estimates for numbers of gold codes.

    From a pilot, the variance of an estimate is split into what would be left if every narrative
    had a gold code, and what the draw adds: V(π') = V_all + Σ (1/π' - 1) d d', where d is how far
    the gold code moves the score. The second part is taken over from the pilot's draw to any other
    with probabilities π' (the decomposition behind the R package dsl's `power_dsl`, there for
    equal rescaling only).

    Parameters
    ----------
    coded, gold : pandas.DataFrame
        The pilot: model codes of all incidents, gold codes of the drawn ones.
    n_gold : sequence of int
        Expected numbers of gold narratives, between 2 and the number of incidents.
    formula, incidents, contrasts, family
        For coefficients as in `risk_factors`; without a formula, shares as in `prevalence`.
    clusters : as in `risk_factors`
    designs : sequence of {"equal", "by_prediction", "by_uncertainty"}
        Every narrative alike; one probability for narratives predicted present and one for absent,
        chosen for the least variance (Neyman allocation) of each estimate by itself; probability in
        proportion to √(p (1 - p)) of the model's probability, with a floor of a fifth of the equal
        one.
    effect : float, optional
        A true value on the scale of the estimate; adds `power`, the chance that the interval
        leaves out 0.
    conf_level : float

    Returns
    -------
    pandas.DataFrame
        Columns `category`, `term`, `design`, `n_gold`, `std_error`, `half_width`, and `power` if
        asked for. Row ``design == "pilot"`` is what the pilot gives.

    Raises
    ------
    DataError
        If the pilot has too few gold codes (under 30), or `n_gold` is out of range.
    """
    conf_level = check_fraction(conf_level, name="conf_level")
    for name in designs:
        check_choice(name, DESIGNS, name="design")
    codes = align_codes(
        coded,
        gold,
        trained_on_gold=trained_on_gold,
        categories=None if categories is None else list(categories),
    )
    if incidents is not None:
        codes, incidents = match_incidents(codes, incidents)
    labels = cluster_columns(clusters, codes, incidents)
    if formula is None:
        X, names, kind = np.ones((len(codes.ids), 1)), ["share"], "ols"
    else:
        if incidents is None:
            raise DataError("formula: give the table of its variables as incidents= too.")
        parsed, variables = parse_formula(formula, incidents.columns)
        frame = clean_variables(incidents, variables, contrasts)
        stated = frame.notna().all(axis=1).to_numpy()
        codes, labels = codes.take(stated), None if labels is None else labels[stated]
        design = build_design(parsed, frame[stated], formula=formula)
        X, names = design.X, design.names
        kind = check_choice(family, ["logit", "poisson", "ols"], name="family")
    n = len(codes.ids)
    if len(codes.rows) < 30:
        raise DataError(f"The pilot has {len(codes.rows)} gold narratives; 30 or more are needed.")
    stated_only = " whose variables are stated" if formula else ""
    if any(not 2 <= count <= n for count in n_gold):
        raise DataError(
            f"n_gold must lie between 2 and the {n} incidents{stated_only}, got {list(n_gold)}."
        )
    z = stats.norm.ppf(0.5 + conf_level / 2)
    rows = _expected_errors(codes, X, kind, labels, [int(count) for count in n_gold], designs)
    table = pd.DataFrame(
        [
            {
                "category": codes.categories[k],
                "term": names[j],
                "design": name,
                "n_gold": count,
                "std_error": errors[k, j],
                "half_width": z * errors[k, j],
            }
            for name, count, errors in rows
            for k in range(len(codes.categories))
            for j in range(len(names))
        ]
    )
    if effect is not None:
        shift = abs(effect) / table["std_error"]
        table["power"] = stats.norm.sf(z - shift) + stats.norm.cdf(-z - shift)
    return table


def _expected_errors(
    codes: Codes,
    X: np.ndarray,
    family: str,
    labels: pd.DataFrame | None,
    counts: list[int],
    designs: Sequence[str],
) -> list[tuple[str, int, np.ndarray]]:
    """Return (design, count, standard errors of shape (K, p)) for the pilot and each plan."""
    n, outcomes = len(codes.ids), len(codes.categories)
    ways: tuple[list[np.ndarray], list[int]] = ([], [])
    if labels is not None:
        ways = check_clusters(tuple(labels[name] for name in labels.columns), n)
    pi = codes.inclusion_probability
    sample = Sample(
        X=X,
        predicted=codes.predicted,
        rows=codes.rows,
        gold=codes.gold,
        weights=np.ones(n),
        offset=np.zeros(n),
        labels=ways[0],
        design=SamplingDesign(
            probability=pi,
            n_total=n,
            sizes=ways[1],
            gold_labels=[way[codes.rows] for way in ways[0]],
        ),
    )
    fitted = fit(sample, family, "dsl")
    if not fitted.converged.all():
        failed = np.array(codes.categories)[~fitted.converged]
        raise DataError(
            f"The pilot gives no finite estimate for {', '.join(failed[:5])} (separation). "
            f"Leave these "
            f"categories out, merge levels, or plan for shares, without a formula."
        )
    vcov = infer(fitted.equations, fitted.b, fitted.jacobian, sample.design).vcov
    inverse = np.linalg.inv(fitted.jacobian)
    # z = d / π at the gold rows, on the scale of the estimate
    moved = np.einsum(
        "kpq,gqk->gpk", inverse, fitted.equations.gold_scores(fitted.b), optimize=True
    )
    squared = moved**2 * (pi**2)[:, None, None]  # d²
    pilot = np.diagonal(vcov, axis1=1, axis2=2)
    drawn = np.einsum("gpk,g->kp", squared, (1 - pi) / pi**2)
    # Not below what a census of this many rows would leave with independent rows
    least = _census_variance(fitted.equations, fitted.b, inverse, pi)
    left = np.maximum(pilot - drawn, 0.5 * least)
    out = [("pilot", len(codes.rows), np.sqrt(pilot))]
    for name in designs:
        for count in counts:
            added = np.empty((outcomes, X.shape[1]))
            for k in range(outcomes):
                for j in range(X.shape[1]):
                    chance = _chances(name, count, codes, k, squared[:, j, k])
                    added[k, j] = np.sum(squared[:, j, k] / pi * (1 / chance - 1))
            out.append((name, count, np.sqrt(left + added)))
    return out


def _census_variance(
    equations: Equations, b: np.ndarray, inverse: np.ndarray, pi: np.ndarray
) -> np.ndarray:
    """Return the variances if every row were gold and rows independent, shape (K, p)."""
    own = equations.gold_base.scores(b, equations.family)
    truth = own + equations.gold_scores(b) * pi[:, None, None]
    moved = np.einsum("kpq,gqk->gpk", inverse, truth, optimize=True)
    return np.einsum("gpk,g->kp", moved**2, 1 / pi)


def _chances(name: str, count: int, codes: Codes, k: int, squared: np.ndarray) -> np.ndarray:
    """Return the probabilities of the gold rows under a design with `count` draws expected."""
    n, rows = len(codes.ids), codes.rows
    equal = count / n
    if name == "equal":
        return np.full(len(rows), equal)
    if name == "by_uncertainty":
        p = codes.probability[:, k]
        size = np.maximum(np.sqrt(p * (1 - p)), 1e-9)
        return _scaled(size, count, equal)[rows]
    predicted = codes.predicted[:, k] > 0.5
    size = np.ones(n)
    pi = codes.inclusion_probability
    for present in (False, True):
        here = predicted[rows] == present
        if here.any():
            size[predicted == present] = np.sqrt(np.average(squared[here], weights=1 / pi[here]))
    if not size.max() > 0:
        return np.full(len(rows), equal)
    return _scaled(size, count, equal)[rows]


def _scaled(size: np.ndarray, count: int, equal: float) -> np.ndarray:
    """Return probabilities in proportion to `size`, at least FLOOR * equal and at most 1."""
    low, high = 0.0, count / max(size.min(), 1e-12) + count
    for _ in range(100):
        middle = (low + high) / 2
        total = np.clip(middle * size, FLOOR * equal, 1.0).sum()
        low, high = (middle, high) if total < count else (low, middle)
    return np.clip(high * size, FLOOR * equal, 1.0)
