"""Names in a report: categories, groups and terms of a formula in words that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

# The corrected estimate that the text quotes; tuned, so that a weak model costs little precision.
CORRECTED = "ppi"
INTERCEPT = "Intercept"
LIMITS = ["estimate", "conf_low", "conf_high"]
ESTIMATOR_NAMES = {
    "naive": "naive",
    "gold_only": "gold only",
    "dsl": "corrected (DSL)",
    "ppi": "corrected (PPI++)",
    "rogan_gladen": "Rogan–Gladen",
}
MISSING_NAMES = {"complete_case": "complete cases", "multiple_imputation": "multiple imputation"}
COUNTED_NAMES = {"(micro)": "all, pooled (micro)", "(macro)": "mean (macro)"}
# What marks a table as one of an analysis of risk factors, whatever its name.
_ANALYSIS_COLUMNS = {"term", "category", "estimator", "p_adjusted", "variable", "level"}
_EFFECTS = {
    "odds_ratio": "odds ratio",
    "ratio": "ratio of shares",
    "estimate": "difference of shares",
}


def category_labels(run: StudyRun) -> dict[str, str]:
    """Return the labels of the codebook's categories by id."""
    return {category.id: category.label for category in run.codebook}


def plural(word: str) -> str:
    """Return the plural of an English noun, or of the last word of a phrase.

    Examples
    --------
    >>> plural("community"), plural("service type"), plural("process"), plural("day")
    ('communities', 'service types', 'processes', 'days')
    """
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")


def in_words(name: Any) -> str:
    """Return an id or level with blanks for underscores."""
    return str(name).replace("_", " ")


def term_words(row: Mapping[str, Any]) -> str:
    """Return what a term of a formula compares, in words.

    Parameters
    ----------
    row : mapping
        A row of a table of risk factors: term, variable, level, reference.

    Examples
    --------
    >>> term_words({"term": "community[T.small]", "variable": "community", "level": "small",
    ...             "reference": "large"})
    'small against large communities'
    >>> term_words({"term": "age", "variable": "age", "level": None, "reference": None})
    'age, per unit'
    """
    variable, level, reference = (row.get(name) for name in ("variable", "level", "reference"))
    if pd.notna(level) and pd.notna(reference):
        return f"{in_words(level)} against {in_words(reference)} {plural(in_words(variable))}"
    if pd.notna(variable) and pd.isna(level):
        return f"{in_words(variable)}, per unit"
    parts = []
    for part in str(row["term"]).split(":"):
        found = re.fullmatch(r"(?:C\()?(\w+)\)?\[(?:T\.)?(.+)\]", part)
        parts.append(f"{in_words(found[1])} {in_words(found[2])}" if found else in_words(part))
    return " with ".join(parts)


def find_analyses(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables of risk factors among a run's tables, by name."""
    return {
        name: table for name, table in tables.items() if set(table.columns) >= _ANALYSIS_COLUMNS
    }


def find_analysis(run: StudyRun, name: str) -> dict[str, Any]:
    """Return what the plan says of an analysis; empty for one that was made beside it."""
    return next((one for one in run.plan.analyses if one.get("name") == name), {})


def effect_column(table: pd.DataFrame) -> tuple[str, str]:
    """Return the column that holds the effect of a table of risk factors, and its name in words."""
    return next((c, name) for c, name in _EFFECTS.items() if c in table.columns)


def effect_limits(effect: str) -> tuple[str, str]:
    """Return the columns that hold the limits of an effect."""
    return (
        ("conf_low", "conf_high") if effect == "estimate" else (f"{effect}_low", f"{effect}_high")
    )


def registered_terms(run: StudyRun, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the term that the plan names, or of all terms but the intercept."""
    term = find_analysis(run, name).get("term")
    return table[table["term"] == term] if term else table[table["term"] != INTERCEPT]


def quoted_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the text quotes: the corrected estimator, complete cases first."""
    part = table[table["estimator"] == CORRECTED]
    return (
        part[part["missing"] == part["missing"].iloc[0]]
        if "missing" in part and len(part)
        else part
    )


def list_terms(table: pd.DataFrame) -> list[str]:
    """Return the terms of a table of risk factors in words, without the intercept."""
    rows = table[table["term"] != INTERCEPT].drop_duplicates("term").to_dict("records")
    return [term_words({str(key): value for key, value in row.items()}) for row in rows]
