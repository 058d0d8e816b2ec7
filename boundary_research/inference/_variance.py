"""Sandwich variances of the roots of estimating equations.

V = J⁻¹ M J⁻ᵀ, with M the sum over rows, or over clusters, of the outer products of their scores.
Sources: Liang and Zeger 1986 (clusters); Cameron, Gelbach and Miller 2011 (two-way clusters); Bell
and McCaffrey 2002 and Pustejovsky and Tipton 2018 (CR2, Satterthwaite degrees of freedom);
Särndal, Swensson and Wretman 1992, chapters 3 and 9 (strata, two-phase samples, finite
populations).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from boundary_research.inference._bootstrap import ClusterScores, wild_cluster_bootstrap
from boundary_research.inference._moments import Equations, indicator
from boundary_research.inference.results import wald_limits

FEWEST_CR1 = 250  # clusters above which CR2 and CR1 agree to a per cent or less
FEWEST_NORMAL = 20  # clusters below which the wild cluster bootstrap is used by "auto"
SMALL_SAMPLE = ("none", "CR1", "CR2", "wild", "auto")


@dataclass
class SamplingDesign:
    """How the gold rows were drawn and how rows hang together, at the g gold rows.

    Attributes
    ----------
    probability : shape (g,)
    sizes : list of int
        Number of clusters of each clustering; empty for independent rows.
    gold_labels : list of arrays of shape (g,)
        Cluster codes of the gold rows.
    strata, units : shape (g,), optional
        Codes of the strata of a fixed-size draw, and of the units that were drawn whole.
    finite : bool
        True if the rows are the whole population of interest, so that only the draw of the gold
        rows is random.
    """

    probability: np.ndarray
    n_total: int
    sizes: list[int] = field(default_factory=list)
    gold_labels: list[np.ndarray] = field(default_factory=list)
    strata: np.ndarray | None = None
    units: np.ndarray | None = None
    finite: bool = False


@dataclass
class Centring:
    """Taken off the scores: w times `base` (p, K) in each row, `gold` (g, p, K) at gold rows."""

    base: np.ndarray
    gold: np.ndarray


@dataclass
class Uncertainty:
    """Variance and limits of K outcomes; arrays of shape (K, p), `vcov` (K, p, p)."""

    vcov: np.ndarray
    std_error: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    p_value: np.ndarray
    df: np.ndarray
    notes: tuple[str, ...] = ()


def row_meat(
    equations: Equations, b: np.ndarray, gold: np.ndarray, centring: Centring | None
) -> np.ndarray:
    """Return Σ s s' over rows, shape (K, p, p); `gold` holds the gold terms (g, p, K)."""
    meat = equations.base_squares(b)
    own = equations.gold_base.scores(b, equations.family) * equations.base_factor
    if centring is not None:
        centre = centring.base
        weighted, square = equations.base_weighted_sum(b)
        cross = np.einsum("pk,qk->kpq", weighted, centre)
        meat += square * np.einsum("pk,qk->kpq", centre, centre)
        meat -= cross + np.swapaxes(cross, 1, 2)
        own = own - equations.gold_base.weight[:, None, :] * centre
        gold = gold - centring.gold
    return meat + outer_sum(own + gold) - outer_sum(own)


def outer_sum(scores: np.ndarray) -> np.ndarray:
    """Return Σ s s' over the first axis of (g, p, K), shape (K, p, p)."""
    return np.einsum("gpk,gqk->kpq", scores, scores, optimize=True)


def cluster_sums(
    equations: Equations,
    b: np.ndarray,
    gold: np.ndarray,
    design: SamplingDesign,
    way: int,
    centring: Centring | None,
) -> np.ndarray:
    """Return the scores summed in the clusters of one way of clustering, shape (G, p, K)."""
    size, labels = design.sizes[way], design.gold_labels[way]
    codes = equations.base.labels[way]
    sums = equations.base_cluster_sums(b, codes, size)
    if centring is not None:
        weight = np.bincount(codes, weights=equations.base.weight, minlength=size)
        sums -= weight[:, None, None] * centring.base
        gold = gold - centring.gold
    if len(gold):
        member = indicator(labels, size)
        sums += (member @ gold.reshape(len(gold), -1)).reshape(size, *gold.shape[1:])
    return sums


