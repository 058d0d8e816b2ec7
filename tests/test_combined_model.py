import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from boundary_research import NarrativeClassifier, code, crossfit
from boundary_research._checks import DataError
from boundary_research.classifier._calibration import expit
from boundary_research.classifier._member_weights import learn_shares
from boundary_research.classifier.combined_model import CombinedClassifier, load_classifier
from boundary_research.classifier.decisions import locate_evidence
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.evidence import find_evidence, show_evidence
from boundary_research.classifier.faithfulness import measure_faithfulness
from boundary_research.classifier.model import ThinCategoryWarning
from boundary_research.classifier.model_card import describe_model
from boundary_research.classifier.risk_control import control_risk

FILE = ROOT / "tests" / "reference" / "encoder_tiny.zip"
TEXT = "She parked the van. He lent money to the tenant on Friday, and nobody asked."


@pytest.fixture
def encoder():
    return TransformerClassifier.load(FILE)


@pytest.fixture
def ngrams(small_codes):
    return NarrativeClassifier().fit(*small_codes)


@pytest.fixture
def both(encoder, ngrams, small_codes):
    """A combined model of an encoder that held out the second half, and of n-grams."""
    texts, codes = small_codes
    seen = encoder.predict_proba(texts)
    seen[:20] = np.nan
    return CombinedClassifier([encoder, ngrams]).calibrate(codes, [seen, ngrams.cv_probabilities_])


def test_probabilities_are_the_calibrated_mean_of_log_odds(both, encoder, ngrams):
    texts = [TEXT, "Tea was made.", ""]
    odds = [np.log(p / (1 - p)) for p in (m.predict_proba(texts) for m in (encoder, ngrams))]
    expected = expit(both.slope_ * (odds[0] + odds[1]) / 2 + both.offset_)
    np.testing.assert_allclose(both.predict_proba(texts), expected, atol=1e-9)
    np.testing.assert_array_equal(both.predict(texts), expected >= both.thresholds_)
    assert list(both.classes_) == ["money", "gossip", "absence"]


@pytest.mark.parametrize("weights", [(3, 1), [0.75, 0.25], np.array([6.0, 2.0])])
def test_members_count_as_their_weights_say(encoder, ngrams, small_codes, weights, tmp_path):
    texts, codes = small_codes
    held_out = [encoder.predict_proba(texts), ngrams.cv_probabilities_]
    model = CombinedClassifier([encoder, ngrams], weights=weights).calibrate(codes, held_out)
    odds = [np.log(p / (1 - p)) for p in (m.predict_proba([TEXT]) for m in (encoder, ngrams))]
    score = (3 * odds[0] + odds[1]) / 4 * model.slope_ + model.offset_
    np.testing.assert_allclose(model.predict_proba([TEXT]), expit(score), atol=1e-9)
    starts = np.array([0, 20])
    parts = model.vectorizer_.locate(TEXT, starts)
    own = [m.vectorizer_.locate(TEXT, starts) @ m.coef_.T * m.slope_ for m in (encoder, ngrams)]
    np.testing.assert_allclose(parts, (3 * own[0] + own[1]) / 4, atol=1e-9)
    if isinstance(weights, list):
        again = CombinedClassifier.load(model.save(tmp_path / "model.zip"))
        np.testing.assert_array_equal(again.predict_proba([TEXT]), model.predict_proba([TEXT]))


def test_learned_weights_are_those_with_the_lowest_log_loss():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 2)) * 2
    labels = rng.random(truth.shape) < expit(truth)
    noisy = truth + rng.normal(size=truth.shape) * 2
    nothing = rng.normal(size=truth.shape)
    shares = learn_shares([truth, noisy, nothing], labels)
    assert shares[0] > 0.9
    assert shares.sum() == pytest.approx(1)

    def loss(weights):
        score = np.tensordot(weights, [noisy, truth + 1], axes=1)
        return np.logaddexp(0, -np.where(labels, 1, -1) * score).mean()

    best = learn_shares([noisy, truth + 1], labels)
    for scale in np.linspace(0.5, 1.5, 41):
        for share in np.linspace(0, 1, 41):
            if abs(share - best[0]) > 0.1:
                at_best = min(loss(best * s) for s in np.linspace(0.5, 1.5, 41))
                assert loss(np.array([share, 1 - share]) * scale) > at_best


