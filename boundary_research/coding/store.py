"""The store of a study's human codings: one SQLite file, append-only, safe for several coders.

Every change is committed to disk before a call returns, and a changed decision keeps the old one
with its time. The file holds the narratives of the sample; it is made readable by its owner alone.
Keep it on a local disk: SQLite's write-ahead log does not work on network file systems.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_choice, check_random_state
from boundary_research._tables import check_table
from boundary_research.codebook.model import Codebook
from boundary_research.coding import _revisions
from boundary_research.coding._narrative_coding import STATES, check_coding, check_severity
from boundary_research.coding._revisions import Revision, SaveContext
from boundary_research.coding._store_schema import create_database, now, open_database
from boundary_research.coding.adjudication import find_disagreements, gold_table

PHASES = ("blind", "assisted")
DEFAULT_URL = "http://127.0.0.1:8765/"


class StoreUnavailableError(DataError):
    """The store cannot be written to or read now: locked for long, disk full, file gone."""


@dataclass(frozen=True)
class Identity:
    """Whom a token belongs to; `role` is coder or adjudicator."""

    coder_id: str
    role: str


def _hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


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
        given, found = _hash_token(token), None
        with self._reading() as connection:
            people = connection.execute("SELECT coder_id, role, token_hash FROM coders").fetchall()
        for person in people:
            if hmac.compare_digest(person["token_hash"], given):
                found = Identity(person["coder_id"], person["role"])
        return found

    def renew_token(self, coder_id: str) -> str:
        """Return a new token for `coder_id`; the old one stops working."""
        token = secrets.token_urlsafe(32)
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE coders SET token_hash = ? WHERE coder_id = ?",
                (_hash_token(token), coder_id),
            ).rowcount
            if not changed:
                people = [r[0] for r in connection.execute("SELECT coder_id FROM coders")]
                check_choice(coder_id, people, name="coder_id")
        return token

    def coders(self) -> pd.DataFrame:
        """Return `coder_id`, `role`, `added_at` and how many narratives each was given."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT coder_id, role, added_at, (SELECT COUNT(*) FROM assignments a "
                "WHERE a.coder_id = coders.coder_id) FROM coders ORDER BY rowid"
            ).fetchall()
        columns = ["coder_id", "role", "added_at", "n_assigned"]
        return pd.DataFrame([tuple(row) for row in rows], columns=columns)

    # Coding

    def incident_at(self, coder_id: str, position: int) -> str:
        """Return the incident at `position` (from 1) of a coder's assignment."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT incident_id FROM assignments WHERE coder_id = ? AND position = ?",
                (coder_id, position),
            ).fetchone()
        if row is None:
            raise DataError(f"There is no narrative {position} in this assignment.")
        return str(row["incident_id"])

    def narrative(self, incident_id: str) -> str:
        """Return the text of a narrative of the sample."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT narrative FROM narratives WHERE incident_id = ?", (incident_id,)
            ).fetchone()
        if row is None:
            raise DataError(f"incident_id {incident_id!r} is not in this store.")
        return str(row["narrative"])

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
            row = connection.execute(
                "SELECT n_characters FROM assignments JOIN narratives USING (incident_id) "
                "WHERE coder_id = ? AND incident_id = ?",
                (coder_id, incident_id),
            ).fetchone()
            if row is None:
                raise DataError(f"incident {incident_id!r} is not assigned to {coder_id!r}.")
            coding = check_coding(content, self.codebook, length=row["n_characters"])
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
        self, *, coder_id: str | None = None, as_of: str | datetime | None = None
    ) -> pd.DataFrame:
        """Return one row for each coder and narrative, or for the narratives of `coder_id`.

        `state` is untouched, open, skipped or submitted; `verdict` is coded, none, unclear or
        empty.
        """
        with self._reading() as connection:
            return _revisions.read_verdicts(connection, _as_of_text(as_of), coder_id)

    def history(self) -> pd.DataFrame:
        """Return every revision ever saved, oldest first; `parent_id` is the one it changed."""
        with self._reading() as connection:
            return _revisions.read_history(connection)

    def sample(self) -> pd.DataFrame:
        """Return the sample table as it was given."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT incident_id, sample_row FROM narratives ORDER BY rowid"
            ).fetchall()
        return pd.DataFrame([{"incident_id": i, **json.loads(row)} for i, row in rows])

    # Assisted phase

    def phase(self) -> tuple[int, str]:
        """Return the id and the name (blind, assisted) of the phase that the study is in."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT phase_id, phase FROM phases ORDER BY phase_id DESC LIMIT 1"
            ).fetchone()
        return row["phase_id"], row["phase"]

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
        check_choice(phase, PHASES, name="phase")
        if (phase == "assisted") != (suggestions is not None):
            raise DataError("An assisted phase needs suggestions, and a blind one has none.")
        rows: list[tuple[str, str, float]] = []
        if suggestions is not None:
            given = suggestions.assign(decision=suggestions.get("decision", "review"))
            table = check_table(given, "coded", source="suggestions")
            known = {category["id"] for category in self.codebook["categories"]}
            drawn = set(self.sample()["incident_id"])
            kept = table[table["incident_id"].isin(drawn) & table["category"].isin(known)]
            columns = [kept[c].tolist() for c in ("incident_id", "category", "probability")]
            rows = list(zip(*columns, strict=True))
        with self._writing() as connection:
            phase_id = connection.execute(
                "INSERT INTO phases (phase, begun_at) VALUES (?, ?)", (phase, now())
            ).lastrowid
            connection.executemany(
                "INSERT INTO suggestions VALUES (?, ?, ?, ?)",
                [(phase_id, *row) for row in rows],
            )

    def read_suggestions(self, coder_id: str, incident_id: str) -> list[dict[str, Any]] | None:
        """Return what a coder is shown in an assisted phase, and record that she saw it.

        None in a blind phase.
        """
        with self._writing() as connection:
            phase_id, phase = self.phase()
            if phase == "blind":
                return None
            connection.execute(
                "INSERT OR IGNORE INTO exposures VALUES (?, ?, ?, ?)",
                (coder_id, incident_id, phase_id, now()),
            )
            rows = connection.execute(
                "SELECT category, probability FROM suggestions WHERE phase_id = ? AND "
                "incident_id = ? ORDER BY probability DESC, category",
                (phase_id, incident_id),
            ).fetchall()
        return [dict(row) for row in rows]

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
        check_choice(category, [c["id"] for c in self.codebook["categories"]], name="category")
        if not isinstance(reason, str) or not reason.strip():
            raise DataError("A decision needs a reason. Say in a few words why.")
        if not present and severity is not None:
            raise DataError("severity belongs to a category that is present. Leave it out.")
        severity = check_severity(severity, self.codebook, category)
        submitted = self.verdicts().query("incident_id == @incident_id and state == 'submitted'")
        basis = json.dumps(sorted(int(i) for i in submitted["revision_id"]))
        with self._writing() as connection:
            row = connection.execute(
                "SELECT role FROM coders WHERE coder_id = ?", (adjudicator_id,)
            ).fetchone()
            if row is None or row["role"] != "adjudicator":
                raise DataError(f"{adjudicator_id!r} is not an adjudicator of this study.")
            known = "SELECT 1 FROM narratives WHERE incident_id = ?"
            if connection.execute(known, (incident_id,)).fetchone() is None:
                raise DataError(f"incident_id {incident_id!r} is not in this store.")
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
                    basis,
                    save_id or secrets.token_hex(8),
                    now(),
                ),
            )

    def decisions(self) -> pd.DataFrame:
        """Return every adjudicator's decision, oldest first; `basis` lists the revisions seen."""
        with self._reading() as connection:
            cursor = connection.execute("SELECT * FROM decisions ORDER BY decision_id")
            names = [column[0] for column in cursor.description]
            frame = pd.DataFrame([tuple(row) for row in cursor], columns=names)
        frame["present"] = frame["present"].astype(bool)
        frame["severity"] = frame["severity"].astype(float)
        frame["decided_at"] = pd.to_datetime(frame["decided_at"], utc=True)
        return frame.drop(columns="save_id")

    def disagreements(self, *, decided: bool = False) -> pd.DataFrame:
        """Return what is to be settled in the narratives that all their coders have submitted.

        With `decided`, what has been settled already is listed too.
        """
        verdicts = self.verdicts()
        waiting = set(verdicts.loc[verdicts["state"] != "submitted", "incident_id"])
        codings = self.codings()
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


