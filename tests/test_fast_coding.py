"""The fused pass gives what the scikit-learn path gives, for every text that Python can hold."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from boundary_research import DataError, NarrativeClassifier
from boundary_research.classifier import fast_coding
from boundary_research.classifier._character_tables import (
    CASED,
    IGNORABLE,
    N_CODE_POINTS,
    SPACE,
    WORD,
    character_tables,
)
from boundary_research.classifier._kernel_arrays import kernel_arguments
from boundary_research.classifier.evidence import find_evidence
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.classifier.text import split_clauses

built = pytest.mark.skipif(not fast_coding.available(), reason="the C extension was not built")
SEEDS = [
    "İstanbul'da İŞÇİ ona para verdi, ΟΔΥΣΣΕΥΣ ΌΣ’Σ ς.",
    "Ο ΣΊΣΥΦΟΣ ΑΣ, ΑΣ' ΑΣ'Α Σ ΣΣ 'Σ",
    "Ça va?\u00a0Straße\u2003ẞ ﬁne e\u0301te\u0301 ÉTÉ \u200bnull\x00byte\x1cgap\x85next",
    "社工 借钱 给 客户。 ٣٤ ١٢ हिन्दी नमस्ते 👩‍👧 😀😀😀 𝔘𝔫𝔦 𐐀𐐨 Ⱥ K Å",
    "She lent him money; he don’t pay — “never”… naïve co-worker_1",
    "\ud800 lone \udfff\ud800 halves",
    "a b c d e f g a_b _ 9 x" * 3,
    "incomprehensibilities of otorhinolaryngological pseudopseudohypoparathyroidism, " * 2,
]


def fit(words=(1, 2), characters=(3, 5), weight=2.0, texts=SEEDS, k=3):
    """Fit by hand, with random weights: what is compared is the arithmetic, not the learning."""
    model = NarrativeClassifier(
        words=words, characters=characters, character_weight=weight, min_narratives=1
    )
    model.vectorizer_ = model._new_vectorizer().fit(texts)
    rng = np.random.default_rng(7)
    n = sum(map(len, model.vectorizer_.vocabulary_.values()))
    model.classes_ = np.array([f"c{j}" for j in range(k)], dtype=object)
    model.coef_ = rng.normal(scale=3, size=(k, n))
    model.intercept_, model.slope_, model.offset_ = rng.normal(size=(3, k))
    return model


@pytest.fixture(scope="module")
def pair():
    model = fit()
    coder = FastCoder(model)
    assert coder.fused
    return model, coder


def assert_same(model, coder, texts):
    ours, theirs = coder.predict_proba(texts), model.predict_proba(texts)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    scores = coder.decision_function(texts)
    np.testing.assert_allclose(scores, model.decision_function(texts), rtol=0, atol=1e-9)


pieces = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(), max_size=8),  # surrogates too
    st.sampled_from(SEEDS),
    st.sampled_from(re.findall(r"\S+|\s+", " ".join(SEEDS))),
    st.text(st.sampled_from("Σσς'’.·\u0301\u00adΑAaʰİK \u2003\n"), max_size=12),
    st.text(st.sampled_from("abc _9"), max_size=80),
)
narratives = st.lists(pieces, max_size=8).map("".join)


@built
@settings(max_examples=400, deadline=None)
@given(st.lists(narratives, max_size=4))
@example(SEEDS)
@example([])
@example([""])
@example([" ", "\n\n", "\u2003", "a"])
def test_same_probabilities_for_any_text(pair, texts):
    assert_same(*pair, texts)


@built
@pytest.mark.parametrize("length", [15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 200])
def test_words_across_block_edges(pair, length):
    text = " ".join(SEEDS[6:]) * 4
    assert_same(*pair, [text[i : i + length] for i in range(70)])
    assert_same(*pair, ["x" * length, "x" * length + " ", " " * length + "money", "é" * length])


@built
@pytest.mark.parametrize(
    ("words", "characters"),
    [
        ((1, 1), None),
        ((1, 2), None),
        ((2, 3), None),
        ((3, 4), (1, 2)),
        (None, (3, 5)),
        (None, (2, 9)),
        ((1, 2), (4, 12)),
    ],
)
@settings(max_examples=30, deadline=None)
@given(st.lists(narratives, max_size=3))
@example(SEEDS)
def test_same_for_every_size_of_ngram(words, characters, texts):
    model = MODELS.setdefault((words, characters), fit(words, characters, weight=0.7))
    coder = CODERS.setdefault((words, characters), FastCoder(model))
    assert coder.fused
    assert_same(model, coder, texts)


MODELS: dict = {}
CODERS: dict = {}


@built
@pytest.mark.parametrize("k", [1, 7, 8, 14, 15, 16, 40])
def test_any_number_of_categories(k):
    model = fit(k=k)
    assert_same(model, FastCoder(model), SEEDS)


@built
def test_every_code_point_is_read_as_python_reads_it():
    """Each alone, in a word, and around the capital sigma, which has two lower-case forms."""
    points = [chr(c) for c in range(N_CODE_POINTS)]
    forms = [f"{c} A{c}B {c}Σ AΣ{c} {c}AΣ{c}A" for c in points]
    changed = [f for c, f in zip(points, forms, strict=True) if c.lower() != c or c.isspace()]
    model = fit((1, 1), (1, 3), texts=[" ".join(changed)], k=2)
    coder = FastCoder(model)
    assert coder.fused
    assert_same(model, coder, [" ".join(changed[i::7]) for i in range(7)])
    assert_same(model, coder, ["".join(forms[i::97]) for i in range(0, 97, 12)])


def test_tables_are_those_of_python():
    tables = character_tables()
    rng = np.random.default_rng(0)
    some = [*range(0x3000), *range(0x1D000, 0x1F000), *rng.integers(0, N_CODE_POINTS, 20_000)]
    for point in map(int, some):
        character, flags = chr(point), int(tables.flags[point])
        assert bool(flags & WORD) == bool(re.match(r"\w", character))
        assert bool(flags & SPACE) == bool(re.match(r"\s", character))
        assert bool(flags & CASED) == f"{character}Σ".lower().endswith("ς")
        after = f"A{character}Σ".lower().endswith("ς")
        assert bool(flags & (CASED | IGNORABLE)) == after
        low = int(tables.lower[point])
        if low < 0:
            size = int(tables.expansions[-1 - low])
            form = "".join(map(chr, tables.expansions[-low : size - low]))
            assert size > 1
        else:
            form = chr(low)
        assert form == character.lower()


@built
@settings(max_examples=150, deadline=None)
@given(narratives)
def test_same_evidence(pair, text):
    model, coder = pair
    starts = np.array([start for start, _ in split_clauses(text)], dtype=np.intp)
    if len(starts):
        expected = model.vectorizer_.locate(text, starts) @ model.coef_.T
        weights = coder.clause_weights(text, starts)
        np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-9)
        total = coder.decision_function([text])[0] - model.intercept_
        np.testing.assert_allclose(weights.sum(axis=0), total, rtol=0, atol=1e-9)


@built
def test_evidence_has_the_same_clauses(pair):
    model, coder = pair
    text = "She lent him money; he did not pay. Nobody was told about it, though they asked: ÉTÉ."
    ours, theirs = coder.find_evidence(text, [0, 2]), find_evidence(model, text, [0, 2])
    assert ours
    assert [span[:3] for span in ours] == [span[:3] for span in theirs]
    np.testing.assert_allclose([s[3] for s in ours], [s[3] for s in theirs], rtol=0, atol=1e-9)
    assert coder.find_evidence("", [0]) == []
    assert coder.find_evidence(text, []) == []


@built
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_chunks_make_no_difference(pair, threads, monkeypatch):
    model, coder = pair
    texts = [*SEEDS, "", *SEEDS[::-1]] * 20
    expected = coder.predict_proba(texts)
    monkeypatch.setattr(fast_coding, "_BYTES_A_THREAD", 300)
    data, offsets = fast_coding._as_utf8(texts)
    for size in (1, 7, 300, 1 << 40):
        monkeypatch.setattr(fast_coding, "_BYTES_A_STRETCH", size)
        other = FastCoder(model, threads=threads)
        assert (other.predict_proba(texts) == expected).all()
        assert (other._scores(data, offsets[5:-3], calibrated=True) == expected[5:-3]).all()


@built
def test_arrow_and_pandas_columns(pair):
    model, coder = pair
    texts = [text for text in SEEDS if "\ud800" not in text] + ["", "money"]
    expected = model.predict_proba(texts)
    columns = [
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.chunked_array([texts[:2], [], texts[2:]], pa.string()),
        pa.array(["x", *texts, "y"])[1:-1],
        pa.array(texts, pa.string_view()),
        pa.array(texts).dictionary_encode(),
        pd.Series(texts, dtype="str"),
        pd.Series(texts, dtype=object),
        np.array(texts, dtype=object),
        tuple(texts),
    ]
    for column in columns:
        np.testing.assert_allclose(coder.predict_proba(column), expected, rtol=0, atol=1e-9)
    for empty in ([], pa.array([], pa.string()), pd.Series([], dtype="str")):
        assert coder.predict_proba(empty).shape == (0, 3)


@pytest.mark.parametrize("fused", [pytest.param(True, marks=built), False])
def test_what_is_not_text_is_refused(monkeypatch, fused):
    if not fused:
        monkeypatch.setattr(fast_coding, "_kernel", None)
    coder = FastCoder(fit())
    assert coder.fused == fused
    for texts in (["a", None], pa.array(["a", None]), pd.Series(["a", None], dtype="str")):
        with pytest.raises(DataError, match="entry 2"):
            coder.predict_proba(texts)
    for texts in ("one text", [1], pa.array([1, 2])):
        with pytest.raises(DataError):
            coder.predict_proba(texts)
    for threads in (0, -1, 1.5, "2"):
        with pytest.raises(DataError, match="threads"):
            FastCoder(fit(), threads=threads)


def test_without_the_extension_the_classifier_answers(monkeypatch, small_codes):
    monkeypatch.setattr(fast_coding, "_kernel", None)
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    coder = FastCoder(model)
    assert not coder.fused
    assert coder.predict_proba([]).shape == (0, 3)
    assert not fast_coding.available()
    assert (coder.predict_proba(pa.array(texts)) == model.predict_proba(texts)).all()
    wanted = find_evidence(model, texts[0], [0, 1])
    assert [s[:3] for s in coder.find_evidence(texts[0], [0, 1])] == [s[:3] for s in wanted]
    starts = [start for start, _ in split_clauses(texts[0])]
    assert coder.clause_weights(texts[0], starts).shape == (len(starts), 3)


@built
def test_a_fitted_and_a_loaded_model(small_codes, tmp_path):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    assert_same(model, FastCoder(model), texts)
    loaded = NarrativeClassifier.load(model.save(tmp_path / "m.npz"))
    assert FastCoder(loaded).fused
    assert_same(loaded, FastCoder(loaded), texts)


@built
def test_a_model_that_computes_otherwise_is_left_to_itself():
    class Halved(NarrativeClassifier):
        def decision_function(self, texts):
            return super().decision_function(texts) / 2

    plain = fit()
    other = Halved(min_narratives=1)
    other.__dict__.update(plain.__dict__)
    coder = FastCoder(other)
    assert not coder.fused
    assert (coder.predict_proba(SEEDS) == other.predict_proba(SEEDS)).all()
    assert not FastCoder(fit(characters=(3, 13))).fused


@built
def test_wrong_arrays_are_refused_by_the_kernel(pair):
    _, coder = pair
    score, locate, model = fast_coding._kernel.score, fast_coding._kernel.locate, coder._model
    out = np.empty((1, 3))
    offsets, taken = np.array([0, 3], dtype=np.int64), np.zeros(1, dtype=np.int64)
    score(model, b"abc", offsets, out, False, taken, 8)
    assert taken[0] > 0
    odd = np.zeros(9, dtype=np.int8)[1:]
    for data, ends, target, progress, size in (
        (b"ab", offsets, out, taken, 8),
        (b"abc", offsets[::-1].copy(), out, taken, 8),
        (b"abc", -offsets, out, taken, 8),
        (b"abc", offsets, np.empty((2, 3)), taken, 8),
        (b"abc", offsets[:0], out, taken, 8),
        (b"abc", offsets, out, np.zeros(2, dtype=np.int64), 8),
        (b"abc", offsets, out, odd, 8),
        (b"abc", offsets, out, taken, 0),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            score(model, data, ends, target, False, progress, size)
    with pytest.raises(ValueError, match="Capsule"):
        score(object(), b"abc", offsets, out, False, taken, 8)
    starts = np.zeros(1, dtype=np.int64)
    for parts, target in ((offsets, out), (offsets[:1], out), (offsets // 3, np.empty((2, 3)))):
        with pytest.raises(ValueError, match="do not fit"):
            locate(model, b"abc", offsets, target, parts, starts)


@built
def test_stretches_taken_before_are_left_alone(pair):
    """Threads share one count; a count that somebody spoiled must not reach beyond the output."""
    _, coder = pair
    offsets = np.array([0, 3, 6], dtype=np.int64)
    for first in (5, 1 << 62, -1, -(1 << 63)):
        out, taken = np.full((2, 3), 7.0), np.array([first], dtype=np.int64)
        fast_coding._kernel.score(coder._model, b"abcdef", offsets, out, True, taken, 3)
        assert (out == 7).all()


@built
def test_a_model_whose_tree_leads_nowhere_is_refused():
    arguments = list(kernel_arguments(fit()))
    keys = arguments[6]
    for wrong in (keys | 0xFFFFFFFF, keys | np.uint64(0xFFFFFFFF << 32), keys[:-1]):
        with pytest.raises(ValueError, match="do not fit"):
            fast_coding._kernel.build(*arguments[:6], wrong, *arguments[7:])
    with pytest.raises(ValueError, match="do not fit"):
        fast_coding._kernel.build(*arguments[:7], arguments[7] * 0, *arguments[8:])
    with pytest.raises(ValueError, match="do not fit"):
        fast_coding._kernel.build(*arguments[:13], arguments[13][:2], *arguments[14:])


@built
def test_probabilities_far_from_one_half():
    """Where the exponential over- or underflows, and where a score is no number."""
    for slope, offset in ((1e4, 0.0), (-1e4, 3.0), (0.0, 709.0), (0.0, -745.0), (0.0, -36.0)):
        other = fit()
        other.slope_, other.offset_ = np.full(3, slope), np.full(3, offset)
        assert_same(other, FastCoder(other), SEEDS)
    lines = np.concatenate([np.linspace(-40, 40, 399), [-1e300, 1e300, 699.9, -700.1, np.nan]])
    for k in (1, 8, 13):
        other = fit(k=k)
        for low in range(0, len(lines) - k + 1, k):
            other.slope_, other.offset_ = np.zeros(k), lines[low : low + k]
            coder = FastCoder.__new__(FastCoder)
            coder.classifier, coder.threads = other, 1
            coder._model = fast_coding._kernel.build(*kernel_arguments(other))
            np.testing.assert_allclose(
                coder.predict_proba([""])[0],
                special.expit(lines[low : low + k]),
                rtol=1e-13,
                atol=1e-300,
            )


@built
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_are_survived(pair, data):
    """Arrow promises UTF-8; a file that breaks the promise must not break the process."""
    _, coder = pair
    offsets = np.array([0, len(data) // 2, len(data)], dtype=np.int64)
    assert np.isfinite(coder._scores(data, offsets, calibrated=True)).all()


@built
def test_time_grows_with_the_text_and_not_faster(pair):
    """A megabyte without a blank, of sigmas and marks, where a look-around could go quadratic."""
    import time

    _, coder = pair

    def seconds(text):
        start = time.process_time()
        coder.predict_proba([text])
        return time.process_time() - start

    for unit in ("Σ\u0301", "\u0301", "Σ", "é", "a", "a ", "\u2003"):
        small = min(seconds(unit * 20_000) for _ in range(3))
        large = min(seconds(unit * 320_000) for _ in range(2))
        assert large < 16 * 6 * max(small, 1e-3), unit


@pytest.mark.skipif(sys.platform != "linux", reason="builds with a compiler named as on Linux")
def test_installs_without_a_compiler(tmp_path):
    for name in ("boundary_research/classifier/_kernel.c", "setup.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((ROOT / name).read_text("utf-8"))
    result = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path / "lib")],
        cwd=tmp_path,
        env={"CC": "/nonexistent/compiler", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.rglob("*.so"))
