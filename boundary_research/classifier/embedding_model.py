"""Logistic regression on the embeddings of any encoder that the user brings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from boundary_research._checks import DataError
from boundary_research.classifier import _calibration as calibration
from boundary_research.classifier._inputs import check_coded_texts, check_held_out, check_texts
from boundary_research.classifier._linear import CERTAIN
from boundary_research.classifier._model_file import read_model_file, write_model_file
from boundary_research.classifier._parameters import check_parameters
from boundary_research.classifier._passages import cut_passages
from boundary_research.classifier.model import NarrativeClassifier, ThinCategoryWarning

FILE_FORMAT = 1


class SentenceEncoder(Protocol):
    """Anything that turns texts into vectors, such as a model of sentence-transformers."""

    def encode(self, sentences: list[str]) -> Any:
        """Return an array of shape (n, d)."""


class EncoderClassifier(NarrativeClassifier):
    """Multi-label classifier of narratives: logistic regression on an encoder's embeddings.

    The encoder is the user's own, or `default_encoder`, and stays as it is; to fine-tune one, see
    `TransformerClassifier`. Probabilities are calibrated and thresholds chosen on cross-validated
    scores, as in `NarrativeClassifier`. A clause's evidence is how much lower the score is
    without it, so each text with evidence is embedded once more a clause.

    Parameters
    ----------
    encoder : object
        With ``encode(list of str)``, which returns an array of shape (n, d).
    C : float
        Inverse strength of the L2 penalty, on embeddings scaled to a mean square of 1.
    cv : int
        Folds for calibration and thresholds, at least 2.
    precision, miss_rate : float
        As in `NarrativeClassifier`.
    evidence_weight : float
        Weight of a passage beside a narrative where `fit` is given evidence; 0 ignores it.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    coef_ : ndarray, shape (k, d)
        On embeddings as the encoder gives them.
    intercept_ : ndarray, shape (k,)
    classes_, thresholds_, review_low_, review_high_, n_positive_, notes_, risk_control_, \
