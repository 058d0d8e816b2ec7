"""Figures of inference: each takes a tidy table and returns a matplotlib Figure.

Estimators and groups differ by shape and lightness, so that figures read in grey print and without
colour vision. Axes say what is estimated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns
from boundary_research.inference._error_rates import ALL, wilson_interval
from boundary_research.inference._figure_style import (
    PREFERRED,
    Mark,
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
    from matplotlib.axes import Axes
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


def _usable(table: Any, columns: Sequence[str], what: str) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{what}: a pandas DataFrame is needed, got {type(table).__name__}.")
    check_columns(table.columns, columns, source=what)
    rows = table[table[columns[-1]].notna()]
    if rows.empty:
        raise DataError(f"{what} has nothing to draw: all numbers are missing or held back.")
    return rows


def _preferred(estimators: Sequence[str], estimator: str | None) -> str:
    if estimator is not None:
        return check_choice(estimator, list(estimators), name="estimator")
    return next((name for name in PREFERRED if name in estimators), estimators[0])


def _term_label(row: Any, labels: Mapping[str, str]) -> str:
    if str(row["term"]) in labels:
        return labels[str(row["term"])]
    level, reference = row.get("level"), row.get("reference")
    if isinstance(level, str) and isinstance(reference, str):
        name = label_of(row["variable"], labels)
        return f"{name}: {label_of(level, labels)} (against {label_of(reference, labels)})"
    return _plain_term(str(row["term"]), labels)


def _plain_term(term: str, labels: Mapping[str, str]) -> str:
    """Return ``setting[T.rural]`` as "setting: rural", with labels where there are any."""
    found = re.fullmatch(r"(?:C\()?(\w+)\)?\[(?:T\.)?(.+)\]", term)
    if term in labels or found is None:
        return label_of(term, labels)
    return f"{label_of(found[1], labels)}: {label_of(found[2], labels)}"


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
    columns = (ratio, f"{ratio}_low", f"{ratio}_high") if ratio else _PLAIN
    rows = _usable(
        estimates, ["term", "category", "estimator", *columns[1:], columns[0]], "estimates"
    )
    rows = rows[rows["term"] != "Intercept"]
    if "missing" in rows.columns:
        kinds = list(pd.unique(rows["missing"]))
        rows = rows[rows["missing"] == check_choice(missing or kinds[0], kinds, name="missing")]
    if "design" in rows.columns:
        words = []
        for _, row in rows.iterrows():
            design = _DESIGNS.get(row["design"], label_of(row["design"], labels))
            words.append(f"{_term_label(row, labels)}, {design}")
        rows = rows.drop(columns=["level", "reference"], errors="ignore").assign(term=words)
    if estimators is not None:
        rows = rows[rows["estimator"].isin(list(estimators))]
    if rows.empty:
        raise DataError("estimates has nothing to draw. Check `estimators` and the terms.")
    marks = estimator_marks(list(pd.unique(rows["estimator"])))
    chosen = _preferred(list(marks), None)
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
        _note_title(axis, marks[chosen].label)
        add_legend(figure, marks)
    return figure


_PLAIN = ("estimate", "conf_low", "conf_high")


def _note_title(axes: Axes, text: str) -> None:
    axes.annotate(
        wrap(text, 24),
        (1.01, 1.0),
        xycoords="axes fraction",
        va="bottom",
        fontsize=8,
        style="italic",
    )


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
        return drawn, _term_label(rows.iloc[0], labels)
    for category in categories:
        part = rows[rows["category"] == category]
        if len(categories) > 1:
            drawn.append(Row(wrap(label_of(category, labels)), {}, heading=True))
        for term in pd.unique(part["term"]):
            own = part[part["term"] == term]
            drawn.append(row_of(own, wrap(_term_label(own.iloc[0], labels))))
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
    rows = _usable(estimates, needed, "estimates")
    groups = [by] if by else [c for c in rows.columns if c not in _NOT_GROUPS]
    check_columns(rows.columns, groups, source="estimates")
    if len(groups) > 1:
        joined = rows[groups].astype(str).agg(", ".join, axis=1)
        rows, groups = rows.assign(group=joined), ["group"]
    chosen = _preferred(list(pd.unique(rows["estimator"])), estimator)
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
        values = {r[key]: values_of(r, _PLAIN) for _, r in part.iterrows()}
        note = ""
        if not groups and chosen in values:
            note = interval_text(*values[chosen], percent=True)
        drawn.append(Row(wrap(label_of(category, labels)), values, note=note))
    with figure_settings():
        figure, axes = new_figure(8.2, 1.5 + rows_height(drawn, len(marks)))
        axis = axes[0, 0]
        top = max(h for row in drawn for *_, h in row.values.values() if np.isfinite(h))
        draw_rows(axis, drawn, marks, limits=(0.0, min(1.0, 1.03 * top)))
        _percent(axis)
        axis.set_xlabel(f"{_SHARE} (%)")
        corrected = estimator_marks([chosen])[chosen].label
        if title:
            axis.set_title(title, loc="left")
        if groups:
            add_legend(figure, marks, f"{label_of(key, labels)} ({corrected})")
        else:
            _note_title(axis, f"{corrected}, %")
            add_legend(figure, marks)
    return figure


def _percent(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))


def plot_tipping_point(
    table: pd.DataFrame,
    *,
    estimator: str | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """Draw what each association would be if reporting differed, with its tipping point.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `reporting_tipping_point`; one panel for each category and term.
    estimator : str, optional
        By default the corrected one.
    labels : mapping of str to str, optional
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Line: estimate; band: interval; ring: as observed, with reporting alike; diamond: where the
        estimate is 1; triangle: where the interval first takes in 1.
    """
    labels = labels or {}
    needed = ["measure", "relative_reporting", "ratio_low", "ratio_high", "tipping_point", "ratio"]
    rows = _usable(table, needed, "table")
    if "estimator" in rows.columns:
        chosen = _preferred(list(pd.unique(rows["estimator"])), estimator)
        rows = rows[rows["estimator"] == chosen]
    if "missing" in rows.columns:
        rows = rows[rows["missing"] == rows["missing"].iloc[0]]
    keys = [name for name in ("category", "term", "group") if name in rows.columns]
    panels = list(rows.groupby(keys, sort=False)) if keys else [((), rows)]
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    width = max(3.1 * columns, 6.0)
    reach = max(4.0, 1.6 * float(np.exp(np.abs(np.log(rows["tipping_point"])).max())))
    with figure_settings():
        figure, axes = new_figure(
            width, 2.3 * lines + 1.5, columns, lines, sharex=True, sharey=True
        )
        flat = axes.ravel()
        for index, axis in enumerate(flat):
            if index >= len(panels):
                axis.set_visible(False)
                continue
            key, part = panels[index]
            _tipping_panel(axis, part.sort_values("relative_reporting"), reach)
            names = [_plain_term(str(name), labels) for name in key if name]
            axis.set_title(
                "\n".join(wrap(name, int(11.5 * width / columns)) for name in names),
                fontsize=8.5,
                loc="left",
            )
            bottom = index + columns >= len(panels)
            axis.tick_params(labelbottom=bottom)
            axis.set_xlabel("relative reporting (log scale)" if bottom else "", fontsize=8.5)
        measure = str(rows["measure"].iloc[0])
        figure.supylabel(f"{measure} after correction for reporting", fontsize=9)
        if title:
            figure.suptitle(title, fontsize=10)
        meaning = table.attrs.get("meaning", "exposed level divided by reference level")
        meaning = wrap(f"Relative reporting: {meaning}.", int(13 * width))
        add_legend(figure, _TIPPING_MARKS, meaning, line=False)
    return figure


_TIPPING_MARKS = {
    "observed": Mark("as observed (reporting alike)", "o", "#000000", filled=False),
    "limit": Mark("interval reaches 1", "^", "#5A5A5A"),
    "point": Mark("tipping point: estimate is 1", "D", "#0072B2"),
}


def _tipping_panel(axis: Axes, part: pd.DataFrame, reach: float) -> None:
    x = part["relative_reporting"].to_numpy()
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = part["ratio_low"].to_numpy(), part["ratio_high"].to_numpy()
    axis.fill_between(x, low, high, color="#D6D6D6", linewidth=0, zorder=1)
    axis.plot(x, part["ratio"].to_numpy(), color="black", linewidth=1.4, zorder=2)
    axis.axhline(1, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    axis.axvline(1, color="#AAAAAA", linewidth=0.7, zorder=1)
    point = float(part["tipping_point"].iloc[0])
    limit = float(part["tipping_point_limit"].iloc[0])
    places = {"observed": (1.0, point), "limit": (limit, 1.0), "point": (point, 1.0)}
    if limit == 1:
        del places["limit"]
    for name, place in places.items():
        mark = _TIPPING_MARKS[name]
        face = mark.colour if mark.filled else "white"
        axis.plot(
            *place, mark.shape, color=mark.colour, markerfacecolor=face, markersize=6, zorder=5
        )
    axis.set_ylim(1 / reach, reach)
    axis.set_xlim(x.min(), x.max())
    axis.spines["left"].set_visible(True)
    axis.tick_params(left=True)
    ratio_ticks(axis.xaxis)
    ratio_ticks(axis.yaxis)
    text = f"estimate is 1 at {point:.2f}\n"
    text += "interval takes in 1 as it is" if limit == 1 else f"interval reaches 1 at {limit:.2f}"
    # The curve falls from the left: the two corners off it are bottom left and top right.
    below = point > 1
    axis.annotate(
        text,
        (0.03, 0.04) if below else (0.97, 0.96),
        xycoords="axes fraction",
        ha="left" if below else "right",
        va="bottom" if below else "top",
        fontsize=7.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85},
        zorder=6,
    )


def plot_error_by_group(
    table: pd.DataFrame, *, labels: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """Draw sensitivity and specificity by group, with the test of a difference.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `error_by_group`.
    labels : mapping of str to str, optional
        Labels of categories and groups by their ids.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; at the right of each the adjusted p-value, with "yes" where it is below .05.
    """
    labels = labels or {}
    needed = ["category", "group", "measure", "conf_low", "conf_high", "p_adjusted", "estimate"]
    rows = _usable(table, needed, "table")
    rows = rows[rows["group"] != ALL]
    if rows.empty:
        raise DataError("table has nothing to draw: the rates of all groups are held back.")
    marks = group_marks(list(pd.unique(rows["group"])), labels)
    categories = list(pd.unique(rows["category"]))
    panels = []
    for measure in ("sensitivity", "specificity"):
        drawn = []
        for category in categories:
            part = rows[(rows["category"] == category) & (rows["measure"] == measure)]
            values = {r["group"]: values_of(r, _PLAIN) for _, r in part.iterrows()}
            p_value = part["p_adjusted"].iloc[0] if len(part) else np.nan
            drawn.append(Row(wrap(label_of(category, labels), 30), values, note=_p_text(p_value)))
        panels.append((measure, drawn))
    with figure_settings():
        height = 1.6 + rows_height(panels[0][1], len(marks))
        figure, axes = new_figure(9.6, height, 2)
        for axis, (measure, drawn) in zip(axes[0], panels, strict=True):
            first = measure == "sensitivity"
            lowest = np.nanmin([v[1] for row in drawn for v in row.values.values()], initial=0.9)
            draw_rows(axis, drawn, marks, limits=(max(0.0, lowest - 0.02), 1.005), labels=first)
            _percent(axis)
            given = "has" if first else "does not have"
            axis.set_xlabel(f"{measure} (% right where the incident\n{given} the category)")
            _note_title(axis, "differ? (adjusted p)")
        if title:
            figure.suptitle(title, fontsize=10)
        add_legend(figure, marks, label_of(rows["by"].iloc[0], labels) if "by" in rows else "")
    return figure


def _p_text(p_value: float) -> str:
    if not np.isfinite(p_value):
        return "–"
    shown = "< .001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")
    return f"yes: {shown}" if p_value < 0.05 else shown


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
    rows = _usable(table, ["term", "estimator", "n_runs", "coverage"], "table")
    low, high = wilson_interval(rows["coverage"], rows["n_runs"])
    rows = rows.assign(conf_low=low, conf_high=high, estimate=rows["coverage"])
    marks = estimator_marks(list(pd.unique(rows["estimator"])))
    keys = [name for name in ("category", "term") if name in rows.columns]
    drawn = []
    for key, part in rows.groupby(keys, sort=False):
        names = [label_of(k, labels) for k in key if k]
        values = {r["estimator"]: values_of(r, _PLAIN) for _, r in part.iterrows()}
        drawn.append(Row(wrap(": ".join(names)), values))
    with figure_settings():
        figure, axes = new_figure(7.6, 1.5 + rows_height(drawn, len(marks)))
        axis = axes[0, 0]
        if band is not None:
            axis.axvspan(*band, color="#DCE6EE", linewidth=0, zorder=0.5)
        lowest = min(float(rows["conf_low"].min()), nominal - 0.05)
        draw_rows(axis, drawn, marks, reference=nominal, limits=(max(0.0, lowest - 0.02), 1.0))
        _percent(axis)
        axis.set_xlabel(f"coverage of {100 * nominal:g}% intervals (% of simulated studies)")
        if title:
            axis.set_title(title, loc="left")
        add_legend(figure, marks)
    return figure
