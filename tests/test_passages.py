from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research import DataError, NarrativeClassifier, crossfit
from boundary_research.classifier._passages import cut_passages, split_sentences

TEXT = "He came at nine. He lent her forty pounds, unasked. She told nobody at all."
NAMES = np.array(["money", "secret"], dtype=object)


def spans(*rows):
    return pd.DataFrame(rows, columns=["incident_id", "category", "start", "end"])


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab .!\n”é", max_size=80))
def test_sentences_cover_all_words_in_order_without_overlap(text):
    sentences = split_sentences(text)
    assert all(a[1] <= b[0] for a, b in pairwise(sentences))
    inside = "".join(text[start:end] for start, end in sentences)
    assert "".join(inside.split()) == "".join(text.split())


def test_span_and_its_sentence_show_the_category_and_the_others_do_not():
    labels = np.array([[False, False], [True, False]])
    start = TEXT.index("lent")
    found = cut_passages(
        ["Tea.", TEXT], NAMES, labels, ["x", "y"], spans(("y", "money", start, start + 21))
    )
    assert set(found.row) == {1}
    shown = dict(zip(found.texts, found.shows.tolist(), strict=True))
    assert shown == {
        "lent her forty pounds": [1, -1],
        "He came at nine.": [0, -1],
        "He lent her forty pounds, unasked.": [1, -1],
        "She told nobody at all.": [0, -1],
    }


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (("z", "money", 0, 4), "not in the index"),
        (("y", "gift", 0, 4), "other than those"),
        (("y", "secret", 0, 4), "not coded with"),
        (("y", "money", 4, 4), "do not lie inside"),
        (("y", "money", 0, 10_000), "do not lie inside"),
        (("y", "money", None, 4), "do not lie inside"),
    ],
)
def test_spans_that_fit_nothing_are_refused(span, said):
    codes = pd.DataFrame({"money": [True], "secret": [False]}, index=["y"])
    with pytest.raises(DataError, match=said) as told:
        NarrativeClassifier().fit([TEXT], codes, evidence=spans(span))
    assert "pounds" not in str(told.value)


@pytest.fixture
def marked():
    """Long narratives in which the act of a category is one sentence among many shared ones."""
    rng = np.random.default_rng(2)
    around = [
        f"The {a} was {b} that day." for a in ("bus", "hall", "rain") for b in ("late", "dim")
    ]
    around += [f"{n} was there with {m}." for n in ("Ann", "Bo", "Cy") for m in ("Di", "Ed", "Flo")]
    acts = [f"He {verb} money {way}." for verb in ("lent", "owed", "took") for way in ("her", "us")]
    texts, rows = [], []
    for i in range(60):
        sentences = list(rng.choice(around, size=8, replace=False))
        if i % 2:
            act = acts[i % 6]
            sentences.insert(int(rng.integers(8)), act)
            start = " ".join(sentences).index(act)
            rows.append((f"n{i}", "money", start, start + len(act)))
        texts.append(" ".join(sentences))
    index = [f"n{i}" for i in range(60)]
    return (
        texts,
        pd.DataFrame({"money": [bool(i % 2) for i in range(60)]}, index=index),
        spans(*rows),
    )


def test_evidence_teaches_which_sentence_it_is(marked):
    texts, codes, evidence = marked
    plain = NarrativeClassifier().fit(texts, codes)
    taught = NarrativeClassifier().fit(texts, codes, evidence=evidence)

    def margin(model):
        acts = model.decision_function(["He lent money her."])[0, 0]
        return acts - model.decision_function(["The bus was late that day."])[0, 0]

    assert margin(taught) > margin(plain) + 0.5


def test_evidence_of_weight_zero_or_none_changes_nothing(marked):
    texts, codes, evidence = marked
    plain = NarrativeClassifier().fit(texts, codes)
    for other in (
        NarrativeClassifier(evidence_weight=0).fit(texts, codes, evidence=evidence),
        NarrativeClassifier().fit(texts, codes, evidence=evidence[:0]),
    ):
        assert np.array_equal(other.coef_, plain.coef_)
        assert np.array_equal(other.cv_probabilities_, plain.cv_probabilities_)


def test_terms_and_calibration_come_from_narratives_alone(marked):
    texts, codes, evidence = marked
    plain = NarrativeClassifier().fit(texts, codes)
    taught = NarrativeClassifier().fit(texts, codes, evidence=evidence)
    assert taught.vectorizer_.vocabulary_ == plain.vectorizer_.vocabulary_
    assert taught.cv_probabilities_.shape == plain.cv_probabilities_.shape


def test_positions_serve_where_codes_are_an_array(marked):
    texts, codes, evidence = marked
    by_position = evidence.assign(
        incident_id=evidence["incident_id"].str[1:].astype(int), category="0"
    )
    first = NarrativeClassifier().fit(texts, codes, evidence=evidence)
    second = NarrativeClassifier().fit(texts, codes.to_numpy(), evidence=by_position)
    assert np.array_equal(first.coef_, second.coef_)


def test_crossfit_takes_the_evidence_of_its_training_part_only(marked, monkeypatch):
    texts, codes, evidence = marked
    seen = []
    fit = NarrativeClassifier.fit

    def watch(self, texts, codes, **options):
        seen.append(set(options["evidence"]["incident_id"]) <= set(codes.index))
        return fit(self, texts, codes, **options)

    monkeypatch.setattr(NarrativeClassifier, "fit", watch)
    probabilities, *_ = crossfit(NarrativeClassifier(cv=3), texts, codes, evidence=evidence)
    assert seen == [True] * 5
    assert not np.isnan(probabilities).any()
