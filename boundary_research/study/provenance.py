"""Provenance: which file came from which, as W3C PROV (PROV-JSON) and as an RO-Crate.

PROV-JSON is that of the W3C member submission of 24 April 2013; the crate follows RO-Crate 1.1.
Both name files by hash and say nothing of persons, machines or places.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from boundary_research._files import hash_file, write_json

PROV = "prov.json"
CRATE = "ro-crate-metadata.json"
CRATE_PROFILE = "https://w3id.org/ro/crate/1.1"
_SOFTWARE = "boundary-research"
_NAMESPACE = "urn:boundary-research:"
# Endings that the tables of operating systems disagree on, or do not know.
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tex": "application/x-tex",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*-\d+(\.\d+)*(-[A-Za-z0-9-]+)*|MIT|ISC|Unlicense")


@dataclass(frozen=True)
class FileFacts:
    """A file that a run read or made.

    Attributes
    ----------
    name : str
        File name of an input; name below the output folder, with ``/``, of an output.
    sha256 : str
    size : int
        Bytes.
    media_type : str
    """

    name: str
    sha256: str
    size: int
    media_type: str


@dataclass(frozen=True)
class StageFacts:
    """A stage as it was run.

    Attributes
    ----------
    name : str
    started, finished : str
        ISO 8601, UTC: when its results were computed, which may have been in an earlier run.
    cached : bool
    inputs : list of str
        Short names of the input files it read.
    needs : list of str
        Stages whose results it used.
    outputs : list of str
        Names of the files that hold its results.
    """

    name: str
    started: str
    finished: str
    cached: bool
    inputs: list[str]
    needs: list[str]
    outputs: list[str]


@dataclass(frozen=True)
class RunFacts:
    """What provenance is told of a run.

    Attributes
    ----------
    title, description : str
    version : str
        Of this package.
    started, finished : str
        ISO 8601, UTC.
    inputs : dict of str to FileFacts
        By short name.
    outputs : list of FileFacts
    stages : list of StageFacts
    licence : str
        Blank where none is stated.
    """

    title: str
    description: str
    version: str
    started: str
    finished: str
    inputs: dict[str, FileFacts]
    outputs: list[FileFacts]
    stages: list[StageFacts]
    licence: str = ""


def describe_file(path: Path, name: str) -> FileFacts:
    """Return hash, size and media type of a file, or of all files of a folder."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    kind = _MEDIA_TYPES.get(path.suffix.lower())
    kind = kind or mimetypes.types_map.get(path.suffix.lower(), "application/octet-stream")
    size = sum(p.stat().st_size for p in files)
    return FileFacts(name, hash_file(path), size, "inode/directory" if path.is_dir() else kind)


def now_text() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _local(kind: str, name: str) -> str:
    """Return a qualified name in the namespace of the run."""
    # A dot may not end a local name, and other signs than these need escapes.
    return f"run:{kind}/{quote(name, safe='/')}"


def _entity(facts: FileFacts, kind: str) -> dict[str, Any]:
    return {
        "prov:label": facts.name,
        "prov:type": {"$": f"br:{kind}", "type": "prov:QUALIFIED_NAME"},
        "br:sha256": facts.sha256,
        "br:bytes": {"$": str(facts.size), "type": "xsd:long"},
        "br:mediaType": facts.media_type,
    }


def _relations(
    pairs: Iterable[tuple[str, str]], first: str, second: str, sign: str
) -> dict[str, dict[str, str]]:
    return {
        f"_:{sign}{i}": {f"prov:{first}": a, f"prov:{second}": b}
        for i, (a, b) in enumerate(pairs, start=1)
    }


def build_prov(run: RunFacts) -> dict[str, Any]:
    """Return the provenance of a run as PROV-JSON.

    Entities are the files, activities the stages and the run as a whole, and the agent is this
    package. A stage that was taken from the cache has the times at which it was computed.
    """
    whole = "run:run"
    agent = f"br:{_SOFTWARE}"
    source = {name: _local("input", name) for name in run.inputs}
    made = {facts.name: _local("output", facts.name) for facts in run.outputs}
    stage = {one.name: _local("stage", one.name) for one in run.stages}
    activities = {
        whole: {
            "prov:startTime": run.started,
            "prov:endTime": run.finished,
            "prov:label": run.title,
            "prov:type": {"$": "br:Run", "type": "prov:QUALIFIED_NAME"},
        }
    }
    for one in run.stages:
        activities[stage[one.name]] = {
            "prov:startTime": one.started,
            "prov:endTime": one.finished,
            "prov:label": one.name,
            "prov:type": {"$": "br:Stage", "type": "prov:QUALIFIED_NAME"},
            "br:fromCache": {"$": str(one.cached).lower(), "type": "xsd:boolean"},
        }
    used = [(whole, name) for name in source.values()]
    used += [(stage[one.name], source[n]) for one in run.stages for n in one.inputs]
    generated = [(made[n], stage[one.name]) for one in run.stages for n in one.outputs]
    owned = {name for name, _ in generated}
    generated += [(name, whole) for name in made.values() if name not in owned]
    informed = [(stage[one.name], stage[n]) for one in run.stages for n in one.needs]
    associated = [(name, agent) for name in activities]
    return {
        "prefix": {"run": f"{_NAMESPACE}run#", "br": f"{_NAMESPACE}terms#"},
        "entity": {
            **{source[name]: _entity(facts, "Input") for name, facts in run.inputs.items()},
            **{made[facts.name]: _entity(facts, "Output") for facts in run.outputs},
        },
        "activity": activities,
        "agent": {
            agent: {
                "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
                "prov:label": _SOFTWARE,
                "br:version": run.version,
            }
        },
        "used": _relations(used, "activity", "entity", "u"),
        "wasGeneratedBy": _relations(generated, "entity", "activity", "g"),
        "wasInformedBy": _relations(informed, "informed", "informant", "i"),
        "wasAssociatedWith": _relations(associated, "activity", "agent", "a"),
    }


