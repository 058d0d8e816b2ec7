"""Estimators against published formulas, other implementations and each other."""

import importlib.util
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research.inference import (
    dsl_logit,
    dsl_mean,
    dsl_multinomial,
    dsl_ols,
    dsl_poisson,
    gold_only_logit,
    gold_only_ols,
    gold_only_poisson,
    hajek_mean,
    ht_mean,
    ppi_logit,
    ppi_mean,
    ppi_multinomial,
    ppi_ols,
    rogan_gladen,
)

EXACT = {"rtol": 0, "atol": 1e-8}


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(Path(__file__).parent / "reference" / "inference_synthetic120.csv")


@pytest.fixture(scope="module")
def design(table):
    return np.column_stack([np.ones(len(table)), table.x1, table.x2])


@pytest.fixture(scope="module")
def equal(table):
    """Gold codes of the equal-probability variant: ((37 id) mod 120 < 48), π = 0.4."""
    return np.where((37 * table.id) % 120 < 48, table.y_true, np.nan)


def make(seed, n=400, p=0.3, noise=0.2):
    generator = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), generator.normal(size=n), generator.integers(0, 2, n)])
    truth = generator.random(n) < 1 / (1 + np.exp(-(X @ [-0.3, 0.7, -0.5])))
    predicted = np.where(generator.random(n) < noise, ~truth, truth).astype(float)
    gold = np.where(generator.random(n) < p, truth, np.nan)
    return X, predicted, gold, truth.astype(float)


# --- the fixture's values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("y_true", [-0.3277945580, 1.3665161181, -0.7787720560]),
        ("yhat", [-0.2250121502, 0.9291469029, -0.2203853081]),
        ("Y", [-0.8755304610, 0.8665424377, -0.1059702328]),
    ],
)
def test_classical_logit(table, design, column, expected):
    result = gold_only_logit(design, table[column], 1.0)
    np.testing.assert_allclose(result.estimate, expected, **EXACT)


def test_dsl_logit_with_unequal_probabilities(table, design):
    result = dsl_logit(design, table.yhat, table.Y, table.pi)
    np.testing.assert_allclose(
        result.estimate, [-0.8875356069, 1.9068640546, -0.6435567246], **EXACT
    )
    np.testing.assert_allclose(
        result.std_error, [0.6227765367, 0.7938319454, 0.7930610958], **EXACT
    )


def test_dsl_logit_clustered(table, design):
    result = dsl_logit(design, table.yhat, table.Y, table.pi, clusters=table.cl)
    np.testing.assert_allclose(
        result.estimate, [-0.8875356069, 1.9068640546, -0.6435567246], **EXACT
    )
    np.testing.assert_allclose(
        result.std_error, [0.6793461744, 0.7643896616, 1.1141759416], **EXACT
    )
    assert result.n_clusters == table.cl.nunique()


@pytest.mark.parametrize(
    ("power", "expected"), [(0, 0.2708333333), (0.5, 0.3541666667), (1, 0.4375)]
)
def test_ppi_mean_with_fixed_power(table, equal, power, expected):
    result = ppi_mean(table.yhat, equal, 0.4, power=power)
    assert result.estimate == pytest.approx(expected, abs=1e-8)
    assert result.power == pytest.approx(power)


def test_ppi_mean_tuned(table, equal):
    result = ppi_mean(table.yhat, equal, 0.4)
    assert result.estimate == pytest.approx(0.3269230769, abs=1e-8)
    assert result.conf_low == pytest.approx(0.2180742622, abs=1e-8)
    assert result.conf_high == pytest.approx(0.4357718917, abs=1e-8)
    assert result.estimate == pytest.approx((result.conf_low + result.conf_high) / 2)


def test_ppi_logit_is_dsl_at_the_share_of_unlabelled_rows(table, design, equal):
    expected = [-0.5037069903, 1.7847844876, -0.9628832509]
    powered = ppi_logit(design, table.yhat, equal, 0.4, power=0.6)
    dsl = dsl_logit(design, table.yhat, equal, 0.4)
    np.testing.assert_allclose(powered.estimate, expected, **EXACT)
    np.testing.assert_allclose(dsl.estimate, expected, **EXACT)
    np.testing.assert_allclose(dsl.std_error, [0.4362330012, 0.6209209924, 0.9907803952], **EXACT)


