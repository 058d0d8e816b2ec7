"""What a coding sheet looks like: its columns, its words for yes and no, and its instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from boundary_research.codebook.model import Codebook

FORMATS = ("xlsx", "csv")
CODING, BOOK, INSTRUCTIONS = "Coding", "Codebook", "Instructions"
ID, CODER, NARRATIVE, NOTE = "incident_id", "coder_id", "narrative", "note"
REST, VERSION = "all_others_absent", "codebook_version"
SEVERITY, EVIDENCE = "severity", "evidence"
PRESENT, ABSENT = "1", "0"
# A spreadsheet in another language writes its own words for TRUE and FALSE into a CSV file.
YES = {"1", "1.0", "true", "t", "yes", "y", "x", "present", "wahr", "vrai", "verdadero", "vero"}
NO = {"0", "0.0", "false", "f", "no", "n", "absent", "falsch", "faux", "falso"}
CELL_CHARACTERS = 32_767  # the most that a cell of a workbook holds


@dataclass(frozen=True)
class Column:
    """What a column of a sheet holds; `category` is empty for those of the narrative."""

    name: str
    kind: str  # incident_id, coder_id, narrative, present, severity, evidence, note, …
    category: str = ""


def sheet_columns(codebook: Codebook, *, evidence: bool) -> list[Column]:
    """Return the columns of a sheet, in the order in which they are written."""
    columns = [Column(ID, ID), Column(CODER, CODER), Column(NARRATIVE, NARRATIVE)]
    for category in codebook.category_ids:
        columns.append(Column(category, "present", category))
        columns.append(Column(f"{category} {SEVERITY}", SEVERITY, category))
        if evidence:
            columns.append(Column(f"{category} {EVIDENCE}", EVIDENCE, category))
    return [*columns, Column(REST, REST), Column(NOTE, NOTE), Column(VERSION, VERSION)]


def header_key(text: object) -> str:
    """Return a header without case, blanks and punctuation, so that retyped ones still match."""
    return re.sub(r"[\W_]+", "", str(text).casefold())


def known_headers(codebook: Codebook) -> dict[str, Column]:
    """Return the columns by header, a category's label serving as well as its id."""
    known = {}
    for column in sheet_columns(codebook, evidence=True):
        known[header_key(column.name)] = column
    for category in codebook:
        for kind in ("", SEVERITY, EVIDENCE):
            key = header_key(f"{category.label} {kind}")
            known.setdefault(key, known[header_key(f"{category.id} {kind}")])
    return known


def instructions(codebook: Codebook, *, evidence: bool) -> list[str]:
    """Return the lines of the instructions."""
    levels = ", ".join(str(level) for level, _ in codebook.severity_levels) or "0, 1, 2"
    lines = [
        f"How to code with this sheet ({codebook.name}, version {codebook.version})",
        "Read each narrative and decide on every category on your own, without talking about it.",
        f"Category column: {PRESENT} if the category is present, {ABSENT} if it is absent. "
        f"An empty cell means that you have not decided yet; it does not mean absent.",
        f"{REST}: write {PRESENT} here once you have looked for every category; all cells that you "
        f"left empty in this row then count as absent.",
        f"Severity column: {levels}, only beside a category that is present.",
    ]
    if evidence:
        lines.append(
            "Evidence column: paste the words of the narrative that show the category, unchanged; "
            "several passages go on lines of their own (Alt+Enter)."
        )
    return [
        *lines,
        f"{NOTE}: anything that you want the principal investigator to know.",
        f"Do not change the columns {ID}, {CODER} and {VERSION}. Columns may be moved or hidden, "
        f"and rows sorted.",
        "The narratives are confidential. Do not send this file through unprotected mail.",
        *codebook.rules,
    ]
