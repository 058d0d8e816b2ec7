"""Fast coding: a fitted classifier's probabilities and evidence in one pass over UTF-8 text.

The pass is written in C (`_kernel.c`), runs without Python's lock and is optional: where it was
not built, or a model is not of the form that it knows, the scikit-learn path answers instead. Both
give the same numbers to 1e-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from boundary_research._checks import DataError
from boundary_research.classifier._inputs import check_texts
from boundary_research.classifier._kernel_arrays import kernel_arguments
from boundary_research.classifier._threads import count_cores
from boundary_research.classifier.evidence import find_evidence
from boundary_research.classifier.model import NarrativeClassifier

try:
    from boundary_research.classifier import _kernel  # type: ignore[attr-defined]
except ImportError:
    _kernel = None

_BYTES_A_THREAD = 1 << 19  # of text; for less, a thread is not worth its start
_BYTES_A_STRETCH = 1 << 15
_TOLERANCE = 1e-9


def available() -> bool:
    """Return whether the C extension was built on this machine."""
    return _kernel is not None


class FastCoder:
    """A fitted classifier, ready to code many narratives.

    Parameters
    ----------
    classifier : NarrativeClassifier
        Fitted or loaded. What it holds is copied; fit again, and make a new coder.
    threads : int, optional
        How many narratives to work on at a time; by default one a core.

    Attributes
    ----------
    fused : bool
        Whether the C pass is used; otherwise the classifier itself answers every call.

    Examples
    --------
    >>> import pandas as pd
    >>> texts = ["He lent her money.", "She was never visited."] * 10
    >>> codes = pd.DataFrame({"money": [True, False] * 10, "service": [False, True] * 10})
    >>> model = NarrativeClassifier().fit(texts, codes)
    >>> coder = FastCoder(model)
    >>> bool(abs(coder.predict_proba(texts) - model.predict_proba(texts)).max() < 1e-9)
    True
    """

    def __init__(self, classifier: NarrativeClassifier, *, threads: int | None = None) -> None:
        check_is_fitted(classifier, "coef_")
        if threads is not None and (not isinstance(threads, int | np.integer) or threads < 1):
            raise DataError(f"threads must be a whole number from 1, got {threads!r}.")
        self.classifier = classifier
        self.threads = int(threads) if threads is not None else count_cores()
        self._model = _build(classifier) if available() else None
        if self._model is not None and not self._agrees():
            self._model = None
        self.fused = self._model is not None

    def decision_function(self, texts: Any) -> np.ndarray:
        """Return the uncalibrated scores, shape (n, k); see `predict_proba`."""
        if self._model is not None:
            try:
                return self._scores(*_as_utf8(texts), calibrated=False)
            except _TooLongError:
                pass
        return self.classifier.decision_function(_as_list(texts))

    def predict_proba(self, texts: Any) -> np.ndarray:
        """Return calibrated probabilities.

        Parameters
        ----------
        texts : sequence of str, pandas Series, or pyarrow Array or ChunkedArray of text, length n
            Arrow text is read where it lies, without a copy.

        Returns
        -------
        float array, shape (n, k)
            Those of ``classifier.predict_proba`` to 1e-9.

        Raises
        ------
        DataError
            If an entry is missing or not text.
        """
        if self._model is not None:
            try:
                return self._scores(*_as_utf8(texts), calibrated=True)
            except _TooLongError:
                pass
        return self.classifier.predict_proba(_as_list(texts))

    def clause_weights(self, text: str, starts: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return what each part of a text adds to the score of each category.

        Parameters
        ----------
        text : str
        starts : sequence of int, length m
            Where each part begins (characters), rising.

        Returns
        -------
        float array, shape (m, k)
            An n-gram's contribution is shared equally among its occurrences, and an occurrence
            belongs to the part in which it begins; the sum over the parts and the intercept is
            the text's score.
        """
        starts = np.asarray(starts, dtype=np.int64)
        if self._model is not None and len(starts):
            try:
                data, offsets = _as_utf8([text])
                return self._clause_weights(data, offsets, _byte_places(text, starts))
            except _TooLongError:
                pass
        return np.asarray(
            self.classifier.vectorizer_.locate(text, starts) @ self.classifier.coef_.T
        )

    def find_evidence(
        self, text: str, categories: Sequence[int], *, most: int = 3, share: float = 0.6
    ) -> list[tuple[int, int, int, float]]:
        """Return the clauses that add most to the scores of some categories.

        The same as `evidence.find_evidence` for this coder's classifier, from the fused pass.
        """
        weighed: Any = _WeighedClauses(self)
        return find_evidence(weighed, text, categories, most=most, share=share)

    def _scores(self, data: Any, offsets: np.ndarray, *, calibrated: bool) -> np.ndarray:
        out = np.empty((len(offsets) - 1, len(self.classifier.coef_)))
        taken = np.zeros(1, dtype=np.int64)

        def work() -> None:
            """Score stretches of text until no thread has one left to begin."""
            _kernel.score(self._model, data, offsets, out, calibrated, taken, _BYTES_A_STRETCH)

        helpers = min(self.threads, int(offsets[-1] - offsets[0]) // _BYTES_A_THREAD) - 1
        if helpers < 1:
            work()
            return out
        with ThreadPoolExecutor(helpers) as pool:
            tasks = [pool.submit(work) for _ in range(helpers)]
            work()
        for task in tasks:
            task.result()
        return out

    def _clause_weights(self, data: Any, offsets: np.ndarray, starts: np.ndarray) -> np.ndarray:
        weights = np.empty((len(starts), len(self.classifier.coef_)))
        parts = np.array([0, len(starts)], dtype=np.int64)
        _kernel.locate(self._model, data, offsets, weights, parts, starts)
        return weights

    def _agrees(self) -> bool:
        """Ask both paths about a few terms, so that a model of another form is never miscoded."""
        terms = [list(block) for block in self.classifier.vectorizer_.vocabulary_.values()]
        probes = [" ".join(some[:: max(1, len(some) // 40)]) for some in terms] + ["A b, c.", ""]
        ours = self._scores(*_as_utf8(probes), calibrated=True)
        theirs = self.classifier.predict_proba(probes)
        return bool(np.allclose(ours, theirs, rtol=0, atol=_TOLERANCE))


class _WeighedClauses:
    """A coder as `find_evidence` reads a classifier: its features are the categories' scores."""

    def __init__(self, coder: FastCoder) -> None:
        self.vectorizer_ = self
        self.locate = coder.clause_weights
        self.coef_ = np.eye(len(coder.classifier.coef_))


class _TooLongError(Exception):
    """A text is longer than the kernel takes."""


def _as_list(texts: Any) -> list[str]:
    if hasattr(texts, "to_pylist"):
        texts = texts.to_pylist()
    return check_texts(texts)


def _as_utf8(texts: Any) -> tuple[Any, np.ndarray]:
    """Return the texts as one buffer and int64 offsets into it, shape (n + 1,)."""
    import pyarrow as pa

    if hasattr(texts, "__arrow_array__") or hasattr(getattr(texts, "array", None), "_pa_array"):
        texts = pa.array(texts)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    if isinstance(texts, pa.Array) and (
        pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
    ):
        data, offsets = _arrow_buffers(texts)
    else:
        texts = _as_list(texts)
        # Lone surrogates are no UTF-8, but Python's text may hold them.
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        data = b"".join(parts)
        offsets = np.fromiter(accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)
    if len(offsets) > 1 and np.diff(offsets).max() > 1 << 28:
        raise _TooLongError
    return data, offsets


def _arrow_buffers(texts: Any) -> tuple[Any, np.ndarray]:
    import pyarrow as pa

    if texts.null_count:
        first = int(np.flatnonzero(np.asarray(texts.is_null()))[0]) + 1
        raise DataError(
            f"texts: entry {first} is missing, not text. "
            f"Drop missing narratives first; load_incidents does."
        )
    _, ends, data = texts.buffers()
    if not len(texts) or ends is None:
        return b"", np.zeros(len(texts) + 1, dtype=np.int64)
    kind = np.int32 if pa.types.is_string(texts.type) else np.int64
    offsets = np.frombuffer(ends, kind)[texts.offset : texts.offset + len(texts) + 1]
    return data if data is not None else b"", offsets.astype(np.int64)


def _byte_places(text: str, starts: np.ndarray) -> np.ndarray:
    if text.isascii():
        return starts
    cuts = [0, *starts.tolist()]
    sizes = (len(text[low:high].encode("utf-8", "surrogatepass")) for low, high in pairwise(cuts))
    return np.fromiter(accumulate(sizes), np.int64, len(starts))


def _build(classifier: NarrativeClassifier) -> Any:
    """Return the kernel's model, or None if the classifier is of a form that it does not know."""
    arguments = kernel_arguments(classifier)
    if arguments is None:
        return None
    try:
        return _kernel.build(*arguments)
    except (TypeError, ValueError):  # TypeError: an extension built from another version
        return None
