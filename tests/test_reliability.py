"""Agreement coefficients: published values, invariances, degenerate data, intervals, tables."""

import json
import os
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from boundary_research._checks import DataError
from boundary_research.coding import reliability
from boundary_research.coding.reliability import (
    AgreementResult,
    agreement_table,
    benchmark_probabilities,
    brennan_prediger,
    cohen_kappa,
    confusion_of_categories,
    conger_kappa,
    disagreement_table,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
    percent_agreement,
    ratings_from_codings,
    scott_pi,
    set_alpha,
    set_distance,
    specific_agreement,
    unitizing_alpha,
)

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = json.loads(
    (Path(__file__).parent / "reference" / "agreement_published.json").read_text("utf-8")
)
MANY_CODERS = [krippendorff_alpha, gwet_ac, fleiss_kappa, conger_kappa, brennan_prediger]
TWO_CODERS = [cohen_kappa, scott_pi]
CHANCE_CORRECTED = MANY_CODERS + TWO_CODERS
METRICS = ["nominal", "ordinal", "interval", "ratio"]


def units_of(case: str) -> np.ndarray:
    """Return the ratings of a published case as (units, coders)."""
    return np.array(PUBLISHED[case]["coders"], dtype=float).T


def pairs_of(table: list[list[int]]) -> list[tuple[int, int]]:
    q = range(len(table))
    return [(i, j) for i in q for j in q for _ in range(table[i][j])]


# --- published values -----------------------------------------------------------------------


@pytest.mark.parametrize("case", ["krippendorff_canonical", "three_coders"])
@pytest.mark.parametrize("metric", METRICS)
def test_alpha_is_the_published_value(case, metric):
    result = krippendorff_alpha(units_of(case), metric)
    assert result.estimate == pytest.approx(PUBLISHED[case]["alpha"][metric], abs=1e-12)


def test_kappa_type_coefficients_and_standard_errors_are_the_published_ones():
    case = PUBLISHED["krippendorff_canonical"]
    ratings = units_of("krippendorff_canonical")
    for name, (estimate, std_error) in case["others"].items():
        result = getattr(reliability, name)(ratings)
        assert result.estimate == pytest.approx(estimate, abs=5e-7), name
        assert result.std_error == pytest.approx(std_error, abs=5e-7), name
    alpha = krippendorff_alpha(ratings)
    assert alpha.std_error == pytest.approx(case["alpha_nominal_std_error"], abs=5e-7)


def test_wald_interval_of_ac1_is_the_published_one():
    low, high = PUBLISHED["krippendorff_canonical"]["ac1_wald"]
    result = gwet_ac(units_of("krippendorff_canonical"), interval="wald")
    assert (result.conf_low, result.conf_high) == pytest.approx((low, high), abs=5e-7)


def test_only_conger_depends_on_who_coded_the_lone_unit():
    ratings = units_of("krippendorff_canonical")
    moved = ratings.copy()
    moved[11] = [np.nan, np.nan, 3, np.nan]
    expected = PUBLISHED["krippendorff_canonical"]["conger_kappa_with_the_last_three_on_coder_c"]
    assert conger_kappa(moved).estimate == pytest.approx(expected, abs=5e-7)
    for coefficient in (krippendorff_alpha, gwet_ac, fleiss_kappa, brennan_prediger):
        assert coefficient(moved).estimate == coefficient(ratings).estimate


def test_gwets_ordinal_weights_are_not_krippendorffs_ordinal_metric():
    # the trap is on alpha: Gwet's ordinal weights as distances give .834, the metric .815
    ratings = units_of("krippendorff_canonical")
    counts = np.array([[np.sum(row == k) for k in range(1, 6)] for row in ratings], dtype=float)
    counts = counts[counts.sum(axis=1) >= 2]
    steps = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    delta = steps * (steps + 1) / 20
    r_i = counts.sum(axis=1)
    d_o = (((counts @ delta) * counts).sum(axis=1) / (r_i - 1)).sum() / r_i.sum()
    n_c = counts.sum(axis=0)
    d_e = n_c @ delta @ n_c / (r_i.sum() * (r_i.sum() - 1))
    assert 1 - d_o / d_e == pytest.approx(0.834, abs=5e-4)
    result = krippendorff_alpha(ratings, "ordinal")
    assert result.estimate == pytest.approx(0.815, abs=5e-4)
    assert result.coefficient == "Krippendorff's alpha, ordinal"
    assert gwet_ac(ratings, "ordinal").coefficient == "Gwet's AC2, ordinal weights"


def test_krippendorffs_binary_example():
    case = PUBLISHED["krippendorff_binary"]
    assert krippendorff_alpha(case["pairs"]).estimate == pytest.approx(case["alpha"], abs=1e-10)
    assert percent_agreement(case["pairs"]).estimate == pytest.approx(case["agreement"])


def test_fleiss_kappa_and_its_z_are_the_published_ones():
    case = PUBLISHED["fleiss_1971"]
    result = fleiss_kappa([[int(digit) for digit in unit] for unit in case["units"]])
    assert result.estimate == pytest.approx(case["kappa"], abs=5e-8)
    assert result.z == pytest.approx(case["z"], abs=5e-6)
    assert (result.n_units, result.n_coders, result.n_ratings) == (30, 6, 180)


def test_cohens_kappa_has_the_published_standard_error_and_interval():
    case = PUBLISHED["cohen_standard_error"]
    result = cohen_kappa(pairs_of(case["table"]), interval="wald")
    assert result.estimate == pytest.approx(case["kappa"], abs=5e-5)
    assert result.std_error == pytest.approx(case["ase"], abs=5e-5)
    assert (result.conf_low, result.conf_high) == pytest.approx(case["wald"], abs=5e-5)
    linear = cohen_kappa(pairs_of(case["table"]), "linear")
    assert (linear.estimate, linear.std_error) == pytest.approx(case["linear"], abs=5e-5)


