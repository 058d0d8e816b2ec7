"""Several classifiers as one: the mean of their log-odds, calibrated on unseen narratives."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from boundary_research._checks import DataError
from boundary_research.classifier._calibrated_decisions import (
    CALIBRATION_ARRAYS,
    CalibratedDecisions,
)
from boundary_research.classifier._combined_file import (
    is_combined_file,
    read_combined_file,
    read_single_model,
    write_combined_file,
)
from boundary_research.classifier._encoder_file import (
    describe_state,
    refuse_incomplete,
    restore_state,
)
from boundary_research.classifier._familiarity import Familiarity
from boundary_research.classifier._inputs import check_codes, check_texts
from boundary_research.classifier._member_weights import (
    learn_shares,
    log_odds,
    mean_odds,
    to_shares,
)
from boundary_research.classifier._parameters import check_parameters
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.classifier.model import NarrativeClassifier, ThinCategoryWarning

_PARAMETERS = ("weights", "evidence_member", "precision", "miss_rate")
_ARRAYS = (*CALIBRATION_ARRAYS, "n_positive_")


class CombinedClassifier(CalibratedDecisions):
    """Multi-label classifier of narratives: the mean of several classifiers' log-odds.

    Classifiers that read a text differently (n-grams, an encoder) err on different narratives, and
    their mean errs less than either. Their calibrated probabilities are turned into log-odds and
    averaged; the mean is calibrated again and thresholds chosen, on narratives that no member had
    learned from.

    Parameters
    ----------
    members : list of classifiers
        With `predict_proba`, `classes_` and `cv_probabilities_` when fitted, as
        `NarrativeClassifier`, `TransformerClassifier` and `EncoderClassifier` have them.
    weights : sequence of float, or 'learned', optional
        What each member counts in the mean, from 0; only their ratios matter. By default all count
        the same. ``'learned'`` takes those, the same for all categories, with which the mean has
        the lowest log loss on the held-out narratives, so that a member that knows little of these
        narratives counts for little.
    evidence_member : int, optional
        Position of the member that says where in a text the evidence stands; by default all do,
        each as far as it adds to the mean.
    precision, miss_rate : float
        As in `NarrativeClassifier`.

    Attributes
    ----------
    members_ : list of fitted classifiers
    shares_ : ndarray, shape (n members,)
        What each member counts in the mean, summing to 1.
    classes_, thresholds_, review_low_, review_high_, n_positive_, notes_, risk_control_, \
