"""Incidents: read a researcher's file or folder, and set bad rows aside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from boundary_research._checks import DataError, check_columns, check_file
from boundary_research.corpus import _readers

_TABLES = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".tab": "delimited",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".json": "json",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# Control characters other than tab and line ends: a sign of a broken export.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
REJECT_COLUMNS = ["row", "incident_id", "reason"]


class LoadedIncidents(NamedTuple):
    """What `load_incidents` returns.

    Attributes
    ----------
    incidents : pandas.DataFrame
        One row a narrative: `incident_id`, `narrative`, and the other columns of the file.
    rejects : pandas.DataFrame
        One row for each row set aside: `row` (number in the source from 1, without the header, or
        the file's name), `incident_id` where there is one, and `reason`. Never the text.
    source : dict
        How the file was read: format, encoding, delimiter or sheet.
    """

    incidents: pd.DataFrame
    rejects: pd.DataFrame
    source: dict[str, str]


def _read(
    path: Path, encoding: str | None, delimiter: str | None, sheet: Any, wanted: Sequence[str]
) -> tuple[_readers.RawTable, str]:
    if path.is_dir():
        files = sorted(
            p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "~$"))
        )
        if not files:
            raise DataError(
                f"Folder {str(path)!r} holds no files. Put .txt, .docx or .pdf into it."
            )
        return _readers.read_documents(files, folder=path), "documents"
    file = check_file(path, what="Input file")
    ending = file.suffix.lower()
    if ending in _readers.DOCUMENTS:
        return _readers.read_documents([file], folder=file.parent), "documents"
    kind = _TABLES.get(ending)
    if kind is None:
        known = ", ".join([*_TABLES, *_readers.DOCUMENTS])
        raise DataError(
            f"{file.name!r}: files of type {ending or '(no ending)'} cannot be read. "
            f"Available: {known}, or a folder of .txt, .docx and .pdf files."
        )
    if kind == "delimited":
        raw = _readers.read_delimited(file, encoding=encoding, delimiter=delimiter, wanted=wanted)
    elif kind == "excel":
        raw = _readers.read_excel(file, sheet=sheet)
    elif kind == "parquet":
        raw = _readers.read_parquet(file)
    else:
        raw = _readers.read_json(file, lines=kind == "lines", encoding=encoding)
    return raw, ending.lstrip(".")


def _as_numbers(values: pd.Series) -> pd.Series:
    """Return a text column as numbers where all filled cells are, none with a leading zero."""
    filled = values[values != ""]
    if filled.empty or filled.str.match(_LEADING_ZERO).any():
        return values
    numbers = pd.to_numeric(filled, errors="coerce")
    if numbers.isna().any():
        return values
    return pd.to_numeric(values.where(values != "", None))


def load_incidents(
    path: str | Path,
    *,
    id_column: str = "incident_id",
    text_column: str = "narrative",
    columns: Mapping[str, str] | None = None,
    attribute_columns: Sequence[str] = (),
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | int | None = None,
    strict: bool = False,
) -> LoadedIncidents:
    r"""Read incident narratives from a table or a folder of documents.

    Parameters
    ----------
    path : str or pathlib.Path
        A .csv, .tsv, .xlsx, .json (list of records), .jsonl or .parquet file; or a folder of .txt,
        .docx and .pdf files, where one file is one narrative and its name is the id.
    id_column, text_column : str
        The file's columns that hold the unique id and the narrative.
    columns : mapping of str to str, optional
        Other columns to rename, from the file's name to the package's:
        ``{"Agency": "agency_id"}``.
    attribute_columns : sequence of str
        Attributes (after renaming) whose blank cells mean ``not_stated``.
    encoding, delimiter : str, optional
        For text files; found out when not given.
    sheet : str or int, optional
        Sheet of a workbook; the first by default.
    strict : bool
        Raise instead of setting rows aside.

    Returns
    -------
    LoadedIncidents
        ``incidents``, ``rejects`` and ``source``; every row of the source is in exactly one of the
        first two.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or (with `strict`) a row is set aside.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("case;story\n1;He came late.\n1;Again.\n2;\n")
    >>> loaded = load_incidents(folder / "a.csv", id_column="case", text_column="story")
    >>> len(loaded.incidents), loaded.source["delimiter"]
    (1, ';')
    >>> loaded.rejects["reason"].tolist()
    ['the id repeats that of an earlier row', "no text in 'story'"]
    """
    path = Path(path).expanduser()
    raw, kind = _read(path, encoding, delimiter, sheet, (id_column, text_column))
    if kind == "documents":
        id_column, text_column = "incident_id", "narrative"
    frame = raw.frame
    try:
        check_columns(frame.columns, [id_column, text_column], source=f"File {path.name!r}")
    except DataError as error:
        how = "Name yours with id_column and text_column (--id-column, --text-column)."
        raise DataError(str(error).replace("Rename the column or map it.", how)) from None
    if columns:
        check_columns(frame.columns, list(columns), source=f"File {path.name!r}")
    taken = {id_column: "incident_id", text_column: "narrative"}
    renamed = {**taken, **{k: v for k, v in (columns or {}).items() if k not in taken}}
    clash = [n for n in frame.columns if n not in renamed and n in set(renamed.values())]
    frame = frame.drop(columns=clash).rename(columns=renamed)
    frame["incident_id"] = frame["incident_id"].str.strip()

    bad, rejects = find_unusable(
        frame, raw, no_text=f"no text in {text_column!r}", no_id=f"no id in {id_column!r}"
    )
    if strict and rejects:
        raise DataError(
            f"{path.name!r}: {len(rejects)} rows cannot be used, the first at row "
            f"{rejects[0]['row']} ({rejects[0]['reason']}). Correct them, or leave strict out."
        )
    if not len(frame) and not rejects:
        raise DataError(f"{path.name!r} holds no rows below the header. Check the export.")
    good = frame[~bad].reset_index(drop=True)
    for column in good.columns.difference(["incident_id", "narrative"], sort=False):
        if column in attribute_columns:
            good[column] = good[column].where(good[column].str.strip() != "", "not_stated")
        elif not column.endswith("_id"):
            good[column] = _as_numbers(good[column])
    first = ["incident_id", "narrative"]
    good = good[first + [c for c in good.columns if c not in first]]
    return LoadedIncidents(
        good,
        pd.DataFrame(rejects, columns=REJECT_COLUMNS),
        {"file": path.name, "format": kind, **raw.info},
    )


def find_unusable(
    frame: pd.DataFrame, raw: _readers.RawTable, *, no_text: str, no_id: str
) -> tuple[pd.Series, list[dict[str, Any]]]:
    """Return which rows have no id or no text of their own, and all rejects in the file's order."""
    reason = pd.Series("", index=frame.index, dtype="str")
    reason[frame["incident_id"].duplicated()] = "the id repeats that of an earlier row"
    reason[frame["narrative"].str.contains(_CONTROL)] = "control characters in the text"
    reason[frame["incident_id"].str.contains(_CONTROL)] = "control characters in the id"
    reason[frame["narrative"].str.strip() == ""] = no_text
    reason[frame["incident_id"] == ""] = no_id
    bad = reason != ""
    rejects = raw.rejects + [
        {
            "row": raw.positions[i],
            "incident_id": frame["incident_id"].iloc[i] or None,
            "reason": reason.iloc[i],
        }
        for i in bad.to_numpy().nonzero()[0]
    ]
    rejects.sort(key=lambda reject: (isinstance(reject["row"], str), reject["row"]))
    return bad, rejects
