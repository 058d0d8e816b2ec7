"""Figures of sensitivity analyses: tipping points, and the classifier's error by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from boundary_research._checks import DataError
from boundary_research.inference._error_rates import ALL
from boundary_research.inference._figure_rows import (
    LIMITS,
    plain_term,
    preferred_estimator,
    show_per_cent,
    title_notes,
    usable_rows,
)
from boundary_research.inference._figure_style import (
    Mark,
    Row,
    add_legend,
    draw_rows,
    figure_settings,
    group_marks,
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
    rows = usable_rows(table, needed, "table")
    if "estimator" in rows.columns:
        chosen = preferred_estimator(list(pd.unique(rows["estimator"])), estimator)
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
            names = [plain_term(str(name), labels) for name in key if name]
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
    rows = usable_rows(table, needed, "table")
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
            values = {r["group"]: values_of(r, LIMITS) for _, r in part.iterrows()}
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
            show_per_cent(axis)
            given = "has" if first else "does not have"
            axis.set_xlabel(f"{measure} (% right where the incident\n{given} the category)")
            title_notes(axis, "differ? (adjusted p)")
        if title:
            figure.suptitle(title, fontsize=10)
        add_legend(figure, marks, label_of(rows["by"].iloc[0], labels) if "by" in rows else "")
    return figure


def _p_text(p_value: float) -> str:
    if not np.isfinite(p_value):
        return "–"
    shown = "< .001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")
    return f"yes: {shown}" if p_value < 0.05 else shown
