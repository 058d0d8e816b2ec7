"""The folder of a coded file: whose codes it holds, and which of its files may be replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError
from boundary_research._files import FORMATS, hash_file
from boundary_research.study.manifest import MANIFEST

COMMAND = "code"
_TABLES = ("coded", "evidence", "rejects", "unfamiliar")
_REPORT = "report.html"
_ELSEWHERE = "Give another folder with -o"


def check_coded_folder(folder: Path, incidents: Path, *, replace: bool = False) -> None:
    """Refuse a folder whose files are not codes of the same incidents, as they were written.

    Parameters
    ----------
    folder : pathlib.Path
        The output folder; it may be new, empty or hold files of other names.
    incidents : pathlib.Path
        The file, or folder of documents, that is to be coded.
    replace : bool
        Write over files of our names, whatever they are.

    Raises
    ------
    DataError
        If files would be lost that `replace` does not allow to lose; always if they are the
        results of another command or the incidents themselves.
    """
    held = [name for name in _names() if (folder / name).exists()]
    place = f"Output folder {str(folder)!r}"
    if incidents.is_dir() and folder.resolve().is_relative_to(incidents.resolve()):
        raise DataError(f"{place} lies in the folder of documents to be coded. {_ELSEWHERE}.")
    if any((folder / name).resolve() == incidents.resolve() for name in held):
        raise DataError(
            f"{place} holds {incidents.name!r}, which is to be coded and has the name of a file "
            f"that is written. {_ELSEWHERE}."
        )
    if not held:
        return
    manifest = _read_manifest(folder)
    if manifest.get("command") not in (None, COMMAND):
        raise DataError(
            f"{place} holds the results of the command {manifest['command']!r}. {_ELSEWHERE}."
        )
    problem = "" if replace else _find_problem(folder, held, manifest, incidents)
    if problem:
        raise DataError(f"{place} {problem}. {_ELSEWHERE}, or --replace to write over them.")


def remove_manifest(folder: Path) -> None:
    """Remove the manifest before files are written: its presence means that all are there."""
    (folder / MANIFEST).unlink(missing_ok=True)


def remove_other_formats(folder: Path, format: str) -> None:
    """Remove tables of ours that an earlier coding wrote in another format."""
    for name in _TABLES:
        for other in FORMATS:
            if other != format:
                (folder / f"{name}.{other}").unlink(missing_ok=True)


def _names() -> list[str]:
    return [*(f"{name}.{ending}" for name in _TABLES for ending in FORMATS), _REPORT, MANIFEST]


def _read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest there, or an empty one if there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _find_problem(folder: Path, held: list[str], manifest: dict[str, Any], incidents: Path) -> str:
    """Return what speaks against writing over the files that are held, or an empty text."""
    try:
        source = manifest["inputs"]["incidents"]
        name, sha256, written = source["file"], source["sha256"], dict(manifest["outputs"])
    except (KeyError, TypeError, ValueError):
        return (
            f"holds {', '.join(held)}, and no manifest says that they are codes of this file (was "
            f"an earlier run interrupted?)"
        )
    if sha256 != hash_file(incidents):
        if name == incidents.name:
            return f"holds the codes of another file, or an earlier state, of {name!r}"
        return f"holds the codes of {name!r}, not of {incidents.name!r}"
    changed = [
        one for one in held if one != MANIFEST and hash_file(folder / one) != written.get(one)
    ]
    if changed:
        return f"holds {', '.join(changed)}, added or changed since this file was coded"
    return ""
