"""Passages: marked evidence, and the sentences around it, as short examples to learn from."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)]*\s+|\n+")
_WORD = re.compile(r"\w+")
_SHORTEST_SENTENCE = 3
# So many characters of a span must lie in a sentence for the sentence to count as evidence; a
# shorter span must lie in it by half.
_SHARED = 10


@dataclass(frozen=True)
class Passages:
    """Parts of narratives with what they say about each category.

    Attributes
    ----------
    texts : list of str, length m
    row : int array, shape (m,)
        The narrative from which each comes.
    shows : int8 array, shape (m, k)
        1 shows the category, 0 does not though its narrative has it, -1 says nothing about it.
    """

    texts: list[str]
    row: np.ndarray
    shows: np.ndarray


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence; one of under three words joins the one before.

    Examples
    --------
    >>> text = "He paid her rent. Twice. Nobody was told."
    >>> [text[start:end] for start, end in split_sentences(text)]
    ['He paid her rent. Twice.', 'Nobody was told.']
    """
    sentences: list[tuple[int, int]] = []
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        piece = text[start:end]
        left, right = end - len(piece.lstrip()), start + len(piece.rstrip())
        start = end
        if left >= right:
            continue
        if sentences and len(_WORD.findall(text[left:right])) < _SHORTEST_SENTENCE:
            sentences[-1] = (sentences[-1][0], right)
        else:
            sentences.append((left, right))
    return sentences


def cut_passages(
    texts: Sequence[str],
    names: np.ndarray,
    labels: np.ndarray,
    ids: Sequence[Hashable],
    evidence: pd.DataFrame,
) -> Passages:
    """Cut narratives with marked evidence into passages.

    A span, and a sentence that holds one, shows its category. Another sentence of the same
    narrative does not, where the narrative has evidence of that category. Sentences of narratives
    without the category add nothing: the whole narrative says it already.

    Parameters
    ----------
    texts : sequence of str, length n
    names : array of str, shape (k,)
    labels : bool array, shape (n, k)
    ids : sequence, length n
        What `incident_id` refers to.
    evidence : DataFrame
        Columns `incident_id`, `category`, `start`, `end` (characters).

    Raises
    ------
    DataError
        If a span refers to no narrative, no category, a category that its narrative is not coded
        with, or characters outside the narrative.
    """
    spans = check_evidence(texts, names, labels, ids, evidence)
    found: list[str] = []
    rows: list[int] = []
    shows: list[np.ndarray] = []
    for row, part in spans.groupby("row", sort=True):
        text = texts[row]
        marked = np.unique(part["column"])
        sentences = split_sentences(text)
        held = np.full((len(sentences), len(names)), -1, dtype=np.int8)
        held[:, marked] = 0
        for column, start, end in part[["column", "start", "end"]].itertuples(index=False):
            alone = np.full(len(names), -1, dtype=np.int8)
            alone[column] = 1
            found.append(text[start:end])
            shows.append(alone)
            for i, (left, right) in enumerate(sentences):
                if min(right, end) - max(left, start) >= min(_SHARED, (end - start + 1) // 2):
                    held[i, column] = 1
        found += [text[left:right] for left, right in sentences]
        shows += list(held)
        rows += [row] * (len(part) + len(sentences))
    stacked = np.array(shows, dtype=np.int8).reshape(len(found), len(names))
    return Passages(found, np.array(rows, dtype=np.intp), stacked)


def check_evidence(
    texts: Sequence[str],
    names: np.ndarray,
    labels: np.ndarray,
    ids: Sequence[Hashable],
    evidence: pd.DataFrame,
) -> pd.DataFrame:
    """Return the spans with the narrative's `row` and the category's `column`."""
    check_columns(evidence.columns, ["incident_id", "category", "start", "end"], source="evidence")
    if len(set(ids)) != len(ids):
        raise DataError("codes: its index must be unique, for evidence refers to it.")
    row = pd.Index(list(ids)).get_indexer(pd.Index(evidence["incident_id"]))
    column = pd.Index(names).get_indexer(pd.Index(evidence["category"].astype(str)))
    _refuse(row < 0, "refer to an incident_id that is not in the index of codes")
    _refuse(column < 0, f"have a category other than those of codes ({', '.join(names)})")
    start, end = (pd.to_numeric(evidence[c], errors="coerce").to_numpy(float) for c in _ENDS)
    length = np.array([len(text) for text in texts], dtype=float)[row]
    inside = (start >= 0) & (start < end) & (end <= length)
    _refuse(~inside, "do not lie inside their narrative (0 <= start < end <= its length)")
    _refuse(~labels[row, column], "have a category that their narrative is not coded with")
    return pd.DataFrame(
        {"row": row, "column": column, "start": start.astype(int), "end": end.astype(int)}
    )


_ENDS = ("start", "end")


def _refuse(wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise DataError(
            f"evidence: {int(wrong.sum())} of {len(wrong)} spans {what}; the first is entry "
            f"{int(np.argmax(wrong)) + 1}. Drop or correct them."
        )