def test_the_prevalence_paradox_is_shown_beside_the_coefficients():
    case = PUBLISHED["prevalence_paradox"]
    pairs = pairs_of(case["table"])
    assert gwet_ac(pairs).estimate == pytest.approx(case["ac1"], abs=5e-4)
    assert cohen_kappa(pairs).estimate == pytest.approx(case["kappa"], abs=5e-7)
    assert krippendorff_alpha(pairs).estimate == pytest.approx(case["alpha"], abs=5e-7)
    assert brennan_prediger(pairs).estimate == pytest.approx(case["brennan_prediger"])
    result = cohen_kappa(pairs)
    assert result.prevalence == pytest.approx((2 * 5 + 7 + 8) / 200)
    assert result.prevalence_index == pytest.approx(abs(80 - 5) / 100)  # Byrt and others 1993
    assert result.bias_index == pytest.approx(abs(7 - 8) / 100)
    assert result.observed == pytest.approx(0.85)


@pytest.mark.parametrize("distance", ["masi", "jaccard", "four_step"])
def test_alpha_over_sets_is_the_reference_value(distance):
    case = PUBLISHED["sets"]
    pairs = [(set(first), set(second)) for first, second in case["pairs"]]
    digits = 5e-6 if distance == "four_step" else 5e-7
    result = set_alpha(pairs, distance)
    assert result.estimate == pytest.approx(case["alpha"][distance], abs=digits)
    assert "Passonneau 2006" in set_alpha(pairs).coefficient


def published_spans() -> list[tuple[int, str, int, int]]:
    case = PUBLISHED["unitizing"]["offset_length"]
    return [
        (int(coder), category, offset, offset + length)
        for coder, by_category in case.items()
        for category, spans in by_category.items()
        for offset, length in spans
    ]


def test_unitizing_alpha_is_the_published_value():
    case = PUBLISHED["unitizing"]
    result = unitizing_alpha(published_spans(), (case["begin"], case["begin"] + case["length"]))
    for category, alpha in case["alpha"].items():
        one = result.by_category[category]
        assert one.estimate == pytest.approx(alpha, abs=5e-5)
        assert one.observed_disagreement == pytest.approx(case["observed"][category], abs=5e-5)
        assert one.expected_disagreement == pytest.approx(case["expected"][category], abs=5e-5)
    rounded = 1 - sum(case["observed"].values()) / sum(case["expected"].values())
    assert rounded == pytest.approx(case["overall_from_rounded"], abs=5e-5)
    assert result.estimate == pytest.approx(0.85867, abs=5e-6)  # unrounded
    assert result.estimate == pytest.approx(case["overall_from_rounded"], abs=5e-4)
    assert "no interval" in result.note


# --- another way to the same number ----------------------------------------------------------


def test_cohens_kappa_agrees_with_statsmodels():
    from statsmodels.stats.inter_rater import cohens_kappa as peer

    rng = np.random.default_rng(3)
    table = rng.integers(1, 30, size=(4, 4))
    for weights, wt in ((None, None), ("linear", "linear"), ("quadratic", "quadratic")):
        ours, theirs = cohen_kappa(pairs_of(table.tolist()), weights), peer(table, wt=wt)
        assert ours.estimate == pytest.approx(theirs.kappa)
        assert ours.std_error == pytest.approx(theirs.std_kappa)


def test_two_coder_coefficients_are_special_cases_of_many_coder_ones():
    rng = np.random.default_rng(5)
    ratings = rng.integers(0, 3, size=(40, 2)).astype(float)
    assert cohen_kappa(ratings).estimate == pytest.approx(conger_kappa(ratings).estimate)
    assert scott_pi(ratings).estimate == pytest.approx(fleiss_kappa(ratings).estimate)
    pi, n = scott_pi(ratings).estimate, 80
    assert krippendorff_alpha(ratings).estimate == pytest.approx(1 - (1 - pi) * (n - 1) / n)


def test_linearised_errors_are_near_the_jackknife_and_the_bootstrap():
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 4, size=400)
    noise = rng.integers(0, 4, size=(400, 3))
    ratings = np.where(rng.random((400, 3)) < 0.7, truth[:, None], noise).astype(float)
    ratings[rng.random((400, 3)) < 0.2] = np.nan
    calls = [(coefficient, {}) for coefficient in MANY_CODERS]
    calls += [(krippendorff_alpha, {"metric": "ordinal"}), (gwet_ac, {"weights": "quadratic"})]
    calls += [(percent_agreement, {}), (krippendorff_alpha, {"metric": "interval"})]
    for coefficient, kind in calls:
        analytic = coefficient(ratings, **kind)
        draws = coefficient(ratings, interval="bootstrap", random_state=1, **kind)
        assert analytic.std_error == pytest.approx(draws.std_error, rel=0.08), analytic.coefficient
        assert draws.conf_low == pytest.approx(analytic.conf_low, abs=0.012)
        assert draws.conf_high == pytest.approx(analytic.conf_high, abs=0.012)


# --- invariances -----------------------------------------------------------------------------

rated = hnp.arrays(
    np.int64, st.tuples(st.integers(6, 15), st.integers(2, 4)), elements=st.integers(-1, 2)
).map(lambda codes: np.where(codes < 0, np.nan, codes.astype(float)))


def same(first: AgreementResult, second: AgreementResult) -> None:
    ours = [first.estimate, first.std_error, first.conf_low, first.conf_high]
    theirs = [second.estimate, second.std_error, second.conf_low, second.conf_high]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert first.note == second.note


@settings(max_examples=40, deadline=None)
@given(ratings=rated, seed=st.integers(0, 1000))
def test_order_of_units_coders_and_names_of_categories_do_not_matter(ratings, seed):
    rng = np.random.default_rng(seed)
    shuffled = ratings[rng.permutation(len(ratings))][:, rng.permutation(ratings.shape[1])]
    names = dict(zip([0.0, 1.0, 2.0], rng.permutation(["lead", "zinc", "iron"]), strict=True))
    named = pd.DataFrame(ratings).map(names.get)
    for coefficient in [*MANY_CODERS, percent_agreement]:
        result = coefficient(ratings)
        same(result, coefficient(shuffled))
        same(result, coefficient(named))
    for metric in METRICS[1:]:
        same(krippendorff_alpha(ratings, metric), krippendorff_alpha(shuffled, metric))


