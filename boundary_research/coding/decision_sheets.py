"""Adjudication in a spreadsheet: disagreements side by side with evidence, and decisions read back.

The sheet holds narratives; it is as confidential as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from boundary_research._checks import DataError, check_choice, check_columns, check_file, rows_text
from boundary_research._files import write_atomically
from boundary_research._spreadsheets import guard_formula, unguard_formula
from boundary_research._tables import check_table
from boundary_research.coding.adjudication import KEYS, find_disagreements, mask_coders

KINDS = {
    "presence": "Present or absent?",
    "severity": "Which severity?",
    "unclear": "Present, or too thin to decide?",
}
DECISION = ["present", "severity", "reason"]
YES, NO = "yes", "no"
_TRUE = {"1", "1.0", "true", "t", "yes", "y", "x"}
_FALSE = {"0", "0.0", "false", "f", "no", "n"}
_LEVELS = {"": None, "0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0, "2": 2.0, "2.0": 2.0}
_SUFFIXES = (".csv", ".xlsx")
_CELL_CHARACTERS = 32_767  # the most that a cell of a workbook holds
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _told(rows: pd.DataFrame, narrative: str) -> str:
    """Return what one coder decided on one category, with the words that she selected."""
    if rows.empty:
        return "not decided"
    if not rows["present"].any():
        return "absent"
    severity = rows["severity"].dropna() if "severity" in rows else pd.Series(dtype=float)
    told = "present" + (f", severity {int(severity.iloc[0])}" if len(severity) else "")
    if not {"evidence_start", "evidence_end"} <= set(rows.columns):
        return told
    spans = rows[["evidence_start", "evidence_end"]].dropna().astype(int).to_numpy()
    return told + "".join(f"\n“{narrative[start:end]}”" for start, end in spans)


def disagreement_sheet(
    codings: pd.DataFrame,
    incidents: pd.DataFrame,
    decisions: pd.DataFrame | None = None,
    *,
    unclear: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Return the open disagreements, what each coder decided side by side.

    Parameters
    ----------
    codings, decisions, unclear
        As for `find_disagreements`.
    incidents : pandas.DataFrame
        The incidents table, for the narratives and the words of the evidence.

    Returns
    -------
    pandas.DataFrame
        `incident_id`, `category`, `question`, `narrative`, one column for each coder of a
        narrative (Coder A, Coder B, …, letters drawn anew for each narrative so that nobody is
        recognised), and the empty columns `present`, `severity` and `reason`.
    """
    table = check_table(codings, "codings")
    pairs = list(unclear)
    queue = find_disagreements(table, decisions, unclear=pairs)
    texts = check_table(incidents, "incidents").set_index("incident_id")["narrative"]
    missing = sorted(set(queue["incident_id"]) - set(texts.index))
    if missing:
        raise DataError(
            f"table incidents: {len(missing)} narratives of the queue are not in it "
            f"({', '.join(map(repr, missing[:5]))}). Pass the incidents that were coded."
        )
    by_incident = dict(iter(table.groupby("incident_id")))
    lines = []
    for question in queue.itertuples():
        incident_id, category = str(question.incident_id), str(question.category)
        rows = by_incident[incident_id]
        doubting = {coder for incident, coder in pairs if incident == incident_id}
        line = {
            "incident_id": incident_id,
            "category": category,
            "question": KINDS[str(question.kind)],
            "narrative": texts[incident_id],
        }
        asked = rows[rows["category"] == category]
        for letter, coder in mask_coders(incident_id, {*rows["coder_id"], *doubting}):
            own = asked[asked["coder_id"] == coder]
            told = "unclear" if coder in doubting else _told(own, texts[incident_id])
            line[f"Coder {letter}"] = told
        lines.append(line)
    coders = sorted({name for line in lines for name in line if name.startswith("Coder ")})
    names = ["incident_id", "category", "question", "narrative", *coders, *DECISION]
    return pd.DataFrame([{**dict.fromkeys(names, ""), **line} for line in lines], columns=names)


