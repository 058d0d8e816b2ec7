"""Readers: each turns one kind of file into rows of text cells, and names what it set aside."""

from __future__ import annotations

import csv
import io
import json
import logging
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError

DELIMITERS = (",", ";", "\t", "|")
DOCUMENTS = (".txt", ".docx", ".pdf")
_MAGIC = {
    b"PK\x03\x04": "a zip archive (perhaps .xlsx or .docx)",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Office file (.xls or .doc)",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a SQLite database",
}


@dataclass
class RawTable:
    """Rows as read. `positions` are the rows' numbers in the source, from 1, without the header."""

    frame: pd.DataFrame
    positions: list[int | str]
    rejects: list[dict[str, Any]] = field(default_factory=list)
    info: dict[str, str] = field(default_factory=dict)


def _reject(row: int | str, reason: str) -> dict[str, Any]:
    return {"row": row, "incident_id": None, "reason": reason}


def decode(data: bytes, *, name: str, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of `data` and the name of its encoding.

    A byte-order mark decides; then UTF-16 without a mark (every other byte zero), UTF-8, and
    Windows-1252 where the bytes are not UTF-8.

    Raises
    ------
    DataError
        If the bytes are no text, or not in the encoding that was asked for.
    """
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(
                f"{name!r} is not a text file: it starts like {what}. "
                f"Give it its right ending, or export it as CSV."
            )
    if encoding is not None:
        try:
            return data.decode(encoding), encoding
        except LookupError:
            raise DataError(f"encoding {encoding!r} is not known. Try utf-8 or cp1252.") from None
        except UnicodeDecodeError:
            raise DataError(f"{name!r} is not {encoding} text. Leave encoding out.") from None
    if data.startswith(b"\xef\xbb\xbf"):
        return data.decode("utf-8-sig", errors="replace"), "utf-8 with BOM"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), "utf-16"
    sample = data[:4096]
    if len(sample) >= 4 and sample.count(0) > len(sample) * 0.3:
        if sample[1::2].count(0) > len(sample) * 0.3:
            return data.decode("utf-16-le", errors="replace"), "utf-16 (little endian, no BOM)"
        if sample[0::2].count(0) > len(sample) * 0.3:
            return data.decode("utf-16-be", errors="replace"), "utf-16 (big endian, no BOM)"
    control = sum(byte < 32 and byte not in (9, 10, 12, 13) for byte in sample)
    if control > max(2, len(sample) * 0.02):
        raise DataError(
            f"{name!r} is not a text file (it holds binary data). Export the table as CSV or Excel."
        )
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "cp1252"


def sniff_delimiter(text: str, wanted: Sequence[str]) -> str:
    """Return the delimiter under which the header holds the wanted columns, or the steadiest."""
    csv.field_size_limit(1 << 30)
    head = text[:200_000]
    best, best_score = ",", (-1, -1.0, -1)
    for delimiter in DELIMITERS:
        rows = []
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == 50:
                break
        if not rows:
            continue
        width = len(rows[0])
        found = sum(column in [cell.strip() for cell in rows[0]] for column in wanted)
        steady = sum(len(row) == width for row in rows) / len(rows)
        score = (found, steady if width > 1 else -1.0, width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def read_delimited(
    file: Path, *, encoding: str | None, delimiter: str | None, wanted: Sequence[str]
) -> RawTable:
    """Read CSV or TSV; rows with too many cells are set aside."""
    text, used = decode(file.read_bytes(), name=file.name, encoding=encoding)
    if not text.strip():
        raise DataError(f"{file.name!r} is empty. Check that it was saved or downloaded.")
    delimiter = delimiter or (
        "\t" if file.suffix.lower() == ".tsv" else sniff_delimiter(text, wanted)
    )
    csv.field_size_limit(1 << 30)
    # csv leaves universal line ends alone only with newline="".
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    cells: list[list[str]] = []
    positions: list[int | str] = []
    rejects = []
    number = 0
    for row in rows:
        if not header:
            if any(cell.strip() for cell in row):
                header = [cell.strip() for cell in row]
            continue
        if not row:
            continue
        number += 1
        extra = row[len(header) :]
        if any(cell.strip() for cell in extra):
            rejects.append(_reject(number, f"{len(row)} cells where the header has {len(header)}"))
            continue
        cells.append(row[: len(header)] + [""] * (len(header) - len(row)))
        positions.append(number)
    double = sorted({name for name in header if name and header.count(name) > 1})
    if double:
        raise DataError(
            f"{file.name!r}: column {double[0]!r} stands twice in the header. Rename one."
        )
    if cells and _unclosed_quote(text, delimiter):
        rejects.append(
            _reject(
                positions.pop(),
                "a quotation mark in this row is never closed; the rows after it are lost in it",
            )
        )
        cells.pop()
    info = {"encoding": used, "delimiter": {"\t": "tab"}.get(delimiter, delimiter)}
    return RawTable(pd.DataFrame(cells, columns=header, dtype="str"), positions, rejects, info)


def _unclosed_quote(text: str, delimiter: str) -> bool:
    # Only an open quote makes the strict reader complain at the very end of the data.
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def read_excel(file: Path, *, sheet: str | int | None) -> RawTable:
    """Read one sheet of an .xlsx workbook (the first unless named)."""
    try:
        with pd.ExcelFile(file, engine="openpyxl") as book:
            chosen: str | int = 0 if sheet is None else sheet
            if isinstance(chosen, str) and chosen not in book.sheet_names:
                raise DataError(
                    f"{file.name!r}: sheet {chosen!r} not found. "
                    f"Available: {', '.join(map(str, book.sheet_names))}."
                )
            frame = pd.read_excel(book, chosen, dtype=object, keep_default_na=False)
            info = {"sheet": str(book.sheet_names[chosen] if isinstance(chosen, int) else chosen)}
    except DataError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError) as error:
        raise DataError(
            f"{file.name!r} cannot be read as an Excel workbook ({type(error).__name__}). "
            f"Open it in Excel and save it as .xlsx or CSV."
        ) from None
    return RawTable(_as_text(frame), list(range(1, len(frame) + 1)), info=info)


def read_json(file: Path, *, lines: bool, encoding: str | None) -> RawTable:
    """Read a JSON list of records, or JSON Lines; lines that do not parse are set aside."""
    text, used = decode(file.read_bytes(), name=file.name, encoding=encoding)
    rejects: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    positions: list[int | str] = []
    if lines:
        filled = [line for line in text.split("\n") if line.strip()]
        for number, line in enumerate(filled, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                record = None
            if isinstance(record, dict):
                records.append(record)
                positions.append(number)
            else:
                rejects.append(_reject(number, "not a JSON object"))
    else:
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file.name!r} is not valid JSON (line {error.lineno}: {error.msg}). "
                f"If it has one object a line, name it .jsonl."
            ) from None
        if isinstance(content, dict):
            found = [value for value in content.values() if isinstance(value, list)]
            content = found[0] if len(found) == 1 else content
        if not isinstance(content, list):
            raise DataError(f"{file.name!r} must hold a list of records ([{{...}}, {{...}}]).")
        for number, record in enumerate(content, 1):
            if isinstance(record, dict):
                records.append(record)
                positions.append(number)
            else:
                rejects.append(_reject(number, "not a JSON object"))
    frame = _as_text(pd.DataFrame.from_records(records).astype(object))
    return RawTable(frame, positions, rejects, {"encoding": used})


def read_parquet(file: Path) -> RawTable:
    """Read a Parquet file."""
    import pyarrow

    try:
        frame = pd.read_parquet(file)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(
            f"{file.name!r} cannot be read as Parquet ({type(error).__name__}). Export it again."
        ) from None
    return RawTable(_as_text(frame), list(range(1, len(frame) + 1)))


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells as text: whole floats without the point, missing ones blank."""

    def cell(value: Any) -> str:
        if value is None or (isinstance(value, float) and value != value) or value is pd.NaT:
            return ""
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, list | dict):
            return json.dumps(value, ensure_ascii=False)
        return str(value)

    frame = frame.rename(columns=lambda name: str(name).strip())
    return pd.DataFrame(
        {
            column: pd.Series([cell(v) for v in frame[column]], dtype="str")
            for column in frame.columns
        }
    )


