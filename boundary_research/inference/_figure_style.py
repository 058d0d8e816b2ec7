"""How the figures of this package look: shapes first, then greys, then colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

LABEL_WIDTH = 38  # characters before a label is wrapped
ROW_HEIGHT = 0.21  # inches for each mark of a row
_SETTINGS = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.left": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Mark:
    """How one estimator or group is drawn; the colours differ in lightness as well as in hue."""

    label: str
    shape: str
    colour: str
    filled: bool = True


# Colours from Okabe and Ito's palette for colour-blind readers, ordered from light to dark.
ESTIMATOR_MARKS: dict[str, Mark] = {
    "naive": Mark("naive: model codes as they are", "o", "#B5781A", filled=False),
    "gold_only": Mark("gold codes only", "s", "#7A7A7A"),
    "rogan_gladen": Mark("corrected (Rogan–Gladen)", "v", "#56808F"),
    "ppi": Mark("corrected (PPI++)", "^", "#0072B2"),
    "dsl": Mark("corrected (DSL)", "D", "#000000"),
    "count": Mark("count", "o", "#000000"),
}
_GROUP_STYLES = [
    ("o", "#000000", True),
    ("s", "#0072B2", False),
    ("^", "#8C8C8C", True),
    ("D", "#B5781A", False),
    ("v", "#009E73", True),
    ("P", "#5A5A5A", False),
    ("X", "#CC79A7", True),
    ("<", "#56B4E9", False),
]
PREFERRED = ("ppi", "dsl", "rogan_gladen", "gold_only", "naive")


def estimator_marks(estimators: Sequence[str]) -> dict[str, Mark]:
    """Return the marks of estimators in the order naive, gold only, corrected."""
    known = [name for name in ESTIMATOR_MARKS if name in estimators]
    others = [name for name in estimators if name not in ESTIMATOR_MARKS]
    return {
        **{name: ESTIMATOR_MARKS[name] for name in known},
        **{name: Mark(name, "P", "#5A5A5A") for name in others},
    }


def group_marks(groups: Sequence[Any], labels: Mapping[str, str]) -> dict[Any, Mark]:
    """Return a mark for each group; shapes repeat after eight."""
    return {
        group: Mark(label_of(group, labels), *_GROUP_STYLES[i % len(_GROUP_STYLES)])
        for i, group in enumerate(groups)
    }


def wrap(text: str, width: int = LABEL_WIDTH) -> str:
    """Return text broken into lines."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False)) or text


def label_of(name: Any, labels: Mapping[str, str]) -> str:
    """Return the label of a category or level, by default its id with spaces."""
    return labels.get(str(name), str(name).replace("_", " "))


