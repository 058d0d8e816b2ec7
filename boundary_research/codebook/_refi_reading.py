"""Reading REFI-QDA projects of any tool."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from boundary_research._checks import DataError
from boundary_research._tables import check_table
from boundary_research.codebook._exchange_tables import (
    Decision,
    Exchange,
    add_details,
    codings_table,
)
from boundary_research.codebook._refi_codebook import (
    child,
    children,
    clean_guid,
    local_name,
    parse_xml,
    read_codes,
)

_MOST_BYTES = 2_000_000_000  # of one member, against archives that unpack without end
_NOBODY = "unknown"
_NOT_READ = {
    "PictureSource": "picture sources",
    "PDFSource": "PDF sources",
    "AudioSource": "audio sources",
    "VideoSource": "video sources",
    "Case": "cases",
    "Link": "links",
    "Graph": "graphs",
}
_VALUES = ("TextValue", "BooleanValue", "IntegerValue", "FloatValue", "DateValue", "DateTimeValue")


class ProjectReader:
    """Reads one project file into tables."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lost: list[str] = []
        self.counts: Counter[str] = Counter()
        self.decisions: dict[tuple[str, str, str], Decision] = {}
        self.members: dict[str, zipfile.ZipInfo] = {}

    def read(self) -> Exchange:
        """Return the tables and what was lost."""
        try:
            with zipfile.ZipFile(self.file) as archive:
                for info in archive.infolist():
                    # Tools write the folder as "sources" and as "Sources".
                    self.members[info.filename.replace("\\", "/").casefold()] = info
                return self._read(archive)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
            raise DataError(
                f"{self.file.name} is no REFI-QDA project (a ZIP archive that is not encrypted). "
                f"Export it again."
            ) from None

    def _member(self, archive: zipfile.ZipFile, name: str) -> bytes | None:
        info = self.members.get(name.casefold())
        if info is None:
            return None
        if info.file_size > _MOST_BYTES:
            raise DataError(f"{self.file.name}: {name} is larger than 2 GB unpacked.")
        return archive.read(info)

    def _read(self, archive: zipfile.ZipFile) -> Exchange:
        content = self._member(archive, "project.qde")
        if content is None:
            raise DataError(f"{self.file.name} holds no project.qde. Export it again.")
        root = parse_xml(content, source=f"{self.file.name}: project.qde")
        name = root.get("name") or self.file.stem
        book, self.categories = read_codes(
            child(child(root, "CodeBook"), "Codes"), child(root, "Sets"), name=name, lost=self.lost
        )
        self.users = {
            clean_guid(user.get("guid")): user.get("name")
            or user.get("id")
            or user.get("guid")
            or _NOBODY
            for user in children(child(root, "Users"), "User")
        }
        self.variables = {
            clean_guid(variable.get("guid")): variable
            for variable in children(child(root, "Variables"), "Variable")
        }
        self.notes = {
            clean_guid(note.get("guid")): note for note in children(child(root, "Notes"), "Note")
        }
        rows: list[dict[str, Any]] = []
        for source in child(root, "Sources") or ():
            if local_name(source) == "TextSource":
                rows.append(self._source(archive, source, {row["incident_id"] for row in rows}))
        for element in root.iter():
            if local_name(element) in _NOT_READ:
                self.counts[_NOT_READ[local_name(element)]] += 1
        if self.notes:
            self.counts["notes"] = len(self.notes)
        self.lost += [f"{count} {what} are not read." for what, count in self.counts.items()]
        if not rows:
            raise DataError(f"{self.file.name} holds no text source.")
        return Exchange(
            incidents=check_table(self._incidents(rows), "incidents"),
            codings=codings_table(self.decisions.values()),
            codebook=book,
            lost=self.lost,
        )

    def _source(
        self, archive: zipfile.ZipFile, source: ET.Element, taken: set[str]
    ) -> dict[str, Any]:
        guid = clean_guid(source.get("guid"))
        key = source.get("name") or guid
        if key in taken:
            key = f"{key} {guid}"
            self.counts["source names that stand twice (the GUID was added); the plain names"] += 1
        text = self._text(archive, source)
        for selection in children(source, "PlainTextSelection"):
            start, end = (int(selection.get(n, -1)) for n in ("startPosition", "endPosition"))
            inside = 0 <= start < end <= len(text)
            codings = children(selection, "Coding")
            if not inside or not codings:
                what = "selections without a code" if inside else "selections outside their text"
                self.counts[what] += 1
            for coding in codings if inside else ():
                self._coding(key, coding, selection, (start, end))
        for coding in children(source, "Coding"):
            self._coding(key, coding, source, None)
        for reference in children(source, "NoteRef"):
            self._record(key, clean_guid(reference.get("targetGUID")))
        return {"incident_id": key, "narrative": text, **self._values(source)}

    def _text(self, archive: zipfile.ZipFile, source: ET.Element) -> str:
        inline = child(source, "PlainTextContent")
        if inline is not None:
            return inline.text or ""
        path = (source.get("plainTextPath") or "").removeprefix("internal://")
        content = self._member(archive, f"sources/{path}") if path else None
        if content is None:
            raise DataError(
                f"{self.file.name}: the plain text of source {source.get('guid')} is not in the "
                f"file. Export the project again with its sources."
            )
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{self.file.name}: sources/{path} is not UTF-8.") from None

    def _coding(
        self, key: str, coding: ET.Element, holder: ET.Element, span: tuple[int, int] | None
    ) -> None:
        reference = child(coding, "CodeRef")
        guid = clean_guid(None if reference is None else reference.get("targetGUID"))
        if guid not in self.categories:
            self.counts["codings with a code that the codebook does not hold as codable"] += 1
            return
        user = clean_guid(coding.get("creatingUser") or holder.get("creatingUser"))
        coder, category = self.users.get(user, _NOBODY), self.categories[guid]
        decision = self.decisions.setdefault(
            (key, coder, category),
            Decision(key, coder, category, True, coded_at=coding.get("creationDateTime")),
        )
        if span is not None and span not in decision.spans:
            decision.spans.append(span)

    def _record(self, key: str, guid: str) -> None:
        """Take severity, notes and absences from a note that was written here."""
        note = self.notes.get(guid)
        inline = child(note, "PlainTextContent")
        try:
            record = yaml.safe_load(inline.text or "") if inline is not None else None
        except yaml.YAMLError:
            record = None
        items = record.get("decisions") if isinstance(record, dict) else None
        if note is None or not isinstance(items, list):
            return
        del self.notes[guid]
        coder = self.users.get(clean_guid(note.get("creatingUser")), _NOBODY)
        known = set(self.categories.values())
        for item in items:
            if not isinstance(item, dict) or item.get("category") not in known:
                self.counts["decisions on categories that are gone"] += 1
                continue
            place = (key, coder, item["category"])
            decision = self.decisions.get(place)
            present = item.get("present") is True
            if present and decision is None:
                self.counts["decisions whose coding was removed in the other tool"] += 1
                continue
            if decision is None:
                decision = self.decisions[place] = Decision(*place, present=False)
            elif not present:
                self.counts["absences that were coded as present in the other tool"] += 1
                continue
            decision.coded_at = None
            add_details(decision, item)

    def _values(self, source: ET.Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for value in children(source, "VariableValue"):
            reference = child(value, "VariableRef")
            guid = clean_guid(None if reference is None else reference.get("targetGUID"))
            variable = self.variables.get(guid)
            held = [element for element in value if local_name(element) in _VALUES]
            if variable is not None and held:
                found[variable.get("name", guid)] = held[0].text or ""
        return {name: found[name] for name in found if name not in ("incident_id", "narrative")}

    def _incidents(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Return the narratives, with variables in the order and the types that they have."""
        table = pd.DataFrame(rows)
        names = [str(variable.get("name")) for variable in self.variables.values()]
        kept = [name for name in dict.fromkeys(names) if name in table.columns]
        kinds = {v.get("name"): v.get("typeOfVariable") for v in self.variables.values()}
        for name in kept:
            table[name] = _typed(table[name], str(kinds[name]))
        return table[["incident_id", "narrative", *kept]]


def _typed(values: pd.Series, kind: str) -> pd.Series:
    """Return texts as the type that the variable declares, or as they are if one does not fit."""
    try:
        if kind == "Boolean":
            truth = values.map({"true": True, "1": True, "false": False, "0": False})
            return truth if truth.isna().any() else truth.astype(bool)
        if kind == "Integer":
            return values.astype(float).astype("Int64") if values.isna().any() else (
                values.astype("int64")
            )  # fmt: skip
        if kind == "Float":
            return values.astype(float)
        if kind in ("Date", "DateTime"):
            return pd.to_datetime(values, format="ISO8601")
    except (ValueError, TypeError):
        return values
    return values
