"""Model files: arrays and a JSON header in one npz, without pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_atomically

Model = TypeVar("Model")


def write_model_file(
    path: str | Path, header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> Path:
    """Write arrays and the header, which must hold `format`."""
    encoded = np.frombuffer(json.dumps(header).encode("utf-8"), dtype=np.uint8)

    def write(file: Path) -> None:
        with file.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays, header=encoded)

    return write_atomically(path, write)


def read_model_file(
    path: str | Path, build: Callable[[dict[str, Any], Any], Model], *, newest: int
) -> Model:
    """Return what `build` makes of the header and the arrays.

    Raises
    ------
    DataError
        If the file is no such model, or its format is above `newest`.
    """
    file = check_file(path, what="Model file")
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes().decode("utf-8"))
            if header["format"] > newest:
                raise DataError(
                    f"Model file {file.name!r} has format {header['format']}; this version "
                    f"reads up to {newest}. Update boundary_research."
                )
            return build(header, arrays)
    except DataError:
        raise
    except Exception as error:  # numpy raises many kinds for a file that is not its own
        raise no_such_model(file, error) from None


def no_such_model(file: Path, error: Exception, *, what: str = "a model") -> DataError:
    """Return the refusal of a file that is not what a model's `save` writes."""
    return DataError(
        f"Model file {file.name!r} is not {what} of boundary_research ({type(error).__name__}): "
        f"perhaps it is the wrong file, or was damaged. A model's save() writes a .npz or .zip "
        f"file; give that one, or train and save the model again."
    )