cv_probabilities_
        As in `NarrativeClassifier`.

    Examples
    --------
    >>> class Lengths:
    ...     def encode(self, sentences):
    ...         return np.array([[len(s), s.count("money")] for s in sentences], dtype=float)
    >>> texts = ["He lent her money.", "She was never visited."] * 10
    >>> codes = pd.DataFrame({"money": [True, False] * 10})
    >>> EncoderClassifier(Lengths()).fit(texts, codes).predict(["They took money."]).tolist()
    [[True]]
    """

    def __init__(
        self,
        encoder: SentenceEncoder | None = None,
        C: float = 1.0,
        *,
        cv: int = 5,
        precision: float = 0.8,
        miss_rate: float = 0.1,
        evidence_weight: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.encoder = encoder
        self.C = C
        self.cv = cv
        self.precision = precision
        self.miss_rate = miss_rate
        self.evidence_weight = evidence_weight
        self.random_state = random_state

    def fit(
        self,
        texts: Sequence[str],
        codes: Any,
        *,
        groups: Sequence[Any] | None = None,
        evidence: pd.DataFrame | None = None,
        auxiliary: Sequence[bool] | None = None,
    ) -> EncoderClassifier:
        """Learn the categories; arguments, errors and warnings as in `NarrativeClassifier.fit`."""
        check_parameters(self)
        given = check_coded_texts(texts, codes, groups=groups, auxiliary=auxiliary)
        texts, names, labels = given.texts, given.names, given.labels
        check_held_out(given.groups, given.auxiliary)
        # An earlier fit may have had an encoder of other dimensions.
        self.__dict__.pop("coef_", None)
        self.classes_ = names
        self.n_positive_ = labels.sum(axis=0)
        self.notes_: dict[str, str] = {}
        shows = np.where(labels, 1, 0).astype(np.int8)
        row, weight = np.arange(len(texts)), np.ones(len(texts))
        everything = texts
        if evidence is not None and len(evidence) and self.evidence_weight > 0:
            passages = cut_passages(texts, names, labels, given.ids, evidence)
            everything = texts + passages.texts
            shows = np.vstack([shows, passages.shows])
            row = np.concatenate([row, passages.row])
            extra = np.full(len(passages.texts), float(self.evidence_weight))
            weight = np.concatenate([weight, extra])
        vectors = self._embed(everything)
        self._install(*self._fit_rows_of(vectors, shows, weight))
        scores = np.full(labels.shape, np.nan)
        for train, test in calibration.split_folds(
            labels, given.groups, self.cv, self.random_state, auxiliary=given.auxiliary
        ):
            own = np.isin(row, train)
            coef, intercept = self._fit_rows_of(vectors[own], shows[own], weight[own])
            scores[test] = vectors[test] @ coef.T + intercept
        self._calibrate_held_out(scores, labels, texts)
        for name, note in self.notes_.items():
            warnings.warn(f"category {name!r}: {note}", ThinCategoryWarning, stacklevel=2)
        return self

    def __sklearn_clone__(self) -> EncoderClassifier:
        # A clone of the encoder would have to be trained again.
        return type(self)(**self.get_params(deep=False))

    def _fit_rows_of(
        self, vectors: np.ndarray, shows: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights, shape (k, d), and intercepts, shape (k,)."""
        # One scale for all dimensions: C then means the same for every encoder, and which
        # dimensions matter stays the encoder's own choice.
        scale = 1 / max(float(np.sqrt(np.mean(vectors**2))), np.finfo(float).tiny)
        coef = np.zeros((shows.shape[1], vectors.shape[1]))
        intercept = np.zeros(shows.shape[1])
        for j in range(shows.shape[1]):
            used = shows[:, j] >= 0
            positive = shows[used, j] == 1
            if positive.all() or not positive.any():
                intercept[j] = CERTAIN if positive.all() else -CERTAIN
                continue
            model = LogisticRegression(C=self.C, class_weight="balanced", max_iter=1000)
            model.fit(vectors[used] * scale, positive, sample_weight=weight[used])
            coef[j], intercept[j] = model.coef_[0] * scale, model.intercept_[0]
        return coef, intercept

    def _embed(self, texts: list[str]) -> np.ndarray:
        encode = getattr(self.encoder, "encode", None)
        if encode is None:
            raise DataError(
                f"encoder must have a method encode(list of texts), got "
                f"{type(self.encoder).__name__}. Models of sentence-transformers have one."
            )
        vectors = np.asarray(encode(texts), dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise DataError(
                f"encoder.encode gave an array of shape {vectors.shape} for {len(texts)} texts; "
                f"one row a text is needed."
            )
        if not np.isfinite(vectors).all():
            bad = int(np.argmin(np.isfinite(vectors).all(axis=1))) + 1
            raise DataError(f"encoder.encode gave missing or infinite numbers for entry {bad}.")
        coef = getattr(self, "coef_", None)
        if coef is not None and coef.size and vectors.shape[1] != coef.shape[1]:
            raise DataError(
                f"encoder.encode gives {vectors.shape[1]} dimensions; the classifier was trained "
                f"with {coef.shape[1]}. Use the same encoder."
            )
        return vectors

    def _install(self, coef: np.ndarray, intercept: np.ndarray) -> None:
        self.coef_, self.intercept_ = coef, intercept
        # What `code` and `find_evidence` ask where the features of a text stand.
        self.vectorizer_ = cast(Any, _LocatedEmbeddings(self))

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return the uncalibrated scores, shape (n, k)."""
        check_is_fitted(self, "coef_")
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, len(self.classes_)))
        return np.asarray(self._embed(texts) @ self.coef_.T + self.intercept_)

    def save(self, path: str | Path) -> Path:
        """Write weights, thresholds and parameters as one ``.npz``; the encoder is not in it."""
        check_is_fitted(self, "coef_")
        parameters = self.get_params(deep=False)
        parameters.pop("encoder")
        header = {
            "format": FILE_FORMAT,
            "model": EncoderClassifier.__name__,
            "parameters": parameters,
            **self._describe_fit(),
        }
        return write_model_file(path, header, self._kept_arrays(_ARRAYS))

    @classmethod
    def load(cls, path: str | Path, encoder: SentenceEncoder | None = None) -> EncoderClassifier:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
        encoder : object
            The encoder that it was trained with.

        Raises
        ------
        DataError
            If the file is not such a model, or of a newer format.
        """

        def build(header: dict[str, Any], arrays: Any) -> EncoderClassifier:
            name = Path(path).name
            if header.get("model") != EncoderClassifier.__name__:
                raise DataError(
                    f"Model file {name!r} is not an EncoderClassifier. Load it with the class "
                    f"that saved it."
                )
            if header["format"] > FILE_FORMAT:
                raise DataError(
                    f"Model file {name!r} has format {header['format']}; this version reads up "
                    f"to {FILE_FORMAT}. Update boundary_research."
                )
            model = cls(encoder, **header["parameters"])
            model._restore_fit(header, {name: arrays[name] for name in _ARRAYS})
            model._install(model.coef_, model.intercept_)
            return model

        return read_model_file(path, build, newest=sys.maxsize)


class _LocatedEmbeddings:
    """What each part of a text adds to its embedding, as `find_evidence` reads features."""

    def __init__(self, model: EncoderClassifier) -> None:
        self._model = model

    def locate(self, text: str, starts: np.ndarray) -> np.ndarray:
        """Return the embedding of the text less that of the text without each part, (m, d)."""
        ends = [*np.asarray(starts).tolist(), len(text)]
        without = [text[:low] + text[high:] for low, high in pairwise(ends)]
        vectors = self._model._embed([text, *without])
        return np.asarray(vectors[0] - vectors[1:])


_ARRAYS = (
    "coef_",
    "intercept_",
    "slope_",
    "offset_",
    "thresholds_",
    "review_low_",
    "review_high_",
    "n_positive_",
)
