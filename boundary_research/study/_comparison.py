"""Results tables compared number by number, each with its own tolerance."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from boundary_research._checks import DataError
from boundary_research.study._number_origins import find_origins, measure_spread, to_scale

FOLDERS = ("tables", "figures")
VERDICTS = ("reproduced", "within tolerance", "differs", "missing", "added")
NUMBER_COLUMNS = [
    "table",
    "row",
    "row_number",
    "column",
    "kind",
    "origin",
    "published",
    "replicated",
    "difference",
    "tolerance",
    "tolerance_scale",
    "verdict",
]
# The order in which results are told: what a study is about first.
_FIRST = ("prevalence", "risk_factors")
_LAST = ("reliability", "metrics", "decisions", "cooccurrence", "registration")
# Below this a number counts as nought: shares and odds ratios carry no meaning there.
_FLOOR = 1e-12


class Tolerances(NamedTuple):
    """How far a replicated number may lie from the published one (study.yaml, ``tolerances``).

    Attributes
    ----------
    relative : float
        Largest difference of an estimate as a share of the number, or of its standard error where
        that is larger. Counts and texts must be the same.
    standard_errors : float
        Largest difference, in published standard errors, of what stands behind random folds or
        imputed values, once they were drawn anew (`_number_origins`).
    draws : float
        Largest difference of a bootstrap's limits, in Monte-Carlo standard errors, once drawn anew.
    """

    relative: float = 1e-8
    standard_errors: float = 1.0
    draws: float = 3.0


def _place(name: str) -> tuple[int, int, str]:
    if name.startswith("figures/"):
        return 3, 0, name
    if name in _LAST:
        return 2, _LAST.index(name), name
    first = [i for i, start in enumerate(_FIRST) if name.startswith(start)]
    return (0, first[0], name) if first else (1, 0, name)


def read_results(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all results tables and plotted data of an output folder, every cell as text.

    Tables have their file name without ending, the data of figures have ``figures/`` before it.

    Raises
    ------
    DataError
        If a file is not a table.
    """
    found = {}
    for part in FOLDERS:
        for file in sorted((folder / part).glob("*.csv")):
            name = file.stem if part == "tables" else f"{part}/{file.stem}"
            try:
                found[name] = pd.read_csv(file, dtype=str, keep_default_na=False)
            except pd.errors.EmptyDataError:
                found[name] = pd.DataFrame()
            except (ValueError, OSError) as error:
                raise DataError(
                    f"{part}/{file.name} cannot be read as a table ({type(error).__name__}). "
                    f"Copy the results again from where they came."
                ) from None
    return {name: found[name] for name in sorted(found, key=_place)}


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it would be read back from CSV with every cell as text."""
    stream = io.StringIO(frame.to_csv(index=False))
    return pd.read_csv(stream, dtype=str, keep_default_na=False)


def as_numbers(column: pd.Series) -> np.ndarray | None:
    """Return a column of texts as floats (missing where blank), or None if some are words."""
    filled = column.to_numpy() != ""
    values = pd.to_numeric(column.where(filled), errors="coerce").to_numpy(dtype=float)
    words = filled & np.isnan(values) & (column.str.lower().to_numpy() != "nan")
    return None if words.any() else values


def row_keys(published: pd.DataFrame, replicated: pd.DataFrame) -> list[str]:
    """Return the few text columns that tell a table's rows apart, in their order.

    Notes are left out: they are results. Where text columns do not suffice, the rows of one key
    are told apart by their order.
    """
    frames = (published, replicated)
    names = [
        column
        for column in published.columns
        if column in replicated.columns
        and column != "note"
        and any(as_numbers(frame[column]) is None for frame in frames)
    ]

    def worst(keys: list[str]) -> int:
        return sum(int(frame.duplicated(keys).sum()) if keys else len(frame) for frame in frames)

    least = worst(names)
    for name in reversed(list(names)):
        fewer = [other for other in names if other != name]
        if fewer and worst(fewer) == least:
            names = fewer
    return names


def _index_rows(frame: pd.DataFrame, keys: list[str]) -> pd.MultiIndex:
    order = frame.groupby(keys, sort=False).cumcount().to_numpy() if keys else range(len(frame))
    return pd.MultiIndex.from_arrays([*(frame[key] for key in keys), np.array(order, dtype=int)])


def describe_rows(frame: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return each row's key as text, ``"category=gifts; estimator=ppi"``."""
    if not keys:
        return [f"row {i + 1}" for i in range(len(frame))]
    shown = [key for key in keys if (frame[key] != "").any()]
    rows = frame[shown].itertuples(index=False)
    texts = ["; ".join(f"{k}={v}" for k, v in zip(shown, row, strict=True) if v) for row in rows]
    double = frame.duplicated(keys, keep=False).to_numpy()
    order = frame.groupby(keys, sort=False).cumcount().to_numpy()
    return [f"{t} ({o + 1})" if d else t for t, o, d in zip(texts, order, double, strict=True)]


def _kind(column: str, values: tuple[np.ndarray | None, np.ndarray | None]) -> str:
    if values[0] is None or values[1] is None:
        return "text"
    if column.startswith("n_"):
        return "count"
    both = np.concatenate([values[0], values[1]])
    both = both[np.isfinite(both)]
    return "count" if len(both) and (both == np.round(both)).all() else "estimate"


