"""The store of a study's human codings: one SQLite file, append-only, safe for several coders.

Every change is committed to disk before a call returns, and a changed decision keeps the old one
with its time. The file holds the narratives of the sample; it is made readable by its owner alone.
Keep it on a local disk: SQLite's write-ahead log does not work on network file systems.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research.coding import _assignments, _decisions, _phases, _revisions
from boundary_research.coding._assignments import Identity
from boundary_research.coding._narrative_coding import STATES, check_coding
from boundary_research.coding._revisions import Revision, SaveContext
from boundary_research.coding._store_creation import create_study_store
from boundary_research.coding._store_schema import open_database
from boundary_research.coding.adjudication import find_disagreements, gold_table

__all__ = ["CodingStore", "Identity", "StoreUnavailableError", "create_study_store"]


class StoreUnavailableError(DataError):
    """The store cannot be written to or read now: locked for long, disk full, file gone."""


def _as_of_text(as_of: str | datetime | None) -> str:
    if as_of is None:
        return "9999"
    moment = pd.Timestamp(as_of)
    moment = moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)
    return moment.to_pydatetime().isoformat(timespec="microseconds").replace("+00:00", "Z")


class CodingStore:
    """A study's store, opened.

    Parameters
    ----------
    path : str or path
        A file made by `create_study_store`.

    Raises
    ------
    DataError
        If the file is missing or is not a store.

    Notes
    -----
    One object may be used by several threads, one file by several processes at once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._connection = open_database(path)
        self._lock = threading.RLock()
        with self._reading() as connection:
            settings = {
                row["key"]: json.loads(row["value"])
                for row in connection.execute("SELECT key, value FROM study")
            }
        self.name: str = settings["name"]
        self.codebook: dict[str, Any] = settings["codebook"]
        self._context = SaveContext(
            self.codebook, settings["require_evidence"], settings["require_severity"]
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> CodingStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.OperationalError as error:
                raise self._unavailable(error) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _unavailable(self, error: sqlite3.OperationalError) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"Store {str(self.path)!r} cannot be used now ({error}). Nothing of this change was "
            f"saved; free the disk or close what holds the file, and try again."
        )

    # People

    def identify(self, token: str) -> Identity | None:
        """Return whom `token` belongs to, or None; the comparison takes constant time."""
        with self._reading() as connection:
            return _assignments.find_identity(connection, token)

    def renew_token(self, coder_id: str) -> str:
        """Return a new token for `coder_id`; the old one stops working."""
        with self._writing() as connection:
            return _assignments.replace_token(connection, coder_id)

    def coders(self) -> pd.DataFrame:
        """Return `coder_id`, `role`, `added_at` and how many narratives each was given."""
        with self._reading() as connection:
            return _assignments.read_coders(connection)

    # Coding

    def incident_at(self, coder_id: str, position: int) -> str:
        """Return the incident at `position` (from 1) of a coder's assignment."""
        with self._reading() as connection:
            return _assignments.incident_at(connection, coder_id, position)

    def narrative(self, incident_id: str) -> str:
        """Return the text of a narrative of the sample."""
        with self._reading() as connection:
            return _assignments.read_narrative(connection, incident_id)

    def latest(self, coder_id: str, incident_id: str) -> Revision:
        """Return the newest saved state of a coder's coding of a narrative."""
        with self._reading() as connection:
            return _revisions.latest_revision(connection, coder_id, incident_id)

    def save(
        self,
        coder_id: str,
        incident_id: str,
        content: Mapping[str, Any],
        *,
        state: str = "open",
        expected: int | None = None,
        save_id: str | None = None,
    ) -> Revision:
        """Save a coder's coding of a narrative and return the revision, on disk when it returns.

        Parameters
        ----------
        coder_id, incident_id : str
            A pair of the assignment.
        content : dict
            ``{"categories": {id: {"severity": 0-2 or None, "spans": [[start, end], ...]}},
            "verdict": "" | "none" | "unclear", "note": text}``; the categories found present,
            with offsets in Unicode code points.
        state : {"open", "skipped", "submitted"}
            Submitting writes a row for every category, present or absent.
        expected : int, optional
            The revision that this one changes; None where nothing was saved yet.
        save_id : str, optional
            Marks the save, so that sending it twice saves it once.

        Raises
        ------
        ConflictError
            If somebody saved another revision since `expected`.
        IncompleteError
            If it is submitted without a decision, evidence or severity where these are needed.
        DataError
            If the content is not allowed or the narrative is not in the coder's assignment.
        """
        check_choice(state, STATES, name="state")
        with self._writing() as connection:
            length = _assignments.assigned_length(connection, coder_id, incident_id)
            coding = check_coding(content, self.codebook, length=length)
            return _revisions.add_revision(
                connection,
                coder_id,
                incident_id,
                coding,
                state=state,
                expected=expected,
                save_id=save_id or secrets.token_hex(8),
                context=self._context,
            )

    def undo(
        self,
        coder_id: str,
        incident_id: str,
        *,
        expected: int | None,
        save_id: str | None = None,
    ) -> Revision:
        """Restore the state before the newest one, as a new revision, and return it."""
        with self._writing() as connection:
            return _revisions.undo_revision(
                connection,
                coder_id,
                incident_id,
                expected=expected,
                save_id=save_id or secrets.token_hex(8),
                context=self._context,
            )

    def codings(self, *, as_of: str | datetime | None = None) -> pd.DataFrame:
        """Return the codings table of all narratives that are submitted.

        Parameters
        ----------
        as_of : str or datetime, optional
            The state at that time (UTC where no zone is given): codings as they were before
            adjudication, say.

        Returns
        -------
        pandas.DataFrame
            `incident_id`, `coder_id`, `category`, `present`, `severity`, `evidence_start`,
            `evidence_end` (code points, end exclusive), `note` (of the narrative, on each row),
            `coded_at`, `codebook_version`, `phase` (blind or assisted). A category with several
            spans has a row for each. Narratives called unclear have no rows, since nothing was
            decided about any category; `verdicts` lists them.
        """
        with self._reading() as connection:
            return _revisions.read_codings(connection, _as_of_text(as_of))

    def verdicts(
        self,
        *,
        coder_id: str | None = None,
        incident_id: str | None = None,
        as_of: str | datetime | None = None,
    ) -> pd.DataFrame:
        """Return one row for each coder and narrative (of one coder, of one narrative).

        `state` is untouched, open, skipped or submitted; `verdict` is coded, none, unclear or
        empty.
        """
        with self._reading() as connection:
            return _revisions.read_verdicts(connection, _as_of_text(as_of), coder_id, incident_id)

    def history(self) -> pd.DataFrame:
        """Return every revision ever saved, oldest first; `parent_id` is the one it changed."""
        with self._reading() as connection:
            return _revisions.read_history(connection)

    def sample(self) -> pd.DataFrame:
        """Return the sample table as it was given."""
        with self._reading() as connection:
            return _assignments.read_sample(connection)

    # Assisted phase

    def phase(self) -> str:
        """Return the phase that the study is in: blind or assisted."""
        with self._reading() as connection:
            return _phases.current_phase(connection)[1]

    def set_phase(self, phase: str, suggestions: pd.DataFrame | None = None) -> None:
        """Begin a blind or an assisted phase.

        Parameters
        ----------
        phase : {"blind", "assisted"}
            In an assisted phase coders see `suggestions`. A coding that is saved after its coder
            saw a suggestion screen for that narrative is recorded as assisted for good, whatever
            phase the study is in then.
        suggestions : pandas.DataFrame, optional
            The coded table (`incident_id`, `category`, `probability`); needed for an assisted
            phase.
        """
        known = {category["id"] for category in self.codebook["categories"]}
        rows = _phases.suggestion_rows(phase, suggestions, known)
        with self._writing() as connection:
            _phases.begin_phase(connection, phase, rows)

    def read_suggestions(self, coder_id: str, incident_id: str) -> list[dict[str, Any]] | None:
        """Return what a coder is shown in an assisted phase, and record that she saw it.

        None in a blind phase.
        """
        with self._reading() as connection:
            if _phases.current_phase(connection)[1] == "blind":
                return None
        with self._writing() as connection:
            return _phases.show_suggestions(connection, coder_id, incident_id)

    # Adjudication

    def decide(
        self,
        adjudicator_id: str,
        incident_id: str,
        category: str,
        *,
        present: bool,
        reason: str,
        severity: int | None = None,
        save_id: str | None = None,
    ) -> None:
        """Record an adjudicator's decision, with the revisions that it was based on.

        A later decision on the same question replaces this one, and both are kept.
        """
        with self._writing() as connection:
            _decisions.add_decision(
                connection,
                self.codebook,
                adjudicator_id,
                incident_id,
                category,
                present=present,
                severity=severity,
                reason=reason,
                save_id=save_id or secrets.token_hex(8),
            )

    def decisions(self) -> pd.DataFrame:
        """Return every adjudicator's decision, oldest first; `basis` lists the revisions seen."""
        with self._reading() as connection:
            return _decisions.read_decisions(connection)

    def disagreements(
        self, *, incident_id: str | None = None, decided: bool = False
    ) -> pd.DataFrame:
        """Return what is to be settled in the narratives that all their coders have submitted.

        With `incident_id`, of that one alone; with `decided`, what is settled already is listed
        too. The columns are those of `find_disagreements`.
        """
        with self._reading() as connection:
            now = _as_of_text(None)
            verdicts = _revisions.read_verdicts(connection, now, incident_id=incident_id)
            codings = _revisions.read_codings(connection, now, incident_id)
        waiting = set(verdicts.loc[verdicts["state"] != "submitted", "incident_id"])
        codings = codings[~codings["incident_id"].isin(waiting)]
        unclear = verdicts[
            (verdicts["verdict"] == "unclear") & ~verdicts["incident_id"].isin(waiting)
        ]
        pairs = zip(unclear["incident_id"], unclear["coder_id"], strict=True)
        settled = None if decided else self.decisions()
        return find_disagreements(codings, settled, unclear=pairs)

    def gold(self, *, unresolved: str = "error", severity: str = "adjudicate") -> pd.DataFrame:
        """Return the gold table of this store; see `boundary_research.coding.adjudication`."""
        decisions = self.decisions()
        return gold_table(
            self.codings(),
            self.sample(),
            decisions if len(decisions) else None,
            unresolved=unresolved,
            severity=severity,
        )
