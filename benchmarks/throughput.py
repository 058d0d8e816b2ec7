"""Speed and memory of the fused coding path beside its peers, on the same text in one run.

Narratives of 150 words are cut from those of the bundled corpus's test authors, which the models
have not seen. Peers are scikit-learn's own TF-IDF vectorizers with the same n-grams, terms and
weights (their probabilities must be the same to 1e-9, or the run ends), this package without the
extension, fastText, and `str.split` alone. All contenders take turns, and a ratio is that of two
neighbours; the median of the rounds counts, and their range is printed beside it. One-thread
figures are processor time, so that other work on the machine disturbs them less. Two threads are
timed by the clock on the wall, beside hashing in two threads, which share nothing: what that gains
is what the machine had to give. Memory is the peak of a process of its own that streams narratives
from Parquet and writes their probabilities to Parquet.

    python benchmarks/throughput.py --small
    python benchmarks/throughput.py --install-peers
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn
from _throughput_peers import Job, install_fasttext, scikit_learn_peer, start_fasttext

from boundary_research.classifier import fast_coding
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.corpus.bundled import load_corpus

WORDS = 150
SECONDS = 0.1  # a sample lasts about as long; quick jobs are called often enough for that
# How many times as fast the fused path is to be, by n-grams and by peer.
WANTED = {
    "words": {"scikit-learn vectorizers": 35, "fastText": 10, "str.split alone": 3},
    "words and characters": {"scikit-learn vectorizers": 40, "fastText": 10},
}
WANTED_OF_TWO_THREADS, MOST_MEBIBYTES = 1.7, 1024


def cut_narratives(source_texts: list[str], n: int, random_state: int = 0) -> Iterator[str]:
    """Yield n narratives of 150 words, each a stretch of the corpus with its own spacing."""
    rng = np.random.default_rng(random_state)
    text = "\n".join(source_texts)
    starts = [
        i + 1 for i, c in enumerate(text) if c.isspace() and not text[i + 1 : i + 2].isspace()
    ]
    for first in rng.integers(0, len(starts) - WORDS, n):
        yield text[starts[first] : starts[first + WORDS]].rstrip()


def timed(clock: Callable[[], float], job: Callable[[], Any]) -> Job:
    """Return a job that takes the mean time of as many calls as fill a sample."""
    start = clock()
    job()
    repeats = max(1, round(SECONDS / max(clock() - start, 1e-6)))

    def sample() -> float:
        start = clock()
        for _ in range(repeats):
            job()
        return (clock() - start) / repeats

    return sample


def take_turns(rounds: int, jobs: dict[str, Job]) -> dict[str, np.ndarray]:
    """Return each job's seconds, shape (rounds,)."""
    seconds = [[job() for job in jobs.values()] for _ in range(rounds)]
    return dict(zip(jobs, np.array(seconds).T, strict=True))


def spread(ratios: np.ndarray) -> str:
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})"


def judge(name: str, wanted: float, ratios: np.ndarray) -> str:
    """Say whether a line of what is wanted is met, in every round or in the middle one."""
    if ratios.min() >= wanted:
        verdict = "met"
    elif np.median(ratios) >= wanted:
        verdict = "met by the median, not in every round"
    else:
        verdict = "MISSED"
    return f"{name}: {spread(ratios)}, wanted {wanted}: {verdict}"


