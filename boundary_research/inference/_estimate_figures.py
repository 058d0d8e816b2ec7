"""Figures of estimates: forest plots, prevalence, and the coverage of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns
from boundary_research._intervals import wilson_interval
from boundary_research.inference._figure_rows import (
    LIMITS,
    preferred_estimator,
    show_per_cent,
    term_label,
    title_notes,
    usable_rows,
)
from boundary_research.inference._figure_style import (
    Row,
    add_legend,
    draw_rows,
    estimator_marks,
    figure_settings,
    group_marks,
    interval_text,
    label_of,
    new_figure,
    ratio_ticks,
    rows_height,
    values_of,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RATIOS = {
    "odds_ratio": "odds ratio of being in the category, among reported incidents (log scale)",
    "rate_ratio": "ratio of rates of reported incidents (log scale)",
    "ratio": "ratio of shares of reported incidents (log scale)",
}
_DESIGNS = {
    "other_categories": "against other categories",
    "no_category": "against incidents of no category",
    "negative_control": "against the negative control",
    "control_against_other_categories": "against other categories",
    "control_against_no_category": "against incidents of no category",
}
_SHARE = "share of reported incidents"
_NOT_GROUPS = {
    *("term", "category", "estimator", "estimate", "std_error", "conf_low", "conf_high"),
    *("p_value", "p_adjusted", "n_gold", "n_total", "n_clusters", "n_gold_present", "note"),
}


def plot_forest(
    estimates: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    estimators: Sequence[str] | None = None,
    missing: str | None = None,
    title: str = "",
) -> Figure:
    """Draw odds ratios (or other ratios, or differences) with all estimators in one row a term.

    Parameters
    ----------
    estimates : pandas.DataFrame
        Of `risk_factors`, `compare_designs` or `incidence_rates`: ratios where there are any, else
        `estimate`. Intercepts and held-back rows are left out.
    labels : mapping of str to str, optional
        Labels of categories, terms, variables and levels by their ids.
    estimators : sequence of str, optional
        Which to draw; by default all in the table.
    missing : {"complete_case", "multiple_imputation"}, optional
        Which rows where the table has both; by default complete cases.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Rows are terms under a heading for each category; with one term only, categories. The
        numbers at the right are those of the corrected estimator.
    """
    labels = labels or {}
    ratio = next((c for c in _RATIOS if isinstance(estimates, pd.DataFrame) and c in estimates), "")
    columns = (ratio, f"{ratio}_low", f"{ratio}_high") if ratio else LIMITS
    rows = usable_rows(
        estimates, ["term", "category", "estimator", *columns[1:], columns[0]], "estimates"
    )
    rows = rows[rows["term"] != "Intercept"]
    if "missing" in rows.columns:
        kinds = list(pd.unique(rows["missing"]))
        rows = rows[rows["missing"] == check_choice(missing or kinds[0], kinds, name="missing")]
    if "design" in rows.columns:
        rows = _designs_in_words(rows, labels)
    if estimators is not None:
        rows = rows[rows["estimator"].isin(list(estimators))]
    if rows.empty:
        raise DataError("estimates has nothing to draw. Check `estimators` and the terms.")
    marks = estimator_marks(list(pd.unique(rows["estimator"])))
    chosen = preferred_estimator(list(marks), None)
    drawn, heading = _forest_rows(rows, columns, chosen, labels)
    with figure_settings():
        figure, axes = new_figure(8.2, 1.5 + rows_height(drawn, len(marks)))
        axis = axes[0, 0]
        draw_rows(axis, drawn, marks, log=bool(ratio), reference=1.0 if ratio else 0.0)
        if ratio:
            ratio_ticks(axis.xaxis)
        axis.set_xlabel(_RATIOS.get(ratio, estimates.attrs.get("estimand", "difference of shares")))
        top = "\n".join(part for part in (title, heading) if part)
        if top:
            axis.set_title(wrap(top, 80) if "\n" not in top else top, loc="left")
        title_notes(axis, marks[chosen].label)
        add_legend(figure, marks)
    return figure


def _designs_in_words(rows: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return rows of `compare_designs` whose terms name the design, by the category in question."""
    several = "in_question" in rows.columns and rows["in_question"].nunique() > 1
    words = []
    for _, row in rows.iterrows():
        design = _DESIGNS.get(row["design"], label_of(row["design"], labels))
        text = f"{term_label(row, labels)}, {design}"
        if several and row["category"] != row["in_question"]:
            text = f"{label_of(row['category'], labels)}: {text}"
        words.append(text)
    rows = rows.drop(columns=["level", "reference"], errors="ignore").assign(term=words)
    return rows.assign(category=rows["in_question"]) if several else rows


