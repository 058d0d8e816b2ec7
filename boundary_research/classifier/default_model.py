"""The default classifier: a fine-tuned encoder from the package, averaged with n-grams."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal, overload

import numpy as np
import pandas as pd
import platformdirs
import sklearn
from threadpoolctl import threadpool_limits

from boundary_research._checks import DataError
from boundary_research._files import hash_file
from boundary_research.classifier._model_file import read_model_file, write_model_file
from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import (
    EVIDENCE_PARAMETERS,
    FILE_FORMAT,
    NarrativeClassifier,
)
from boundary_research.corpus.bundled import Corpus, data_folder, load_corpus

# A change in what these modules compute is a change of the model.
_NGRAM_CODE = ("_calibrated_decisions", "_calibration", "_linear", "_passages", "model", "text")
_ENCODER_CODE = ("_encoder_scoring", "_encoder_windows", "combined_model", "encoder_model")
# Of the encoder's evidence more is what coders marked than of the n-grams' or of both together
# (docs/benchmarks-accuracy.md).
_ENCODER, _EVIDENCE_MEMBER = "encoder.zip", 0
_HELD_OUT = "held_out.csv"


def default_model_id(*, fast: bool = False) -> str:
    """Return what the default model depends on, as a hash: corpus, parameters, code, libraries."""
    folder = data_folder() / "corpus"
    parts = [
        hash_file(folder / f"{name}.csv") for name in ("incidents", "gold", "evidence", "splits")
    ]
    parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in _NGRAM_CODE]
    parts += [str(FILE_FORMAT), sklearn.__version__, repr(_untrained().get_params())]
    if not fast:
        parts += [hash_file(data_folder() / "models" / name) for name in (_ENCODER, _HELD_OUT)]
        parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in _ENCODER_CODE]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def train_default_classifier() -> NarrativeClassifier:
    """Train the n-gram part on the train and development authors; test authors are left alone."""
    part = _training_part()
    # Threads that share the small products of this fit make it several times slower.
    with threadpool_limits(limits=1):
        return _untrained().fit(
            part.incidents["narrative"].tolist(),
            part.codes,
            groups=part.incidents["author_id"].tolist(),
            evidence=part.evidence,
        )


@overload
def default_classifier(*, fast: Literal[False] = False) -> CombinedClassifier: ...
@overload
def default_classifier(*, fast: Literal[True]) -> NarrativeClassifier: ...
@overload
def default_classifier(*, fast: bool) -> CombinedClassifier | NarrativeClassifier: ...
@lru_cache(maxsize=2)
def default_classifier(*, fast: bool = False) -> CombinedClassifier | NarrativeClassifier:
    """Return the classifier trained on the bundled corpus.

    It is the mean of a small transformer, fine-tuned on the corpus, that comes with the package,
    and of a classifier on n-grams. The first call trains the latter in seconds and keeps it in the
    user's cache folder; later calls read it from there. Where the cache cannot be written, it lives
    in memory only. Nothing is downloaded.

    Parameters
    ----------
    fast : bool
        Return the n-gram classifier alone: less accurate, but it codes hundreds of times as many
        narratives a second, for registries with millions of reports.
    """
    if fast:
        return _read_or_train()
    return combine_with_encoder(default_classifier(fast=True))


def combine_with_encoder(ngrams: NarrativeClassifier) -> CombinedClassifier:
    """Return the mean of the bundled encoder and an n-gram classifier of the training authors.

    It is calibrated on the narratives of the authors whom both had left out in cross-validation.
    """
    folder = data_folder() / "models"
    encoder = TransformerClassifier.load(folder / _ENCODER)
    codes = _training_part().codes
    seen = pd.read_csv(folder / _HELD_OUT).set_index("incident_id")
    held_out = seen.reindex(index=codes.index, columns=codes.columns).to_numpy(dtype=float)
    both = CombinedClassifier([encoder, ngrams], evidence_member=_EVIDENCE_MEMBER)
    return both.calibrate(codes, [held_out, ngrams.cv_probabilities_])


def _untrained() -> NarrativeClassifier:
    return NarrativeClassifier(**EVIDENCE_PARAMETERS)


def _training_part() -> Corpus:
    corpus = load_corpus()
    incidents = corpus.incidents
    return corpus.subset(incidents.loc[incidents["split"] != "test", "incident_id"])


def _read_or_train() -> NarrativeClassifier:
    """Return the n-gram part with its held-out probabilities, from the cache where it is there."""
    stem = f"default-{default_model_id(fast=True)[:16]}"
    folder = Path(platformdirs.user_cache_dir("boundary-research"))
    file, beside = folder / f"{stem}.npz", folder / f"{stem}-held-out.npz"
    if file.is_file() and beside.is_file():
        try:
            model = NarrativeClassifier.load(file)
            model.cv_probabilities_ = read_model_file(beside, _held_out_of, newest=1)
            return model
        except DataError:
            file.unlink(missing_ok=True)
    model = train_default_classifier()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_model_file(beside, {"format": 1}, {"probabilities": model.cv_probabilities_})
        model.save(file)
    except (OSError, DataError):
        pass
    return model


def _held_out_of(_: dict[str, object], arrays: dict[str, np.ndarray]) -> np.ndarray:
    return arrays["probabilities"]
