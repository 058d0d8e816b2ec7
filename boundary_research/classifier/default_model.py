"""The default classifier: trained on the bundled corpus once, then read from the user's cache."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import platformdirs
import sklearn

from boundary_research._checks import DataError
from boundary_research._files import hash_file
from boundary_research.classifier.model import (
    EVIDENCE_PARAMETERS,
    FILE_FORMAT,
    NarrativeClassifier,
)
from boundary_research.corpus.bundled import data_folder, load_corpus

# A change in what these modules compute is a change of the model.
_CODE = ("_calibrated_decisions", "_calibration", "_linear", "_passages", "model", "text")


def _untrained() -> NarrativeClassifier:
    return NarrativeClassifier(**EVIDENCE_PARAMETERS)


def default_model_id() -> str:
    """Return what the default model depends on, as a hash: corpus, parameters, code, libraries."""
    folder = data_folder() / "corpus"
    parts = [
        hash_file(folder / f"{name}.csv") for name in ("incidents", "gold", "evidence", "splits")
    ]
    parts += [hash_file(Path(__file__).with_name(f"{name}.py")) for name in _CODE]
    parts += [str(FILE_FORMAT), sklearn.__version__, repr(_untrained().get_params())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def train_default_classifier() -> NarrativeClassifier:
    """Train on the corpus's train and development authors; the test authors are left alone."""
    corpus = load_corpus()
    incidents = corpus.incidents
    part = corpus.subset(incidents.loc[incidents["split"] != "test", "incident_id"])
    return _untrained().fit(
        part.incidents["narrative"].tolist(),
        part.codes,
        groups=part.incidents["author_id"].tolist(),
        evidence=part.evidence,
    )


@lru_cache(maxsize=1)
def default_classifier() -> NarrativeClassifier:
    """Return the classifier trained on the bundled corpus.

    The first call trains it in seconds and keeps it in the user's cache folder; later calls read
    it from there. Where the cache cannot be written, the model lives in memory only.
    """
    name = f"default-{default_model_id()[:16]}.npz"
    file = Path(platformdirs.user_cache_dir("boundary-research")) / name
    if file.is_file():
        try:
            return NarrativeClassifier.load(file)
        except DataError:
            file.unlink(missing_ok=True)
    model = train_default_classifier()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        model.save(file)
    except (OSError, DataError):
        pass
    return model
