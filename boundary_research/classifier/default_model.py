"""The default classifier: an encoder and an n-gram model from the package, averaged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from boundary_research._files import hash_file
from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.corpus.bundled import Corpus, data_folder, load_corpus
from boundary_research.corpus.contrasts import Contrasts, load_contrasts

# A change in what these modules compute is a change of the model.
_NGRAM_CODE = ("_calibrated_decisions", "_familiarity", "model", "text")
_ENCODER_CODE = (
    "_calibration",
    "_encoder_scoring",
    "_encoder_windows",
    "_member_weights",
    "combined_model",
    "default_model",
    "encoder_model",
)
_NGRAMS, _NGRAMS_HELD_OUT = "ngrams.npz", "ngrams_held_out.csv"
_ENCODER, _ENCODER_HELD_OUT = "encoder.zip", "encoder_held_out.csv"
# Of the encoder's evidence more is what coders marked than of the n-grams' or of both together
# (docs/benchmarks-accuracy.md).
_EVIDENCE_MEMBER = 0
# Encoder and n-grams in the mean, chosen on authors that neither had learned from (ibid.).
_WEIGHTS = (2.0, 1.0)


def default_model_id(*, fast: bool = False) -> str:
    """Return what the default model depends on, as a hash: its files and the code that reads them.

    Parameters
    ----------
    fast : bool
        Of the n-gram classifier alone, as in `default_classifier`.
    """
    files, code = [_NGRAMS], list(_NGRAM_CODE)
    if not fast:
        files += [_NGRAMS_HELD_OUT, _ENCODER, _ENCODER_HELD_OUT]
        code += _ENCODER_CODE
        # The mean is calibrated on their codes.
        parts = [hash_file(data_folder() / "corpus" / "gold.csv")]
    else:
        parts = []
    parts += [hash_file(_folder() / name) for name in files]
    parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in code]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class TrainingSet:
    """Narratives to learn from, as the classifiers' `fit` takes them.

    Attributes
    ----------
    texts : list of str, length n
    codes : DataFrame of bools, shape (n, k), indexed by incident_id
    options : dict
        `groups` (authors), `evidence` and `auxiliary` (the contrast narratives) for `fit`.
    pairs : list, length n
        The same value for the two narratives of a contrast pair, NaN elsewhere.
    """

    texts: list[str]
    codes: pd.DataFrame
    options: dict[str, Any]
    pairs: list[Any]


def build_training_set(corpus: Corpus, contrasts: Contrasts | None = None) -> TrainingSet:
    """Join coded narratives of a corpus and, if given, contrast narratives that only teach."""
    parts: list[Corpus | Contrasts] = [corpus]
    if contrasts is not None:
        parts.append(contrasts)
    incidents = pd.concat([part.incidents for part in parts], ignore_index=True)
    columns = ["incident_id", "category", "start", "end"]
    options = {
        "groups": incidents["author_id"].tolist(),
        "evidence": pd.concat([part.evidence[columns] for part in parts], ignore_index=True),
        "auxiliary": (np.arange(len(incidents)) >= len(corpus.incidents)).tolist(),
    }
    codes = pd.concat([part.codes.loc[part.incidents["incident_id"]] for part in parts])
    return TrainingSet(
        incidents["narrative"].tolist(), codes, options, incidents["pair_id"].tolist()
    )


def default_training_set() -> TrainingSet:
    """Return what the default classifier learns from; the test authors are left alone.

    The narratives of the bundled corpus's train and development authors come first, then the
    contrast narratives.
    """
    return build_training_set(_training_part(), load_contrasts())


def train_default_ngrams() -> NarrativeClassifier:
    """Train the default's n-gram part on `default_training_set`, as it lies in the package."""
    learned = default_training_set()
    model = NarrativeClassifier().fit(learned.texts, learned.codes, **learned.options)
    # Only the corpus's narratives were held out, and only they calibrate.
    model.cv_probabilities_ = model.cv_probabilities_[~np.array(learned.options["auxiliary"])]
    return model


@overload
def default_classifier(*, fast: Literal[False] = False) -> CombinedClassifier: ...
@overload
def default_classifier(*, fast: Literal[True]) -> NarrativeClassifier: ...
@overload
def default_classifier(*, fast: bool) -> CombinedClassifier | NarrativeClassifier: ...
@lru_cache(maxsize=2)
def default_classifier(*, fast: bool = False) -> CombinedClassifier | NarrativeClassifier:
    """Return the classifier trained on the bundled corpus.

    It is the weighted mean of a small transformer, fine-tuned on the corpus, and of a classifier on
    n-grams. Both have also learned from contrast narratives (`load_contrasts`), and both come with
    the package: nothing is trained or downloaded.

    Parameters
    ----------
    fast : bool
        Return the n-gram classifier alone: less accurate, but it codes hundreds of times as many
        narratives a second, for registries with millions of reports.
    """
    if fast:
        model = NarrativeClassifier.load(_folder() / _NGRAMS)
        model.cv_probabilities_ = _held_out(_NGRAMS_HELD_OUT)
        return model
    encoder, ngrams = default_encoder(), default_classifier(fast=True)
    both = CombinedClassifier([encoder, ngrams], weights=_WEIGHTS, evidence_member=_EVIDENCE_MEMBER)
    # On the narratives of the authors whom both had left out in cross-validation.
    held_out = [_held_out(_ENCODER_HELD_OUT), ngrams.cv_probabilities_]
    return both.calibrate(_training_part().codes, held_out)


@lru_cache(maxsize=1)
def default_encoder() -> TransformerClassifier:
    """Return the bundled encoder: a small transformer, fine-tuned on what the default learns from.

    Its `encode` embeds texts for `EncoderClassifier`, which learns the categories of another
    codebook from them (`C` of .01 did best in the search of ``docs/benchmarks-accuracy.md``).

    Examples
    --------
    >>> default_encoder().encode(["He lent her money.", "She was never visited."]).shape
    (2, 1152)
    """
    return TransformerClassifier.load(_folder() / _ENCODER)


def _folder() -> Path:
    return data_folder() / "models"


def _held_out(name: str) -> np.ndarray:
    """Return a member's held-out probabilities of the training authors' narratives, shape (n, k).

    NaN stands where it had learned from the narrative.
    """
    codes = _training_part().codes
    seen = pd.read_csv(_folder() / name).set_index("incident_id")
    return seen.reindex(index=codes.index, columns=codes.columns).to_numpy(dtype=float)


def _training_part() -> Corpus:
    corpus = load_corpus()
    incidents = corpus.incidents
    return corpus.subset(incidents.loc[incidents["split"] != "test", "incident_id"])
