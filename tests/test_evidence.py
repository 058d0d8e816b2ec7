from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research import DataError, NarrativeClassifier, show_evidence
from boundary_research.classifier.evidence import find_evidence
from boundary_research.classifier.text import (
    NarrativeVectorizer,
    character_ngrams,
    split_clauses,
    word_ngrams,
)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_clauses_cover_all_words_in_order_without_overlap(text):
    clauses = split_clauses(text)
    assert all(0 <= start < end <= len(text) for start, end in clauses)
    assert all(a[1] <= b[0] for a, b in pairwise(clauses))
    inside = "".join(text[start:end] for start, end in clauses)
    assert "".join(inside.split()) == "".join(text.split())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_ngrams_stand_where_they_say(text):
    for term, start, end in word_ngrams(text, 1, 2):
        assert text[start:end].lower().split()[0].startswith(term.split()[0][:1])
    for _, start, end in character_ngrams(text, 3, 5):
        assert text[start:end].strip() == text[start:end]


def test_features_equal_those_of_scikit_learn():
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["He came late, again and again.", "Nobody came; Istanbul was late.", "late", ""] * 3
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True, min_df=3)
    characters = TfidfVectorizer(
        analyzer=lambda text: [t for t, _, _ in character_ngrams(text, 3, 5)],
        sublinear_tf=True,
        min_df=3,
    )
    peer = sparse.hstack(
        [words.fit_transform(texts[:2] * 6), 2 * characters.fit_transform(texts[:2] * 6)]
    )
    ours = NarrativeVectorizer(character_weight=2.0).fit_transform(texts[:2] * 6)
    assert ours.shape == peer.shape
    assert np.sort(ours.toarray(), axis=1) == pytest.approx(
        np.sort(peer.toarray(), axis=1), abs=1e-12
    )


def test_located_features_add_up_to_the_text(small_codes):
    texts, _ = small_codes
    vectorizer = NarrativeVectorizer().fit(texts)
    text = texts[0] + " " + texts[3]
    starts = np.array([start for start, _ in split_clauses(text)])
    located = vectorizer.locate(text, starts)
    whole = vectorizer.transform([text])
    assert located.sum(axis=0) == pytest.approx(whole.toarray().ravel(), abs=1e-12)


def test_evidence_is_the_clause_that_shows_it(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    text = (
        "It rained all of the day. The worker borrowed money from the tenant. The van was parked."
    )
    found = find_evidence(model, text, [0])
    assert text[found[0][1] : found[0][2]] == "The worker borrowed money from the tenant."
    assert found[0][3] > 0
    assert find_evidence(model, "", [0]) == []


def test_highlighting_is_escaped_and_overlaps_are_named():
    text = "He <b>gave</b> her & him\nmoney"
    spans = pd.DataFrame({"category": ["x", "y"], "start": [3, 5], "end": [12, 20]})
    page = show_evidence(text, spans, labels={"x": "<X>"})._repr_html_()
    assert "<b>" not in page
    assert "&lt;X&gt;, y" in page
    assert "<br>" in page


def test_evidence_needs_its_columns():
    with pytest.raises(DataError, match="'start', 'end' not found"):
        show_evidence("text", pd.DataFrame({"category": []}))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (
            "He told her about his divorce at length. He kissed her.",
            ["He told her about his divorce at length.", "He kissed her."],
        ),
        ("He paid her rent. Twice, in fact.", ["He paid her rent. Twice, in fact."]),
        ("He paid her rent, and her food.", ["He paid her rent, and her food."]),
        ("She was told; he kissed her.", ["She was told; he kissed her."]),
        ("Ms. A. wrote it down.", ["Ms. A. wrote it down."]),
    ],
)
def test_a_short_sentence_stands_alone_and_a_short_clause_does_not(text, clauses):
    assert [text[start:end] for start, end in split_clauses(text)] == clauses


SPANS = pd.DataFrame({"category": ["x", "y"], "start": [0, 3], "end": [2, 10]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"incident_id": ["a", "b"]}, "rows of 2 incidents"),
        ({"end": [2, 11]}, "end lies beyond the text, which has 10 characters in row 2"),
        ({"start": [5, 3]}, "start is not before end in row 1"),
        ({"start": [2, 3]}, "start is not before end in row 1"),
        ({"start": [-1, 3]}, "start is below 0 in row 1"),
        ({"start": [float("nan"), 3]}, "missing or no whole number in row 1"),
        ({"end": [2, 9.5]}, "missing or no whole number in row 2"),
        ({"start": ["SECRET", "3"]}, "missing or no whole number in row 1"),
        ({"category": ["x", None]}, "category is missing in row 2"),
    ],
)
def test_evidence_that_does_not_fit_the_text_is_refused(change, said):
    with pytest.raises(DataError, match=said) as refused:
        show_evidence("SECRETS 99", SPANS.assign(**change))
    assert "SECRET" not in str(refused.value)


def test_evidence_of_no_text_is_refused():
    with pytest.raises(DataError, match="got float"):
        show_evidence(float("nan"), SPANS)


def test_whole_numbers_of_any_type_are_taken():
    whole = show_evidence("0123456789", SPANS)
    for kind in ("float", "Int64", "object", "str"):
        same = show_evidence("0123456789", SPANS.astype({"start": kind, "end": kind}))
        assert same.html == whole.html


def test_the_page_of_a_narrative_is_whole_and_can_be_kept(tmp_path):
    text = "Sie sagte: „Für 5 € {nur}“ & <b>ging</b>."
    shown = show_evidence(text, SPANS.assign(incident_id="a"), labels={"x": "Gift <3"})
    assert shown.html.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in shown.html
    assert "<style>" in shown.html
    assert shown._repr_html_() in shown.html
    assert "<b>" not in shown.html
    path = shown.save(tmp_path / "shown.html")
    assert path.read_bytes().decode("utf-8") == shown.html
    assert "„Für 5 € {nur}“" in "".join(
        part.split(">")[-1] for part in shown.html.split("<")
    ).replace("\n", "")
    with pytest.raises(DataError, match="cannot be written"):
        shown.save(tmp_path / "none" / "shown.html")
