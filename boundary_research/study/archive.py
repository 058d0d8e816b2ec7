"""Archives: a study with its inputs and results in one file that anybody can replicate."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_output_folder
from boundary_research._files import hash_file
from boundary_research.corpus.bundled import data_folder
from boundary_research.study._archive_files import write_archive
from boundary_research.study._portable_study import PortableStudy, make_portable
from boundary_research.study._published_study import (
    MARKER,
    RESULTS,
    check_inputs,
    read_manifest,
    recorded_hash,
)
from boundary_research.study.plan import StudyPlan, load_plan

FORMAT = "boundary-research archive 1"
# Written after the outputs that they list.
_ACCOUNTS = ("manifest.json", "prov.json", "ro-crate-metadata.json")
WHO_MAY_RECEIVE = (
    "It holds narratives: give it only to people who may read them under your ethics approval and "
    "data agreements, and deposit it only where access is controlled."
)


def holds_bundled_narratives(plan: StudyPlan) -> bool:
    """Return whether the narratives are the bundled fictional ones, by their hash."""
    try:
        bundled = data_folder() / "corpus" / "incidents.csv"
    except DataError:
        return False
    return hash_file(plan.incidents["file"]) == hash_file(bundled)


def _check_results(folder: Path, manifest: Mapping[str, Any], plan: StudyPlan) -> dict[str, Path]:
    """Return the results that go into the archive, all as the run wrote them."""
    if recorded_hash(manifest["inputs"].get("study", "")) != hash_file(plan.file):
        raise DataError(
            f"{plan.file.name} was changed after the run that made these results. Run the study "
            f"again, then archive it."
        )
    files = {}
    for name, entry in manifest.get("outputs", {}).items():
        file = folder / name
        if not file.is_file() or hash_file(file) != recorded_hash(entry):
            raise DataError(
                f"{name} in {folder.name!r} is not as the run wrote it. Run the study again, then "
                f"archive it."
            )
        files[name] = file
    accounts = {name: folder / name for name in _ACCOUNTS if (folder / name).is_file()}
    return files | accounts


def _readme(plan: StudyPlan, manifest: Mapping[str, Any], name: str, fictional: bool) -> str:
    packages = manifest.get("packages", {})
    versions = "\n".join(f"- {package} {version}" for package, version in packages.items())
    version = packages.get("boundary-research", "")
    receive = (
        "The narratives are the fictional ones that come with the toolkit." if fictional else ""
    ) or WHO_MAY_RECEIVE.replace("It holds", "This archive holds", 1)
    notice = f"\n{plan.notice}\n" if plan.notice else ""
    return f"""\
# {plan.title}
{notice}
A study with its inputs and its results, made with boundary-research {version}.

**Who may have it.** {receive}

## Replicate it

With boundary-research {version} installed (Python {manifest.get("python", "3.11")}), one command:

    boundary-research replicate {name}

It checks that every input is the file the results were made from, runs the study again in a clean
folder, compares every number of every results table, and writes the verdicts into
`{Path(name).stem}-replication/replication.html`. The exit code is 0 when all came out again, 1 when
something differs, 2 when an input was changed.

## What is in it

- `study.yaml`: the plan. Paths were rewritten to lie below this folder; nothing else was changed.
- `{RESULTS}/report.html`: the report; `{RESULTS}/tables/`, `{RESULTS}/figures/`: every number.
- `{RESULTS}/manifest.json`: hashes of inputs and results, versions, seed.
- `SHA256SUMS`: the hash of every file; `sha256sum -c SHA256SUMS` checks them.

## Versions that made the results

