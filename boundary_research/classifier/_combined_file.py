"""Files of combined models: the members, each as it saves itself, and a JSON header in a zip."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError
from boundary_research.classifier._encoder_file import (
    NETWORK,
    has_part,
    open_model_file,
    write_parts,
)
from boundary_research.classifier.embedding_model import EncoderClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import NarrativeClassifier

FILE_FORMAT = 1
_HEADER = "combined.json"


def write_combined_file(path: str | Path, header: dict[str, Any], members: Sequence[Any]) -> Path:
    """Write the header and all members, an encoder's classifier with its encoder.

    Raises
    ------
    DataError
        If a member is not one that a file can hold.
    """
    header = {"format": FILE_FORMAT, **header, "members": len(members)}
    parts = {_HEADER: json.dumps(header, indent=2).encode("utf-8")}
    with tempfile.TemporaryDirectory() as folder:
        for i, member in enumerate(members):
            encoder = member.encoder if type(member) is EncoderClassifier else None
            if type(encoder) is TransformerClassifier:
                name = _encoder_part(i)
                parts[name] = encoder.save(Path(folder) / name).read_bytes()
            elif type(member) not in (NarrativeClassifier, TransformerClassifier):
                raise DataError(
                    f"{type(member).__name__} cannot be saved as a part of a combined model; "
                    f"NarrativeClassifier and TransformerClassifier can, and "
                    f"EncoderClassifier where its encoder is a TransformerClassifier."
                )
            parts[_part(i)] = member.save(Path(folder) / _part(i)).read_bytes()
    return write_parts(path, parts)


def read_combined_file(path: str | Path) -> tuple[dict[str, Any], list[Any]]:
    """Return header and members of a file that `write_combined_file` wrote.

    Raises
    ------
    DataError
        If the file is not such a model, or of a newer format.
    """
    opened = open_model_file(path, _HEADER, what="a combined model", newest=FILE_FORMAT)
    with opened as (archive, header), tempfile.TemporaryDirectory() as folder:
        return header, [_read_part(archive, i, Path(folder)) for i in range(header["members"])]


def is_combined_file(path: str | Path) -> bool:
    """Return whether a file is a combined model."""
    return has_part(path, _HEADER)


def read_single_model(path: str | Path) -> NarrativeClassifier:
    """Read a file of one classifier, a fine-tuned encoder or one on n-grams.

    Raises
    ------
    DataError
        If the file is neither.
    """
    kind = TransformerClassifier if has_part(path, NETWORK) else NarrativeClassifier
    return kind.load(path)


def _part(i: int) -> str:
    return f"member_{i}"


def _encoder_part(i: int) -> str:
    return f"member_{i}_encoder"


def _read_part(archive: zipfile.ZipFile, i: int, folder: Path) -> Any:
    """Return a member of a saved model, with the encoder that it embeds with."""
    there = _encoder_part(i) in archive.namelist()
    files = [folder / _part(i), *([folder / _encoder_part(i)] if there else [])]
    for file in files:
        file.write_bytes(archive.read(file.name))
    if len(files) == 2:
        return EncoderClassifier.load(files[0], TransformerClassifier.load(files[1]))
    return read_single_model(files[0])
