"""The answers to a reviewer's questions, on published values and on registries of known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from boundary_research._checks import DataError
from boundary_research.corpus.simulate import ClassifierError, Given, simulate_registry
from boundary_research.inference._error_rates import _rates
from boundary_research.inference.risk import risk_factors
from boundary_research.inference.sensitivity import (
    compare_designs,
    cut_point_sensitivity,
    describe_estimand,
    e_value,
    error_by_group,
    first_incident_sensitivity,
    garwood_interval,
    incidence_rates,
    reporting_tipping_point,
    required_reporting,
    wilson_interval,
)
from boundary_research.inference.shares import prevalence

SETTING = {"setting": {"city": 0.6, "village": 0.4}}


def ratios(ratio=1.8, low=1.2, high=2.7):
    return pd.DataFrame(
        {
            "term": ["Intercept", "setting[T.village]"],
            "category": "kin",
            "estimator": "dsl",
            "odds_ratio": [0.3, ratio],
            "odds_ratio_low": [0.2, low],
            "odds_ratio_high": [0.4, high],
        }
    )


# E-values


@pytest.mark.parametrize(
    ("ratio", "low", "high", "expected", "limit"),
    [
        (3.9, 1.8, 8.7, 7.26, 3.00),  # VanderWeele and Ding 2017, breastfeeding and infant death
        (1 / 3.9, 1 / 8.7, 1 / 1.8, 7.26, 3.00),
        (1.0, 0.8, 1.2, 1.0, 1.0),
        (1.4, 0.9, 2.0, 1.4 + np.sqrt(1.4 * 0.4), 1.0),
    ],
)
def test_e_values(ratio, low, high, expected, limit):
    row = e_value(ratio, low, high, measure="risk ratio").iloc[0]
    assert row["e_value"] == pytest.approx(expected, abs=0.005)
    assert row["e_value_limit"] == pytest.approx(limit, abs=0.005)


def test_an_odds_ratio_of_a_common_outcome_counts_as_its_square_root():
    common = e_value(4.0, 1.44, 9.0, measure="odds ratio").iloc[0]
    as_risk = e_value(2.0, 1.2, 3.0, measure="risk ratio").iloc[0]
    assert common["e_value"] == pytest.approx(as_risk["e_value"])
    assert common["e_value_limit"] == pytest.approx(as_risk["e_value_limit"])
    rare = e_value(4.0, measure="odds ratio", common_outcome=False).iloc[0]
    assert rare["e_value"] == pytest.approx(4 + np.sqrt(12))
    assert np.isnan(rare["e_value_limit"])


@given(st.floats(0.01, 100))
def test_the_e_value_is_the_least_confounding_that_explains_a_ratio(ratio):
    e = e_value(ratio, measure="risk ratio")["e_value"].item()
    # Ding and VanderWeele's bounding factor at equal strengths.
    assert e * e / (2 * e - 1) == pytest.approx(max(ratio, 1 / ratio))


def test_e_values_of_a_table_leave_the_intercept_out():
    table = e_value(ratios())
    assert table["term"].tolist() == ["setting[T.village]"]
    assert table["measure"].tolist() == ["odds ratio"]
    assert table["e_value"].item() == pytest.approx(
        e_value(1.8, measure="odds ratio")["e_value"].item()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0,), "above 0"),
        ((2.0, 2.5, 3.0), "outside its limits"),
        ((pd.DataFrame({"estimate": [1.0]}),), "no column"),
    ],
)
def test_e_value_errors(arguments, message):
    with pytest.raises(DataError, match=message):
        e_value(*arguments, measure="risk ratio")


def test_the_measure_of_a_bare_number_must_be_said():
    with pytest.raises(DataError, match="measure None not found"):
        e_value(2.0)


# Reporting


@given(st.floats(0.05, 20), st.floats(1.01, 3))
def test_at_the_tipping_point_nothing_is_left(ratio, width):
    table = reporting_tipping_point(ratios(ratio, ratio / width, ratio * width))
    point = table["tipping_point"].iloc[0]
    limit = table["tipping_point_limit"].iloc[0]
    at = reporting_tipping_point(
        ratios(ratio, ratio / width, ratio * width), relative_reporting=[point, limit, 1.0]
    )
    assert at["ratio"].iloc[0] == pytest.approx(1)
    nearer = at.iloc[1]
    assert (
        min(abs(np.log(nearer["ratio_low"])), abs(np.log(nearer["ratio_high"]))) < 1e-9
        or limit == 1
    )
    assert at["ratio"].iloc[2] == pytest.approx(ratio)
    assert table["relative_reporting"].min() < min(point, 1 / point)
    assert table["relative_reporting"].max() > max(point, 1 / point)


def test_conclusions_along_the_curve():
    table = reporting_tipping_point(ratios(), relative_reporting=[1, 1.19, 1.21, 2.69, 2.71])
    remains, unclear, turned = (
        "the association remains",
        "no clear association",
        "the association is reversed",
    )
    assert table["conclusion"].tolist() == [remains, remains, unclear, unclear, turned]
    assert "relative to the other incidents" in table.attrs["meaning"]
    below = reporting_tipping_point(ratios(0.5, 0.4, 0.8), relative_reporting=[1, 0.7, 0.3])
    assert below["conclusion"].tolist() == [remains, unclear, turned]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1.8, 1.2, 2.7), "reported 1.20 times as readily at the exposed level as at the"),
        ((0.5, 0.4, 0.8), "at 0.50 times, reporting alone would explain it."),
        ((1.1, 0.8, 1.5), "The interval takes in 1, so there is no clear association to explain."),
    ],
)
def test_a_sentence_says_what_reporting_would_make_of_an_estimate(numbers, words):
    table = reporting_tipping_point(ratios(*numbers))
    assert table["reading"].nunique() == 1
    reading = table["reading"].iloc[0]
    assert words in reading
    assert reading.startswith(f"The odds ratio is {numbers[0]:.2f} ({numbers[1]:.2f} to ")


def test_the_tipping_point_is_the_reporting_that_made_the_association():
    """An association that only reporting makes is erased by exactly that difference in reporting."""
    registry = simulate_registry(
        400_000,
        prevalence={"kin": 0.2, "gift": 0.1},
        attributes=SETTING,
        reporting={
            "setting": {"village": 0.5},
            ("setting", "category"): {("city", "kin"): 0.5},
        },
        random_state=1,
    )
    coded = registry.coded
    shares = prevalence(
        coded,
        registry.draw_gold(2000, random_state=2),
        by="setting",
        incidents=registry.incidents,
        trained_on_gold=False,
        clusters=None,
        estimators=["dsl"],
    )
    table = reporting_tipping_point(
        shares, by="setting", exposed="village", reference="city", relative_reporting=[1.0, 2.0]
    ).query("category == 'kin'")
    assert table["tipping_point"].iloc[0] == pytest.approx(2.0, rel=0.03)
    corrected = table.iloc[1]
    assert corrected["ratio_low"] < 1 < corrected["ratio_high"]
    gift = reporting_tipping_point(shares, by="setting", exposed="village", reference="city")
    assert gift.query("category == 'gift'")["tipping_point"].iloc[0] == pytest.approx(1.0, abs=0.05)


def test_a_ratio_of_shares_of_two_independent_groups():
    shares = pd.DataFrame(
        {
            "term": "share",
            "category": "kin",
            "estimator": "gold_only",
            "estimate": [0.3, 0.2],
            "std_error": [np.sqrt(0.21 / 500), np.sqrt(0.16 / 400)],
            "setting": ["village", "city"],
        }
    )
    row = reporting_tipping_point(
        shares, by="setting", exposed="village", reference="city", relative_reporting=[1]
    ).iloc[0]
    cells = np.array([[150, 350], [80, 320]])
    odds = cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0])
    half = 1.959964 * np.sqrt((1 / cells).sum())  # Woolf 1955
    assert row["ratio"] == pytest.approx(odds)
    assert row["ratio_low"] == pytest.approx(odds * np.exp(-half), rel=1e-6)
    with pytest.raises(DataError, match="'moon' not found in setting"):
        reporting_tipping_point(shares, by="setting", exposed="moon", reference="city")


def test_required_reporting_is_a_probability_or_missing():
    table = required_reporting(ratios(), baseline_reporting=[0.07, 0.6, 0.9])
    assert table["required"].iloc[0] == pytest.approx(0.126)
    assert table["required_limit"].iloc[1] == pytest.approx(0.72)
    assert table["required"].iloc[1:].isna().all()
    assert np.isnan(table["required_limit"].iloc[2])
    with pytest.raises(DataError, match="baseline_reporting"):
        required_reporting(ratios(), baseline_reporting=[0.0])


def test_tipping_point_errors():
    with pytest.raises(DataError, match="no ratio with limits"):
        reporting_tipping_point(pd.DataFrame({"estimate": [1.0]}))
    with pytest.raises(DataError, match="numbers above 0"):
        reporting_tipping_point(ratios(), relative_reporting=[0.0])
    with pytest.raises(DataError, match="all are missing"):
        reporting_tipping_point(ratios(np.nan, np.nan, np.nan))


# Rates


def test_rates_and_exact_intervals():
    incidents = pd.DataFrame({"setting": ["rural"] * 41 + ["urban"] * 15 + [None, "not_stated"]})
    table = incidence_rates(
        incidents, {"rural": 28010, "urban": 19017}, by="setting", reference="urban"
    )
    rural, urban = table.set_index("group").loc[["rural", "urban"]].itertuples()
    assert rural.rate == pytest.approx(41 / 28.010)
    # chi-squared limits of a Poisson mean, and Clopper-Pearson limits of a binomial share
    assert rural.conf_low == pytest.approx(stats.chi2.ppf(0.025, 82) / 2 / 28.010)
    interval = stats.binomtest(41, 56).proportion_ci(method="exact")
    for found, share in (
        (rural.rate_ratio_low, interval.low),
        (rural.rate_ratio_high, interval.high),
    ):
        assert found == pytest.approx(share / (1 - share) * 19017 / 28010)
    assert np.isnan(urban.rate_ratio)
    assert table.attrs["n_not_stated"] == 2
    assert table["term"].tolist() == ["setting[T.rural]", "setting"]
    tipped = reporting_tipping_point(table, relative_reporting=[1])
    assert tipped["tipping_point"].item() == pytest.approx(rural.rate_ratio)
    assert e_value(table)["measure"].iloc[0] == "rate ratio"


def test_the_p_value_agrees_with_the_interval():
    for events in range(5, 60):
        incidents = pd.DataFrame({"g": ["x"] * events + ["y"] * 30})
        row = incidence_rates(incidents, {"x": 1.0, "y": 1.5}, by="g", reference="y").iloc[0]
        outside = row["rate_ratio_low"] > 1 or row["rate_ratio_high"] < 1
        assert outside == (row["p_value"] < 0.05)


def test_garwood_intervals_cover():
    rng = np.random.default_rng(1)
    for mean in (1.3, 6.0, 40.0):
        low, high = garwood_interval(rng.poisson(mean, 20_000))
        assert ((low <= mean) & (mean <= high)).mean() > 0.945


def test_rates_of_categories_from_shares():
    incidents = pd.DataFrame({"setting": ["rural"] * 400 + ["urban"] * 600})
    share = np.array([0.3, 0.2])
    shares = pd.DataFrame(
        {
            "setting": ["rural", "urban"],
            "category": "kin",
            "estimator": "dsl",
            "estimate": share,
            "std_error": np.sqrt(share * (1 - share) / [400, 600]),
        }
    )
    table = incidence_rates(
        incidents, {"rural": 1000.0, "urban": 3000.0}, by="setting", shares=shares
    )
    row = table.query("category == 'kin' and group == 'rural'").iloc[0]
    assert row["events"] == pytest.approx(120)
    assert row["rate"] == pytest.approx(120)
    # With every narrative coded, the number is a Poisson count of 120 (and 120 in urban places).
    assert row["conf_high"] / row["rate"] == pytest.approx(np.exp(1.959964 / np.sqrt(120)))
    assert row["rate_ratio"] == pytest.approx(3)
    assert row["rate_ratio_high"] == pytest.approx(3 * np.exp(1.959964 * np.sqrt(2 / 120)))


def test_small_counts_are_held_back():
    incidents = pd.DataFrame({"g": ["x"] * 3 + ["y"] * 30 + ["z"] * 9})
    table = incidence_rates(incidents, {"x": 10.0, "y": 50.0, "z": 20.0}, by="g").set_index("group")
    assert table.loc[["x", "z"], ["events", "rate", "rate_ratio"]].isna().all(axis=None)
    assert table.loc["y", "events"] == 30


@pytest.mark.parametrize("measure", ["risk", "rate", "risk ratio"])
def test_no_talk_of_risk_without_denominators(measure):
    with pytest.raises(DataError, match="case-only data"):
        describe_estimand(measure)
    assert "reported incident" in describe_estimand(measure, exposure={"rural": 1})
    assert describe_estimand("share") == "share of reported incidents"


def test_rates_refuse_missing_denominators():
    incidents = pd.DataFrame({"setting": ["rural", "urban"]})
    with pytest.raises(DataError, match="cannot be stated without denominators"):
        incidence_rates(incidents, None, by="setting")
    with pytest.raises(DataError, match="no number for setting = 'urban'"):
        incidence_rates(incidents, {"rural": 10.0}, by="setting")
    with pytest.raises(DataError, match="above 0"):
        incidence_rates(incidents, {"rural": 10.0, "urban": 0.0}, by="setting")
    with pytest.raises(DataError, match="reference 'town' not found"):
        incidence_rates(incidents, {"rural": 1, "urban": 2}, by="setting", reference="town")


# Errors of the classifier


@given(st.integers(1, 200), st.data())
def test_wilson_agrees_with_statsmodels(n, data):
    count = data.draw(st.integers(0, n))
    low, high = wilson_interval(count / n, n)
    expected = proportion_confint(count, n, method="wilson")
    assert (float(low), float(high)) == pytest.approx(expected, abs=1e-12)


def sampled(error, seed, *, n=6000, by=None, size=1500, icc=0.0):
    registry = simulate_registry(
        n,
        prevalence={"kin": 0.3, "gift": 0.3},
        attributes=SETTING,
        classifier_error=error,
        icc=icc,
        n_agencies=60,
        random_state=seed,
    )
    return registry, registry.draw_gold(size, by=by, random_state=seed)


def test_error_by_group_finds_the_rates_and_the_difference():
    error = {
        "kin": ClassifierError(0.85, 0.95, "setting", {"village": (0.65, 0.85)}),
        "gift": ClassifierError(0.8, 0.9),
    }
    registry, gold = sampled(error, 3, by="setting")
    table = error_by_group(registry.coded, gold, registry.incidents, by="setting", clusters=None)
    truth = registry.truth.error.set_index(["category", "level"])
    for row in table.query("group != 'all'").itertuples():
        level = row.group if row.category == "kin" else ""
        expected = truth.loc[(row.category, level), row.measure]
        assert row.conf_low - 0.03 < expected < row.conf_high + 0.03
    p_values = table.groupby("category")["p_adjusted"].max()
    assert p_values["kin"] < 0.001
    assert p_values["gift"] > 0.05
    assert table["group"].unique().tolist() == ["all", "city", "village"]


def test_weights_undo_an_unequal_draw():
    """Over all groups the share correct is that of the population, not of the sample."""
    error = ClassifierError(0.9, 0.95, "setting", {"village": (0.5, 0.7)})
    registry, gold = sampled(error, 4, n=20_000, by="setting", size=4000)
    table = error_by_group(registry.coded, gold, registry.incidents, by="setting", clusters=None)
    row = table.query("category == 'kin' and measure == 'sensitivity' and group == 'all'").iloc[0]
    truth = registry.predicted[:, 0][registry.present[:, 0]].mean()
    assert row["conf_low"] < truth < row["conf_high"]
    drawn = gold.query("category == 'kin' and present")["incident_id"]
    rows = registry.incidents["incident_id"].isin(drawn).to_numpy()
    assert abs(registry.predicted[rows, 0].mean() - truth) > 0.03


def test_equal_weights_give_plain_wilson_intervals():
    registry, gold = sampled(ClassifierError(0.8, 0.9), 5)
    table = error_by_group(registry.coded, gold, registry.incidents, by="setting", clusters=None)
    low, high = wilson_interval(table["estimate"], table["n_gold"])
    assert np.allclose(table["conf_low"], low)
    assert np.allclose(table["conf_high"], high)
    assert (table["test"] == "chi-squared").all()


def differential_p_values(size, *, runs, icc=0.0, unequal=False, gap=0.0):
    """P-values of equal sensitivity in three groups, 40 clusters that each lie in one group."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(runs):
        cluster = rng.integers(40, size=size)
        group = np.arange(40)[cluster] % 3
        common = rng.beta(0.8 * (1 / icc - 1), 0.2 * (1 / icc - 1), 40) if icc else np.full(40, 0.8)
        correct = (rng.random(size) < common[cluster] - gap * (group == 2)).astype(float)
        weight = np.where(rng.random(size) < 0.5, 4.0, 1.0) if unequal else np.ones(size)
        table = _rates(correct, weight, group, ["a", "b", "c"], cluster if icc else None, 0.95, rng)
        found.append(table["p_value"].iloc[0])
    return np.array(found)


