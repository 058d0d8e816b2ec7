"""What a study.yaml comes to: its defaults filled in, from the schema, and what differs in two."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import Any

from boundary_research.study._plan_schema import read_schema

ANALYSIS = "risk_factors"  # the name of an analysis that is the only one
GOLD_FILES = ("sample", "codings", "gold", "evidence")
FILE_KEYS = (
    ("incidents", "file"),
    ("incidents", "only"),
    *(("gold", key) for key in GOLD_FILES),
    ("codebook",),
    ("classifier", "train_on"),
    ("output",),
)
_WORDS = {("codebook",): ("bundled",), ("classifier", "train_on"): ("gold", "bundled")}


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    parts = schema["properties"].items()
    return {key: part["default"] for key, part in parts if "default" in part}


def list_analyses(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the analyses of risk factors as they stand in the file, none, one or several."""
    given = content.get("risk_factors", [])
    return [given] if isinstance(given, dict) else list(given)


def fill_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a plan that are compared and run, with defaults filled in.

    Parameters
    ----------
    content : dict
        A study.yaml that fits the schema.

    Returns
    -------
    dict
        seed, codebook, sampling, coders, gold_coders, classifier, prevalence, analyses,
        comparisons, negative_control, multiple_testing, tolerances.
    """
    schema = read_schema()
    known = schema["properties"]
    testing = _defaults(known["multiple_testing"]) | content.get("multiple_testing", {})
    prevalence = _defaults(known["prevalence"]) | content.get("prevalence", {})
    inherited = {"adjust": testing["adjust"]}
    if "clusters" in prevalence:
        inherited["clusters"] = prevalence["clusters"]
    base = _defaults(schema["$defs"]["analysis"]) | inherited
    classifier = _defaults(known["classifier"]) | content.get("classifier", {})
    if "parameters" in classifier:
        classifier["parameters"] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in classifier["parameters"].items()
        }
    people = _defaults(known["coders"]["items"])
    return {
        "seed": content.get("seed", known["seed"]["default"]),
        "codebook": content.get("codebook", known["codebook"]["default"]),
        "sampling": dict(content.get("sampling", {})),
        "coders": tuple(people | coder for coder in content.get("coders", [])),
        "gold_coders": tuple(content.get("gold", {}).get("coders", [])),
        "classifier": classifier,
        "prevalence": prevalence,
        "analyses": tuple(base | analysis for analysis in list_analyses(content)),
        "comparisons": tuple(dict(one) for one in content.get("comparisons", [])),
        "negative_control": dict(content.get("negative_control", {})),
        "multiple_testing": testing,
        "tolerances": _defaults(known["tolerances"]) | content.get("tolerances", {}),
    }


def is_file_name(key: tuple[str, ...], value: Any) -> bool:
    """Return whether a value under one of `FILE_KEYS` names a file (not ``bundled``, say)."""
    return isinstance(value, str) and value not in _WORDS.get(key, ())


def relative_content(content: dict[str, Any]) -> dict[str, Any]:
    """Return a plan's content without absolute paths, which say where somebody's files lie."""
    result: dict[str, Any] = json.loads(json.dumps(content))
    for *parents, last in FILE_KEYS:
        part = result
        for name in parents:
            part = part.get(name, {})
        value = part.get(last)
        if is_file_name((*parents, last), value) and PurePath(str(value)).is_absolute():
            part[last] = PurePath(str(value)).name
    return result


def comparable_content(content: dict[str, Any]) -> dict[str, Any]:
    """Return what of a plan counts as the plan: not where its files lie or results go.

    Whether files are the same is told by their hashes, not by their names.
    """
    result = relative_content(content)
    for *parents, last in FILE_KEYS:
        part = result
        for name in parents:
            part = part.get(name, {})
        if is_file_name((*parents, last), part.get(last)):
            part[last] = "(file)"
    return {key: value for key, value in result.items() if key not in ("output", "sha256")}


def hash_content(content: Any) -> str:
    """Return the SHA-256 (hex) of plain data: the same for any order of keys and any layout."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def list_differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the dotted keys under which two plans differ, in the order of the first."""
    if isinstance(first, dict) and isinstance(second, dict):
        found = []
        for key in dict.fromkeys([*first, *second]):
            place = f"{path}.{key}" if path else str(key)
            if key not in first or key not in second:
                found.append(place)
            else:
                found += list_differences(first[key], second[key], place)
        return found
    return [] if first == second else [path]
