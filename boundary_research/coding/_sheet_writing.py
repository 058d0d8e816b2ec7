"""Writing coding sheets: a workbook with drop-down lists, or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._files import write_atomically
from boundary_research._spreadsheets import guard_formula
from boundary_research.codebook.model import Codebook
from boundary_research.coding._sheet_layout import (
    ABSENT,
    BOOK,
    CELL_CHARACTERS,
    CODER,
    CODING,
    ID,
    INSTRUCTIONS,
    NARRATIVE,
    PRESENT,
    VERSION,
    Column,
    instructions,
)

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_WIDTHS = {NARRATIVE: 80, "note": 40, "evidence": 30, ID: 16}
_FILLS = {"present": "FDF3DA", "severity": "FBE6D4", "evidence": "E8F2E4"}


def sheet_rows(
    narratives: pd.DataFrame, columns: Sequence[Column], coder: str, codebook: Codebook
) -> list[list[str]]:
    """Return the cells of a sheet under its header, as texts; what a coder fills in is empty."""
    fixed = {CODER: coder, VERSION: codebook.version}
    return [
        [{ID: key, NARRATIVE: text, **fixed}.get(column.kind, "") for column in columns]
        for key, text in zip(narratives[ID], narratives[NARRATIVE], strict=True)
    ]


def write_csv(path: Path, columns: Sequence[Column], rows: list[list[str]]) -> Path:
    """Write a sheet as CSV with a byte-order mark, so that spreadsheets read it as UTF-8."""

    def write(file: Path) -> None:
        with file.open("w", encoding="utf-8-sig", errors="replace", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow([column.name for column in columns])
            writer.writerows([guard_formula(cell) for cell in row] for row in rows)

    return write_atomically(path, write)


def write_workbook(
    path: Path, columns: Sequence[Column], rows: list[list[str]], codebook: Codebook
) -> Path:
    """Write a sheet as a workbook with the codebook and the instructions on tabs of their own."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    book = Workbook()
    page = book.active
    page.title = CODING
    top = Alignment(wrap_text=True, vertical="top")
    for number, column in enumerate(columns, start=1):
        head = page.cell(row=1, column=number, value=column.name)
        head.font, head.alignment = Font(bold=True), top
        head.fill = PatternFill("solid", fgColor=_FILLS.get(column.kind, "E4EEFA"))
        letter = get_column_letter(number)
        page.column_dimensions[letter].width = _WIDTHS.get(column.kind, 15)
        for row, cells in enumerate(rows, start=2):
            _write_text(page, row, number, cells[number - 1], top)
    page.freeze_panes = page.cell(row=2, column=4)
    page.auto_filter.ref = page.dimensions
    _add_lists(page, columns, len(rows), codebook)
    evidence = any(column.kind == "evidence" for column in columns)
    _write_lines(book.create_sheet(BOOK), codebook_lines(codebook), [28, 16, 110], top)
    lines = [[line] for line in instructions(codebook, evidence=evidence)]
    _write_lines(book.create_sheet(INSTRUCTIONS), lines, [110], top)
    return write_atomically(path, book.save)


def _write_text(page: Any, row: int, column: int, text: str, alignment: Any) -> None:
    shown = _NOT_IN_XML.sub("\ufffd", text)
    if len(shown) > CELL_CHARACTERS:
        shown = shown[: CELL_CHARACTERS - 1] + "…"
    cell = page.cell(row=row, column=column)
    cell.value = shown or None
    cell.number_format = "@"  # text, so that an id is not made a date or a number
    cell.alignment = alignment
    if shown:
        cell.data_type = "s"  # a text that begins with "=" is no formula


def _write_lines(page: Any, lines: list[list[str]], widths: list[int], alignment: Any) -> None:
    from openpyxl.styles import Font

    for number, width in enumerate(widths):
        page.column_dimensions["ABC"[number]].width = width
    for row, cells in enumerate(lines, start=1):
        for column, text in enumerate(cells, start=1):
            _write_text(page, row, column, text, alignment)
    for cell in page[1]:
        cell.font = Font(bold=True)
    page.freeze_panes = "A2"


def _add_lists(page: Any, columns: Sequence[Column], count: int, codebook: Codebook) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    levels = [str(level) for level, _ in codebook.severity_levels] or ["0", "1", "2"]
    choices: Mapping[str, list[str]] = {
        "present": [ABSENT, PRESENT],
        "severity": levels,
        "all_others_absent": [PRESENT],
    }
    lists = {}
    for kind, allowed in choices.items():
        rule = DataValidation(
            type="list", formula1=f'"{",".join(allowed)}"', allow_blank=True, showErrorMessage=True
        )
        rule.errorTitle = "Not allowed"
        rule.error = f"Choose {' or '.join(allowed)}, or leave the cell empty."
        page.add_data_validation(rule)
        lists[kind] = rule
    for number, column in enumerate(columns, start=1):
        if column.kind in lists:
            letter = get_column_letter(number)
            lists[column.kind].add(f"{letter}2:{letter}{max(count, 1) + 1}")


def codebook_lines(codebook: Codebook) -> list[list[str]]:
    """Return the codebook as rows of category, part and text."""
    lines = [["category", "part", "text"]]
    for category in codebook:
        lines.append([category.id, "label", category.label])
        lines.append([category.id, "definition", category.definition])
        lines += [[category.id, "include", text] for text in category.include]
        for item in category.exclude:
            see = f" See {item.see}." if item.see else ""
            lines.append([category.id, "exclude", item.text + see])
        if category.neighbour_rule:
            lines.append([category.id, "neighbour rule", category.neighbour_rule])
        lines += [[category.id, f"severity {level}", text] for level, text in category.severity]
        lines += [[category.id, "always severe", text] for text in category.always_severe]
    lines += [["", f"severity {level}", text] for level, text in codebook.severity_levels]
    lines += [
        [" / ".join(pair.categories), "tell apart", pair.question]
        for pair in codebook.confusable_pairs
    ]
    return lines
