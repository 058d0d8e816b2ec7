"""Text to features: word and character n-grams that remember where in the text they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

_WORD = re.compile(r"\w+")
_CHUNK = re.compile(r"\S+")
# A clause ends at a sentence mark, a semicolon or a line end, or at a comma.
_CLAUSE_END = re.compile(r"[.!?…]+[\"'”’)]*\s+|[;:]\s+|\n+|,\s+|\s[-–—]\s")
_SENTENCE_MARKS = ".!?…"
_SHORTEST_CLAUSE, _SHORTEST_SENTENCE = 4, 3  # words; "He kissed her." says enough alone

Located = tuple[str, int, int]
_Ngrams = Callable[..., Iterator[Located]]


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

    Too short is a clause of under four words, or a whole sentence of under three.

    Examples
    --------
    >>> text = "He paid her rent, twice. Nobody was told about it."
    >>> [text[start:end] for start, end in split_clauses(text)]
    ['He paid her rent, twice.', 'Nobody was told about it.']
    """
    clauses: list[tuple[int, int]] = []
    start, begins = 0, True
    ends = [(m.end(), m.group()[0] in _SENTENCE_MARKS) for m in _CLAUSE_END.finditer(text)]
    for end, closes in [*ends, (len(text), True)]:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        start = end
        if left >= right:
            continue
        # What goes on in lower case after a full stop follows an abbreviation.
        whole = begins and closes and not text[left].islower()
        shortest = _SHORTEST_SENTENCE if whole else _SHORTEST_CLAUSE
        if clauses and len(_WORD.findall(text[left:right])) < shortest:
            clauses[-1] = (clauses[-1][0], right)
        else:
            clauses.append((left, right))
        begins = closes
    return clauses