def _references(ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": name} for name in ids]


def _licence(licence: str) -> dict[str, Any]:
    if not licence:
        return {
            "@id": "#licence-unknown",
            "@type": "CreativeWork",
            "name": "No licence stated",
            "description": "The study states no licence. Ask its authors before using its results.",
        }
    link = licence if re.match(r"https?://", licence) else ""
    if not link and _SPDX.fullmatch(licence):
        link = f"https://spdx.org/licenses/{licence}"
    return {
        "@id": link or "#licence",
        "@type": "CreativeWork",
        "name": licence,
        "description": f"The licence that the study states for its results: {licence}.",
    }


def _crate_file(facts: FileFacts, id: str, kind: str) -> dict[str, Any]:
    return {
        "@id": id,
        "@type": kind,
        "name": facts.name,
        "contentSize": str(facts.size),
        "encodingFormat": facts.media_type,
        "sha256": facts.sha256,
    }


def _crate_actions(
    run: RunFacts, inputs: dict[str, str], files: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the run and its stages as actions: what each took, and what came of it."""
    software = {"@id": f"#{_SOFTWARE}"}
    whole = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run of the study: {run.title}",
        "startTime": run.started,
        "endTime": run.finished,
        "instrument": software,
        "object": _references(inputs.values()),
        "result": _references(files.values()),
    }
    made = {one.name: [files[name] for name in one.outputs] for one in run.stages}
    stages = [
        {
            "@id": f"#stage/{quote(one.name)}",
            "@type": "CreateAction",
            "name": f"Stage {one.name}",
            "startTime": one.started,
            "endTime": one.finished,
            "instrument": software,
            "object": _references(
                [*(inputs[n] for n in one.inputs), *(f for n in one.needs for f in made[n])]
            ),
            "result": _references(made[one.name]),
        }
        for one in run.stages
        if one.outputs
    ]
    return [whole, *stages]


def build_crate(run: RunFacts) -> dict[str, Any]:
    """Return the RO-Crate of a run (JSON-LD): the output folder, and what it was made from.

    Outputs are the crate's files. Inputs lie elsewhere and hold narratives: they are named by hash
    as documents that are not part of it.
    """
    files = {facts.name: quote(facts.name) for facts in run.outputs}
    inputs = {name: f"#input/{quote(name)}" for name in run.inputs}
    licence = _licence(run.licence)
    actions = _crate_actions(run, inputs, files)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": run.title,
        "description": run.description,
        "datePublished": run.finished[:10],
        "license": {"@id": licence["@id"]},
        "hasPart": _references(files.values()),
        "mentions": _references(one["@id"] for one in actions),
    }
    descriptor = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": CRATE_PROFILE},
        "about": {"@id": "./"},
    }
    program = {
        "@id": f"#{_SOFTWARE}",
        "@type": "SoftwareApplication",
        "name": _SOFTWARE,
        "softwareVersion": run.version,
    }
    graph: list[dict[str, Any]] = [descriptor, root, licence, program, *actions]
    graph += [_crate_file(facts, files[facts.name], "File") for facts in run.outputs]
    graph += [
        _crate_file(facts, inputs[name], "DigitalDocument") for name, facts in run.inputs.items()
    ]
    # RO-Crate 1.1 has no term for a hash of its own; schema.org has.
    context = [f"{CRATE_PROFILE}/context", {"sha256": "https://schema.org/sha256"}]
    return {"@context": context, "@graph": graph}


def write_provenance(folder: Path, run: RunFacts) -> list[Path]:
    """Write ``prov.json`` and ``ro-crate-metadata.json`` into the output folder.

    Parameters
    ----------
    folder : pathlib.Path
    run : RunFacts

    Returns
    -------
    list of pathlib.Path
    """
    prov = write_json(folder / PROV, build_prov(run))
    record = describe_file(prov, PROV)
    whole = replace(run, outputs=[*run.outputs, record])
    return [prov, write_json(folder / CRATE, build_crate(whole))]
