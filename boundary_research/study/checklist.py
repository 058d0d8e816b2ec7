"""The STROBE and RECORD checklists of a study, filled as far as a run can fill them.

STROBE: von Elm and others 2007, *The Lancet* 370:1453–1457. RECORD, its extension for routinely
collected data: Benchimol and others 2015, *PLoS Medicine* 12(10):e1001885. Items are told in words
of our own; the published wording decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from boundary_research.study.references import cite
from boundary_research.study.report_parts import (
    Paragraph,
    ReportTable,
    Section,
    frame_to_csv,
    list_words,
)
from boundary_research.study.report_words import find_analyses

if TYPE_CHECKING:
    from boundary_research.study.run import StudyRun

ANSWERED = "answered"
PARTLY = "in part"
OPEN = "authors must add"
NOT_APPLICABLE = "not applicable"
STATUSES = (ANSWERED, PARTLY, OPEN, NOT_APPLICABLE)
_COUNTED = {
    ANSWERED: "answered",
    PARTLY: "answered in part",
    OPEN: "left to the authors",
    NOT_APPLICABLE: "not applicable",
}

Answer = tuple[str, str]
_METHODS = "Methods, “{}”"


@dataclass(frozen=True)
class ChecklistItem:
    """An item: its number, what it asks for in our words, and how a run answers it."""

    number: str
    topic: str
    answer: Callable[[StudyRun], Answer]


def _fixed(status: str, where: str) -> Callable[[StudyRun], Answer]:
    return lambda run: (status, where)


def _methods(heading: str, more: str = "") -> Callable[[StudyRun], Answer]:
    where = _METHODS.format(heading) + (f"; {more}" if more else "")
    return _fixed(PARTLY if more else ANSWERED, where)


def _groups(run: StudyRun) -> list[str]:
    return [f"“Shares by {name.replace('_', ' ')}”" for name in run.plan.prevalence["by"]]


def _question(run: StudyRun) -> Answer:
    if run.plan.question:
        return ANSWERED, "Research question, at the top"
    return OPEN, "the plan states no question (key question)"


def _size(run: StudyRun) -> Answer:
    if run.plan.sampling.get("description"):
        return PARTLY, _METHODS.format(
            "Sample for hand coding"
        ) + "; authors add how the size was chosen"
    return OPEN, "why so many narratives were coded"


def _design(run: StudyRun) -> Answer:
    if run.plan.sampling:
        return ANSWERED, _METHODS.format("Sample for hand coding")
    return PARTLY, "the probabilities are there; the design is not in the plan (key sampling)"


def _sensitivity(run: StudyRun) -> Answer:
    ways = [set(table["missing"]) for table in find_analyses(run.tables).values()]
    if any(len(way) > 1 for way in ways):
        return PARTLY, "complete cases beside multiple imputation; estimators side by side"
    return PARTLY, "estimators side by side; authors add analyses of reporting and confounding"


def _reported_missing(run: StudyRun) -> Answer:
    if _groups(run):
        return PARTLY, f"{', '.join(_groups(run))}: reports where it is not stated"
    return OPEN, "how often each attribute is not stated"


def _main(run: StudyRun) -> Answer:
    where = "“Share of reported incidents in each category”"
    if not find_analyses(run.tables):
        return ANSWERED, where
    more = "“Risk factors among reported incidents”; authors say why these attributes and no others"
    return PARTLY, f"{where}; {more}"


def _other(run: StudyRun) -> Answer:
    return ANSWERED, "; ".join([*_groups(run), "“Categories that come together”"])


def _validation(run: StudyRun) -> Answer:
    where = "“The classifier and its errors”"
    if "reliability" in run.tables:
        return ANSWERED, f"{where}; “Agreement of the coders”"
    return PARTLY, f"{where}; agreement of the coders was not measured"


def _levels(run: StudyRun) -> Answer:
    if run.plan.incidents.get("recode"):
        return ANSWERED, _METHODS.format("Design and data")
    return PARTLY, "levels are those of the data; authors say how they were chosen"


def _access(run: StudyRun) -> Answer:
    told = "the plan, code versions and hashes are in manifest.json"
    return PARTLY, f"{told}; authors say where data and archive can be had"


_LIMITS = _fixed(ANSWERED, "“Limitations: what may be claimed, and what not”")
STROBE = (
    ChecklistItem("1a", "Design named in title or abstract", _fixed(OPEN, "title and abstract")),
    ChecklistItem(
        "1b", "Abstract that says what was done and found", _fixed(OPEN, "“In short” is a start")
    ),
    ChecklistItem("2", "Background and reasons", _fixed(OPEN, "introduction")),
    ChecklistItem("3", "Objectives and hypotheses", _question),
    ChecklistItem("4", "Design, early on", _methods("Design and data")),
    ChecklistItem(
        "5", "Setting, places and dates", _fixed(OPEN, "who collected the reports, where and when")
    ),
    ChecklistItem(
        "6",
        "Who is eligible, and how reports were chosen",
        _methods("Design and data", "authors add by what rules reports enter the register"),
    ),
    ChecklistItem(
        "7",
        "Outcomes, exposures and confounders defined",
        _methods("Codebook and coders", "authors add confounders, and give the codebook"),
    ),
    ChecklistItem(
        "8", "Sources of data, and how each variable was measured", _methods("Codebook and coders")
    ),
    ChecklistItem(
        "9",
        "What was done about bias",
        _methods("Shares and their correction", "authors add what was done about reporting"),
    ),
    ChecklistItem("10", "How the size was arrived at", _size),
    ChecklistItem("11", "How attributes were grouped", _levels),
    ChecklistItem(
        "12a",
        "Statistical methods, confounding included",
        _methods("Shares and their correction", "authors add how confounders were chosen"),
    ),
    ChecklistItem("12b", "Subgroups and interactions", _methods("Shares and their correction")),
    ChecklistItem("12c", "Missing data", _methods("Missing attributes")),
    ChecklistItem("12d", "Analysis that follows the sampling design", _design),
    ChecklistItem("12e", "Sensitivity analyses", _sensitivity),
    ChecklistItem(
        "13", "Numbers at each stage, with reasons for leaving out", _methods("Design and data")
    ),
    ChecklistItem(
        "14a",
        "Characteristics of those studied",
        _fixed(OPEN, "a table of who and what is reported on"),
    ),
    ChecklistItem("14b", "How much is missing in each variable", _reported_missing),
    ChecklistItem(
        "15",
        "Numbers of outcomes",
        _fixed(ANSWERED, "“The classifier and its errors”: gold positives"),
    ),
    ChecklistItem("16a", "Estimates with intervals; what was adjusted for and why", _main),
    ChecklistItem("16b", "Boundaries of categories made from numbers", _levels),
    ChecklistItem(
        "16c",
        "Relative risks turned into absolute ones",
        _fixed(
            NOT_APPLICABLE,
            "case-only data hold no risk; differences in share points are in the tables",
        ),
    ),
    ChecklistItem("17", "Other analyses", _other),
    ChecklistItem(
        "18", "Key results in view of the objectives", _fixed(PARTLY, "“In short”; authors discuss")
    ),
    ChecklistItem("19", "Limitations, and which way bias may go", _LIMITS),
    ChecklistItem(
        "20", "Cautious interpretation beside other evidence", _fixed(OPEN, "discussion")
    ),
    ChecklistItem("21", "To whom results may be generalised", _fixed(OPEN, "discussion")),
    ChecklistItem("22", "Funding and the funders' part", _fixed(OPEN, "funding")),
)
RECORD = (
    ChecklistItem(
        "1.1",
        "Kind and name of the data source in title or abstract",
        _fixed(OPEN, "title and abstract"),
    ),
    ChecklistItem(
        "1.2", "Region and period in title or abstract", _fixed(OPEN, "title and abstract")
    ),
    ChecklistItem(
        "1.3",
        "Linkage named in title or abstract",
        _fixed(NOT_APPLICABLE, "the run links no databases"),
    ),
    ChecklistItem(
        "6.1", "Codes or algorithm by which subjects were found", _methods("Design and data")
    ),
    ChecklistItem("6.2", "Validation of codes and algorithm", _validation),
    ChecklistItem(
        "6.3", "Linkage shown in a diagram", _fixed(NOT_APPLICABLE, "the run links no databases")
    ),
    ChecklistItem(
        "7.1",
        "Full list of codes and algorithms for all variables",
        _fixed(
            PARTLY, "the codebook's version and hash are in Methods; authors publish the codebook"
        ),
    ),
    ChecklistItem(
        "12.1", "How far the authors had access to the database", _fixed(OPEN, "methods")
    ),
    ChecklistItem(
        "12.2",
        "Cleaning of the data",
        _methods("Design and data", "authors add what was done before the file was read"),
    ),
    ChecklistItem(
        "12.3", "How data were linked", _fixed(NOT_APPLICABLE, "the run links no databases")
    ),
    ChecklistItem("13.1", "How records were selected and filtered", _methods("Design and data")),
    ChecklistItem(
        "19.1",
        "What it means that data were not collected for this question",
        _fixed(ANSWERED, "“Limitations: what may be claimed, and what not”"),
    ),
    ChecklistItem("22.1", "Access to protocol, raw data and code", _access),
)


def fill_checklist(run: StudyRun) -> pd.DataFrame:
    """Return every item of STROBE and RECORD with where a run's report answers it.

    Returns
    -------
    DataFrame
        Columns checklist, item, topic (in words of our own), status (answered, in part, authors
        must add, not applicable) and where (the section of the report, or what is missing).
    """
    rows = []
    for checklist, items in (("STROBE", STROBE), ("RECORD", RECORD)):
        for item in items:
            status, where = item.answer(run)
            rows.append((checklist, item.number, item.topic, status, where))
    return pd.DataFrame(rows, columns=["checklist", "item", "topic", "status", "where"])


def checklist_section(run: StudyRun) -> Section:
    """Return the filled checklists as a section of the report."""
    table = fill_checklist(run)
    counts = table["status"].value_counts()
    parts = [f"{counts[key]} {words}" for key, words in _COUNTED.items() if counts.get(key, 0)]
    told = list_words(parts)
    rows = table[["checklist", "item", "topic", "status", "where"]].to_numpy().tolist()
    columns = ["checklist", "item", "what it asks for", "status", "where"]
    return Section(
        "checklist",
        "Reporting checklist",
        [
            Paragraph(
                f"STROBE {cite('strobe')} and RECORD {cite('record')}, as far as a run can "
                f"answer them: "
                f"{told}. Items are told in our words; the published wording decides."
            )
        ],
        tables=[
            ReportTable(
                "STROBE and RECORD items and where they are answered",
                columns,
                rows,
                folded=True,
                text_columns=tuple(columns),
                name="checklist",
                grouped=True,
                csv=frame_to_csv(table),
            )
        ],
    )
