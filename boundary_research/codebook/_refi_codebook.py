"""Codebooks as REFI-QDA: families and categories as codes, the rest as YAML in descriptions.

The standard knows a code's name, description, colour and place in a tree. What else a codebook
says stands under a line of its own in the descriptions, readable in any tool, and is read back
from there.
"""

from __future__ import annotations

import colorsys
import json
import re
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.parsers import expat

import yaml

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_atomically
from boundary_research.codebook._exchange_tables import make_id
from boundary_research.codebook._parsing import parse_codebook
from boundary_research.codebook.model import Codebook, _build

CODEBOOK_SPACE = "urn:QDA-XML:codebook:1.0"
PROJECT_SPACE = "urn:QDA-XML:project:1.0"
ORIGIN = "boundary_research"
_GUIDS = uuid.uuid5(uuid.NAMESPACE_OID, ORIGIN)
_RULE = "\n\n---\n"  # between what a person wrote and what is kept for reading back
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNGROUPED = "Ungrouped"


def make_guid(*parts: object) -> str:
    """Return the GUID of a thing, the same in every run (UUID version 5 of its names)."""
    return str(uuid.uuid5(_GUIDS, json.dumps([str(part) for part in parts])))


def xml_text(text: object) -> str:
    """Return text with the characters that XML 1.0 forbids replaced."""
    return _NOT_IN_XML.sub("\ufffd", str(text))


def xml_bytes(root: ET.Element) -> bytes:
    """Return a document in UTF-8; carriage returns stay, which a parser would else drop."""
    ET.indent(root)
    content = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content.replace(b"\r", b"&#13;") + b"\n"


def parse_xml(content: bytes, *, source: str) -> ET.Element:
    """Return the root of a document; one with a document type (entities) is refused."""

    def refuse(*_: object) -> None:
        raise DataError(f"{source} declares a document type, which REFI-QDA files never need.")

    scanner = expat.ParserCreate()
    scanner.StartDoctypeDeclHandler = refuse
    try:
        scanner.Parse(content, True)
        return ET.fromstring(content)
    except (expat.ExpatError, ET.ParseError) as error:
        raise DataError(
            f"{source} is not well-formed XML (line {error.lineno}). Export it again."
        ) from None


def local_name(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: ET.Element | None, name: str) -> list[ET.Element]:
    """Return the children of this name, in whatever namespace."""
    return [] if element is None else [child for child in element if local_name(child) == name]


def child(element: ET.Element | None, name: str) -> ET.Element | None:
    """Return the first child of this name, or None."""
    found = children(element, name)
    return found[0] if found else None


def clean_guid(text: str | None) -> str:
    """Return a GUID without braces and case, so that references match."""
    return (text or "").strip("{} \n").casefold()


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000)


def _describe(text: str, kept: dict[str, Any]) -> str:
    kept = {key: value for key, value in kept.items() if value not in ("", None, (), [], {})}
    return text + _RULE + _yaml(kept)


def split_description(text: str) -> tuple[str, dict[str, Any]]:
    """Return what a person wrote, and what was kept for reading back (empty if not from here)."""
    written, rule, kept = text.rpartition(_RULE)
    if rule:
        try:
            content = yaml.safe_load(kept)
        except yaml.YAMLError:
            content = None
        if isinstance(content, dict) and isinstance(content.get("id"), str):
            return written, content
    return text, {}


def _colour(place: int) -> str:
    """Return a colour far from those of the places before (steps of the golden ratio)."""
    red, green, blue = colorsys.hls_to_rgb(place * 0.618034 % 1, 0.55, 0.6)
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


def category_guid(codebook: Codebook, category: str) -> str:
    """Return the GUID of a category's code."""
    return make_guid("code", codebook.id, category)


def add_codes(parent: ET.Element, codebook: Codebook) -> None:
    """Put the tree of codes under `parent`."""
    codes = ET.SubElement(parent, "Codes")
    places: dict[str, ET.Element] = {}
    for family in codebook.families:
        guid = make_guid("family", codebook.id, family.id)
        code = ET.SubElement(
            codes, "Code", guid=guid, name=xml_text(family.label), isCodable="false"
        )
        pole = {"id": family.id, "pole": family.pole}
        ET.SubElement(code, "Description").text = _describe("", pole)
        places[family.id] = code
    content = codebook.to_dict()["categories"]
    for place, (category, parts) in enumerate(zip(codebook, content, strict=True)):
        kept = {key: parts[key] for key in parts if key not in ("label", "definition", "family")}
        kept["exclude"] = [
            {key: item[key] for key in item if item[key] is not None} for item in kept["exclude"]
        ]
        code = ET.SubElement(
            places.get(category.family, codes),
            "Code",
            guid=category_guid(codebook, category.id),
            name=xml_text(category.label),
            isCodable="true",
            color=_colour(place),
        )
        ET.SubElement(code, "Description").text = xml_text(_describe(category.definition, kept))


def add_codebook_set(parent: ET.Element, codebook: Codebook, *, reference: str) -> None:
    """Put a set of all codes under `parent`: what the codebook says as a whole, and its order."""
    sets = ET.SubElement(parent, "Sets")
    guid = make_guid("codebook", codebook.id)
    whole = ET.SubElement(sets, "Set", guid=guid, name=xml_text(codebook.name))
    kept = codebook.to_dict()
    kept = {key: kept[key] for key in kept if key not in ("categories", "families")}
    ET.SubElement(whole, "Description").text = xml_text(_describe(codebook.unit, kept))
    for category in codebook.category_ids:
        ET.SubElement(whole, "MemberCode", {reference: category_guid(codebook, category)})