def _write_workbook(sheet: pd.DataFrame, path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    page = book.active
    page.title = "Disagreements"
    wide = {"narrative": 70, "reason": 40, "category": 26, "question": 20}
    for column, name in enumerate(sheet.columns, start=1):
        head = page.cell(row=1, column=column, value=name)
        head.font = Font(bold=True)
        head.fill = PatternFill("solid", fgColor="FDF3DA" if name in DECISION else "E4EEFA")
        width = wide.get(name, 36 if name.startswith("Coder ") else 14)
        page.column_dimensions[get_column_letter(column)].width = width
        for row, text in enumerate(sheet[name], start=2):
            shown = _NOT_IN_XML.sub("\ufffd", str(text))
            if len(shown) > _CELL_CHARACTERS:
                shown = shown[: _CELL_CHARACTERS - 1] + "…"
            cell = page.cell(row=row, column=column)
            cell.value = shown or None
            cell.number_format = "@"
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if shown:
                cell.data_type = "s"  # a text that begins with "=" is no formula
    page.freeze_panes = "C2"
    for name, choices in (("present", f'"{YES},{NO}"'), ("severity", '"0,1,2"')):
        letter = get_column_letter(list(sheet.columns).index(name) + 1)
        allowed = DataValidation(type="list", formula1=choices, allow_blank=True)
        allowed.errorTitle, allowed.error = (
            "Not allowed",
            f"Choose one of {choices.strip(chr(34))}.",
        )
        page.add_data_validation(allowed)
        allowed.add(f"{letter}2:{letter}{max(len(sheet), 1) + 1}")
    book.save(path)


def write_decision_sheet(sheet: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write the sheet of `disagreement_sheet` for an adjudicator to fill in and return its path.

    Parameters
    ----------
    sheet : pandas.DataFrame
        As from `disagreement_sheet`.
    path : str or path
        Ends in ``.xlsx`` (with drop-down lists) or ``.csv``. Texts that a spreadsheet would take
        for a formula are written as text: in a CSV file with an apostrophe before them.

    Raises
    ------
    DataError
        If the ending is another one or the file cannot be written.
    """
    file = Path(path)
    check_choice(file.suffix.lower(), _SUFFIXES, name="ending of the sheet's name")
    check_columns(sheet.columns, [*KEYS, *DECISION], source="disagreement sheet")
    if file.suffix.lower() == ".xlsx":
        return write_atomically(file, lambda p: _write_workbook(sheet, p))
    guarded = sheet.astype(str).map(guard_formula)
    return write_atomically(
        file, lambda p: guarded.to_csv(p, index=False, encoding="utf-8-sig", lineterminator="\n")
    )


def _refuse(rows: pd.Series, source: str, problem: str) -> None:
    if rows.any():
        numbers = [int(i) + 2 for i in rows.to_numpy().nonzero()[0]]
        raise DataError(f"{source}: {problem} in {rows_text(numbers)} (the header is row 1).")


def read_decision_sheet(
    path: str | os.PathLike[str], *, adjudicator_id: str | None = None
) -> pd.DataFrame:
    """Read a filled-in sheet and return the decisions in it; blank rows are left for later.

    Parameters
    ----------
    path : str or path
        A ``.xlsx`` or ``.csv`` file. Columns may stand in any order, and others are passed over.
    adjudicator_id : str, optional
        Put into the column of this name.

    Returns
    -------
    pandas.DataFrame
        `incident_id`, `category`, `present`, `severity`, `reason`, `adjudicator_id`, as
        `gold_table` takes them.

    Raises
    ------
    DataError
        If a decision has no reason, a value is none of those allowed, or a row is repeated; the
        message gives the rows.
    """
    file = check_file(path, what="Decision sheet")
    check_choice(file.suffix.lower(), _SUFFIXES, name="ending of the sheet's name")
    source = f"Decision sheet {file.name!r}"
    try:
        if file.suffix.lower() == ".xlsx":
            sheet = pd.read_excel(file, dtype=str, keep_default_na=False)
        else:
            sheet = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except Exception as error:
        # openpyxl, zipfile and the parser each raise errors of their own kinds here.
        raise DataError(
            f"{source} cannot be read ({type(error).__name__}). Save it again as .xlsx, or as "
            f".csv in UTF-8."
        ) from None
    sheet.columns = [str(column).strip().lower() for column in sheet.columns]
    check_columns(sheet.columns, [*KEYS, *DECISION], source=source)
    sheet = sheet[[*KEYS, *DECISION]].fillna("").map(lambda text: str(text).strip())
    for key in KEYS:
        sheet[key] = sheet[key].map(unguard_formula)
    filled = (sheet[DECISION] != "").any(axis=1)
    present = sheet["present"].str.lower()
    level = sheet["severity"]
    _refuse(
        filled & (present == ""), source, "column 'present' is empty beside a severity or reason"
    )
    known = present.isin(_TRUE | _FALSE)
    _refuse(filled & ~known, source, f"column 'present' is neither {YES} nor {NO}")
    _refuse(filled & (sheet["reason"] == ""), source, "column 'reason' is empty: say why")
    _refuse(filled & ~level.isin(_LEVELS), source, "column 'severity' is not 0, 1, 2 or empty")
    absent = filled & present.isin(_FALSE)
    _refuse(absent & (level != ""), source, "a severity stands beside an absent category")
    _refuse(filled & (sheet[KEYS] == "").any(axis=1), source, "incident_id or category is empty")
    _refuse(filled & sheet[filled].duplicated(KEYS).reindex(sheet.index, fill_value=False), source,
            "a question is decided a second time")  # fmt: skip
    decisions = sheet[filled].reset_index(drop=True)
    decisions["present"] = decisions["present"].str.lower().isin(_TRUE).astype(bool)
    decisions["severity"] = decisions["severity"].map(_LEVELS).astype(float)
    decisions["adjudicator_id"] = adjudicator_id
    return decisions
