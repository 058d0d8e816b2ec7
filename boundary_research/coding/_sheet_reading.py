"""Reading the cells of a coding sheet, whatever a spreadsheet program did to them."""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research._spreadsheets import unguard_formula
from boundary_research.coding._sheet_layout import CODING, ID, header_key

Cells = list[list[Any]]
_HEADER_WITHIN = 20  # rows that somebody may have put above the header


def read_cells(path: Path) -> tuple[int, Cells]:
    """Return the row of the header and the cells from there, numbers and dates as they are.

    Raises
    ------
    DataError
        If the file is neither kind of sheet, is damaged or has no column of ids.
    """
    file = check_file(path, what="Coding sheet")
    try:
        read = _workbook_cells if file.suffix.lower() == ".xlsx" else _csv_cells
        first, cells = read(file)
    except DataError:
        raise
    except Exception as error:
        # openpyxl, zipfile and the decoder each raise errors of their own kinds here.
        raise DataError(
            f"Coding sheet {file.name!r} cannot be read ({type(error).__name__}). Save it again as "
            f".xlsx, or as .csv in UTF-8."
        ) from None
    if not cells:
        raise DataError(
            f"Coding sheet {file.name!r} has no tab with the column {ID!r}. Pass the file that "
            f"was sent to the coder."
        )
    return first, cells


def _headed(rows: Iterable[Iterable[Any]]) -> tuple[int, Cells]:
    cells = [list(row) for row in rows]
    wanted = header_key(ID)
    for place, row in enumerate(cells[:_HEADER_WITHIN]):
        if wanted in {header_key(cell) for cell in row}:
            return place + 1, cells[place:]
    return 0, []


def _workbook_cells(file: Path) -> tuple[int, Cells]:
    from openpyxl import load_workbook

    book = load_workbook(file, data_only=True)
    pages = sorted(book.worksheets, key=lambda page: header_key(page.title) != header_key(CODING))
    for page in pages:
        first, cells = _headed(page.iter_rows(values_only=True))
        if cells:
            return first, cells
    return 0, []


def _csv_cells(file: Path) -> tuple[int, Cells]:
    content = file.read_bytes()
    text = None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252")  # what Excel writes when asked for plain CSV
    heads = [
        line for line in text.splitlines()[:_HEADER_WITHIN] if header_key(ID) in header_key(line)
    ]
    head = heads[0] if heads else ""
    separator = max(",;\t", key=head.count)
    return _headed(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def cell_text(value: Any) -> str:
    """Return a cell as text without blanks around it; 1.0 and TRUE are "1", nothing is ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).replace("\xa0", " ").strip()
    return unguard_formula(text)


class IdReader:
    """Finds the id that a cell stands for, and says what became of it if there is none."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = set(ids)
        self._stripped: dict[str, list[str]] = {}
        self._numbers: dict[float, list[str]] = {}
        for key in self.ids:
            self._stripped.setdefault(key.strip().casefold(), []).append(key)
            if re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", key):
                self._numbers.setdefault(float(key), []).append(key)

    def find(self, value: Any) -> tuple[str | None, str]:
        """Return the id, or None and the reason."""
        if isinstance(value, datetime.date | datetime.time | datetime.datetime):
            return None, (
                "the id was turned into a date by the spreadsheet program; format the column as "
                "text and type the id again"
            )
        text = cell_text(value)
        if not text:
            return None, "there is no id beside the codes"
        if text in self.ids:
            return text, ""
        same = self._stripped.get(text.casefold(), [])
        if len(same) == 1:
            return same[0], ""
        if re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", text):
            number = float(text.replace(",", "."))
            same = self._numbers.get(number, [])
            if len(same) == 1:
                return same[0], ""
            return None, (
                "the id was turned into a number by the spreadsheet program (leading zeros or "
                "digits are lost); format the column as text and type the id again"
            )
        if re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,2}[-. ]?[A-Za-z]{3}", text):
            return None, (
                "the id looks like a date, made by the spreadsheet program, and is none of the "
                "incidents; format the column as text and type the id again"
            )
        return None, "this id is none of the incidents"


def find_passage(narrative: str, passage: str) -> tuple[int, int] | None:
    """Return begin and end of the only place of `passage`, blanks and line ends aside."""
    words = [re.escape(word) for word in passage.split()]
    found = list(re.finditer(r"\s+".join(words), narrative)) if words else []
    return found[0].span() if len(found) == 1 else None
