"""Peers of the speed benchmark: scikit-learn's vectorizers, and fastText as a process."""

from __future__ import annotations

import json
import subprocess
import tempfile
import venv
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from boundary_research.classifier.model import NarrativeClassifier

FASTTEXT = """
import json, sys, time
import fasttext
fasttext.FastText.eprint = lambda *_: None
train, texts, minn, maxn = sys.argv[1:]
model = fasttext.train_supervised(
    train, epoch=2, wordNgrams=2, minn=int(minn), maxn=int(maxn), loss="ova", thread=1, verbose=0
)
lines = json.load(open(texts))
print("ready", flush=True)
for _ in sys.stdin:
    start = time.process_time()
    model.predict(lines, k=-1)
    print(time.process_time() - start, flush=True)
"""
Job = Callable[[], float]  # runs once and returns the seconds it took


def scikit_learn_peer(model: NarrativeClassifier) -> Callable[[list[str]], np.ndarray]:
    """Return scikit-learn's vectorizers with the model's terms, and its linear scores."""
    fitted = model.vectorizer_
    parts, weights = [], {}
    for name, analyzer, sizes in (
        ("words", "word", fitted.words),
        ("characters", "char_wb", fitted.characters),
    ):
        if sizes is None:
            continue
        part = TfidfVectorizer(
            analyzer=analyzer,
            ngram_range=sizes,
            token_pattern=r"\w+",
            sublinear_tf=True,
            vocabulary=fitted.vocabulary_[name],
        )
        part.idf_ = fitted.idf_[name]
        parts.append((name, part))
        weights[name] = fitted.character_weight if name == "characters" else 1.0
    union = FeatureUnion(parts, transformer_weights=weights)

    def predict(texts: list[str]) -> np.ndarray:
        scores = union.transform(texts) @ model.coef_.T + model.intercept_
        return expit(scores * model.slope_ + model.offset_)

    return predict


def start_fasttext(
    stack: ExitStack, python: Path | None, texts: list[str], corpus: Any, characters: bool
) -> Job | str:
    """Train fastText in a process of its own; return its job, or why there is none."""
    if python is None:
        return "skipped: no Python with fastText (--install-peers or --fasttext-python)"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    codes = corpus.codes.astype(bool)
    labels = [" ".join(f"__label__{c}" for c in codes.columns[row]) for row in codes.to_numpy()]
    plain = [" ".join(text.lower().split()) for text in corpus.incidents["narrative"]]
    both = zip(labels, plain, strict=True)
    (folder / "train.txt").write_text(
        "\n".join(f"{a or '__label__none'} {b}" for a, b in both), encoding="utf-8"
    )
    lines = json.dumps([" ".join(text.split()) for text in texts])
    (folder / "texts.json").write_text(lines, encoding="utf-8")
    files = [str(folder / "train.txt"), str(folder / "texts.json")]
    sizes = ["3", "5"] if characters else ["0", "0"]
    command = [str(python), "-c", FASTTEXT, *files, *sizes]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    process = stack.enter_context(
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    request, reply = process.stdin, process.stdout
    if reply.readline().strip() != "ready":
        return "skipped: fastText did not start"

    def sample() -> float:
        request.write("\n")
        request.flush()
        return float(reply.readline())

    return sample


def install_fasttext(folder: Path) -> Path | None:
    """Make an environment with fastText; None where it cannot be installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "fasttext-community"]
    return python if subprocess.run(command, check=False).returncode == 0 else None