def _assign(
    incident_ids: Sequence[str],
    coders: Sequence[str],
    coders_per_narrative: int | None,
    random_state: int | np.random.Generator | None,
) -> list[tuple[str, str, int]]:
    """Give each narrative its coders, loads differing by one at most, in random orders."""
    rng = check_random_state(random_state)
    each = len(coders) if coders_per_narrative is None else coders_per_narrative
    if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= len(coders):
        raise DataError(
            f"coders_per_narrative must be a whole number from 1 to {len(coders)} (the number of "
            f"coders), got {coders_per_narrative!r}."
        )
    given: dict[str, list[str]] = {coder: [] for coder in coders}
    for index in rng.permutation(len(incident_ids)):
        shuffled = rng.permutation(len(coders))
        chosen = sorted(shuffled, key=lambda i: len(given[coders[i]]))[:each]
        for i in chosen:
            given[coders[i]].append(incident_ids[index])
    # An order of her own for each coder keeps order effects from looking like agreement.
    return [
        (coder, ids[i], position + 1)
        for coder, ids in given.items()
        for position, i in enumerate(rng.permutation(len(ids)))
    ]


def _check_people(coders: Sequence[str], adjudicators: Sequence[str]) -> None:
    if isinstance(coders, str) or isinstance(adjudicators, str):
        raise DataError("coders and adjudicators must be lists of ids.")
    people = [*coders, *adjudicators]
    if not coders or any(not isinstance(p, str) or not p.strip() for p in people):
        raise DataError("coders must be a list of at least one id, each a text.")
    if len(set(people)) < len(people):
        raise DataError(
            "Ids of coders and adjudicators must all differ. Give somebody who does both two ids."
        )


