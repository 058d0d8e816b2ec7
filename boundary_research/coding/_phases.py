"""Blind and assisted phases: what coders were shown, and when.

All functions take a connection; those that write expect to be inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research._tables import check_table
from boundary_research.coding._store_schema import now

PHASES = ("blind", "assisted")
SuggestionRow = tuple[str, str, float]


def current_phase(connection: sqlite3.Connection) -> tuple[int, str]:
    """Return the number and the name of the newest phase."""
    row = connection.execute(
        "SELECT phase_id, phase FROM phases ORDER BY phase_id DESC LIMIT 1"
    ).fetchone()
    return row["phase_id"], row["phase"]


def suggestion_rows(
    phase: str, suggestions: pd.DataFrame | None, categories: Container[str]
) -> list[SuggestionRow]:
    """Return (incident_id, category, probability) of the suggestions on known categories.

    Raises
    ------
    DataError
        If the phase is not known, or suggestions and phase do not go together.
    """
    check_choice(phase, PHASES, name="phase")
    if (phase == "assisted") != (suggestions is not None):
        raise DataError("An assisted phase needs suggestions, and a blind one has none.")
    if suggestions is None:
        return []
    decision = suggestions.get("decision", "review")
    table = check_table(suggestions.assign(decision=decision), "coded", source="suggestions")
    columns = (table[c].tolist() for c in ("incident_id", "category", "probability"))
    return [row for row in zip(*columns, strict=True) if row[1] in categories]


def begin_phase(connection: sqlite3.Connection, phase: str, rows: Sequence[SuggestionRow]) -> None:
    """Begin a phase with its suggestions; those on narratives that are not there are left out."""
    phase_id = connection.execute(
        "INSERT INTO phases (phase, begun_at) VALUES (?, ?)", (phase, now())
    ).lastrowid
    drawn = {row[0] for row in connection.execute("SELECT incident_id FROM narratives")}
    connection.executemany(
        "INSERT INTO suggestions VALUES (?, ?, ?, ?)",
        [(phase_id, *row) for row in rows if row[0] in drawn],
    )


def show_suggestions(
    connection: sqlite3.Connection, coder_id: str, incident_id: str
) -> list[dict[str, Any]] | None:
    """Return the suggestions for a narrative and record that the coder saw them.

    None if a blind phase has begun.
    """
    phase_id, phase = current_phase(connection)
    if phase == "blind":
        return None
    connection.execute(
        "INSERT OR IGNORE INTO exposures VALUES (?, ?, ?, ?)",
        (coder_id, incident_id, phase_id, now()),
    )
    rows = connection.execute(
        "SELECT category, probability FROM suggestions WHERE phase_id = ? AND incident_id = ? "
        "ORDER BY probability DESC, category",
        (phase_id, incident_id),
    )
    return [dict(row) for row in rows]
