"""The classifier: a scikit-learn estimator that codes narratives into several categories."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from boundary_research._checks import DataError
from boundary_research.classifier import _calibration as calibration
from boundary_research.classifier._calibrated_decisions import CalibratedDecisions
from boundary_research.classifier._inputs import check_coded_texts, check_held_out, check_texts
from boundary_research.classifier._linear import fit_log_count_ratio
from boundary_research.classifier._model_file import read_model_file, write_model_file
from boundary_research.classifier._parameters import check_parameters
from boundary_research.classifier._passages import Passages, cut_passages
from boundary_research.classifier._threads import count_cores
from boundary_research.classifier.text import NarrativeVectorizer, TermCounts

FILE_FORMAT = 2  # 2: the parameters ratio_share and evidence_weight


class ThinCategoryWarning(UserWarning):
    """A category has too few positive narratives to learn or to cross-validate."""


class NarrativeClassifier(CalibratedDecisions):
    """Multi-label classifier of narratives: NB-weighted logistic regression on n-grams.

    Each category has a logistic regression on word and character n-grams (TF-IDF), scaled in part
    by their naive-Bayes log-count ratio (Wang and Manning 2012, *Baselines and bigrams*, section
    2). Probabilities are calibrated (Platt 2000) and decision thresholds chosen for the best
    expected F1, both on cross-validated scores; .5 is never assumed.

    Parameters
    ----------
    C : float
        Inverse strength of the L2 penalty.
    alpha : float
        Smoothing of the log-count ratio.
    words, characters : tuple of int or None
        Shortest and longest n-gram of each block.
    character_weight : float
        Weight of the character block beside the word block.
    min_narratives : int
        Narratives in which a term must occur to be learned.
    cv : int
        Folds for calibration and thresholds, at least 2.
    precision : float
        Share of right decisions wanted (in cross-validation) among those called `present`.
    miss_rate : float
        Share of a category's narratives that may be called `absent` (in cross-validation).
    ratio_share : float
        How far n-grams are scaled by their log-count ratio: 1 wholly, 0 not at all.
    evidence_weight : float
        Weight of a passage beside a narrative where `fit` is given evidence; 0 ignores it.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray of str, shape (k,)
        The categories, in the order of the columns of `codes`.
    coef_ : ndarray, shape (k, n terms)
    intercept_ : ndarray, shape (k,)
    thresholds_ : ndarray, shape (k,)
        Probability from which `predict` says True.
    review_low_, review_high_ : ndarray, shape (k,)
        Below the first `decide` says absent, from the second on present, in between review. The
        second is infinite where nothing is certain enough to be called present.
    n_positive_ : ndarray of int, shape (k,)
    notes_ : dict of str to str
        What could not be done for a category, in words.
    risk_control_ : dict
        What `control_risk` promised of `review_low_` and `review_high_`; empty after `fit`.
    cv_probabilities_ : ndarray, shape (n, k)
        Cross-validated, calibrated probabilities of the training narratives (not saved).

    Examples
    --------
    >>> import pandas as pd
    >>> texts = ["He lent her money.", "She was never visited."] * 10
    >>> codes = pd.DataFrame({"money": [True, False] * 10, "service": [False, True] * 10})
    >>> model = NarrativeClassifier().fit(texts, codes)
    >>> model.predict(["He lent them money too."]).tolist()
    [[True, False]]
    """

    def __init__(
        self,
        C: float = 4.0,
        alpha: float = 0.05,
        words: tuple[int, int] | None = (1, 2),
        characters: tuple[int, int] | None = (3, 5),
        character_weight: float = 1.0,
        min_narratives: int = 3,
        cv: int = 5,
        precision: float = 0.8,
        miss_rate: float = 0.1,
        ratio_share: float = 0.5,
        evidence_weight: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.alpha = alpha
        self.words = words
        self.characters = characters
        self.character_weight = character_weight
        self.min_narratives = min_narratives
        self.cv = cv
        self.precision = precision
        self.miss_rate = miss_rate
        self.ratio_share = ratio_share
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
    ) -> NarrativeClassifier:
        """Learn the categories.

        Parameters
        ----------
        texts : sequence of str, length n
            Row by row those of `codes`. Where both have an index, it must be the same; a plain one
            (0 to n - 1) on either side says nothing.
        codes : DataFrame of bools or indicator array, shape (n, k)
            Column names become `classes_`; an array's categories are named ``"0"``, ``"1"``, ….
        groups : sequence, length n, optional
            Authors or agencies, at least two; none is split between folds.
        evidence : DataFrame, optional
            Where in the narratives coders saw a category: `incident_id` (the index of `codes`, or
            the position if that is an array), `category`, `start` and `end` (characters). Spans
            are learned as short examples of their category, the other sentences of the narrative
            as examples without it. Not every positive narrative needs spans.
        auxiliary : sequence of bool, length n, optional
            Narratives that are learned from in every fold and never held out, because the share
            of categories among them is not that of the narratives to be coded: such as
            `load_contrasts`. Probabilities and thresholds rest on the others.

        Raises
        ------
        DataError
            If lengths or indexes differ, texts are not text, codes are not 0/1, evidence does not
            fit them, there is only one group, or a parameter is out of its range.

        Warns
        -----
        ThinCategoryWarning
            For categories with no or one positive narrative; `notes_` says what follows.
        """
        check_parameters(self)
        given = check_coded_texts(texts, codes, groups=groups, auxiliary=auxiliary)
        texts, names, labels = given.texts, given.names, given.labels
        check_held_out(given.groups, given.auxiliary)
        self.classes_ = names
        self.n_positive_ = labels.sum(axis=0)
        self.notes_: dict[str, str] = {}
        passages = None
        if evidence is not None and len(evidence) and self.evidence_weight > 0:
            passages = cut_passages(texts, names, labels, given.ids, evidence)
        counted = self._new_vectorizer().count(texts + (passages.texts if passages else []))
        self.vectorizer_, self.coef_, self.intercept_ = self._fit_rows(
            counted, labels, np.arange(len(texts)), passages
        )
        folds = calibration.split_folds(
            labels, given.groups, self.cv, self.random_state, auxiliary=given.auxiliary
        )
        scores = np.full(labels.shape, np.nan)
        for train, test in folds:
            vectorizer, coef, intercept = self._fit_rows(counted, labels, train, passages)
            scores[test] = vectorizer.transform_counts(_take(counted, test)) @ coef.T + intercept
        self._calibrate_held_out(scores, labels, texts)
        for name, note in self.notes_.items():
            warnings.warn(f"category {name!r}: {note}", ThinCategoryWarning, stacklevel=2)
        return self

    def _new_vectorizer(self) -> NarrativeVectorizer:
        return NarrativeVectorizer(
            self.words, self.characters, self.character_weight, self.min_narratives
        )

    def _fit_linear(
        self,
        features: sparse.csr_array,
        labels: np.ndarray,
        passages: sparse.csr_array | None = None,
        shows: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights, shape (k, n terms), and intercepts, shape (k,)."""
        n, k = labels.shape
        coef, intercept = np.zeros((k, features.shape[1])), np.zeros(k)
        stacked = features
        positive, weights = labels, np.ones((n, k))
        if passages is not None and shows is not None:
            stacked = sparse.csr_array(sparse.vstack([features, passages]))
            positive = np.vstack([labels, shows == 1])
            weights = np.vstack([weights, np.where(shows >= 0, self.evidence_weight, 0.0)])
        stacked.sort_indices()

        def fit_category(j: int) -> None:
            used = np.flatnonzero(weights[:, j] > 0)
            coef[j], intercept[j] = fit_log_count_ratio(
                stacked if len(used) == stacked.shape[0] else stacked[used],
                positive[used, j],
                weights[used, j],
                C=self.C,
                alpha=self.alpha,
                ratio_share=self.ratio_share,
                random_state=self.random_state,
            )

        # The solver runs without Python's lock; its small products gain nothing from BLAS threads.
        with threadpool_limits(limits=1), ThreadPoolExecutor(count_cores()) as pool:
            list(pool.map(fit_category, range(k)))
        return coef, intercept

    def _fit_rows(
        self,
        counted: dict[str, TermCounts],
        labels: np.ndarray,
        rows: np.ndarray,
        passages: Passages | None,
    ) -> tuple[NarrativeVectorizer, np.ndarray, np.ndarray]:
        """Learn terms and weights from some narratives and from their passages only."""
        vectorizer = self._new_vectorizer()
        features = vectorizer.fit_counts(_take(counted, rows))
        if passages is None:
            return vectorizer, *self._fit_linear(features, labels[rows])
        own = np.flatnonzero(np.isin(passages.row, rows))
        parts = vectorizer.transform_counts(_take(counted, len(labels) + own))
        return vectorizer, *self._fit_linear(features, labels[rows], parts, passages.shows[own])

    def _known_words(self) -> frozenset[str] | None:
        terms = getattr(self.vectorizer_, "vocabulary_", {}).get("words", ())
        return frozenset(term for term in terms if " " not in term) or None

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return the uncalibrated scores, shape (n, k)."""
        check_is_fitted(self, "coef_")
        features = self.vectorizer_.transform(check_texts(texts))
        return features @ self.coef_.T + self.intercept_

    def save(self, path: str | Path) -> Path:
        """Write the model as arrays and JSON in one ``.npz`` (no pickle, no narrative text)."""
        check_is_fitted(self, "coef_")
        header = {
            "format": FILE_FORMAT,
            "parameters": self.get_params(),
            **self._describe_fit(),
        }
        return write_model_file(
            path, header, self._kept_arrays(_ARRAYS) | self.vectorizer_.to_arrays()
        )

    @classmethod
    def load(cls, path: str | Path) -> NarrativeClassifier:
        """Read a model that `save` wrote.

        Raises
        ------
        DataError
            If the file is not such a model, or of a newer format.
        """

        def build(header: dict[str, Any], arrays: Any) -> NarrativeClassifier:
            if "model" in header:  # which only a model without its encoder has
                raise DataError(
                    f"Model file {Path(path).name!r} holds an {header['model']}, which needs its "
                    f"encoder. Load it with {header['model']}.load(path, encoder)."
                )
            parameters: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in header["parameters"].items()
            }
            model = cls(**parameters)
            model._restore_fit(header, {name: arrays[name] for name in _ARRAYS})
            model.vectorizer_ = model._new_vectorizer().from_arrays(arrays)
            return model

        return read_model_file(path, build, newest=FILE_FORMAT)


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


def _take(counted: dict[str, TermCounts], rows: np.ndarray) -> dict[str, TermCounts]:
    return {name: block.rows(rows) for name, block in counted.items()}
