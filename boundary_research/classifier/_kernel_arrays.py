"""What the C kernel needs of a fitted classifier, as arrays: terms, their tree, weights, idf."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from boundary_research.classifier._character_tables import character_tables
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.text import NarrativeVectorizer

_LONGEST_NGRAM = 12  # as in _kernel.c
_SLACK = 64  # bytes that the kernel may read beyond a pool of terms


def kernel_arguments(classifier: NarrativeClassifier) -> tuple[Any, ...] | None:
    """Return what `_kernel.build` takes, or None if the classifier is of a form unknown to it."""
    vectorizer = getattr(classifier, "vectorizer_", None)
    if type(vectorizer) is not NarrativeVectorizer or np.ndim(classifier.coef_) != 2:
        return None
    sizes = [size for size in (vectorizer.words, vectorizer.characters) if size is not None]
    if any(not 1 <= low <= high <= _LONGEST_NGRAM for low, high in sizes):
        return None
    word_terms = list(vectorizer.vocabulary_.get("words", {}))
    gram_terms = list(vectorizer.vocabulary_.get("characters", {}))
    k, n = classifier.coef_.shape
    if n != len(word_terms) + len(gram_terms) or k == 0:
        return None
    idf = np.concatenate(
        [vectorizer.idf_[name] for name in vectorizer.vocabulary_] or [np.empty(0)]
    )
    head = np.stack([classifier.intercept_, classifier.slope_, classifier.offset_])
    if len(idf) != n or head.shape != (3, k):
        return None
    low, high = vectorizer.words or (1, 0)
    words, word_features, edges = _word_trie(word_terms, low, high, n)
    tables = character_tables()
    return (
        tables.flags,
        tables.lower,
        tables.expansions,
        *_pool(words),
        word_features,
        *edges,
        *_pool(gram_terms),
        np.arange(len(word_terms), n, dtype=np.uint32),
        _rows(classifier.coef_, idf),
        np.ascontiguousarray(head, dtype=float),
        n,
        k,
        _stride(k),
        high,
        *(vectorizer.characters or (1, 0)),
        float(vectorizer.character_weight),
    )


def _stride(k: int) -> int:
    return (k + 1 + 7) // 8 * 8


def _rows(coef: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """Return one row a term: weight times idf by category, then idf squared; the last is zero."""
    k, n = coef.shape
    stride = _stride(k)
    # Rows begin at cache lines of 64 bytes.
    room = np.zeros((n + 1) * stride + 8)
    first = -room.ctypes.data % 64 // 8
    rows = room[first : first + (n + 1) * stride].reshape(n + 1, stride)
    rows[:n, :k] = (coef * idf).T
    rows[:n, k] = idf**2
    return rows


def _pool(terms: Sequence[str]) -> tuple[bytes, np.ndarray]:
    parts = [term.encode("utf-8", "surrogatepass") for term in terms]
    ends = np.fromiter(accumulate(map(len, parts)), np.int64, len(parts))
    return b"".join(parts) + bytes(_SLACK), ends


def _word_trie(
    terms: Sequence[str], low: int, high: int, missing: int
) -> tuple[list[str], np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the words, the feature of each, and the edges of the tree of word n-grams.

    Node i is word i alone; an edge leads from a node and a word to the node of the longer run. The
    feature `missing` marks runs that are no term.
    """
    split = [(term.split(" "), feature) for feature, term in enumerate(terms)]
    split = [(run, feature) for run, feature in split if low <= len(run) <= high and all(run)]
    words: dict[str, int] = {}
    for run, _ in split:
        for word in run:
            words.setdefault(word, len(words))
    features = np.full(len(words), missing, dtype=np.uint32)
    nodes: dict[tuple[int, int], int] = {}
    ends: dict[int, int] = {}
    for run, feature in split:
        node = words[run[0]]
        if len(run) == 1:
            features[node] = feature
        for word in run[1:]:
            node = nodes.setdefault((node, words[word]), len(words) + len(nodes))
        ends[node] = feature
    keys = np.array([parent << 32 | word for parent, word in nodes], dtype=np.uint64)
    children = np.fromiter(nodes.values(), np.uint32, len(nodes))
    of_edge = np.array([ends.get(node, missing) for node in nodes.values()], dtype=np.uint32)
    return list(words), features, (keys, children, of_edge)
