"""doccano: one JSONL file a coder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_file, check_output_folder
from boundary_research._files import write_text
from boundary_research._tables import check_table
from boundary_research.codebook._exchange_tables import (
    DETAILS,
    Decision,
    Exchange,
    add_details,
    by_narrative,
    codings_table,
    json_row,
    read_decisions,
    read_incidents,
)
from boundary_research.codebook.model import Codebook

_OWN = {"id", "text", "label", "labels", "entities", "cats", "relations", "Comments", "comments"}
_KEPT = {"coder_id", "absent", *DETAILS}


def write_doccano(
    folder: str | Path, incidents: pd.DataFrame, codings: pd.DataFrame, codebook: Codebook
) -> list[str]:
    """Write narratives and codings for doccano, one JSONL file a coder (``<coder>.jsonl``).

    Each line holds the spans (`label`) and the present categories (`cats`); absences, severity,
    notes and times go into further fields, which doccano keeps as a document's metadata and gives
    back on export. Without any coding, one file ``narratives.jsonl`` is written.

    Parameters
    ----------
    folder : str or pathlib.Path
    incidents, codings : pandas.DataFrame
    codebook : Codebook

    Returns
    -------
    list of str
        What the format could not hold, in sentences.

    Raises
    ------
    DataError
        If the tables do not fit one another, coders' names give one file name, or the folder
        cannot be written to.
    """
    table = read_incidents(incidents)
    decisions, lost = read_decisions(codings, table, codebook)
    clash = [name for name in table.columns if name in (_OWN | _KEPT)]
    lost += [f"Column {name!r} of the incidents is not written." for name in clash]
    grouped = by_narrative(decisions)
    coders = sorted({decision.coder_id for decision in decisions}) or [""]
    names = [re.sub(r"[^\w.@-]+", "_", coder) or "narratives" for coder in coders]
    if len({name.casefold() for name in names}) < len(names):
        raise DataError("Two coders' names give the same file name. Tell them apart by letters.")
    target = check_output_folder(folder)
    for coder, name in zip(coders, names, strict=True):
        lines = []
        for row in table.drop(columns=clash).to_dict("records"):
            own = grouped.get(row["incident_id"], {}).get(coder, [])
            if own or not coder:
                line = _line(row, coder, own)
                lines.append(json.dumps(line, ensure_ascii=True))
        write_text(target / f"{name}.jsonl", "\n".join(lines) + "\n")
    uncoded = len(table) - len(grouped)
    if uncoded and decisions:
        lost.append(f"{uncoded} narratives that nobody coded are not written.")
    return lost


def _line(row: dict[str, Any], coder: str, own: list[Decision]) -> dict[str, Any]:
    spans = sorted([start, end, d.category] for d in own for start, end in d.spans)
    line: dict[str, Any] = {
        "text": row["narrative"],
        "label": spans,
        "cats": [d.category for d in own if d.present],
    }
    if coder:
        line |= {"coder_id": coder, "absent": [d.category for d in own if not d.present]}
    for name in DETAILS:
        held = {d.category: d.details()[name] for d in own if name in d.details()}
        if held:
            line[name] = held
    return line | json_row(row)


def read_doccano(
    paths: str | Path | Iterable[str | Path], codebook: Codebook | None = None
) -> Exchange:
    """Read exports of doccano (JSONL), one file a coder.

    Understands spans as ``[start, end, label]`` and as entities with offsets, and categories as
    plain labels. A file's name is the coder unless its lines say otherwise. An export holds
    presences only; absences come back if they were written here.

    Parameters
    ----------
    paths : path, or several
        A folder (all its ``.jsonl`` files), a file, or several files.
    codebook : Codebook, optional
        Given, labels that it does not hold are passed over (and named in `lost`).

    Returns
    -------
    Exchange

    Raises
    ------
    DataError
        If a file is not JSONL with texts, or one narrative has two texts.
    """
    reader = _LineReader(codebook)
    for file in _files(paths):
        try:
            content = file.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{file.name} is not UTF-8 text. Export it again.") from None
        for number, text in enumerate(content.split("\n"), start=1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict) or not isinstance(line.get("text"), str):
                raise DataError(f"{file.name}, line {number}: no JSON object with a text.")
            reader.read(line, coder=file.stem, place=f"{file.name}, line {number}")
    if not reader.rows:
        raise DataError("The files hold no narrative.")
    lost = [f"{count} {what} are not read." for what, count in reader.counts.items() if count]
    return Exchange(
        incidents=check_table(pd.DataFrame(list(reader.rows.values())), "incidents"),
        codings=codings_table(reader.decisions.values()),
        codebook=codebook,
        lost=lost,
    )


def _files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    if isinstance(paths, str | Path):
        path = Path(paths)
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    else:
        files = [Path(path) for path in paths]
    if not files:
        raise DataError(f"No .jsonl file in {str(paths)!r}. Check the folder.")
    return [check_file(file, what="doccano export") for file in files]


class _LineReader:
    """Collects narratives and decisions over the lines of all files."""

    def __init__(self, codebook: Codebook | None) -> None:
        self.known = None if codebook is None else set(codebook.category_ids)
        self.rows: dict[str, dict[str, Any]] = {}
        self.decisions: dict[tuple[str, str, str], Decision] = {}
        self.counts: Counter[str] = Counter()

    def read(self, line: dict[str, Any], *, coder: str, place: str) -> None:
        """Read one document."""
        key = str(line.get("incident_id") or line.get("id") or f"document {len(self.rows) + 1}")
        text, coder = line["text"], str(line.get("coder_id") or coder)
        others = {n: v for n, v in line.items() if n not in _OWN | _KEPT | {"incident_id"}}
        earlier = self.rows.setdefault(key, {"incident_id": key, "narrative": text, **others})
        if earlier["narrative"] != text:
            raise DataError(f"{place}: this id stands beside another text in an earlier line.")
        for item in [*(line.get("label") or line.get("labels") or []), *(line.get("cats") or [])]:
            if isinstance(item, str):
                self._present(key, coder, item, None, text)
            elif isinstance(item, list) and len(item) == 3:
                self._present(key, coder, str(item[2]), (item[0], item[1]), text)
            else:
                self.counts["labels of another form"] += 1
        for item in line.get("entities") or []:
            if isinstance(item, dict):
                span = (item.get("start_offset"), item.get("end_offset"))
                self._present(key, coder, str(item.get("label")), span, text)
            elif isinstance(item, list) and len(item) == 3:
                self._present(key, coder, str(item[2]), (item[0], item[1]), text)
        self.counts["relations"] += len(line.get("relations") or [])
        self.counts["comments"] += len(line.get("Comments") or line.get("comments") or [])
        self._kept(key, coder, line)

    def _present(self, key: str, coder: str, category: str, span: Any, text: str) -> None:
        if self.known is not None and category not in self.known:
            self.counts["labels that the codebook does not hold"] += 1
            return
        place = (key, coder, category)
        decision = self.decisions.setdefault(place, Decision(*place, present=True))
        if span is None:
            return
        if not all(isinstance(edge, int) for edge in span) or not 0 <= span[0] < span[1] <= len(
            text
        ):
            self.counts["spans outside their text"] += 1
        elif span not in decision.spans:
            decision.spans.append(span)

    def _kept(self, key: str, coder: str, line: dict[str, Any]) -> None:
        """Take what was written here and came back as metadata."""
        absent = line.get("absent")
        for category in absent if isinstance(absent, list) else ():
            place = (key, coder, str(category))
            if place in self.decisions:
                self.counts["absences that were labelled in doccano"] += 1
            elif self.known is None or category in self.known:
                self.decisions[place] = Decision(*place, present=False)
        for name in DETAILS:
            held = line.get(name)
            for category, value in held.items() if isinstance(held, dict) else ():
                decision = self.decisions.get((key, coder, category))
                if decision is not None:
                    add_details(decision, {name: value})
