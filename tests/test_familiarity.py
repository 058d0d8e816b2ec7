"""Narratives unlike those that a model was checked on are found, kept with it, and reviewed."""

import numpy as np
import pandas as pd
import pytest

from boundary_research import NarrativeClassifier, code, default_classifier, load_corpus
from boundary_research.classifier._familiarity import (
    Familiarity,
    find_unfamiliar,
    measure_familiarity,
)
from boundary_research.classifier.combined_model import CombinedClassifier, load_classifier

GERMAN = (
    "Die Sozialarbeiterin hat der Klientin Geld geliehen und sie mehrmals am Abend zu Hause "
    "besucht, ohne es der Leitung zu sagen."
)


@pytest.fixture(scope="module")
def fitted():
    texts = [f"He lent money to the tenant on day {i} of the month." for i in range(20)]
    texts += [f"She never visited the family in week {i} of the year." for i in range(20)]
    codes = pd.DataFrame({"money": [True] * 20 + [False] * 20})
    return NarrativeClassifier().fit(texts, codes), texts, codes


def test_length_and_share_of_known_words_by_hand():
    checked_on = measure_familiarity(["a b", "a b c d", "a x"], {"a", "b", "c"})
    assert checked_on == Familiarity(4, 0.75)
    texts = ["a x y", "a a a a a", "x x x x x x", "", "a x x x"]
    # Of its words a narrative needs .375 known: a third is too few.
    assert find_unfamiliar(texts, checked_on, {"a"}) == [
        "words",
        "length",
        "length and words",
        "",
        "words",
    ]


def test_what_is_not_known_of_a_model_flags_nothing():
    nothing = Familiarity(0, float("nan"))
    assert find_unfamiliar(["a " * 10_000, "x"], nothing, None) == ["", ""]
    assert Familiarity.from_header(None).longest == 0
    for one in (Familiarity(7, 0.5), Familiarity(7, float("nan"))):
        again = Familiarity.from_header(one.to_header())
        assert again.longest == 7
        assert again.known == pytest.approx(one.known, nan_ok=True)


def test_only_what_was_held_out_counts(fitted):
    _, texts, codes = fitted
    long = [*texts, "He lent money " * 50]
    more = pd.concat([codes, pd.DataFrame({"money": [True]})], ignore_index=True)
    held = NarrativeClassifier().fit(long, more)
    taught = NarrativeClassifier().fit(long, more, auxiliary=[False] * 40 + [True])
    assert held.checked_on_.longest == 150
    assert taught.checked_on_.longest == 12
    assert held.find_unfamiliar(["He lent money " * 40]) == [""]
    assert taught.find_unfamiliar(["He lent money " * 40]) == ["length"]


def test_all_decisions_on_them_are_review_and_codes_stay(fitted):
    model, texts, _ = fitted
    incidents = pd.DataFrame(
        {"incident_id": list("abc"), "narrative": [texts[0], texts[0] * 9, "Tja, so ist das."]}
    )
    coding = code(incidents, model)
    assert coding.unfamiliar.to_numpy().tolist() == [["b", "length"], ["c", "words"]]
    decisions = coding.coded.set_index("incident_id")["decision"]
    assert decisions["b"] == decisions["c"] == "review"
    alone = model.decide(model.predict_proba(texts[:1]))[0, 0]
    assert decisions["a"] == alone != "review"
    expected = model.predict(incidents["narrative"].tolist())[:, 0]
    assert (coding.coded["predicted"].to_numpy() == expected).all()
    assert coding.coded["predicted"].to_numpy()[1]


def test_it_is_kept_in_the_file_of_every_kind_of_model(fitted, tmp_path):
    model, texts, codes = fitted
    both = CombinedClassifier([model, NarrativeClassifier(words=None).fit(texts, codes)])
    both.calibrate(codes)
    strange = ["Tja, so ist das.", texts[0] * 9, texts[1]]
    for name, one in {"a.npz": model, "b.zip": both}.items():
        again = load_classifier(one.save(tmp_path / name))
        assert again.checked_on_ == one.checked_on_ == model.checked_on_
        assert again.find_unfamiliar(strange) == ["words", "length", ""]


def test_the_default_knows_its_own_kind_and_not_german_or_a_whole_file():
    corpus = load_corpus().split("test")
    texts = corpus.incidents["narrative"].tolist()
    for fast in (True, False):
        model = default_classifier(fast=fast)
        assert np.mean([bool(reason) for reason in model.find_unfamiliar(texts)]) < 0.01
        assert model.find_unfamiliar([GERMAN, " ".join(texts[:9])]) == ["words", "length"]


def test_real_english_reports_of_another_kind_are_mostly_read(real_data):
    reports = pd.read_csv(real_data / "hhs_breach_narratives.csv")["narrative"].dropna()
    reasons = default_classifier(fast=True).find_unfamiliar(reports.tolist())
    assert not any("words" in reason for reason in reasons)
    assert 0 < np.mean([bool(reason) for reason in reasons]) < 0.02
