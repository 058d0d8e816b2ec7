"""What the coding page may ask, and the answers: the same for a served page and a notebook cell.

A request is a method, a path and a JSON body from somebody who is known; an answer is a status (as
in HTTP) and a JSON object. A coder is answered about her own assignment and nothing else; an
adjudicator about the narratives that all their coders have submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd

from boundary_research._checks import DataError
from boundary_research.coding._narrative_coding import severity_choices
from boundary_research.coding._revisions import ConflictError, IncompleteError, Revision
from boundary_research.coding.adjudication import mask_coders
from boundary_research.coding.store import CodingStore, Identity, StoreUnavailableError

Answer = tuple[int, dict[str, Any]]


class _NotFoundError(Exception):
    """There is no such path for this person."""


class PageService:
    """Answers the requests of the coding page from one store."""

    def __init__(self, store: CodingStore) -> None:
        self.store = store

    def handle(self, identity: Identity, method: str, path: str, body: Any) -> Answer:
        """Return status and answer; no answer to a bad request holds narrative text."""
        parts = urlsplit(path)
        route = parts.path.strip("/").split("/")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        given = body if isinstance(body, Mapping) else {}
        try:
            if (method, route) == ("GET", ["session"]):
                return 200, self._session(identity)
            if identity.role == "coder":
                return self._handle_coder(identity.coder_id, method, route, given)
            return self._handle_adjudicator(identity.coder_id, method, route, query, given)
        except _NotFoundError:
            return 404, {"error": "There is no such page."}
        except ConflictError as error:
            return 409, {"error": str(error)}
        except IncompleteError as error:
            return 422, {"error": str(error), "missing": error.missing}
        except StoreUnavailableError:
            return 503, {"error": "The study's file cannot be written to now."}
        except DataError as error:
            return 400, {"error": str(error)}

    def _session(self, identity: Identity) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "coder_id": identity.coder_id,
            "role": identity.role,
            "study": self.store.name,
            "codebook": _shown_codebook(self.store.codebook),
            "phase": self.store.phase(),
        }
        if identity.role == "coder":
            items = self._items(identity.coder_id)
            answer |= {"items": items, "resume": _resume_position(items)}
        else:
            answer["queue"] = self._queue()
        return answer

    # Coders

    def _items(self, coder_id: str) -> list[dict[str, Any]]:
        own = self.store.verdicts(coder_id=coder_id)
        revisions = own["revision_id"].fillna(0).tolist()
        newest = max(revisions, default=0)
        columns = (own[column].tolist() for column in ("position", "incident_id", "state"))
        return [
            {
                "position": position,
                "incident_id": incident_id,
                "state": state,
                "newest": 0 < revision == newest,
            }
            for position, incident_id, state, revision in zip(*columns, revisions, strict=True)
        ]

    def _handle_coder(
        self, coder_id: str, method: str, route: list[str], body: Mapping[str, Any]
    ) -> Answer:
        if route[0] != "narratives" or len(route) not in (2, 3) or not route[1].isdecimal():
            raise _NotFoundError
        position = int(route[1])
        incident_id = self.store.incident_at(coder_id, position)
        action = (method, *route[2:])
        if action == ("GET",):
            suggestions = self.store.read_suggestions(coder_id, incident_id)
            revision = self.store.latest(coder_id, incident_id)
            shown = {} if suggestions is None else {"suggestions": suggestions}
            return 200, {
                "position": position,
                "incident_id": incident_id,
                "narrative": self.store.narrative(incident_id),
                **_shown_revision(revision),
                **shown,
            }
        if action not in (("PUT",), ("POST", "undo")):
            raise _NotFoundError
        save_id, expected = body.get("save_id"), body.get("expected")
        if not isinstance(save_id, str) or not 8 <= len(save_id) <= 64:
            raise DataError("save_id must be text of 8 to 64 characters.")
        if expected is not None and (isinstance(expected, bool) or not isinstance(expected, int)):
            raise DataError("expected must be the number of a revision, or null.")
        if action == ("PUT",):
            revision = self.store.save(
                coder_id,
                incident_id,
                body.get("content", {}),
                state=body.get("state", "open"),
                expected=expected,
                save_id=save_id,
            )
        else:
            revision = self.store.undo(coder_id, incident_id, expected=expected, save_id=save_id)
        return 200, _shown_revision(revision)

    # Adjudicators

    def _queue(self) -> list[dict[str, Any]]:
        questions = self.store.disagreements(decided=True)
        decided = set(map(tuple, self.store.decisions()[["incident_id", "category"]].to_numpy()))
        entries: dict[str, dict[str, Any]] = {}
        for key in sorted(map(tuple, questions[["incident_id", "category"]].to_numpy())):
            empty = {"incident_id": key[0], "n_questions": 0, "n_open": 0}
            entry = entries.setdefault(key[0], empty)
            entry["n_questions"] += 1
            entry["n_open"] += key not in decided
        return list(entries.values())

    def _handle_adjudicator(
        self,
        adjudicator_id: str,
        method: str,
        route: list[str],
        query: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> Answer:
        if (method, route) == ("GET", ["queue"]):
            return 200, {"queue": self._queue()}
        if (method, route) == ("GET", ["disagreements"]):
            return 200, self._disagreement(query.get("incident_id", ""))
        if (method, route) == ("POST", ["decisions"]):
            present, save_id = body.get("present"), body.get("save_id")
            if not isinstance(present, bool):
                raise DataError("Choose present or absent.")
            if not isinstance(save_id, str) or not 8 <= len(save_id) <= 64:
                raise DataError("save_id must be text of 8 to 64 characters.")
            incident_id = str(body.get("incident_id", ""))
            self._disagreement(incident_id)  # only what is in the queue may be decided
            self.store.decide(
                adjudicator_id,
                incident_id,
                str(body.get("category", "")),
                present=present,
                severity=body.get("severity"),
                reason=body.get("reason", ""),
                save_id=save_id,
            )
            return 200, self._disagreement(incident_id)
        raise _NotFoundError

    def _disagreement(self, incident_id: str) -> dict[str, Any]:
        questions = self.store.disagreements(incident_id=incident_id, decided=True)
        if questions.empty:
            raise DataError("This narrative is not in the queue.")
        coders = self.store.verdicts(incident_id=incident_id)["coder_id"].tolist()
        decisions = self.store.decisions()
        decisions = decisions[decisions["incident_id"] == incident_id].drop_duplicates(
            "category", keep="last"
        )
        decided = {row.category: row for row in decisions.itertuples()}
        order = [category["id"] for category in self.store.codebook["categories"]]
        return {
            "incident_id": incident_id,
            "narrative": self.store.narrative(incident_id),
            "coders": [
                {
                    "label": f"Coder {letter}",
                    **_shown_revision(self.store.latest(coder, incident_id)),
                }
                for letter, coder in mask_coders(incident_id, coders)
            ],
            "questions": [
                {
                    "category": row.category,
                    "kind": row.kind,
                    "decision": _shown_decision(decided.get(row.category)),
                }
                for row in sorted(questions.itertuples(), key=lambda q: order.index(q.category))
            ],
        }


def _resume_position(items: list[dict[str, Any]]) -> int | None:
    """Return where a coder left: the narrative in work, the next untouched one, a skipped one."""
    newest = next((index for index, item in enumerate(items) if item["newest"]), 0)
    if items and items[newest]["state"] == "open":
        return int(items[newest]["position"])
    ordered = items[newest:] + items[:newest]
    for wanted in (("untouched", "open"), ("skipped",)):
        for item in ordered:
            if item["state"] in wanted:
                return int(item["position"])
    return None


def _shown_codebook(codebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a codebook: all but its attributes and references."""
    keys = ("name", "version", "unit", "rules", "families", "severity_levels", "reserved")
    shown = {key: codebook[key] for key in keys}
    shown["categories"] = [
        {**category, "levels": severity_choices(codebook, category["id"])}
        for category in codebook["categories"]
    ]
    return shown


def _shown_revision(revision: Revision) -> dict[str, Any]:
    return {
        "revision": revision.revision_id,
        "state": revision.state if revision.revision_id is not None else "untouched",
        "content": revision.coding.to_dict(),
        "can_undo": revision.depth > 0,
        "saved_at": revision.saved_at,
        "phase": revision.phase,
    }


def _shown_decision(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    severity = None if pd.isna(row.severity) else int(row.severity)
    return {"present": bool(row.present), "severity": severity, "reason": row.reason}
