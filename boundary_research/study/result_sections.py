"""The sections of a study's report that show results: plan and run, agreement, classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from boundary_research.coding._agreement_tables import OVERALL
from boundary_research.coding.reliability_plots import plot_agreement
from boundary_research.study._registration_rows import SAME, UNREGISTERED
from boundary_research.study.estimate_sections import list_estimates
from boundary_research.study.report_parts import (
    Paragraph,
    ReportTable,
    Section,
    embed_figure,
    find_figure,
    frame_to_csv,
    list_words,
)
from boundary_research.study.report_words import (
    COUNTED_NAMES,
    LIMITS,
    category_labels,
)
from boundary_research.study.tables import interval, number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from boundary_research.study.run import StudyRun

COEFFICIENTS = ("percent agreement", "Krippendorff's alpha, nominal", "Gwet's AC1")
_DOUBTFUL = "†"


def list_results(run: StudyRun) -> list[Section]:
    """Return the sections with results, in their order; one without its table is left out."""
    sections = [] if "registration" not in run.tables else [registration_section(run)]
    if "reliability" in run.tables:
        sections.append(reliability_section(run))
    return [*sections, classifier_section(run), *list_estimates(run)]


def registration_section(run: StudyRun) -> Section:
    """Return what was planned beside what was run, item by item."""
    table = run.tables["registration"]
    shown = table[["item", "registered", "run", "verdict"]].astype(str)
    if run.plan.registration is None:
        words = {name: name.replace("registered", "planned") for name in set(shown["verdict"])}
        shown["verdict"] = shown["verdict"].map(words | {UNREGISTERED: UNREGISTERED})
        lead = "No plan was registered before the results. This is study.yaml as it stands"
    else:
        lead = f"The plan as it was registered ({run.plan.registration.when})"
    other = table.loc[table["verdict"] != SAME, "item"].tolist()
    told = (
        "Everything was run as planned."
        if not other
        else f"Not the same, or not registered: {list_words(other)} ({len(other)} of {len(table)})."
    )
    columns = ["item", "planned", "run", "verdict"]
    return Section(
        "registration",
        "Planned and run",
        [Paragraph(f"{lead}, beside what the tables of this run hold. {told}")],
        tables=[
            ReportTable(
                "What was planned, and what was run",
                columns,
                shown.to_numpy().tolist(),
                text_columns=tuple(columns),
                name="registration",
                csv=frame_to_csv(table),
            )
        ],
    )


def _agreement_cell(rows: pd.DataFrame, name: str) -> str:
    if name not in rows.index:
        return "–"
    one = rows.loc[name]
    if pd.isna(one["estimate"]):
        return "not defined"
    mark = _DOUBTFUL if isinstance(one["note"], str) and one["note"] else ""
    return f"{number(one['estimate'])} ({interval(one['conf_low'], one['conf_high'])}){mark}"


def reliability_section(run: StudyRun) -> Section:
    """Return agreement of the coders: a figure, and a table with intervals."""
    table, labels = run.tables["reliability"], category_labels(run)
    labels |= {OVERALL: "all categories together"}
    shown = [name for name in COEFFICIENTS if name in set(table["coefficient"])]
    rows = []
    for category in dict.fromkeys(table["category"]):
        part = table[table["category"] == category].set_index("coefficient")
        cells = [_agreement_cell(part, name) for name in shown]
        share = percent(part["prevalence"].iloc[0])
        rows.append([labels.get(category, category), share, *cells])
    level = f"{100 * float(table['confidence'].iloc[0]):.0f}%"
    doubtful = any(cell.endswith(_DOUBTFUL) for row in rows for cell in row)
    drawn = table[table["coefficient"].isin(shown) & (table["category"] != OVERALL)]
    columns = ["category", "coefficient", *LIMITS, "prevalence", "n_units", "note"]
    return Section(
        "reliability",
        "Agreement of the coders",
        [
            Paragraph(
                "Coders worked without seeing each other's codes. Prevalence stands beside each "
                "coefficient because alpha falls and AC1 rises when a category is rare."
            )
        ],
        figures=[
            embed_figure(
                _draw_agreement(drawn, labels),
                "Agreement coefficients of each category with intervals.",
                "Agreement of the coders on each category. An open marker warns that too few "
                "narratives of a category were seen for its interval to be trusted.",
                name="agreement",
                data=drawn[columns],
            )
        ],
        tables=[
            ReportTable(
                f"Agreement by category ({level} interval)",
                ["category", "prevalence", *(_short(name) for name in shown)],
                rows,
                note=f"{_DOUBTFUL} Too few narratives of the category to trust the interval."
                if doubtful
                else "",
                text_columns=("category",),
                name="reliability",
                csv=frame_to_csv(table),
            )
        ],
    )


def _draw_agreement(table: pd.DataFrame, labels: dict[str, str]) -> Figure:
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(8.2, 1.4 + 0.6 * table["category"].nunique()), layout="constrained")
    shown = [name for name in COEFFICIENTS if name in set(table["coefficient"])]
    plot_agreement(table, coefficients=shown, labels=labels, axes=figure.subplots())
    return figure


def _short(coefficient: str) -> str:
    return coefficient.removesuffix(", nominal")


def classifier_section(run: StudyRun) -> Section:
    """Return how often the model errs, by category."""
    table, labels = run.tables["metrics"], category_labels(run) | COUNTED_NAMES
    wide = table.pivot(index="category", columns="metric", values="estimate")
    limits = table[table["metric"] == "f1"].set_index("category")
    rows = []
    for name in dict.fromkeys(table["category"]):
        one, f1 = wide.loc[name], limits.loc[name]
        cells = [number(one["precision"]), number(one["recall"]), number(one["f1"])]
        cells += [interval(f1["conf_low"], f1["conf_high"])]
        cells += [number(one.get("average_precision")), number(one.get("auc"))]
        rows.append([labels.get(name, name), str(int(f1["n_positive"])), *cells])
    how = {
        "gold": "Errors were measured on the gold sample, each narrative coded by a model that was "
        "trained without it.",
        "bundled": "The model was trained on the bundled fictional corpus; its errors were "
        "measured on the gold sample.",
    }.get(run.plan.classifier["train_on"], "Errors of a model file, measured on the gold sample.")
    notes = [
        Paragraph(f"{labels.get(name, name)}: {note}", "note")
        for name, note in run.model.notes_.items()
    ]
    plotted = table[table["metric"].isin(["precision", "recall"])]
    plotted = plotted[~plotted["category"].str.startswith("(")]
    return Section(
        "classifier",
        "The classifier and its errors",
        [Paragraph(how), *notes],
        figures=find_figure(
            run.figures,
            "classifier_metrics",
            "Precision and recall of each category with 95% intervals.",
            "How often the model is right when it codes a category (left) and how much of a "
            "category "
            "it finds (right). Categories far to the left in either panel cannot be counted "
            "from the "
            "model's codes alone.",
            plotted[["category", "metric", *LIMITS]],
        ),
        tables=[
            ReportTable(
                "Errors of the classifier by category",
                ["category", "gold positives", "precision", "recall", "F1", "95% interval",
                 "average precision", "AUC"],
                rows,
                text_columns=("category",),
                name="metrics",
                csv=frame_to_csv(table),
            )
        ],
    )  # fmt: skip