def compare_peers(
    title: str, model: NarrativeClassifier, texts: list[str], corpus: Any, options: Any
) -> list[str]:
    """Print one table, the fused path in one thread and its peers; return the verdicts."""
    column = pa.array(texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    coder, peer = FastCoder(model, threads=1), scikit_learn_peer(model)
    for name, other in (("scikit-learn", peer), ("this package", model.predict_proba)):
        worst = np.abs(coder.predict_proba(texts[:500]) - other(texts[:500])).max()
        if worst > 1e-9:
            raise SystemExit(f"{name} differs from the fused path by {worst:g}")
    clock = time.process_time
    jobs = {
        "fused, one thread": timed(clock, lambda: coder.predict_proba(column)),
        "str.split alone": timed(clock, lambda: [text.split() for text in texts]),
        "scikit-learn vectorizers": timed(clock, lambda: peer(texts)),
        "this package without the extension": timed(clock, lambda: model.predict_proba(texts)),
    }
    with ExitStack() as stack:
        fasttext = start_fasttext(
            stack, options.fasttext_python, texts, corpus, model.characters is not None
        )
        if not isinstance(fasttext, str):
            jobs["fastText"] = fasttext
        seconds = take_turns(options.rounds, jobs)
    print(f"\n{title}: {model.coef_.shape[1]:,} terms, {model.coef_.shape[0]} categories")
    print(f"{'':36}{'narratives/s':>14}{'MB/s':>9}{'fused is … times as fast':>30}")
    fused, verdicts = seconds["fused, one thread"], []
    for name, some in seconds.items():
        middle = float(np.median(some))
        print(
            f"{name:36}{len(texts) / middle:14,.0f}{megabytes / middle:9.2f}"
            f"{spread(some / fused):>30}"
        )
        if name in WANTED[title]:
            verdicts.append(judge(f"{title}, {name}", WANTED[title][name], some / fused))
    if isinstance(fasttext, str):
        print(f"{'fastText':36}{fasttext}")
        verdicts.append(f"{title}, fastText: {fasttext}")
    return verdicts


def compare_threads(
    title: str, model: NarrativeClassifier, texts: list[str], options: Any
) -> list[str]:
    """Print what a second thread gains, beside what the machine had to give; return the verdict."""
    column, block = pa.array(texts), bytes(1 << 24)
    one, two = FastCoder(model, threads=1), FastCoder(model, threads=2)
    with ThreadPoolExecutor(2) as pool:
        clock = time.perf_counter
        jobs = {
            "one": timed(clock, lambda: one.predict_proba(column)),
            "two": timed(clock, lambda: two.predict_proba(column)),
            "hash": timed(clock, lambda: hashlib.sha256(block)),
            "hashes": timed(clock, lambda: list(pool.map(hashlib.sha256, [block, block]))),
        }
        seconds = take_turns(3 * options.rounds, jobs)
    ratios, machine = seconds["one"] / seconds["two"], 2 * seconds["hash"] / seconds["hashes"]
    print(
        f"two threads (wall clock): {len(texts) / np.median(seconds['two']):,.0f} narratives/s, "
        f"{spread(ratios)} times one thread; hashing gained {spread(machine)}"
    )
    verdict = judge(f"{title}, two threads", WANTED_OF_TWO_THREADS, ratios)
    if np.median(machine) < 1.9:
        verdict += f" (the machine had {np.median(machine):.2f} cores to give)"
    return [verdict]


def describe_machine() -> str:
    """Return processor, cores, load and versions in one line."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{(names or [platform.machine()])[0]}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, {platform.system()}, "
        f"Python {platform.python_version()}, scikit-learn {sklearn.__version__}"
    )


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
    # Arrow would otherwise keep what it has read ahead until the file is closed: all of it.
    reader = pq.ParquetFile(source, pre_buffer=False)
    with pq.ParquetWriter(target, pa.schema(fields)) as writer:
        for batch in reader.iter_batches(batch_size=10_000):
            probabilities = coder.predict_proba(batch.column("narrative"))
            columns = [batch.column("incident_id"), *probabilities.T]
            writer.write_table(pa.table(columns, schema=pa.schema(fields)))
            n += batch.num_rows
    seconds = time.perf_counter() - start
    print(json.dumps({"narratives": n, "seconds": seconds, "peak_mib": peak_mebibytes()}))


def peak_mebibytes() -> float:
    """Return the most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # there getrusage would count what the process that started this one had
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(peak) / 2**10
    peak_of_all = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_of_all / (2**20 if sys.platform == "darwin" else 2**10)


def measure_memory(model: NarrativeClassifier, source_texts: list[str], n: int) -> str:
    """Stream n narratives in a process of its own, print what it took, return the verdict."""
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
    peak = result["peak_mib"]
    verdict = "met" if peak < MOST_MEBIBYTES else "MISSED"
    return f"peak memory: {peak:,.0f} MiB for {rows:,}, wanted below {MOST_MEBIBYTES}: {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="fewer narratives and rounds")
    parser.add_argument("--rounds", type=int, help="how often each contender is timed")
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
    options.rounds = options.rounds or (3 if options.small else 5)
    whole = load_corpus()
    unseen = whole.incidents["split"] == "test"
    corpus = whole.subset(whole.incidents.loc[~unseen, "incident_id"])
    unseen_texts = whole.incidents.loc[unseen, "narrative"].tolist()
    texts = list(cut_narratives(unseen_texts, 2_000 if options.small else 10_000))
    print(describe_machine())
    print(f"{len(texts):,} narratives of {WORDS} words, {options.rounds} rounds: median (range)")
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        if options.install_peers and options.fasttext_python is None:
            options.fasttext_python = install_fasttext(Path(folder))
        for title, characters in (("words", None), ("words and characters", (3, 5))):
            model = NarrativeClassifier(words=(1, 2), characters=characters, cv=2)
            model.fit(corpus.incidents["narrative"].tolist(), corpus.codes)
            verdicts += compare_peers(title, model, texts, corpus, options)
            verdicts += compare_threads(title, model, texts, options)
    streamed = options.narratives or (20_000 if options.small else 1_000_000)
    verdicts.append(measure_memory(model, unseen_texts, streamed))
    print("\nHow many times as fast the fused path is; median (range):", *verdicts, sep="\n  ")


if __name__ == "__main__":
    main()
