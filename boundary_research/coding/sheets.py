"""Coding in spreadsheets: one file a coder goes out, codings and refused cells come back.

The files hold narratives; they are as confidential as these.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import (
    DataError,
    check_choice,
    check_output_folder,
    check_random_state,
)
from boundary_research._tables import check_table
from boundary_research.codebook.model import Codebook
from boundary_research.coding._sampling_frame import RandomState
from boundary_research.coding._sheet_layout import FORMATS, sheet_columns
from boundary_research.coding._sheet_parsing import CODING_COLUMNS, REFUSED_COLUMNS, SheetParser
from boundary_research.coding._sheet_reading import read_cells
from boundary_research.coding._sheet_writing import sheet_rows, write_csv, write_workbook

__all__ = ["read_sheets", "write_sheets"]

_PREFIX = "coding-sheet-"


def write_sheets(
    folder: str | os.PathLike[str],
    incidents: pd.DataFrame,
    codebook: Codebook,
    coders: Sequence[str] | Mapping[str, Iterable[str]],
    *,
    sample: pd.DataFrame | None = None,
    format: str = "xlsx",
    evidence: bool = False,
    random_state: RandomState = None,
) -> list[Path]:
    """Write one sheet a coder, with drop-down lists, the codebook and instructions.

    Parameters
    ----------
    folder : path
        Made if it is not there. A file is never overwritten.
    incidents : pandas.DataFrame
        The incidents table.
    codebook : Codebook
    coders : sequence of str, or mapping of coder to incident ids
        Who codes everything, or who codes what.
    sample : pandas.DataFrame, optional
        A `sample` table; only its narratives are written.
    format : {"xlsx", "csv"}
        A CSV file has neither lists nor tabs; a spreadsheet program may also damage its ids.
    evidence : bool
        True adds a column a category for the words that show it.
    random_state : int, numpy.random.Generator or None
        Given, each coder reads the narratives in an order of her own, which keeps the effects of
        order and of tiredness apart from the narratives. Without it, the order is the table's.

    Returns
    -------
    list of pathlib.Path
        One file a coder, ``coding-sheet-<coder>.xlsx`` or ``.csv``.

    Raises
    ------
    DataError
        If a file is there already, coders' names clash, or narratives are unknown.
    """
    check_choice(format, FORMATS, name="format")
    table = check_table(incidents, "incidents")
    if sample is not None:
        drawn = check_table(sample, "sample")["incident_id"]
        _check_known(drawn, table, what="sample")
        table = table[table["incident_id"].isin(drawn)]
    assigned = _assignments(coders, table)
    names = {coder: _PREFIX + re.sub(r"[^\w.-]+", "_", coder) for coder in assigned}
    if len({name.casefold() for name in names.values()}) < len(names):
        raise DataError("Two coders' names give the same file name. Tell them apart by letters.")
    target = check_output_folder(folder)
    paths = {coder: target / f"{name}.{format}" for coder, name in names.items()}
    there = [path.name for path in paths.values() if path.exists()]
    if there:
        raise DataError(
            f"{', '.join(there)} is in the folder already and may hold codes. Move it away, or "
            f"choose another folder."
        )
    rng = None if random_state is None else check_random_state(random_state)
    columns = sheet_columns(codebook, evidence=evidence)
    for coder, ids in assigned.items():
        narratives = table[table["incident_id"].isin(ids)]
        if rng is not None:
            narratives = narratives.iloc[rng.permutation(len(narratives))]
        rows = sheet_rows(narratives, columns, coder, codebook)
        if format == "csv":
            write_csv(paths[coder], columns, rows)
        else:
            write_workbook(paths[coder], columns, rows, codebook)
    return list(paths.values())


def _check_known(ids: Iterable[str], table: pd.DataFrame, *, what: str) -> None:
    unknown = sorted(set(ids) - set(table["incident_id"]))
    if unknown:
        shown = ", ".join(map(repr, unknown[:5]))
        raise DataError(
            f"{what}: {len(unknown)} incident_id are not in the incidents table ({shown}). "
            f"Pass the incidents that were drawn from."
        )


def _assignments(
    coders: Sequence[str] | Mapping[str, Iterable[str]], table: pd.DataFrame
) -> dict[str, set[str]]:
    if isinstance(coders, str):
        raise DataError("coders must be a list of names, or a mapping of names to incident ids.")
    if isinstance(coders, Mapping):
        assigned = {str(name).strip(): {str(i) for i in ids} for name, ids in coders.items()}
        for name, ids in assigned.items():
            _check_known(ids, table, what=f"coders[{name!r}]")
    else:
        assigned = {str(name).strip(): set(table["incident_id"]) for name in coders}
    if not assigned or len(assigned) < len(coders) or "" in assigned:
        raise DataError("coders: give each coder a name of her own.")
    return assigned


def read_sheets(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    codebook: Codebook,
    incidents: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read filled-in sheets.

    Columns and rows may stand in any order, headers in any case; 1, x, yes, TRUE and 0, no, FALSE
    are understood, blanks around them and empty rows passed over. An empty cell is "not coded",
    unless the row says that all others are absent.

    Parameters
    ----------
    paths : path, or several
        A folder (all its ``.xlsx`` and ``.csv`` files), a file, or several files.
    codebook : Codebook
    incidents : pandas.DataFrame
        The incidents table, against which ids and passages of evidence are checked.

    Returns
    -------
    codings : pandas.DataFrame
        The `codings` table; several passages of evidence are several rows.
    refused : pandas.DataFrame
        `file`, `row` (as the spreadsheet numbers it), `column` and `reason` of every cell that
        holds something which was not taken over; its text is not repeated.

    Raises
    ------
    DataError
        If there is no file, or a file cannot be read or has no ids.
    """
    table = check_table(incidents, "incidents")
    parser = SheetParser(codebook, table)
    for path in _files(paths):
        first, cells = read_cells(path)
        coder = path.stem.removeprefix(_PREFIX)
        parser.parse(path.name, cells, coder=coder, first_row=first)
    refused = pd.DataFrame(parser.refused, columns=REFUSED_COLUMNS)
    codings = pd.DataFrame(parser.codings, columns=CODING_COLUMNS)
    for name in ("severity", "evidence_start", "evidence_end"):
        codings[name] = codings[name].astype(float)
    return check_table(codings, "codings"), refused


def _files(paths: Any) -> list[Path]:
    if isinstance(paths, str | os.PathLike):
        path = Path(paths).expanduser()
        if not path.is_dir():
            return [path]
        # "~$…" is what Excel leaves beside a file that is open.
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in {".xlsx", ".csv"} and not file.name.startswith(("~$", "."))
        )
    else:
        files = [Path(path).expanduser() for path in paths]
    if not files:
        raise DataError(f"No .xlsx or .csv file in {str(paths)!r}. Check the folder.")
    return files
