"""Dawid and Skene's model: known truth, direct maximisation, identification, intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from boundary_research._checks import DataError
from boundary_research.coding._latent_classes import PSEUDO_COUNT
from boundary_research.coding.annotator_quality import coder_quality_table, dawid_skene


def simulate(n, sensitivity, specificity, prevalence=0.3, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < prevalence
    chance = np.where(truth[:, None], sensitivity, 1 - np.asarray(specificity))
    ratings = (rng.random(chance.shape) < chance).astype(float)
    ratings[rng.random(chance.shape) < missing] = np.nan
    return ratings, truth


def test_exact_pattern_frequencies_give_back_the_parameters():
    """Three coders and two classes are a saturated model: 7 shares, 7 parameters."""
    sensitivity, specificity = np.array([0.9, 0.75, 0.6]), np.array([0.95, 0.8, 0.9])
    patterns = np.array(list(np.ndindex(2, 2, 2)))
    present = np.where(patterns == 1, sensitivity, 1 - sensitivity).prod(axis=1)
    absent = np.where(patterns == 0, specificity, 1 - specificity).prod(axis=1)
    times = np.rint(200_000 * (0.3 * present + 0.7 * absent)).astype(int)
    result = dawid_skene(np.repeat(patterns, times, axis=0), n_boot=100, random_state=1)
    assert result.prevalence == pytest.approx(0.3, abs=1e-3)
    assert result.coders["sensitivity"].to_numpy() == pytest.approx(sensitivity, abs=1e-3)
    assert result.coders["specificity"].to_numpy() == pytest.approx(specificity, abs=1e-3)


def test_fit_is_the_maximum_of_the_penalised_likelihood():
    ratings, _ = simulate(150, [0.9, 0.7, 0.8, 0.85], [0.9, 0.95, 0.8, 0.85], seed=9, missing=0.2)
    ratings = ratings[~np.isnan(ratings).all(axis=1)]
    result = dawid_skene(ratings, n_boot=100, random_state=1)

    def loss(x):
        share = expit(x)
        prevalence, sensitivity, specificity = share[0], share[1:5], share[5:9]
        yes, no = ratings == 1, ratings == 0
        present = (yes * np.log(sensitivity) + no * np.log(1 - sensitivity)).sum(axis=1)
        absent = (no * np.log(specificity) + yes * np.log(1 - specificity)).sum(axis=1)
        fit = np.logaddexp(np.log(prevalence) + present, np.log(1 - prevalence) + absent).sum()
        return -fit - PSEUDO_COUNT * np.sum(np.log(share) + np.log(1 - share))

    found = minimize(loss, logit(np.r_[0.3, np.full(8, 0.8)]), method="BFGS")
    share = expit(found.x)
    assert result.prevalence == pytest.approx(share[0], abs=1e-3)
    assert result.coders["sensitivity"].to_numpy() == pytest.approx(share[1:5], abs=1e-3)
    assert result.coders["specificity"].to_numpy() == pytest.approx(share[5:9], abs=1e-3)


def test_known_truth_is_recovered_with_unequal_overlap():
    sensitivity, specificity = [0.95, 0.8, 0.6, 0.9, 0.75], [0.97, 0.9, 0.95, 0.8, 0.85]
    ratings, truth = simulate(4000, sensitivity, specificity, seed=2, missing=0.4)
    result = dawid_skene(ratings, n_boot=200, random_state=1)
    coders = result.coders
    assert result.converged
    assert result.prevalence == pytest.approx(0.3, abs=0.02)
    assert coders["sensitivity"].to_numpy() == pytest.approx(sensitivity, abs=0.05)
    assert coders["specificity"].to_numpy() == pytest.approx(specificity, abs=0.03)
    for key in ("sensitivity", "specificity"):
        assert (coders[f"{key}_low"] < coders[key]).all()
        assert (coders[key] < coders[f"{key}_high"]).all()
    coded = ~np.isnan(ratings).all(axis=1)
    assert result.posterior.notna().to_numpy().tolist() == coded.tolist()
    guessed = result.posterior.to_numpy()[coded] > 0.5
    assert np.mean(guessed == truth[coded]) > 0.9


def coverage(runs, seed):
    sensitivity, specificity = np.array([0.9, 0.8, 0.7, 0.85]), np.array([0.95, 0.9, 0.9, 0.85])
    held = np.zeros(8)
    for run in range(runs):
        ratings, _ = simulate(200, sensitivity, specificity, seed=seed + run)
        coders = dawid_skene(ratings, n_boot=100, random_state=run).coders
        for offset, key, true in ((0, "sensitivity", sensitivity), (4, "specificity", specificity)):
            inside = coders[f"{key}_low"].le(true) & coders[f"{key}_high"].ge(true)
            held[offset : offset + 4] += inside.to_numpy()
    return held / runs


def test_intervals_cover_in_a_short_run():
    assert coverage(40, 100).mean() > 0.9


@pytest.mark.slow
def test_intervals_cover():
    held = coverage(500, 5000)
    assert 0.92 < held.mean() < 0.99
    assert held.min() > 0.9


def test_order_of_units_and_coders_does_not_matter():
    ratings, _ = simulate(300, [0.9, 0.8, 0.7], [0.9, 0.95, 0.85], seed=4)
    first = dawid_skene(ratings, n_boot=100, random_state=1)
    order = np.random.default_rng(0).permutation(300)
    second = dawid_skene(ratings[order][:, ::-1], n_boot=100, random_state=1)
    np.testing.assert_allclose(
        first.coders["sensitivity"], second.coders["sensitivity"][::-1], atol=1e-5
    )
    np.testing.assert_allclose(first.posterior[order], second.posterior, atol=1e-4)


def test_weights_are_copies_and_clusters_widen():
    ratings, _ = simulate(300, [0.9, 0.8, 0.7], [0.9, 0.95, 0.85], seed=6)
    weight = np.where(np.arange(300) % 2, 1, 2)
    weighted = dawid_skene(ratings, inclusion_probability=1 / weight, n_boot=100, random_state=1)
    copies = dawid_skene(np.repeat(ratings, weight, axis=0), n_boot=100, random_state=1)
    np.testing.assert_allclose(
        weighted.coders["sensitivity"], copies.coders["sensitivity"], atol=0.01
    )
    doubled = np.repeat(ratings, 4, axis=0)
    by_unit = dawid_skene(doubled, n_boot=300, random_state=1).coders
    by_cluster = dawid_skene(
        doubled, clusters=np.repeat(np.arange(300), 4), n_boot=300, random_state=1
    ).coders
    widths = [c["sensitivity_high"] - c["sensitivity_low"] for c in (by_unit, by_cluster)]
    assert (widths[1] > 1.5 * widths[0]).all()


def test_two_coders_do_not_identify_the_model():
    ratings, _ = simulate(500, [0.9, 0.8], [0.9, 0.9], seed=3)
    result = dawid_skene(ratings)
    assert result.coders["sensitivity"].isna().all()
    assert np.isnan(result.prevalence)
    assert "three coders" in result.note
    pairs, _ = simulate(300, [0.9, 0.8, 0.7], [0.9, 0.9, 0.9], seed=3)
    pairs[np.arange(300), np.arange(300) % 3] = np.nan  # each unit has two of the three
    assert "identify" in dawid_skene(pairs).note


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_category_or_nothing_gives_no_value(value):
    for ratings in (np.full((20, 3), value), np.full((20, 3), np.nan), np.empty((0, 3))):
        result = dawid_skene(ratings)
        assert result.coders["sensitivity"].isna().all()
        assert "alike" in result.note


def test_a_coder_who_errs_never_is_not_called_perfect():
    truth = np.arange(60) % 2
    ratings = np.column_stack([truth, truth, truth, np.where(np.arange(60) < 6, 1 - truth, truth)])
    coders = dawid_skene(ratings, n_boot=100, random_state=1).coders
    assert (coders["sensitivity"] < 1).all()
    assert (coders["sensitivity_low"] < 0.92).all()


def test_few_narratives_and_a_contrary_coder_are_said():
    ratings, _ = simulate(120, [0.9, 0.8, 0.85], [0.97, 0.98, 0.97], prevalence=0.04, seed=1)
    assert dawid_skene(ratings, n_boot=100).coders["note"].str.contains("few narratives").all()
    contrary, _ = simulate(500, [0.9, 0.9, 0.9, 0.2], [0.9, 0.9, 0.9, 0.2], seed=1)
    assert "worse than chance" in dawid_skene(contrary, n_boot=100).note


def test_table_has_each_category_and_coder():
    rng = np.random.default_rng(3)
    rows = []
    for i in range(150):
        for category in ("red", "blue"):
            truth = rng.random() < 0.4
            for coder in ("ann", "bea", "cyd") if category == "red" else ("ann", "bea"):
                present = bool(rng.random() < (0.9 if truth else 0.1))
                rows.append((f"i{i}", coder, category, present))
    codings = pd.DataFrame(rows, columns=["incident_id", "coder_id", "category", "present"])
    table = coder_quality_table(codings, n_boot=100, random_state=1)
    assert len(table) == 5
    red = table[table["category"] == "red"]
    assert red["sensitivity"].between(0.7, 1).all()
    assert red["prevalence"].between(0.3, 0.5).all()
    blue = table[table["category"] == "blue"]
    assert blue["sensitivity"].isna().all()
    assert blue["note"].str.count("three coders").eq(1).all()
    pd.testing.assert_frame_equal(table, coder_quality_table(codings, n_boot=100, random_state=1))
    assert coder_quality_table(codings.iloc[:0]).empty


def test_messages_say_what_to_do():
    with pytest.raises(DataError, match="categories"):
        dawid_skene([[0, 1, 2]])
    with pytest.raises(DataError, match="n_boot"):
        dawid_skene([[0, 1, 1]], n_boot=5)
    with pytest.raises(DataError, match="confidence"):
        dawid_skene([[0, 1, 1]], confidence=95)
