"""Sandwich variances against dense formulas, and what small samples need."""

import numpy as np
import pytest
from scipy import linalg, stats

from boundary_research._checks import DataError
from boundary_research.inference import (
    dsl_mean,
    dsl_ols,
    gold_only_logit,
    gold_only_ols,
    hajek_mean,
)


@pytest.fixture(scope="module")
def clustered():
    generator = np.random.default_rng(1)
    clusters = np.repeat(np.arange(9), [3, 5, 8, 4, 9, 12, 6, 7, 10])
    n = len(clusters)
    X = np.column_stack([np.ones(n), generator.normal(size=n), (clusters < 3).astype(float)])
    y = X @ [1.0, 0.5, -0.3] + generator.normal(size=n) + generator.normal(size=9)[clusters]
    return X, y, clusters


def dense_cr2(X, y, clusters):
    """CR2 and Satterthwaite degrees of freedom from n x n matrices (Pustejovsky and Tipton 2018)."""
    n, p = X.shape
    bread = np.linalg.inv(X.T @ X)
    hat = X @ bread @ X.T
    residual = y - hat @ y
    meat = np.zeros((p, p))
    makers = []
    for g in np.unique(clusters):
        rows = np.flatnonzero(clusters == g)
        values, vectors = linalg.eigh(np.eye(len(rows)) - hat[np.ix_(rows, rows)])
        power = np.where(values > 1e-9, np.maximum(values, 1e-9) ** -0.5, 0.0)
        adjust = vectors @ np.diag(power) @ vectors.T
        score = X[rows].T @ adjust @ residual[rows]
        meat += np.outer(score, score)
        makers.append((np.eye(n) - hat)[:, rows] @ adjust @ X[rows] @ bread)
    df = []
    for j in range(p):
        vectors = np.column_stack([maker[:, j] for maker in makers])
        product = vectors.T @ vectors
        df.append(np.trace(product) ** 2 / np.sum(product**2))
    return bread @ meat @ bread, np.array(df)


def test_cr2_matches_the_dense_formula(clustered):
    X, y, clusters = clustered
    vcov, df = dense_cr2(X, y, clusters)
    result = gold_only_ols(X, y, 1.0, clusters=clusters, small_sample="CR2")
    np.testing.assert_allclose(result.vcov, vcov, rtol=1e-8)
    np.testing.assert_allclose(result.df, df, rtol=1e-8)


def test_cr2_is_unbiased_with_independent_errors():
    """Mean of the CR2 variance over draws equals the true one; the plain sandwich is too small."""
    generator = np.random.default_rng(2)
    clusters = np.repeat(np.arange(6), [2, 4, 6, 8, 10, 12])
    X = np.column_stack([np.ones(42), generator.normal(size=42)])
    truth = np.linalg.inv(X.T @ X)[1, 1]
    plain, reduced = [], []
    for _ in range(400):
        y = generator.normal(size=42)
        for name, into in (("none", plain), ("CR2", reduced)):
            result = gold_only_ols(X, y, 1.0, clusters=clusters, small_sample=name)
            into.append(result.vcov[1, 1])
    assert np.mean(reduced) == pytest.approx(truth, rel=0.1)
    assert np.mean(plain) < 0.9 * truth


def test_two_way_clusters_add_up():
    generator = np.random.default_rng(11)
    n = 2_000
    X = np.column_stack([np.ones(n), generator.normal(size=n)])
    first, second = generator.integers(0, 40, n), generator.integers(0, 30, n)
    effects = generator.normal(size=40)[first] + generator.normal(size=30)[second]
    y = X @ [1.0, 0.5] + generator.normal(size=n) + effects
    ways = [first, second, first * 30 + second]
    parts = [gold_only_ols(X, y, 1.0, clusters=way).vcov for way in ways]
    expected = parts[0] + parts[1] - parts[2]
    assert np.linalg.eigvalsh(expected).min() > 0
    result = gold_only_ols(X, y, 1.0, clusters=(first, second))
    np.testing.assert_allclose(result.vcov, expected, rtol=1e-8)
    stacked = gold_only_ols(X, y, 1.0, clusters=np.column_stack([first, second]))
    np.testing.assert_allclose(stacked.vcov, expected, rtol=1e-8)


def test_two_way_clusters_never_give_a_negative_variance():
    generator = np.random.default_rng(3)
    X = np.column_stack([np.ones(40), generator.normal(size=(40, 3))])
    first, second = np.arange(40) % 4, np.arange(40) // 10
    result = gold_only_ols(X, generator.normal(size=40), 1.0, clusters=(first, second))
    assert (result.std_error >= 0).all()


@pytest.mark.parametrize("option", ["none", "CR1", "CR2", "wild", "auto"])
@pytest.mark.parametrize("clusters_wanted", [True, False])
def test_p_values_agree_with_intervals(option, clusters_wanted):
    generator = np.random.default_rng(4)
    for _ in range(20):
        clusters = np.repeat(np.arange(10), 8) if clusters_wanted else None
        X = np.column_stack([np.ones(80), generator.normal(size=(80, 2))])
        y = generator.normal(size=80) + 0.25 * X[:, 1]
        result = gold_only_ols(X, y, 1.0, clusters=clusters, small_sample=option, random_state=1)
        outside = (result.conf_low > 0) | (result.conf_high < 0)
        np.testing.assert_array_equal(outside, result.p_value <= 0.05)
        # two-sided: zero is outside a 1 - p interval only just
        if option in ("none", "CR1", "CR2"):
            half = stats.t.ppf(1 - result.p_value / 2, result.df) * result.std_error
            np.testing.assert_allclose(np.abs(result.estimate), half, rtol=1e-6)