def _judge_numbers(
    name: str,
    column: str,
    kind: str,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    tolerances: Tolerances,
    redrawn: bool,
    crossfitted: bool,
) -> pd.DataFrame:
    """Judge a numeric column; both frames hold the same rows in the same order."""
    published, replicated = (as_numbers(frame[column]) for frame in frames)
    assert published is not None
    assert replicated is not None
    difference = replicated - published
    origin = find_origins(name, frames[0], column, crossfitted=crossfitted)
    if kind == "count":
        fixed = np.zeros(len(published))
    else:
        errors = as_numbers(frames[0]["std_error"]) if "std_error" in frames[0] else None
        size = np.fmax(np.abs(published), 0 if errors is None else np.nan_to_num(errors))
        fixed = np.fmax(tolerances.relative * size, _FLOOR)
    same = (frames[0][column] == frames[1][column]).to_numpy() | (np.abs(difference) <= fixed)
    scale, spread = measure_spread(name, frames[0], column, kind=kind)
    allowed = np.where(
        origin == "draws",
        tolerances.draws * spread.draws,
        tolerances.standard_errors * spread.folds,
    )
    chance = redrawn & (origin != "inputs")
    apart = np.abs(to_scale(replicated, scale) - to_scale(published, scale))
    near = chance & (apart <= allowed)
    verdict = np.select(
        [same, near, np.isfinite(published) & np.isnan(replicated)],
        ["reproduced", "within tolerance", "missing"],
        "differs",
    )
    return pd.DataFrame(
        {
            "origin": origin,
            "difference": difference,
            "tolerance": np.where(chance, np.fmax(np.nan_to_num(allowed), fixed), fixed),
            "tolerance_scale": np.where(chance, scale, "linear"),
            "verdict": verdict,
        }
    )


def _compare_column(
    name: str, column: str, frames: tuple[pd.DataFrame, pd.DataFrame], **options: object
) -> pd.DataFrame:
    published, replicated = (frame[column] for frame in frames)
    kind = _kind(column, (as_numbers(published), as_numbers(replicated)))
    if kind == "text":
        result = pd.DataFrame(
            {
                "origin": find_origins(
                    name, frames[0], column, crossfitted=bool(options["crossfitted"])
                ),
                "difference": np.nan,
                "tolerance": 0.0,
                "tolerance_scale": "text",
                "verdict": np.where(published == replicated, "reproduced", "differs"),
            }
        )
    else:
        result = _judge_numbers(name, column, kind, frames, **options)  # type: ignore[arg-type]
    result = result.assign(
        column=column,
        kind=kind,
        published=published.to_numpy(),
        replicated=replicated.to_numpy(),
    )
    # A cell that is blank on both sides holds no number.
    return result[(result["published"] != "") | (result["replicated"] != "")]


def _only_there(frame: pd.DataFrame, keys: list[str], rows: np.ndarray) -> pd.DataFrame:
    """Return every filled cell of some published rows as missing."""
    labels = np.array(describe_rows(frame, keys), dtype=object)
    parts = []
    for column in frame.columns:
        if column in keys:
            continue
        cells = frame[column].to_numpy()
        chosen = rows[cells[rows] != ""]
        kind = _kind(column, (as_numbers(frame[column]), np.empty(0)))
        parts.append(
            pd.DataFrame(
                {
                    "row": labels[chosen],
                    "row_number": chosen + 1,
                    "column": column,
                    "kind": kind,
                    "published": cells[chosen],
                    "replicated": "",
                    "verdict": "missing",
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def compare_table(
    name: str, published: pd.DataFrame, replicated: pd.DataFrame, **options: object
) -> pd.DataFrame:
    """Compare two tables of texts; see `compare_results` for what is returned."""
    keys = row_keys(published, replicated)
    index = _index_rows(published, keys), _index_rows(replicated, keys)
    place = index[1].get_indexer(index[0])
    there, gone = np.flatnonzero(place >= 0), np.flatnonzero(place < 0)
    frames = (
        published.iloc[there].reset_index(drop=True),
        replicated.iloc[place[there]].reset_index(drop=True),
    )
    labels = np.array(describe_rows(published, keys), dtype=object)[there]
    shared = [c for c in published.columns if c in replicated.columns and c not in keys]
    parts = [_only_there(published, keys, gone)]
    for column in shared:
        part = _compare_column(name, column, frames, **options)
        parts.append(part.assign(row=labels[part.index], row_number=there[part.index] + 1))
    lost = [c for c in published.columns if c not in replicated.columns]
    if lost and len(there):
        parts.append(_only_there(published[[*keys, *lost]], keys, there))
    new = np.flatnonzero(index[0].get_indexer(index[1]) < 0)
    names = np.array(describe_rows(replicated, keys), dtype=object)[new]
    parts.append(pd.DataFrame({"row": names, "kind": "row", "verdict": "added"}))
    columns = [c for c in replicated.columns if c not in published.columns]
    parts.append(pd.DataFrame({"column": columns, "kind": "column", "verdict": "added"}))
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=NUMBER_COLUMNS)
    return pd.concat(filled, ignore_index=True).assign(table=name).reindex(columns=NUMBER_COLUMNS)


def compare_tables(
    published: Mapping[str, pd.DataFrame], replicated: Mapping[str, pd.DataFrame], **options: object
) -> pd.DataFrame:
    """Compare all tables of texts by name; a table on one side only is named as such."""
    parts = []
    for name, table in published.items():
        if name in replicated:
            part = compare_table(name, table, replicated[name], **options)
        else:
            keys = row_keys(table, table)
            part = _only_there(table, keys, np.arange(len(table))).assign(table=name)
        parts.append(part)
    new = [name for name in replicated if name not in published]
    parts.append(pd.DataFrame({"table": new, "kind": "table", "verdict": "added"}))
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=NUMBER_COLUMNS)
    return pd.concat(filled, ignore_index=True).reindex(columns=NUMBER_COLUMNS)
