"""Speed and memory of the fused coding path beside its peers, on the same text in one run.

Narratives of 150 words are cut from those of the bundled corpus's test authors, which the models
have not seen. Peers are scikit-learn's own TF-IDF
vectorizers with the same n-grams, terms and weights (their probabilities must be the same to 1e-9,
or the run ends), this package without the extension, fastText, and `str.split` alone. One-thread
figures are processor time, so that other work on the machine disturbs them less; contenders take
turns and the best of the rounds counts. Memory is the peak of a process of its own that streams
narratives from Parquet and writes their probabilities to Parquet.

    python benchmarks/throughput.py --small
    python benchmarks/throughput.py --install-peers
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from boundary_research.classifier import fast_coding
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.corpus.bundled import load_corpus

WORDS = 150
FASTTEXT = """
import json, sys, time
import fasttext
fasttext.FastText.eprint = lambda *_: None
train, texts, rounds, minn, maxn = sys.argv[1:]
model = fasttext.train_supervised(
    train, epoch=2, wordNgrams=2, minn=int(minn), maxn=int(maxn), loss="ova", thread=1, verbose=0
)
lines = json.load(open(texts))
best = float("inf")
for _ in range(int(rounds)):
    start = time.process_time()
    model.predict(lines, k=-1)
    best = min(best, time.process_time() - start)
print(best)
"""


def cut_narratives(source_texts: list[str], n: int, random_state: int = 0) -> Iterator[str]:
    """Yield n narratives of 150 words, each a stretch of the corpus with its own spacing."""
    rng = np.random.default_rng(random_state)
    text = "\n".join(source_texts)
    starts = [
        i + 1 for i, c in enumerate(text) if c.isspace() and not text[i + 1 : i + 2].isspace()
    ]
    for first in rng.integers(0, len(starts) - WORDS, n):
        yield text[starts[first] : starts[first + WORDS]].rstrip()


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


def best_of(rounds: int, clock: Callable[[], float], jobs: dict[str, Callable[[], Any]]) -> dict:
    """Return each job's shortest time; the jobs take turns."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            start = clock()
            job()
            best[name] = min(best[name], clock() - start)
    return best


def fasttext_seconds(
    python: Path | None, texts: list[str], corpus: Any, rounds: int, characters: bool
) -> float | str:
    """Return the processor time of fastText's predictions, or why there is none."""
    if python is None:
        return "skipped: no Python with fastText (--install-peers or --fasttext-python)"
    with tempfile.TemporaryDirectory() as folder:
        train, lines = Path(folder) / "train.txt", Path(folder) / "texts.json"
        labels = [
            " ".join(f"__label__{c}" for c in row.index[row]) or "__label__none"
            for _, row in corpus.codes.astype(bool).iterrows()
        ]
        plain = [" ".join(text.lower().split()) for text in corpus.incidents["narrative"]]
        both = zip(labels, plain, strict=True)
        train.write_text("\n".join(f"{a} {b}" for a, b in both), encoding="utf-8")
        lines.write_text(json.dumps([" ".join(text.split()) for text in texts]), encoding="utf-8")
        sizes = ["3", "5"] if characters else ["0", "0"]
        command = [str(python), "-c", FASTTEXT, str(train), str(lines), str(rounds), *sizes]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"skipped: {done.stderr.strip().splitlines()[-1][:100]}"
        return float(done.stdout.split()[-1])


