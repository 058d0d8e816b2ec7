"""Two-phase draws: more of what a model predicts to be rare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_fraction, check_random_state
from boundary_research._tables import check_table, pivot_categories
from boundary_research.coding._allocation import allocate
from boundary_research.coding._sampling_frame import (
    RandomState,
    check_count,
    draw_strata,
    finish_sample,
    read_population,
)

NOTHING = "none_predicted"  # the stratum of narratives with no category predicted


def draw_two_phase(
    incidents: pd.DataFrame,
    n: int,
    coded: pd.DataFrame,
    *,
    categories: Sequence[str] | None = None,
    threshold: float = 0.5,
    power: float = 0.5,
    first_phase: pd.DataFrame | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Draw more of the narratives in which a rare category is predicted.

    All incidents (or a first sample of them) were coded by a model. Each goes to the stratum of the
    rarest category predicted in it, or to that of no prediction; the draws n_h are in proportion
    to N_h to the `power` (Bankier 1988, *The American Statistician* 42: 1 is proportional, 0 is
    alike for all), two from each stratum at least. A wrong prediction costs precision and no bias:
    every narrative has a known probability above 0.

    Parameters
    ----------
    incidents : pandas.DataFrame
        The incidents table.
    n : int
        Narratives to draw in all.
    coded : pandas.DataFrame
        The `coded` table, with every narrative.
    categories : sequence of str, optional
        Those that make strata; by default all of `coded`.
    threshold : float
        Probability from which a category is predicted.
    power : float
        Between 0 and 1.
    first_phase : pandas.DataFrame, optional
        A `sample` that was drawn for the model to code; the incidents outside it are not drawn, and
        its probability multiplies that of the second phase.
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        The `sample` table; with a first phase also `first_inclusion_probability`.

    Raises
    ------
    DataError
        If `coded` lacks narratives or categories, or `n` does not give two to each stratum.
    """
    population = read_population(incidents)
    first = None if first_phase is None else check_table(first_phase, "sample")
    if first is not None:
        population = population[population["incident_id"].isin(first["incident_id"])]
        if len(population) < len(first):
            raise DataError("first_phase holds narratives that are not among the incidents.")
        population = population.reset_index(drop=True)
    n = check_count(n, name="n", most=len(population), what="incidents")
    power = check_fraction(power, name="power", zero=True, one=True)
    threshold = check_fraction(threshold, name="threshold")
    labels = _rarest_predicted(population["incident_id"], coded, categories, threshold)
    sizes = labels.value_counts().sort_index()
    names = [str(name) for name in sizes.index]
    counts = allocate(
        n, sizes.to_numpy(), sizes.to_numpy(dtype=float) ** power, least=2, names=names
    )
    rng = check_random_state(random_state)
    sample = draw_strata(
        population["incident_id"], labels, dict(zip(names, counts.tolist(), strict=True)), rng
    )
    if first is not None:
        known = first.set_index("incident_id")["inclusion_probability"]
        before = known.loc[sample["incident_id"]].to_numpy()
        sample["inclusion_probability"] *= before
        sample["first_inclusion_probability"] = before
    return finish_sample(sample, "two_phase")


def _rarest_predicted(
    ids: pd.Series, coded: pd.DataFrame, categories: Sequence[str] | None, threshold: float
) -> pd.Series:
    """Return the rarest predicted category of each narrative, as the name of its stratum."""
    table = check_table(coded, "coded")
    known = [str(name) for name in table["category"].unique()]
    chosen = known if categories is None else [str(name) for name in categories]
    for name in chosen:
        check_choice(name, known, name="category")
    table = table[table["category"].isin(chosen)]
    wide = pivot_categories(table, "probability", ids=pd.Index(ids), categories=chosen)
    holes = wide.isna().any(axis=1)
    if holes.any():
        raise DataError(
            f"table coded lacks {holes.sum()} of the {len(ids)} narratives, or some of their "
            f"categories. Code all of them, so that each has a known probability."
        )
    predicted = wide.to_numpy() >= threshold
    rarity = np.argsort(predicted.sum(axis=0), kind="stable")  # rarest first
    ordered = predicted[:, rarity]
    names = np.array(chosen, dtype=object)[rarity]
    rarest = np.where(ordered.any(axis=1), names[ordered.argmax(axis=1)], NOTHING)
    return pd.Series(rarest, dtype=object).astype(str)
