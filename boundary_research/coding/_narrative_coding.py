"""One coder's coding of one narrative: what it holds, and when it is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boundary_research._checks import DataError, check_choice

VERDICTS = ("", "none", "unclear")
STATES = ("open", "skipped", "submitted")
NOTE_CHARACTERS = 20_000


@dataclass(frozen=True)
class CategoryCoding:
    """A category found present: its severity (or None) and its evidence spans.

    `spans` are pairs (start, end) of character offsets in Unicode code points, `end` exclusive,
    sorted and without repeats; they may overlap.
    """

    category: str
    severity: int | None = None
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class NarrativeCoding:
    """The categories found present, the verdict (``""``, ``"none"``, ``"unclear"``) and a note."""

    categories: tuple[CategoryCoding, ...] = ()
    verdict: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the coding as lists, dicts, numbers and text, as the page sends it."""
        return {
            "verdict": self.verdict,
            "note": self.note,
            "categories": {
                c.category: {"severity": c.severity, "spans": [list(span) for span in c.spans]}
                for c in self.categories
            },
        }


def severity_choices(codebook: Mapping[str, Any], category: str) -> list[int]:
    """Return the severity levels that a category may have: its own, else the codebook's."""
    own = next(c["severity"] for c in codebook["categories"] if c["id"] == category)
    return sorted(int(level) for level in (own or codebook["severity_levels"]))


def check_severity(value: Any, codebook: Mapping[str, Any], category: str) -> int | None:
    """Return a severity that `category` may have, or None where it is not given.

    Raises
    ------
    DataError
        If the level is not one of the category's.
    """
    if value is None:
        return None
    levels = severity_choices(codebook, category)
    if isinstance(value, bool) or not isinstance(value, int) or value not in levels:
        listed = ", ".join(map(str, levels)) or "none"
        raise DataError(f"severity of {category!r} must be one of {listed}, or left out.")
    return value


def _check_spans(value: Any, category: str, length: int) -> tuple[tuple[int, int], ...]:
    spans = set()
    given: list[Any] = list(value) if isinstance(value, list | tuple) else [None]
    for span in given:
        right = (
            isinstance(span, list | tuple)
            and len(span) == 2
            and all(isinstance(offset, int) and not isinstance(offset, bool) for offset in span)
            and 0 <= span[0] < span[1] <= length
        )
        if not right:
            raise DataError(
                f"evidence of {category!r} must be pairs of character offsets (start, end) with "
                f"0 <= start < end <= {length}. Select the text again."
            )
        spans.add((span[0], span[1]))
    return tuple(sorted(spans))


def check_coding(
    content: Any, codebook: Mapping[str, Any], *, length: int, source: str = "coding"
) -> NarrativeCoding:
    """Return `content` (a dict as the page sends it) as a checked `NarrativeCoding`.

    Parameters
    ----------
    content : dict
        `categories` (id to `severity` and `spans`), `verdict`, `note`; all may be left out.
    codebook : dict
        As from ``Codebook.to_dict()``.
    length : int
        Number of characters (code points) of the narrative.
    source : str
        What to call it in a message.

    Raises
    ------
    DataError
        If a category, severity, span or verdict is not allowed, or a verdict stands beside
        categories.
    """
    given: Any = content.get("categories", {}) if isinstance(content, Mapping) else None
    if not isinstance(given, Mapping):
        raise DataError(f"{source}: an object with categories, verdict and note is needed.")
    known = [category["id"] for category in codebook["categories"]]
    for category, coded in given.items():
        check_choice(category, known, name=f"{source}: category")
        if not isinstance(coded, Mapping):
            raise DataError(f"{source}: category {category!r} needs severity and spans.")
    categories = tuple(
        CategoryCoding(
            category,
            check_severity(given[category].get("severity"), codebook, category),
            _check_spans(given[category].get("spans", []), category, length),
        )
        for category in known
        if category in given
    )
    verdict = content.get("verdict", "")
    if verdict not in VERDICTS:
        raise DataError(f"{source}: verdict must be none, unclear or empty.")
    if verdict and categories:
        raise DataError(
            f"{source}: {verdict!r} cannot stand beside categories. Take one of them away."
        )
    note = content.get("note", "")
    if not isinstance(note, str) or len(note) > NOTE_CHARACTERS:
        raise DataError(f"{source}: note must be text of at most {NOTE_CHARACTERS:,} characters.")
    try:
        note.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{source}: note holds half a character. Type it again.") from None
    return NarrativeCoding(categories, verdict, note)


def missing_parts(
    coding: NarrativeCoding,
    codebook: Mapping[str, Any],
    *,
    require_evidence: bool,
    require_severity: bool,
) -> list[dict[str, str]]:
    """Return what a coding still needs before it can be submitted.

    Each entry has `category` (empty for the narrative as a whole) and `needs`: ``"decision"``,
    ``"evidence"`` or ``"severity"``.
    """
    if not coding.categories and not coding.verdict:
        return [{"category": "", "needs": "decision"}]
    missing = []
    for coded in coding.categories:
        if require_evidence and not coded.spans:
            missing.append({"category": coded.category, "needs": "evidence"})
        asked = require_severity and bool(severity_choices(codebook, coded.category))
        if asked and coded.severity is None:
            missing.append({"category": coded.category, "needs": "severity"})
    return missing
