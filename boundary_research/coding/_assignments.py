"""Who takes part in a study, and which narratives are theirs.

All functions take a connection; those that write expect to be inside a transaction.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sqlite3
from dataclasses import dataclass

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research.coding._store_schema import hash_token


@dataclass(frozen=True)
class Identity:
    """Whom a token belongs to; `role` is coder or adjudicator."""

    coder_id: str
    role: str


def find_identity(connection: sqlite3.Connection, token: str) -> Identity | None:
    """Return whom `token` belongs to, or None; the comparison takes constant time."""
    given, found = hash_token(token), None
    for person in connection.execute("SELECT coder_id, role, token_hash FROM coders"):
        if hmac.compare_digest(person["token_hash"], given):
            found = Identity(person["coder_id"], person["role"])
    return found


def replace_token(connection: sqlite3.Connection, coder_id: str) -> str:
    """Return a new token for `coder_id`, whose old one stops working."""
    people = [row["coder_id"] for row in connection.execute("SELECT coder_id FROM coders")]
    check_choice(coder_id, people, name="coder_id")
    token = secrets.token_urlsafe(32)
    connection.execute(
        "UPDATE coders SET token_hash = ? WHERE coder_id = ?", (hash_token(token), coder_id)
    )
    return token


def read_coders(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return `coder_id`, `role`, `added_at`, `n_assigned`."""
    rows = connection.execute(
        "SELECT coder_id, role, added_at, (SELECT COUNT(*) FROM assignments a "
        "WHERE a.coder_id = coders.coder_id) FROM coders ORDER BY rowid"
    ).fetchall()
    columns = ["coder_id", "role", "added_at", "n_assigned"]
    return pd.DataFrame([tuple(row) for row in rows], columns=columns)


def incident_at(connection: sqlite3.Connection, coder_id: str, position: int) -> str:
    """Return the incident at `position` (from 1) of a coder's assignment."""
    row = connection.execute(
        "SELECT incident_id FROM assignments WHERE coder_id = ? AND position = ?",
        (coder_id, position),
    ).fetchone()
    if row is None:
        raise DataError(f"There is no narrative {position} in this assignment.")
    return str(row["incident_id"])


def assigned_length(connection: sqlite3.Connection, coder_id: str, incident_id: str) -> int:
    """Return the number of characters of a narrative that is assigned to `coder_id`."""
    row = connection.execute(
        "SELECT n_characters FROM assignments JOIN narratives USING (incident_id) "
        "WHERE coder_id = ? AND incident_id = ?",
        (coder_id, incident_id),
    ).fetchone()
    if row is None:
        raise DataError(f"incident {incident_id!r} is not assigned to {coder_id!r}.")
    return int(row["n_characters"])


def read_narrative(connection: sqlite3.Connection, incident_id: str) -> str:
    """Return the text of a narrative."""
    row = connection.execute(
        "SELECT narrative FROM narratives WHERE incident_id = ?", (incident_id,)
    ).fetchone()
    if row is None:
        raise DataError(f"incident_id {incident_id!r} is not in this store.")
    return str(row["narrative"])


def read_sample(connection: sqlite3.Connection) -> pd.DataFrame:
    """Return the sample table as it was given."""
    rows = connection.execute("SELECT incident_id, sample_row FROM narratives ORDER BY rowid")
    return pd.DataFrame([{"incident_id": i, **json.loads(row)} for i, row in rows])