# --- identities -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), labelled=st.integers(60, 200))
def test_dsl_equals_ppi_at_the_share_of_unlabelled_rows(seed, labelled):
    n = 300
    X, predicted, _, truth = make(seed, n=n)
    gold = np.full(n, np.nan)
    drawn = np.random.default_rng(seed).permutation(n)[:labelled]
    gold[drawn] = truth[drawn]
    pi, power = labelled / n, (n - labelled) / n
    pairs = [
        (dsl_mean(predicted, gold, pi), ppi_mean(predicted, gold, pi, power=power)),
        (dsl_ols(X, predicted, gold, pi), ppi_ols(X, predicted, gold, pi, power=power)),
        (dsl_logit(X, predicted, gold, pi), ppi_logit(X, predicted, gold, pi, power=power)),
    ]
    for dsl, powered in pairs:
        np.testing.assert_allclose(dsl.estimate, powered.estimate, **EXACT)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_without_power_ppi_is_the_gold_only_estimate(seed):
    X, predicted, gold, _ = make(seed)
    pi = np.where(X[:, 2] == 1, 0.5, 0.2)
    for powered, classical in [
        (ppi_mean(predicted, gold, pi, power=0), hajek_mean(gold, pi)),
        (ppi_ols(X, predicted, gold, pi, power=0), gold_only_ols(X, gold, pi)),
        (ppi_logit(X, predicted, gold, pi, power=0), gold_only_logit(X, gold, pi)),
    ]:
        np.testing.assert_allclose(powered.estimate, classical.estimate, **EXACT)
        np.testing.assert_allclose(powered.std_error, classical.std_error, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_perfect_predictions_give_the_answer_of_a_census(seed):
    X, _, gold, truth = make(seed)
    result = dsl_logit(X, truth, gold, 0.3)
    census = gold_only_logit(X, truth, 1.0)
    np.testing.assert_allclose(result.estimate, census.estimate, **EXACT)
    np.testing.assert_allclose(result.vcov, census.vcov, rtol=1e-8)


def test_dsl_mean_is_unbiased_over_all_samples():
    truth = np.array([1.0, 0, 0, 1, 1, 0])
    predicted = np.array([0.0, 0, 1, 1, 0, 0])
    values, variances = [], []
    for drawn in combinations(range(6), 3):
        gold = np.full(6, np.nan)
        gold[list(drawn)] = truth[list(drawn)]
        result = dsl_mean(predicted, gold, 0.5, strata=np.zeros(6), finite_population=True)
        values.append(result.estimate)
        variances.append(result.std_error**2)
    assert np.mean(values) == pytest.approx(truth.mean())
    # Simple random sampling without replacement: the variance estimate is unbiased, too.
    assert np.mean(variances) == pytest.approx(np.var(values))


def test_tuning_for_one_coefficient_is_best_for_it():
    X, predicted, gold, _ = make(3, n=2_000)
    tuned = ppi_logit(X, predicted, gold, 0.3, tune_for=1)
    for power in np.linspace(0, 1, 11):
        other = ppi_logit(X, predicted, gold, 0.3, power=power)
        assert tuned.std_error[1] <= other.std_error[1] * 1.02


def test_tuning_with_unequal_probabilities_makes_the_variance_of_the_draw_least():
    X, predicted, gold, _ = make(4, n=2_000)
    pi = np.where(X[:, 2] == 1, 0.5, 0.2)
    tuned = ppi_mean(predicted, gold, pi, finite_population=True)
    assert 0 < tuned.power < 1
    for power in np.linspace(0, 1, 11):
        other = ppi_mean(predicted, gold, pi, power=power, finite_population=True)
        assert tuned.std_error <= other.std_error * 1.001


@pytest.mark.parametrize("chance", [0.3, (0.2, 0.5)])
def test_clusters_do_not_move_the_tuned_power(chance):
    """Only the draw of gold rows has λ in it; sums over few clusters would make λ a noisy guess."""
    X, predicted, gold, _ = make(4, n=2_000)
    pi = np.where(X[:, 2] == 1, *chance[::-1]) if isinstance(chance, tuple) else chance
    alone = ppi_logit(X, predicted, gold, pi)
    for clusters in (np.arange(2_000) % 60, np.arange(2_000) % 6):
        clustered = ppi_logit(X, predicted, gold, pi, clusters=clusters)
        assert clustered.power == alone.power
        np.testing.assert_array_equal(clustered.estimate, alone.estimate)


# --- other implementations --------------------------------------------------------------------------


def test_poisson_with_offset_matches_statsmodels():
    X, _, _, truth = make(5)
    exposure = np.random.default_rng(5).uniform(0.5, 2, len(X))
    result = gold_only_poisson(X, truth, 1.0, offset=np.log(exposure))
    model = sm.GLM(truth, X, family=sm.families.Poisson(), offset=np.log(exposure))
    other = model.fit(cov_type="HC0", tol=1e-14, maxiter=200)
    np.testing.assert_allclose(result.estimate, other.params, rtol=1e-7)
    np.testing.assert_allclose(result.std_error, other.bse, rtol=1e-6)
    corrected = dsl_poisson(X, truth, truth, 1.0, offset=np.log(exposure))
    np.testing.assert_allclose(corrected.estimate, other.params, rtol=1e-7)


def test_ols_clustered_matches_statsmodels():
    X, _, _, truth = make(6)
    clusters = np.arange(len(X)) % 23
    result = gold_only_ols(X, truth, 1.0, clusters=clusters)
    other = sm.OLS(truth, X).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    np.testing.assert_allclose(result.estimate, other.params, **EXACT)
    np.testing.assert_allclose(result.std_error, other.bse, rtol=1e-9)


def test_multinomial_matches_statsmodels():
    X, _, _, _ = make(7)
    levels = np.random.default_rng(7).integers(0, 3, len(X))
    result = dsl_multinomial(X, levels, levels.astype(float), 1.0)
    other = sm.MNLogit(levels, X).fit(disp=0, tol=1e-12, maxiter=200, cov_type="HC0")
    np.testing.assert_allclose(result.estimate, other.params.T.ravel(), rtol=1e-6)
    np.testing.assert_allclose(result.std_error, np.asarray(other.bse).T.ravel(), rtol=1e-5)


def test_multinomial_with_two_levels_is_the_logit(table, design):
    clusters = table.cl
    many = dsl_multinomial(design, table.yhat, table.Y, table.pi, clusters=clusters)
    two = dsl_logit(design, table.yhat, table.Y, table.pi, clusters=clusters)
    np.testing.assert_allclose(many.estimate, two.estimate, **EXACT)
    np.testing.assert_allclose(many.std_error, two.std_error, **EXACT)
    probabilities = np.column_stack([1 - table.phat, table.phat])
    by_probability = dsl_multinomial(design, probabilities, table.Y, table.pi, levels=[0, 1])
    np.testing.assert_allclose(
        by_probability.estimate, dsl_logit(design, table.phat, table.Y, table.pi).estimate, **EXACT
    )


@pytest.mark.parametrize("power", [0, 0.4, 1, "tuned"])
@pytest.mark.parametrize("clustered", [False, True])
def test_ppi_multinomial_with_two_levels_is_the_logit(table, design, power, clustered):
    options = {"power": power, "clusters": table.cl if clustered else None}
    many = ppi_multinomial(design, table.yhat, table.Y, table.pi, **options)
    two = ppi_logit(design, table.yhat, table.Y, table.pi, **options)
    for name in ("estimate", "std_error", "conf_low", "power"):
        np.testing.assert_allclose(getattr(many, name), getattr(two, name), **EXACT)


def test_ppi_multinomial_finds_the_truth_and_is_shorter_than_gold_codes_alone():
    X, _, _, _ = make(11, n=6_000)
    generator = np.random.default_rng(11)
    eta = np.column_stack([np.zeros(len(X)), X @ [-0.3, 0.6, 0.2], X @ [-0.6, -0.4, 0.5]])
    chance = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    truth = (generator.random(len(X))[:, None] > chance.cumsum(axis=1)).sum(axis=1).astype(float)
    wrong = generator.random(len(X)) < 0.15
    predicted = np.where(wrong, generator.integers(0, 3, len(X)), truth)
    pi = np.where(X[:, 2] > 0, 0.3, 0.15)
    gold = np.where(generator.random(len(X)) < pi, truth, np.nan)
    census = dsl_multinomial(X, truth, truth, 1.0)
    alone = ppi_multinomial(X, predicted, gold, pi, power=0)
    tuned = ppi_multinomial(X, predicted, gold, pi)
    assert 0.3 < tuned.power < 1
    assert (tuned.std_error < 0.8 * alone.std_error).all()
    assert (np.abs(tuned.estimate - census.estimate) < 4 * tuned.std_error).all()


@pytest.mark.skipif(importlib.util.find_spec("ppi_py") is None, reason="ppi-python not there")
def test_agrees_with_ppi_python(table, design, equal):
    # In a process of its own: the package silences all warnings when it is imported.
    there = ~np.isnan(equal)
    script = """
import json, sys, numpy as np
from ppi_py import ppi_mean_ci, ppi_logistic_ci, ppi_logistic_pointestimate
d = {k: np.array(v, dtype=float) for k, v in json.load(sys.stdin).items()}
mean = ppi_mean_ci(d["y"], d["f"], d["fu"], alpha=0.05, lam=0.6)
point = ppi_logistic_pointestimate(d["X"], d["y"], d["f"], d["Xu"], d["fu"], lam=0.6,
                                   optimizer_options={"ftol": 1e-15, "gtol": 1e-12})
ci = ppi_logistic_ci(d["X"], d["y"], d["f"], d["Xu"], d["fu"], lam=0.6, alpha=0.05)
print(json.dumps({"mean": np.ravel(mean).tolist(), "point": point.tolist(),
                  "half": ((ci[1] - ci[0]) / 2).tolist()}))
"""
    data = {
        "y": equal[there].tolist(),
        "f": table.yhat[there].tolist(),
        "fu": table.yhat[~there].tolist(),
        "X": design[there].tolist(),
        "Xu": design[~there].tolist(),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(data), capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("ppi-python cannot be run here")
    other = json.loads(done.stdout.splitlines()[-1])
    mean = ppi_mean(table.yhat, equal, 0.4, power=0.6)
    logit = ppi_logit(design, table.yhat, equal, 0.4, power=0.6)
    np.testing.assert_allclose([mean.conf_low, mean.conf_high], other["mean"], atol=1e-6)
    np.testing.assert_allclose(logit.estimate, other["point"], atol=1e-3)
    np.testing.assert_allclose((logit.conf_high - logit.conf_low) / 2, other["half"], rtol=0.02)


# --- what the estimators are for --------------------------------------------------------------------


def test_predicted_attribute_on_the_right_hand_side():
    """With everything gold, the gold design decides; with a sample, the corrected slope is nearer."""
    generator = np.random.default_rng(8)
    n = 20_000
    attribute = generator.integers(0, 2, n)
    coded = np.where(generator.random(n) < 0.25, 1 - attribute, attribute)
    outcome = (generator.random(n) < 0.2 + 0.4 * attribute).astype(float)
    X = np.column_stack([np.ones(n), coded]).astype(float)
    X_gold = np.column_stack([np.ones(n), attribute]).astype(float)
    everything = dsl_logit(X, outcome, outcome, 1.0, X_gold=X_gold)
    np.testing.assert_allclose(
        everything.estimate, gold_only_logit(X_gold, outcome, 1.0).estimate, **EXACT
    )
    drawn = generator.random(n) < 0.2
    partial = np.where(drawn[:, None], X_gold, np.nan)
    gold = np.where(drawn, outcome, np.nan)
    corrected = dsl_ols(X, outcome, gold, 0.2, X_gold=partial)
    naive = gold_only_ols(X, outcome, 1.0)
    assert abs(corrected.estimate[1] - 0.4) < 4 * corrected.std_error[1]
    assert abs(naive.estimate[1] - 0.4) > 8 * naive.std_error[1]


def test_rescaling_does_nothing_where_the_draw_is_as_expected(table, design):
    gold = np.where((37 * table.id) % 120 < 48, table.y_true, np.nan)
    plain = dsl_logit(design, table.yhat, gold, 0.4)
    np.testing.assert_allclose(
        dsl_logit(design, table.yhat, gold, np.full(120, 0.2), rescale=True).estimate,
        plain.estimate,
        **EXACT,
    )
    pi = table.pi * (table.Y.notna().mean() / table.pi.mean())
    np.testing.assert_allclose(
        dsl_logit(design, table.yhat, table.Y, table.pi, rescale=True).estimate,
        dsl_logit(design, table.yhat, table.Y, pi).estimate,
        **EXACT,
    )


def test_horvitz_thompson_is_dsl_without_predictions(table):
    result = ht_mean(table.Y, table.pi)
    there = table.Y.notna()
    assert result.estimate == pytest.approx((table.Y / table.pi)[there].sum() / len(table))
    assert result.estimator == "gold_only"


def test_rogan_gladen_by_hand():
    predicted = np.array([1] * 40 + [0] * 60)
    gold = np.full(100, np.nan)
    gold[:20] = [1] * 16 + [0] * 4  # predicted present
    gold[40:70] = [1] * 3 + [0] * 27  # predicted absent
    result = rogan_gladen(predicted, gold, 0.5)
    sensitivity, specificity = 16 / 19, 27 / 31
    expected = (0.4 + specificity - 1) / (sensitivity + specificity - 1)
    assert result.estimate == pytest.approx(expected)
    assert 0.03 < result.std_error < 0.12


def test_weights_reach_the_estimate(table):
    twice = np.where(table.id < 60, 2.0, 1.0)
    heavy = dsl_mean(table.yhat, table.Y, table.pi, weights=twice)
    again = pd.concat([table, table[table.id < 60]])
    doubled = dsl_mean(again.yhat, again.Y, again.pi)
    assert heavy.estimate == pytest.approx(doubled.estimate)


def test_to_frame_is_an_estimates_table(table, design):
    from boundary_research._tables import ESTIMATE_COLUMNS, check_table

    result = dsl_logit(design, table.yhat, table.Y, table.pi)
    frame = result.to_frame(["b0", "b1", "b2"], category="any")
    assert list(frame.columns) == ESTIMATE_COLUMNS
    check_table(frame, "estimates")


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inclusion_probability": None}, "inclusion_probability is missing"),
        ({"inclusion_probability": 1.5}, r"must lie in \(0, 1\]"),
        ({"inclusion_probability": 0.0}, r"must lie in \(0, 1\]"),
        ({"inclusion_probability": np.full(120, np.nan)}, "missing for 58 gold rows|missing for"),
        ({"predicted": np.ones(7)}, "has 7 rows"),
        ({"predicted": np.full(120, 2.0)}, r"allowed values are \[0, 1\]"),
        ({"predicted": np.full(120, np.nan)}, "every row needs a prediction"),
        ({"gold": np.full(120, np.nan)}, "no codes"),
        ({"gold": ["yes"] * 120}, "must hold numbers"),
        ({"X": np.ones((120, 2))}, "redundant columns"),
        ({"X": np.full((120, 1), np.nan)}, "missing or infinite"),
        ({"clusters": np.zeros(120)}, "fewer than three clusters"),
        ({"clusters": [None] * 120}, "clusters is missing"),
        ({"trained_on_gold": True}, "crossfit_predictions"),
        ({"trained_on_gold": True, "fold": np.zeros(120)}, "lie in one fold"),
        ({"fold": np.arange(120) % 2, "clusters": np.arange(120) // 4}, "more than one fold"),
        ({"small_sample": "CR9"}, "small_sample 'CR9' not found"),
        ({"conf": 0.9}, "option 'conf' not found"),
    ],
)
def test_refusals_say_what_to_do(table, design, changes, message):
    arguments = {
        "X": design,
        "predicted": table.yhat,
        "gold": table.Y,
        "inclusion_probability": table.pi,
        **changes,
    }
    with pytest.raises(DataError, match=message):
        dsl_logit(**arguments)


def test_separation_is_refused(table):
    X = np.column_stack([np.ones(120), table.y_true])
    with pytest.raises(DataError, match="separates"):
        gold_only_logit(X, table.y_true, 1.0)
    with pytest.raises(DataError, match="separates"):
        dsl_multinomial(X, table.y_true, table.y_true, 1.0)


def test_out_of_fold_predictions_are_accepted(table, design):
    fold = table.cl % 2
    plain = dsl_logit(design, table.yhat, table.Y, table.pi, clusters=table.cl)
    checked = dsl_logit(
        design, table.yhat, table.Y, table.pi, clusters=table.cl, trained_on_gold=True, fold=fold
    )
    np.testing.assert_array_equal(plain.estimate, checked.estimate)


def test_rescale_needs_all_probabilities(table, design):
    with pytest.raises(DataError, match="every row"):
        dsl_logit(design, table.yhat, table.Y, table.pi.where(table.Y.notna()), rescale=True)


def test_chance_predictions_are_refused_by_rogan_gladen():
    predicted = np.tile([0.0, 1.0], 50)
    gold = np.repeat([0.0, 1.0], 50)
    with pytest.raises(DataError, match="no better than chance"):
        rogan_gladen(predicted, gold, 1.0)
