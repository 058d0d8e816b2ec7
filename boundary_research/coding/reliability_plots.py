"""Figures of agreement: coefficients with intervals, benchmark levels, confusion of categories."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by people who are colour-blind, each with its own marker.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "D", "^", "v", "P")
_WIDTH = 44  # letters of a label before it is broken
_DEFAULT = ("Gwet's AC1", "Krippendorff's alpha, nominal", "percent agreement")


def plot_agreement(
    table: pd.DataFrame,
    *,
    coefficients: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the agreement on each category with its interval.

    Each category is labelled with the share of "present" among its ratings and the number of
    narratives, because agreement cannot be read without them. An open marker means that the table's
    note warns of the interval; a category without a value says "not defined".

    Parameters
    ----------
    table : DataFrame
        From `agreement_table`.
    coefficients : sequence of str, optional
        Which to draw; by default AC1, nominal alpha and percent agreement.
    labels : mapping of str to str, optional
        Labels of categories by their ids.
    axes : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If a coefficient is not in the table.
    """
    import matplotlib.pyplot as plt

    needed = ["category", "coefficient", "estimate", "conf_low", "conf_high", "prevalence", "note"]
    check_columns(table.columns, needed, source="agreement table")
    known = list(table["coefficient"].unique())
    chosen = list(coefficients) if coefficients is not None else list(_DEFAULT)
    missing = [name for name in chosen if name not in known]
    if missing:
        raise DataError(f"coefficient {missing[0]!r} not found. Available: {', '.join(known)}.")
    categories = list(table["category"].unique())
    if axes is None:
        height = 1.4 + (0.25 + 0.17 * len(chosen)) * len(categories)
        _, axes = plt.subplots(figsize=(7.5, height), layout="constrained")
    offsets = np.linspace(-0.28, 0.28, len(chosen)) if len(chosen) > 1 else [0.0]
    for index, (name, offset) in enumerate(zip(chosen, offsets, strict=True)):
        rows = table[table["coefficient"] == name].drop_duplicates("category")
        rows = rows.set_index("category").reindex(categories)
        _draw_coefficient(axes, rows, name, index, float(offset))
    axes.set_yticks(range(len(categories)), [_label(table, name, labels) for name in categories])
    axes.set_ylim(len(categories) - 0.5, -0.5)
    axes.set_xlim(right=1.02)
    axes.set_xlabel("Agreement, with interval (open marker: interval not to be trusted)")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return axes


def _draw_coefficient(axes: Axes, rows: pd.DataFrame, name: str, index: int, offset: float) -> None:
    colour, marker = _COLOURS[index % 6], _MARKERS[index % 6]
    at = np.arange(len(rows)) + offset
    estimate = rows["estimate"].to_numpy(dtype=float)
    low, high = (rows[end].to_numpy(dtype=float) for end in ("conf_low", "conf_high"))
    doubtful = rows["note"].fillna("").ne("").to_numpy()
    axes.hlines(at, low, high, color=colour, linewidth=1.6)
    axes.plot([], [], marker, color=colour, label=name)
    for solid in (True, False):
        shown = (doubtful != solid) & ~np.isnan(estimate)
        face = colour if solid else "white"
        axes.plot(
            estimate[shown],
            at[shown],
            marker,
            color=colour,
            markerfacecolor=face,
            markersize=6,
        )
    for place in at[np.isnan(estimate)]:
        axes.annotate(
            f"{name}: not defined",
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
            color=colour,
        )


def _label(table: pd.DataFrame, category: str, labels: Mapping[str, str] | None) -> str:
    name = "\n".join(textwrap.wrap((labels or {}).get(category, str(category)), _WIDTH))
    row = table[(table["category"] == category) & table["prevalence"].notna()]
    if not len(row):
        return name
    share, units = float(row["prevalence"].iloc[0]), int(row["n_units"].iloc[0])
    return f"{name}\n{share:.0%} present, n = {units}"


def plot_benchmarks(probabilities: pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Draw the probability of each benchmark level, the level that may be claimed in colour.

    Parameters
    ----------
    probabilities : DataFrame
        From `benchmark_probabilities`.
    axes : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If columns are missing.
    """
    import matplotlib.pyplot as plt

    needed = ["level", "probability", "cumulative", "claimed"]
    check_columns(probabilities.columns, needed, source="benchmark probabilities")
    if axes is None:
        _, axes = plt.subplots(figsize=(6, 0.9 + 0.4 * len(probabilities)), layout="constrained")
    share = probabilities["probability"].fillna(0).to_numpy(dtype=float)
    colours = [_COLOURS[0] if claimed else "#999999" for claimed in probabilities["claimed"]]
    bars = axes.barh(probabilities["level"], share, color=colours)
    reached = [f"{value:.1%} or better" for value in probabilities["cumulative"].fillna(0)]
    axes.bar_label(bars, reached, padding=4, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("Probability of the level (coloured: highest level that may be claimed)")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def plot_confusion(
    confusion: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw what other coders chose where one coder chose a category, as shares of each row.

    Parameters
    ----------
    confusion : DataFrame
        From `confusion_of_categories`.
    labels : mapping of str to str, optional
        Labels of categories by their ids.
    axes : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there are no categories.
    """
    import matplotlib.pyplot as plt

    if confusion.empty:
        raise DataError("confusion: there are no categories. No narrative was coded twice.")
    counts = confusion.to_numpy(dtype=float)
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(total > 0, total, 1)
    if axes is None:
        side = 2.5 + 0.42 * counts.shape[1]
        _, axes = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    known = labels or {}
    columns = [str(known.get(name, name)) for name in confusion.columns]
    axes.set_xticks(range(counts.shape[1]), columns, rotation=45, ha="left")
    axes.xaxis.tick_top()
    rows = zip(confusion.index, total[:, 0], strict=True)
    names = [f"{known.get(name, name)} ({row:.0f})" for name, row in rows]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("One coder chose (times)")
    axes.set_xlabel("Another coder chose, % of the row")
    for (i, j), value in np.ndenumerate(share):
        if counts[i, j] > 0:
            colour = "white" if value > 0.6 else "black"
            axes.text(
                j, i, f"{100 * value:.0f}", ha="center", va="center", color=colour, fontsize=8
            )
    axes.spines[:].set_visible(False)
    return axes
