"""A keyword list as a coder: the baseline that every classifier should beat."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from boundary_research.classifier._inputs import check_codes_of, check_texts
from boundary_research.codebook.model import Codebook

_WORD = re.compile(r"[a-z]{4,}")
# Words of four letters or more that carry no content.
_COMMON = frozenset(
    """
    about after also although because been before being beyond could does done during each
    even ever every from have having here himself herself into itself just like made make
    many more most much must never nobody none nothing only other over rather same she
    should since some such than that their them then there these they this those through
    twice under until upon very were what when where which while whom whose will with within
    without would your yours
    """.split()
)


def _stem(word: str) -> str:
    for ending in ("ingly", "edly", "ing", "ies", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON}


class KeywordCoder:
    """Codes a category where a narrative holds enough of the words of its label and indicators.

    Parameters
    ----------
    codebook : Codebook
        Words are taken from each category's label, subcodes and indicators; endings are cut, and a
        word that several categories share counts for each.

    Examples
    --------
    >>> from boundary_research.codebook.model import load_codebook
    >>> coder = KeywordCoder(load_codebook())
    >>> coder.count(["She accepted a watch and a gift."])["gifts_favours"].item()
    3
    """

    def __init__(self, codebook: Codebook) -> None:
        self.words = {
            category.id: _stems(
                " ".join([category.label, *category.indicators, *category.subcodes]).replace(
                    "_", " "
                )
            )
            for category in codebook
        }

    def count(self, texts: Sequence[str]) -> pd.DataFrame:
        """Return how many of each category's words a text holds, shape (n narratives, k)."""
        found = [_stems(text) for text in texts]
        return pd.DataFrame(
            {name: [len(words & there) for there in found] for name, words in self.words.items()}
        )

    def fit(self, texts: Sequence[str], codes: pd.DataFrame) -> KeywordCoder:
        """Choose, for each category, how many words are needed for the best F1."""
        texts = check_texts(texts)
        labels = check_codes_of(self.words, codes, len(texts))
        counts = self.count(texts)
        self.needed: dict[str, int] = {}
        for name, y in zip(self.words, labels.T, strict=True):
            score = counts[name].to_numpy()
            f1 = [
                2 * (y & (score >= m)).sum() / max(y.sum() + (score >= m).sum(), 1)
                for m in range(1, 6)
            ]
            self.needed[name] = int(np.argmax(f1)) + 1
        return self

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        """Return whether each category applies, shape (n narratives, k); one word unless fitted."""
        counts = self.count(texts)
        needed = getattr(self, "needed", dict.fromkeys(self.words, 1))
        return pd.DataFrame({name: counts[name] >= needed[name] for name in self.words})
