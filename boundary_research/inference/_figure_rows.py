"""Rows of tables as figures need them: what can be drawn, and the words beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns
from boundary_research.inference._figure_style import PREFERRED, label_of, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMITS = ("estimate", "conf_low", "conf_high")


def usable_rows(table: Any, columns: Sequence[str], what: str) -> pd.DataFrame:
    """Return the rows in which the last of `columns` is not missing; refuse a table without any."""
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{what}: a pandas DataFrame is needed, got {type(table).__name__}.")
    check_columns(table.columns, columns, source=what)
    rows = table[table[columns[-1]].notna()]
    if rows.empty:
        raise DataError(f"{what} has nothing to draw: all numbers are missing or held back.")
    return rows


def preferred_estimator(estimators: Sequence[str], estimator: str | None) -> str:
    """Return the estimator asked for, else the corrected one."""
    if estimator is not None:
        return check_choice(estimator, list(estimators), name="estimator")
    return next((name for name in PREFERRED if name in estimators), estimators[0])


def term_label(row: Any, labels: Mapping[str, str]) -> str:
    """Return a term in words, with its level and reference where there are any."""
    if str(row["term"]) in labels:
        return labels[str(row["term"])]
    level, reference = row.get("level"), row.get("reference")
    if isinstance(level, str) and isinstance(reference, str):
        name = label_of(row["variable"], labels)
        return f"{name}: {label_of(level, labels)} (against {label_of(reference, labels)})"
    return plain_term(str(row["term"]), labels)


def plain_term(term: str, labels: Mapping[str, str]) -> str:
    """Return ``setting[T.rural]`` as "setting: rural", with labels where there are any."""
    found = re.fullmatch(r"(?:C\()?(\w+)\)?\[(?:T\.)?(.+)\]", term)
    if term in labels or found is None:
        return label_of(term, labels)
    return f"{label_of(found[1], labels)}: {label_of(found[2], labels)}"


def title_notes(axes: Axes, text: str) -> None:
    """Write a heading over the numbers at the right of the rows."""
    axes.annotate(
        wrap(text, 24),
        (1.01, 1.0),
        xycoords="axes fraction",
        va="bottom",
        fontsize=8,
        style="italic",
    )


def show_per_cent(axes: Axes) -> None:
    """Label shares on the x axis in per cent."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
