import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from boundary_research import (
    CombinedClassifier,
    DataError,
    NarrativeClassifier,
    code,
    load_classifier,
)
from boundary_research.classifier.model_card import describe_model
from boundary_research.classifier.risk_control import (
    bound_false_discoveries,
    bound_misses,
    control_risk,
    describe_decisions,
)


def simulate(rng, n):
    probabilities = rng.beta(0.6, 1.6, n)
    return probabilities, rng.random(n) < probabilities


def test_bounds_hold_in_95_of_100_samples():
    rng = np.random.default_rng(7)
    p, y = simulate(rng, 400_000)
    positives = np.sort(p[y])
    order = np.argsort(-p)
    wrong_share = np.cumsum(~y[order]) / np.arange(1, len(p) + 1)
    falling = -p[order]
    missed, false, used = [], [], 0
    for _ in range(1000):
        sample = simulate(rng, 1000)
        low = bound_misses(*sample, miss_rate=0.1, confidence=0.95)
        missed.append(np.searchsorted(positives, low) / len(positives))
        high = bound_false_discoveries(*sample, false_discovery_rate=0.3, confidence=0.95)
        if high <= 1:
            used += 1
            false.append(wrong_share[np.searchsorted(falling, -high, side="right") - 1])
    assert used > 500
    # Three standard errors of the share of 1,000 samples are .02.
    assert np.mean(np.array(missed) > 0.1) <= 0.05 + 0.02
    assert np.sum(np.array(false) > 0.3) / 1000 <= 0.05
    # The bound is not bought by never deciding.
    assert np.mean(missed) > 0.04


def test_tied_probabilities_keep_the_bound():
    p = np.repeat([0.1, 0.2, 0.9], 50)
    low = bound_misses(p, np.ones(150, dtype=bool), miss_rate=0.1, confidence=0.95)
    assert (p < low).mean() <= 0.1


@pytest.mark.parametrize(("n", "decides"), [(28, False), (29, True)])
def test_positives_needed(n, decides):
    p = np.linspace(0.2, 0.9, n)
    low = bound_misses(p, np.ones(n, dtype=bool), miss_rate=0.1, confidence=0.95)
    assert (low > 0) == decides


def test_nothing_is_present_without_evidence_for_it():
    p, y = np.linspace(0, 1, 50), np.zeros(50, dtype=bool)
    assert bound_false_discoveries(p, y, false_discovery_rate=0.2, confidence=0.95) == np.inf


def test_controlled_model_keeps_predictions_and_states_its_limits(small_codes):
    texts, codes = small_codes
    noisy = codes ^ (np.random.default_rng(0).random(codes.shape) < 0.1)
    model = NarrativeClassifier().fit(texts, noisy)
    before = model.review_low_.copy()
    controlled, limits = control_risk(
        model, texts * 10, pd.concat([codes] * 10)[["gossip", "absence", "money"]]
    )
    assert (model.review_low_ == before).all()
    assert (controlled.predict(texts) == model.predict(texts)).all()
    decided = controlled.decide(controlled.predict_proba(texts * 10))
    assert not controlled.predict(texts * 10)[decided == "absent"].any()
    assert controlled.predict(texts * 10)[decided == "present"].all()
    assert limits["category"].tolist() == codes.columns.tolist()
    assert (limits[["n_present", "n_absent", "n_review"]].sum(axis=1) == len(texts) * 10).all()
    assert limits["n_present"].sum() > 0