def test_wild_bootstrap_keeps_its_level_with_six_clusters():
    generator = np.random.default_rng(5)
    clusters = np.repeat(np.arange(6), 12)
    treated = (clusters < 3).astype(float)
    X = np.column_stack([np.ones(72), treated])
    rejected = {"wild": 0, "none": 0}
    for seed in range(200):
        y = generator.normal(size=72) + generator.normal(size=6)[clusters]
        for option in rejected:
            result = gold_only_ols(
                X, y, 1.0, clusters=clusters, small_sample=option, random_state=seed
            )
            rejected[option] += result.p_value[1] <= 0.05
    assert rejected["wild"] <= 24  # 5% of 200 and two standard errors, and some
    assert rejected["none"] > rejected["wild"]


def test_wild_bootstrap_repeats_with_its_seed(clustered):
    X, y, clusters = clustered
    options = {"clusters": clusters, "small_sample": "wild", "random_state": 7}
    first = gold_only_ols(X, y, 1.0, **options)
    np.testing.assert_array_equal(first.conf_low, gold_only_ols(X, y, 1.0, **options).conf_low)
    assert "9 clusters" in first.notes[0]


def test_auto_chooses_by_the_number_of_clusters():
    generator = np.random.default_rng(6)
    y = generator.normal(size=600)

    def df(count, option):
        return hajek_mean(y, 1.0, clusters=np.arange(600) % count, small_sample=option)

    assert df(15, "auto").notes
    assert not df(25, "auto").notes
    assert df(25, "auto").std_error == df(25, "CR2").std_error
    assert df(300, "auto").std_error == df(300, "CR1").std_error


def test_stratified_draws_have_smaller_errors_than_independent_ones():
    generator = np.random.default_rng(7)
    strata = np.repeat([0, 1], 300)
    truth = (generator.random(600) < np.where(strata == 1, 0.9, 0.1)).astype(float)
    gold = np.full(600, np.nan)
    for stratum in (0, 1):
        rows = np.flatnonzero(strata == stratum)
        drawn = generator.permutation(rows)[:60]
        gold[drawn] = truth[drawn]
    options = {"finite_population": True}
    apart = dsl_mean(np.zeros(600), gold, 0.2, strata=strata, **options)
    alone = dsl_mean(np.zeros(600), gold, 0.2, **options)
    assert apart.estimate == alone.estimate
    shares = [np.nanvar(gold[strata == s], ddof=1) for s in (0, 1)]
    expected = np.sqrt(sum(0.25 * 0.8 * share / 60 for share in shares))
    assert apart.std_error == pytest.approx(expected)
    assert alone.std_error > 1.5 * apart.std_error
    everywhere = dsl_mean(np.zeros(600), gold, 0.2, strata=strata)
    assert everywhere.std_error < dsl_mean(np.zeros(600), gold, 0.2).std_error


def test_a_census_of_a_finite_population_has_no_error():
    truth = np.tile([0.0, 1.0, 1.0], 20)
    result = dsl_mean(np.zeros(60), truth, 1.0, finite_population=True)
    assert result.std_error == 0
    assert result.conf_low == result.conf_high == pytest.approx(2 / 3)


def test_units_drawn_whole_widen_the_error():
    generator = np.random.default_rng(8)
    unit = np.repeat(np.arange(40), 10)
    truth = (generator.random(400) < generator.beta(0.5, 0.5, 40)[unit]).astype(float)
    gold = np.where(np.isin(unit, generator.permutation(40)[:16]), truth, np.nan)
    whole = dsl_mean(np.zeros(400), gold, 0.4, sampling_units=unit, finite_population=True)
    single = dsl_mean(np.zeros(400), gold, 0.4, finite_population=True)
    totals = np.array([np.nansum(gold[unit == u]) for u in range(40)]) / 0.4
    assert whole.std_error == pytest.approx(np.sqrt(0.6 * np.sum(totals**2)) / 400)
    assert whole.std_error > single.std_error


def test_small_sample_correction_widens_without_clusters():
    generator = np.random.default_rng(9)
    X = np.column_stack([np.ones(50), generator.normal(size=50)])
    y = (generator.random(50) < 0.5).astype(float)
    plain = gold_only_logit(X, y, 1.0)
    auto = gold_only_logit(X, y, 1.0, small_sample="auto")
    np.testing.assert_allclose(auto.std_error, plain.std_error * np.sqrt(50 / 48))
    assert (auto.df == 48).all()


def test_three_ways_of_clustering_are_refused():
    with pytest.raises(DataError, match="one or two ways"):
        dsl_ols(
            np.ones((9, 1)),
            np.ones(9),
            np.ones(9),
            1.0,
            clusters=(np.arange(9), np.arange(9), np.arange(9)),
        )
