"""Files: hashes, and writing that never leaves a half-written file behind."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_choice

FORMATS = ("csv", "parquet")


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes, or of all files of a folder with their names."""
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(bytes.fromhex(hash_file(file)))
        return digest.hexdigest()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_table(frame: pd.DataFrame) -> str:
    """Return the SHA-256 (hex) of a table's content: column names and values as text."""
    return hashlib.sha256(frame.to_csv(index=False).encode("utf-8", "surrogatepass")).hexdigest()


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Raises
    ------
    DataError
        If the folder cannot be written to or the disk is full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be written ({error.strerror}). Choose another output folder."
        ) from None
    return path


def write_text(path: str | Path, text: str) -> Path:
    r"""Write UTF-8 text with `\n` line ends, in one step."""
    return write_atomically(path, lambda p: p.write_bytes(text.encode("utf-8")))


def write_json(path: str | Path, content: Any) -> Path:
    """Write indented UTF-8 JSON, in one step."""
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_table(frame: pd.DataFrame, stem: str | Path, *, format: str = "csv") -> Path:
    r"""Write a table as ``<stem>.csv`` (UTF-8, ``\n``) or ``<stem>.parquet``, in one step."""
    check_choice(format, FORMATS, name="format")
    path = Path(f"{stem}.{format}")
    if format == "parquet":
        return write_atomically(path, lambda p: frame.to_parquet(p, index=False))
    return write_atomically(path, lambda p: frame.to_csv(p, index=False, lineterminator="\n"))
