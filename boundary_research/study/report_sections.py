"""A study's report: its sections put together, and written as web page, data and LaTeX tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from boundary_research._checks import check_output_folder
from boundary_research._files import write_atomically, write_json, write_text
from boundary_research.coding._agreement_tables import OVERALL
from boundary_research.study._registration_rows import SAME
from boundary_research.study.checklist import checklist_section
from boundary_research.study.latex_tables import table_to_latex
from boundary_research.study.limitations import limitations_section
from boundary_research.study.methods_text import count_words, methods_section
from boundary_research.study.references import list_cited
from boundary_research.study.report import ESTIMAND, render_report
from boundary_research.study.report_parts import Paragraph, Report, ReportFigure, Section
from boundary_research.study.report_words import (
    CORRECTED,
    category_labels,
    find_analyses,
    list_terms,
    quoted_rows,
    registered_terms,
)
from boundary_research.study.result_sections import list_results
from boundary_research.study.tables import interval, number, percent

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

_ALPHA = "Krippendorff's alpha, nominal"


def study_sections(run: StudyRun) -> list[Section]:
    """Return all sections of a study's report in their order."""
    sections = [
        summary_section(run),
        methods_section(run),
        *list_results(run),
        limitations_section(run),
        checklist_section(run),
    ]
    cited = list_cited(part.text for section in sections for part in section.paragraphs)
    return [*sections, Section("references", "References", bullets=cited)]


def build_report(run: StudyRun) -> Report:
    """Return the report of a run, before it becomes a web page or a document."""
    metrics = run.tables["metrics"]
    macro = metrics[(metrics["category"] == "(macro)") & (metrics["metric"] == "f1")]["estimate"]
    facts = [
        ("incidents", f"{len(run.loaded.incidents):,}"),
        ("coded by hand", f"{run.gold['incident_id'].nunique():,}"),
        ("categories", str(len(run.codebook))),
    ]
    if any(coder["kind"] != "human" for coder in run.plan.coders):
        facts[1] = ("with gold codes", facts[1][1])
    alpha = _overall_agreement(run)
    if alpha is not None:
        facts.append(("alpha of the coders", number(alpha["estimate"])))
    facts.append(("macro F1 of the model", number(macro.iloc[0])))
    lead = f"Research question: {run.plan.question}" if run.plan.question else ""
    sections = study_sections(run)
    return Report(run.plan.title, sections, facts, run.plan.notice, lead.strip(), run.plan.authors)


def _overall_agreement(run: StudyRun) -> pd.Series | None:
    if "reliability" not in run.tables:
        return None
    table = run.tables["reliability"]
    rows = table[(table["category"] == OVERALL) & (table["coefficient"] == _ALPHA)]
    return rows.iloc[0] if len(rows) and pd.notna(rows["estimate"].iloc[0]) else None


def summary_section(run: StudyRun) -> Section:
    """Return the results in a few sentences."""
    bullets = [_agreement_sentence(run), *_share_sentences(run)]
    bullets += [_analysis_sentence(run, name) for name in find_analyses(run.tables)]
    bullets.append(_registration_sentence(run))
    return Section(
        "summary", "In short", [Paragraph(ESTIMAND, "estimand")], [text for text in bullets if text]
    )


def _agreement_sentence(run: StudyRun) -> str:
    if "reliability" not in run.tables:
        return "Agreement between coders was not measured."
    table, labels = run.tables["reliability"], category_labels(run)
    n = int(table["n_coders"].max())
    whole = _overall_agreement(run)
    single = table[(table["coefficient"] == _ALPHA) & (table["category"] != OVERALL)]
    single = single.dropna(subset=["estimate"]).sort_values("estimate", kind="stable")
    told = f"Agreement of the {count_words(n)} coders"
    if whole is None or single.empty:
        return f"{told} is in its section."
    low, first = single.iloc[0], single.iloc[-1]
    return (
        f"{told}: Krippendorff's alpha {number(whole['estimate'])} (95% interval "
        f"{interval(whole['conf_low'], whole['conf_high'])}) over all categories, from "
        f"{number(low['estimate'])} ({labels.get(low['category'], low['category'])}) to "
        f"{number(first['estimate'])} ({labels.get(first['category'], first['category'])})."
    )


def _registration_sentence(run: StudyRun) -> str:
    if run.plan.registration is None:
        return "No plan was registered before the results."
    if "registration" not in run.tables:
        return ""
    same = run.tables["registration"]["verdict"] == SAME
    return f"Of {len(same)} items of the registered plan, {int(same.sum())} were run as registered."


def _share_sentences(run: StudyRun) -> list[str]:
    table, labels = run.tables["prevalence"], category_labels(run)
    corrected = table[table["estimator"] == CORRECTED].dropna(subset=["estimate"])
    if corrected.empty:
        return []
    corrected = corrected.sort_values("estimate", ascending=False, kind="stable")
    top = corrected.iloc[0]
    naive = table[table["estimator"] == "naive"].set_index("category")["estimate"]
    off = corrected.set_index("category")
    naive = naive.reindex(off.index)
    outside = int(((naive < off["conf_low"]) | (naive > off["conf_high"])).sum())
    return [
        f"Most frequent among the reported incidents: {labels.get(top['category'], top['category'])}, "
        f"{percent(top['estimate'])} (95% interval "
        f"{interval(top['conf_low'], top['conf_high'], 1, scale=100)}%).",
        f"For {outside} of {len(off)} categories the naive share, which takes the model's codes as "
        f"true, lies outside the corrected 95% interval.",
    ]


def _analysis_sentence(run: StudyRun, name: str) -> str:
    part = quoted_rows(registered_terms(run, name, run.tables[name]))
    terms = list_terms(part)
    tested = int(part["p_adjusted"].notna().sum())
    passed = part[part["p_adjusted"] < 0.05]
    if not tested:
        return ""
    labels = category_labels(run)
    what = terms[0] if len(terms) == 1 else f"{len(terms)} comparisons"
    named = [labels.get(one, one) for one in dict.fromkeys(passed["category"])]
    which = f": {', '.join(named)}" if 0 < len(named) <= 4 else ""
    verb = "remains" if len(passed) == 1 else "remain"
    return (
        f"Of {tested} tests of {what} (corrected for the model's errors), {len(passed)} {verb} below "
        f".05 after adjustment for multiple testing{which}."
    )


def write_study_report(run: StudyRun) -> Path:
    """Write the report of a study run into its folder.

    ``report.html`` (self-contained), ``report.json`` (from which `boundary-research report` makes
    Word and PDF documents), ``tables/NAME.tex`` for each table, and picture and data in
    ``figures`` of each figure that the run did not write.

    Returns
    -------
    pathlib.Path
        Of ``report.html``.
    """
    report = build_report(run)
    tables, figures = (check_output_folder(run.folder / name) for name in ("tables", "figures"))
    for table in report.tables():
        write_text(tables / f"{table.name}.tex", table_to_latex(table))
        if table.name not in run.tables:
            # A checklist is no result, so that it does not lie among the tables that are replicated.
            place = run.folder if table.name == "checklist" else tables
            write_text(place / f"{table.name}.csv", table.to_csv())
    for figure in report.figures():
        if figure.name not in run.figures:
            _write_figure(figure, figures)
    write_json(run.folder / "report.json", report.to_json())
    return write_text(run.folder / "report.html", render_report(report))


def _write_figure(figure: ReportFigure, folder: Path) -> None:
    picture = figure.picture()
    write_atomically(folder / f"{figure.name}.png", lambda path: path.write_bytes(picture))
    write_text(folder / f"{figure.name}.csv", figure.csv)
