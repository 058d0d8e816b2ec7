"""The JSON schema of study.yaml, applied so that every complaint names the line and what to do."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from boundary_research._yaml import KeyPath

SCHEMA_FILE = Path(__file__).with_name("study.schema.json")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list"),
    "object": ((dict,), "a mapping of keys to values"),
    "null": ((type(None),), "null"),
}
# What the schema may use; a test holds it to that, so that no constraint is passed over in silence.
KEYWORDS = {
    "$schema", "$id", "$ref", "$defs", "title", "description", "default", "type", "enum", "oneOf",
    "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
    "uniqueItems", "minLength", "pattern", "minimum", "maximum", "exclusiveMinimum",
}  # fmt: skip
# YAML 1.1 reads 1e-8 as text; editors, which go by YAML 1.2, as a number.
_SCIENTIFIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")

# Takes the place to name, the problem, and (where it is another) the place that cannot be used.
Note = Callable[..., None]


@lru_cache
def read_schema() -> dict[str, Any]:
    """Return the schema of study.yaml (JSON Schema, draft 2020-12)."""
    content: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))
    return content


def _is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name][0])


def _types_of(schema: dict[str, Any]) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else list(named)


def _follow(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that a reference points to (``#/$defs/name``), or the schema itself."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = read_schema()["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _branch(value: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the alternative whose type the value has; the schema's alternatives differ in type."""
    schema = _follow(schema)
    if "oneOf" not in schema:
        return schema
    options = [_follow(option) for option in schema["oneOf"]]
    for option in options:
        if any(_is_type(value, name) for name in _types_of(option)):
            return option
    return {"type": [name for option in options for name in _types_of(option)]}


def describe_schema() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key of study.yaml with its schema, as a dotted path (``gold.sample``)."""
    yield from _describe(read_schema(), "")


def _describe(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = _follow(schema)
    for option in schema.get("oneOf", [])[:1]:
        schema = _follow(option)
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}", part
        yield from _describe(part, f"{path}{name}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _describe(schema["additionalProperties"], f"{path}NAME.")
    if "items" in schema:
        yield from _describe(schema["items"], f"{path.removesuffix('.')}[].")


def coerce(value: Any, schema: dict[str, Any] | None = None) -> Any:
    """Return a document with 1e-8 read as a number and 5.0 as 5 where the schema wants that."""
    schema = _branch(value, read_schema() if schema is None else schema)
    types = _types_of(schema)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        other = rest if isinstance(rest, dict) else {}
        return {key: coerce(item, known.get(key, other)) for key, item in value.items()}
    if isinstance(value, list):
        return [coerce(item, schema.get("items", {})) for item in value]
    wants_number = "number" in types and "string" not in types
    if wants_number and isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
        return float(value)
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def check_schema(
    value: Any, note: Note, schema: dict[str, Any] | None = None, path: KeyPath = ()
) -> None:
    """Note every place where a document does not fit the schema."""
    schema = _branch(value, read_schema() if schema is None else schema)
    types = _types_of(schema)
    if types and not any(_is_type(value, name) for name in types):
        note(path, _wrong_type(value, types))
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = [str(item) for item in schema["enum"]]
        note(path, f"{value!r} not found.{_suggest(value, allowed)} Allowed: {', '.join(allowed)}.")
    if isinstance(value, dict):
        _check_object(value, note, schema, path)
    elif isinstance(value, list):
        _check_array(value, note, schema, path)
    elif isinstance(value, str):
        _check_text(value, note, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(value, note, schema, path)


def _wrong_type(value: Any, types: list[str]) -> str:
    wanted = " or ".join(dict.fromkeys(_TYPES[name][1] for name in types))
    if value is None:
        return f"must be {wanted}, but nothing stands there. Give it a value, or remove the key."
    if types == ["string"] and isinstance(value, int | float | bool):
        return "must be text. Put it in quotes."
    if types == ["array"] and isinstance(value, str):
        return "must be a list. Put it in square brackets: [a, b]."
    return f"must be {wanted}."


def _check_object(value: dict[Any, Any], note: Note, schema: dict[str, Any], path: KeyPath) -> None:
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in known:
            check_schema(item, note, known[key], (*path, key))
        elif isinstance(rest, dict):
            check_schema(item, note, rest, (*path, key))
        elif rest is False:
            note(
                (*path, key),
                f"unknown key.{_suggest_key(str(key), list(known))} Allowed: {', '.join(known)}.",
            )
    for key in schema.get("required", []):
        if key not in value:
            meaning = known.get(key, {}).get("description", "")
            told = f"key {key!r} is missing. Add it: {meaning[:1].lower()}{meaning[1:]}"
            note(path, told, (*path, key))


def _check_array(value: list[Any], note: Note, schema: dict[str, Any], path: KeyPath) -> None:
    few, many = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if not few <= len(value) <= many:
        wanted = f"{few}" if few == many else f"at least {few}"
        note(path, f"must hold {wanted} item{'s' if few != 1 else ''}, holds {len(value)}.")
    for i, item in enumerate(value):
        check_schema(item, note, schema.get("items", {}), (*path, i))
        if schema.get("uniqueItems") and item in value[:i]:
            note((*path, i), "stands twice. Keep one.")


def _check_text(value: str, note: Note, schema: dict[str, Any], path: KeyPath) -> None:
    if len(value) < schema.get("minLength", 0):
        note(path, "is empty. Give it a value.")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        note(path, f"does not fit. {schema.get('description', '')}")


def _check_number(value: float, note: Note, schema: dict[str, Any], path: KeyPath) -> None:
    if not math.isfinite(value):
        note(path, "must be a finite number.")
    if value < schema.get("minimum", -math.inf):
        note(path, f"must be {schema['minimum']} or more, got {value:g}.")
    if value <= schema.get("exclusiveMinimum", -math.inf):
        note(path, f"must be above {schema['exclusiveMinimum']}, got {value:g}.")
    if value > schema.get("maximum", math.inf):
        note(path, f"must be {schema['maximum']} or less, got {value:g}.")


def _suggest(value: Any, allowed: list[str]) -> str:
    near = difflib.get_close_matches(str(value).lower(), allowed, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def _suggest_key(key: str, allowed: list[str]) -> str:
    near = _suggest(key, allowed)
    if near:
        return near
    places = [name.rsplit(".", 1)[0] for name, _ in describe_schema() if name.endswith(f".{key}")]
    return f" It belongs under {' or '.join(places)}." if places else ""