@contextmanager
def figure_settings() -> Iterator[None]:
    """Set fonts and spines for the figures drawn inside, and nothing for those outside."""
    import matplotlib as mpl

    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        yield


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1, **options: Any) -> Any:
    """Return a figure and its axes, known to no window, so that it is shown only when asked for."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **options
    )
    plt.close(figure)
    return figure, axes


@dataclass(frozen=True)
class Row:
    """One row of a figure: a label and, for each mark, (estimate, low, high); or a heading."""

    label: str
    values: Mapping[Any, tuple[float, float, float]]
    heading: bool = False
    note: str = ""


def _row_size(row: Row, marks: int) -> float:
    lines = row.label.count("\n") + 1.3
    return lines if row.heading else max(marks * 0.75 + 0.6, lines)


def rows_height(rows: Sequence[Row], marks: int) -> float:
    """Return the height in inches that rows need."""
    return ROW_HEIGHT * sum(_row_size(row, marks) for row in rows)


def _limits(rows: Sequence[Row], log: bool, reference: float | None) -> tuple[float, float]:
    """Return axis limits that hold all estimates, and intervals up to a bound."""
    values = np.array([v for row in rows for v in row.values.values()], dtype=float).reshape(-1, 3)
    values = values[np.isfinite(values[:, 0])]
    points = np.append(values[:, 0], [] if reference is None else reference)
    low, high = np.nanmin(points), np.nanmax(points)
    if log:
        low = min(low / 1.3, max(np.nanmin(values[:, 1], initial=low) / 1.05, low / 4))
        high = max(high * 1.3, min(np.nanmax(values[:, 2], initial=high) * 1.05, high * 4))
        return float(low), float(high)
    spread = max(high - low, 1e-3)
    ends = np.nanmin(values[:, 1], initial=low), np.nanmax(values[:, 2], initial=high)
    low = max(ends[0], low - 2 * spread) - 0.05 * spread
    high = min(ends[1], high + 2 * spread) + 0.05 * spread
    return float(low), float(high)


def draw_rows(
    axes: Axes,
    rows: Sequence[Row],
    marks: Mapping[Any, Mark],
    *,
    log: bool = False,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
    labels: bool = True,
) -> None:
    """Draw estimates with intervals, one row below the other; intervals cut off get an arrow."""
    low_end, high_end = limits or _limits(rows, log, reference)
    if log:
        axes.set_xscale("log")
    axes.set_xlim(low_end, high_end)
    shift = {name: (i - (len(marks) - 1) / 2) * 0.75 for i, name in enumerate(marks)}
    place, ticks, texts, y = 0.0, [], [], 0.0
    for number, row in enumerate(rows):
        size = _row_size(row, len(marks))
        y = place + size / 2
        place += size
        ticks.append(y)
        texts.append(row.label)
        if not row.heading and number % 2:
            axes.axhspan(place - size, place, color="#F3F3F3", zorder=0, linewidth=0)
        for name, (estimate, low, high) in row.values.items():
            if np.isfinite(estimate):
                _draw_mark(
                    axes, y + shift[name], (estimate, low, high), marks[name], (low_end, high_end)
                )
        if row.note:
            axes.annotate(
                row.note,
                (1.03, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
                annotation_clip=False,
            )
    axes.set_ylim(place, 0)
    axes.set_yticks(ticks, texts if labels else [""] * len(texts))
    for row, tick in zip(rows, axes.get_yticklabels(), strict=True):
        tick.set_fontweight("bold" if row.heading else "normal")
    if reference is not None:
        axes.axvline(reference, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def _draw_mark(
    axes: Axes,
    y: float,
    values: tuple[float, float, float],
    mark: Mark,
    ends: tuple[float, float],
) -> None:
    estimate, low, high = values
    if np.isfinite(low) and np.isfinite(high):
        line = [max(low, ends[0]), min(high, ends[1])]
        axes.plot(line, [y, y], color=mark.colour, linewidth=1.3, solid_capstyle="butt", zorder=2)
        for cut, end, arrow in ((low < ends[0], ends[0], "<"), (high > ends[1], ends[1], ">")):
            if cut:
                axes.plot(
                    [end], [y], arrow, color=mark.colour, markersize=4.5, clip_on=False, zorder=3
                )
    axes.plot(
        [estimate],
        [y],
        mark.shape,
        color=mark.colour,
        markerfacecolor=mark.colour if mark.filled else "white",
        markersize=5.5,
        markeredgewidth=1.2,
        clip_on=False,
        zorder=4,
    )


def add_legend(
    figure: Figure, marks: Mapping[Any, Mark], title: str = "", *, line: bool = True
) -> None:
    """Put a legend below the axes, where it hides nothing."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            marker=mark.shape,
            color=mark.colour,
            markerfacecolor=mark.colour if mark.filled else "white",
            markersize=5.5,
            linewidth=1.3 if line else 0,
            label=mark.label,
        )
        for mark in marks.values()
    ]
    width = figure.get_figwidth()
    letters = max(len(mark.label) for mark in marks.values()) + 6
    columns = int(np.clip(width * 15 // letters, 1, len(handles)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=title or None)


def ratio_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers such as 0.5, 1 and 2."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axis.get_view_interval()
    steps: list[float] = [1, 2, 5] if high / low > 8 else [1, 1.5, 2, 3, 4, 5, 6, 7, 8]
    steps = [1] if high / low > 2000 else steps
    shown = [s * 10.0**e for e in range(-6, 7) for s in steps if low <= s * 10.0**e <= high]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def interval_text(estimate: float, low: float, high: float, *, percent: bool = False) -> str:
    """Return ``1.80 (1.20 to 2.70)``, or with per cent."""
    if not np.isfinite(estimate):
        return ""
    numbers = [100 * v if percent else v for v in (estimate, low, high)]
    shown = [f"{v:.1f}" if percent or abs(v) >= 10 else f"{v:.2f}" for v in numbers]
    if not np.isfinite(low):
        return shown[0]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def values_of(row: Any, columns: tuple[str, str, str]) -> tuple[float, float, float]:
    """Return estimate and limits of a table's row as floats."""
    first, second, third = (float(row[name]) if pd.notna(row[name]) else np.nan for name in columns)
    return first, second, third