def _forest_rows(
    rows: pd.DataFrame, columns: tuple[str, str, str], chosen: str, labels: Mapping[str, str]
) -> tuple[list[Row], str]:
    """Return the rows of a forest plot, and what they have in common."""
    terms, categories = pd.unique(rows["term"]), pd.unique(rows["category"])

    def row_of(part: pd.DataFrame, label: str) -> Row:
        values = {r["estimator"]: values_of(r, columns) for _, r in part.iterrows()}
        note = interval_text(*values[chosen]) if chosen in values else ""
        return Row(label, values, note=note)

    drawn: list[Row] = []
    if len(terms) == 1:
        for category in categories:
            part = rows[rows["category"] == category]
            drawn.append(row_of(part, wrap(label_of(category, labels))))
        return drawn, term_label(rows.iloc[0], labels)
    for category in categories:
        part = rows[rows["category"] == category]
        if len(categories) > 1:
            drawn.append(Row(wrap(label_of(category, labels)), {}, heading=True))
        for term in pd.unique(part["term"]):
            own = part[part["term"] == term]
            drawn.append(row_of(own, wrap(term_label(own.iloc[0], labels))))
    return drawn, label_of(categories[0], labels) if len(categories) == 1 else ""


def plot_prevalence(
    estimates: pd.DataFrame,
    *,
    by: str | None = None,
    estimator: str | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """Draw the share of reported incidents in each category, by estimator or by group.

    Parameters
    ----------
    estimates : pandas.DataFrame
        Of `prevalence`.
    by : str, optional
        Column of groups; found by itself where the table has one. With groups, one estimator is
        drawn and shapes are groups.
    estimator : str, optional
        Which one for groups; by default the corrected one.
    labels : mapping of str to str, optional
        Labels of categories and groups by their ids.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Categories ordered by their share, the most frequent first.
    """
    labels = labels or {}
    needed = ["category", "estimator", "conf_low", "conf_high", "estimate"]
    rows = usable_rows(estimates, needed, "estimates")
    groups = [by] if by else [c for c in rows.columns if c not in _NOT_GROUPS]
    check_columns(rows.columns, groups, source="estimates")
    if len(groups) > 1:
        joined = rows[groups].astype(str).agg(", ".join, axis=1)
        rows, groups = rows.assign(group=joined), ["group"]
    chosen = preferred_estimator(list(pd.unique(rows["estimator"])), estimator)
    shown = rows[rows["estimator"] == chosen]
    if groups:
        rows, key = shown, groups[0]
        marks = group_marks(list(pd.unique(rows[key])), labels)
    else:
        key = "estimator"
        marks = estimator_marks(list(pd.unique(rows["estimator"])))
    ranked = shown.groupby("category")["estimate"].mean().sort_values(ascending=False).index
    order = list(dict.fromkeys([*ranked, *pd.unique(rows["category"])]))
    drawn = []
    for category in order:
        part = rows[rows["category"] == category]
        values = {r[key]: values_of(r, LIMITS) for _, r in part.iterrows()}
        note = ""
        if not groups and chosen in values:
            note = interval_text(*values[chosen], percent=True)
        drawn.append(Row(wrap(label_of(category, labels)), values, note=note))
    with figure_settings():
        figure, axes = new_figure(8.2, 1.5 + rows_height(drawn, len(marks)))
        axis = axes[0, 0]
        top = max(h for row in drawn for *_, h in row.values.values() if np.isfinite(h))
        draw_rows(axis, drawn, marks, limits=(0.0, min(1.0, 1.03 * top)))
        show_per_cent(axis)
        axis.set_xlabel(f"{_SHARE} (%)")
        corrected = estimator_marks([chosen])[chosen].label
        if title:
            axis.set_title(title, loc="left")
        if groups:
            add_legend(figure, marks, f"{label_of(key, labels)} ({corrected})")
        else:
            title_notes(axis, f"{corrected}, %")
            add_legend(figure, marks)
    return figure


def plot_coverage(
    table: pd.DataFrame,
    *,
    nominal: float = 0.95,
    band: tuple[float, float] | None = (0.935, 0.965),
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """Draw how often intervals held the truth in a simulation.

    Parameters
    ----------
    table : pandas.DataFrame
        `term`, `estimator`, `coverage` (share of runs), `n_runs`; optionally `category`.
    nominal : float
    band : (float, float), optional
        Coverage that passes, shaded.
    labels : mapping of str to str, optional
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Bars are Wilson intervals of the Monte-Carlo error.
    """
    labels = labels or {}
    rows = usable_rows(table, ["term", "estimator", "n_runs", "coverage"], "table")
    low, high = wilson_interval(rows["coverage"], rows["n_runs"])
    rows = rows.assign(conf_low=low, conf_high=high, estimate=rows["coverage"])
    marks = estimator_marks(list(pd.unique(rows["estimator"])))
    keys = [name for name in ("category", "term") if name in rows.columns]
    drawn = []
    for key, part in rows.groupby(keys, sort=False):
        names = [label_of(k, labels) for k in key if k]
        values = {r["estimator"]: values_of(r, LIMITS) for _, r in part.iterrows()}
        drawn.append(Row(wrap(": ".join(names)), values))
    with figure_settings():
        figure, axes = new_figure(7.6, 1.5 + rows_height(drawn, len(marks)))
        axis = axes[0, 0]
        if band is not None:
            axis.axvspan(*band, color="#DCE6EE", linewidth=0, zorder=0.5)
        lowest = min(float(rows["conf_low"].min()), nominal - 0.05)
        draw_rows(axis, drawn, marks, reference=nominal, limits=(max(0.0, lowest - 0.02), 1.0))
        show_per_cent(axis)
        axis.set_xlabel(f"coverage of {100 * nominal:g}% intervals (% of simulated studies)")
        if title:
            axis.set_title(title, loc="left")
        add_legend(figure, marks)
    return figure