@settings(max_examples=25, deadline=None)
@given(ratings=rated)
def test_estimates_and_intervals_stay_in_range(ratings):
    for coefficient in MANY_CODERS:
        for interval in ("score", "wald"):
            result = coefficient(ratings, interval=interval)
            if np.isnan(result.estimate):
                assert result.note
            else:
                assert result.estimate <= 1 + 1e-12
                if "One unit" in result.note:
                    assert np.isnan(result.conf_low)
                else:
                    assert -1 <= result.conf_low <= result.conf_high <= 1


@settings(max_examples=25, deadline=None)
@given(truth=st.lists(st.integers(0, 3), min_size=5, max_size=30).filter(lambda t: len(set(t)) > 1))
def test_perfect_agreement_is_one(truth):
    ratings = np.repeat(np.array(truth, dtype=float)[:, None], 3, axis=1)
    for coefficient in MANY_CODERS:
        result = coefficient(ratings)
        assert result.estimate == pytest.approx(1)
        assert result.conf_low < 1  # few units never prove perfection
    for metric in METRICS:
        assert krippendorff_alpha(ratings, metric).estimate == pytest.approx(1)
    for coefficient in TWO_CODERS:
        assert coefficient(ratings[:, :2]).estimate == pytest.approx(1)


def test_shuffled_codings_are_near_zero():
    rng = np.random.default_rng(11)
    for prevalence in (0.1, 0.5):
        column = (rng.random(20_000) < prevalence).astype(float)
        ratings = np.column_stack([rng.permutation(column) for _ in range(3)])
        for coefficient in (krippendorff_alpha, fleiss_kappa, conger_kappa):
            assert abs(coefficient(ratings).estimate) < 0.015
        assert abs(cohen_kappa(ratings[:, :2]).estimate) < 0.02


def test_units_with_one_rating_and_unequal_coders_do_not_move_alpha():
    ratings = units_of("three_coders")
    more = np.vstack([ratings, [[1, np.nan, np.nan], [np.nan, np.nan, np.nan]]])
    assert krippendorff_alpha(more).estimate == krippendorff_alpha(ratings).estimate
    assert krippendorff_alpha(more).n_units == krippendorff_alpha(ratings).n_units


def test_short_units_are_not_scaled_up():
    # ten agreeing pairs in a unit of five coders, one disagreeing pair in a unit of two
    ratings = np.array([[1, 1, 1, 1, 1], [0, 1, np.nan, np.nan, np.nan]])
    assert percent_agreement(ratings).estimate == pytest.approx(0.5)  # each unit has one say
    # coincidences: 5 values in the first unit, 2 in the second
    assert specific_agreement(ratings).positive.estimate == pytest.approx(5 / 6)
    assert specific_agreement(ratings).negative.estimate == pytest.approx(0)


@settings(max_examples=30, deadline=None)
@given(
    sets=st.lists(
        st.tuples(*[st.one_of(st.none(), st.frozensets(st.sampled_from("abc")))] * 3),
        min_size=4,
        max_size=15,
    ),
    distance=st.sampled_from(["masi", "jaccard", "four_step", "nominal"]),
)
def test_set_alpha_takes_any_sets_and_ignores_orders_and_names(sets, distance):
    result = set_alpha(sets, distance)
    names = {"a": "zeta", "b": 7, "c": "m"}
    renamed = [
        tuple(None if s is None else {names[name] for name in s} for s in reversed(row))
        for row in reversed(sets)
    ]
    same(result, set_alpha(renamed, distance))


def test_set_distances():
    assert set_distance(set(), set()) == 0
    assert set_distance(set(), {"a"}) == 1
    assert set_distance(set(), {"a"}, "four_step") == pytest.approx(1 / 3)
    assert set_distance("ab", "c", "four_step") == 1
    assert set_distance("ab", "a", "masi") == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert set_distance("ab", "bc", "masi") == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert set_distance("ab", "bc", "four_step") == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="jaccard"):
        set_distance("a", "b", "hamming")


@pytest.mark.parametrize("distance", ["masi", "jaccard", "four_step", "nominal"])
def test_many_sets_give_the_same_as_their_distances_one_by_one(distance):
    rng = np.random.default_rng(6)
    chosen = rng.random((150, 2, 8)) < 0.4
    chosen[:, 1] = np.where(rng.random((150, 8)) < 0.8, chosen[:, 0], chosen[:, 1])
    pairs = [tuple(frozenset(np.nonzero(coder)[0]) for coder in unit) for unit in chosen]
    assert len({one for pair in pairs for one in pair}) > 64  # the sparse way
    by_name = set_alpha(pairs, distance)
    one_by_one = set_alpha(pairs, lambda a, b: set_distance(a, b, distance))
    assert by_name.estimate == pytest.approx(one_by_one.estimate)
    values = [one for pair in pairs for one in pair]
    observed = np.mean([set_distance(a, b, distance) for a, b in pairs])
    expected = np.mean(
        [
            set_distance(a, b, distance)
            for i, a in enumerate(values)
            for j, b in enumerate(values)
            if i != j
        ]
    )
    assert by_name.estimate == pytest.approx(1 - observed / expected)


def test_many_categories_give_the_same_by_the_sparse_and_the_dense_way(monkeypatch):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 100, size=300)
    ratings = np.clip(truth[:, None] + rng.integers(-30, 31, size=(300, 3)), 0, 99).astype(float)
    ratings[rng.random(ratings.shape) < 0.2] = np.nan
    clusters = np.arange(300) // 5
    for options in ({}, {"clusters": clusters}, {"interval": "bootstrap", "random_state": 1}):
        sparse = krippendorff_alpha(ratings, "interval", **options)
        monkeypatch.setattr("boundary_research.coding._alpha.MANY_CATEGORIES", 1000)
        same(sparse, krippendorff_alpha(ratings, "interval", **options))
        monkeypatch.undo()


