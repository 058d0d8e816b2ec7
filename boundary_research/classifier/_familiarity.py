"""How far narratives are like those that a model was checked on: their length, and their words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+")
# Of the words of English reports of another kind at least half were known, and in most of them two
# thirds; of those of German, Spanish and Dutch sentences 15 to 40%.
_LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Familiarity:
    """What a model was checked on.

    Attributes
    ----------
    longest : int
        Words of the longest narrative that it held out in cross-validation; 0 where that is not
        known.
    known : float
        Median share of a narrative's words that it knows; NaN where it has no words.
    """

    longest: int
    known: float

    def to_header(self) -> dict[str, float | None]:
        """Return it as JSON can hold it."""
        return {"longest": self.longest, "known": None if np.isnan(self.known) else self.known}

    @classmethod
    def from_header(cls, header: Mapping[str, Any] | None) -> Familiarity:
        """Take what `to_header` gave; None, from an earlier version, knows nothing."""
        header = header or {}
        known = header.get("known")
        return cls(int(header.get("longest", 0)), float("nan") if known is None else float(known))


def measure_familiarity(
    texts: Sequence[str], vocabulary: Collection[str] | None = None
) -> Familiarity:
    """Return length and known words of the narratives that a model was checked on."""
    counts = [_count(text, vocabulary) for text in texts]
    longest = max((n for n, _ in counts), default=0)
    shares = [known / n for n, known in counts if n] if vocabulary else []
    return Familiarity(longest, float(np.median(shares)) if shares else float("nan"))


def find_unfamiliar(
    texts: Sequence[str], checked_on: Familiarity, vocabulary: Collection[str] | None = None
) -> list[str]:
    """Return why each narrative is unlike those that a model was checked on, or an empty text.

    It is where it is longer than any of them, since longer texts have more places for a model to
    err in, or where it knows less than half as many of its words, as in another language.

    Examples
    --------
    >>> words = {"he", "lent", "her", "money"}
    >>> checked_on = measure_familiarity(["He lent her money."], words)
    >>> find_unfamiliar(["He lent money.", "Er lieh ihr Geld.", "He " * 5], checked_on, words)
    ['', 'words', 'length']
    """
    reasons = []
    for text in texts:
        n, known = _count(text, vocabulary)
        found = []
        if checked_on.longest and n > checked_on.longest:
            found.append("length")
        if n and known / n < _LEAST_KNOWN * checked_on.known:  # never where `known` is NaN
            found.append("words")
        reasons.append(" and ".join(found))
    return reasons


def _count(text: str, vocabulary: Collection[str] | None) -> tuple[int, int]:
    """Return how many words a text has, and how many of them are known."""
    words = _WORD.findall(text.lower())
    return len(words), sum(word in vocabulary for word in words) if vocabulary else 0
