"""Adjudicators' decisions, each with its reason and the revisions that it was based on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research.coding._narrative_coding import check_severity
from boundary_research.coding._store_schema import now

_BASIS = """
SELECT MAX(revision_id) AS revision_id, state FROM revisions
WHERE incident_id = ? GROUP BY coder_id HAVING state = 'submitted' ORDER BY revision_id
"""


def add_decision(
    connection: sqlite3.Connection,
    codebook: Mapping[str, Any],
    adjudicator_id: str,
    incident_id: str,
    category: str,
    *,
    present: bool,
    severity: int | None,
    reason: str,
    save_id: str,
) -> None:
    """Add a decision, inside a transaction; the same `save_id` adds it once.

    Raises
    ------
    DataError
        If the category, severity, adjudicator or incident is not known, or the reason is empty.
    """
    check_choice(category, [c["id"] for c in codebook["categories"]], name="category")
    if not isinstance(reason, str) or not reason.strip():
        raise DataError("A decision needs a reason. Say in a few words why.")
    if not present and severity is not None:
        raise DataError("severity belongs to a category that is present. Leave it out.")
    severity = check_severity(severity, codebook, category)
    person = connection.execute(
        "SELECT role FROM coders WHERE coder_id = ?", (adjudicator_id,)
    ).fetchone()
    if person is None or person["role"] != "adjudicator":
        raise DataError(f"{adjudicator_id!r} is not an adjudicator of this study.")
    known = connection.execute("SELECT 1 FROM narratives WHERE incident_id = ?", (incident_id,))
    if known.fetchone() is None:
        raise DataError(f"incident_id {incident_id!r} is not in this store.")
    basis = [row["revision_id"] for row in connection.execute(_BASIS, (incident_id,))]
    connection.execute(
        "INSERT OR IGNORE INTO decisions (incident_id, category, adjudicator_id, present, "
        "severity, reason, basis, save_id, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            incident_id,
            category,
            adjudicator_id,
            int(present),
            severity,
            reason.strip(),
            json.dumps(basis),
            save_id,
            now(),
        ),
    )


def read_decisions(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return every decision, oldest first."""
    cursor = connection.execute(
        "SELECT decision_id, incident_id, category, present, severity, reason, adjudicator_id, "
        "decided_at, basis FROM decisions ORDER BY decision_id"
    )
    names = [column[0] for column in cursor.description]
    frame = pd.DataFrame([tuple(row) for row in cursor], columns=names)
    frame["present"] = frame["present"].astype(bool)
    frame["severity"] = frame["severity"].astype(float)
    frame["basis"] = [json.loads(text) for text in frame["basis"]]
    frame["decided_at"] = pd.to_datetime(frame["decided_at"], utc=True)
    return frame
