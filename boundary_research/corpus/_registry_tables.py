"""Blocks of a simulated registry as tables, in memory or streamed to Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from boundary_research.corpus._registry_blocks import Block, NarrativePool
from boundary_research.corpus._registry_model import RegistryModel

NOT_STATED = "not_stated"
PLACEHOLDER = "(simulated)"  # a narrative may not be empty


def numbered(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    """Return ids such as ``i000000012`` as Arrow strings, built digit by digit in one buffer."""
    width = digits + 1
    text = np.empty((len(numbers), width), dtype=np.uint8)
    text[:, 0] = ord(prefix)
    rest = numbers.astype(np.int64)
    for place in range(digits, 0, -1):
        text[:, place] = 48 + rest % 10
        rest = rest // 10
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.StringArray.from_buffers(len(numbers), *buffers[1:])


def _dictionary(codes: np.ndarray, values: Sequence[str], *, ordered: bool = False) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(list(values), pa.string()), ordered=ordered
    )


def stated_levels(model: RegistryModel, name: str) -> tuple[str, ...]:
    """Return an attribute's levels as they occur in incidents, "not stated" last."""
    levels = model.attributes[name].levels
    return (*levels, NOT_STATED) if name in model.not_stated else levels


def incident_table(
    block: Block, model: RegistryModel, start: np.datetime64, pool: NarrativePool | None
) -> pa.Table:
    """Return the incidents of a block."""
    size = len(block)
    if pool is None or block.narrative is None:
        texts = _dictionary(np.zeros(size, dtype=np.int32), [PLACEHOLDER])
    else:
        texts = _dictionary(block.narrative, pool.texts.tolist())
    columns = {
        "incident_id": numbered("i", block.position, 9),
        "narrative": texts,
        "agency_id": numbered("a", block.agency, 5),
        "practitioner_id": numbered("p", block.practitioner, 9),
        "occurred_on": pa.array((start + block.day).astype("datetime64[s]")),
    }
    for name, codes in block.attributes.items():
        # Ordered, so that a regression takes the first level as the reference, as the truth does.
        columns[name] = _dictionary(codes, stated_levels(model, name), ordered=True)
    return pa.table(columns)


def _long(block: Block, categories: Sequence[str], values: Mapping[str, pa.Array]) -> pa.Table:
    size, count = block.present.shape
    ids = numbered("i", np.repeat(block.position, count), 9)
    names = _dictionary(np.tile(np.arange(count), size), categories)
    return pa.table({"incident_id": ids, "category": names, **values})


def gold_table(block: Block, categories: Sequence[str]) -> pa.Table:
    """Return the true codes, one row an incident and category."""
    present = block.present.ravel()
    severity = pa.array(block.severity.ravel().astype(np.float32), mask=~present)
    known = {
        "present": pa.array(present),
        "severity": severity,
        "source": _dictionary(np.zeros(present.size, dtype=np.int32), ["adjudicated"]),
        "inclusion_probability": pa.array(np.ones(present.size)),
    }
    return _long(block, categories, known)


def coded_table(block: Block, categories: Sequence[str]) -> pa.Table:
    """Return the classifier's decisions, one row an incident and category."""
    said = block.predicted.ravel()
    decided = {
        "probability": pa.array(block.probability.ravel()),
        "decision": _dictionary(said.astype(np.int32), ["absent", "present"]),
    }
    return _long(block, categories, decided)


def wide_table(block: Block, categories: Sequence[str], values: np.ndarray) -> pa.Table:
    """Return an array (n, K) as one row an incident and one column a category."""
    columns = {"incident_id": numbered("i", block.position, 9)}
    for k, category in enumerate(categories):
        columns[category] = pa.array(np.ascontiguousarray(values[:, k]))
    return pa.table(columns)


def block_tables(
    block: Block,
    model: RegistryModel,
    start: np.datetime64,
    pool: NarrativePool | None,
    *,
    layout: str,
) -> dict[str, pa.Table]:
    """Return the tables of a block by the name of their file."""
    found = {"incidents": incident_table(block, model, start, pool)}
    categories = model.categories
    if layout == "long":
        found["gold"] = gold_table(block, categories)
        found["coded"] = coded_table(block, categories)
    else:
        found["gold"] = wide_table(block, categories, block.present)
        found["coded"] = wide_table(block, categories, block.predicted)
        found["probability"] = wide_table(block, categories, block.probability)
    return found


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a pandas table with plain text for all but the attributes."""
    plain = {"narrative", "category", "source", "decision"}.intersection(table.column_names)
    frame = table.to_pandas()
    for column in plain:
        frame[column] = frame[column].astype(str)
    return frame


class TableWriter:
    """A Parquet file that takes tables of any length and writes row groups of a fixed one."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path, self._rows = path, rows
        self._waiting: list[pa.Table] = []
        self._count = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Take a table; full row groups go to disk, the rest waits."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._waiting.append(table)
        self._count += table.num_rows
        while self._count >= self._rows:
            self._flush(self._rows)

    def _flush(self, rows: int) -> None:
        if self._writer is None or self._count == 0:
            return
        table = pa.concat_tables(self._waiting)
        self._writer.write_table(table.slice(0, rows), row_group_size=rows)
        rest = table.slice(rows)
        self._waiting, self._count = [rest], rest.num_rows

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush(self._rows)
        if self._writer is not None:
            self._writer.close()