def test_own_set_distance_is_used_and_checked():
    pairs = [({"a"}, {"a"}), ({"a", "b"}, {"a"}), (set(), {"b"}), ({"b"}, {"b"})]

    def count(a, b):
        return len(a ^ b)

    assert set_alpha(pairs, count).coefficient.endswith("own distance count")
    with pytest.raises(DataError, match="zero or more"):
        set_alpha(pairs, lambda a, b: -1.0)


# --- degenerate data -------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", CHANCE_CORRECTED)
@pytest.mark.parametrize("interval", ["score", "wald", "bootstrap"])
@pytest.mark.parametrize("categories", [None, [0, 1]])
def test_one_category_gives_no_value_and_says_so(coefficient, interval, categories):
    result = coefficient(np.zeros((20, 2)), interval=interval, categories=categories)
    assert np.isnan([result.estimate, result.std_error, result.conf_low, result.conf_high]).all()
    assert "one category" in result.note


@pytest.mark.parametrize("coefficient", [*CHANCE_CORRECTED, percent_agreement])
@pytest.mark.parametrize(
    "ratings",
    [np.full((5, 2), np.nan), np.empty((0, 2)), [[1, np.nan], [np.nan, 2]]],
    ids=["nothing coded", "no units", "no pairs"],
)
def test_no_pair_gives_no_value_and_says_so(coefficient, ratings):
    result = coefficient(ratings)
    assert np.isnan(result.estimate)
    assert result.note == "No unit was coded by two coders, so agreement is not defined."


def test_degenerate_sets_spans_and_shares():
    assert np.isnan(set_alpha([(set(), set())] * 9).estimate)
    assert "one category" in set_alpha([(set(), set())] * 9).note
    assert np.isnan(set_alpha([]).estimate)
    nothing = unitizing_alpha([], 100, coders=["a", "b"])
    assert np.isnan(nothing.estimate)
    assert "Nobody marked" in nothing.note
    alone = unitizing_alpha([("a", "x", 0, 5)], 100)
    assert np.isnan(alone.estimate)
    assert "two coders" in alone.note
    shares = specific_agreement(np.zeros((10, 2)))
    assert np.isnan(shares.positive.estimate)
    assert shares.positive.note
    assert shares.negative.estimate == 1
    assert "says nothing" in percent_agreement(np.zeros((10, 2))).note


def test_two_coders_who_never_agree_have_a_value():
    result = cohen_kappa([[0, 1]] * 30)
    assert result.estimate == pytest.approx(0)
    assert krippendorff_alpha([[0, 1]] * 30).estimate < 0


@pytest.mark.parametrize("interval", ["score", "wald", "bootstrap"])
def test_one_or_two_units_do_not_crash(interval):
    for ratings in ([[0, 1]], [[0, 1], [1, 1]]):
        for coefficient in CHANCE_CORRECTED:
            result = coefficient(ratings, interval=interval, random_state=0)
            assert result.note


def test_bootstrap_of_perfect_agreement_says_that_it_has_no_interval():
    ratings = np.repeat(np.array([[0.0], [1.0]] * 15), 2, axis=1)
    result = krippendorff_alpha(ratings, interval="bootstrap", random_state=1)
    assert result.estimate == 1
    assert np.isnan(result.conf_low)
    assert "alike" in result.note


def test_perfect_agreement_on_a_rare_category_proves_little():
    rare = np.zeros((60, 2))
    rare[:4] = 1
    even = np.zeros((60, 2))
    even[:30] = 1
    assert krippendorff_alpha(even).conf_low > 0.87
    assert krippendorff_alpha(rare).conf_low < 0.6
    assert specific_agreement(rare).positive.conf_low < 0.55  # four units
    assert specific_agreement(rare).negative.conf_low > 0.9
    assert "Only 4 units" in specific_agreement(rare).positive.note
    assert specific_agreement(rare).negative.note == ""
    assert gwet_ac(rare).conf_low > 0.9


def test_few_rare_units_are_said_not_to_be_trusted():
    rng = np.random.default_rng(2)
    truth = rng.random(50) < 0.06
    ratings = (rng.random((50, 2)) < np.where(truth, 0.9, 0.03)[:, None]).astype(float)
    assert "not to be trusted" in krippendorff_alpha(ratings).note
    assert "not to be trusted" in cohen_kappa(ratings).note
    assert gwet_ac(ratings).note == ""  # measured: AC1 keeps its level there
    balanced = (rng.random((50, 2)) < np.where(rng.random(50) < 0.5, 0.9, 0.1)[:, None]) * 1.0
    assert krippendorff_alpha(balanced).note == ""


# --- weights, clusters, bootstrap ------------------------------------------------------------


