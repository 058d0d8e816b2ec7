"""The manifest: what a run was made from and what it made, as hashes, versions and seeds."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from boundary_research._files import hash_file, write_json

PACKAGES = (
    "boundary-research",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "formulaic",
    "matplotlib",
)


def build_manifest(
    folder: Path,
    *,
    command: str,
    inputs: dict[str, Path],
    options: dict[str, Any],
    started: datetime,
) -> dict[str, Any]:
    """Return a run's manifest: no narrative text, and no path outside the output folder.

    Parameters
    ----------
    folder : pathlib.Path
        The output folder; all its files except the manifest are listed with their hash.
    command : str
    inputs : dict of str to path
        Files (or folders) read, by a short name; only names and hashes are kept.
    options : dict
        Seeds and settings, JSON-ready.
    started : datetime
    """
    outputs = {
        file.relative_to(folder).as_posix(): hash_file(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "manifest.json" and not file.name.startswith(".")
    }
    return {
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "inputs": {
            name: {"file": path.name, "sha256": hash_file(path)} for name, path in inputs.items()
        },
        "options": options,
        "outputs": outputs,
    }


def write_manifest(folder: Path, **parts: Any) -> Path:
    """Write ``manifest.json`` into the output folder (last, so that its presence means done)."""
    return write_json(folder / "manifest.json", build_manifest(folder, **parts))