cv_probabilities_
        As in `NarrativeClassifier`; `cv_probabilities_` are NaN for narratives that not all members
        held out.

    Examples
    --------
    >>> import pandas as pd
    >>> from boundary_research import NarrativeClassifier
    >>> texts = ["He lent her money.", "She was never visited."] * 10
    >>> codes = pd.DataFrame({"money": [True, False] * 10, "service": [False, True] * 10})
    >>> words = NarrativeClassifier(characters=None)
    >>> both = CombinedClassifier([words, NarrativeClassifier(words=None)]).fit(texts, codes)
    >>> both.predict(["He lent them money too."]).tolist()
    [[True, False]]
    """

    def __init__(
        self,
        members: Sequence[Any],
        *,
        weights: Sequence[float] | Literal["learned"] | None = None,
        evidence_member: int | None = None,
        precision: float = 0.8,
        miss_rate: float = 0.1,
    ) -> None:
        self.members = members
        self.weights = weights
        self.evidence_member = evidence_member
        self.precision = precision
        self.miss_rate = miss_rate

    def fit(
        self,
        texts: Sequence[str],
        codes: Any,
        *,
        groups: Sequence[Any] | None = None,
        evidence: pd.DataFrame | None = None,
        auxiliary: Sequence[bool] | None = None,
    ) -> CombinedClassifier:
        """Fit a copy of every member, and calibrate their mean on what they cross-validated.

        Arguments, errors and warnings are those of `NarrativeClassifier.fit`.
        """
        check_parameters(self)  # before the members learn, which may take long
        given = {"groups": groups, "evidence": evidence, "auxiliary": auxiliary}
        given = {name: value for name, value in given.items() if value is not None}
        members = [clone(member).fit(texts, codes, **given) for member in self.members]
        return self._combine(members, codes, [member.cv_probabilities_ for member in members])

    def calibrate(
        self, codes: Any, held_out: Sequence[np.ndarray] | None = None
    ) -> CombinedClassifier:
        """Combine members that are fitted already, and calibrate their mean.

        Parameters
        ----------
        codes : DataFrame of bools or indicator array, shape (n, k)
            What the members were taught, in the order of their `cv_probabilities_`.
        held_out : sequence of float arrays of shape (n, k), optional
            One a member: probabilities of narratives that it had not learned from, NaN for others.
            By default the members' `cv_probabilities_`.

        Raises
        ------
        DataError
            If members have other categories than `codes`, shapes differ, or there is no narrative
            that all members held out.
        """
        if held_out is None:
            missing = [m for m in self.members if not hasattr(m, "cv_probabilities_")]
            if missing:
                raise DataError(
                    f"{type(missing[0]).__name__} has no cv_probabilities_: they are not saved "
                    f"with a model. Give held_out, or use the model as it was fitted."
                )
            held_out = [member.cv_probabilities_ for member in self.members]
        return self._combine(list(self.members), codes, held_out)

    def _combine(
        self, members: list[Any], codes: Any, held_out: Sequence[np.ndarray]
    ) -> CombinedClassifier:
        if not members:
            raise DataError("members is empty; at least one classifier is needed.")
        if self.evidence_member is not None and self.evidence_member not in range(len(members)):
            raise DataError(
                f"evidence_member must be None or from 0 to {len(members) - 1}, "
                f"got {self.evidence_member!r}."
            )
        check_parameters(self)
        names, labels = check_codes(codes, len(held_out[0]) if len(held_out) else 0)
        for member in members:
            if list(getattr(member, "classes_", [])) != list(names):
                raise DataError(
                    f"members must have the categories of codes in the same order "
                    f"({', '.join(names)}); {type(member).__name__} has "
                    f"{', '.join(map(str, getattr(member, 'classes_', []))) or 'none yet'}."
                )
        shapes = [np.shape(part) for part in held_out]
        if len(shapes) != len(members) or any(shape != labels.shape for shape in shapes):
            raise DataError(
                f"held_out must have one array of shape {labels.shape} for each of the "
                f"{len(members)} members, got shapes {shapes}."
            )
        odds = [log_odds(np.asarray(part, dtype=float)) for part in held_out]
        learned = isinstance(self.weights, str) and self.weights == "learned"
        self.shares_ = (
            learn_shares(odds, labels) if learned else to_shares(self.weights, len(members))
        )
        scores = mean_odds(odds, self.shares_)
        if not np.isfinite(scores).all(axis=1).any():
            raise DataError(
                "there is no narrative that all members held out, so that their mean cannot be "
                "calibrated. Fit them on the same narratives with the same groups."
            )
        self.classes_ = names
        self.n_positive_ = labels.sum(axis=0)
        self.notes_: dict[str, str] = {}
        self._calibrate_held_out(scores, labels)
        self._install(members)
        for name, note in self.notes_.items():
            warnings.warn(f"category {name!r}: {note}", ThinCategoryWarning, stacklevel=3)
        return self

    def _install(self, members: list[Any]) -> None:
        self.members_ = members
        self._coders: list[Any] | None = None
        self._install_located_scores(self._weigh_parts)
        known = [member.checked_on_ for member in members if hasattr(member, "checked_on_")]
        longest = [one.longest for one in known if one.longest]
        shares = [one.known for one in known if np.isfinite(one.known)]
        self.checked_on_ = Familiarity(
            min(longest, default=0), shares[0] if shares else float("nan")
        )

    def _known_words(self) -> frozenset[str] | None:
        found = (m._known_words() for m in self.members_ if isinstance(m, CalibratedDecisions))
        return next((words for words in found if words), None)

    def _readers(self) -> list[Any]:
        """Return the members as what codes fastest."""
        if self._coders is None:
            self._coders = [
                FastCoder(member) if type(member) is NarrativeClassifier else member
                for member in self.members_
            ]
        return self._coders

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean of the members' log-odds, before calibration, shape (n, k)."""
        check_is_fitted(self, "members_")
        texts = check_texts(texts)
        odds = [log_odds(reader.predict_proba(texts)) for reader in self._readers()]
        return mean_odds(odds, self.shares_)

    def _weigh_parts(self, text: str, starts: np.ndarray) -> np.ndarray:
        """Return what each part of a text adds to the mean of the log-odds, shape (m, k)."""
        weights = np.zeros((len(starts), len(self.classes_)))
        one = self.evidence_member
        asked = slice(None) if one is None else slice(one, one + 1)
        readers = zip(
            self.members_[asked], self._readers()[asked], self.shares_[asked], strict=True
        )
        for member, reader, share in readers:
            own = (
                reader.clause_weights(text, starts)
                if isinstance(reader, FastCoder)
                else member.vectorizer_.locate(text, starts) @ member.coef_.T
            )
            weights += np.asarray(own) * member.slope_ * share
        return weights

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in _NOT_KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "members_" in state:
            self._install(self.members_)

    def save(self, path: str | Path) -> Path:
        """Write all members and a JSON header as one zip (no pickle, no narrative text).

        Raises
        ------
        DataError
            If a member is not one that a file can hold.
        """
        check_is_fitted(self, "members_")
        header = {
            "parameters": {name: getattr(self, name) for name in _PARAMETERS}
            | {"weights": self.shares_.tolist()},
            **describe_state(self, _ARRAYS),
        }
        return write_combined_file(path, header, self.members_)

    @classmethod
    def load(cls, path: str | Path) -> CombinedClassifier:
        """Read a model that `save` wrote.

        Raises
        ------
        DataError
            If the file is not such a model, or of a newer format.
        """
        header, members = read_combined_file(path)
        with refuse_incomplete(path):
            model = cls(members, **header["parameters"])
            model.shares_ = to_shares(model.weights, len(members))
            restore_state(model, header, _ARRAYS)
        model._install(members)
        return model


def load_classifier(path: str | Path) -> Any:
    """Read a model file, whichever classifier of this package wrote it.

    Parameters
    ----------
    path : str or pathlib.Path
        Written by `NarrativeClassifier`, `TransformerClassifier` or `CombinedClassifier`.

    Raises
    ------
    DataError
        If the file is none of these.
    """
    return CombinedClassifier.load(path) if is_combined_file(path) else read_single_model(path)


# What can be made anew from the members.
_NOT_KEPT = ("_coders", "vectorizer_")
