"""Creating a study's store: who codes what, in which order, and everybody's token."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_random_state, rows_text
from boundary_research._tables import check_table
from boundary_research.codebook.model import Codebook
from boundary_research.coding._store_schema import create_database, hash_token, now

DEFAULT_URL = "http://127.0.0.1:8765/"


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


def _check_text(incidents: pd.DataFrame) -> None:
    """Refuse narratives that cannot be written as UTF-8, by row."""
    if not isinstance(incidents, pd.DataFrame) or "narrative" not in incidents:
        return  # check_table says what is wrong
    rows = []
    for row, narrative in enumerate(incidents["narrative"], start=1):
        try:
            str(narrative).encode("utf-8")
        except UnicodeEncodeError:
            rows.append(row)
    if rows:
        raise DataError(
            f"table incidents: the narrative in {rows_text(rows)} holds half a character (a lone "
            f"surrogate). Read the file again with its right encoding."
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
    _check_text(incidents)
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
        [(p, role, hash_token(tokens[p]), settings["created_at"]) for p, role in people],
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