def test_learning_the_weights_passes_over_a_member_that_knows_nothing(ngrams, small_codes):
    codes = small_codes[1]
    rng = np.random.default_rng(0)
    guess = _Fixed(rng.uniform(0.2, 0.8, codes.shape))
    guess.classes_ = ngrams.classes_
    noisy = codes ^ (rng.random(codes.shape) < 0.1)
    model = CombinedClassifier([ngrams, guess], weights="learned").calibrate(noisy)
    assert model.shares_[0] > 0.5
    # Where nothing was held out together, no weights can be learned.
    held = [np.full(codes.shape, np.nan), np.full(codes.shape, 0.5)]
    np.testing.assert_array_equal(learn_shares(held, codes.to_numpy()), [0.5, 0.5])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, np.nan], "ab"])
def test_weights_that_make_no_mean_are_refused(encoder, ngrams, small_codes, weights):
    texts, codes = small_codes
    with pytest.raises(DataError, match="weights must be 'learned' or 2 numbers"):
        CombinedClassifier([encoder, ngrams], weights=weights).calibrate(
            codes, [encoder.predict_proba(texts), ngrams.cv_probabilities_]
        )


def test_it_codes_what_its_members_were_taught(both):
    texts = ["He lent money to the tenant.", "She gossiped about the diagnosis.", "He sang."]
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(both.predict(texts), expected)
    decisions = both.decide(both.predict_proba(texts))
    assert set(decisions.ravel()) <= {"present", "absent", "review"}
    assert both.score(texts, expected) == 1


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_order_of_members_makes_no_difference(random):
    rng = np.random.default_rng(random.randrange(1000))
    codes = rng.random((30, 2)) < 0.4
    codes[:2], codes[2:4] = True, False
    members = [_Fixed(rng.random((30, 2))) for _ in range(3)]
    one = CombinedClassifier(members).calibrate(codes)
    other = CombinedClassifier(members[::-1]).calibrate(codes)
    np.testing.assert_allclose(one.cv_probabilities_, other.cv_probabilities_, atol=1e-6)
    np.testing.assert_allclose(one.thresholds_, other.thresholds_, atol=1e-6)


class _Fixed:
    """A member with given probabilities, and no more."""

    def __init__(self, probabilities):
        self.cv_probabilities_ = probabilities
        self.classes_ = np.array([str(j) for j in range(probabilities.shape[1])], dtype=object)

    def predict_proba(self, texts):
        return self.cv_probabilities_[: len(texts)]


def test_calibration_rests_on_what_all_members_held_out():
    rng = np.random.default_rng(3)
    truth = expit(rng.normal(-1, 1.5, (4000, 1)))
    codes = rng.random(truth.shape) < truth
    logit = np.log(truth / (1 - truth))
    held = [expit(logit + rng.normal(0, 1, truth.shape)) for _ in range(2)]
    held[0][:1000], held[1][3000:] = np.nan, np.nan
    seen = np.arange(1000, 3000)
    # Codes that a member had learned from must not matter.
    spoiled = codes.copy()
    spoiled[:1000], spoiled[3000:] = ~codes[:1000], ~codes[3000:]
    model, other = (
        CombinedClassifier([_Fixed(p) for p in held]).calibrate(c) for c in (codes, spoiled)
    )
    assert (model.slope_, model.offset_, model.thresholds_) == (
        other.slope_,
        other.offset_,
        other.thresholds_,
    )
    np.testing.assert_array_equal(
        np.isfinite(model.cv_probabilities_[:, 0]), np.isin(np.arange(4000), seen)
    )
    found = model.cv_probabilities_[seen, 0]
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1)):
        part = (found >= low) & (found < high)
        assert abs(found[part].mean() - codes[seen][part].mean()) < 0.05


