"""The codebook: categories, families and attributes as immutable data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research.codebook._parsing import parse_codebook


@dataclass(frozen=True)
class Family:
    """A family of categories; `pole` is its side of the zone of helpfulness (over, under)."""

    id: str
    label: str
    pole: str = "off_axis"


@dataclass(frozen=True)
class Exclusion:
    """What is not coded here, and the category (or reserved value) to `see` instead."""

    text: str
    see: str | None = None


@dataclass(frozen=True)
class Category:
    """One category of the codebook."""

    id: str
    family: str
    label: str
    definition: str
    include: tuple[str, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    neighbour_rule: str = ""
    indicators: tuple[str, ...] = ()
    severity: tuple[tuple[int, str], ...] = ()
    always_severe: tuple[str, ...] = ()
    subcodes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """An attribute of an incident: a risk factor, or context.

    `analysis_role` is its default place in a causal diagram (exposure, confounder, mediator,
    collider, after_outcome); `open` lets levels occur that are not listed; `several` lets one
    incident have more than one level, joined by ``;``.
    """

    id: str
    label: str
    levels: tuple[str, ...]
    note: str = ""
    analysis_role: str = "confounder"
    ordered: bool = False
    several: bool = False
    open: bool = False


@dataclass(frozen=True)
class ConfusablePair:
    """Two categories that coders confuse, and the question that tells them apart."""

    categories: tuple[str, str]
    question: str = ""


@dataclass(frozen=True, repr=False)
class Codebook:
    """A codebook, read from YAML by `load_codebook` and never changed afterwards.

    Attributes
    ----------
    id, name, version, language, licence, unit : str
    families, categories, attributes, confusable_pairs : tuple
    rules : tuple of str
        General rules for coders.
    severity_levels : tuple of (int, str)
    reserved : tuple of (str, str)
        Values that are not categories (none, unclear), with their meaning.
    references : tuple of (str, str)
        Key and citation.

    Examples
    --------
    >>> codebook = load_codebook()
    >>> len(codebook.categories), codebook["dual_social"].family
    (14, 'role_overlap')
    >>> "dual_social" in codebook
    True
    """

    id: str
    name: str
    version: str
    categories: tuple[Category, ...]
    families: tuple[Family, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    rules: tuple[str, ...] = ()
    severity_levels: tuple[tuple[int, str], ...] = ()
    reserved: tuple[tuple[str, str], ...] = ()
    confusable_pairs: tuple[ConfusablePair, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    language: str = "en"
    licence: str = ""
    _by_id: dict[str, Category] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {c.id: c for c in self.categories})

    def __repr__(self) -> str:
        return f"<Codebook {self.id} {self.version}: {len(self)} categories>"

    @property
    def category_ids(self) -> list[str]:
        """The ids of the categories, in the codebook's order."""
        return [category.id for category in self.categories]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the content: the same for any layout of the same YAML."""
        content = asdict(self)
        content.pop("_by_id")
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __getitem__(self, category: str) -> Category:
        if category not in self._by_id:
            raise DataError(
                f"category {category!r} not found in codebook {self.id} {self.version}. "
                f"Available: {', '.join(self.category_ids)}."
            )
        return self._by_id[category]

    def __contains__(self, category: object) -> bool:
        return category in self._by_id

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    def __len__(self) -> int:
        return len(self.categories)

    def attribute(self, id: str) -> Attribute:
        """Return the attribute with this id; DataError if there is none."""
        for attribute in self.attributes:
            if attribute.id == id:
                return attribute
        known = ", ".join(attribute.id for attribute in self.attributes)
        raise DataError(f"attribute {id!r} not found. Available: {known or 'none'}.")

    def in_family(self, family: str) -> list[Category]:
        """Return the categories of one family, in order."""
        return [category for category in self.categories if category.family == family]

    def to_dict(self) -> dict[str, Any]:
        """Return the content as plain lists, dicts and strings, in the YAML's own keys."""
        content = asdict(self)
        content.pop("_by_id")
        for key in ("severity_levels", "reserved", "references"):
            content[key] = dict(content[key])
        for category in content["categories"]:
            category["severity"] = dict(category["severity"])
        return content

    def _repr_html_(self) -> str:
        from boundary_research.codebook.rendering import render_html

        return render_html(self, page=False)

    def write_page(self, path: str | Path) -> Path:
        """Write a page that prints well for coders and return its path."""
        from boundary_research.codebook.rendering import render_html

        file = Path(path)
        file.write_text(render_html(self, page=True), encoding="utf-8")
        return file


def _pairs(mapping: dict[Any, str] | None) -> tuple[tuple[Any, str], ...]:
    return tuple((mapping or {}).items())


def _build(content: dict[str, Any]) -> Codebook:
    categories = tuple(
        Category(
            id=c["id"],
            family=c.get("family", ""),
            label=c["label"],
            definition=c["definition"],
            include=tuple(c.get("include", ())),
            exclude=tuple(
                Exclusion(e) if isinstance(e, str) else Exclusion(e["text"], e.get("see"))
                for e in c.get("exclude", ())
            ),
            neighbour_rule=c.get("neighbour_rule", ""),
            indicators=tuple(c.get("indicators", ())),
            severity=_pairs(c.get("severity")),
            always_severe=tuple(c.get("always_severe", ())),
            subcodes=tuple(c.get("subcodes", ())),
            references=tuple(c.get("references", ())),
        )
        for c in content["categories"]
    )
    attributes = tuple(
        Attribute(**{**a, "levels": tuple(a["levels"])}) for a in content.get("attributes", ())
    )
    pairs = tuple(
        ConfusablePair((p["categories"][0], p["categories"][1]), p.get("question", ""))
        for p in content.get("confusable_pairs", ())
    )
    return Codebook(
        id=content["id"],
        name=content["name"],
        version=content["version"],
        categories=categories,
        families=tuple(Family(**f) for f in content.get("families", ())),
        attributes=attributes,
        rules=tuple(content.get("rules", ())),
        severity_levels=_pairs(content.get("severity_levels")),
        reserved=_pairs(content.get("reserved")),
        confusable_pairs=pairs,
        references=_pairs(content.get("references")),
        unit=content.get("unit", ""),
        language=content.get("language", "en"),
        licence=content.get("licence", ""),
    )


def load_codebook(path: str | Path | None = None) -> Codebook:
    """Read a codebook from YAML; without a path, the bundled one.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        A YAML file with the keys of the bundled ``boundary_violations.yaml``. Only ``id``,
        ``name``, ``version`` and ``categories`` (each with ``id``, ``label``, ``definition``) are
        needed.

    Returns
    -------
    Codebook

    Raises
    ------
    DataError
        If the file cannot be read or does not fit; the message names the key and the line.
    """
    if path is None:
        package = resources.files("boundary_research.codebook")
        text = package.joinpath("boundary_violations.yaml").read_text("utf-8")
        return _build(parse_codebook(text, source="boundary_violations.yaml"))
    file = check_file(path, what="Codebook")
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"Codebook {str(path)!r} is not UTF-8 text. Save it as a UTF-8 YAML file."
        ) from None
    return _build(parse_codebook(text, source=str(path)))
