"""The database of a study's codings: tables, triggers, opening and creating."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from boundary_research._checks import DataError, check_file

APPLICATION_ID = 0x42524331  # "BRC1" in the file's header
SCHEMA_VERSION = 1
BUSY_SECONDS = 15.0

SCHEMA = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE coders (
  coder_id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('coder', 'adjudicator')),
  token_hash BLOB NOT NULL UNIQUE,
  added_at TEXT NOT NULL
);
CREATE TABLE narratives (
  incident_id TEXT PRIMARY KEY,
  narrative TEXT NOT NULL,
  n_characters INTEGER NOT NULL,
  sample_row TEXT NOT NULL
);
CREATE TABLE assignments (
  coder_id TEXT NOT NULL REFERENCES coders,
  incident_id TEXT NOT NULL REFERENCES narratives,
  position INTEGER NOT NULL,
  PRIMARY KEY (coder_id, incident_id),
  UNIQUE (coder_id, position)
);
CREATE TABLE revisions (
  revision_id INTEGER PRIMARY KEY AUTOINCREMENT,
  coder_id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  parent_id INTEGER REFERENCES revisions,
  depth INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'skipped', 'submitted')),
  verdict TEXT NOT NULL CHECK (verdict IN ('', 'none', 'unclear')),
  note TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('blind', 'assisted')),
  codebook_version TEXT NOT NULL,
  save_id TEXT NOT NULL,
  saved_at TEXT NOT NULL,
  FOREIGN KEY (coder_id, incident_id) REFERENCES assignments,
  UNIQUE (coder_id, incident_id, save_id)
);
CREATE INDEX revisions_by_narrative ON revisions (coder_id, incident_id, revision_id);
CREATE TABLE codings (
  revision_id INTEGER NOT NULL REFERENCES revisions,
  category TEXT NOT NULL,
  present INTEGER NOT NULL CHECK (present IN (0, 1)),
  severity INTEGER CHECK (severity IN (0, 1, 2)),
  PRIMARY KEY (revision_id, category)
);
CREATE TABLE evidence (
  revision_id INTEGER NOT NULL,
  category TEXT NOT NULL,
  evidence_start INTEGER NOT NULL CHECK (evidence_start >= 0),
  evidence_end INTEGER NOT NULL CHECK (evidence_end > evidence_start),
  PRIMARY KEY (revision_id, category, evidence_start, evidence_end),
  FOREIGN KEY (revision_id, category) REFERENCES codings
);
CREATE TABLE phases (
  phase_id INTEGER PRIMARY KEY AUTOINCREMENT,
  phase TEXT NOT NULL CHECK (phase IN ('blind', 'assisted')),
  begun_at TEXT NOT NULL
);
CREATE TABLE suggestions (
  phase_id INTEGER NOT NULL REFERENCES phases,
  incident_id TEXT NOT NULL REFERENCES narratives,
  category TEXT NOT NULL,
  probability REAL NOT NULL,
  PRIMARY KEY (phase_id, incident_id, category)
);
CREATE TABLE exposures (
  coder_id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  phase_id INTEGER NOT NULL REFERENCES phases,
  seen_at TEXT NOT NULL,
  PRIMARY KEY (coder_id, incident_id, phase_id),
  FOREIGN KEY (coder_id, incident_id) REFERENCES assignments
);
CREATE TABLE decisions (
  decision_id INTEGER PRIMARY KEY AUTOINCREMENT,
  incident_id TEXT NOT NULL REFERENCES narratives,
  category TEXT NOT NULL,
  adjudicator_id TEXT NOT NULL REFERENCES coders,
  present INTEGER NOT NULL CHECK (present IN (0, 1)),
  severity INTEGER CHECK (severity IN (0, 1, 2)),
  reason TEXT NOT NULL CHECK (length(trim(reason)) > 0),
  basis TEXT NOT NULL,
  save_id TEXT NOT NULL UNIQUE,
  decided_at TEXT NOT NULL
);
"""
APPEND_ONLY = (
    "revisions",
    "codings",
    "evidence",
    "phases",
    "suggestions",
    "exposures",
    "decisions",
)


def _triggers() -> str:
    return "".join(
        f"CREATE TRIGGER {table}_keep_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    )


def now() -> str:
    """Return the time in UTC as ISO 8601 text that sorts by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token; a plain hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, since in WAL mode NORMAL may lose the last commits when the power fails.
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def create_database(path: Path) -> sqlite3.Connection:
    """Create the file (readable by its owner alone) with its tables and return a connection.

    Raises
    ------
    DataError
        If the file is there already or cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise DataError(
            f"Store {str(path)!r} exists already. Open it with CodingStore(path), or choose "
            f"another name; a store is never overwritten."
        ) from None
    except OSError as error:
        raise DataError(
            f"Store {str(path)!r} cannot be made ({error.strerror}). Choose another folder."
        ) from None
    connection = _connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        f"BEGIN;{SCHEMA}{_triggers()}PRAGMA application_id = {APPLICATION_ID};"
        f"PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
    )
    return connection


def open_database(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """Return a connection to an existing store.

    Raises
    ------
    DataError
        If there is no such file, or it is not a store of this or an earlier version.
    """
    file = check_file(path, what="Store")
    connection = None
    try:
        connection = _connect(file)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError:
        application = version = 0
    if connection is None or application != APPLICATION_ID or version > SCHEMA_VERSION:
        if connection is not None:
            connection.close()
        problem = (
            f"was made by a later version of boundary_research (schema {version}, this version "
            f"reads {SCHEMA_VERSION}). Upgrade the package."
            if application == APPLICATION_ID
            else "is not a store of codings. Make one with create_study_store(...)."
        )
        raise DataError(f"{str(path)!r} {problem}")
    return connection
