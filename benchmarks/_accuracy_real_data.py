"""The accuracy benchmark on real narratives: GovTrack and HHS, each model trained anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _accuracy_peers import as_markdown, f1_pair, run_peer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from boundary_research.classifier.combined_model import CombinedClassifier
from boundary_research.classifier.default_model import default_encoder
from boundary_research.classifier.embedding_model import EncoderClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.model import NarrativeClassifier

TAGS = ["corruption", "crime", "elections", "ethics", "sexual-harassment-abuse"]
Coder = Callable[[list[str], pd.DataFrame, list[str]], np.ndarray]


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
