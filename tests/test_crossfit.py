"""Out-of-fold predictions and their sharpening."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from boundary_research._checks import DataError
from boundary_research.inference import (
    augment_predictions,
    crossfit_predictions,
    dsl_mean,
    gold_only_logit,
    ppi_mean,
)


def make(seed=0, n=900, groups=45):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    group = generator.integers(0, groups, n)
    truth = (generator.random(n) < 1 / (1 + np.exp(-(x[:, 0] - 0.5)))).astype(float)
    gold = np.where(generator.random(n) < 0.3, truth, np.nan)
    return x, group, truth, gold


def test_no_row_is_predicted_by_a_model_that_saw_it():
    """A model that learns by heart is perfect in sample, and at chance out of fold."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(400, 2))
    gold = generator.integers(0, 2, 400).astype(float)
    heart = KNeighborsClassifier(n_neighbors=1)
    assert (heart.fit(x, gold).predict(x) == gold).all()
    probability, fold = crossfit_predictions(heart, x, gold, random_state=0)
    assert np.mean(probability == gold) < 0.6
    assert len(np.unique(fold)) == 5


def test_groups_stay_whole_and_folds_are_even():
    x, group, _, gold = make()
    _, fold = crossfit_predictions(LogisticRegression(), x, gold, groups=group, random_state=0)
    for g in np.unique(group):
        assert len(np.unique(fold[group == g])) == 1
    labelled = np.bincount(fold[~np.isnan(gold)])
    assert labelled.max() - labelled.min() <= 12


def test_texts_and_several_categories():
    texts = ["met for coffee", "paid the client", "met the client", "paid for coffee"] * 10
    gold = np.array([[1, 0], [0, 1], [1, 0], [0, 1]] * 10, dtype=float)
    gold[1::7] = np.nan
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    probability, fold = crossfit_predictions(model, texts, gold, n_splits=4, random_state=0)
    assert probability.shape == (40, 2)
    assert not hasattr(model[-1], "coef_")  # a clone was fitted
    np.testing.assert_array_equal(probability[:, 0] > 0.5, ["met" in text for text in texts])
    again = crossfit_predictions(model, texts, gold, n_splits=4, random_state=0)
    np.testing.assert_array_equal(probability, again[0])
    np.testing.assert_array_equal(fold, again[1])


def test_in_sample_predictions_understate_the_error_and_out_of_fold_ones_do_not():
    """Coverage of a 95% interval with a model that learns by heart, in sample and out of fold."""
    covered = {"in": 0, "out": 0}
    runs = 60
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        n = 400
        x = generator.normal(size=(n, 2))
        truth = (generator.random(n) < np.where(x[:, 0] > 0, 0.45, 0.15)).astype(float)
        gold = np.where(generator.random(n) < 0.25, truth, np.nan)
        heart = KNeighborsClassifier(n_neighbors=1)
        there = ~np.isnan(gold)
        inside = heart.fit(x[there], gold[there]).predict_proba(x)[:, 1]
        outside, fold = crossfit_predictions(heart, x, gold, random_state=0)
        for name, result in {
            "in": dsl_mean(inside, gold, 0.25),
            "out": dsl_mean(outside, gold, 0.25, trained_on_gold=True, fold=fold),
        }.items():
            covered[name] += result.conf_low <= 0.3 <= result.conf_high
    assert covered["out"] >= 0.88 * runs
    assert covered["in"] <= 0.8 * runs


def test_sharpened_predictions_shorten_the_interval():
    """A classifier that is blind in one setting is mended by the setting."""
    generator = np.random.default_rng(3)
    n = 4_000
    rural = generator.integers(0, 2, n)
    truth = (generator.random(n) < np.where(rural == 1, 0.7, 0.1)).astype(float)
    probability = np.where(generator.random(n) < 0.6, 0.2, 0.6)
    gold = np.where(generator.random(n) < 0.15, truth, np.nan)
    better, fold = augment_predictions(probability, gold, 0.15, rural[:, None], random_state=0)
    plain = ppi_mean(probability, gold, 0.15)
    sharp = ppi_mean(better, gold, 0.15, fold=fold)
    assert sharp.std_error < 0.9 * plain.std_error
    assert abs(sharp.estimate - truth.mean()) < 3 * sharp.std_error


def test_sharpening_keeps_good_predictions():
    x, _, truth, gold = make(4, n=2_000)
    score = 1 / (1 + np.exp(-(x[:, 0] - 0.5)))
    better, _ = augment_predictions(score, gold, 0.3, random_state=0)
    assert np.corrcoef(better, score)[0, 1] > 0.99
    slope = gold_only_logit(
        np.column_stack([np.ones(2_000), np.log(better / (1 - better))]), truth, 1.0
    )
    assert slope.estimate[1] == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classifier": object()}, "must have fit and predict_proba"),
        ({"texts": np.zeros((3, 1))}, "texts has 3 rows"),
        ({"n_splits": 1}, "2 or more"),
        ({"groups": np.zeros(900)}, "1 have gold codes, 5 folds"),
        ({"gold": np.where(np.arange(900) < 100, 1.0, np.nan)}, "all alike"),
    ],
)
def test_refusals_say_what_to_do(changes, message):
    x, group, _, gold = make()
    arguments = {"classifier": LogisticRegression(), "texts": x, "gold": gold, "groups": group}
    with pytest.raises(DataError, match=message):
        crossfit_predictions(**{**arguments, **changes})
