"""What every exchange format starts from and ends in: decisions, and what was lost on the way."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, rows_text
from boundary_research._tables import check_table
from boundary_research.codebook.model import Codebook

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
DETAILS = ("severity", "note", "coded_at", "codebook_version")


@dataclass
class Exchange:
    """What was read from a file of another tool.

    Attributes
    ----------
    incidents : pandas.DataFrame
        The incidents table.
    codings : pandas.DataFrame
        The codings table.
    codebook : Codebook or None
        None where the format holds no codebook and none was given.
    lost : list of str
        What the file holds and the tables cannot, in sentences.
    """

    incidents: pd.DataFrame
    codings: pd.DataFrame
    codebook: Codebook | None
    lost: list[str] = field(default_factory=list)


@dataclass
class Decision:
    """One coder's decision on one category of one narrative."""

    incident_id: str
    coder_id: str
    category: str
    present: bool
    severity: int | None = None
    note: str | None = None
    coded_at: str | None = None
    codebook_version: str | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """Return what is neither key, presence nor evidence, without empty values."""
        named = {name: getattr(self, name) for name in DETAILS}
        return {name: value for name, value in named.items() if value is not None}


def _text(value: Any) -> str | None:
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return None
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return None if value is pd.NA else str(value)


def read_incidents(incidents: pd.DataFrame) -> pd.DataFrame:
    """Return the checked incidents."""
    return check_table(incidents, "incidents")


def read_decisions(
    codings: pd.DataFrame, incidents: pd.DataFrame, codebook: Codebook
) -> tuple[list[Decision], list[str]]:
    """Return the decisions of a codings table, and what of it no exchange format holds.

    Raises
    ------
    DataError
        If narratives or categories are unknown, or evidence lies outside its narrative.
    """
    table = check_table(codings, "codings")
    lengths = dict(zip(incidents["incident_id"], incidents["narrative"].str.len(), strict=True))
    _refuse(table, ~table["incident_id"].isin(lengths), "an incident_id that incidents has not")
    _refuse(table, ~table["category"].isin(codebook.category_ids), "a category not in the codebook")
    lost = [
        f"Column {name!r} of the codings is not written."
        for name in table.columns.difference(CODING_COLUMNS)
    ]
    found: dict[tuple[str, str, str], Decision] = {}
    without_place, bad = 0, []
    for number, row in enumerate(table.to_dict("records"), start=1):
        key = (row["incident_id"], row["coder_id"], row["category"])
        severity = row.get("severity")
        decision = found.setdefault(
            key,
            Decision(
                *key,
                present=bool(row["present"]),
                severity=None if severity is None or pd.isna(severity) else int(severity),
                note=_text(row.get("note")),
                coded_at=_text(row.get("coded_at")),
                codebook_version=_text(row.get("codebook_version")),
            ),
        )
        start, end = row.get("evidence_start"), row.get("evidence_end")
        if start is None or end is None or pd.isna(start) or pd.isna(end):
            continue
        if not 0 <= start < end <= lengths[key[0]]:
            bad.append(number)
        elif not row["present"]:
            without_place += 1
        elif (int(start), int(end)) not in decision.spans:
            decision.spans.append((int(start), int(end)))
    if bad:
        raise DataError(f"table codings: evidence lies outside the narrative in {rows_text(bad)}.")
    if without_place:
        lost.append(f"{without_place} evidence spans of absent categories are not written.")
    return list(found.values()), lost


def _refuse(table: pd.DataFrame, wrong: pd.Series, problem: str) -> None:
    if wrong.any():
        rows = [int(i) + 1 for i in wrong.to_numpy().nonzero()[0]]
        raise DataError(f"table codings: {problem} stands in {rows_text(rows)}.")


def by_narrative(decisions: Iterable[Decision]) -> dict[str, dict[str, list[Decision]]]:
    """Return the decisions by narrative and coder, in their order."""
    grouped: dict[str, dict[str, list[Decision]]] = {}
    for decision in decisions:
        coders = grouped.setdefault(decision.incident_id, {})
        coders.setdefault(decision.coder_id, []).append(decision)
    return grouped


def codings_table(decisions: Iterable[Decision]) -> pd.DataFrame:
    """Return decisions as the codings table, one row for each span of evidence."""

    def rows() -> Iterator[dict[str, Any]]:
        for decision in decisions:
            spans: list[Any] = list(decision.spans) or [(None, None)]
            for start, end in spans:
                named = {name: getattr(decision, name, None) for name in CODING_COLUMNS}
                yield named | {"evidence_start": start, "evidence_end": end}

    table = pd.DataFrame(list(rows()), columns=CODING_COLUMNS)
    for name in ("severity", "evidence_start", "evidence_end"):
        table[name] = table[name].astype(float)
    return check_table(table, "codings")


def make_id(name: str, taken: Iterable[str]) -> str:
    """Return an id as codebooks need it, made from a name and unlike those taken."""
    base = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
    if not re.match("[a-z]", base):
        base = f"code_{base}".strip("_")
    taken, number, found = set(taken), 1, base
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found


def add_details(decision: Decision, details: dict[str, Any]) -> None:
    """Put severity, note, time and version into a decision, as far as they can be read."""
    severity = details.get("severity")
    if severity in (0, 1, 2) and not isinstance(severity, bool):
        decision.severity = int(severity)
    for name in ("note", "coded_at", "codebook_version"):
        if details.get(name) is not None:
            setattr(decision, name, str(details[name]))


def json_row(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a row of the incidents as JSON holds it; missing values are left out."""
    found = {}
    for name, value in row.items():
        if name == "narrative" or pd.isna(value):
            continue
        if isinstance(value, datetime.datetime | datetime.date):
            value = value.isoformat()
        found[str(name)] = value.item() if hasattr(value, "item") else value
    return found
