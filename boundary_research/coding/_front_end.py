"""The page's front end: ES modules, served as they are, or joined into one for a notebook.

A notebook cell gets its front end as one text and cannot import a module's neighbours.
"""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r"^import\s+\{[^}]*\}\s+from\s+\"\./([\w-]+\.js)\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)


def join_modules(entry: str = "coding-page.js") -> str:
    """Return `entry` with the modules that it imports, each once and before those that need it.

    The modules import each other by name alone and share no top-level name; `entry` keeps its
    exports.
    """
    joined: dict[str, str] = {}

    def add(name: str) -> None:
        if name in joined:
            return
        text = (STATIC / name).read_text("utf-8")
        joined[name] = ""  # stands for the module while its imports are added
        for neighbour in _IMPORT.findall(text):
            add(neighbour)
        text = _IMPORT.sub("", text)
        del joined[name]
        joined[name] = text if name == entry else _EXPORT.sub("", text)

    add(entry)
    return "\n".join(joined.values())
