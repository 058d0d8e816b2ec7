"""Reports: one self-contained HTML page that says what was done and what may be concluded."""

from __future__ import annotations

from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from boundary_research._files import write_text
from boundary_research.study.report_parts import (
    Paragraph,
    Report,
    ReportFigure,
    ReportTable,
    Section,
    data_uri,
    read_csv_cells,
)
from boundary_research.study.table_html import table_to_html
from boundary_research.study.tables import count_decisions

if TYPE_CHECKING:
    from boundary_research.classifier.decisions import CodedIncidents
    from boundary_research.codebook.model import Codebook

ESTIMAND = (
    "What is estimated: the share of reported incidents that show a category. Reports are case-only "
    "data: what was never noticed or never reported is not in them, so a share among reports is not "
    "a risk, and a difference between groups may be a difference in reporting."
)


def render_report(report: Report, *, document: bool = False) -> str:
    """Return a report as one HTML document without outside links; every text is escaped.

    Parameters
    ----------
    report : Report
    document : bool
        For paper: all tables open, and without the data behind figures and links to save them.
    """
    template = resources.files("boundary_research.study").joinpath("report_template.html")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template.read_text("utf-8"))
    parts, n_figures, n_tables = [], 0, 0
    for section in report.sections:
        figures, tables = [], []
        for figure in section.figures:
            n_figures += 1
            figures.append(_figure_parts(figure, n_figures))
        for table in section.tables:
            n_tables += 1
            tables.append(_table_parts(table, n_tables))
        parts.append((section, figures, tables))
    return page.render(
        title=report.title,
        authors=report.authors,
        notice=report.notice,
        notice_title=name_notice(report.notice),
        lead=report.lead,
        facts=report.facts,
        parts=parts,
        document=document,
    )


def _figure_parts(figure: ReportFigure, number: int) -> dict[str, Any]:
    header, *rows = read_csv_cells(figure.csv) if figure.csv else [[]]
    return {
        "number": number,
        "name": figure.name or f"figure_{number}",
        "data": figure.data,
        "alt": figure.alt,
        "caption": figure.caption,
        "header": [
            (name.replace("_", " "), not all(_is_number(row[i]) for row in rows))
            for i, name in enumerate(header)
        ],
        "rows": [[_short_cell(cell) for cell in row] for row in rows],
        "uri": data_uri(figure.csv),
    }


def _is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True


def _short_cell(cell: str) -> str:
    """Return a number with four digits, and all else as it is."""
    return f"{float(cell):.4g}" if cell and _is_number(cell) and "." in cell else cell


def name_notice(notice: str) -> str:
    """Return the words before a notice: that data are fictional, or that there is a notice."""
    fictional = any(word in notice.lower() for word in ("fiction", "invented", "simulated"))
    return "Fictional data." if fictional else "Please note."


def _table_parts(table: ReportTable, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "name": table.name,
        "caption": table.caption,
        "note": table.note,
        "folded": table.folded,
        "html": Markup(table_to_html(table, number=number)),  # escaped by great_tables
        "uri": data_uri(table.to_csv()),
    }


def list_software() -> str:
    """Return the versions that a report names."""
    names = ("boundary-research", "scikit-learn", "pandas", "numpy", "scipy")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _decision_table(
    decisions: pd.DataFrame, codebook: Codebook | None, meaning: str
) -> ReportTable:
    labels = {c.id: c.label for c in codebook} if codebook else {}
    rows = [
        [
            labels.get(r.category, r.category),
            str(r.coded),
            str(r.present),
            str(r.review),
            str(r.absent),
        ]
        for r in decisions.itertuples()
    ]
    return ReportTable(
        "Decisions by category",
        ["category", "coded 1", "present", "review", "absent"],
        rows,
        text_columns=("category",),
        name="decisions",
        note=f"“coded 1” is the model's best guess. {meaning}",
    )


def _reading_section(coding: CodedIncidents, source: dict[str, str], format: str) -> Section:
    """Return what was read, and which rows were set aside."""
    reading = ", ".join(f"{key} {value}" for key, value in source.items() if key != "file")
    read = Section(
        "input",
        "What was read",
        [Paragraph(f"File {source.get('file', '')} ({reading}).")],
    )
    if len(coding.rejects):
        counts = coding.rejects["reason"].value_counts()
        read.tables.append(
            ReportTable(
                "Rows set aside",
                ["reason", "rows"],
                [[str(reason), str(count)] for reason, count in counts.items()],
                text_columns=("reason",),
                note=f"Row numbers and ids are in rejects.{format}.",
            )
        )
    return read


def _describe_unfamiliar(unfamiliar: pd.DataFrame, format: str) -> list[Paragraph]:
    """Say how many narratives the model was not checked on the like of, and why."""
    why = {
        "length": "longer than any of those",
        "words": "with less than half the usual share of words that it knows, as in another language",
    }
    counts = {name: int(unfamiliar["reason"].str.contains(name).sum()) for name in why}
    told = [f"{count:,} {why[name]}" for name, count in counts.items() if count]
    if not told:
        return []
    text = (
        f"Some narratives are unlike those that the model was checked on: {' and '.join(told)}. All "
        f"decisions on them are “review”; their ids are in unfamiliar.{format}. Read them, or train on "
        f"narratives like them."
    )
    return [Paragraph(text)]


def write_coding_report(
    coding: CodedIncidents,
    folder: str | Path,
    *,
    source: dict[str, str],
    model_description: str,
    decisions_description: str,
    codebook: Codebook | None = None,
    format: str = "csv",
) -> Path:
    """Write ``report.html`` for a coded file: what was read, coded and set aside.

    Parameters
    ----------
    coding : CodedIncidents
    folder : path
    source : dict
        How the file was read (from `load_incidents`).
    model_description : str
        Which model coded, and what it was trained on.
    decisions_description : str
        What present, absent and review rest on (from `describe_decisions`).
    codebook : Codebook, optional
        For labels; a category that it lacks is shown by name.
    format : str
        That of the tables beside the report.
    """
    decisions = count_decisions(coding.coded)
    n = len(coding.coded) // max(len(coding.categories), 1)
    some = coding.coded.groupby("incident_id")["predicted"].any().sum()
    review = coding.coded[coding.coded["decision"] == "review"]["incident_id"].nunique()
    read = _reading_section(coding, source, format)
    coded = Section(
        "coded",
        "What was coded",
        [
            Paragraph(model_description),
            *_describe_unfamiliar(coding.unfamiliar, format),
            Paragraph(ESTIMAND, "estimand"),
        ],
        tables=[_decision_table(decisions, codebook, decisions_description)],
    )
    limits = Section(
        "limits",
        "What these codes may be used for",
        bullets=[
            "To find narratives to read, and to plan a sample for human coding.",
            "Not as counts to publish: a model's codes are wrong at rates that are unknown for your "
            "kind of text and may differ between groups.",
            "For shares and comparisons, draw a probability sample, code it by hand (two coders, blind), "
            "and correct: prevalence(coded, gold) and risk_factors(…) give intervals that hold in spite "
            "of the model's errors.",
            f"Software: {list_software()}.",
        ],
    )
    facts = [
        ("incidents coded", f"{n:,}"),
        ("with at least one category", f"{some:,}"),
        ("with a category to review", f"{review:,}"),
        ("unlike what the model was checked on", f"{len(coding.unfamiliar):,}"),
        ("rows set aside", f"{len(coding.rejects):,}"),
    ]
    page = render_report(Report("Coded incidents", [read, coded, limits], facts))
    return write_text(Path(folder) / "report.html", page)