def read_codes(
    codes: ET.Element | None, sets: ET.Element | None, *, name: str, lost: list[str]
) -> tuple[Codebook | None, dict[str, str]]:
    """Return the codebook of a tree of codes, and the category of each codable code's GUID."""
    reader = _CodeReader()
    for code in children(codes, "Code"):
        reader.read(code, family=None, depth=0)
    if not reader.categories:
        return None, {}
    whole: dict[str, Any] = {"id": make_id(name, ()), "name": name, "version": "1"}
    order: list[str] = []
    foreign = 0
    for group in children(sets, "Set"):
        kept = split_description(_description(group))[1]
        if {"name", "version"} <= set(kept):
            whole = kept
            order = [clean_guid(m.get("guid") or m.get("targetGUID")) for m in group]
        else:
            foreign += 1
    if foreign:
        lost.append(f"{foreign} sets are not read.")
    if reader.deeper:
        lost.append(f"{reader.deeper} codes below the second level were moved up to it.")
    ranks = {guid: rank for rank, guid in enumerate(order)}
    listed = sorted(reader.categories, key=lambda item: ranks.get(item[0], len(ranks)))
    content = dict(whole)
    families = list(reader.families.values())
    if families and any("family" not in category for _, category in listed):
        spare = make_id(_UNGROUPED, {family["id"] for family in families})
        families.append({"id": spare, "label": _UNGROUPED})
        for _, category in listed:
            category.setdefault("family", spare)
    content["families"] = families
    content["categories"] = [category for _, category in listed]
    book = _build(parse_codebook(_yaml(content), source=f"Codebook of {name!r}"))
    return book, {guid: category["id"] for guid, category in listed}


def _description(element: ET.Element) -> str:
    found = child(element, "Description")
    return "" if found is None or found.text is None else found.text


class _CodeReader:
    """Flattens a tree of codes into families and categories."""

    def __init__(self) -> None:
        self.families: dict[str, dict[str, Any]] = {}
        self.categories: list[tuple[str, dict[str, Any]]] = []
        self.deeper = 0

    def read(self, code: ET.Element, *, family: str | None, depth: int) -> None:
        guid, label = clean_guid(code.get("guid")), (code.get("name") or "").strip() or "unnamed"
        written, kept = split_description(_description(code))
        inner = children(code, "Code")
        codable = code.get("isCodable", "true") in ("true", "1")
        self.deeper += depth > 1
        if depth == 0 and (inner or not codable):
            taken = {item["id"] for item in self.families.values()}
            own = kept.get("id") if not codable else None
            found = {"id": own if own not in (None, *taken) else make_id(label, taken)}
            found["label"] = label
            if "pole" in kept and not codable:
                found["pole"] = kept["pole"]
            self.families[guid] = found
            family = found["id"]
        if codable:
            taken = {item["id"] for _, item in self.categories}
            own = kept.pop("id", None)
            category = dict(kept)
            category["id"] = own if own not in (None, *taken) else make_id(label, taken)
            category["label"] = label
            category["definition"] = written.strip("\n") or label
            if family is not None:
                category["family"] = family
            self.categories.append((guid, category))
        for below in inner:
            self.read(below, family=family, depth=depth + 1)


def write_qdc(codebook: Codebook, path: str | Path) -> list[str]:
    """Write a codebook as a REFI-QDA codebook (``.qdc``) for NVivo, MAXQDA, ATLAS.ti and others.

    Families become codes that cannot be applied, with the categories below them. Rules for coding
    stand in the descriptions as YAML, so that `read_qdc` gives the same codebook back.

    Parameters
    ----------
    codebook : Codebook
    path : str or pathlib.Path

    Returns
    -------
    list of str
        What the format could not hold, in sentences; empty if nothing.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    root = ET.Element("CodeBook", xmlns=CODEBOOK_SPACE, origin=ORIGIN)
    add_codes(root, codebook)
    add_codebook_set(root, codebook, reference="guid")
    content = xml_bytes(root)
    write_atomically(path, lambda file: file.write_bytes(content))
    return forbidden_characters(codebook)


def forbidden_characters(codebook: Codebook) -> list[str]:
    """Return a sentence if texts of the codebook hold characters that XML forbids."""
    if _NOT_IN_XML.search(json.dumps(codebook.to_dict(), ensure_ascii=False)):
        return ["Control characters in the codebook's texts were replaced by U+FFFD."]
    return []


def read_qdc(path: str | Path) -> tuple[Codebook, list[str]]:
    """Read a REFI-QDA codebook (``.qdc``) of any tool.

    Codes that cannot be applied, and codes with codes below them, become families; ids are made
    from names where the file was not written here.

    Returns
    -------
    codebook : Codebook
    lost : list of str
        What the file holds and a codebook cannot, in sentences.

    Raises
    ------
    DataError
        If the file is not one.
    """
    file = check_file(path, what="REFI-QDA codebook")
    root = parse_xml(file.read_bytes(), source=file.name)
    if local_name(root) != "CodeBook":
        raise DataError(f"{file.name} is no REFI-QDA codebook. For a project use read_qdpx.")
    lost: list[str] = []
    book, _ = read_codes(child(root, "Codes"), child(root, "Sets"), name=file.stem, lost=lost)
    if book is None:
        raise DataError(f"{file.name} holds no code that can be applied.")
    return book, lost
