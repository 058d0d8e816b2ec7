"""The same association by other cut points and by other choices of reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, check_random_state
from boundary_research.inference._counts import check_min_cell, held_back


def cut_point_sensitivity(
    attribute: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    levels: Sequence[str],
    adjust_for: Sequence[str] = (),
    **options: Any,
) -> pd.DataFrame:
    """Return the association of "small" with each category at every cut point of an attribute.

    Parameters
    ----------
    attribute : str
        Column of `incidents` with ordered levels, such as the population of the place.
    incidents, coded, gold : pandas.DataFrame
    levels : sequence of str
        All levels, smallest first: ``load_codebook().attribute("community_size").levels``, say;
        `not_stated` among them is passed over.
    adjust_for : sequence of str
        Further columns of the regression.
    **options
        To `risk_factors`.

    Returns
    -------
    pandas.DataFrame
        Rows of `risk_factors` for the level "at or below" of each cut, with the first columns
        `cut_point` (the largest level that counts as small), `n_at_or_below`, `n_above` and, where
        a cut cannot be estimated, empty numbers and the reason in `note`.
    """
    from boundary_research.inference.risk import risk_factors

    check_columns(incidents.columns, [attribute, *adjust_for], source="table incidents")
    order = [str(level) for level in levels if str(level) != "not_stated"]
    if len(order) < 2:
        raise DataError("levels must name two levels or more, the smallest first.")
    value = incidents[attribute].astype(object)
    value = value.where(incidents[attribute].notna(), "not_stated").astype(str)
    unknown = sorted(set(value) - set(order) - {"not_stated"})
    if unknown:
        raise DataError(
            f"levels: {attribute} has {unknown[0]!r}, which is not listed. Listed: "
            f"{', '.join(order)}."
        )
    min_cell = check_min_cell(options.get("min_cell", 5))
    name = f"{attribute}_group"
    if name in incidents.columns:
        raise DataError(f"table incidents has a column {name!r} already. Rename it.")
    position = value.map({level: i for i, level in enumerate(order)})
    options["contrasts"] = {**(options.get("contrasts") or {}), name: "above"}
    formula = "~ " + " + ".join([name, *adjust_for])
    parts = []
    for i, level in enumerate(order[:-1]):
        small = np.where(position <= i, "at or below", "above")
        group = pd.Series(small, index=incidents.index, dtype=object).where(position.notna())
        counts = group.value_counts().reindex(["at or below", "above"], fill_value=0).astype(float)
        counts[held_back(counts, min_cell)] = np.nan
        try:
            table = risk_factors(formula, incidents.assign(**{name: group}), coded, gold, **options)
            table = table[table["variable"] == name]
        except DataError as error:
            table = pd.DataFrame({"term": [f"{name}[T.at or below]"], "note": [str(error)]})
        table = table.reset_index(drop=True)
        table.insert(0, "n_at_or_below", counts["at or below"])
        table.insert(1, "n_above", counts["above"])
        table.insert(0, "cut_point", level)
        parts.append(table)
    if all("estimate" not in part.columns for part in parts):
        raise DataError(f"No cut point of {attribute} can be estimated: {parts[0]['note'][0]}")
    combined = pd.concat(parts, ignore_index=True)
    combined.attrs.update(next(p.attrs for p in parts if "estimate" in p.columns))
    return combined


def first_incident_sensitivity(
    formula: str,
    incidents: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    *,
    practitioner: str = "practitioner_id",
    date: str = "occurred_on",
    random_state: int | np.random.Generator | None = 0,
    **options: Any,
) -> pd.DataFrame:
    """Return associations with all reports, with first reports, and with one for each practitioner.

    A few practitioners draw many reports; an association that rests on them is one about those
    people.

    Parameters
    ----------
    formula, incidents, coded, gold
        See `risk_factors`.
    practitioner, date : str
        Columns of `incidents`. Reports without a practitioner count as one practitioner each;
        undated ones come last.
    random_state : int, numpy.random.Generator or None
    **options
        To `risk_factors`.

    Returns
    -------
    pandas.DataFrame
        Rows of `risk_factors` with the first columns `reports` ("all", "first",
        "one_at_random"), `n_reports` and `n_practitioners`.
    """
    from boundary_research.inference.risk import risk_factors

    check_columns(incidents.columns, [practitioner, date], source="table incidents")
    generator = check_random_state(random_state)
    person = incidents[practitioner].astype(object)
    alone = "report " + incidents["incident_id"].astype(str)
    person = person.where(incidents[practitioner].notna(), alone).astype(str)
    when = pd.to_datetime(incidents[date], errors="coerce")
    order = pd.DataFrame(
        {
            "person": person.to_numpy(),
            "when": when.to_numpy(),
            "id": incidents["incident_id"].astype(str).to_numpy(),
            "chance": generator.random(len(incidents)),
            "row": np.arange(len(incidents)),
        }
    )
    first = order.sort_values(["when", "id"], na_position="last").drop_duplicates("person")
    random = order.sort_values("chance").drop_duplicates("person")
    if len(first) == len(incidents):
        raise DataError(
            f"No {practitioner} occurs twice, so there are no repeat practitioners to examine."
        )
    parts = []
    for name, rows in (
        ("all", np.arange(len(incidents))),
        ("first", np.sort(first["row"])),
        ("one_at_random", np.sort(random["row"])),
    ):
        table = risk_factors(formula, incidents.iloc[rows], coded, gold, **options)
        table.insert(0, "reports", name)
        table.insert(1, "n_reports", len(rows))
        table.insert(2, "n_practitioners", int(person.iloc[rows].nunique()))
        parts.append(table)
    combined = pd.concat(parts, ignore_index=True)
    combined.attrs.update(parts[0].attrs)
    return combined
