"""The default classifier: a fine-tuned encoder from the package, averaged with n-grams."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

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
from boundary_research.classifier.model import FILE_FORMAT, NarrativeClassifier
from boundary_research.corpus.bundled import Corpus, data_folder, load_corpus
from boundary_research.corpus.contrasts import Contrasts, load_contrasts

# A change in what these modules compute is a change of the model.
_NGRAM_CODE = (
    "_calibrated_decisions",
    "_calibration",
    "_linear",
    "_passages",
    "default_model",
    "model",
    "text",
)
_ENCODER_CODE = (
    "_encoder_scoring",
    "_encoder_windows",
    "_member_weights",
    "combined_model",
    "encoder_model",
)
# Of the encoder's evidence more is what coders marked than of the n-grams' or of both together
# (docs/benchmarks-accuracy.md).
_ENCODER, _EVIDENCE_MEMBER = "encoder.zip", 0
_HELD_OUT = "held_out.csv"
# Encoder and n-grams in the mean, chosen on authors that neither had learned from (ibid.).
_WEIGHTS = (2.0, 1.0)


def default_model_id(*, fast: bool = False) -> str:
    """Return what the default model depends on, as a hash: texts, parameters, code, libraries."""
    folder = data_folder() / "corpus"
    parts = [
        hash_file(folder / f"{name}.csv") for name in ("incidents", "gold", "evidence", "splits")
    ]
    folder = data_folder() / "contrasts"
    parts += [
        hash_file(folder / f"{name}.csv") for name in ("stories", "narratives", "codes", "evidence")
    ]
    parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in _NGRAM_CODE]
    parts += [str(FILE_FORMAT), sklearn.__version__, repr(NarrativeClassifier().get_params())]
    if not fast:
        parts += [hash_file(data_folder() / "models" / name) for name in (_ENCODER, _HELD_OUT)]
        parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in _ENCODER_CODE]
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


def train_default_classifier() -> NarrativeClassifier:
    """Train the n-gram part on `default_training_set`."""
    learned = default_training_set()
    # Threads that share the small products of this fit make it several times slower.
    with threadpool_limits(limits=1):
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

    It is the weighted mean of a small transformer, fine-tuned on the corpus, that comes with the
    package, and of a classifier on n-grams. Both have also learned from contrast narratives
    (`load_contrasts`). The first call trains the latter in seconds and keeps it in the
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
    return TransformerClassifier.load(data_folder() / "models" / _ENCODER)


def combine_with_encoder(ngrams: NarrativeClassifier) -> CombinedClassifier:
    """Return the mean of the bundled encoder and an n-gram classifier of the training authors.

    It is calibrated on the narratives of the authors whom both had left out in cross-validation.
    """
    folder = data_folder() / "models"
    encoder = default_encoder()
    codes = _training_part().codes
    seen = pd.read_csv(folder / _HELD_OUT).set_index("incident_id")
    held_out = seen.reindex(index=codes.index, columns=codes.columns).to_numpy(dtype=float)
    both = CombinedClassifier([encoder, ngrams], weights=_WEIGHTS, evidence_member=_EVIDENCE_MEMBER)
    return both.calibrate(codes, [held_out, ngrams.cv_probabilities_])


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
