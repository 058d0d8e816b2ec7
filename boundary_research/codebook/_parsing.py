"""YAML to checked plain data, with the line of every key for messages."""

from __future__ import annotations

import re
from typing import Any

from boundary_research._yaml import KeyPath as _Path
from boundary_research._yaml import YamlReader

_ID = re.compile(r"[a-z][a-z0-9_]*")

_TOP = {
    "id": str,
    "name": str,
    "version": str,
    "language": str,
    "licence": str,
    "unit": str,
    "rules": list,
    "severity_levels": dict,
    "reserved": dict,
    "families": list,
    "categories": list,
    "attributes": list,
    "confusable_pairs": list,
    "references": dict,
}
_PARTS: dict[str, dict[str, type]] = {
    "families": {"id": str, "label": str, "pole": str},
    "categories": {
        "id": str,
        "family": str,
        "label": str,
        "definition": str,
        "include": list,
        "exclude": list,
        "neighbour_rule": str,
        "indicators": list,
        "severity": dict,
        "always_severe": list,
        "subcodes": list,
        "references": list,
    },
    "attributes": {
        "id": str,
        "label": str,
        "levels": list,
        "note": str,
        "analysis_role": str,
        "ordered": bool,
        "several": bool,
        "open": bool,
    },
    "confusable_pairs": {"categories": list, "question": str},
}
_NEEDED = {
    "": ["id", "name", "version", "categories"],
    "families": ["id", "label"],
    "categories": ["id", "label", "definition"],
    "attributes": ["id", "label", "levels"],
    "confusable_pairs": ["categories"],
}
_POLES = ("over", "under", "off_axis")
_ROLES = ("exposure", "confounder", "mediator", "collider", "after_outcome")
_TYPE_NAMES = {
    str: "text",
    list: "a list",
    dict: "a mapping of keys to texts",
    bool: "true or false",
}


class _Reader(YamlReader):
    """Checks one codebook."""

    def check_keys(self, content: Any, part: str, path: _Path) -> None:
        """Check that a mapping has the keys it needs, no others, and values of the right kind."""
        known = _PARTS[part] if part else _TOP
        if not isinstance(content, dict):
            raise self.fail(path, f"must be a mapping with {', '.join(_NEEDED[part])}.")
        for key, value in content.items():
            if key not in known:
                raise self.fail((*path, key), f"unknown key. Allowed: {', '.join(known)}.")
            if known[key] is str and isinstance(value, int | float) and key == "version":
                content[key] = str(value)
            elif not isinstance(value, known[key]):
                raise self.fail((*path, key), f"must be {_TYPE_NAMES[known[key]]}.")
            elif isinstance(value, str) and not value.strip() and key in _NEEDED[part]:
                raise self.fail((*path, key), "is empty. Give it a value.")
        for key in _NEEDED[part]:
            if key not in content:
                raise self.fail(path, f"key {key!r} is missing. Add it.")

    def check_ids(self, items: list[dict[str, Any]], part: str) -> list[str]:
        seen: list[str] = []
        for i, item in enumerate(items):
            path: _Path = (part, i)
            self.check_keys(item, part, path)
            if not _ID.fullmatch(item["id"]):
                raise self.fail(
                    (*path, "id"),
                    f"id {item['id']!r} must be lower-case letters, digits and underscores, "
                    f"with a letter first.",
                )
            if item["id"] in seen:
                raise self.fail((*path, "id"), f"id {item['id']!r} stands twice. Rename one.")
            seen.append(item["id"])
        return seen

    def check_texts(self, content: dict[str, Any], keys: list[str], path: _Path) -> None:
        for key in keys:
            for i, value in enumerate(content.get(key, [])):
                if not isinstance(value, str):
                    raise self.fail((*path, key, i), "must be text. Put it in quotes.")

    def check_categories(self, content: dict[str, Any]) -> None:
        families = self.check_ids(content.get("families", []), "families")
        categories = self.check_ids(content["categories"], "categories")
        if not categories:
            raise self.fail(("categories",), "holds no category. Add at least one.")
        reserved = list(content.get("reserved", {})) or ["none", "unclear"]
        for i, category in enumerate(content["categories"]):
            path: _Path = ("categories", i)
            if category["id"] in reserved:
                raise self.fail((*path, "id"), f"{category['id']!r} is a reserved value.")
            if families and category.get("family") not in families:
                raise self.fail(
                    (*path, "family"),
                    f"family {category.get('family')!r} not found. "
                    f"Available: {', '.join(families)}.",
                )
            self.check_texts(category, ["include", "indicators", "always_severe", "subcodes"], path)
            self.check_exclusions(category, categories + reserved, path)
            self.check_severity(category.get("severity", {}), (*path, "severity"))
            known = content.get("references", {})
            for j, key in enumerate(category.get("references", [])):
                if known and key not in known:
                    raise self.fail((*path, "references", j), f"reference {key!r} is not listed.")
        for i, family in enumerate(content.get("families", [])):
            if family.get("pole", "off_axis") not in _POLES:
                raise self.fail(("families", i, "pole"), f"must be one of {', '.join(_POLES)}.")
        for i, pair in enumerate(content.get("confusable_pairs", [])):
            self.check_keys(pair, "confusable_pairs", ("confusable_pairs", i))
            named = pair["categories"]
            if len(named) != 2 or any(name not in categories for name in named):
                raise self.fail(
                    ("confusable_pairs", i, "categories"),
                    "must name two categories of this codebook.",
                )

    def check_exclusions(self, category: dict[str, Any], known: list[str], path: _Path) -> None:
        for j, item in enumerate(category.get("exclude", [])):
            place = (*path, "exclude", j)
            if isinstance(item, str):
                continue
            if not isinstance(item, dict) or "text" not in item or set(item) - {"text", "see"}:
                raise self.fail(place, "must be text, or a mapping with text and see.")
            if item.get("see") is not None and item["see"] not in known:
                raise self.fail(
                    (*place, "see"), f"{item['see']!r} not found. Available: {', '.join(known)}."
                )

    def check_severity(self, severity: dict[Any, Any], path: _Path) -> None:
        for level, text in severity.items():
            if level not in (0, 1, 2) or not isinstance(text, str):
                raise self.fail((*path, level), "severity has the levels 0, 1 and 2, each a text.")

    def check_attributes(self, content: dict[str, Any]) -> None:
        self.check_ids(content.get("attributes", []), "attributes")
        for i, attribute in enumerate(content.get("attributes", [])):
            self.check_texts(attribute, ["levels"], ("attributes", i))
            if attribute.get("analysis_role", "confounder") not in _ROLES:
                raise self.fail(
                    ("attributes", i, "analysis_role"), f"must be one of {', '.join(_ROLES)}."
                )


def parse_codebook(text: str, *, source: str) -> dict[str, Any]:
    """Return the checked content of a codebook's YAML text.

    Raises
    ------
    DataError
        Naming `source`, the line and the key.
    """
    reader = _Reader(source, "Codebook")
    content = reader.read(text)
    reader.check_keys(content, "", ())
    for key in ("severity_levels", "reserved", "references"):
        for name, value in content.get(key, {}).items():
            if not isinstance(value, str):
                raise reader.fail((key, name), "must be text. Put it in quotes.")
    reader.check_texts(content, ["rules"], ())
    reader.check_severity(content.get("severity_levels", {}), ("severity_levels",))
    reader.check_categories(content)
    reader.check_attributes(content)
    return content
