"""A published study: where its plan, manifest and results are, and whether its inputs are sound."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research._files import hash_file
from boundary_research._yaml import YamlReader
from boundary_research.study._archive_files import check_formulas, extract_archive
from boundary_research.study.plan import StudyPlan, load_plan

MARKER = "archive.json"
RESULTS = "output"


def is_archive(study: Path) -> bool:
    """Return whether a path is to be read as an archive: a file that is no YAML."""
    return study.is_file() and study.suffix.lower() not in (".yaml", ".yml")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of an output folder.

    Raises
    ------
    DataError
        If there is none, or it is not one of a study.
    """
    if not (folder / "manifest.json").is_file():
        raise DataError(
            f"No results in {str(folder)!r}: manifest.json is not there. Run the study first "
            f"(boundary-research run), or name its output folder with --results."
        )
    file = check_file(folder / "manifest.json", what="Manifest")
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except ValueError:
        raise DataError(
            f"Manifest {str(file)!r} is not valid JSON. Copy the results again from where "
            f"they came."
        ) from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("inputs"), dict):
        raise DataError(
            f"Manifest {str(file)!r} names no inputs. Is it the manifest of a study's run?"
        )
    return manifest


def recorded_hash(entry: Any) -> str:
    """Return the SHA-256 that a manifest's entry records, with or without other facts beside it."""
    return str(entry.get("sha256", "")) if isinstance(entry, Mapping) else str(entry)


def check_inputs(
    plan: StudyPlan, manifest: Mapping[str, Any], *, skip: tuple[str, ...] = ("study",)
) -> None:
    """Refuse inputs that are not the files the results were made from.

    Raises
    ------
    DataError
        Naming every such file, with both hashes.
    """
    problems = []
    for name, path in plan.inputs().items():
        if name in skip or name not in manifest["inputs"]:
            continue
        expected, found = recorded_hash(manifest["inputs"][name]), hash_file(path)
        if found != expected:
            ends = _only_line_ends(path, expected)
            problems.append(
                f"{path.name} is not the file that the results were made from: sha256 "
                f"{found[:16]}… expected {expected[:16]}…{ends}"
            )
    if problems:
        raise DataError(
            f"{'; '.join(problems)}. Nothing was run. Bring back the original, or run the study "
            f"anew to get results for the file as it is."
        )


def _only_line_ends(path: Path, expected: str) -> str:
    """Return a hint where git or an editor changed nothing but the line ends."""
    if not path.is_file() or path.stat().st_size > 1 << 28:
        return ""
    plain = path.read_bytes().replace(b"\r\n", b"\n")
    forms = (plain, plain.replace(b"\n", b"\r\n"))
    if any(hashlib.sha256(form).hexdigest() == expected for form in forms):
        return " (only its line ends differ: git or an editor may have changed them)"
    return ""


def locate_study(
    study: Path, results: str | Path | None, stack: ExitStack
) -> tuple[StudyPlan, dict[str, Any] | None]:
    """Return the plan with its published results as output, and the marker of an archive.

    An archive is unpacked into a folder that lasts as long as the stack, and trusted with nothing:
    its inputs must lie within, and its formulas must not run code.
    """
    if is_archive(study):
        unpacked = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archive-")))
        folder = extract_archive(study, unpacked)
        _check_foreign(folder / "study.yaml", study.name)
        plan = load_plan(folder, output=results or folder / RESULTS)
        for name, path in plan.inputs().items():
            if not path.resolve().is_relative_to(folder.resolve()):
                raise DataError(
                    f"Archive {study.name!r}: input {name!r} of study.yaml lies outside of the "
                    f"archive. Nothing was run. Ask its authors for a sound copy."
                )
        return plan, _read_marker(folder)
    plan = load_plan(study, output=results)
    return plan, _read_marker(plan.folder)


def _check_foreign(file: Path, archive: str) -> None:
    try:
        content = YamlReader("study.yaml", "Study").read(file.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"Archive {archive!r}: study.yaml is not UTF-8 text.") from None
    check_formulas(content, source=archive)


def _read_marker(folder: Path) -> dict[str, Any] | None:
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def study_changed(
    plan: StudyPlan, manifest: Mapping[str, Any], marker: Mapping[str, Any] | None
) -> bool:
    """Return whether study.yaml is another than that of the published run."""
    expected, found = recorded_hash(manifest["inputs"].get("study", "")), hash_file(plan.file)
    known = (marker or {}).get("study_sha256", {})
    archived = isinstance(known, dict) and known.get("published") == expected
    return found != expected and not (archived and known.get("archived") == found)
