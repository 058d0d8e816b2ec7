"""The sections of a study's report, written from what was actually run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from boundary_research._files import write_text
from boundary_research.study.report import (
    ESTIMAND,
    Paragraph,
    ReportTable,
    Section,
    embed_figure,
    list_software,
    render_report,
)
from boundary_research.study.tables import interval, number, percent

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

# The corrected estimate that the text quotes; tuned, so that a weak model costs little precision.
CORRECTED = "ppi"
ESTIMATOR_NAMES = {
    "naive": "naive",
    "gold_only": "gold only",
    "dsl": "corrected (DSL)",
    "ppi": "corrected, tuned (PPI++)",
    "rogan_gladen": "Rogan–Gladen",
}


def _labels(run: StudyRun) -> dict[str, str]:
    return {category.id: category.label for category in run.codebook}


def study_sections(run: StudyRun) -> list[Section]:
    """Return all sections of a study's report in their order."""
    sections = [_summary(run), _data(run)]
    if "reliability" in run.tables:
        sections.append(_reliability(run))
    sections += [_classifier(run), _shares(run)]
    sections += [_by_group(run, group) for group in run.plan.prevalence["by"]]
    if "risk_factors" in run.tables:
        sections.append(_risk_factors(run))
    return [*sections, _cooccurrence(run), _limits(run)]


def _summary(run: StudyRun) -> Section:
    table = run.tables["prevalence"]
    corrected = table[table["estimator"] == CORRECTED].sort_values("estimate", ascending=False)
    naive = table[table["estimator"] == "naive"].set_index("category").loc[corrected["category"]]
    labels = _labels(run)
    top = corrected.iloc[0]
    off = corrected.set_index("category")
    outside = (naive["estimate"] < off["conf_low"]) | (naive["estimate"] > off["conf_high"])
    bullets = [
        f"Most frequent among the reported incidents: {labels[top['category']]}, "
        f"{percent(top['estimate'])} (95% interval {interval(top['conf_low'], top['conf_high'], 1, scale=100)}%).",
        f"For {int(outside.sum())} of {len(off)} categories the naive share, which takes the model's codes "
        f"as true, lies outside the corrected 95% interval.",
    ]
    if "risk_factors" in run.tables:
        bullets.append(_risk_sentence(run))
    return Section("summary", "In short", [Paragraph(ESTIMAND, "estimand")], bullets)


def _risk_sentence(run: StudyRun) -> str:
    table = run.tables["risk_factors"]
    term = run.plan.risk_factors.get("term")
    part = table[(table["estimator"] == CORRECTED) & (table["missing"] == "complete_case")]
    part = part[part["term"] == term] if term else part[part["term"] != "Intercept"]
    tested = part["p_adjusted"].notna().sum()
    passed = int((part["p_adjusted"] < 0.05).sum())
    return (
        f"Of {tested} tests of {term or 'the risk factors'} (one a category, corrected for the model's "
        f"errors), {passed} remain below .05 after adjustment for multiple testing."
    )


def _data(run: StudyRun) -> Section:
    loaded, gold = run.loaded, run.gold
    drawn = gold.drop_duplicates("incident_id")
    low, high = drawn["inclusion_probability"].min(), drawn["inclusion_probability"].max()
    how = (
        "all with the same probability"
        if low == high
        else f"with probabilities from {low:.3f} to {high:.3f}"
    )
    sources = gold["source"].value_counts() if "source" in gold.columns else pd.Series(dtype=int)
    told = ", ".join(f"{count:,} {name}" for name, count in sources.items())
    text = (
        f"{len(loaded.incidents):,} incidents were read ({loaded.source['file']}), "
        f"{len(loaded.rejects):,} rows were set aside. {len(drawn):,} incidents were drawn for gold "
        f"coding {how}, and coded with codebook {run.codebook.id} {run.codebook.version} "
        f"({len(run.codebook)} categories)."
    )
    paragraphs = [Paragraph(text)]
    if told:
        paragraphs.append(
            Paragraph(f"Gold decisions (narrative × category) by origin: {told}.", "note")
        )
    return Section("data", "Incidents and sample", paragraphs)


def _reliability(run: StudyRun) -> Section:
    table, labels = run.tables["reliability"], _labels(run)
    wanted = ("percent agreement", "Krippendorff's alpha, nominal", "Gwet's AC1")
    shown = [name for name in wanted if name in set(table["coefficient"])]
    rows = []
    for category in dict.fromkeys(table["category"]):
        part = table[table["category"] == category].set_index("coefficient")
        first = part.iloc[0]
        row = [labels.get(category, category), percent(first["prevalence"])]
        for name in shown:
            one = part.loc[name] if name in part.index else None
            row.append(
                "–"
                if one is None
                else f"{number(one['estimate'])} ({interval(one['conf_low'], one['conf_high'])})"
            )
        rows.append(row)
    return Section(
        "reliability",
        "Agreement of the coders",
        [
            Paragraph(
                "Coders worked without seeing each other's codes. Prevalence stands beside each "
                "coefficient because alpha falls and AC1 rises when a category is rare."
            )
        ],
        tables=[
            ReportTable(
                "Agreement by category (95% interval)",
                ["category", "prevalence", *shown],
                rows,
                text_columns=("category",),
            )
        ],
    )