def install_fasttext(folder: Path) -> Path | None:
    """Make an environment with fastText; None where it cannot be installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "fasttext-community"]
    return python if subprocess.run(command, check=False).returncode == 0 else None


def compare(
    title: str, model: NarrativeClassifier, texts: list[str], corpus: Any, options: Any
) -> None:
    """Print one table: the fused path and its peers on one model."""
    column = pa.array(texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    one, two = FastCoder(model, threads=1), FastCoder(model, threads=2)
    few = texts[: max(200, len(texts) // 20)]
    scale = len(texts) / len(few)
    peer = scikit_learn_peer(model)
    for name, other in (("scikit-learn", peer), ("this package", model.predict_proba)):
        worst = np.abs(one.predict_proba(few) - other(few)).max()
        if worst > 1e-9:
            raise SystemExit(f"{name} differs from the fused path by {worst:g}")
    fast = best_of(
        options.rounds * 4,
        time.process_time,
        {"fused": lambda: one.predict_proba(column), "split": lambda: [t.split() for t in texts]},
    )
    slow = best_of(
        options.rounds,
        time.process_time,
        {"scikit-learn": lambda: peer(few), "this package": lambda: model.predict_proba(few)},
    )
    wall = best_of(
        options.rounds * 4,
        time.perf_counter,
        {"one": lambda: one.predict_proba(column), "two": lambda: two.predict_proba(column)},
    )
    rows: list[tuple[str, float | str]] = [
        ("fused, one thread", fast["fused"]),
        ("fused, two threads (wall clock)", wall["two"]),
        ("scikit-learn vectorizers", slow["scikit-learn"] * scale),
        ("this package without the extension", slow["this package"] * scale),
        (
            "fastText",
            fasttext_seconds(
                options.fasttext_python, texts, corpus, options.rounds, model.characters is not None
            ),
        ),
        ("str.split alone", fast["split"]),
    ]
    print(f"\n{title}: {model.coef_.shape[1]} terms, {model.coef_.shape[0]} categories")
    print(f"{'':36}{'narratives/s':>14}{'MB/s':>9}{'fused is … times as fast':>27}")
    for name, seconds in rows:
        if isinstance(seconds, str):
            print(f"{name:36}{seconds}")
            continue
        base = wall["two"] if "two" in name else fast["fused"]
        ratio = wall["one"] / base if "two" in name else seconds / base
        text = f"{ratio:.2f} (than one thread)" if "two" in name else f"{ratio:.1f}"
        print(f"{name:36}{len(texts) / seconds:14,.0f}{megabytes / seconds:9.2f}{text:>27}")


def write_parquet(path: Path, source_texts: list[str], n: int) -> int:
    """Write n narratives in row groups; return how many bytes of text they have."""
    schema = pa.schema([("incident_id", pa.string()), ("narrative", pa.string())])
    size = 0
    with pq.ParquetWriter(path, schema) as writer:
        for low in range(0, n, 20_000):
            texts = list(cut_narratives(source_texts, min(20_000, n - low), random_state=low))
            size += sum(map(len, texts))
            ids = [str(low + i) for i in range(len(texts))]
            writer.write_table(pa.table([ids, texts], schema=schema))
    return size


def stream(source: Path, target: Path, model_file: Path) -> None:
    """Code a Parquet file batch by batch, and print seconds and peak memory as JSON."""
    model = NarrativeClassifier.load(model_file)
    coder = FastCoder(model)
    fields = [("incident_id", pa.string())] + [(str(name), pa.float64()) for name in model.classes_]
    start, n = time.perf_counter(), 0
    with pq.ParquetWriter(target, pa.schema(fields)) as writer:
        for batch in pq.ParquetFile(source).iter_batches(batch_size=10_000):
            probabilities = coder.predict_proba(batch.column("narrative"))
            columns = [batch.column("incident_id"), *probabilities.T]
            writer.write_table(pa.table(columns, schema=pa.schema(fields)))
            n += batch.num_rows
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, but bytes on macOS
    mebibytes = peak / (2**20 if sys.platform == "darwin" else 2**10)
    print(json.dumps({"narratives": n, "seconds": seconds, "peak_mib": mebibytes}))


def measure_memory(model: NarrativeClassifier, source_texts: list[str], n: int) -> None:
    """Stream n narratives in a process of its own and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        source, target, file = (Path(folder) / name for name in ("in", "out", "model.npz"))
        size = write_parquet(source, source_texts, n)
        model.save(file)
        command = [sys.executable, __file__, "--stream", str(source), str(target), str(file)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(done.stdout.splitlines()[-1])
        rows = pq.read_metadata(target).num_rows
    print(
        f"\nParquet to Parquet: {rows:,} narratives of {WORDS} words ({size / 1e6:,.0f} MB) "
        f"in {result['seconds']:.1f} s, peak memory {result['peak_mib']:,.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="fewer narratives and rounds")
    parser.add_argument("--narratives", type=int, help="how many to stream for peak memory")
    parser.add_argument("--fasttext-python", type=Path, help="a Python that can import fasttext")
    parser.add_argument(
        "--install-peers", action="store_true", help="install fastText in a temporary environment"
    )
    parser.add_argument("--stream", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(*options.stream)
        return
    if not fast_coding.available():
        print("the C extension was not built; there is no fused path to measure")
        return
    options.rounds = 2 if options.small else 5
    whole = load_corpus()
    unseen = whole.incidents["split"] == "test"
    corpus = whole.subset(whole.incidents.loc[~unseen, "incident_id"])
    unseen_texts = whole.incidents.loc[unseen, "narrative"].tolist()
    texts = list(cut_narratives(unseen_texts, 2_000 if options.small else 10_000))
    with tempfile.TemporaryDirectory() as folder:
        if options.install_peers and options.fasttext_python is None:
            options.fasttext_python = install_fasttext(Path(folder))
        print(f"{len(texts):,} narratives of {WORDS} words, load {os.getloadavg()[0]:.1f}")
        for title, characters in (
            ("words (1, 2)", None),
            ("words (1, 2), characters (3, 5)", (3, 5)),
        ):
            model = NarrativeClassifier(words=(1, 2), characters=characters, cv=2)
            model.fit(corpus.incidents["narrative"].tolist(), corpus.codes)
            compare(title, model, texts, corpus, options)
    measure_memory(
        model, unseen_texts, options.narratives or (20_000 if options.small else 1_000_000)
    )


if __name__ == "__main__":
    main()
