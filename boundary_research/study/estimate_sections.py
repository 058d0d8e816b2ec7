"""The sections of a study's report that show estimates: shares, groups, associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from boundary_research.study.report_parts import (
    Paragraph,
    ReportTable,
    Section,
    find_figure,
    frame_to_csv,
)
from boundary_research.study.report_words import (
    CORRECTED,
    ESTIMATOR_NAMES,
    INTERCEPT,
    LIMITS,
    MISSING_NAMES,
    category_labels,
    effect_column,
    effect_limits,
    find_analyses,
    find_analysis,
    in_words,
    list_terms,
    term_words,
)
from boundary_research.study.tables import interval, number, p_value

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

_SHOWN_ESTIMATORS = ("naive", "gold_only", CORRECTED)


def list_estimates(run: StudyRun) -> list[Section]:
    """Return the sections with estimates, in their order."""
    sections = [shares_section(run)]
    sections += [group_section(run, group) for group in run.plan.prevalence["by"]]
    sections += [analysis_section(run, name) for name in find_analyses(run.tables)]
    return [*sections, cooccurrence_section(run)]


def _share_rows(table: pd.DataFrame, labels: dict[str, str]) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys(table["category"]):
        part = table[table["category"] == name].set_index("estimator")
        row = [labels.get(name, name)]
        for estimator in _SHOWN_ESTIMATORS:
            if estimator in part.index:
                one = part.loc[estimator]
                row += [number(100 * one["estimate"], 1)]
                row += [interval(one["conf_low"], one["conf_high"], 1, scale=100)]
            else:
                row += ["–", "–"]
        rows.append(row)
    return rows


def shares_section(run: StudyRun) -> Section:
    """Return the share of reported incidents in each category, by estimator."""
    table = run.tables["prevalence"]
    return Section(
        "shares",
        "Share of reported incidents in each category",
        [
            Paragraph(
                "Naive counts the model's codes as if they were true; its narrow interval "
                "leaves the "
                "model's errors out. Gold only uses the gold codes, weighted by the probability of "
                "their draw. Corrected takes the model's codes for all incidents and removes their "
                "error, as measured on the gold sample. A weak model makes DSL less precise "
                "than the "
                "gold codes alone; text and tables quote PPI++."
            )
        ],
        figures=find_figure(
            run.figures,
            "prevalence",
            "Share of reported incidents per category by estimator with 95% intervals.",
            "Where the open circle lies outside the corrected interval, the model's own count "
            "misleads.",
            table.loc[table["estimator"] != "dsl", ["category", "estimator", *LIMITS]],
        ),
        tables=[
            ReportTable(
                "Share of reported incidents in each category, in per cent",
                ["category", *["%", "95% interval"] * 3],
                _share_rows(table, category_labels(run)),
                text_columns=("category",),
                name="prevalence",
                spanners=(("", 1), ("naive", 2), ("gold only", 2), ("corrected (PPI++)", 2)),
                csv=frame_to_csv(table),
            )
        ],
    )


def group_section(run: StudyRun, group: str) -> Section:
    """Return corrected shares within the groups of a variable."""
    name = f"prevalence_by_{group}"
    table, labels, words = run.tables[name], category_labels(run), in_words(group)
    part = table[table["estimator"] == CORRECTED]
    rows = [
        [
            labels.get(row.category, row.category),
            in_words(getattr(row, group)),
            number(100 * row.estimate, 1),
            interval(row.conf_low, row.conf_high, 1, scale=100),
            str(row.n_gold),
            f"{row.n_total:,}",
        ]
        for row in part.itertuples()
    ]
    order = {label: i for i, label in enumerate(labels.values())}
    rows.sort(key=lambda row: order.get(row[0], len(order)))
    return Section(
        f"by-{group}",
        f"Shares by {words}",
        [
            Paragraph(
                "Shares are within each group's own reports: they say what is reported there, "
                "not how "
                "often it happens."
            )
        ],
        figures=find_figure(
            run.figures,
            name,
            f"Corrected share of each category by {words} with 95% intervals.",
            "Where intervals overlap widely there is no evidence of a difference between groups.",
            part[["category", group, *LIMITS]],
        ),
        tables=[
            ReportTable(
                f"Corrected shares by {words}, in per cent",
                ["category", words, "corrected %", "95% interval", "gold", "incidents"],
                rows,
                folded=True,
                text_columns=("category", words),
                name=name,
                grouped=True,
                csv=frame_to_csv(table),
            )
        ],
    )


_CASE_ONLY = (
    "Estimates compare how often a category is coded among the reports of two groups. They are "
    "associations within reports and carry no statement about causes or about risk."
)


def _effect_table(run: StudyRun, name: str, about: str) -> ReportTable:
    """Return effects with a column for each estimator, and rows for terms and ways with gaps."""
    table, labels = run.tables[name], category_labels(run)
    effect, words = effect_column(table)
    low, high = effect_limits(effect)
    part = table[table["term"] != INTERCEPT]
    many = part["term"].nunique() > 1
    estimators = [key for key in _SHOWN_ESTIMATORS if key in set(part["estimator"])]
    rows = []
    for (category, _, missing), group in part.groupby(["category", "term", "missing"], sort=False):
        known = {str(r["estimator"]): r for r in group.to_dict("records")}
        first = next(iter(known.values()))
        named = ([term_words(first)] if many else []) + [
            MISSING_NAMES.get(missing, in_words(missing))
        ]
        cells = [
            f"{number(r[effect])} ({interval(r[low], r[high])})" if pd.notna(r[effect]) else "–"
            for r in (known[key] for key in estimators if key in known)
        ]
        quoted = known.get(CORRECTED, first)
        cells += [p_value(quoted["p_value"]), p_value(quoted["p_adjusted"])]
        rows.append([labels.get(category, category), *named, *cells])
    order = {label: i for i, label in enumerate(dict.fromkeys(row[0] for row in rows))}
    rows.sort(key=lambda row: order[row[0]])
    leading = ["category", *(["term"] if many else []), "reports"]
    return ReportTable(
        f"{words.capitalize()} with 95% interval{about}",
        [*leading, *(ESTIMATOR_NAMES[key] for key in estimators), "p", "p adjusted"],
        rows,
        note="P-values are those of the corrected estimate. The CSV has all estimators, and "
        "differences in share points.",
        folded=True,
        text_columns=tuple(leading),
        name=name,
        grouped=True,
        csv=frame_to_csv(table),
    )


def analysis_section(run: StudyRun, name: str) -> Section:
    """Return one analysis of risk factors."""
    table, plan = run.tables[name], find_analysis(run, name)
    effect, words = effect_column(table)
    part = table[table["term"] != INTERCEPT]
    terms = list_terms(part)
    about = f": {terms[0]}" if len(terms) == 1 else ""
    kinds = list(dict.fromkeys(part["missing"]))
    shown = "complete_case" if "complete_case" in kinds else kinds[0]
    plotted = part[(part["missing"] == shown) & (part["estimator"] != "dsl")]
    plotted = plotted[plotted["term"] == plan["term"]] if "term" in plan else plotted
    gaps = (
        "Incidents whose attributes are not stated are left out of the figure; the table has "
        "multiple "
        "imputation beside complete cases. "
        if len(kinds) > 1
        else ""
    )
    title = "Risk factors among reported incidents"
    title += f": {in_words(name)}" if len(find_analyses(run.tables)) > 1 else ""
    text = f"{_CASE_ONLY} {gaps}{int(table['n_tests'].max())} tests were adjusted together."
    return Section(
        name.replace("_", "-"),
        title,
        [*([Paragraph(plan["estimand"])] if plan.get("estimand") else []), Paragraph(text)],
        figures=find_figure(
            run.figures,
            name,
            f"{words.capitalize()} of each category{about}: naive, gold only and corrected.",
            "Left of the line less often, right of it more often among the reports of the "
            "group. Read "
            "the corrected row; the naive one is shown to see what the correction changes. "
            "Intervals "
            "are not adjusted for the number of tests; the adjusted p-values in the table are.",
            plotted[["category", "term", "estimator", effect, *effect_limits(effect)]],
        ),
        tables=[_effect_table(run, name, about)],
    )


def cooccurrence_section(run: StudyRun) -> Section:
    """Return which categories the model codes together."""
    table = run.tables["cooccurrence"]
    return Section(
        "cooccurrence",
        "Categories that come together",
        [
            Paragraph(
                "Counted from the model's codes, uncorrected: for finding narratives to read, "
                "not for "
                "citing."
            )
        ],
        figures=find_figure(
            run.figures,
            "cooccurrence",
            "Matrix: share of narratives with the row's category that also have the column's.",
            "Dark cells are pairs that the model codes together often; a dot marks a suppressed "
            "small "
            "count.",
            table[table["row_category"] != table["column_category"]],
        ),
    )
