"""Label Studio: tasks with one annotation a coder, in its JSON."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_text
from boundary_research._tables import check_table
from boundary_research.codebook._exchange_tables import (
    Decision,
    Exchange,
    add_details,
    by_narrative,
    codings_table,
    json_row,
    read_decisions,
    read_incidents,
)
from boundary_research.codebook._refi_codebook import make_guid
from boundary_research.codebook.model import Codebook

_EVIDENCE = "evidence"
_SEVERITY, _NOTE = "__severity", "__note"
_TIMES = ("coded_at", "codebook_version")


def label_studio_config(codebook: Codebook) -> str:
    """Return the labelling configuration (XML) to paste into a Label Studio project.

    It has a label for the evidence of each category, and for each category the choice between
    present and absent, severity and a note; `write_label_studio` uses the same names.

    Examples
    --------
    >>> from boundary_research.codebook.model import load_codebook
    >>> print(label_studio_config(load_codebook())[:52])
    <View>
      <Labels name="evidence" toName="text">
    """
    view = ET.Element("View")
    labels = ET.SubElement(view, "Labels", name=_EVIDENCE, toName="text")
    for category in codebook:
        ET.SubElement(labels, "Label", value=category.id, hint=category.label)
    ET.SubElement(view, "Text", name="text", value="$text")
    levels = codebook.severity_levels or ((0, ""), (1, ""), (2, ""))
    for category in codebook:
        ET.SubElement(view, "Header", value=category.label, size="5")
        choices = ET.SubElement(
            view, "Choices", name=category.id, toName="text", choice="single-radio"
        )
        for value in ("present", "absent"):
            ET.SubElement(choices, "Choice", value=value)
        choices = ET.SubElement(
            view, "Choices", name=category.id + _SEVERITY, toName="text", choice="single-radio"
        )
        for level, text in levels:
            ET.SubElement(choices, "Choice", value=str(level), hint=text)
        ET.SubElement(view, "TextArea", name=category.id + _NOTE, toName="text", maxSubmissions="1")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def write_label_studio(
    path: str | Path, incidents: pd.DataFrame, codings: pd.DataFrame, codebook: Codebook
) -> list[str]:
    """Write narratives and codings as Label Studio tasks (JSON).

    One task a narrative, one annotation a coder: presence and severity as choices, evidence as
    labelled spans, notes as text areas, as in `label_studio_config`. Time and codebook version
    stand in the `meta` of the choices: they survive import and export, and are lost if an
    annotation is edited in Label Studio.

    Parameters
    ----------
    path : str or pathlib.Path
    incidents, codings : pandas.DataFrame
    codebook : Codebook

    Returns
    -------
    list of str
        What the format could not hold, in sentences.

    Raises
    ------
    DataError
        If the tables do not fit one another or the file cannot be written.
    """
    table = read_incidents(incidents)
    decisions, lost = read_decisions(codings, table, codebook)
    grouped = by_narrative(decisions)
    coders = {
        coder: number
        for number, coder in enumerate(sorted({d.coder_id for d in decisions}), start=1)
    }
    tasks = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        data = json_row(row) | {"text": row["narrative"]}
        if "text" in row:
            lost.append(
                "Column 'text' of the incidents is not written; the narrative has its name."
            )
        annotations = []
        for coder, own in grouped.get(row["incident_id"], {}).items():
            result = [item for d in own for item in _results(d, row["narrative"])]
            # Told by name and number: Label Studio keeps one or the other.
            person = {"id": coders[coder], "email": coder, "first_name": coder, "last_name": ""}
            annotations.append({"completed_by": person, "result": result})
        tasks.append({"id": number, "data": data, "annotations": annotations})
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=True) + "\n")
    return list(dict.fromkeys(lost))


def _results(decision: Decision, text: str) -> list[dict[str, Any]]:
    """Return a decision as results of an annotation."""
    name = decision.category
    meta = {"coder_id": decision.coder_id} | {
        key: value for key, value in decision.details().items() if key in _TIMES
    }

    def result(from_name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        key = (decision.incident_id, decision.coder_id, name, from_name, json.dumps(value))
        return {
            "id": make_guid("label-studio", *key)[:8],
            "from_name": from_name,
            "to_name": "text",
            "type": kind,
            "value": value,
        }

    word = "present" if decision.present else "absent"
    found = [result(name, "choices", {"choices": [word]}) | {"meta": meta}]
    if decision.severity is not None:
        found.append(result(name + _SEVERITY, "choices", {"choices": [str(decision.severity)]}))
    if decision.note is not None:
        found.append(result(name + _NOTE, "textarea", {"text": [decision.note]}))
    for start, end in decision.spans:
        value = {"start": start, "end": end, "text": text[start:end], "labels": [name]}
        found.append(result(_EVIDENCE, "labels", value))
    return found


def read_label_studio(path: str | Path, codebook: Codebook | None = None) -> Exchange:
    """Read an export of Label Studio (its JSON, not JSON-MIN).

    Labelled spans are evidence of a present category; choices named after a category are read as
    present or absent. Offsets are code points; spans of older versions, which counted UTF-16
    units, are set right where the export holds the words that were selected.

    Parameters
    ----------
    path : str or pathlib.Path
    codebook : Codebook, optional
        Given, labels that it does not hold are passed over (and named in `lost`).

    Returns
    -------
    Exchange

    Raises
    ------
    DataError
        If the file is not such an export.
    """
    file = check_file(path, what="Label Studio export")
    try:
        tasks = json.loads(file.read_bytes())
    except (ValueError, UnicodeDecodeError):
        raise DataError(f"{file.name} is not JSON. Export the project as JSON.") from None
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise DataError(f"{file.name} is no list of tasks with data. Export the project as JSON.")
    reader = _TaskReader(codebook)
    rows = []
    for number, task in enumerate(tasks, start=1):
        data = dict(task["data"])
        key = str(data.pop("incident_id", None) or task.get("id") or number)
        if not isinstance(data.get("text"), str):
            raise DataError(f"{file.name}: task {number} has no text in its data.")
        text = data.pop("text")
        rows.append({"incident_id": key, "narrative": text, **data})
        for annotation in task.get("annotations") or []:
            reader.read(key, text, annotation)
        reader.counts["predictions"] += len(task.get("predictions") or [])
    if not rows:
        raise DataError(f"{file.name} holds no task.")
    lost = [f"{count} {what} are not read." for what, count in reader.counts.items() if count]
    return Exchange(
        incidents=check_table(pd.DataFrame(rows), "incidents", source=file.name),
        codings=codings_table(reader.decisions.values()),
        codebook=codebook,
        lost=lost,
    )


class _TaskReader:
    """Collects the decisions of annotations."""

    def __init__(self, codebook: Codebook | None) -> None:
        self.known = None if codebook is None else set(codebook.category_ids)
        self.decisions: dict[tuple[str, str, str], Decision] = {}
        self.counts: Counter[str] = Counter()

    def read(self, key: str, text: str, annotation: dict[str, Any]) -> None:
        """Read one annotation of a task."""
        if annotation.get("was_cancelled"):
            self.counts["skipped annotations"] += 1
            return
        results = [item for item in annotation.get("result") or [] if isinstance(item, dict)]
        coder = _coder(annotation, results)
        later = []
        for item in results:
            value, name = item.get("value") or {}, str(item.get("from_name", ""))
            if "labels" in value and "start" in value:
                self._span(key, coder, text, value)
            elif name.endswith((_SEVERITY, _NOTE)):
                later.append((name, value))
            elif "choices" in value and set(value["choices"]) <= {"present", "absent"}:
                decision = self._decision(key, coder, name)
                if decision is not None:
                    decision.present = "present" in value["choices"] or bool(decision.spans)
                    meta = item.get("meta")
                    add_details(decision, meta if isinstance(meta, dict) else {})
            elif "choices" in value:
                for category in value["choices"]:  # a project that lists categories as choices
                    self._decision(key, coder, str(category))
            else:
                self.counts["results of other kinds"] += 1
        for name, value in later:
            self._detail(key, coder, name, value)

    def _decision(self, key: str, coder: str, category: str) -> Decision | None:
        if not category or (self.known is not None and category not in self.known):
            self.counts["labels that the codebook does not hold"] += 1
            return None
        place = (key, coder, category)
        return self.decisions.setdefault(place, Decision(*place, present=True))

    def _span(self, key: str, coder: str, text: str, value: dict[str, Any]) -> None:
        span = _place(text, value)
        for category in value["labels"]:
            decision = self._decision(key, coder, str(category))
            if decision is None:
                continue
            decision.present = True
            if span is None:
                self.counts["spans outside their text"] += 1
            elif span not in decision.spans:
                decision.spans.append(span)

    def _detail(self, key: str, coder: str, name: str, value: dict[str, Any]) -> None:
        severity = name.endswith(_SEVERITY)
        category = name.removesuffix(_SEVERITY if severity else _NOTE)
        decision = self.decisions.get((key, coder, category))
        held = value.get("choices" if severity else "text") or []
        held = [held] if isinstance(held, str) else held
        if decision is None or not held:
            self.counts["severities and notes beside no decision"] += 1
        elif severity:
            add_details(
                decision, {"severity": int(held[0]) if held[0] in ("0", "1", "2") else None}
            )
        else:
            decision.note = "\n".join(held)


def _coder(annotation: dict[str, Any], results: list[dict[str, Any]]) -> str:
    for item in results:
        meta = item.get("meta")
        if isinstance(meta, dict) and meta.get("coder_id"):
            return str(meta["coder_id"])
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        person = person.get("email") or person.get("first_name") or person.get("id")
    return "unknown" if person in (None, "") else str(person)


def _place(text: str, value: dict[str, Any]) -> tuple[int, int] | None:
    """Return a span in code points, setting one right that was counted in UTF-16 units."""
    try:
        start, end = int(value["start"]), int(value["end"])
    except (KeyError, TypeError, ValueError):
        return None
    words = value.get("text")
    if isinstance(words, str) and 0 <= start < end and text[start:end] != words:
        units = text.encode("utf-16-le", "surrogatepass")
        if units[2 * start : 2 * end] == words.encode("utf-16-le", "surrogatepass"):
            start, end = (
                len(units[: 2 * place].decode("utf-16-le", "surrogatepass"))
                for place in (start, end)
            )
    return (start, end) if 0 <= start < end <= len(text) else None
