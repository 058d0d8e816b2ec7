"""Calibrated decisions: from any scores of categories to probabilities, codes and reviews."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from boundary_research.classifier import _calibration as calibration
from boundary_research.classifier._familiarity import (
    Familiarity,
    find_unfamiliar,
    measure_familiarity,
)
from boundary_research.classifier._inputs import check_codes_of, check_order, check_texts

# What `_calibrate` learns, one entry a category.
CALIBRATION_ARRAYS = ("slope_", "offset_", "thresholds_", "review_low_", "review_high_")
# In model files, for an infinite limit: JSON has no infinity, and no probability reaches it.
_NEVER = float(np.nextafter(1.0, 2.0))


class LocatedScores:
    """A model's scores as `find_evidence` reads located features.

    Parameters
    ----------
    weigh : callable
        From a text and where its parts begin (characters), shape (m,), to what each part adds to
        the score of each category, shape (m, k).
    """

    def __init__(self, weigh: Callable[[str, np.ndarray], np.ndarray]) -> None:
        self._weigh = weigh

    def locate(self, text: str, starts: np.ndarray) -> np.ndarray:
        """Return how much each part of a text adds to each category's score, shape (m, k)."""
        return self._weigh(text, np.asarray(starts))


class CalibratedDecisions(ClassifierMixin, BaseEstimator):
    """What a multi-label classifier of narratives does with its scores, whatever they come from.

    A subclass has the parameters `precision` and `miss_rate` and a `decision_function`; its `fit`
    sets `classes_` and `notes_` and calls `_calibrate` with out-of-fold scores.
    """

    precision: float
    miss_rate: float
    classes_: np.ndarray
    notes_: dict[str, str]
    risk_control_: dict[str, dict[str, float]]
    checked_on_ = Familiarity(0, float("nan"))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.single_output = False
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = True
        return tags

    def _calibrate(self, scores: np.ndarray, labels: np.ndarray) -> None:
        n, k = labels.shape
        self.risk_control_ = {}
        self.slope_ = np.zeros(k)
        self.offset_ = np.zeros(k)
        self.thresholds_ = np.ones(k)
        self.review_low_ = np.zeros(k)
        self.review_high_ = np.ones(k)
        self.cv_probabilities_ = np.full((n, k), np.nan)
        for j, name in enumerate(self.classes_):
            y, score = labels[:, j], scores[:, j]
            n_positive, n_negative = int(y.sum()), int((~y).sum())
            if min(n_positive, n_negative) < 2 or np.isnan(score).any():
                # The share, smoothed; no threshold can be chosen, so only certainty would decide.
                share = (n_positive + 0.5) / (n + 1)
                self.offset_[j] = np.log(share / (1 - share))
                self.thresholds_[j] = 0.5
                self.cv_probabilities_[:, j] = share
                self.notes_[str(name)] = _thin_note(n_positive, n_negative)
                if n_negative < 2:
                    self.review_low_[j], self.review_high_[j] = 0.0, 0.5
                else:
                    self.review_low_[j], self.review_high_[j] = 1.0, 1.0
                continue
            self.slope_[j], self.offset_[j] = calibration.fit_platt(score, y)
            probability = calibration.expit(self.slope_[j] * score + self.offset_[j])
            self.cv_probabilities_[:, j] = probability
            threshold = calibration.choose_threshold(probability)
            low, high = calibration.choose_review_band(
                probability, y, threshold, precision=self.precision, miss_rate=self.miss_rate
            )
            self.thresholds_[j], self.review_low_[j], self.review_high_[j] = threshold, low, high

    def _install_located_scores(self, weigh: Callable[[str, np.ndarray], np.ndarray]) -> None:
        """Give a model that is not linear what `code` and `find_evidence` ask of a linear one.

        They multiply located features by weights; here the features are the scores themselves.
        """
        k = len(self.classes_)
        self.coef_: np.ndarray = np.eye(k)
        self.intercept_: np.ndarray = np.zeros(k)
        self.vectorizer_ = cast(Any, LocatedScores(weigh))

    def _calibrate_held_out(
        self, scores: np.ndarray, labels: np.ndarray, texts: Sequence[str] = ()
    ) -> None:
        """Calibrate on the narratives that were held out, be they all or some."""
        held = np.isfinite(scores).all(axis=1)
        own = [text for text, there in zip(texts, held, strict=False) if there]
        if own:
            self.checked_on_ = measure_familiarity(own, self._known_words())
        if held.all() or not held.any():
            self._calibrate(scores, labels)
            return
        self._calibrate(scores[held], labels[held])
        probabilities: np.ndarray = np.full(labels.shape, np.nan)
        probabilities[held] = self.cv_probabilities_
        self.cv_probabilities_ = probabilities

    def _describe_fit(self) -> dict[str, Any]:
        """Return what a file's header holds of any fitted model."""
        header = {"classes": [str(name) for name in self.classes_], "notes": self.notes_}
        if self.checked_on_.longest:
            header["checked_on"] = self.checked_on_.to_header()
        return header | ({"risk_control": self.risk_control_} if self.risk_control_ else {})

    def _kept_arrays(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the fitted arrays of those names as a file holds them."""
        arrays = {name: getattr(self, name) for name in names}
        return arrays | {"review_high_": np.minimum(self.review_high_, _NEVER)}

    def _restore_fit(self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `_describe_fit` and `_kept_arrays` gave, of this or an earlier version."""
        self.classes_ = np.array(header["classes"], dtype=object)
        self.notes_ = dict(header["notes"])
        self.risk_control_ = dict(header.get("risk_control", {}))
        self.checked_on_ = Familiarity.from_header(header.get("checked_on"))
        for name, array in arrays.items():
            setattr(self, name, array)
        self.review_high_ = np.where(self.review_high_ > 1, np.inf, self.review_high_)

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return the uncalibrated scores, shape (n, k)."""
        raise NotImplementedError

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return calibrated probabilities, float array of shape (n, k)."""
        return calibration.expit(self.decision_function(texts) * self.slope_ + self.offset_)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Return whether each category applies, bool array of shape (n, k)."""
        return self.predict_proba(texts) >= self.thresholds_

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Return ``present``, ``absent`` or ``review`` for probabilities of shape (n, k)."""
        check_is_fitted(self, "coef_")
        decisions = np.full(probabilities.shape, "review", dtype=object)
        decisions[probabilities < self.review_low_] = "absent"
        decisions[probabilities >= self.review_high_] = "present"
        return decisions

    def find_unfamiliar(self, texts: Sequence[str]) -> list[str]:
        """Return why each narrative is unlike those that the model was checked on.

        Such a narrative is longer than any that was held out in cross-validation (``length``), or
        the model knows less than half as many of its words (``words``), as in another language.
        Its probabilities are those of no narrative that was checked, so `code` sends it to review.
        It is an empty text for all others, and where the model was saved by an earlier version.
        """
        check_is_fitted(self, "coef_")
        return find_unfamiliar(check_texts(texts), self.checked_on_, self._known_words())

    def _known_words(self) -> frozenset[str] | None:
        """Return the words that the model knows, or None where it does not read words."""
        return None

    def score(self, texts: Sequence[str], codes: Any, sample_weight: Any = None) -> float:
        """Return macro F1 over the categories that occur in `codes`, columns taken by name."""
        from sklearn.metrics import f1_score

        labels = check_codes_of(self.classes_, codes, len(texts))
        check_order(texts=texts, codes=codes)
        there = labels.any(axis=0)
        predicted = self.predict(texts)
        if not there.any():
            return 0.0
        return float(
            f1_score(
                labels[:, there], predicted[:, there], average="macro", sample_weight=sample_weight
            )
        )


def _thin_note(n_positive: int, n_negative: int) -> str:
    if n_negative < 2:
        return f"only {n_negative} narratives without it; it is taken to apply to all."
    return f"{n_positive} positive narratives; at least 2 are needed, so it is never predicted."