def test_fit_trains_copies_and_uses_groups_and_evidence(small_codes):
    texts, codes = small_codes
    codes.index = [f"n{i}" for i in range(len(texts))]
    start = texts[0].index("lent")
    evidence = pd.DataFrame(
        {"incident_id": ["n0"], "category": ["money"], "start": [start], "end": [start + 10]}
    )
    members = [NarrativeClassifier(characters=None), NarrativeClassifier(words=None)]
    groups = [i // 8 for i in range(len(texts))]
    model = CombinedClassifier(members).fit(texts, codes, groups=groups, evidence=evidence)
    assert not hasattr(members[0], "classes_")
    alone = clone(members[1]).fit(texts, codes, groups=groups, evidence=evidence)
    np.testing.assert_array_equal(model.members_[1].coef_, alone.coef_)
    assert np.isfinite(model.cv_probabilities_).all()
    fitted = crossfit(CombinedClassifier(members), texts, codes, n_folds=2, random_state=0)
    assert ((fitted.probabilities > 0.5) == codes.to_numpy()).mean() > 0.9


def test_a_category_too_thin_to_calibrate_is_noted():
    codes = np.tile([[True, False], [False, False]], (10, 1))
    codes[0, 1] = True
    held = np.where(codes, 0.8, 0.2)
    with pytest.warns(ThinCategoryWarning, match="'1': 1 positive"):
        model = CombinedClassifier([_Fixed(held)]).calibrate(codes)
    assert set(model.notes_) == {"1"}


def test_what_cannot_be_combined_is_refused_in_words(encoder, ngrams, small_codes):
    _, codes = small_codes
    held = ngrams.cv_probabilities_
    with pytest.raises(DataError, match="members is empty"):
        CombinedClassifier([]).calibrate(codes, [held])
    with pytest.raises(DataError, match=r"TransformerClassifier has no cv_probabilities_"):
        CombinedClassifier([encoder]).calibrate(codes)
    with pytest.raises(DataError, match="same order"):
        CombinedClassifier([ngrams]).calibrate(codes[["gossip", "money", "absence"]])
    with pytest.raises(DataError, match="NarrativeClassifier has none yet"):
        CombinedClassifier([NarrativeClassifier()]).calibrate(codes, [held])
    with pytest.raises(DataError, match="one array of shape"):
        CombinedClassifier([ngrams, encoder]).calibrate(codes, [held])
    with pytest.raises(DataError, match="no narrative that all members held out"):
        CombinedClassifier([ngrams]).calibrate(codes, [held * np.nan])
    with pytest.raises(DataError, match="evidence_member must be None or from 0 to 0"):
        CombinedClassifier([ngrams], evidence_member=1).calibrate(codes)
    with pytest.raises(DataError, match="precision"):
        CombinedClassifier([ngrams], precision=2.0).calibrate(codes)


# Evidence, and what else reads a classifier


def test_evidence_is_the_clause_that_says_it(both):
    (span, *_) = find_evidence(both, TEXT, [0])
    assert "lent money" in TEXT[span[1] : span[2]]
    table = pd.DataFrame([("money", *span[1:3])], columns=["category", "start", "end"])
    assert "lent money" in show_evidence(TEXT, table)._repr_html_()


def test_evidence_of_all_members_is_the_mean_of_theirs(both, encoder, ngrams):
    starts = np.array([0, 20])
    own = encoder.token_scores(TEXT).weigh(starts) * encoder.slope_
    linear = ngrams.vectorizer_.locate(TEXT, starts) @ ngrams.coef_.T * ngrams.slope_
    np.testing.assert_allclose(both.vectorizer_.locate(TEXT, starts), (own + linear) / 2, atol=1e-9)
    both.set_params(evidence_member=0)
    np.testing.assert_allclose(both.vectorizer_.locate(TEXT, starts), own / 2, atol=1e-9)
    ids, wanted = ["a"], np.array([[True, False, False]])
    places = [row[:4] for row in locate_evidence(both, [TEXT], ids, wanted)]
    assert places == [row[:4] for row in locate_evidence(encoder, [TEXT], ids, wanted)]


def test_code_gives_the_same_in_any_chunks(both):
    texts = [TEXT, "She parked the van.", "He gossiped about the diagnosis.", ""] * 3
    incidents = pd.DataFrame({"incident_id": range(12), "narrative": texts})
    incidents["incident_id"] = incidents["incident_id"].astype(str)
    whole, parts = code(incidents, both), code(incidents, both, chunk_size=1)
    pd.testing.assert_frame_equal(whole.coded, parts.coded)
    pd.testing.assert_frame_equal(whole.evidence, parts.evidence)
    assert whole.wide()["money"].tolist() == [1, 0, 0, 0] * 3


def test_faithfulness_and_risk_control_take_it(both, small_codes):
    texts, codes = small_codes
    removed = measure_faithfulness(both, [TEXT, TEXT.replace("lent", "borrowed")])
    assert len(removed) == 2
    assert (removed["without_evidence"] < removed["without_random"]).all()
    controlled, limits = control_risk(both, texts, codes, miss_rate=0.3, confidence=0.8)
    np.testing.assert_array_equal(controlled.predict_proba(texts), both.predict_proba(texts))
    assert list(limits["category"]) == list(both.classes_)
    assert controlled.review_low_ is not both.review_low_


def test_rows_in_another_order_are_refused_before_anything_is_fitted(small_codes):
    texts, codes = small_codes
    both = CombinedClassifier([NarrativeClassifier(), NarrativeClassifier(words=None)])
    with pytest.raises(DataError, match="texts and codes have the same index labels in another"):
        both.fit(pd.Series(texts), codes[::-1])
    with pytest.raises(DataError, match="miss_rate"):
        both.set_params(miss_rate=2).fit(texts, codes)


def test_its_card_tells_what_its_members_are(both):
    card = describe_model(both, name="both", trained_on="Forty sentences.")
    assert "the mean log-odds of a transformer" in card
    assert "and of logistic regression on word and character n-grams" in card
    assert "the transformer's weights and vocabulary, n-grams that at least 3 narratives" in card
    assert "evidence_member None" in card
    assert "character_weight 1.0" in card
    assert "members" not in card.split("## Settings")[1].replace("evidence_member", "")


# Files


def test_saved_and_loaded_it_is_the_same_model_and_the_same_file(both, tmp_path):
    both.set_params(evidence_member=0)
    first = both.save(tmp_path / "first.zip")
    again = CombinedClassifier.load(first)
    np.testing.assert_allclose(
        again.predict_proba([TEXT]), both.predict_proba([TEXT]), rtol=0, atol=1e-12
    )
    for name in ("classes_", "thresholds_", "review_low_", "review_high_", "n_positive_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(both, name))
    assert (again.notes_, again.evidence_member) == (both.notes_, 0)
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == ["combined.json", "member_0", "member_1"]


def test_any_model_file_is_read_as_what_it_is(both, encoder, ngrams, tmp_path):
    for model in (both, encoder, ngrams):
        loaded = load_classifier(model.save(tmp_path / "model"))
        assert type(loaded) is type(model)
        np.testing.assert_allclose(
            loaded.predict_proba([TEXT]), model.predict_proba([TEXT]), rtol=0, atol=1e-12
        )
    (tmp_path / "rubbish").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="not a model of boundary_research"):
        load_classifier(tmp_path / "rubbish")
    with pytest.raises(DataError, match="does not exist"):
        load_classifier(tmp_path / "none")


def test_files_that_are_no_combined_model_are_refused_in_words(both, tmp_path):
    file = both.save(tmp_path / "model.zip")
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts["combined.json"])

    def refused(match, **changed):
        with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
            for name, content in (parts | changed).items():
                if content is not None:
                    archive.writestr(name, content)
        with pytest.raises(DataError, match=match):
            CombinedClassifier.load(tmp_path / "changed.zip")

    refused("Update boundary_research", **{"combined.json": json.dumps(header | {"format": 99})})
    refused("not a combined model", member_1=None)
    refused("not a model of boundary_research", member_1=b"rubbish")
    header["arrays"]["slope_"] = [1.0]
    refused("incomplete header", **{"combined.json": json.dumps(header)})
    with pytest.raises(DataError, match="not a combined model"):
        CombinedClassifier.load(FILE)


def test_members_that_no_file_can_hold_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    codes = np.arange(20)[:, None] % 2 == 0
    model = CombinedClassifier([_Fixed(rng.random((20, 1)))]).calibrate(codes)
    with pytest.raises(DataError, match="_Fixed cannot be saved"):
        model.save(tmp_path / "model.zip")


def test_pickled_for_another_process_it_leaves_narratives_behind(both):
    both.predict_proba(["A secret sentence"])
    data = pickle.dumps(both)
    assert b"secret" not in data
    np.testing.assert_allclose(
        pickle.loads(data).predict_proba([TEXT]), both.predict_proba([TEXT]), rtol=0, atol=1e-12
    )


def test_a_damaged_zip_is_refused_in_one_line(tmp_path):
    file = tmp_path / "damaged.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("combined.json", "{}")
    content = file.read_bytes()
    file.write_bytes(
        content[:20] + b"x" + content[20:-22] + content[-22:].replace(b"\x00", b"\x01")
    )
    with pytest.raises(DataError, match="not a model of boundary_research"):
        load_classifier(file)