def test_a_handful_is_all_for_review(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    controlled, _ = control_risk(model, texts[:8], codes[:8])
    assert set(controlled.decide(model.predict_proba(texts)).ravel()) == {"review"}


def test_missing_category_and_rates_are_refused(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    with pytest.raises(DataError, match="'absence' not found"):
        control_risk(model, texts, codes[["money", "gossip"]])
    with pytest.raises(DataError, match="miss_rate"):
        control_risk(model, texts, codes, miss_rate=2.0)


def test_either_rate_can_be_left_alone_but_not_both(small_codes):
    texts, codes = small_codes
    noisy = codes ^ (np.random.default_rng(0).random(codes.shape) < 0.1)
    model = NarrativeClassifier().fit(texts, noisy)
    sample = texts * 10, pd.concat([codes] * 10)
    both, _ = control_risk(model, *sample, miss_rate=0.2)
    misses, _ = control_risk(model, *sample, miss_rate=0.2, false_discovery_rate=None)
    calls, _ = control_risk(model, *sample, miss_rate=None)
    np.testing.assert_array_equal(misses.review_high_, model.review_high_)
    np.testing.assert_array_equal(misses.review_low_, both.review_low_)
    np.testing.assert_array_equal(calls.review_low_, model.review_low_)
    np.testing.assert_array_equal(calls.review_high_, both.review_high_)
    assert set(misses.risk_control_) == {"miss_rate"}
    assert model.risk_control_ == {}
    # One after the other is both at once.
    again, _ = control_risk(misses, *sample, miss_rate=None)
    assert again.risk_control_ == both.risk_control_
    np.testing.assert_array_equal(again.review_low_, both.review_low_)
    with pytest.raises(DataError, match="both None"):
        control_risk(model, *sample, miss_rate=None, false_discovery_rate=None)


def test_an_unfitted_classifier_is_refused(small_codes):
    for classifier in (NarrativeClassifier(), CombinedClassifier([]), object()):
        with pytest.raises(DataError, match="fit it first"):
            control_risk(classifier, *small_codes)


def test_rows_in_another_order_and_text_codes_are_refused(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    with pytest.raises(DataError, match="another order"):
        control_risk(model, pd.Series(texts), codes[::-1])
    with pytest.raises(DataError, match="column 'money'"):
        control_risk(model, texts, codes.replace({True: "yes", False: "no"}))


@pytest.fixture
def controlled(small_codes):
    texts, codes = small_codes
    members = [NarrativeClassifier(characters=None), NarrativeClassifier(words=None)]
    models = [NarrativeClassifier(), CombinedClassifier(members)]
    return [
        control_risk(model.fit(texts, codes), texts[:20], codes[:20], miss_rate=0.2)[0]
        for model in models
    ]


def test_infinity_and_the_guarantee_are_kept_in_every_model_file(controlled, small_codes, tmp_path):
    texts, codes = small_codes
    for model in controlled:
        assert np.isinf(model.review_high_).all()
        path = model.save(tmp_path / "model")
        if isinstance(model, CombinedClassifier):
            with zipfile.ZipFile(path) as archive:
                strict = json.loads(archive.read("combined.json"), parse_constant=pytest.fail)
            assert strict["risk_control"] == model.risk_control_
        loaded = load_classifier(path)
        assert loaded.risk_control_ == model.risk_control_
        assert loaded.risk_control_["miss_rate"] == {
            "rate": 0.2,
            "confidence": 0.95,
            "n_narratives": 20,
        }
        np.testing.assert_array_equal(loaded.review_high_, model.review_high_)
        probabilities = loaded.predict_proba(texts)
        np.testing.assert_array_equal(loaded.decide(probabilities), model.decide(probabilities))
        assert loaded.fit(texts, codes).risk_control_ == {}


def test_decisions_are_described_as_what_they_are(controlled, small_codes):
    texts, codes = small_codes
    plain = NarrativeClassifier().fit(texts, codes)
    assert "held up in cross-validation" in describe_decisions(plain)
    told = describe_decisions(controlled[0])
    assert "cross-validation" not in told
    assert "At most 20% of the narratives that have a category are called “absent”" in told
    assert "95% confidence, in narratives drawn as the 20 that" in told
    half, _ = control_risk(plain, texts, codes, miss_rate=None, confidence=0.9)
    told = describe_decisions(half)
    assert told.startswith("“absent” held up in cross-validation")
    assert (
        "at most 20% of those called “present” lack the category (for each category with 90%"
        in told
    )


def test_the_card_states_the_guarantee(controlled, small_codes):
    plain = NarrativeClassifier().fit(*small_codes)
    for model in controlled:
        card = describe_model(model, name="x", trained_on="y.")
        assert describe_decisions(model) in card
    assert "risk control" not in describe_model(plain, name="x", trained_on="y.")


def test_what_code_calls_present_keeps_its_promise_though_unfamiliar_narratives_are_reviewed():
    short = ["He lent money to the tenant.", "She never visited the family."]
    codes = pd.DataFrame({"money": [True, False] * 10})
    model = NarrativeClassifier().fit(short * 10, codes)
    # Of the short ones most are wrong; the long ones, which are right, are never called present.
    texts = [short[0]] * 20 + [short[0] * 3] * 180
    truth = pd.DataFrame({"money": [True] * 8 + [False] * 12 + [True] * 180})
    safer, limits = control_risk(model, texts, truth, false_discovery_rate=0.2, miss_rate=None)
    assert np.isinf(limits["high"].item())
    assert limits["n_review"].item() >= 180
    incidents = pd.DataFrame({"incident_id": [str(i) for i in range(200)], "narrative": texts})
    assert not (code(incidents, safer).coded["decision"] == "present").any()
    # Without the wrong ones it may be called present.
    right = pd.DataFrame({"money": [True] * 200})
    _, limits = control_risk(model, [short[0]] * 200, right, false_discovery_rate=0.2)
    assert limits["n_present"].item() == 200