def noisy(n: int, coders: int, seed: int, prevalence: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < prevalence
    return (rng.random((n, coders)) < np.where(truth, 0.85, 0.1)[:, None]).astype(float)


@pytest.mark.parametrize("coefficient", [*MANY_CODERS, cohen_kappa, percent_agreement])
def test_equal_inclusion_probability_changes_nothing(coefficient):
    ratings = noisy(60, 2, 1)
    weighted = coefficient(ratings, inclusion_probability=np.full(60, 0.2))
    same(coefficient(ratings), weighted)


def test_unit_weights_are_copies_of_units():
    ratings = noisy(80, 3, 4)
    probability = np.where(np.arange(80) % 2, 1.0, 1 / 3)
    copies = np.repeat(ratings, np.where(np.arange(80) % 2, 1, 3), axis=0)
    for coefficient in (gwet_ac, fleiss_kappa, conger_kappa, brennan_prediger, percent_agreement):
        weighted = coefficient(ratings, inclusion_probability=probability)
        assert weighted.estimate == pytest.approx(coefficient(copies).estimate)
        assert weighted.std_error > coefficient(copies).std_error


def test_inclusion_probability_undoes_a_queue_that_picks_hard_narratives():
    ratings = noisy(100_000, 2, 70)
    disagree = ratings[:, 0] != ratings[:, 1]
    probability = np.where(disagree, 0.05, 0.01)
    whole = krippendorff_alpha(ratings).estimate
    estimates, held = [], 0
    for seed in range(60):
        drawn = np.random.default_rng(seed).random(len(ratings)) < probability
        weighted = krippendorff_alpha(ratings[drawn], inclusion_probability=probability[drawn])
        estimates.append(weighted.estimate)
        held += weighted.conf_low < whole < weighted.conf_high
    assert np.mean(estimates) == pytest.approx(whole, abs=0.01)
    assert held >= 52  # of 60; fewer has a chance of about one in a hundred at 95%
    assert krippendorff_alpha(ratings[drawn]).conf_high < whole - 0.3  # unweighted: badly off


def test_clusters_widen_the_interval_and_each_unit_its_own_cluster_does_not():
    rng = np.random.default_rng(9)
    hard = np.repeat(rng.random(30) < 0.5, 20)
    truth = rng.random(600) < 0.4
    miss = np.where(hard, 0.35, 0.02)
    ratings = np.column_stack([truth ^ (rng.random(600) < miss) for _ in range(2)]).astype(float)
    agency = np.repeat([f"agency {i}" for i in range(30)], 20)
    for interval in ("score", "wald", "bootstrap"):
        by_unit = krippendorff_alpha(ratings, interval=interval, random_state=1)
        by_agency = krippendorff_alpha(ratings, interval=interval, clusters=agency, random_state=1)
        assert by_agency.estimate == pytest.approx(by_unit.estimate)
        assert by_agency.std_error > 1.3 * by_unit.std_error
        wide = by_agency.conf_high - by_agency.conf_low
        assert wide > 1.3 * (by_unit.conf_high - by_unit.conf_low)
        assert by_agency.n_clusters == 30
    alone = krippendorff_alpha(ratings, clusters=np.arange(600), interval="wald")
    plain = krippendorff_alpha(ratings, interval="wald")
    assert alone.conf_low == pytest.approx(plain.conf_low)


def test_same_seed_same_draws_and_the_global_generator_is_left_alone():
    ratings = noisy(50, 3, 2)
    np.random.seed(5)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = gwet_ac(ratings, interval="bootstrap", random_state=3)
    second = gwet_ac(ratings, interval="bootstrap", random_state=3)
    assert first == second
    assert first != gwet_ac(ratings, interval="bootstrap", random_state=4)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_results_are_frozen_and_make_rows():
    result = gwet_ac(noisy(50, 2, 1))
    with pytest.raises(FrozenInstanceError):
        result.estimate = 1.0
    assert pd.DataFrame([result.to_dict()]).loc[0, "estimate"] == result.estimate


# --- coverage (the long run is benchmarks/reliability_coverage.py) ---------------------------


def coverage(coefficient, n, coders, prevalence, runs, seed):
    """Return the share of score intervals that hold the population value."""
    sensitivity, specificity = 0.85, 0.95
    share = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    both = prevalence * sensitivity**2 + (1 - prevalence) * (1 - specificity) ** 2
    agree = 1 - 2 * (share - both)
    by_chance = {
        gwet_ac: 2 * share * (1 - share),
        krippendorff_alpha: share**2 + (1 - share) ** 2,
        cohen_kappa: share**2 + (1 - share) ** 2,
        conger_kappa: share**2 + (1 - share) ** 2,
    }[coefficient]
    population = (agree - by_chance) / (1 - by_chance)
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(runs):
        truth = rng.random(n) < prevalence
        chance = np.where(truth, sensitivity, 1 - specificity)[:, None]
        ratings = (rng.random((n, coders)) < chance).astype(float)
        result = coefficient(ratings, categories=[0, 1])
        held += result.conf_low <= population <= result.conf_high
    return held / runs


@pytest.mark.parametrize("coefficient", [krippendorff_alpha, gwet_ac, cohen_kappa])
def test_score_interval_covers_in_a_short_run(coefficient):
    # 400 runs: four standard errors of a share of .95 are 4.4 points
    assert 0.91 < coverage(coefficient, 50, 2, 0.3, 400, 12) < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [0.3, 0.5])
@pytest.mark.parametrize("coders", [2, 4])
@pytest.mark.parametrize("n", [50, 200])
@pytest.mark.parametrize("name", ["alpha", "ac1", "kappa"])
def test_score_interval_covers(name, n, coders, prevalence):
    kappa = cohen_kappa if coders == 2 else conger_kappa
    coefficient = {"alpha": krippendorff_alpha, "ac1": gwet_ac, "kappa": kappa}[name]
    assert 0.93 <= coverage(coefficient, n, coders, prevalence, 1000, 20261122) <= 0.97


# --- benchmark levels ------------------------------------------------------------------------


def test_benchmark_probabilities_are_gwets():
    from scipy.stats import norm

    result = gwet_ac(units_of("krippendorff_canonical"))
    table = benchmark_probabilities(result).set_index("level")
    scale = norm.cdf((1 - result.estimate) / result.std_error)
    scale -= norm.cdf((-1 - result.estimate) / result.std_error)
    above = norm.cdf((1 - result.estimate) / result.std_error)
    above -= norm.cdf((0.8 - result.estimate) / result.std_error)
    assert table.loc["almost perfect", "probability"] == pytest.approx(above / scale)
    assert table["probability"].sum() == pytest.approx(1)
    assert table["cumulative"].iloc[-1] == pytest.approx(1)
    assert table["claimed"].sum() == 1
    assert table.loc["moderate", "claimed"]