@pytest.mark.parametrize(
    ("size", "icc", "unequal"), [(30, 0, False), (400, 0, False), (400, 0, True), (800, 0.1, False)]
)
def test_the_test_of_differential_error_keeps_its_level(size, icc, unequal):
    p_values = differential_p_values(size, runs=800, icc=icc, unequal=unequal)
    assert 0.02 < (p_values < 0.05).mean() < 0.085


def test_the_test_of_differential_error_has_power():
    assert (differential_p_values(400, runs=100, gap=0.25) < 0.05).mean() > 0.9


def test_a_group_in_one_agency_has_no_interval():
    registry, gold = sampled(ClassifierError(0.8, 0.9), 6)
    incidents = registry.incidents.assign(
        agency_id=np.where(
            registry.incidents["setting"] == "village", "only", registry.incidents["agency_id"]
        )
    )
    table = error_by_group(registry.coded, gold, incidents, by="setting").set_index("group")
    assert table.loc["village", ["conf_low", "p_value"]].isna().all(axis=None)
    assert table.loc["village", "estimate"].notna().all()
    assert (table.loc["village", "note"] == "one cluster: no interval").all()
    assert table.loc["city", "conf_low"].notna().all()


def test_small_groups_of_gold_codes_are_held_back():
    registry, _ = sampled(ClassifierError(0.8, 0.9), 6, n=400, size=30)
    gold = registry.draw_gold(12, random_state=6)
    table = error_by_group(registry.coded, gold, registry.incidents, by="setting", clusters=None)
    shown = table.query("group != 'all'").dropna(subset=["estimate"])
    assert (shown["n_gold"] >= 5).all()
    assert table["note"].eq("held back: few gold incidents").any()