def sampling_meat(gold: np.ndarray, design: SamplingDesign) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of Σ_gold z due to the draw: if rows were independent, and as drawn.

    With independent draws it is Σ (1 - π) z z'; with fixed sizes n_h in strata
    Σ_h (1 - π_h) n_h / (n_h - 1) Σ_i (z_i - z̄_h)(z_i - z̄_h)', where z holds the factor 1 / π.
    Units drawn whole are summed first.
    """
    pi, z, strata = design.probability, gold, design.strata
    independent = outer_sum(z * np.sqrt(1 - pi)[:, None, None])
    if design.units is not None:
        codes, first = np.unique(design.units, return_index=True)
        member = indicator(np.searchsorted(codes, design.units), len(codes))
        z = (member @ z.reshape(len(z), -1)).reshape(len(codes), *z.shape[1:])
        pi = pi[first]
        strata = None if strata is None else strata[first]
    if strata is None:
        return independent, outer_sum(z * np.sqrt(1 - pi)[:, None, None])
    drawn = np.zeros_like(independent)
    for stratum in np.unique(strata):
        rows = strata == stratum
        size = int(rows.sum())
        spread = z[rows] - (z[rows].mean(axis=0) if size > 1 else 0.0)
        factor = (1 - pi[rows]) * (size / (size - 1) if size > 1 else 1.0)
        drawn += outer_sum(spread * np.sqrt(factor)[:, None, None])
    return independent, drawn


def nearest_positive(matrices: np.ndarray) -> np.ndarray:
    """Return symmetric matrices with negative eigenvalues set to zero, shape (K, p, p)."""
    values, vectors = np.linalg.eigh((matrices + np.swapaxes(matrices, -1, -2)) / 2)
    return np.einsum("kij,kj,klj->kil", vectors, np.maximum(values, 0), vectors)


def _bias_reduction(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return φ and ψ of the leverage eigenvalues s of a cluster.

    (I - H)^(-1/2) = I + B φ(B'B) B' and (I - H)^(-1) = I + B ψ(B'B) B' for H = B B'. Where a
    cluster determines a coefficient (s = 1) the pseudo-inverse is taken.
    """
    safe = np.minimum(shares, 1 - 1e-9)
    small = np.abs(shares) < 1e-8
    divisor = np.where(small, 1.0, safe)
    phi = np.where(small, 0.5, ((1 - safe) ** -0.5 - 1) / divisor)
    psi = 1 / (1 - safe)
    full = shares >= 1 - 1e-9
    return np.where(full, -1.0, phi), np.where(full, -1.0, psi)


