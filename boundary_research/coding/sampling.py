"""Probability samples of narratives for human coding.

Every draw returns the `sample` table: `incident_id`, the exact `inclusion_probability`, `stratum`
and `design`, and the sizes that joint inclusion probabilities need (`stratum_size`, or `cluster`,
`cluster_size` and `n_clusters_total`). The rows keep the order of the incidents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_random_state
from boundary_research.coding._allocation import allocate
from boundary_research.coding._joint_inclusion import (
    inclusion_probability_matrix,
    joint_inclusion_probability,
)
from boundary_research.coding._sample_size import SamplePlan, plan_sample
from boundary_research.coding._sampling_frame import (
    RandomState,
    check_count,
    draw_strata,
    finish_sample,
    read_population,
    stratum_labels,
)
from boundary_research.coding._stratum_variances import estimate_variances
from boundary_research.coding._two_phase import draw_two_phase

__all__ = [
    "ALLOCATIONS",
    "SamplePlan",
    "draw_clusters",
    "draw_simple",
    "draw_stratified",
    "draw_two_phase",
    "estimate_variances",
    "inclusion_probability_matrix",
    "joint_inclusion_probability",
    "plan_sample",
]

ALLOCATIONS = ("proportional", "equal", "neyman")
WHOLE = "all"  # the stratum of a draw without strata


def draw_simple(
    incidents: pd.DataFrame, n: int, *, random_state: RandomState = None
) -> pd.DataFrame:
    """Draw a simple random sample without replacement.

    Parameters
    ----------
    incidents : pandas.DataFrame
        The incidents table; all its rows are the population.
    n : int
        Narratives to draw.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        The `sample` table of `n` rows, each with probability n / N.

    Raises
    ------
    DataError
        If `n` is not between 1 and the number of incidents.

    Examples
    --------
    >>> incidents = pd.DataFrame({"incident_id": list("abcdefgh"), "narrative": ""})
    >>> sample = draw_simple(incidents, 2, random_state=3)
    >>> sample["inclusion_probability"].tolist()
    [0.25, 0.25]
    """
    population = read_population(incidents)
    n = check_count(n, name="n", most=len(population), what="incidents")
    stratum = pd.Series(WHOLE, index=population.index)
    rng = check_random_state(random_state)
    return finish_sample(draw_strata(population["incident_id"], stratum, {WHOLE: n}, rng), "simple")


def draw_stratified(
    incidents: pd.DataFrame,
    n: int,
    *,
    strata: str | Sequence[str],
    allocation: str = "proportional",
    variances: Mapping[str, float] | pd.Series | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Draw a simple random sample in each stratum.

    Parameters
    ----------
    incidents : pandas.DataFrame
        The incidents table.
    n : int
        Narratives to draw in all.
    strata : str or sequence of str
        Column of the incidents, or several that are crossed.
    allocation : {"proportional", "equal", "neyman"}
        Draws in proportion to N_h, alike, or in proportion to N_h S_h (Neyman 1934; Cochran 1977,
        section 5.5). Every stratum has one draw at least and none has more than it holds.
    variances : mapping or Series, for "neyman"
        S_h² of each stratum, from a pilot or a model (`estimate_variances`).
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        The `sample` table, each row with probability n_h / N_h.

    Raises
    ------
    DataError
        If a column has missing values, a variance is missing, or `n` is too small or too large.

    Examples
    --------
    >>> incidents = pd.DataFrame({"incident_id": list("abcdefgh"), "narrative": "",
    ...                           "setting": ["town"] * 6 + ["village"] * 2})
    >>> sample = draw_stratified(incidents, 4, strata="setting", random_state=3)
    >>> sample.groupby("stratum")["inclusion_probability"].agg(["size", "first"]).to_dict("index")
    {'town': {'size': 3, 'first': 0.5}, 'village': {'size': 1, 'first': 0.5}}
    """
    population = read_population(incidents)
    n = check_count(n, name="n", most=len(population), what="incidents")
    check_choice(allocation, ALLOCATIONS, name="allocation")
    labels = stratum_labels(population, strata, name="strata")
    sizes = labels.value_counts().sort_index()
    names = [str(name) for name in sizes.index]
    if allocation == "proportional":
        shares = sizes.to_numpy(dtype=float)
    elif allocation == "equal":
        shares = np.ones(len(sizes))
    else:
        shares = sizes.to_numpy() * np.sqrt(_variances_of(names, variances))
    counts = allocate(n, sizes.to_numpy(), shares, names=names)
    rng = check_random_state(random_state)
    drawn = draw_strata(
        population["incident_id"], labels, dict(zip(names, counts.tolist(), strict=True)), rng
    )
    return finish_sample(drawn, f"stratified_{allocation}")


def _variances_of(
    names: list[str], variances: Mapping[str, float] | pd.Series | None
) -> np.ndarray:
    if variances is None:
        raise DataError(
            "allocation 'neyman' needs variances=, a variance for each stratum. Take it from "
            "estimate_variances, or use allocation='proportional'."
        )
    given = {str(key): value for key, value in variances.items()}
    missing = [name for name in names if name not in given]
    if missing:
        raise DataError(f"variances: no value for {', '.join(map(repr, missing[:5]))}. Add it.")
    values = np.array([given[name] for name in names], dtype=float)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise DataError("variances must be finite and not negative.")
    return values


def draw_clusters(
    incidents: pd.DataFrame,
    n_clusters: int,
    *,
    clusters: str | Sequence[str] = "agency_id",
    n_per_cluster: int | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Draw clusters (agencies) at random, and all or some of their narratives.

    Parameters
    ----------
    incidents : pandas.DataFrame
        The incidents table.
    n_clusters : int
        Clusters to draw.
    clusters : str or sequence of str
        Column of the incidents.
    n_per_cluster : int, optional
        Narratives drawn at random in each cluster (all of a smaller one); without it, all.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        The `sample` table with `cluster`, `cluster_size` and `n_clusters_total`; each row with
        probability m / M · k / K.

    Raises
    ------
    DataError
        If a cluster is missing, or more clusters are asked for than there are.
    """
    population = read_population(incidents)
    labels = stratum_labels(population, clusters, name="clusters")
    sizes = labels.value_counts().sort_index()
    total = len(sizes)
    m = check_count(n_clusters, name="n_clusters", most=total, what="clusters")
    if n_per_cluster is not None:
        n_per_cluster = check_count(
            n_per_cluster, name="n_per_cluster", most=len(population), what="incidents"
        )
    rng = check_random_state(random_state)
    chosen = sorted(rng.choice(np.arange(total), size=m, replace=False).tolist())
    names = [str(sizes.index[c]) for c in chosen]
    counts = {name: min(int(sizes[name]), n_per_cluster or int(sizes[name])) for name in names}
    drawn = draw_strata(population["incident_id"], labels, counts, rng)
    sample = pd.DataFrame(
        {
            "incident_id": drawn["incident_id"],
            "inclusion_probability": m / total * drawn["inclusion_probability"],
            "stratum": WHOLE,
            "stratum_size": len(population),
            "cluster": drawn["stratum"],
            "cluster_size": drawn["stratum_size"],
            "n_clusters_total": total,
        }
    )
    return finish_sample(sample, "clusters" if n_per_cluster is None else "clusters_two_stage")
