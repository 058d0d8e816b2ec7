"""Text to features: word and character n-grams that remember where in the text they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

_WORD = re.compile(r"\w+")
_CHUNK = re.compile(r"\S+")
# A clause ends at a sentence mark, a semicolon or a line end, or at a comma.
_CLAUSE_END = re.compile(r"[.!?…]+[\"'”’)]*\s+|[;:]\s+|\n+|,\s+|\s[-–—]\s")
_SHORTEST_CLAUSE = 4

Located = tuple[str, int, int]


def word_ngrams(text: str, low: int, high: int) -> Iterator[Located]:
    """Yield each word n-gram of `text` in lower case with its start and end.

    Examples
    --------
    >>> list(word_ngrams("He came.", 1, 2))
    [('he', 0, 2), ('came', 3, 7), ('he came', 0, 7)]
    """
    words = [(m.group().lower(), m.start(), m.end()) for m in _WORD.finditer(text)]
    for n in range(low, high + 1):
        for i in range(len(words) - n + 1):
            run = words[i : i + n]
            yield " ".join(word for word, _, _ in run), run[0][1], run[-1][2]


def character_ngrams(text: str, low: int, high: int) -> Iterator[Located]:
    """Yield the character n-grams of each blank-separated chunk, padded with one blank a side.

    Start and end are those of the chunk. A chunk shorter than `low` gives one n-gram.
    """
    for match in _CHUNK.finditer(text):
        padded = f" {match.group().lower()} "
        start, end = match.span()
        for n in range(low, high + 1):
            if len(padded) <= n:
                yield padded, start, end
                break
            for i in range(len(padded) - n + 1):
                yield padded[i : i + n], start, end


def split_clauses(text: str) -> list[tuple[int, int]]:
    """Return start and end of each clause; one too short to read alone joins the one before.

    Examples
    --------
    >>> text = "He paid her rent, twice. Nobody was told about it."
    >>> [text[start:end] for start, end in split_clauses(text)]
    ['He paid her rent, twice.', 'Nobody was told about it.']
    """
    clauses: list[tuple[int, int]] = []
    start = 0
    ends = [m.end() for m in _CLAUSE_END.finditer(text)] + [len(text)]
    for end in ends:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        start = end
        if left >= right:
            continue
        if clauses and len(_WORD.findall(text[left:right])) < _SHORTEST_CLAUSE:
            clauses[-1] = (clauses[-1][0], right)
        else:
            clauses.append((left, right))
    return clauses


class NarrativeVectorizer(TransformerMixin, BaseEstimator):
    """TF-IDF of word n-grams and of character n-grams, each block with rows of fixed length.

    Parameters
    ----------
    words, characters : tuple of int, optional
        Shortest and longest n-gram; None leaves the block out.
    character_weight : float
        Length of the rows of the character block; the word block has length one.
    min_narratives : int
        A term must occur in so many narratives. At 3, names and numbers of single narratives are
        not learned, and so cannot leak through a saved model.
    """

    def __init__(
        self,
        words: tuple[int, int] | None = (1, 2),
        characters: tuple[int, int] | None = (3, 5),
        character_weight: float = 2.0,
        min_narratives: int = 3,
    ) -> None:
        self.words = words
        self.characters = characters
        self.character_weight = character_weight
        self.min_narratives = min_narratives

    def _blocks(self) -> list[tuple[str, Any, tuple[int, int]]]:
        blocks = [("words", word_ngrams, self.words), ("characters", character_ngrams, self.characters)]
        return [(name, ngrams, sizes) for name, ngrams, sizes in blocks if sizes is not None]

    def _weighted(self, name: str, features: sparse.csr_matrix) -> sparse.csr_matrix:
        return features * self.character_weight if name == "characters" else features

    @staticmethod
    def _vectorizer(ngrams: Any, sizes: tuple[int, int], **options: Any) -> TfidfVectorizer:
        def analyze(text: str) -> list[str]:
            return [term for term, _, _ in ngrams(text, *sizes)]

        return TfidfVectorizer(analyzer=analyze, sublinear_tf=True, dtype=np.float64, **options)

    def fit(self, texts: Iterable[str], y: Any = None) -> NarrativeVectorizer:
        """Learn the vocabulary and the inverse document frequencies."""
        self.fit_transform(texts)
        return self

    def fit_transform(self, texts: Iterable[str], y: Any = None) -> sparse.csr_array:
        """Learn the vocabulary and return the features, shape (n narratives, n terms)."""
        texts = list(texts)
        self.vectorizers_: dict[str, TfidfVectorizer] = {}
        parts = []
        for name, ngrams, sizes in self._blocks():
            vectorizer = self._vectorizer(ngrams, sizes, min_df=min(self.min_narratives, len(texts)))
            try:
                parts.append(self._weighted(name, vectorizer.fit_transform(texts)))
            except ValueError:
                # No term is frequent enough; keep every term rather than none.
                try:
                    vectorizer = self._vectorizer(ngrams, sizes)
                    parts.append(self._weighted(name, vectorizer.fit_transform(texts)))
                except ValueError:
                    continue
            self.vectorizers_[name] = vectorizer
        if not parts:
            return sparse.csr_array((len(texts), 0))
        return sparse.csr_array(sparse.hstack(parts))

    def transform(self, texts: Iterable[str]) -> sparse.csr_array:
        """Return the features, shape (n narratives, n terms)."""
        check_is_fitted(self, "vectorizers_")
        texts = list(texts)
        if not self.vectorizers_:
            return sparse.csr_array((len(texts), 0))
        parts = [
            self._weighted(name, vectorizer.transform(texts))
            for name, vectorizer in self.vectorizers_.items()
        ]
        return sparse.csr_array(sparse.hstack(parts))

    def locate(self, text: str, starts: np.ndarray) -> sparse.csr_array:
        """Return the features of a text by the part in which they stand.

        Parameters
        ----------
        text : str
        starts : int array, shape (m,)
            Where each part of the text begins, rising.

        Returns
        -------
        sparse array, shape (m, n terms)
            Each term's TF-IDF value is shared equally among its occurrences, and an occurrence
            belongs to the part in which it begins; the sum over the parts is the text's row of
            `transform`.
        """
        row = self.transform([text])
        values = np.zeros(row.shape[1])
        values[row.indices] = row.data
        columns: list[int] = []
        places: list[int] = []
        offset = 0
        for name, ngrams, sizes in self._blocks():
            if name not in self.vectorizers_:
                continue
            vocabulary = self.vectorizers_[name].vocabulary_
            for term, start, _ in ngrams(text, *sizes):
                column = vocabulary.get(term)
                if column is not None:
                    columns.append(column + offset)
                    places.append(start)
            offset += len(vocabulary)
        column_of = np.array(columns, dtype=np.intp)
        part = np.maximum(np.searchsorted(starts, np.array(places, dtype=np.intp), side="right") - 1, 0)
        occurrences = np.bincount(column_of, minlength=row.shape[1])
        shares = values[column_of] / occurrences[column_of]
        return sparse.csr_array(
            sparse.coo_array((shares, (part, column_of)), shape=(len(starts), row.shape[1]))
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted state as arrays of text and floats."""
        check_is_fitted(self, "vectorizers_")
        arrays = {}
        for name, vectorizer in self.vectorizers_.items():
            terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
            joined = "\n".join(terms).encode("utf-8")
            arrays[f"{name}_terms"] = np.frombuffer(joined, dtype=np.uint8)
            arrays[f"{name}_idf"] = vectorizer.idf_
        return arrays

    def from_arrays(self, arrays: Any) -> NarrativeVectorizer:
        """Restore the state that `to_arrays` gave."""
        self.vectorizers_ = {}
        for name, ngrams, sizes in self._blocks():
            if f"{name}_terms" not in arrays:
                continue
            terms = arrays[f"{name}_terms"].tobytes().decode("utf-8").split("\n")
            vectorizer = self._vectorizer(ngrams, sizes, vocabulary=terms)
            vectorizer.idf_ = arrays[f"{name}_idf"]
            vectorizer.vocabulary_ = {term: i for i, term in enumerate(terms)}
            self.vectorizers_[name] = vectorizer
        return self
