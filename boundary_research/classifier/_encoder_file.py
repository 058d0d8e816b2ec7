"""Files of fine-tuned encoders: network, tokenizer and a JSON header in one zip, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_atomically
from boundary_research.classifier._model_file import no_such_model

FILE_FORMAT = 1
NETWORK, _TOKENIZER, _HEADER = "model.onnx", "tokenizer.json", "header.json"
# A fixed date, so that the same model gives the same file.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_encoder_file(
    path: str | Path, header: dict[str, Any], onnx: bytes, tokenizer: str
) -> Path:
    """Write a fine-tuned encoder, in one step."""
    parts = {
        _HEADER: json.dumps({"format": FILE_FORMAT, **header}, indent=2).encode("utf-8"),
        _TOKENIZER: tokenizer.encode("utf-8"),
        NETWORK: onnx,
    }

    return write_parts(path, parts)


def write_parts(path: str | Path, parts: dict[str, bytes]) -> Path:
    """Write named parts as a zip, in one step; the same parts always give the same file."""

    def write(file: Path) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in parts.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)

    return write_atomically(path, write)


def has_part(path: str | Path, name: str) -> bool:
    """Return whether a file is a zip with a part of that name."""
    file = check_file(path, what="Model file")
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return name in archive.namelist()
    except zipfile.BadZipFile:  # it begins as one and is damaged; whoever reads it will say so
        return False


@contextmanager
def open_model_file(
    path: str | Path, header: str, *, what: str, newest: int
) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """Open a zip and its JSON header; DataError where it is no such model or of a newer format."""
    file = check_file(path, what="Model file")
    try:
        with zipfile.ZipFile(file) as archive:
            found = json.loads(archive.read(header))
            if found["format"] > newest:
                raise DataError(
                    f"Model file {file.name!r} has format {found['format']}; this version reads "
                    f"up to {newest}. Update boundary_research."
                )
            yield archive, found
    except DataError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise no_such_model(file, error, what=what) from None


def read_encoder_file(path: str | Path) -> tuple[dict[str, Any], bytes, str]:
    """Return header, network and tokenizer of a file that `write_encoder_file` wrote.

    Raises
    ------
    DataError
        If the file is not such a model, or of a newer format.
    """
    with open_model_file(path, _HEADER, what="a fine-tuned encoder", newest=FILE_FORMAT) as opened:
        archive, header = opened
        return header, archive.read(NETWORK), archive.read(_TOKENIZER).decode("utf-8")


def describe_state(model: Any, arrays: Sequence[str]) -> dict[str, Any]:
    """Return a model's categories, notes and arrays with one entry a category, for a header."""
    kept = {name: array.tolist() for name, array in model._kept_arrays(arrays).items()}
    return {**model._describe_fit(), "arrays": kept}


def restore_state(model: Any, header: dict[str, Any], arrays: Sequence[str]) -> None:
    """Give a model what `describe_state` told of it; ValueError where lengths differ."""
    restored = {name: np.array(header["arrays"][name]) for name in arrays}
    if any(array.shape != (len(header["classes"]),) for array in restored.values()):
        raise ValueError
    model._restore_fit(header, restored)


@contextmanager
def refuse_incomplete(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong with a header into a DataError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Model file {Path(path).name!r} has an incomplete header "
            f"({type(error).__name__}). Train and save it again."
        ) from None
