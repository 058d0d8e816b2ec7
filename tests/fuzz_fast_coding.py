"""Fuzz the fused pass under AddressSanitizer and UndefinedBehaviorSanitizer.

Builds the extension twice (with SSE2 and without) with the sanitizers, and feeds it random models
and random texts: valid ones, whose scores must equal the scikit-learn path's, and broken bytes,
which must be survived. Any read or write out of bounds ends the run with a report.

    python tests/fuzz_fast_coding.py --seconds 60
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "boundary_research" / "classifier" / "_kernel.c"
ALPHABETS = [
    "abc ",
    "abcdefghij klmnop_0123 ,.'-\n",
    "Σσς'’.·\u0301\u00adΑAʰ ",
    "İiẞßéÉȺK\u2003\u00a0\x85\x1c a",
    "社工借钱😀𝔘𐐀 \u200d",
    "\x00\x1f \x7f\ud800\udfffa",
]


def build(folder: Path, *, scalar: bool) -> Path:
    """Compile the kernel with the sanitizers and return the module's path."""
    target = folder / ("scalar" if scalar else "sse2") / "_kernel.abi3.so"
    target.parent.mkdir()
    command = [
        os.environ.get("CC", "gcc"),
        *("-g", "-O1", "-fno-omit-frame-pointer", "-shared", "-fPIC"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(["-DKERNEL_SCALAR"] if scalar else []),
        f"-I{sysconfig.get_paths()['include']}",
        str(SOURCE),
        *("-o", str(target), "-lm"),
    ]
    subprocess.run(command, check=True)
    return target


def load(path: str) -> ModuleType:
    """Import the module that was built."""
    spec = importlib.util.spec_from_file_location("boundary_research.classifier._kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_text(rng: np.random.Generator) -> str:
    """Return text in one or several of the alphabets, or from anywhere in Unicode."""
    parts = []
    for _ in range(rng.integers(1, 6)):
        length = int(rng.choice([0, 1, 3, 15, 16, 17, 62, 63, 64, 65, 130, 700]))
        if rng.random() < 0.2:
            points = rng.integers(0, 0x110000 if rng.random() < 0.5 else 0x600, length)
        else:
            alphabet = ALPHABETS[rng.integers(len(ALPHABETS))]
            points = np.array([ord(c) for c in alphabet])[rng.integers(len(alphabet), size=length)]
        parts.append("".join(map(chr, points)))
    return "".join(parts)


def random_sizes(rng: np.random.Generator, most: int) -> tuple[int, int] | None:
    """Return the shortest and longest n-gram of a block, or None for no block."""
    low, high = sorted(int(x) for x in rng.integers(1, most + 1, 2))
    return None if rng.random() < 0.15 else (low, high)


def broken(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with some changed, and cut off somewhere."""
    values = np.frombuffer(data, np.uint8).copy()
    if len(values):
        where = rng.integers(len(values), size=1 + len(values) // 8)
        values[where] = rng.integers(0, 256, len(where))
    return values[: rng.integers(len(values) + 1)].tobytes()


def fuzz(module: str, seconds: float, seed: int) -> None:
    """Run rounds of one random model and many texts until the time is over."""
    from boundary_research.classifier import fast_coding
    from boundary_research.classifier.model import NarrativeClassifier

    fast_coding._kernel = kernel = load(module)
    rng = np.random.default_rng(seed)
    end, models, texts_seen, bytes_seen = time.monotonic() + seconds, 0, 0, 0
    while time.monotonic() < end:
        words, characters = random_sizes(rng, 4), random_sizes(rng, 9)
        if words is None and characters is None:
            continue
        model = NarrativeClassifier(words=words, characters=characters, min_narratives=1)
        texts = [random_text(rng) for _ in range(12)]
        # Never a block without a term, which scikit-learn's path refuses.
        learned = ["several plain words to learn", *texts[: rng.integers(12)]]
        model.vectorizer_ = model._new_vectorizer().fit(learned)
        k = int(rng.integers(1, 20))
        n = sum(map(len, model.vectorizer_.vocabulary_.values()))
        model.coef_ = rng.normal(size=(k, n))
        model.intercept_, model.slope_, model.offset_ = rng.normal(scale=9, size=(3, k))
        coder = fast_coding.FastCoder(model, threads=1)
        assert coder.fused, (words, characters)
        expected = model.decision_function(texts)
        assert np.abs(coder.decision_function(texts) - expected).max() <= 1e-9
        expected = model.predict_proba(texts)
        assert np.abs(coder.predict_proba(texts) - expected).max() <= 1e-9
        for text in texts[:4]:
            starts = np.unique(rng.integers(0, len(text) + 1, 5))
            located = model.vectorizer_.locate(text, starts) @ model.coef_.T
            assert np.abs(coder.clause_weights(text, starts) - located).max() <= 1e-9
        for text in texts:
            data = broken(text.encode("utf-8", "surrogatepass"), rng)
            cuts = np.sort(rng.integers(0, len(data) + 1, 4)).astype(np.int64)
            out = np.empty((3, k))
            taken, size = np.zeros(1, dtype=np.int64), int(rng.integers(1, 400))
            kernel.score(coder._model, data, cuts, out, bool(size % 2), taken, size)
            assert np.isfinite(out).all()
            starts = np.sort(rng.integers(-5, len(data) + 5, 6)).astype(np.int64)
            parts = np.array([0, 2, 2, 6], dtype=np.int64)
            weights = np.empty((6, k))
            kernel.locate(coder._model, data, cuts, weights, parts, starts)
            assert np.isfinite(weights).all()
            bytes_seen += len(data)
        models, texts_seen = models + 1, texts_seen + 2 * len(texts)
    print(
        f"{Path(module).parent.name}: {models} models, {texts_seen} texts, no finding", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="for each of the two builds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--module", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.module:
        fuzz(options.module, options.seconds, options.seed)
        return
    compiler = os.environ.get("CC", "gcc")
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name=lib{name}.so"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("asan", "stdc++")
    ]
    environment = os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        "PYTHONMALLOC": "malloc",  # so that every object has red zones of its own
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",  # Python itself never frees everything
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory() as folder:
        for scalar in (False, True):
            module = build(Path(folder), scalar=scalar)
            command = [sys.executable, __file__, "--module", str(module)]
            command += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