# Designs


@pytest.fixture(scope="module")
def biased():
    """Boundary incidents of all kinds are reported less in villages; the effect on kin is real."""
    return simulate_registry(
        60_000,
        prevalence={"kin": 0.15, "control": 0.2, "other": 0.2},
        effects={"kin": {"setting": {"village": 0.9}}},
        attributes=SETTING,
        reporting={("setting", "severity"): {("village", level): 0.5 for level in (0, 1, 2)}},
        classifier_error=ClassifierError(0.8, 0.93, "setting", {"village": (0.65, 0.9)}),
        random_state=9,
    )


def designs(registry, gold, **options):
    table = compare_designs(
        "~ setting",
        registry.incidents,
        registry.coded,
        gold,
        category="kin",
        negative_control="control",
        trained_on_gold=False,
        clusters=None,
        **options,
    )
    return table.set_index(["design", "estimator"])


def test_the_negative_control_takes_the_reporting_bias_off(biased):
    table = designs(biased, biased.gold, estimators=["gold_only"]).droplevel("estimator")
    # Everything is coded here, so only chance is left: a log odds ratio of .9, halved reporting.
    assert table.loc["no_category", "estimate"] == pytest.approx(0.9 + np.log(0.5), abs=0.08)
    assert table.loc["control_against_no_category", "estimate"] == pytest.approx(
        np.log(0.5), abs=0.08
    )
    assert table.loc["other_categories", "estimate"] == pytest.approx(0.9, abs=0.1)
    assert table.loc["negative_control", "estimate"] == pytest.approx(0.9, abs=0.1)
    assert table.loc["control_against_other_categories", "estimate"] == pytest.approx(0, abs=0.08)


