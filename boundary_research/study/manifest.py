"""The manifest: what a run was made from and what it made, as hashes, versions and seeds."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from boundary_research._files import hash_file, write_json
from boundary_research.study._code_hashes import own_code

PACKAGES = (
    "boundary-research",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "formulaic",
    "matplotlib",
    "pyarrow",
    "statsmodels",
)
MANIFEST = "manifest.json"
_LOCK = "requirements.lock"


def build_manifest(
    folder: Path,
    *,
    command: str,
    inputs: Mapping[str, Path],
    options: Mapping[str, Any],
    started: datetime,
    outputs: Mapping[str, str] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Return a run's manifest: no narrative text, and no path outside the output folder.

    Parameters
    ----------
    folder : pathlib.Path
        The output folder.
    command : str
    inputs : mapping of str to path
        Files (or folders) read, by a short name; only names and hashes are kept.
    options : mapping
        Seeds and settings, JSON-ready.
    started : datetime
    outputs : mapping of str to str, optional
        SHA-256 of each file made, by its name below the folder; by default all files there are
        taken, except the manifest and hidden ones.
    **facts
        Further entries (seeds, codebook, model, stages), JSON-ready.
    """
    return {
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "code": {"sha256": own_code().sources_sha256},
        "inputs": {
            name: {"file": path.name, "sha256": hash_file(path)} for name, path in inputs.items()
        },
        "options": dict(options),
        **facts,
        "outputs": hash_outputs(folder) if outputs is None else dict(outputs),
    }


def hash_outputs(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of all files of a folder by name, except the manifest and hidden ones."""
    names = {
        file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()
    }
    return {
        name: hash_file(names[name])
        for name in sorted(names)
        if name != MANIFEST and not any(part.startswith(".") for part in name.split("/"))
    }


def write_manifest(folder: Path, **parts: Any) -> Path:
    """Write ``manifest.json`` into the output folder (last, so that its presence means done)."""
    return write_json(folder / MANIFEST, build_manifest(folder, **parts))


def find_lock(study: Path) -> dict[str, str] | None:
    """Return name and hash of the locked requirements beside a study or the package, if any."""
    for folder in (study, own_code().root.parent):
        if (folder / _LOCK).is_file():
            return {"file": _LOCK, "sha256": hash_file(folder / _LOCK)}
    return None


def hash_model(content: bytes) -> str:
    """Return the SHA-256 of a model file's arrays: their names, types, shapes and values.

    Unlike a hash of the file it does not depend on how the arrays are packed.
    """
    digest = hashlib.sha256()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            array = np.ascontiguousarray(arrays[name])
            array = array.astype(array.dtype.newbyteorder("<"))
            head = json.dumps([name, array.dtype.str, array.shape])
            digest.update(head.encode() + b"\0" + array.tobytes())
    return digest.hexdigest()