def _classifier(run: StudyRun) -> Section:
    table, labels = run.tables["metrics"], _labels(run)
    wide = table.pivot(index="category", columns="metric", values="estimate")
    limits = table[table["metric"] == "f1"].set_index("category")
    rows = []
    for name in dict.fromkeys(table["category"]):
        one, f1 = wide.loc[name], limits.loc[name]
        rows.append(
            [
                labels.get(
                    name,
                    {"(micro)": "all, pooled (micro)", "(macro)": "mean (macro)"}.get(name, name),
                ),
                str(int(f1["n_positive"])),
                number(one["precision"]),
                number(one["recall"]),
                f"{number(one['f1'])} ({interval(f1['conf_low'], f1['conf_high'])})",
                number(one.get("average_precision")),
                number(one.get("auc")),
            ]
        )
    plan = run.plan.classifier
    how = {
        "gold": f"It was trained on the gold sample and scored by {plan['folds']}-fold cross-fitting"
        + (f" that keeps each {plan['groups']} on one side" if plan.get("groups") else "")
        + ": every gold narrative was predicted by a model that had not seen it.",
        "bundled": "It was trained on the bundled fictional corpus and scored on the gold sample.",
    }.get(plan["train_on"], "It was read from a model file and scored on the gold sample.")
    notes = [Paragraph(f"{name}: {note}", "note") for name, note in run.model.notes_.items()]
    return Section(
        "classifier",
        "The classifier and its errors",
        [
            Paragraph(
                "Each category has a logistic regression on word and character n-grams weighted by "
                "naive-Bayes log-count ratios; thresholds were chosen by cross-validation. "
                + (
                    "Passages marked as evidence were learned from, too. "
                    if "evidence" in run.plan.gold
                    else ""
                )
                + how
            ),
            *notes,
        ],
        figures=[
            embed_figure(
                run.figures["classifier_metrics"],
                "Precision and recall of each category with 95% intervals.",
                "How often the model is right when it codes a category (left) and how much of a category it "
                "finds (right). Categories far to the left in either panel cannot be counted from the "
                "model's codes alone.",
            )
        ],
        tables=[
            ReportTable(
                "Errors by category, cross-fitted",
                [
                    "category",
                    "gold positives",
                    "precision",
                    "recall",
                    "F1 (95% interval)",
                    "average precision",
                    "AUC",
                ],
                rows,
                folded=True,
                text_columns=("category",),
            )
        ],
    )


def _estimate_rows(table: pd.DataFrame, labels: dict[str, str]) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys(table["category"]):
        part = table[table["category"] == name].set_index("estimator")
        row = [labels.get(name, name)]
        for estimator in ("naive", "gold_only", CORRECTED):
            if estimator in part.index:
                one = part.loc[estimator]
                row += [
                    percent(one["estimate"]),
                    interval(one["conf_low"], one["conf_high"], 1, scale=100),
                ]
            else:
                row += ["–", "–"]
        rows.append(row)
    return rows


def _shares(run: StudyRun) -> Section:
    table = run.tables["prevalence"]
    columns = [
        "category",
        "naive %",
        "95% interval",
        "gold only %",
        "95% interval ",
        "corrected %",
        "95% interval  ",
    ]
    return Section(
        "shares",
        "Share of reported incidents in each category",
        [
            Paragraph(
                "Naive counts the model's codes as if they were true; "
                "its narrow interval leaves the model's errors out. Gold only uses the gold codes, weighted "
                "by the probability of their draw. Corrected takes the model's codes for all incidents and "
                "removes their error, as measured on the gold sample: PPI++ (Angelopoulos and others 2023) "
                "weighs the model's codes by how much they help, and DSL (design-based supervised "
                "learning, Egami and others 2023) takes them in full. A weak model makes DSL less precise "
                "than the gold codes alone; text and tables quote PPI++."
            )
        ],
        figures=[
            embed_figure(
                run.figures["prevalence"],
                "Share of reported incidents per category by estimator with 95% intervals.",
                "Where the open circle lies outside the corrected interval, the model's own count misleads.",
            )
        ],
        tables=[
            ReportTable(
                "Shares with intervals",
                columns,
                _estimate_rows(table, _labels(run)),
                folded=True,
                text_columns=("category",),
            )
        ],
    )


