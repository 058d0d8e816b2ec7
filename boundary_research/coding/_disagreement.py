"""Where coders differ: which incidents, and which categories stand in for which."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from boundary_research.coding._codings import read_codings, sets_from_codings
from boundary_research.coding._set_agreement import set_distance

NOTHING = "(nothing else)"


def disagreement_table(codings: pd.DataFrame) -> pd.DataFrame:
    """Return the incidents on which coders differ, most disagreement first.

    Parameters
    ----------
    codings : DataFrame
        The `codings` table.

    Returns
    -------
    pandas.DataFrame
        One row an incident that two coders or more coded: `incident_id`, `n_coders`,
        `disagreement` (mean MASI distance of the coders' sets, 0 none to 1 all), `n_categories`
        (on which they differ) and `categories` (their names, joined with a comma).

    Raises
    ------
    DataError
        If the table cannot be used.
    """
    table = read_codings(codings)
    votes = table.groupby(["incident_id", "category"])["present"].agg(["sum", "count"])
    split = votes[(votes["sum"] > 0) & (votes["sum"] < votes["count"])].reset_index()
    disputed = split.groupby("incident_id")["category"].agg(list).to_dict()
    rows = []
    for incident, sets in (sets_from_codings(table) if len(table) else pd.DataFrame()).iterrows():
        coded = [one for one in sets if isinstance(one, frozenset)]
        if len(coded) < 2:
            continue
        names = disputed.get(incident, [])
        distances = [set_distance(a, b, "masi") for a, b in combinations(coded, 2)]
        rows.append((incident, len(coded), float(np.mean(distances)), len(names), ", ".join(names)))
    columns = ["incident_id", "n_coders", "disagreement", "n_categories", "categories"]
    result = pd.DataFrame(rows, columns=columns)
    order = ["disagreement", "n_categories", "incident_id"]
    return result.sort_values(order, ascending=[False, False, True], ignore_index=True)


def confusion_of_categories(codings: pd.DataFrame) -> pd.DataFrame:
    """Return what other coders chose where one coder chose a category.

    Each row is a category that a coder found present. The diagonal counts how often another coder
    of the narrative found it too; off the diagonal, what the other chose in its place (a category
    that the first did not choose, shared out where there are several); and the last column, that
    the other chose nothing in its place. Each choice counts once, however many coders there are, so
    a row adds up to how often the category was chosen.

    Parameters
    ----------
    codings : DataFrame
        The `codings` table.

    Returns
    -------
    pandas.DataFrame, shape (categories, categories + 1)
        Rows and columns are categories, the last column "(nothing else)".

    Raises
    ------
    DataError
        If the table cannot be used.
    """
    table = read_codings(codings)
    names = list(table["category"].unique())
    position = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(names), len(names) + 1))
    for _, sets in (sets_from_codings(table) if len(table) else pd.DataFrame()).iterrows():
        coded = [one for one in sets if isinstance(one, frozenset)]
        for i, first in enumerate(coded):
            for second in coded[:i] + coded[i + 1 :]:
                _count_choices(counts, first, second, position, 1 / (len(coded) - 1))
    return pd.DataFrame(counts, index=names, columns=[*names, NOTHING])


def _count_choices(
    counts: np.ndarray,
    first: frozenset[str],
    second: frozenset[str],
    position: dict[str, int],
    weight: float,
) -> None:
    instead = second - first
    for name in first:
        if name in second:
            counts[position[name], position[name]] += weight
        elif instead:
            for other in instead:
                counts[position[name], position[other]] += weight / len(instead)
        else:
            counts[position[name], -1] += weight