def test_designs_are_corrected_for_classifier_error(biased):
    truth = designs(biased, biased.gold, estimators=["gold_only"]).xs("gold_only", level=1)
    table = designs(biased, biased.draw_gold(6000, by="setting", random_state=3))
    corrected, naive = table.xs("dsl", level=1), table.xs("naive", level=1)
    assert (np.abs(corrected["estimate"] - truth["estimate"]) < 3 * corrected["std_error"]).all()
    assert (np.abs(naive["estimate"] - truth["estimate"]) / naive["std_error"]).max() > 4
    assert (corrected["odds_ratio_low"] < corrected["odds_ratio"]).all()
    assert table.index.get_level_values("design").nunique() == 5


def test_prediction_powered_designs_are_right_and_no_longer_than_those_of_gold_codes(biased):
    truth = designs(biased, biased.gold, estimators=["gold_only"]).xs("gold_only", level=1)
    gold = biased.draw_gold(6000, by="setting", random_state=3)
    table = designs(biased, gold, estimators=["gold_only", "ppi"])
    powered, alone = table.xs("ppi", level=1), table.xs("gold_only", level=1)
    assert (np.abs(powered["estimate"] - truth["estimate"]) < 3 * powered["std_error"]).all()
    assert (powered["std_error"] < 0.95 * alone["std_error"]).all()


def test_several_categories_are_compared_each_on_its_own(biased):
    gold = biased.draw_gold(6000, random_state=4)
    options = {"clusters": None, "trained_on_gold": False, "estimators": ["dsl"]}
    arguments = ("~ setting", biased.incidents, biased.coded, gold)
    both = compare_designs(
        *arguments, category=["kin", "other"], negative_control="control", **options
    )
    assert list(pd.unique(both["in_question"])) == ["kin", "other"]
    one = compare_designs(*arguments, category="kin", negative_control="control", **options)
    pd.testing.assert_frame_equal(
        both[both["in_question"] == "kin"].drop(columns="p_adjusted"),
        one.drop(columns="p_adjusted"),
        check_dtype=False,
    )
    assert both.attrs["n_tests"] == 2 * one.attrs["n_tests"] == 10
    assert (both["p_adjusted"] >= both["p_value"]).all()


def test_a_category_without_enough_gold_codes_does_not_stop_the_others(biased):
    gold = biased.draw_gold(6000, random_state=4)
    rare = gold.assign(present=gold["present"] & (gold["category"] != "kin"))
    arguments = ("~ setting", biased.incidents, biased.coded, rare)
    options = {"clusters": None, "trained_on_gold": False, "estimators": ["dsl"]}
    table = compare_designs(*arguments, category=["kin", "other"], **options)
    row = table[table["in_question"] == "kin"].iloc[0]
    assert np.isnan(row["estimate"])
    assert "fewer than 5 gold incidents" in row["note"]
    assert table[table["in_question"] == "other"]["estimate"].notna().all()
    with pytest.raises(DataError, match="fewer than 5 gold incidents"):
        compare_designs(*arguments, category="kin", **options)


def test_a_design_contrast_equals_its_two_class_regression(biased):
    """Against another reference the multinomial logit has the same coefficients."""
    table = designs(biased, biased.draw_gold(6000, random_state=4)).xs("dsl", level=1)["estimate"]
    assert table["other_categories"] - table["control_against_other_categories"] == pytest.approx(
        table["negative_control"]
    )
    assert table["no_category"] - table["control_against_no_category"] == pytest.approx(
        table["negative_control"]
    )


def test_design_errors(biased):
    gold = biased.draw_gold(3000, random_state=5)
    arguments = ("~ setting", biased.incidents, biased.coded)
    with pytest.raises(DataError, match=r"'zzz' not found\. Available: kin, control, other"):
        compare_designs(*arguments, gold, category="zzz")
    with pytest.raises(DataError, match="another category"):
        compare_designs(*arguments, gold, category="kin", negative_control="kin")
    few = biased.draw_gold(12, random_state=5)
    with pytest.raises(DataError, match="fewer than 5 gold incidents"):
        compare_designs(*arguments, few, category="kin", negative_control="control")


# Cut points and repeat practitioners

SIZES = ["tiny", "small", "middle", "large"]


@pytest.fixture(scope="module")
def places():
    return simulate_registry(
        12_000,
        prevalence={"kin": 0.2, "gift": 0.2},
        effects={"kin": {"size": {"tiny": 0.8, "small": 0.8}}},
        attributes={
            "size": dict(zip(SIZES, (0.2, 0.2, 0.3, 0.3), strict=True)),
            "role": Given("size", {s: {"nurse": 0.5, "teacher": 0.5} for s in SIZES}),
        },
        classifier_error=ClassifierError(0.85, 0.95),
        not_stated={"size": 0.05},
        practitioner_icc=0.3,
        n_practitioners=3000,
        random_state=10,
    )


OPTIONS = {"estimators": ["dsl"], "missing": "complete", "small_sample": "none", "min_cell": 5}


def test_cut_points(places):
    table = cut_point_sensitivity(
        "size",
        places.incidents,
        places.coded,
        places.draw_gold(3000, random_state=1),
        levels=[*SIZES, "not_stated"],
        adjust_for=["role"],
        **OPTIONS,
    )
    kin = table.query("category == 'kin'").set_index("cut_point")
    assert kin.index.tolist() == ["tiny", "small", "middle"]
    assert kin.loc["small", "estimate"] == pytest.approx(0.8, abs=3 * kin.loc["small", "std_error"])
    assert kin["estimate"].idxmax() == "small"  # the true cut
    stated = places.incidents["size"] != "not_stated"
    assert (kin["n_at_or_below"] + kin["n_above"] == stated.sum()).all()
    assert (kin["term"] == "size_group[T.at or below]").all()


def test_a_cut_that_cannot_be_made_is_a_row_with_its_reason(places):
    table = cut_point_sensitivity(
        "size",
        places.incidents,
        places.coded,
        places.draw_gold(1000, random_state=1),
        levels=["hamlet", *SIZES],
        **OPTIONS,
    )
    hamlet = table.query("cut_point == 'hamlet'").iloc[0]
    assert np.isnan(hamlet["estimate"])
    assert "only the level" in hamlet["note"]
    with pytest.raises(DataError, match="not listed"):
        cut_point_sensitivity(
            "size", places.incidents, places.coded, places.gold, levels=SIZES[:2], **OPTIONS
        )


def test_first_incidents(places):
    gold = places.draw_gold(4000, random_state=1)
    options = {**OPTIONS, "contrasts": {"size": "tiny"}}
    table = first_incident_sensitivity(
        "~ size", places.incidents, places.coded, gold, **options
    ).query("term == 'size[T.large]'")
    counts = table.drop_duplicates("reports").set_index("reports")
    assert counts.loc["all", "n_reports"] == len(places)
    people = places.incidents["practitioner_id"].nunique()
    assert (counts["n_practitioners"] == people).all()
    assert counts.loc["first", "n_reports"] == counts.loc["one_at_random", "n_reports"] == people
    whole = risk_factors("~ size", places.incidents, places.coded, gold, **options)
    same = table.query("reports == 'all'").merge(
        whole, on=["term", "category"], suffixes=("", "_whole")
    )
    assert len(same) == 2
    assert np.allclose(same["estimate"], same["estimate_whole"])
    truth = places.truth.effects.query("category == 'kin' and level == 'large'")["log_odds_ratio"]
    kin = table.query("category == 'kin'")
    assert (np.abs(kin["estimate"] - truth.item()) < 3 * kin["std_error"]).all()


def test_the_first_report_is_the_earliest():
    registry = simulate_registry(
        2000, prevalence={"kin": 0.4}, attributes=SETTING, n_practitioners=200, random_state=2
    )
    incidents = registry.incidents
    earliest = incidents.groupby("practitioner_id")["occurred_on"].transform("min")
    # Codes that are present in no report but the earliest ones show which were taken.
    coded = registry.coded.assign(
        decision=np.where(incidents["occurred_on"] == earliest, "present", "absent")
    )
    coded.loc[0, "decision"] = "present"
    table = first_incident_sensitivity(
        "~ setting",
        incidents,
        coded,
        registry.draw_gold(1500, random_state=2),
        estimators=["naive"],
        clusters=None,
        family="ols",
    )
    intercepts = table.query("term == 'Intercept'").set_index("reports")["estimate"]
    assert intercepts["first"] == pytest.approx(1, abs=1e-9)
    assert intercepts["all"] < 0.5


def test_repeat_practitioners_are_needed():
    registry = simulate_registry(50, prevalence={"kin": 0.4}, random_state=2)
    incidents = registry.incidents.assign(practitioner_id=None)
    with pytest.raises(DataError, match="occurs twice"):
        first_incident_sensitivity("~ setting", incidents, registry.coded, registry.gold)
