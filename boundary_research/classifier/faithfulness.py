"""Faithfulness: whether the evidence shown carries the decision, and is what coders marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_columns, check_random_state
from boundary_research.classifier.evidence import find_evidence
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.text import word_ngrams

FAITHFULNESS_COLUMNS = [
    "narrative",
    "category",
    "n_words",
    "probability",
    "without_evidence",
    "without_random",
]


def measure_faithfulness(
    classifier: NarrativeClassifier,
    texts: Sequence[str],
    *,
    n_random: int = 5,
    random_state: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Remove the evidence of each predicted code, and as many random words, and score again.

    If the evidence carries a decision, its removal lowers the probability more (the
    comprehensiveness of DeYoung et al. 2020, *ERASER*, section 4.2, against a random baseline).

    Parameters
    ----------
    classifier : NarrativeClassifier
    texts : sequence of str, length n
    n_random : int
        Random removals, averaged.
    random_state : int, Generator or None

    Returns
    -------
    DataFrame
        One row a predicted code with evidence: position of the `narrative`, `category`, `n_words`
        removed, `probability` of the whole text, and the probabilities after each removal.
    """
    rng = check_random_state(random_state)
    if n_random < 1:
        raise DataError(f"n_random must be at least 1, got {n_random}.")
    probabilities = classifier.predict_proba(texts)
    rows = []
    for i, text in enumerate(texts):
        wanted = np.flatnonzero(probabilities[i] >= classifier.thresholds_)
        spans = find_evidence(classifier, text, wanted.tolist())
        words = [(start, end) for _, start, end in word_ngrams(text, 1, 1)]
        for j in sorted({span[0] for span in spans}):
            own = [(start, end) for c, start, end, _ in spans if c == j]
            held = [w for w in words if any(s <= w[0] and w[1] <= e for s, e in own)]
            versions = [_remove(text, held)]
            for _ in range(n_random):
                drawn = rng.choice(len(words), size=len(held), replace=False)
                versions.append(_remove(text, [words[d] for d in sorted(drawn)]))
            after = classifier.predict_proba(versions)[:, j]
            name = str(classifier.classes_[j])
            rows.append((i, name, len(held), probabilities[i, j], after[0], after[1:].mean()))
    return pd.DataFrame(rows, columns=FAITHFULNESS_COLUMNS)


def span_agreement(found: pd.DataFrame, marked: pd.DataFrame) -> pd.DataFrame:
    """Return how far evidence found and evidence marked by coders cover the same characters.

    Parameters
    ----------
    found, marked : DataFrame
        Columns `incident_id`, `category`, `start`, `end`. Only narratives and categories that
        both hold are compared: whether the code is right is another question.

    Returns
    -------
    DataFrame
        One row a category and ``(all)``: `n` pairs of narrative and category compared; of their
        characters, `precision` (found that are marked), `recall` (marked that are found), `f1`;
        and `touched`, the share of pairs with any character in common.
    """
    needed = ["incident_id", "category", "start", "end"]
    check_columns(found.columns, needed, source="found")
    check_columns(marked.columns, needed, source="marked")
    theirs = _characters(marked)
    rows = []
    for key, characters in _characters(found).items():
        if key in theirs:
            shared = len(characters & theirs[key])
            rows.append((key[1], 1, shared, len(characters), len(theirs[key]), shared > 0))
    table = pd.DataFrame(rows, columns=["category", "n", "shared", "found", "marked", "touched"])
    sums = table.groupby("category").sum()
    if len(table):
        sums.loc["(all)"] = table.drop(columns="category").sum()
    sums = sums.astype(float)
    return pd.DataFrame(
        {
            "n": sums["n"].astype(int),
            "precision": sums["shared"] / sums["found"],
            "recall": sums["shared"] / sums["marked"],
            "f1": 2 * sums["shared"] / (sums["found"] + sums["marked"]),
            "touched": sums["touched"] / sums["n"],
        }
    ).reset_index()


def _remove(text: str, words: list[tuple[int, int]]) -> str:
    kept, last = [], 0
    for start, end in words:
        kept.append(text[last:start])
        last = end
    return "".join([*kept, text[last:]])


def _characters(spans: pd.DataFrame) -> dict[tuple[str, str], set[int]]:
    held: dict[tuple[str, str], set[int]] = {}
    columns = spans[["incident_id", "category", "start", "end"]]
    for incident, category, start, end in columns.itertuples(index=False):
        held.setdefault((str(incident), str(category)), set()).update(range(int(start), int(end)))
    return held