@dataclass(frozen=True)
class TermCounts:
    """How often each n-gram of one block occurs: counts of shape (n narratives, n terms)."""

    counts: sparse.csr_array
    terms: np.ndarray

    def rows(self, which: np.ndarray) -> TermCounts:
        """Return the counts of some narratives, with the same terms."""
        return TermCounts(self.counts[which], self.terms)


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
        character_weight: float = 1.0,
        min_narratives: int = 3,
    ) -> None:
        self.words = words
        self.characters = characters
        self.character_weight = character_weight
        self.min_narratives = min_narratives

    def _blocks(self) -> list[tuple[str, _Ngrams, tuple[int, int]]]:
        blocks: list[tuple[str, _Ngrams, tuple[int, int] | None]] = [
            ("words", word_ngrams, self.words),
            ("characters", character_ngrams, self.characters),
        ]
        return [(name, ngrams, sizes) for name, ngrams, sizes in blocks if sizes is not None]

    def count(self, texts: Iterable[str]) -> dict[str, TermCounts]:
        """Count all n-grams of each block; `fit_counts` then learns from any rows of them."""
        texts = list(texts)
        result = {}
        for name, ngrams, sizes in self._blocks():
            counter = CountVectorizer(analyzer=_analyzer(ngrams, sizes), dtype=np.float64)
            try:
                counts = counter.fit_transform(texts)
                terms = counter.get_feature_names_out()
            except ValueError:  # no text holds a single n-gram
                counts, terms = np.zeros((len(texts), 0)), np.array([], dtype=object)
            result[name] = TermCounts(sparse.csr_array(counts), terms)
        return result

    def fit(self, texts: Iterable[str], y: Any = None) -> NarrativeVectorizer:
        """Learn the vocabulary and the inverse document frequencies."""
        self.fit_counts(self.count(texts))
        return self

    def fit_transform(self, texts: Iterable[str], y: Any = None) -> sparse.csr_array:
        """Learn the vocabulary and return the features, shape (n narratives, n terms)."""
        return self.fit_counts(self.count(texts))

    def fit_counts(self, counted: dict[str, TermCounts]) -> sparse.csr_array:
        """Learn from counts and return the features, shape (n narratives, n terms)."""
        self.vocabulary_: dict[str, dict[str, int]] = {}
        self.idf_: dict[str, np.ndarray] = {}
        self.kept_: dict[str, np.ndarray] = {}
        for name, block in counted.items():
            n = block.counts.shape[0]
            frequency = np.bincount(block.counts.indices, minlength=len(block.terms))
            kept = np.flatnonzero(frequency >= min(self.min_narratives, n))
            if not len(kept):
                # No term is frequent enough; keep every one that occurs rather than none.
                kept = np.flatnonzero(frequency)
            self.kept_[name] = kept
            self.vocabulary_[name] = {term: i for i, term in enumerate(block.terms[kept])}
            # Smoothed, as scikit-learn's TfidfTransformer has it by default.
            self.idf_[name] = np.log((1 + n) / (1 + frequency[kept])) + 1
        return self.transform_counts(counted)

    def transform_counts(self, counted: dict[str, TermCounts]) -> sparse.csr_array:
        """Return the features of counts that have the terms of those fitted."""
        return self._features(
            {name: block.counts[:, self.kept_[name]] for name, block in counted.items()}
        )

    def transform(self, texts: Iterable[str]) -> sparse.csr_array:
        """Return the features, shape (n narratives, n terms)."""
        check_is_fitted(self, "vocabulary_")
        texts = list(texts)
        counts = {}
        for name, ngrams, sizes in self._blocks():
            vocabulary = self.vocabulary_[name]
            if not vocabulary or not texts:
                counts[name] = sparse.csr_array((len(texts), len(vocabulary)))
                continue
            counter = CountVectorizer(
                analyzer=_analyzer(ngrams, sizes), vocabulary=vocabulary, dtype=np.float64
            )
            counts[name] = sparse.csr_array(counter.transform(texts))
        return self._features(counts)

    def _features(self, counts: dict[str, sparse.csr_array]) -> sparse.csr_array:
        parts = []
        for name, block in counts.items():
            weighted = sparse.csr_array(block, copy=True)
            # Sublinear term frequency, inverse document frequency, rows of length one.
            weighted.data = (1 + np.log(weighted.data)) * self.idf_[name][weighted.indices]
            length = self.character_weight if name == "characters" else 1.0
            parts.append(_give_length(weighted, length))
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
            vocabulary = self.vocabulary_[name]
            for term, start, _ in ngrams(text, *sizes):
                column = vocabulary.get(term)
                if column is not None:
                    columns.append(column + offset)
                    places.append(start)
            offset += len(vocabulary)
        column_of = np.array(columns, dtype=np.intp)
        part = np.searchsorted(starts, np.array(places, dtype=np.intp), side="right") - 1
        occurrences = np.bincount(column_of, minlength=row.shape[1])
        shares = values[column_of] / occurrences[column_of]
        located = (shares, (np.maximum(part, 0), column_of))
        return sparse.csr_array(sparse.coo_array(located, shape=(len(starts), row.shape[1])))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted state as arrays of bytes and floats."""
        check_is_fitted(self, "vocabulary_")
        arrays = {}
        for name, vocabulary in self.vocabulary_.items():
            joined = "\n".join(vocabulary).encode("utf-8")
            arrays[f"{name}_terms"] = np.frombuffer(joined, dtype=np.uint8)
            arrays[f"{name}_idf"] = self.idf_[name]
        return arrays

    def from_arrays(self, arrays: Any) -> NarrativeVectorizer:
        """Restore the state that `to_arrays` gave."""
        self.vocabulary_, self.idf_ = {}, {}
        for name, _, _ in self._blocks():
            text = arrays[f"{name}_terms"].tobytes().decode("utf-8")
            terms = text.split("\n") if text else []
            self.vocabulary_[name] = {term: i for i, term in enumerate(terms)}
            self.idf_[name] = arrays[f"{name}_idf"]
        return self


def _give_length(rows: sparse.csr_array, length: float) -> sparse.csr_array:
    """Scale the rows, in place, to one Euclidean length; rows without a term stay as they are."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    squares = np.bincount(row, weights=rows.data**2, minlength=rows.shape[0])
    rows.data *= length / np.sqrt(squares[row])
    return rows


def _analyzer(ngrams: _Ngrams, sizes: tuple[int, int]) -> Callable[[str], list[str]]:
    def analyze(text: str) -> list[str]:
        return [term for term, _, _ in ngrams(text, *sizes)]

    return analyze
