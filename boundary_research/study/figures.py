"""The figures of a study: what each plots, drawn when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from boundary_research._checks import DataError
from boundary_research.coding._agreement_tables import OVERALL
from boundary_research.coding.reliability_plots import plot_agreement
from boundary_research.inference.plots import plot_forest, plot_prevalence
from boundary_research.study.plots import plot_cooccurrence, plot_metrics
from boundary_research.study.report_parts import draw_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn.

    Attributes
    ----------
    data : DataFrame
        The rows that are plotted.
    draw : callable
        Takes the data and returns a matplotlib Figure.
    """

    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]


def list_drawings(
    tables: Mapping[str, pd.DataFrame],
    *,
    labels: Mapping[str, str],
    groups: list[str],
    terms: Mapping[str, str],
) -> dict[str, Drawing]:
    """Return the figures of a study by name.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Results tables; figures of those that are not there are left out.
    labels : mapping of str to str
        Labels of categories.
    groups : list of str
        Columns by which shares are shown.
    terms : mapping of str to str
        Name of an analysis to the term that its figure shows.

    Raises
    ------
    DataError
        If a term is not in its table.
    """
    drawings = {}
    if "reliability" in tables:
        table = tables["reliability"]
        drawings["agreement"] = Drawing(
            table[table["category"] != OVERALL], lambda data: _draw_agreement(data, labels)
        )
    if "prevalence" in tables:
        drawings["prevalence"] = Drawing(
            tables["prevalence"].query("estimator != 'dsl'"),
            lambda data: plot_prevalence(data, labels=labels),
        )
    if "metrics" in tables:
        metrics = tables["metrics"]
        drawings["classifier_metrics"] = Drawing(
            metrics[
                metrics["metric"].isin(["precision", "recall", "f1"])
                & ~metrics["category"].str.startswith("(")
            ],
            lambda data: plot_metrics(data, labels=labels),
        )
    if "cooccurrence" in tables:
        drawings["cooccurrence"] = Drawing(
            tables["cooccurrence"], lambda data: plot_cooccurrence(data, labels=labels)
        )
    for group in groups:
        if f"prevalence_by_{group}" in tables:
            drawings[f"prevalence_by_{group}"] = _by_group(
                tables[f"prevalence_by_{group}"], group, labels
            )
    for name, term in terms.items():
        if name in tables:
            drawings[name] = _forest(name, tables[name], term, labels)
    return drawings


def _draw_agreement(data: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    from matplotlib.figure import Figure as NewFigure

    height = 1.4 + 0.76 * data["category"].nunique()
    figure = NewFigure(figsize=(7.5, height), layout="constrained")
    plot_agreement(data, axes=figure.subplots(), labels=labels)
    return figure


def _by_group(table: pd.DataFrame, group: str, labels: Mapping[str, str]) -> Drawing:
    return Drawing(
        table[table["estimator"] == "ppi"],
        lambda data: plot_prevalence(data, by=group, estimator="ppi", labels=labels),
    )


def _forest(name: str, table: pd.DataFrame, term: str, labels: Mapping[str, str]) -> Drawing:
    found = list(dict.fromkeys(table["term"]))
    if term not in found:
        raise DataError(
            f"Analysis {name} of study.yaml: term {term!r} not found. "
            f"Available: {', '.join(found)}."
        )
    kinds = list(dict.fromkeys(table["missing"]))
    missing = "complete_case" if "complete_case" in kinds else kinds[0]
    rows = (table["term"] == term) & (table["estimator"] != "dsl") & (table["missing"] == missing)
    return Drawing(table[rows], lambda data: plot_forest(data, labels=labels, missing=missing))


class StudyFigures(MutableMapping[str, "Figure"]):
    """Figures by name, each drawn when it is first taken; notebooks show them without set-up."""

    def __init__(self) -> None:
        self.drawings: dict[str, Drawing] = {}
        self._drawn: dict[str, Figure] = {}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._drawn:
            self[name] = self.drawings[name].draw(self.drawings[name].data)
        return self._drawn[name]

    def __setitem__(self, name: str, figure: Figure) -> None:
        # Figures made without pyplot have no way of their own to appear in a notebook.
        vars(figure)["_repr_png_"] = lambda: draw_picture(figure)
        self._drawn[name] = figure

    def __delitem__(self, name: str) -> None:
        self._drawn.pop(name, None)
        self.drawings.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self.drawings, **self._drawn})

    def __len__(self) -> int:
        return len({**self.drawings, **self._drawn})

    def __repr__(self) -> str:
        return f"<StudyFigures: {', '.join(self)}>"


def draw_figures(
    *,
    figures: StudyFigures,
    labels: dict[str, str],
    groups: list[str],
    terms: dict[str, str],
    **results: dict[str, Any],
) -> dict[str, Any]:
    """Return each figure as a picture, and beside it the rows that it plots."""
    tables = {name: table for part in results.values() for name, table in part.items()}
    figures.drawings = list_drawings(tables, labels=labels, groups=groups, terms=terms)
    made: dict[str, Any] = {}
    for name, drawing in figures.drawings.items():
        made[f"{name}.png"] = draw_picture(figures[name])
        made[f"{name}.csv"] = drawing.data.to_csv(index=False, lineterminator="\n").encode()
    return made
