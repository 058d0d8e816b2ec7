import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError, NarrativeClassifier
from boundary_research.classifier.risk_control import (
    bound_false_discoveries,
    bound_misses,
    control_risk,
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
    assert bound_false_discoveries(p, y, false_discovery_rate=0.2, confidence=0.95) > 1


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
