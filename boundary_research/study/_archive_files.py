"""Archive files: written the same byte for byte, and read without trusting them."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from boundary_research._checks import DataError, check_file
from boundary_research._files import write_atomically

# The first moment that a zip file can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK = 1 << 20
_DRIVE = re.compile(r"^[A-Za-z]:")
# Calls that a formula may hold: transformations of formulaic that look at their arguments only.
_CALLS = {
    *("C", "I", "poly", "bs", "cc", "cr", "cs", "center", "scale", "standardize", "lag"),
    *("log", "log10", "log2", "exp", "exp10", "exp2"),
}


class Limits(NamedTuple):
    """What an archive may hold before it is refused.

    Attributes
    ----------
    files : int
    total_bytes : int
        All files together, unpacked.
    ratio : int
        Unpacked over packed size of a file of more than one megabyte.
    """

    files: int = 10_000
    total_bytes: int = 4 << 30
    ratio: int = 200


def write_archive(path: Path, files: dict[str, Path | bytes]) -> Path:
    """Write files into a zip file, sorted by name and without times or owners.

    Parameters
    ----------
    path : pathlib.Path
    files : dict of str to path or bytes
        Name in the archive to its source.
    """

    def fill(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in sorted(files):
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.create_system = 3
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                source = files[name]
                with archive.open(info, "w", force_zip64=True) as target:
                    if isinstance(source, bytes):
                        target.write(source)
                        continue
                    with source.open("rb") as stream:
                        for block in iter(lambda: stream.read(_BLOCK), b""):
                            target.write(block)

    return write_atomically(path, fill)


def _refuse(archive: str, name: str, why: str) -> DataError:
    return DataError(
        f"Archive {archive!r}: entry {name[:80]!r} {why}. An archive of this toolkit holds no such "
        f"entry; nothing was run. Ask its authors for a sound copy."
    )


def _check_entry(archive: str, info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.filename
    path = PurePosixPath(name)
    if "\\" in name or "\0" in name or path.is_absolute() or _DRIVE.match(name):
        raise _refuse(archive, name, "has an absolute path")
    if ".." in path.parts:
        raise _refuse(archive, name, "leads out of the folder")
    mode = info.external_attr >> 16
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise _refuse(archive, name, "is a link or a device")
    if info.flag_bits & 0x1:
        raise _refuse(archive, name, "is encrypted")
    if info.file_size > _BLOCK and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise _refuse(archive, name, f"unpacks to over {limits.ratio} times its size")


def extract_archive(path: str | Path, folder: Path, *, limits: Limits | None = None) -> Path:
    """Unpack an archive into an empty folder and return the folder that holds study.yaml.

    Raises
    ------
    DataError
        If it is no zip file, is damaged, leads out of the folder, holds links, is larger than
        allowed, or holds no study.yaml.
    """
    limits = limits or Limits()
    file = check_file(path, what="Archive")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            total = sum(info.file_size for info in entries)
            if len(entries) > limits.files or total > limits.total_bytes:
                raise DataError(
                    f"Archive {file.name!r} holds {len(entries)} files of {total / 2**20:,.0f} MB; "
                    f"at most {limits.files} files of {limits.total_bytes / 2**20:,.0f} MB are "
                    f"unpacked. Unpack it yourself and give the folder if you trust it."
                )
            seen = set()
            for info in entries:
                _check_entry(file.name, info, limits)
                if info.filename.rstrip("/").casefold() in seen:
                    raise _refuse(file.name, info.filename, "stands twice")
                seen.add(info.filename.rstrip("/").casefold())
            for info in entries:
                _unpack(archive, info, folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise DataError(
            f"Archive {file.name!r} cannot be unpacked ({type(error).__name__}). Is it a zip file, "
            f"and was it downloaded whole?"
        ) from None
    found = sorted(folder.rglob("study.yaml"), key=lambda p: len(p.parts))
    if not found:
        raise DataError(
            f"Archive {file.name!r} holds no study.yaml. Make one with: boundary-research archive."
        )
    return found[0].parent


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(info.filename).parts)
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with archive.open(info) as source, target.open("xb") as stream:
        for block in iter(lambda: source.read(_BLOCK), b""):
            left -= len(block)
            if left < 0:
                raise _refuse(archive.filename or "", info.filename, "is longer than it says")
            stream.write(block)


def check_formulas(content: Any, *, source: str) -> None:
    """Refuse formulas of somebody else's study that could run code of their own.

    A formula is evaluated as Python. What a regression needs are names, operators and the usual
    transformations; attributes, subscripts, quoted code and other calls are refused.

    Raises
    ------
    DataError
        Naming the formula.
    """
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "formula" and isinstance(value, str):
                _check_formula(value, source)
            else:
                check_formulas(value, source=source)
    elif isinstance(content, list):
        for value in content:
            check_formulas(value, source=source)


def _check_formula(formula: str, source: str) -> None:
    bare = re.sub(r"\b\d+\.\d*|\.\d+", "1", formula)
    calls = set(re.findall(r"([A-Za-z_][\w.]*)\s*\(", bare)) - _CALLS
    other = r"[^\w\s~+\-*/:^|(),=<>%]|\)\s*\(|__|\blambda\b"
    if calls or re.search(other, bare):
        raise DataError(
            f"Archive {source!r}: formula {formula[:80]!r} holds more than names, operators and "
            f"the transformations {', '.join(sorted(_CALLS))}, and could run code. Nothing was "
            f"run. Unpack the archive and give the folder if you trust it."
        )
