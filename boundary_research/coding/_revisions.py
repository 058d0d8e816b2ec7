"""Revisions: every saved state of a coder's coding of a narrative, kept for good.

All functions take a connection; those that write expect to be inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from boundary_research._checks import DataError
from boundary_research.coding._narrative_coding import (
    CategoryCoding,
    NarrativeCoding,
    missing_parts,
)
from boundary_research.coding._store_schema import now


class ConflictError(DataError):
    """A save was based on a revision that is no longer the newest."""


class IncompleteError(DataError):
    """A coding was submitted with parts missing; `missing` lists them."""

    def __init__(self, message: str, missing: list[dict[str, str]]) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Revision:
    """A saved state; `revision_id` is None where nothing was saved yet."""

    revision_id: int | None
    parent_id: int | None
    depth: int
    state: str
    coding: NarrativeCoding
    phase: str = "blind"
    save_id: str = ""
    saved_at: str | None = None


@dataclass(frozen=True)
class SaveContext:
    """What a save needs to know about the study."""

    codebook: Mapping[str, Any]
    require_evidence: bool
    require_severity: bool


EMPTY = Revision(None, None, 0, "open", NarrativeCoding())


def read_revision(connection: sqlite3.Connection, row: sqlite3.Row | None) -> Revision:
    """Return a row of `revisions` with its categories and spans."""
    if row is None:
        return EMPTY
    key = (row["revision_id"],)
    spans: dict[str, list[tuple[int, int]]] = {}
    for span in connection.execute(
        "SELECT * FROM evidence WHERE revision_id = ? ORDER BY evidence_start, evidence_end", key
    ):
        pair = (span["evidence_start"], span["evidence_end"])
        spans.setdefault(span["category"], []).append(pair)
    categories = tuple(
        CategoryCoding(c["category"], c["severity"], tuple(spans.get(c["category"], ())))
        for c in connection.execute(
            "SELECT * FROM codings WHERE revision_id = ? AND present = 1 ORDER BY rowid", key
        )
    )
    return Revision(
        row["revision_id"],
        row["parent_id"],
        row["depth"],
        row["state"],
        NarrativeCoding(categories, row["verdict"], row["note"]),
        row["phase"],
        row["save_id"],
        row["saved_at"],
    )


def latest_revision(connection: sqlite3.Connection, coder_id: str, incident_id: str) -> Revision:
    """Return the newest revision, or the empty one."""
    row = connection.execute(
        "SELECT * FROM revisions WHERE coder_id = ? AND incident_id = ? "
        "ORDER BY revision_id DESC LIMIT 1",
        (coder_id, incident_id),
    ).fetchone()
    return read_revision(connection, row)


def _insert(
    connection: sqlite3.Connection,
    coder_id: str,
    incident_id: str,
    revision: Revision,
    codebook: Mapping[str, Any],
) -> Revision:
    exposed = connection.execute(
        "SELECT 1 FROM exposures WHERE coder_id = ? AND incident_id = ? LIMIT 1",
        (coder_id, incident_id),
    ).fetchone()
    phase, saved_at = ("assisted" if exposed else "blind"), now()
    coding = revision.coding
    values = (
        coder_id,
        incident_id,
        revision.parent_id,
        revision.depth,
        revision.state,
        coding.verdict,
        coding.note,
        phase,
        str(codebook["version"]),
        revision.save_id,
        saved_at,
    )
    revision_id = connection.execute(
        "INSERT INTO revisions (coder_id, incident_id, parent_id, depth, state, verdict, note, "
        f"phase, codebook_version, save_id, saved_at) VALUES ({', '.join('?' * len(values))})",
        values,
    ).lastrowid
    present = {coded.category: coded for coded in coding.categories}
    # A submitted narrative has a row for every category, so that "absent" is not "not coded".
    submitted = revision.state == "submitted" and coding.verdict != "unclear"
    for category in (c["id"] for c in codebook["categories"]):
        if category in present or submitted:
            coded = present.get(category)
            severity = coded.severity if coded else None
            connection.execute(
                "INSERT INTO codings VALUES (?, ?, ?, ?)",
                (revision_id, category, int(coded is not None), severity),
            )
    connection.executemany(
        "INSERT INTO evidence VALUES (?, ?, ?, ?)",
        [(revision_id, c.category, *span) for c in coding.categories for span in c.spans],
    )
    return Revision(
        revision_id,
        revision.parent_id,
        revision.depth,
        revision.state,
        coding,
        phase,
        revision.save_id,
        saved_at,
    )


def add_revision(
    connection: sqlite3.Connection,
    coder_id: str,
    incident_id: str,
    coding: NarrativeCoding,
    *,
    state: str,
    expected: int | None,
    save_id: str,
    context: SaveContext,
) -> Revision:
    """Add a revision on top of revision `expected` and return it.

    A save that was committed but whose answer got lost may be sent again: the same `save_id`
    returns the revision that is there.

    Raises
    ------
    ConflictError
        If the newest revision is not `expected`.
    IncompleteError
        If it is to be submitted with parts missing.
    """
    latest = latest_revision(connection, coder_id, incident_id)
    if latest.save_id == save_id and latest.revision_id is not None:
        return latest
    if latest.revision_id != expected:
        raise ConflictError("This narrative was changed in another window since it was opened.")
    if state == "submitted":
        missing = missing_parts(
            coding,
            context.codebook,
            require_evidence=context.require_evidence,
            require_severity=context.require_severity,
        )
        if missing:
            raise IncompleteError("The narrative cannot be submitted: parts are missing.", missing)
    new = Revision(None, latest.revision_id, latest.depth + 1, state, coding, save_id=save_id)
    return _insert(connection, coder_id, incident_id, new, context.codebook)


def undo_revision(
    connection: sqlite3.Connection,
    coder_id: str,
    incident_id: str,
    *,
    expected: int | None,
    save_id: str,
    context: SaveContext,
) -> Revision:
    """Add a revision that restores the state before the newest one and return it.

    Undoing again walks further back, to the empty narrative.

    Raises
    ------
    ConflictError
        If the newest revision is not `expected`.
    DataError
        If there is nothing to undo.
    """
    latest = latest_revision(connection, coder_id, incident_id)
    if latest.save_id == save_id and latest.revision_id is not None:
        return latest
    if latest.revision_id != expected:
        raise ConflictError("This narrative was changed in another window since it was opened.")
    if latest.depth == 0:
        raise DataError("There is nothing to undo in this narrative.")
    row = connection.execute(
        "SELECT * FROM revisions WHERE revision_id IS ?", (latest.parent_id,)
    ).fetchone()
    target = read_revision(connection, row)
    new = Revision(
        None, target.parent_id, target.depth, target.state, target.coding, save_id=save_id
    )
    return _insert(connection, coder_id, incident_id, new, context.codebook)


_NEWEST = """
WITH newest AS (
  SELECT MAX(revision_id) AS revision_id FROM revisions
  WHERE saved_at <= :as_of AND (:coder_id IS NULL OR coder_id = :coder_id)
    AND (:incident_id IS NULL OR incident_id = :incident_id)
  GROUP BY coder_id, incident_id
),
current AS (SELECT r.* FROM newest JOIN revisions r USING (revision_id))
"""
_CODINGS = f"""
{_NEWEST}
SELECT r.incident_id, r.coder_id, c.category, c.present, c.severity, e.evidence_start,
  e.evidence_end, r.note, r.saved_at AS coded_at, r.codebook_version, r.phase
