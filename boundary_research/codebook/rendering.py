"""The codebook as HTML (for notebooks and paper) and as Markdown."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, Template
from markupsafe import Markup

if TYPE_CHECKING:
    from boundary_research.codebook.model import Codebook


def _template(name: str) -> Template:
    text = resources.files("boundary_research.codebook").joinpath(name).read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)


def render_html(codebook: Codebook, *, page: bool = False) -> str:
    """Return the codebook as HTML, every text escaped.

    Parameters
    ----------
    codebook : Codebook
    page : bool
        True for a whole document that prints well, False for a fragment with folded categories.
    """
    groups = [(f.label, codebook.in_family(f.id)) for f in codebook.families]
    if not groups:
        groups = [("", list(codebook.categories))]
    body = _template("codebook_body.html").render(book=codebook, groups=groups, page=page)
    if not page:
        return body
    return _template("codebook_page.html").render(book=codebook, body=Markup(body))


def render_markdown(codebook: Codebook) -> str:
    """Return the codebook as Markdown text, for coders who work without a browser."""
    lines = [f"# {codebook.name}, version {codebook.version}", "", codebook.unit, "", "## Rules"]
    lines += [f"{i}. {rule}" for i, rule in enumerate(codebook.rules, 1)]
    lines += ["", "## Severity"] + [
        f"- {level}: {text}" for level, text in codebook.severity_levels
    ]
    lines += ["", "## Reserved values"] + [f"- {key}: {text}" for key, text in codebook.reserved]
    for category in codebook.categories:
        lines += ["", f"## {category.id}: {category.label}", category.definition, "", "Include:"]
        lines += [f"- {text}" for text in category.include]
        lines += ["", "Exclude:"]
        lines += [f"- {e.text}" + (f" See {e.see}." if e.see else "") for e in category.exclude]
        lines += ["", f"Neighbour rule: {category.neighbour_rule}"]
        if category.indicators:
            lines += ["Examples: " + "; ".join(f'"{text}"' for text in category.indicators)]
        lines += ["Severity: " + " ".join(f"{level}: {text}" for level, text in category.severity)]
        if category.always_severe:
            lines += ["Always severity 2: " + " ".join(category.always_severe)]
    if codebook.confusable_pairs:
        lines += ["", "## Pairs that get confused"]
        lines += [f"- {' / '.join(p.categories)}: {p.question}" for p in codebook.confusable_pairs]
    return "\n".join(lines) + "\n"