def _by_group(run: StudyRun, group: str) -> Section:
    table = run.tables[f"prevalence_by_{group}"]
    labels = _labels(run)
    rows = []
    for row in table[table["estimator"] == CORRECTED].itertuples():
        rows.append(
            [
                labels.get(row.category, row.category),
                str(getattr(row, group)),
                percent(row.estimate),
                interval(row.conf_low, row.conf_high, 1, scale=100),
                str(row.n_gold),
                str(row.n_total),
            ]
        )
    return Section(
        f"by-{group}",
        f"Shares by {group.replace('_', ' ')}",
        [
            Paragraph(
                "Shares are within each group's own reports: they say what is reported there, not how often it happens."
            )
        ],
        figures=[
            embed_figure(
                run.figures[f"prevalence_by_{group}"],
                f"Corrected share of each category by {group} with 95% intervals.",
                "Where intervals overlap widely there is no evidence of a difference between groups.",
            )
        ],
        tables=[
            ReportTable(
                f"Corrected shares by {group}",
                ["category", group, "corrected %", "95% interval", "gold", "incidents"],
                rows,
                folded=True,
                text_columns=("category", group),
            )
        ],
    )


def _risk_factors(run: StudyRun) -> Section:
    table, labels = run.tables["risk_factors"], _labels(run)
    part = table[
        (table["term"] != "Intercept")
        & table["estimator"].isin(["naive", "gold_only", "ppi", "dsl"])
    ]
    rows = [
        [
            labels.get(r.category, r.category),
            r.term,
            r.missing.replace("_", " "),
            ESTIMATOR_NAMES.get(r.estimator, r.estimator),
            number(r.odds_ratio),
            interval(r.odds_ratio_low, r.odds_ratio_high),
            number(r.p_value, 3),
            number(r.p_adjusted, 3),
        ]
        for r in part.itertuples()
    ]
    n_tests = int(table["n_tests"].max())
    n_complete = int(table.loc[table["missing"] == "complete_case", "n_total"].max())
    figures = []
    if "risk_factors" in run.figures:
        figures.append(
            embed_figure(
                run.figures["risk_factors"],
                "Odds ratio per category for the main risk factor: naive, gold only and corrected.",
                "Left of the line less often, right of it more often among the reports of the group. Read the "
                "corrected row; the naive one is shown to see what the correction changes. Intervals are not "
                "adjusted for the number of tests; the adjusted p-values in the table are.",
            )
        )
    return Section(
        "risk-factors",
        "Risk factors among reported incidents",
        [
            Paragraph(
                f"Formula {run.plan.risk_factors['formula']}. Odds ratios compare how often a category is "
                f"coded among the reports of two groups. Incidents whose exposure is not stated are left "
                f"out of the figure (complete cases: {n_complete:,} of {len(run.loaded.incidents):,}); the table has "
                f"multiple imputation beside it. {n_tests} tests were adjusted together "
                f"({run.plan.risk_factors.get('adjust', 'bh').upper()}). They are associations within reports "
                f"and carry no statement about causes or about risk."
            )
        ],
        figures=figures,
        tables=[
            ReportTable(
                "All terms",
                [
                    "category",
                    "term",
                    "missing exposure",
                    "estimator",
                    "odds ratio",
                    "95% interval",
                    "p",
                    "p adjusted",
                ],
                rows,
                folded=True,
                text_columns=("category", "term", "missing exposure", "estimator"),
            )
        ],
    )


def _cooccurrence(run: StudyRun) -> Section:
    return Section(
        "cooccurrence",
        "Categories that come together",
        [
            Paragraph(
                "Counted from the model's codes, uncorrected: for finding narratives to read, not for citing."
            )
        ],
        figures=[
            embed_figure(
                run.figures["cooccurrence"],
                "Matrix: share of narratives with the row's category that also have the column's.",
                "Dark cells are pairs that the model codes together often; a dot marks a suppressed small count.",
            )
        ],
    )


def _limits(run: StudyRun) -> Section:
    bullets = [
        "Case-only data: no statement about how often incidents happen, and none about risk.",
        "Reporting may differ between settings; a difference in shares may be a difference in what is reported.",
        "The correction holds for the gold codes as they are. Errors that all coders share stay in.",
        "Living in a small community is exposure to overlapping roles, not fault.",
        f"Seed {run.plan.seed}; inputs, versions and hashes of every output stand in manifest.json. "
        f"Software: {list_software()}.",
    ]
    if run.plan.notice:
        bullets.insert(0, run.plan.notice)
    return Section("limits", "What may be claimed, and what not", bullets=bullets)


def write_study_report(run: StudyRun) -> Path:
    """Write ``report.html`` of a study run."""
    table = run.tables["metrics"]
    macro = table[(table["category"] == "(macro)") & (table["metric"] == "f1")]["estimate"].iloc[0]
    facts = [
        ("incidents", f"{len(run.loaded.incidents):,}"),
        ("with gold codes", f"{run.gold['incident_id'].nunique():,}"),
        ("categories", str(len(run.codebook))),
        ("macro F1, cross-fitted", number(macro)),
    ]
    page = render_report(run.plan.title, study_sections(run), facts=facts, notice=run.plan.notice)
    return write_text(run.folder / "report.html", page)
