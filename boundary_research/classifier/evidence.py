"""Evidence: the clauses of a narrative that carried a model's decision."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from boundary_research._checks import check_columns
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.text import split_clauses

EVIDENCE_COLUMNS = ["incident_id", "category", "start", "end", "weight"]


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
    """Return a narrative with its evidence highlighted, for display in a notebook.

    Parameters
    ----------
    text : str
        The narrative; everything is escaped.
    evidence : pandas.DataFrame
        Rows of one narrative with `category`, `start` and `end`.
    labels : mapping, optional
        From category ids to labels.

    Examples
    --------
    >>> spans = pd.DataFrame({"category": ["gift"], "start": [3], "end": [17]})
    >>> "<mark" in show_evidence("He took <a watch>.", spans)._repr_html_()
    True
    """
    check_columns(evidence.columns, ["category", "start", "end"], source="evidence")
    return HighlightedText(text, evidence, dict(labels or {}))


class HighlightedText:
    """A narrative that shows itself with highlighted evidence in a notebook."""

    # Okabe-Ito tints with distinct underline styles, so that colour is never the only sign.
    _TINTS = ("#fde7b0", "#cfe8f7", "#c9ecdf", "#f9d3bd", "#ecd4e4", "#e4e4e4")
    _LINES = ("solid", "dashed", "dotted", "double", "wavy", "solid")

    def __init__(self, text: str, evidence: pd.DataFrame, labels: dict[str, str]) -> None:
        self._text = text
        self._evidence = evidence
        self._labels = labels

    def __repr__(self) -> str:
        return f"<HighlightedText with {len(self._evidence)} spans>"

    def _repr_html_(self) -> str:
        categories = list(dict.fromkeys(self._evidence["category"]))
        length = len(self._text)
        spans = [
            (min(int(s), length), min(int(e), length), categories.index(c))
            for c, s, e in self._evidence[["category", "start", "end"]].itertuples(index=False)
        ]
        cuts = sorted({0, length, *(s for s, _, _ in spans), *(e for _, e, _ in spans)})
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
