"""Files of fine-tuned encoders: network, tokenizer and a JSON header in one zip, no pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_atomically

FILE_FORMAT = 1
_NETWORK, _TOKENIZER, _HEADER = "model.onnx", "tokenizer.json", "header.json"
# A fixed date, so that the same model gives the same file.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_encoder_file(
    path: str | Path, header: dict[str, Any], onnx: bytes, tokenizer: str
) -> Path:
    """Write a fine-tuned encoder, in one step."""
    parts = {
        _HEADER: json.dumps({"format": FILE_FORMAT, **header}, indent=2).encode("utf-8"),
        _TOKENIZER: tokenizer.encode("utf-8"),
        _NETWORK: onnx,
    }

    def write(file: Path) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in parts.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)

    return write_atomically(path, write)


def read_encoder_file(path: str | Path) -> tuple[dict[str, Any], bytes, str]:
    """Return header, network and tokenizer of a file that `write_encoder_file` wrote.

    Raises
    ------
    DataError
        If the file is not such a model, or of a newer format.
    """
    file = check_file(path, what="Model file")
    try:
        with zipfile.ZipFile(file) as archive:
            header = json.loads(archive.read(_HEADER))
            newer = header["format"] > FILE_FORMAT
            network, tokenizer = archive.read(_NETWORK), archive.read(_TOKENIZER).decode("utf-8")
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(
            f"Model file {file.name!r} is not a fine-tuned encoder of boundary_research "
            f"({type(error).__name__}). Train and save it again."
        ) from None
    if newer:
        raise DataError(
            f"Model file {file.name!r} has format {header['format']}; this version reads up to "
            f"{FILE_FORMAT}. Update boundary_research."
        )
    return header, network, tokenizer
