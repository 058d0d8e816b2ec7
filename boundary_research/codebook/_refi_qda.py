"""Projects as REFI-QDA: narratives as plain text, coders as users, evidence as coded selections."""

from __future__ import annotations

import datetime
import io
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from boundary_research._checks import check_file
from boundary_research._files import write_atomically
from boundary_research.codebook._exchange_tables import (
    Decision,
    Exchange,
    by_narrative,
    read_decisions,
    read_incidents,
)
from boundary_research.codebook._refi_codebook import (
    ORIGIN,
    PROJECT_SPACE,
    add_codebook_set,
    add_codes,
    category_guid,
    forbidden_characters,
    make_guid,
    xml_bytes,
    xml_text,
)
from boundary_research.codebook._refi_reading import ProjectReader
from boundary_research.codebook.model import Codebook

RECORD = "Coding record"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same project
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_qdpx(
    path: str | Path,
    incidents: pd.DataFrame,
    codings: pd.DataFrame,
    codebook: Codebook,
    *,
    name: str | None = None,
) -> list[str]:
    """Write narratives and codings as a REFI-QDA project (``.qdpx``).

    Evidence becomes selections, counted in Unicode code points from 0 with the end exclusive, on
    the narrative exactly as it is (a line end of two characters counts two); a category that is
    present without evidence is coded on the whole source. The standard has no place for "looked at
    and absent", severity and notes on a coding: these stand in one note per narrative and coder,
    as YAML. Other columns of the incidents become variables, and ids the names of sources (some
    tools make file names of these, and fail on an id with a slash). GUIDs are made from ids, so
    that the same study gives the same file.

    Parameters
    ----------
    path : str or pathlib.Path
    incidents, codings : pandas.DataFrame
        The tables of these names.
    codebook : Codebook
    name : str, optional
        Name of the project, by default that of the file.

    Returns
    -------
    list of str
        What the format could not hold, in sentences; empty if nothing.

    Raises
    ------
    DataError
        If the tables do not fit one another or the file cannot be written.
    """
    table = read_incidents(incidents)
    decisions, lost = read_decisions(codings, table, codebook)
    lost += forbidden_characters(codebook)
    root = ET.Element("Project", xmlns=PROJECT_SPACE, name=xml_text(name or Path(path).stem))
    root.set("origin", ORIGIN)
    coders = sorted({decision.coder_id for decision in decisions})
    if coders:
        users = ET.SubElement(root, "Users")
        for coder in coders:
            label = xml_text(coder)
            ET.SubElement(users, "User", guid=make_guid("user", coder), name=label, id=label)
    add_codes(ET.SubElement(root, "CodeBook"), codebook)
    variables = _add_variables(root, table)
    texts = _add_sources(root, table, decisions, codebook, variables)
    _add_records(root, decisions)
    add_codebook_set(root, codebook, reference="targetGUID")
    damaged = sum(bool(_SURROGATE.search(text)) for text in table["narrative"])
    if damaged:
        lost.append(f"Lone surrogates in {damaged} narratives were replaced by '?'.")
    changed = _count_changed(table, coders)
    if changed:
        lost.append(
            f"Characters that XML cannot hold were replaced in {changed} ids, names and values."
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        members = {"project.qde": xml_bytes(root)} | {
            f"sources/{guid}.txt": _encode(text) for guid, text in texts.items()
        }
        for member, content in members.items():
            stream.writestr(
                zipfile.ZipInfo(member, _DATE), content, compress_type=zipfile.ZIP_DEFLATED
            )
    write_atomically(path, lambda file: file.write_bytes(archive.getvalue()))
    return lost


def read_qdpx(path: str | Path) -> Exchange:
    """Read a REFI-QDA project (``.qdpx``) of any tool.

    Text sources become narratives, users coders, codes categories and coded selections evidence.
    A file of another tool holds no "looked at and absent"; its codings are presences only.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Exchange
        With `lost`: what the project holds and the tables cannot.

    Raises
    ------
    DataError
        If the file is not a project, or its texts are missing.
    """
    file = check_file(path, what="REFI-QDA project")
    return ProjectReader(file).read()


def _encode(text: str) -> bytes:
    # Readers take one byte-order mark off, so a text that begins with one needs another.
    return ("\ufeff" + text if text.startswith("\ufeff") else text).encode("utf-8", "replace")


def _count_changed(table: pd.DataFrame, coders: list[str]) -> int:
    """Return how many ids, names and values hold characters that XML forbids."""
    others = table.drop(columns="narrative")
    texts = [*coders, *others.columns]
    for column in others.columns:
        if not pd.api.types.is_numeric_dtype(others[column]):
            texts += list(others[column].dropna())
    return sum(xml_text(text) != str(text) for text in texts)


def _kind(values: pd.Series) -> tuple[str, str]:
    """Return the standard's type of a variable, and the element that holds a value."""
    if pd.api.types.is_bool_dtype(values):
        return "Boolean", "BooleanValue"
    if pd.api.types.is_integer_dtype(values):
        return "Integer", "IntegerValue"
    if pd.api.types.is_float_dtype(values):
        return "Float", "FloatValue"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "DateTime", "DateTimeValue"
    return "Text", "TextValue"


def _value_text(value: Any, kind: str) -> str:
    if kind == "Boolean":
        return "true" if value else "false"
    if kind == "Float":
        return format(value, "f") if float(format(value, "f")) == value else _decimal(value)
    if kind == "DateTime":
        return pd.Timestamp(value).isoformat()
    return xml_text(value)


def _decimal(value: float) -> str:
    """Return all digits of a float without an exponent, which xsd:decimal does not allow."""
    from decimal import Decimal

    return format(Decimal(repr(float(value))), "f")


def _add_variables(root: ET.Element, table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Declare the other columns of the incidents; return column, type and element of each."""
    columns = [str(c) for c in table.columns if c not in ("incident_id", "narrative")]
    found = [(column, *_kind(table[column])) for column in columns]
    if found:
        variables = ET.SubElement(root, "Variables")
        for column, kind, _ in found:
            guid = make_guid("variable", column)
            ET.SubElement(
                variables, "Variable", guid=guid, name=xml_text(column), typeOfVariable=kind
            )
    return found


def _date(text: str | None) -> dict[str, str]:
    try:
        when = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return {}
    return {"creationDateTime": when.isoformat()}


def _add_coding(parent: ET.Element, decision: Decision, codebook: Codebook, place: str) -> None:
    key = (decision.incident_id, decision.coder_id, decision.category)
    coding = ET.SubElement(parent, "Coding", guid=make_guid("coding", *key, place))
    coding.set("creatingUser", make_guid("user", decision.coder_id))
    coding.attrib.update(_date(decision.coded_at))
    ET.SubElement(coding, "CodeRef", targetGUID=category_guid(codebook, decision.category))


def _add_sources(
    root: ET.Element,
    table: pd.DataFrame,
    decisions: list[Decision],
    codebook: Codebook,
    variables: list[tuple[str, str, str]],
) -> dict[str, str]:
    """Put the narratives and what is coded in them under `root`; return the text of each GUID."""
    grouped, texts = by_narrative(decisions), {}
    sources = ET.SubElement(root, "Sources") if len(table) else root
    for row in table.to_dict("records"):
        key, text = row["incident_id"], row["narrative"]
        guid = make_guid("source", key)
        texts[guid] = text
        path = f"internal://{guid}.txt"
        source = ET.SubElement(
            sources, "TextSource", guid=guid, name=xml_text(key), plainTextPath=path
        )
        coders = grouped.get(key, {})
        for coder, own in coders.items():
            selections: dict[tuple[int, int], list[Decision]] = {}
            for decision in own:
                for span in decision.spans:
                    selections.setdefault(span, []).append(decision)
            for (start, end), coded in sorted(selections.items(), key=lambda item: item[0]):
                place = f"{start}-{end}"
                selection = ET.SubElement(
                    source,
                    "PlainTextSelection",
                    guid=make_guid("selection", key, coder, place),
                    name=xml_text(" ".join(text[start : min(end, start + 60)].split())),
                    startPosition=str(start),
                    endPosition=str(end),
                    creatingUser=make_guid("user", coder),
                )
                for decision in coded:
                    _add_coding(selection, decision, codebook, place)
        for own in coders.values():
            for decision in own:
                if decision.present and not decision.spans:
                    _add_coding(source, decision, codebook, "whole")
        for coder in coders:
            ET.SubElement(source, "NoteRef", targetGUID=make_guid("note", key, coder))
        for column, kind, element in variables:
            if pd.notna(row[column]):
                value = ET.SubElement(source, "VariableValue")
                ET.SubElement(value, "VariableRef", targetGUID=make_guid("variable", column))
                ET.SubElement(value, element).text = _value_text(row[column], kind)
    return texts


def _add_records(root: ET.Element, decisions: list[Decision]) -> None:
    """Put one note a narrative and coder under `root`, with what codings cannot say."""
    if not decisions:
        return
    notes = ET.SubElement(root, "Notes")
    for key, coders in by_narrative(decisions).items():
        for coder, own in coders.items():
            record = [
                {"category": decision.category, "present": decision.present, **decision.details()}
                for decision in own
            ]
            note = ET.SubElement(
                notes, "Note", guid=make_guid("note", key, coder), name=xml_text(f"{RECORD}: {key}")
            )
            note.set("creatingUser", make_guid("user", coder))
            text = yaml.safe_dump({"decisions": record}, allow_unicode=True, sort_keys=False)
            ET.SubElement(note, "PlainTextContent").text = xml_text(text)