- Python {manifest.get("python", "")} on {manifest.get("platform", "")}
{versions}
"""


def _list_files(portable: PortableStudy, results: Mapping[str, Path]) -> dict[str, Path | bytes]:
    files: dict[str, Path | bytes] = {"study.yaml": portable.text.encode("utf-8")}
    for name, source in portable.files.items():
        if source.is_dir():
            inside = sorted(p for p in source.rglob("*") if p.is_file())
            files |= {f"{name}/{p.relative_to(source).as_posix()}": p for p in inside}
        else:
            files[name] = source
    return files | {f"{RESULTS}/{name}": path for name, path in results.items()}


def _hash(source: Path | bytes) -> str:
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else hash_file(source)


def archive_study(
    study: str | Path,
    path: str | Path,
    *,
    results: str | Path | None = None,
    include_narratives: bool = False,
) -> Path:
    """Write a study with its inputs and results into one zip file that can be replicated.

    The file holds study.yaml with its paths rewritten, all inputs, all outputs that the manifest
    lists, a README with the one command to replicate it, and the hash of every file. The same
    study under the same name gives the same bytes.

    Parameters
    ----------
    study : str or pathlib.Path
        study.yaml, or its folder; the study must have been run.
    path : str or pathlib.Path
        Zip file to write.
    results : str or pathlib.Path, optional
        Output folder of the run; by default the one that the plan names.
    include_narratives : bool
        Say that the narratives may go into the file. Without them the classifier cannot be run
        again. Not needed for the bundled fictional narratives, which are known by their hash.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DataError
        If narratives would go in without having been asked for, the study was not run, or its
        files changed since.
    """
    plan = load_plan(study, output=results)
    manifest = read_manifest(plan.output)
    fictional = holds_bundled_narratives(plan)
    if not (fictional or include_narratives):
        raise DataError(
            f"An archive that can be replicated holds the narratives "
            f"({plan.incidents['file'].name}), and they are confidential. If those who will "
            f"receive it may read them, add --include-narratives. If not, share the folder "
            f"{plan.output.name!r}: its tables, figures and manifest hold no narrative text and "
            f"let readers check hashes and numbers, but not run the classifier again."
        )
    check_inputs(plan, manifest)
    portable = make_portable(plan)
    _check_portable(portable, plan)
    files = _list_files(portable, _check_results(plan.output, manifest, plan))
    target = Path(path).expanduser()
    target = target if target.suffix.lower() == ".zip" else target.with_name(f"{target.name}.zip")
    check_output_folder(target.parent)
    facts = {
        "format": FORMAT,
        "title": plan.title,
        "narratives": "fictional, bundled" if fictional else "included",
        "study_sha256": {
            "published": recorded_hash(manifest["inputs"]["study"]),
            "archived": _hash(files["study.yaml"]),
        },
    }
    files[MARKER] = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    files["README.md"] = _readme(plan, manifest, target.name, fictional).encode("utf-8")
    sums = "".join(f"{_hash(files[name])}  {name}\n" for name in sorted(files))
    files["SHA256SUMS"] = sums.encode("utf-8")
    return write_archive(target, files)


def _check_portable(portable: PortableStudy, plan: StudyPlan) -> None:
    """Read the rewritten study.yaml in a folder of its own, to see that it finds its inputs."""
    with tempfile.TemporaryDirectory() as name:
        copied = load_plan(portable.copy(Path(name)))
        before, after = (
            {key: hash_file(path) for key, path in one.inputs().items() if key != "study"}
            for one in (plan, copied)
        )
    if before != after:
        lost = sorted(set(before.items()) ^ set(after.items()))[0][0]
        raise DataError(
            f"Study {plan.file.name}: input {lost!r} cannot be moved into an archive with its "
            f"path. Put the file below the study's folder."
        )


def describe_archive(path: Path) -> str:
    """Return what an archive is, who may receive it and how to replicate it, as lines of text."""
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read(MARKER))
        n = len(archive.namelist())
    size = path.stat().st_size
    shown = f"{size / 2**20:.1f} MB" if size >= 1 << 20 else f"{size / 2**10:.0f} kB"
    fictional = facts["narratives"] != "included"
    receive = (
        "Its narratives are the fictional ones of the toolkit; anybody may receive it."
        if fictional
        else WHO_MAY_RECEIVE
    )
    return (
        f"{path} ({n} files, {shown}, sha256 {hash_file(path)})\n{receive}\n"
        f"To replicate it: boundary-research replicate {path.name}"
    )
