"""The templates of a new study, filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).with_name("templates")


def _quoted(text: str) -> str:
    """Return text as a YAML scalar, in quotes only where it needs them."""
    plain = re.fullmatch(r"[A-Za-z][\w ./-]*[\w]|[A-Za-z]", text) and not re.fullmatch(
        r"(?i)y|n|yes|no|on|off|true|false|null", text
    )
    return text if plain else json.dumps(text, ensure_ascii=False)


def render_template(name: str, **values: Any) -> str:
    """Return a file of ``templates/`` filled with values; a missing one is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown and YAML
    )
    environment.filters["quoted"] = _quoted
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(name).render(**values)