def bias_reduced(
    sums: np.ndarray, curvature: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return CR2-adjusted cluster scores and Satterthwaite degrees of freedom of one outcome.

    Only the cluster sums and cluster shares of J are needed, so the cost does not depend on the
    number of rows.

    Parameters
    ----------
    sums : shape (G, p)
    curvature : shape (G, p, p)
        Share of each cluster in J.
    inverse : shape (p, p)
        J⁻¹.

    Returns
    -------
    adjusted : shape (G, p)
    df : shape (p,)
    """
    values, vectors = np.linalg.eigh((inverse + inverse.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0))  # root root' = J⁻¹
    shares, directions = np.linalg.eigh(root.T @ curvature @ root)
    phi, psi = _bias_reduction(shares)
    axes = root @ directions  # (G, p, p)
    spread = curvature @ axes
    along = phi * np.einsum("gqi,gq->gi", axes, sums)
    adjusted = sums + np.einsum("gpi,gi->gp", spread, along)
    turned = np.swapaxes(spread, 1, 2)
    first = curvature + (spread * phi[:, None, :]) @ turned
    second = curvature + (spread * psi[:, None, :]) @ turned
    df = np.empty(len(inverse))
    for j in range(len(inverse)):
        row = inverse[j]
        diagonal = second @ row @ row
        loading = first @ row
        product = np.diag(diagonal) - loading @ inverse @ loading.T
        df[j] = np.trace(product) ** 2 / max(np.sum(product**2), 1e-300)
    return adjusted, np.clip(df, 1.0, None)


def choose_small_sample(option: str, sizes: list[int]) -> str:
    """Return the correction that "auto" stands for with this many clusters."""
    if option != "auto":
        return option
    if not sizes:
        return "CR1"
    fewest = min(sizes)
    if fewest < FEWEST_NORMAL and len(sizes) == 1:
        return "wild"
    return "CR2" if fewest <= FEWEST_CR1 else "CR1"


def infer(
    equations: Equations,
    b: np.ndarray,
    jacobian: np.ndarray,
    design: SamplingDesign,
    *,
    small_sample: str = "none",
    conf_level: float = 0.95,
    centring: Centring | None = None,
    random_state: np.random.Generator | None = None,
) -> Uncertainty:
    """Return variance, limits and p-values at the roots `b`, shape (K, p).

    `small_sample` is one of none, CR1 (G / (G - 1), or n_gold / (n_gold - p) without clusters),
    CR2, wild, auto; degrees of freedom are infinite for "none" without clusters, the Satterthwaite
    value for CR2, else G - 1.
    """
    inverse = np.linalg.inv(jacobian)
    gold = equations.gold_scores(b)
    option = choose_small_sample(small_sample, design.sizes)
    n_gold, p = len(gold) if equations.gold else 0, b.shape[1]
    df = np.full(b.shape, np.inf)
    notes: list[str] = []
    few: ClusterScores | None = None
    drawn = gold if centring is None else gold - centring.gold
    if design.finite:
        meat = sampling_meat(drawn, design)[1]
        if option != "none":
            df[:] = max(n_gold - p, 1)
    elif not design.sizes:
        meat = row_meat(equations, b, gold, centring)
        if option != "none":
            count = n_gold if n_gold else design.n_total
            df[:] = max(count - p, 1)
            meat = meat * count / max(count - p, 1)
    else:
        meat, df, few = _clustered(equations, b, inverse, gold, design, option, centring)
    if not design.finite and design.strata is not None and n_gold:
        independent, as_drawn = sampling_meat(drawn, design)
        meat = nearest_positive(meat - independent + as_drawn)
    vcov = inverse @ meat @ np.swapaxes(inverse, -1, -2)
    vcov = (vcov + np.swapaxes(vcov, -1, -2)) / 2
    std_error = np.sqrt(np.maximum(np.diagonal(vcov, axis1=1, axis2=2), 0))
    low, high, p_value = wald_limits(b, std_error, df, conf_level)
    if few is not None and option == "wild" and not design.finite:
        low, high, p_value = wild_cluster_bootstrap(
            few, b, jacobian, conf_level=conf_level, random_state=random_state
        )
        notes.append(f"wild cluster bootstrap over {design.sizes[0]} clusters")
    return Uncertainty(vcov, std_error, low, high, p_value, df, tuple(notes))


def _clustered(
    equations: Equations,
    b: np.ndarray,
    inverse: np.ndarray,
    gold: np.ndarray,
    design: SamplingDesign,
    option: str,
    centring: Centring | None,
) -> tuple[np.ndarray, np.ndarray, ClusterScores | None]:
    """Return the clustered meat, degrees of freedom and what the bootstrap needs."""
    ways = len(design.sizes)
    outcomes = equations.n_outcomes
    meat = np.zeros_like(inverse)
    df = np.full(b.shape, float(min(design.sizes) - 1))
    few = None
    for way in range(ways):
        size = design.sizes[way]
        sums = cluster_sums(equations, b, gold, design, way, centring)
        sign = -1.0 if way == 2 else 1.0  # the third way is the intersection of the first two
        if option in ("CR2", "wild") and size <= 4 * FEWEST_CR1:
            curvature = equations.cluster_curvature(
                b, equations.base.labels[way], design.gold_labels[way], size
            )
            if way == 0:
                few = ClusterScores(sums, curvature)
            adjusted = np.empty_like(sums)
            for k in range(outcomes):
                adjusted[:, :, k], own = bias_reduced(sums[:, :, k], curvature[:, k], inverse[k])
                df[k] = np.minimum(df[k], own) if way < 2 else df[k]
            meat += sign * outer_sum(adjusted)
        else:
            factor = 1.0 if option == "none" else size / (size - 1)
            meat += sign * factor * outer_sum(sums)
    if ways > 1:
        meat = nearest_positive(meat)
    return meat, df, few
