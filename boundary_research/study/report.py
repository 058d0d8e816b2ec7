"""Reports: one self-contained HTML page that says what was done and what may be concluded."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment

from boundary_research._files import write_text
from boundary_research.study.tables import count_decisions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from boundary_research.classifier.decisions import CodedIncidents
    from boundary_research.codebook.model import Codebook

ESTIMAND = (
    "What is estimated: the share of reported incidents that show a category. Reports are case-only "
    "data: what was never noticed or never reported is not in them, so a share among reports is not "
    "a risk, and a difference between groups may be a difference in reporting."
)


@dataclass
class Paragraph:
    """A paragraph; kind may be notice, estimand or note."""

    text: str
    kind: str = ""


@dataclass
class ReportTable:
    """A table of texts. Columns named in `text_columns` are set to the left."""

    caption: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    folded: bool = False
    text_columns: tuple[str, ...] = ()


@dataclass
class ReportFigure:
    """A picture with its alternative text and a caption that says what to see."""

    data: str
    alt: str
    caption: str


@dataclass
class Section:
    """A section of a report."""

    id: str
    title: str
    paragraphs: list[Paragraph] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)
    figures: list[ReportFigure] = field(default_factory=list)
    tables: list[ReportTable] = field(default_factory=list)


def render_report(
    title: str,
    sections: Sequence[Section],
    *,
    facts: Sequence[tuple[str, str]] = (),
    notice: str = "",
    lead: str = "",
) -> str:
    """Return a report as one HTML document without outside links; every text is escaped."""
    template = resources.files("boundary_research.study").joinpath("report_template.html")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template.read_text("utf-8"))
    return page.render(title=title, sections=sections, facts=facts, notice=notice, lead=lead)


def embed_figure(figure: Figure, alt: str, caption: str) -> ReportFigure:
    """Return a matplotlib figure as a picture that stands inside the page."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=144, metadata={"Software": None})
    return ReportFigure(base64.b64encode(stream.getvalue()).decode("ascii"), alt, caption)


def list_software() -> str:
    """Return the versions that a report names."""
    names = ("boundary-research", "scikit-learn", "pandas", "numpy", "scipy")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _decision_table(decisions: pd.DataFrame, codebook: Codebook | None) -> ReportTable:
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
        note="“coded 1” is the model's best guess. “present” and “absent” are decisions that held up in "
        "cross-validation on the training narratives; “review” asks for a person.",
    )


def write_coding_report(
    coding: CodedIncidents,
    folder: str | Path,
    *,
    source: dict[str, str],
    model_description: str,
    codebook: Codebook | None = None,
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
    codebook : Codebook, optional
        For labels.
    """
    decisions = count_decisions(coding.coded)
    n = len(coding.coded) // max(len(coding.categories), 1)
    some = coding.coded.groupby("incident_id")["predicted"].any().sum()
    review = coding.coded[coding.coded["decision"] == "review"]["incident_id"].nunique()
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
                note="Row numbers and ids are in rejects.csv.",
            )
        )
    coded = Section(
        "coded",
        "What was coded",
        [Paragraph(model_description), Paragraph(ESTIMAND, "estimand")],
        tables=[_decision_table(decisions, codebook)],
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
        ("rows set aside", f"{len(coding.rejects):,}"),
    ]
    page = render_report("Coded incidents", [read, coded, limits], facts=facts)
    return write_text(Path(folder) / "report.html", page)
