"""Evidence spans and the texts that they lie in, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, rows_text


def read_continuum(continuum: Any) -> dict[Any, tuple[float, float]]:
    """Return begin and end of each text; one text has the key None."""
    texts: dict[Any, tuple[float, float]]
    try:
        if isinstance(continuum, pd.Series):
            continuum = continuum.to_dict()
        if isinstance(continuum, Mapping):
            texts = {str(key): (0.0, float(length)) for key, length in continuum.items()}
        elif isinstance(continuum, tuple | list):
            begin, end = continuum
            texts = {None: (float(begin), float(end))}
        else:
            texts = {None: (0.0, float(continuum))}
    except (TypeError, ValueError):
        raise DataError(
            "continuum must be (begin, end), a length, or a length for each incident_id."
        ) from None
    if not texts or not all(end - begin > 0 for begin, end in texts.values()):
        raise DataError("continuum: every text must have a length above zero, end after begin.")
    return texts


def read_spans(spans: Any, texts: Mapping[Any, tuple[float, float]]) -> pd.DataFrame:
    """Return spans with `text`, the key of the text that each lies in."""
    if isinstance(spans, pd.DataFrame):
        table = spans.rename(columns={"evidence_start": "start", "evidence_end": "end"})
    else:
        try:
            table = pd.DataFrame(list(spans), columns=["coder_id", "category", "start", "end"])
        except ValueError:
            raise DataError("spans: tuples of (coder, category, start, end) are needed.") from None
    several = None not in texts
    needed = ["coder_id", "category", "start", "end"] + (["incident_id"] if several else [])
    check_columns(table.columns, needed, source="spans")
    table = table[needed].reset_index(drop=True)
    table = table[table["start"].notna() & table["end"].notna()]
    table = table.assign(text=table["incident_id"].astype(str) if several else None)
    unknown = [int(i) + 1 for i in table.index[~table["text"].isin(list(texts))]] if several else []
    if unknown:
        raise DataError(
            f"spans: {rows_text(unknown)} have an incident_id that continuum has no length for."
        )
    begin = np.array([texts[key][0] for key in table["text"]], dtype=float)
    end = np.array([texts[key][1] for key in table["text"]], dtype=float)
    starts, ends = table["start"].to_numpy(dtype=float), table["end"].to_numpy(dtype=float)
    outside = (starts < begin) | (ends > end) | (ends <= starts)
    if outside.any():
        rows = [int(i) + 1 for i in table.index[outside]]
        raise DataError(
            f"spans: {rows_text(rows)} lie outside the text or end before they start. continuum "
            f"is (begin, end) in characters; start and end are offsets on it, end exclusive."
        )
    return table.assign(start=starts, end=ends)