def _text_file(file: Path) -> str:
    return decode(file.read_bytes(), name=file.name)[0]


def _docx_file(file: Path) -> str:
    import docx

    document = docx.Document(str(file))
    parts = [paragraph.text for paragraph in document.paragraphs]
    for table in document.tables:
        parts += ["\t".join(cell.text for cell in row.cells) for row in table.rows]
    return "\n".join(parts)


def _pdf_file(file: Path) -> str:
    import pypdf

    # pypdf reports oddities of a file on its logger, with text of the file in places.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with file.open("rb") as stream:
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(stream).pages)


_DOCUMENT_READERS: dict[str, Callable[[Path], str]] = {
    ".txt": _text_file,
    ".docx": _docx_file,
    ".pdf": _pdf_file,
}


def read_documents(files: Sequence[Path], *, folder: Path) -> RawTable:
    """Read .txt, .docx and .pdf files, one narrative a file; the id is the name without ending."""
    ids, texts, rejects = [], [], []
    positions: list[int | str] = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        reader = _DOCUMENT_READERS.get(file.suffix.lower())
        if reader is None:
            rejects.append(_reject(name, f"not one of {', '.join(DOCUMENTS)}"))
            continue
        try:
            text = reader(file).strip()
        except Exception as error:  # whatever a broken file makes its library raise
            reason = "not a text file" if isinstance(error, DataError) else type(error).__name__
            rejects.append(_reject(name, f"cannot be read as {file.suffix.lower()} ({reason})"))
            continue
        if not text:
            reason = "holds no text (a scanned page needs OCR first)"
            rejects.append(
                _reject(name, reason if file.suffix.lower() == ".pdf" else "holds no text")
            )
            continue
        ids.append(file.relative_to(folder).with_suffix("").as_posix())
        texts.append(text)
        positions.append(name)
    frame = pd.DataFrame({"incident_id": ids, "narrative": texts}, dtype="str")
    return RawTable(frame, positions, rejects)
