"""From the cells of coding sheets to codings, every cell that is not taken over named."""

from __future__ import annotations

from typing import Any

import pandas as pd

from boundary_research.codebook.model import Codebook
from boundary_research.coding._sheet_layout import (
    CODER,
    EVIDENCE,
    ID,
    NARRATIVE,
    NO,
    NOTE,
    REST,
    SEVERITY,
    VERSION,
    YES,
    Column,
    header_key,
    known_headers,
)
from boundary_research.coding._sheet_reading import Cells, IdReader, cell_text, find_passage

CODING_COLUMNS = [
    "incident_id",
    "coder_id",
    "category",
    "present",
    "severity",
    "evidence_start",
    "evidence_end",
    "note",
    "coded_at",
    "codebook_version",
]
REFUSED_COLUMNS = ["file", "row", "column", "reason"]
_NOT_CODES = {ID, CODER, NARRATIVE, VERSION}
_LEVELS = {"0": 0.0, "1": 1.0, "2": 2.0}


class SheetParser:
    """Collects codings and refused cells over the files of all coders."""

    def __init__(self, codebook: Codebook, incidents: pd.DataFrame) -> None:
        self.codebook = codebook
        self.texts = dict(zip(incidents[ID], incidents[NARRATIVE], strict=True))
        self.ids = IdReader(self.texts)
        self.headers = known_headers(codebook)
        self.codings: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self._seen: dict[tuple[str, str], str] = {}
        self._file = ""

    def refuse(self, row: int, column: str, reason: str) -> None:
        """Put one cell on the list of those that were not taken over."""
        self.refused.append({"file": self._file, "row": row, "column": column, "reason": reason})

    def parse(self, file: str, cells: Cells, *, coder: str, first_row: int = 1) -> None:
        """Read one sheet; `coder` is the name to use if no cell gives one."""
        self._file = file
        columns = self._columns(cells, first_row)
        names = {
            cell_text(row[place]) for row in cells[1:]
            for place, column in columns.items() if column.kind == CODER and place < len(row)
        } - {""}  # fmt: skip
        if len(names) == 1:
            coder = names.pop()
        for number, row in enumerate(cells[1:], start=first_row + 1):
            values = {
                column.name: (column, row[place])
                for place, column in columns.items()
                if place < len(row) and cell_text(row[place])
            }
            self._row(number, values, coder)

    def _columns(self, cells: Cells, first_row: int) -> dict[int, Column]:
        """Return the columns by place; headers that are unknown, doubled or missing are named."""
        found: dict[int, Column] = {}
        for place, header in enumerate(cells[0]):
            column = self.headers.get(header_key(header)) if cell_text(header) else None
            filled = any(place < len(row) and cell_text(row[place]) for row in cells[1:])
            if column is not None and column in found.values():
                self.refuse(
                    first_row, column.name, "the column stands twice; only the first was read"
                )
            elif column is not None:
                found[place] = column
            elif filled:
                self.refuse(
                    first_row,
                    _letters(place),
                    "the header is no column of the sheet; it was not read",
                )
        present = {column.category for column in found.values() if column.kind == "present"}
        for category in self.codebook.category_ids:
            if category not in present:
                self.refuse(first_row, category, "the column is missing; the category is not coded")
        return found

    def _row(self, number: int, values: dict[str, tuple[Column, Any]], coder: str) -> None:
        filled = {name: cell for name, cell in values.items() if cell[0].kind not in _NOT_CODES}
        if not filled and ID not in values:
            return  # an empty row, or one with the coder's name only
        incident, reason = self.ids.find(values.get(ID, (None, None))[1])
        if incident is None:
            self.refuse(number, ID, f"{reason}; the row was not read")
            return
        if not filled:
            return
        coder = cell_text(values[CODER][1]) if CODER in values else coder
        earlier = self._seen.setdefault((incident, coder), f"{self._file}, row {number}")
        if earlier != f"{self._file}, row {number}":
            self.refuse(number, ID, f"this coder coded this narrative before ({earlier}); not read")
            return
        version = cell_text(values[VERSION][1]) if VERSION in values else self.codebook.version
        note = cell_text(values[NOTE][1]) if NOTE in values else ""
        shared = {
            "incident_id": incident, "coder_id": coder, "note": note or None, "coded_at": None,
            "codebook_version": version,
        }  # fmt: skip
        rest = self._yes_or_no(number, REST, values)
        coded = 0
        for category in self.codebook.category_ids:
            present = self._yes_or_no(number, category, values)
            unread = present is None and category in values  # refused: the rest says nothing of it
            if present is None and rest and not unread:
                if f"{category} {SEVERITY}" in values or f"{category} {EVIDENCE}" in values:
                    self.refuse(
                        number, category, "severity or evidence is given, but not the decision"
                    )
                    continue
                present = False
            coded += self._decision(number, category, present, values, shared, unread=unread)
        if note and not coded:
            self.refuse(number, NOTE, "a note stands in a row without codes; there is no place")

    def _yes_or_no(
        self, number: int, name: str, values: dict[str, tuple[Column, Any]]
    ) -> bool | None:
        if name not in values:
            return None
        text = cell_text(values[name][1]).casefold()
        if text in YES or text in NO:
            return text in YES
        self.refuse(number, name, "neither 1, x, yes, TRUE nor 0, no, FALSE")
        return None

    def _decision(
        self,
        number: int,
        category: str,
        present: bool | None,
        values: dict[str, tuple[Column, Any]],
        shared: dict[str, Any],
        *,
        unread: bool,
    ) -> int:
        """Add the rows of one decision; return 1 if there is one."""
        severity = self._severity(number, category, present, values)
        spans = self._spans(number, category, present, values, shared["incident_id"])
        if present is None or unread:
            return 0
        rows: list[tuple[int | None, int | None]] = [*spans] or [(None, None)]
        for start, end in rows:
            self.codings.append(
                shared
                | {"category": category, "present": present, "severity": severity}
                | {"evidence_start": start, "evidence_end": end}
            )
        return 1

    def _severity(
        self, number: int, category: str, present: bool | None, values: dict[str, Any]
    ) -> float | None:
        name = f"{category} {SEVERITY}"
        if name not in values:
            return None
        text = cell_text(values[name][1])
        text = text.removesuffix(".0")
        if text not in _LEVELS:
            self.refuse(number, name, "severity must be 0, 1 or 2")
        elif not present:
            self.refuse(number, name, "severity stands beside a category that is not present")
        else:
            return _LEVELS[text]
        return None

    def _spans(
        self, number: int, category: str, present: bool | None, values: dict[str, Any], key: str
    ) -> list[tuple[int, int]]:
        name = f"{category} {EVIDENCE}"
        if name not in values:
            return []
        if not present:
            self.refuse(number, name, "evidence stands beside a category that is not present")
            return []
        spans = []
        for line, passage in enumerate(str(values[name][1]).splitlines(), start=1):
            if not passage.strip():
                continue
            span = find_passage(self.texts[key], passage)
            if span is None:
                self.refuse(
                    number, name,
                    f"line {line} is not in the narrative, or more than once; paste it unchanged, "
                    f"with enough words to be the only place",
                )  # fmt: skip
            elif span not in spans:
                spans.append(span)
        return spans


def _letters(place: int) -> str:
    """Return the letters of a column as a spreadsheet shows them, from its place counted from 0."""
    name, place = "", place + 1
    while place:
        place, digit = divmod(place - 1, 26)
        name = chr(65 + digit) + name
    return f"column {name}"