def test_perfect_agreement_of_few_is_not_almost_perfect_for_sure():
    five = benchmark_probabilities(gwet_ac([[0, 0], [1, 1], [0, 0], [1, 1], [0, 0]]))
    many = benchmark_probabilities(gwet_ac([[0, 0], [1, 1]] * 200))
    assert not five.set_index("level").loc["almost perfect", "claimed"]
    assert many.set_index("level").loc["almost perfect", "claimed"]


@pytest.mark.parametrize("scale", sorted(reliability.SCALES))
def test_every_scale_spans_the_range(scale):
    table = benchmark_probabilities(AgreementResult("x", 0.5, std_error=0.2), scale)
    assert table["high"].iloc[0] == 1
    assert table["low"].iloc[-1] == -1
    assert (table["low"].iloc[:-1].to_numpy() == table["high"].iloc[1:].to_numpy()).all()
    certain = benchmark_probabilities(AgreementResult("x", 0.5, std_error=0.0), scale)
    assert certain["probability"].sum() == 1
    nothing = benchmark_probabilities(AgreementResult("x", float("nan")), scale)
    assert nothing["probability"].isna().all()
    assert not nothing["claimed"].any()


# --- messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: krippendorff_alpha([1, 2, 3]), "two dimensions"),
        (lambda: krippendorff_alpha([[1, 2], [3]]), "two dimensions"),
        (lambda: krippendorff_alpha([[1, 2]], "cosine"), "Available: nominal"),
        (lambda: krippendorff_alpha([["a", "b"]], "interval"), "numbers"),
        (lambda: krippendorff_alpha([["a", "b"]], "ordinal"), "order of the categories"),
        (lambda: krippendorff_alpha([[-1, 1], [2, 3]], "ratio"), "negative"),
        (lambda: krippendorff_alpha([[np.inf, 1]]), "infinite"),
        (lambda: gwet_ac([[1, {2}]]), "set_alpha"),
        (lambda: gwet_ac([[1, 2], [0, 5]], categories=[0, 1, 2]), "row 2"),
        (lambda: gwet_ac([[1, 2]], categories=[1, 2, 2]), "unique"),
        (lambda: gwet_ac([[1, 2]], weights="cubic"), "quadratic"),
        (lambda: gwet_ac([[1, 2]], weights=np.eye(3)), "2 × 2"),
        (lambda: gwet_ac([[1, 2]], weights=[[1, 2], [2, 1]]), "[0, 1]"),
        (lambda: gwet_ac([[1, 2]], inclusion_probability=[0.5, 0.5]), "1 units"),
        (lambda: gwet_ac([[1, 2]], inclusion_probability=[0]), "(0, 1]"),
        (lambda: gwet_ac([[1, 2]], inclusion_probability=["x"]), "numbers"),
        (lambda: gwet_ac([[1, 2]], clusters=["a", "b"]), "2 values"),
        (lambda: gwet_ac([[1, 2]], clusters=[None]), "missing in row 1"),
        (lambda: gwet_ac([[1, 2]], interval="exact"), "score"),
        (lambda: gwet_ac([[1, 2]], n_boot=10), "at least 100"),
        (lambda: gwet_ac([[1, 2]], confidence=95), "confidence"),
        (lambda: gwet_ac([[1, 2]], level=0.9), "'level' not found"),
        (lambda: cohen_kappa([[1, 2, 3]]), "conger_kappa"),
        (lambda: scott_pi([[1, 2, 3]]), "fleiss_kappa"),
        (lambda: specific_agreement([[1, 2], [3, 3]]), "positive="),
        (lambda: specific_agreement([[1, 2]], positive=7), "not found"),
        (lambda: set_alpha([("ab", {"a"})]), "set()"),
        (lambda: set_alpha([({"a"}, {"a"}), ({"a"},)]), "1 to 2"),
        (lambda: set_alpha([], categories=[1]), "no categories"),
        (lambda: unitizing_alpha([("a", "x", 5, 120)], 100), "outside the text"),
        (lambda: unitizing_alpha([("a", "x", 5)], 100), "tuples"),
        (lambda: unitizing_alpha([("a", "x", 5, 9)], "long"), "continuum"),
        (lambda: unitizing_alpha([("a", "x", 5, 9)], 0), "above zero"),
        (lambda: unitizing_alpha([("a", "x", 5, 9)], 10, coders=["b", "c"]), "not among"),
        (lambda: benchmark_probabilities(0.7), "result of a coefficient"),
    ],
)
def test_messages_say_what_to_do(call, words):
    with pytest.raises(DataError) as caught:
        call()
    assert words in str(caught.value)


# --- spans in several narratives -------------------------------------------------------------


def spans_table(rows):
    return pd.DataFrame(rows, columns=["incident_id", "coder_id", "category", "start", "end"])


def test_spans_over_narratives_have_an_interval():
    rng = np.random.default_rng(1)
    rows, lengths = [], {}
    for i in range(40):
        lengths[f"i{i}"] = 500
        if rng.random() < 0.7:
            start = int(rng.integers(0, 400))
            for coder in "ab":
                shift = int(rng.integers(-10, 11))
                rows.append((f"i{i}", coder, "x", max(start + shift, 0), start + 80))
    result = unitizing_alpha(spans_table(rows), lengths, random_state=1)
    assert 0.5 < result.conf_low < result.estimate < result.conf_high <= 1
    assert result.n_units == 40
    again = unitizing_alpha(spans_table(rows[::-1]), lengths, random_state=1)
    assert again.estimate == pytest.approx(result.estimate)
    swapped = spans_table(rows).replace({"coder_id": {"a": "b", "b": "a"}})
    assert unitizing_alpha(swapped, lengths).estimate == pytest.approx(result.estimate)


def test_touching_spans_of_one_coder_are_one():
    whole = [("a", "x", 10, 30), ("b", "x", 12, 30)]
    parts = [("a", "x", 10, 20), ("a", "x", 18, 25), ("a", "x", 25, 30), ("b", "x", 12, 30)]
    assert unitizing_alpha(parts, 100).estimate == pytest.approx(
        unitizing_alpha(whole, 100).estimate
    )


