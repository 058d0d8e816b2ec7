"""Evidence: the clauses of a narrative that carried a model's decision."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, rows_text
from boundary_research._files import write_text
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.text import split_clauses

EVIDENCE_COLUMNS = ["incident_id", "category", "start", "end", "weight"]
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Narrative with its evidence</title>
<style>
body{{font:16px/1.6 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;color:#1c1c1c;
background:#fff;margin:1.5rem auto;padding:0 1rem;max-width:46rem;overflow-wrap:break-word}}
</style></head><body>
{body}
</body></html>
"""


def find_evidence(
    classifier: NarrativeClassifier,
    text: str,
    categories: Sequence[int],
    *,
    most: int = 3,
    share: float = 0.6,
) -> list[tuple[int, int, int, float]]:
    """Return the clauses that add most to the scores of some categories.

    A linear score is a sum over n-grams, each of which stands somewhere in the text; a clause's
    weight is the sum over the n-grams that begin in it (log-odds before calibration).

    Parameters
    ----------
    classifier : NarrativeClassifier
    text : str
    categories : sequence of int
        Positions in ``classifier.classes_``.
    most : int
        Clauses a category at most.
    share : float
        Clauses are added, heaviest first, until they hold this share of all that speaks for it.

    Returns
    -------
    list of (category position, start, end, weight)
        Start and end count characters of `text`; ordered by category and start.
    """
    clauses = split_clauses(text)
    if not clauses or not len(categories):
        return []
    located = classifier.vectorizer_.locate(text, np.array([start for start, _ in clauses]))
    weights = located @ classifier.coef_[list(categories)].T
    found = []
    for j, category in enumerate(categories):
        speaks_for = np.clip(weights[:, j], 0, None)
        total, held = speaks_for.sum(), 0.0
        for i in np.argsort(-speaks_for, kind="stable")[:most]:
            if total <= 0 or held >= share * total or speaks_for[i] <= 0:
                break
            held += speaks_for[i]
            found.append((int(category), *clauses[i], float(weights[i, j])))
    return sorted(found)


def show_evidence(
    text: str, evidence: pd.DataFrame, *, labels: Mapping[str, str] | None = None
) -> HighlightedText:
    """Return a narrative with its evidence highlighted, for a notebook or a page of its own.

    Parameters
    ----------
    text : str
        The narrative; everything is escaped.
    evidence : pandas.DataFrame
        Rows of one narrative with `category`, `start` and `end` (characters of `text`, the end
        excluded).
    labels : mapping, optional
        From category ids to labels.

    Raises
    ------
    DataError
        If columns are missing, the rows are of several incidents, or a passage does not lie in
        the text.

    Examples
    --------
    >>> spans = pd.DataFrame({"category": ["gift"], "start": [3], "end": [17]})
    >>> shown = show_evidence("He took <a watch>.", spans)
    >>> "<mark" in shown.html
    True
    """
    check_columns(evidence.columns, ["category", "start", "end"], source="evidence")
    if not isinstance(text, str):
        raise DataError(
            f"text must be one narrative, got {type(text).__name__}. Give the text of the incident "
            f"whose evidence is shown."
        )
    _check_one_incident(evidence)
    return HighlightedText(text, _check_spans(text, evidence), dict(labels or {}))


def _check_one_incident(evidence: pd.DataFrame) -> None:
    if "incident_id" not in evidence.columns:
        return
    n = evidence["incident_id"].nunique(dropna=False)
    if n > 1:
        raise DataError(
            f"evidence holds rows of {n} incidents, but the text is that of one. Keep the rows of "
            f'one: evidence[evidence["incident_id"] == …].'
        )


def _check_spans(text: str, evidence: pd.DataFrame) -> pd.DataFrame:
    """Return category, start and end, the last two as whole numbers that lie in the text."""
    start, end = (
        pd.to_numeric(evidence[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        for name in ("start", "end")
    )
    whole = (start == np.floor(start)) & (end == np.floor(end))
    for wrong, problem in (
        (evidence["category"].isna().to_numpy(), "category is missing"),
        (~whole, "start or end is missing or no whole number"),
        (whole & (start < 0), "start is below 0"),
        (whole & (start >= end), "start is not before end"),
        (whole & (end > len(text)), f"end lies beyond the text, which has {len(text)} characters"),
    ):
        if wrong.any():
            rows = [int(i) + 1 for i in wrong.nonzero()[0]]
            raise DataError(
                f"evidence: {problem} in {rows_text(rows)}. Start and end count the characters of "
                f"the narrative as it was coded; give that text, unchanged, and its own rows."
            )
    return pd.DataFrame(
        {
            "category": evidence["category"].astype(str).to_numpy(),
            "start": start.astype(int),
            "end": end.astype(int),
        }
    )


class HighlightedText:
    """A narrative that shows itself with highlighted evidence in a notebook.

    Made by `show_evidence`. It holds the narrative, and so does every file that `save` writes.
    """

    # Okabe-Ito tints with distinct underline styles, so that colour is never the only sign.
    _TINTS = ("#fde7b0", "#cfe8f7", "#c9ecdf", "#f9d3bd", "#ecd4e4", "#e4e4e4")
    _LINES = ("solid", "dashed", "dotted", "double", "wavy", "solid")

    def __init__(self, text: str, evidence: pd.DataFrame, labels: dict[str, str]) -> None:
        self._text = text
        self._evidence = evidence
        self._labels = labels

    def __repr__(self) -> str:
        return f"<HighlightedText with {len(self._evidence)} spans>"

    @property
    def html(self) -> str:
        """The narrative as a whole HTML page in UTF-8, with its style and without outside links."""
        return _PAGE.format(body=self._repr_html_())

    def save(self, path: str | Path) -> Path:
        """Write `html` to a file and return its path; the file holds the narrative.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        return write_text(Path(path).expanduser(), self.html)

    def _repr_html_(self) -> str:
        categories = list(dict.fromkeys(self._evidence["category"]))
        spans = [
            (s, e, categories.index(c))
            for c, s, e in self._evidence[["category", "start", "end"]].itertuples(index=False)
        ]
        cuts = sorted({0, len(self._text), *(s for s, _, _ in spans), *(e for _, e, _ in spans)})
        parts = []
        for low, high in pairwise(cuts):
            piece = html.escape(self._text[low:high]).replace("\n", "<br>")
            covering = sorted({c for s, e, c in spans if s <= low and e >= high})
            if covering:
                first = covering[0]
                names = ", ".join(self._labels.get(categories[c], categories[c]) for c in covering)
                piece = (
                    f'<mark style="background:{self._TINTS[first % 6]};color:#111;'
                    f"text-decoration:underline {self._LINES[first % 6]};"
                    f'text-underline-offset:3px" title="{html.escape(names, quote=True)}">'
                    f"{piece}</mark>"
                )
            parts.append(piece)
        legend = " ".join(
            f'<mark style="background:{self._TINTS[i % 6]};color:#111;text-decoration:underline '
            f'{self._LINES[i % 6]};text-underline-offset:3px;padding:0 .3em">'
            f"{html.escape(self._labels.get(name, name))}</mark>"
            for i, name in enumerate(categories)
        )
        return (
            f'<div style="max-width:44rem;line-height:1.7">{"".join(parts)}</div>'
            f'<div style="margin-top:.5rem;font-size:.85em">{legend}</div>'
        )