FROM current r
JOIN assignments a USING (coder_id, incident_id)
JOIN codings c USING (revision_id)
LEFT JOIN evidence e ON e.revision_id = c.revision_id AND e.category = c.category
WHERE r.state = 'submitted'
ORDER BY r.coder_id, a.position, c.rowid, e.evidence_start, e.evidence_end
"""
_VERDICTS = f"""
{_NEWEST}
SELECT a.incident_id, a.coder_id, a.position, COALESCE(r.state, 'untouched') AS state, r.verdict,
  r.note, r.phase, r.saved_at, r.revision_id,
  (SELECT COUNT(*) FROM codings c WHERE c.revision_id = r.revision_id AND c.present) AS n_present
FROM assignments a
LEFT JOIN current r ON r.coder_id = a.coder_id AND r.incident_id = a.incident_id
WHERE (:coder_id IS NULL OR a.coder_id = :coder_id)
  AND (:incident_id IS NULL OR a.incident_id = :incident_id)
ORDER BY a.coder_id, a.position
"""
_HISTORY = """
SELECT r.*,
  (SELECT json_group_array(json_object('category', c.category, 'severity', c.severity,
      'spans', (SELECT json_group_array(json_array(e.evidence_start, e.evidence_end))
        FROM evidence e WHERE e.revision_id = c.revision_id AND e.category = c.category)))
    FROM codings c WHERE c.revision_id = r.revision_id AND c.present) AS categories
FROM revisions r ORDER BY r.revision_id
"""


def _frame(
    connection: sqlite3.Connection, query: str, parameters: Mapping[str, Any]
) -> pd.DataFrame:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return pd.DataFrame([tuple(row) for row in cursor], columns=names)


def read_codings(
    connection: sqlite3.Connection, as_of: str, incident_id: str | None = None
) -> pd.DataFrame:
    """Return the codings table of the narratives whose newest revision is submitted."""
    parameters = {"as_of": as_of, "coder_id": None, "incident_id": incident_id}
    frame = _frame(connection, _CODINGS, parameters)
    for column in ("severity", "evidence_start", "evidence_end"):
        frame[column] = frame[column].astype(float)
    frame["present"] = frame["present"].astype(bool)
    frame["coded_at"] = pd.to_datetime(frame["coded_at"], utc=True)
    return frame


def read_verdicts(
    connection: sqlite3.Connection,
    as_of: str,
    coder_id: str | None = None,
    incident_id: str | None = None,
) -> pd.DataFrame:
    """Return one row for each assignment (of one coder, of one incident) with its verdict."""
    parameters = {"as_of": as_of, "coder_id": coder_id, "incident_id": incident_id}
    frame = _frame(connection, _VERDICTS, parameters)
    coded = (frame["verdict"] == "") & (frame["n_present"] > 0)
    frame["verdict"] = frame["verdict"].mask(coded, "coded")
    frame["saved_at"] = pd.to_datetime(frame["saved_at"], utc=True)
    frame["revision_id"] = frame["revision_id"].astype("Int64")
    return frame


def read_history(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return every revision ever saved, `categories` as lists of dicts."""
    frame = _frame(connection, _HISTORY, {})
    frame["categories"] = [json.loads(text) for text in frame["categories"]]
    for content in frame["categories"]:
        for coded in content:
            if isinstance(coded["spans"], str):
                coded["spans"] = json.loads(coded["spans"])
    frame["saved_at"] = pd.to_datetime(frame["saved_at"], utc=True)
    return frame