def test_spans_against_a_direct_count_of_the_formula():
    """Random spans against Krippendorff's sums written out one section at a time."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        length, m = 60, 3
        spans = []
        for coder in range(m):
            cuts = np.sort(rng.choice(length, size=4, replace=False))
            spans += [(coder, "x", *cuts[:2].tolist()), (coder, "x", *cuts[2:].tolist())]
        assert unitizing_alpha(spans, length).estimate == pytest.approx(
            direct_unitizing(spans, length, m)
        )


def direct_unitizing(spans, length, m):
    sections = []
    for coder in range(m):
        own = sorted((start, end) for c, _, start, end in spans if c == coder)
        at, cut = 0, []
        for start, end in own:
            if start > at:
                cut.append((at, start - at, 0))
            cut.append((start, end - start, 1))
            at = end
        if at < length:
            cut.append((at, length - at, 0))
        sections.append(cut)
    observed = 0.0
    for i in range(m):
        for j in range(m):
            if i == j:
                continue
            for b, size, v in sections[i]:
                for b2, size2, v2 in sections[j]:
                    if v and v2 and -size < b - b2 < size2:
                        observed += (b - b2) ** 2 + (b + size - b2 - size2) ** 2
                    elif v and not v2 and size2 - size >= b - b2 >= 0:
                        observed += size**2
                    elif v2 and not v and size - size2 >= b2 - b >= 0:
                        observed += size2**2
    observed /= m * (m - 1) * length**2
    units = [s for cut in sections for s in cut if s[2]]
    gaps = [s for cut in sections for s in cut if not s[2]]
    top = sum(
        (len(units) - 1) / 3 * (2 * size**3 - 3 * size**2 + size)
        + size**2 * sum(gap - size + 1 for _, gap, _ in gaps if gap >= size)
        for _, size, _ in units
    )
    bottom = m * length * (m * length - 1) - sum(size * (size - 1) for _, size, _ in units)
    return 1 - observed / (2 / length * top / bottom)


# --- tables of codings -----------------------------------------------------------------------


def codings_table(seed=1, incidents=60, coders=("ann", "bea"), categories=("red", "blue")):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(incidents):
        agency = f"agency {i % 12}"
        for category in categories:
            truth = rng.random() < 0.4
            for coder in coders:
                present = bool(rng.random() < (0.9 if truth else 0.08))
                severity = float(rng.integers(0, 3)) if present else np.nan
                spans = [(5, 20), (30, 44)][: 1 + i % 2] if present else [(np.nan, np.nan)]
                rows += [
                    (f"i{i:03}", coder, category, present, severity, start, end, agency)
                    for start, end in spans
                ]
    columns = ["incident_id", "coder_id", "category", "present", "severity"]
    return pd.DataFrame(rows, columns=[*columns, "evidence_start", "evidence_end", "agency_id"])


def test_ratings_from_codings_folds_spans():
    codings = codings_table()
    ratings = ratings_from_codings(codings, "red")
    assert ratings.shape == (60, 2)
    assert set(np.unique(ratings)) == {0.0, 1.0}
    with pytest.raises(DataError, match="Available: red, blue"):
        ratings_from_codings(codings, "green")


def test_agreement_table_has_each_category_and_all_together():
    codings = codings_table()
    table = agreement_table(codings)
    assert list(table.columns[:6]) == [
        "category",
        "coefficient",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
    ]
    assert set(table["category"]) == {"red", "blue", "(overall)"}
    red = table[table["category"] == "red"].set_index("coefficient")
    ratings = ratings_from_codings(codings, "red")
    assert red.loc["Gwet's AC1", "estimate"] == gwet_ac(ratings).estimate
    assert red.loc["Krippendorff's alpha, nominal", "estimate"] == pytest.approx(
        krippendorff_alpha(ratings).estimate
    )
    shares = specific_agreement(ratings)
    assert red.loc["positive agreement", "estimate"] == shares.positive.estimate
    assert red.loc["negative agreement", "estimate"] == shares.negative.estimate
    assert red.loc["percent agreement", "n_units"] == 60
    assert "Krippendorff's alpha, ordinal, severity" in red.index
    overall = table[table["category"] == "(overall)"]
    assert overall["coefficient"].str.contains("MASI").sum() == 1
    pooled = overall.set_index("coefficient").loc["percent agreement"]
    assert pooled["n_units"] == 120
    assert pooled["n_clusters"] == 60  # a narrative's decisions go together


def test_agreement_table_by_clusters_weights_and_spans():
    codings = codings_table()
    lengths = dict.fromkeys(codings["incident_id"].unique(), 50)
    table = agreement_table(
        codings, clusters="agency_id", lengths=lengths, interval="bootstrap", random_state=1
    )
    assert (table.loc[table["coefficient"] == "Gwet's AC1", "n_clusters"] == 12).all()
    spans = table[table["coefficient"].str.startswith("unitizing alpha")]
    assert set(spans["category"]) == {"red", "blue", "(overall)"}
    assert spans["estimate"].between(0.3, 1).all()
    again = agreement_table(
        codings, clusters="agency_id", lengths=lengths, interval="bootstrap", random_state=1
    )
    pd.testing.assert_frame_equal(table, again)
    probability = pd.Series(0.5, index=codings["incident_id"].unique())
    probability.iloc[::3] = 0.1
    weighted = agreement_table(codings, inclusion_probability=probability)
    ratings = ratings_from_codings(codings, "blue")
    direct = gwet_ac(ratings, inclusion_probability=probability.loc[ratings.index])
    row = weighted[(weighted["category"] == "blue") & (weighted["coefficient"] == "Gwet's AC1")]
    assert row["estimate"].item() == direct.estimate
    by = agreement_table(codings, by="agency_id")
    assert by.columns[0] == "agency_id"
    assert by["agency_id"].nunique() == 12
    with pytest.raises(DataError, match="no inclusion_probability"):
        agreement_table(codings, inclusion_probability=probability.iloc[1:])
    with pytest.raises(DataError, match="no length"):
        agreement_table(codings, lengths={"i000": 50})


def test_agreement_table_with_partial_overlap_and_one_coder():
    codings = codings_table(coders=("ann", "bea", "cyd"))
    half = codings["incident_id"] < "i030"
    left_out = ((codings["coder_id"] == "cyd") & half) | ((codings["coder_id"] == "ann") & ~half)
    partial = codings[~left_out]
    table = agreement_table(partial)
    assert table["estimate"].notna().all()
    alone = agreement_table(codings[codings["coder_id"] == "ann"])
    assert alone["estimate"].isna().all()
    assert (alone["note"].str.len() > 0).all()
    assert len(agreement_table(codings.iloc[:0])) == 0


def simple_codings(rows):
    """Return codings from (incident, coder, chosen categories) over categories a, b and c."""
    return pd.DataFrame(
        [
            (incident, coder, category, category in chosen)
            for incident, coder, chosen in rows
            for category in "abc"
        ],
        columns=["incident_id", "coder_id", "category", "present"],
    )


def test_where_coders_differ():
    codings = simple_codings(
        [
            ("i1", "x", "a"),
            ("i1", "y", "a"),
            ("i2", "x", "a"),
            ("i2", "y", "b"),
            ("i3", "x", "ab"),
            ("i3", "y", "a"),
            ("i4", "x", "c"),
        ]
    )
    table = disagreement_table(codings)
    assert list(table["incident_id"]) == ["i2", "i3", "i1"]
    assert list(table["disagreement"]) == pytest.approx([1, 1 - 1 / 2 * 2 / 3, 0])
    assert list(table["categories"]) == ["a, b", "b", ""]
    confusion = confusion_of_categories(codings)
    assert confusion.loc["a", "a"] == 4  # two in i1, two in i3
    assert confusion.loc["a", "b"] == 1
    assert confusion.loc["b", "a"] == 1
    assert confusion.loc["b", "(nothing else)"] == 1
    assert confusion.loc["c"].sum() == 0  # coded once
    assert confusion.loc["a"].sum() == 5


def test_confusion_counts_each_choice_once_however_many_coders():
    rows = [
        ("i1", coder, chosen) for coder, chosen in zip("wxyz", ["a", "a", "b", ""], strict=True)
    ]
    confusion = confusion_of_categories(simple_codings(rows))
    assert confusion.loc["a"].sum() == pytest.approx(2)
    assert confusion.loc["b"].sum() == pytest.approx(1)
    assert confusion_of_categories(simple_codings(rows).iloc[:0]).empty
    assert disagreement_table(simple_codings(rows).iloc[:0]).empty


# --- plots -----------------------------------------------------------------------------------


def test_plots_show_every_category():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from boundary_research.coding.reliability_plots import (
        plot_agreement,
        plot_benchmarks,
        plot_confusion,
    )

    codings = codings_table()
    axes = plot_agreement(agreement_table(codings))
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert any(label.startswith("red") for label in labels)
    assert any(label.startswith("(overall)") for label in labels)
    confusion = plot_confusion(confusion_of_categories(codings))
    assert len(confusion.get_yticklabels()) == 2
    result = gwet_ac(ratings_from_codings(codings, "red"))
    bars = plot_benchmarks(benchmark_probabilities(result))
    assert len(bars.patches) == 6
    with pytest.raises(DataError, match="coefficient"):
        plot_agreement(agreement_table(codings), coefficients=["nonsense"])
    with pytest.raises(DataError, match="categories"):
        plot_confusion(pd.DataFrame())
    plt.close("all")


# --- real data -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def convabuse():
    folder = Path(os.environ.get("BOUNDARY_RESEARCH_DATA", ROOT.parent / "shared" / "data"))
    file = folder / "convabuse_annotations.csv"
    if not file.exists():
        pytest.skip("convabuse_annotations.csv not found; set BOUNDARY_RESEARCH_DATA to its folder")
    table = pd.read_csv(file)
    item = ["conv_id", "prev_agent", "prev_user", "agent", "user"]
    levels = {f"is_abuse.{value}": value for value in (1, 0, -1, -2, -3)}
    table["severity"] = table[list(levels)].idxmax(axis=1).map(levels).astype(float)
    table["item"] = table.groupby(item, dropna=False).ngroup()
    kept = table.drop_duplicates(["item", "annotator_id"])  # repeats of one annotator dropped
    return kept.pivot(index="item", columns="annotator_id", values="severity")


def test_convabuse_alphas(convabuse):
    assert convabuse.shape == (4185, 8)
    each = convabuse.notna().sum(axis=1)
    assert (each.min(), each.max()) == (2, 7)
    for metric, alpha in {"interval": 0.734, "ordinal": 0.660, "nominal": 0.437}.items():
        assert krippendorff_alpha(convabuse, metric).estimate == pytest.approx(alpha, abs=5e-4)
    binary = (convabuse < 0).astype(float).where(convabuse.notna())
    assert krippendorff_alpha(binary).estimate == pytest.approx(0.652, abs=5e-4)


def test_convabuse_bootstrap_takes_under_ten_seconds(convabuse):
    import time

    start = time.perf_counter()
    result = krippendorff_alpha(
        convabuse, "ordinal", interval="bootstrap", n_boot=2000, random_state=1
    )
    assert time.perf_counter() - start < 10
    assert result.conf_low < 0.660 < result.conf_high
    assert result.std_error == pytest.approx(
        krippendorff_alpha(convabuse, "ordinal").std_error, rel=0.05
    )


def test_no_warning_on_any_path():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for coefficient in CHANCE_CORRECTED:
            coefficient([[0, 1], [np.nan, 1]])
            coefficient(np.eye(2))
