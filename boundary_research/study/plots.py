"""Figures of a study: each takes a tidy table and returns a matplotlib figure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours; each series has a marker of its own, so grey print stays readable.
STYLES: dict[str, dict[str, Any]] = {
    "naive": {"color": "#999999", "marker": "o", "label": "naive (model codes as if true)"},
    "gold_only": {"color": "#0072B2", "marker": "s", "label": "gold only (human codes)"},
    "dsl": {"color": "#D55E00", "marker": "D", "label": "corrected (model and human codes)"},
    "ppi": {"color": "#009E73", "marker": "^", "label": "corrected, tuned (PPI++)"},
}


def _new_figure(width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(**options)
    for axis in np.atleast_1d(axes).ravel():
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label(name: str, labels: Mapping[str, str] | None, width: int = 34) -> str:
    return "\n".join(textwrap.wrap((labels or {}).get(name, name), width))


def plot_shares(estimates: pd.DataFrame, *, labels: Mapping[str, str] | None = None) -> Figure:
    """Draw the share of reported incidents per category, by estimator, with intervals.

    Parameters
    ----------
    estimates : DataFrame
        Rows of the estimates table without groups: category, estimator, estimate, conf_low,
        conf_high (shares between 0 and 1).
    labels : mapping, optional
        Category ids to labels.
    """
    wide = estimates[estimates["estimator"].isin(list(STYLES))]
    shown = [name for name in STYLES if name in set(wide["estimator"])]
    best = wide[wide["estimator"] == shown[-1]].sort_values("estimate")
    names = best["category"].tolist()
    figure, axis = _new_figure(8.2, 1.2 + 0.44 * len(names))
    gap = 0.72 / len(shown)
    for i, estimator in enumerate(shown):
        part = wide[wide["estimator"] == estimator].set_index("category").loc[names]
        y = np.arange(len(names)) + (len(shown) / 2 - i - 0.5) * gap
        style = STYLES[estimator]
        value = 100 * part["estimate"].to_numpy()
        spread = 100 * part[["conf_low", "conf_high"]].to_numpy()
        axis.hlines(y, spread[:, 0], spread[:, 1], color=style["color"], linewidth=1.6)
        axis.plot(
            value, y, style["marker"], color=style["color"], markersize=5, label=style["label"]
        )
    axis.set_yticks(np.arange(len(names)), [_label(n, labels) for n in names], fontsize=8.5)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlim(left=min(0, axis.get_xlim()[0]))
    axis.set_xlabel("share of reported incidents, % (95% interval)")
    axis.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def plot_metrics(metrics: pd.DataFrame, *, labels: Mapping[str, str] | None = None) -> Figure:
    """Draw precision and recall per category with intervals, side by side.

    Parameters
    ----------
    metrics : DataFrame
        As `evaluate` returns it.
    """
    part = metrics[~metrics["category"].str.startswith("(")]
    order = part[part["metric"] == "f1"].fillna(0).sort_values("estimate")["category"].tolist()
    figure, axes = _new_figure(8.6, 1.1 + 0.36 * len(order), ncols=2, sharey=True)
    y = np.arange(len(order))
    described = {
        "precision": "precision: of those the model codes,\nthe share that is right",
        "recall": "recall: of those that are there,\nthe share the model finds",
    }
    for axis, (metric, title) in zip(axes, described.items(), strict=True):
        rows = part[part["metric"] == metric].set_index("category").loc[order]
        axis.hlines(y, rows["conf_low"], rows["conf_high"], color="#0072B2", linewidth=1.6)
        axis.plot(rows["estimate"], y, "s", color="#0072B2", markersize=5)
        axis.set_xlim(0, 1)
        axis.set_xlabel(title, fontsize=8.5)
        axis.grid(axis="x", color="#e5e5e5")
        axis.set_axisbelow(True)
    axes[0].set_yticks(y, [_label(n, labels) for n in order], fontsize=8.5)
    return figure


def plot_cooccurrence(
    cooccurrence: pd.DataFrame, *, labels: Mapping[str, str] | None = None
) -> Figure:
    """Draw how often categories occur together.

    A cell is the share of narratives with the row's category that also have the column's.

    Parameters
    ----------
    cooccurrence : DataFrame
        Tidy: row_category, column_category, share (missing where a cell is suppressed).
    """
    names = list(dict.fromkeys(cooccurrence["row_category"]))
    grid = cooccurrence.pivot(index="row_category", columns="column_category", values="share")
    values = 100 * grid.loc[names, names].to_numpy(dtype=float)
    np.fill_diagonal(values, np.nan)
    figure, axis = _new_figure(9.2, 7.6)
    image = axis.imshow(values, cmap="Blues", vmin=0, vmax=max(np.nanmax(values), 1))
    for i in range(len(names)):
        for j in range(len(names)):
            if np.isfinite(values[i, j]):
                dark = values[i, j] > 0.6 * np.nanmax(values)
                color = "white" if dark else "#222222"
                axis.text(
                    j, i, f"{values[i, j]:.0f}", ha="center", va="center", fontsize=7.5, color=color
                )
            elif i != j:
                axis.text(j, i, "·", ha="center", va="center", fontsize=8, color="#888888")
    short = [_label(n, labels, 30) for n in names]
    axis.set_yticks(range(len(names)), short, fontsize=8)
    axis.set_xticks(
        range(len(names)), short, fontsize=8, rotation=55, ha="right", rotation_mode="anchor"
    )
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, shrink=0.6)
    bar.set_label(
        "% of narratives with the row's category\nthat also have the column's", fontsize=8.5
    )
    return figure


def plot_group_shares(
    estimates: pd.DataFrame,
    group: str,
    *,
    estimator: str = "dsl",
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the corrected share of each category by group, one panel a category.

    Parameters
    ----------
    estimates : DataFrame
        Estimates with a column named by `group`.
    group : str
    estimator : str
    """
    part = estimates[estimates["estimator"] == estimator]
    names = list(dict.fromkeys(part["category"]))
    groups = list(dict.fromkeys(part[group]))
    columns = 4
    rows = -(-len(names) // columns)
    figure, axes = _new_figure(
        10.5,
        0.8 + (0.7 + 0.2 * len(groups)) * rows,
        nrows=rows,
        ncols=columns,
        sharex=True,
        sharey=True,
    )
    flat = np.atleast_1d(axes).ravel()
    y = np.arange(len(groups))[::-1]
    for axis, name in zip(flat, names, strict=False):
        values = part[part["category"] == name].set_index(group).reindex(groups)
        axis.hlines(
            y, 100 * values["conf_low"], 100 * values["conf_high"], color="#D55E00", linewidth=1.5
        )
        axis.plot(100 * values["estimate"], y, "D", color="#D55E00", markersize=4)
        axis.set_title(_label(name, labels, 30), fontsize=8, loc="left")
        axis.set_yticks(y, [_label(str(g), labels, 24) for g in groups], fontsize=7.5)
        axis.tick_params(axis="x", labelsize=7.5)
        axis.grid(axis="x", color="#e5e5e5")
        axis.set_axisbelow(True)
    for axis in flat[len(names) :]:
        axis.set_visible(False)
    figure.supxlabel(
        "share of the setting's reported incidents, % (95% interval, corrected)", fontsize=9
    )
    return figure


def plot_odds_ratios(
    estimates: pd.DataFrame, term: str, *, labels: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """Draw one term's odds ratio per category: naive, gold only and corrected in one row.

    Parameters
    ----------
    estimates : DataFrame
        With term, category, estimator, odds_ratio, odds_ratio_low, odds_ratio_high.
    term : str
    """
    part = estimates[(estimates["term"] == term) & estimates["odds_ratio"].notna()]
    if "missing" in part.columns:
        part = part[part["missing"] == "complete_case"]
    shown = [name for name in STYLES if name in set(part["estimator"])]
    names = part[part["estimator"] == shown[-1]].sort_values("odds_ratio")["category"].tolist()
    figure, axis = _new_figure(8.2, 1.2 + 0.44 * len(names))
    gap = 0.72 / max(len(shown), 1)
    for i, estimator in enumerate(shown):
        rows = part[part["estimator"] == estimator].set_index("category").reindex(names)
        y = np.arange(len(names)) + (len(shown) / 2 - i - 0.5) * gap
        style = STYLES[estimator]
        axis.hlines(
            y, rows["odds_ratio_low"], rows["odds_ratio_high"], color=style["color"], linewidth=1.6
        )
        axis.plot(
            rows["odds_ratio"],
            y,
            style["marker"],
            color=style["color"],
            markersize=5,
            label=style["label"],
        )
    axis.axvline(1, color="#444444", linewidth=1)
    axis.set_xscale("log")
    ticks = [0.1, 0.25, 0.5, 1, 2, 4, 10]
    low, high = axis.get_xlim()
    axis.set_xlim(max(low, 0.05), min(high, 20))
    inside = [t for t in ticks if axis.get_xlim()[0] <= t <= axis.get_xlim()[1]]
    axis.set_xticks(inside, [f"{t:g}" for t in inside])
    axis.minorticks_off()
    axis.set_yticks(np.arange(len(names)), [_label(n, labels) for n in names], fontsize=8.5)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlabel(
        title or f"odds ratio of being coded among reported incidents: {term} (95% interval)"
    )
    axis.grid(axis="x", color="#e5e5e5")
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure
