"""The table of risk factors: terms, counts, ratios and adjusted p-values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from boundary_research._tables import ESTIMATE_COLUMNS
from boundary_research.inference._alignment import Codes
from boundary_research.inference._formula import Design
from boundary_research.inference._regression import Terms
from boundary_research.inference.multiple_testing import adjust_p_values

RATIOS = {"logit": "odds_ratio", "poisson": "ratio"}
_COUNTS = [
    "n_level",
    "n_gold_level",
    "n_gold_present",
    "n_reference",
    "n_gold_present_reference",
    "n_clusters_level",
]


def long_table(
    design: Design,
    cells: pd.DataFrame,
    fits: dict[str, Terms],
    codes: Codes,
    ways: tuple[list[np.ndarray], list[int]],
    min_cell: int,
) -> pd.DataFrame:
    """Return the fits as one row for each category, term and estimator."""
    p, outcomes = len(design.names), len(codes.categories)
    parts = []
    for name, terms in fits.items():
        part = pd.DataFrame(
            {
                "term": np.tile(design.names, outcomes),
                "category": np.repeat(codes.categories, p),
                "estimator": name,
            }
        )
        for column, values in terms.columns().items():
            part[column] = values.ravel()
        part["penalty"] = np.repeat(terms.penalty, p)
        part["note"] = np.repeat(terms.note, p)
        part["n_gold"] = 0 if name == "naive" else len(codes.rows)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["n_total"] = len(codes.ids)
    table["n_clusters"] = ways[1][0] if ways[1] else len(codes.ids)
    meaning = pd.DataFrame(
        [
            {"term": design.names[j], "variable": variable, "level": level}
            for j, (variable, level) in design.levels.items()
        ]
        + [
            {"term": design.names[j], "variable": variable, "level": None}
            for j, variable in design.slopes.items()
        ],
        columns=["term", "variable", "level"],
    )
    table = table.merge(meaning, on="term", how="left")
    table = table.merge(cells, on=["variable", "level", "category"], how="left")
    behind = cells[cells["level"] == cells["reference"]]
    behind = behind[["variable", "category", "n_level", "n_gold_present", "held_back"]].rename(
        columns={
            "n_level": "n_reference",
            "n_gold_present": "n_gold_present_reference",
            "held_back": "reference_held_back",
        }
    )
    table = table.merge(behind, on=["variable", "category"], how="left")
    # Without its reference a level's estimate and counts say nothing that may be shown
    hidden = table["held_back"].eq(True) | table["reference_held_back"].eq(True)
    for column in ("n_gold_present", "n_gold_present_reference"):
        table[column] = table[column].astype(float)
        small = (table[column] > 0) & (table[column] < min_cell)
        table.loc[small, column] = np.nan
    numbers = [name for name in fits[next(iter(fits))].columns() if name in table.columns]
    table.loc[hidden, [*numbers, *_COUNTS]] = np.nan
    table.loc[hidden, "note"] = "held back: few incidents"
    place = {name: i for i, name in enumerate(codes.categories)}
    order = {name: i for i, name in enumerate(design.names)}
    table["_category"], table["_term"] = table["category"].map(place), table["term"].map(order)
    table = table.sort_values(["_category", "_term"], kind="stable", ignore_index=True)
    return table.drop(columns=["thin", "held_back", "reference_held_back", "_category", "_term"])


def finish_table(
    table: pd.DataFrame,
    family: str,
    offset: str | None,
    adjust: str | None,
    conf_level: float,
    codes: Codes,
    complete: np.ndarray,
) -> pd.DataFrame:
    """Return the table with ratios, adjusted p-values and its columns in order."""
    if family in RATIOS:
        ratio = RATIOS[family]
        table[ratio] = np.exp(table["estimate"])
        table[f"{ratio}_low"] = np.exp(table["conf_low"])
        table[f"{ratio}_high"] = np.exp(table["conf_high"])
    table["p_adjusted"] = np.nan
    table["n_tests"] = 0
    tested = table["term"] != "Intercept"
    for _, rows in table[tested].groupby(["estimator", "missing"]).groups.items():
        values = table.loc[rows, "p_value"].to_numpy()
        table.loc[rows, "p_adjusted"] = adjust_p_values(values, adjust)
        table.loc[rows, "n_tests"] = int(np.isfinite(values).sum())
    points = [name for name in table.columns if name.startswith("difference")]
    ratios = [name for name in table.columns if "ratio" in name]
    rest = ["variable", "level", "reference", *_COUNTS, "missing", "penalty", "n_tests", "note"]
    table = table[[*ESTIMATE_COLUMNS, *ratios, *points, *rest]]
    kind = {
        "logit": "odds ratios of being in the category, among reported incidents",
        "poisson": "ratios of shares of reported incidents",
        "ols": "differences of shares of reported incidents",
    }[family]
    if offset is not None:
        kind = f"ratios of rates of reported incidents, by the exposure in {offset}"
    table.attrs["estimand"] = kind
    table.attrs["conf_level"] = conf_level
    table.attrs["adjust"] = adjust
    table.attrs["n_missing"] = int((~complete).sum())
    table.attrs["notes"] = list(codes.notes)
    return table
