"""Figures of a study's classifier and codes; those of estimates are in inference.plots."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _new_figure(width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(**options)
    for axis in np.atleast_1d(axes).ravel():
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label(name: str, labels: Mapping[str, str] | None, width: int = 34) -> str:
    return "\n".join(textwrap.wrap((labels or {}).get(name, name), width))


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