def create_study_store(
    path: str | os.PathLike[str],
    incidents: pd.DataFrame,
    sample: pd.DataFrame,
    codebook: Codebook,
    coders: Sequence[str],
    *,
    adjudicators: Sequence[str] = (),
    name: str | None = None,
    coders_per_narrative: int | None = None,
    require_evidence: bool = True,
    require_severity: bool = True,
    random_state: int | np.random.Generator | None = None,
    base_url: str = DEFAULT_URL,
) -> dict[str, str]:
    """Create a study's store and return one link for each coder and adjudicator.

    Parameters
    ----------
    path : str or path
        The file to make; it must not exist. Only the sampled narratives are put into it.
    incidents, sample : pandas.DataFrame
        The tables of these names; each narrative of the sample must be among the incidents.
    codebook : Codebook
        As from `load_codebook`.
    coders, adjudicators : sequence of str
        Their ids.
    name : str, optional
        What the page calls the study; by default the codebook's name.
    coders_per_narrative : int, optional
        How many coders code each narrative; by default all of them.
    require_evidence, require_severity : bool
        Whether a category found present needs these before a narrative can be submitted.
        Categories without severity levels need none.
    random_state : int, Generator or None
        For who codes what, and in which order.
    base_url : str
        Where the page will be served.

    Returns
    -------
    dict
        Id to link. The link holds the person's token, of which the store keeps only a hash: pass
        each link to its owner and to nobody else. ``CodingStore.renew_token`` makes a new one.

    Raises
    ------
    DataError
        If the file exists, a sampled narrative is missing, or ids repeat.
    """
    _check_people(coders, adjudicators)
    drawn = check_table(sample, "sample")
    texts = check_table(incidents, "incidents").set_index("incident_id")["narrative"]
    missing = drawn.loc[~drawn["incident_id"].isin(texts.index), "incident_id"]
    if len(missing) or drawn.empty:
        listed = ", ".join(map(repr, missing[:5])) or "none at all"
        raise DataError(
            f"table sample: {len(missing)} of {len(drawn)} narratives are not among the incidents "
            f"({listed}). Draw the sample from these incidents."
        )
    ids = drawn["incident_id"].tolist()
    for incident_id in ids:
        try:
            texts[incident_id].encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"table incidents: the narrative of {incident_id!r} holds half a character (a lone "
                f"surrogate). Read the file again with its right encoding."
            ) from None
    assignments = _assign(ids, coders, coders_per_narrative, random_state)
    rows = json.loads(
        drawn.drop(columns="incident_id").to_json(orient="records", double_precision=15)
    )
    # Not through to_json: a probability must come back to its last bit.
    for row, probability in zip(rows, drawn["inclusion_probability"], strict=True):
        row["inclusion_probability"] = float(probability)
    settings = {
        "name": name or codebook.name,
        "codebook": codebook.to_dict(),
        "codebook_hash": codebook.content_hash,
        "require_evidence": bool(require_evidence),
        "require_severity": bool(require_severity),
        "created_at": now(),
    }
    people = [(c, "coder") for c in coders] + [(a, "adjudicator") for a in adjudicators]
    tokens = {person: secrets.token_urlsafe(32) for person, _ in people}
    file = Path(path)
    connection = create_database(file)
    try:
        _fill(connection, settings, people, tokens, ids, texts, rows, assignments)
    except BaseException:
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        raise
    connection.close()
    return {person: f"{base_url.rstrip('/')}/#key={token}" for person, token in tokens.items()}


def _fill(
    connection: sqlite3.Connection,
    settings: Mapping[str, Any],
    people: Sequence[tuple[str, str]],
    tokens: Mapping[str, str],
    ids: Sequence[str],
    texts: pd.Series,
    rows: Sequence[Mapping[str, Any]],
    assignments: Sequence[tuple[str, str, int]],
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO study VALUES (?, ?)",
        [(key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items()],
    )
    connection.executemany(
        "INSERT INTO coders VALUES (?, ?, ?, ?)",
        [(p, role, _hash_token(tokens[p]), settings["created_at"]) for p, role in people],
    )
    connection.executemany(
        "INSERT INTO narratives VALUES (?, ?, ?, ?)",
        [
            (i, texts[i], len(texts[i]), json.dumps(row, ensure_ascii=False))
            for i, row in zip(ids, rows, strict=True)
        ],
    )
    connection.executemany("INSERT INTO assignments VALUES (?, ?, ?)", assignments)
    connection.execute(
        "INSERT INTO phases (phase, begun_at) VALUES ('blind', ?)", (settings["created_at"],)
    )
    connection.execute("COMMIT")
