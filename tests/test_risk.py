"""Risk factors from tables."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from simulated_codes import CATEGORIES, make_tables

from boundary_research._checks import DataError
from boundary_research._tables import ESTIMATE_COLUMNS, check_table
from boundary_research.inference import (
    dsl_logit,
    gold_only_logit,
    missing_exposures,
    ppi_logit,
    risk_factors,
)

FORMULA = "~ setting + role + age"


@pytest.fixture(scope="module")
def tables():
    return make_tables()


@pytest.fixture(scope="module")
def result(tables):
    return risk_factors(FORMULA, *tables[:3], contrasts={"setting": "urban", "role": "nurse"})


def test_agrees_with_the_estimators_on_arrays(tables, result):
    incidents, coded, gold, _ = tables
    X = np.column_stack(
        [np.ones(len(incidents))]
        + [incidents.role == level for level in ("police", "social_worker")]
        + [incidents.setting == level for level in ("rural", "town")]
        + [incidents.age]
    ).astype(float)
    terms = ["Intercept", "role[T.police]", "role[T.social_worker]"]
    terms += ["setting[T.rural]", "setting[T.town]", "age"]
    clusters = incidents.agency_id.to_numpy()
    for name in CATEGORIES:
        own = coded[coded.category == name].set_index("incident_id")
        codes = gold[gold.category == name].set_index("incident_id").reindex(own.index)
        predicted = (own.decision == "present").astype(float).to_numpy()
        y, pi = codes.present.astype(float).to_numpy(), codes.inclusion_probability.to_numpy()
        options = {"clusters": clusters, "small_sample": "auto"}
        for estimator, other in {
            "naive": gold_only_logit(X, predicted, 1.0, **options),
            "gold_only": gold_only_logit(X, y, pi, **options),
            "dsl": dsl_logit(X, predicted, y, pi, **options),
            "ppi": ppi_logit(X, predicted, y, pi, **options),
        }.items():
            rows = result[(result.category == name) & (result.estimator == estimator)]
            rows = rows.set_index("term").loc[terms]
            np.testing.assert_allclose(rows.estimate, other.estimate, atol=1e-7)
            np.testing.assert_allclose(rows.std_error, other.std_error, rtol=1e-6)
            np.testing.assert_allclose(rows.p_value, other.p_value, rtol=1e-5, atol=1e-12)


def test_table_fits_its_schema(result):
    assert list(result.columns)[: len(ESTIMATE_COLUMNS)] == ESTIMATE_COLUMNS
    check_table(result, "estimates")
    np.testing.assert_allclose(result.odds_ratio, np.exp(result.estimate))
    np.testing.assert_allclose(result.odds_ratio_low, np.exp(result.conf_low))
    outside = (result.odds_ratio_low > 1) | (result.odds_ratio_high < 1)
    np.testing.assert_array_equal(outside, result.p_value < 0.05)
    assert "reported incidents" in result.attrs["estimand"]


def test_adjustment_counts_all_tests_of_an_estimator(tables, result):
    tested = result[result.term != "Intercept"]
    assert set(tested.n_tests) == {15}
    assert (tested.p_adjusted >= tested.p_value - 1e-12).all()
    holm = risk_factors(FORMULA, *tables[:3], adjust="holm", estimators=["dsl"])
    bh = risk_factors(FORMULA, *tables[:3], adjust="bh", estimators=["dsl"])
    assert (holm.p_adjusted.dropna() >= bh.p_adjusted.dropna() - 1e-12).all()
    none = risk_factors(FORMULA, *tables[:3], adjust=None, estimators=["dsl"])
    kept = none.term != "Intercept"
    np.testing.assert_array_equal(none[kept].p_adjusted, none[kept].p_value)


def test_counts_stand_beside_the_terms(tables, result):
    incidents, _, gold, _ = tables
    row = result[(result.category == "first") & (result.term == "setting[T.rural]")].iloc[0]
    rural = set(incidents[incidents.setting == "rural"].incident_id)
    codes = gold[(gold.category == "first") & gold.incident_id.isin(rural)]
    assert row.n_level == len(rural)
    assert row.n_gold_level == len(codes)
    assert row.n_gold_present == codes.present.sum()
    assert (row.level, row.reference, row.variable) == ("rural", "urban", "setting")
    assert row.n_clusters_level == incidents[incidents.setting == "rural"].agency_id.nunique()


def test_differences_match_statsmodels_margins(tables):
    incidents, coded, _, truth = tables
    census = pd.concat(
        [
            pd.DataFrame(
                {
                    "incident_id": incidents.incident_id,
                    "category": name,
                    "present": truth[name],
                    "inclusion_probability": 1.0,
                }
            )
            for name in CATEGORIES
        ]
    )
    table = risk_factors(
        "~ rural + age",
        incidents.assign(rural=np.where(incidents.setting == "rural", "yes", "no")),
        coded,
        census,
        contrasts={"rural": "no"},
        clusters=None,
        small_sample="none",
        estimators=["gold_only"],
    )
    X = sm.add_constant(
        np.column_stack([incidents.age, (incidents.setting == "rural").astype(float)])
    )
    margins = (
        sm.Logit(truth["first"].astype(float), X)
        .fit(disp=0, cov_type="HC0")
        .get_margeff(dummy=True)
    )
    rows = table[table.category == "first"].set_index("term")
    chosen = rows.loc[["age", "rural[T.yes]"]]
    np.testing.assert_allclose(chosen.difference_points, 100 * margins.margeff, rtol=1e-5)
    half = (chosen.difference_points_high - chosen.difference_points_low) / 2
    np.testing.assert_allclose(half, 196 * margins.margeff_se, rtol=1e-3)


def test_differences_over_equal_rows_are_those_over_all_rows(tables):
    from boundary_research.inference._formula import (
        build_design,
        clean_variables,
        parse_formula,
    )
    from boundary_research.inference._margins import _distinct_rows, average_differences

    incidents = tables[0]
    formula = "~ setting + role"
    parsed, variables = parse_formula(formula, incidents.columns)
    frame = clean_variables(incidents, variables, None)
    design = build_design(parsed, frame, formula=formula)
    n, p = design.X.shape
    generator = np.random.default_rng(0)
    b, root = generator.normal(size=(2, p)), generator.normal(size=(2, p, p))
    vcov = root @ np.swapaxes(root, 1, 2)
    few = average_differences(design, b, vcov, "logit", np.zeros(n))
    assert len(_distinct_rows(design, np.zeros(n))[0]) == 9
    # An offset that differs a little keeps all rows.
    shift = 1e-13 * generator.normal(size=n)
    assert len(_distinct_rows(design, shift)[0]) == n
    every = average_differences(design, b, vcov, "logit", shift)
    for one, other in zip(few, every, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_differences_with_interactions_change_all_columns(tables):
    options = {"estimators": ["dsl"], "family": "ols", "clusters": None}
    options["contrasts"] = {"setting": "urban"}
    plain = risk_factors("~ setting", *tables[:3], **options)
    mixed = risk_factors("~ setting * age", *tables[:3], **options)
    row = mixed[(mixed.category == "first") & (mixed.term == "setting[T.rural]")].iloc[0]
    alone = plain[(plain.category == "first") & (plain.term == "setting[T.rural]")].iloc[0]
    assert row.difference_points == pytest.approx(alone.difference_points, abs=3)
    assert mixed[mixed.term.str.contains(":")].difference_points.isna().all()


def test_families(tables):
    incidents, coded, gold, _ = tables
    ols = risk_factors("~ setting", incidents, coded, gold, family="ols", estimators=["dsl"])
    tested = ols[ols.term != "Intercept"]
    np.testing.assert_allclose(tested.difference_points, 100 * tested.estimate)
    assert "odds_ratio" not in ols.columns
    exposed = incidents.assign(log_cases=np.log(np.where(incidents.setting == "rural", 2.0, 1.0)))
    options = {"family": "poisson", "estimators": ["dsl"], "contrasts": {"setting": "urban"}}
    plain = risk_factors("~ setting", exposed, coded, gold, **options)
    rated = risk_factors("~ setting", exposed, coded, gold, offset="log_cases", **options)
    assert plain.attrs["estimand"].startswith("ratios of shares")
    assert rated.attrs["estimand"].startswith("ratios of rates")
    rural = plain.term == "setting[T.rural]"
    np.testing.assert_allclose(rated[rural].estimate, plain[rural].estimate - np.log(2))
    others = plain.term == "setting[T.town]"
    np.testing.assert_allclose(rated[others].estimate, plain[others].estimate, atol=1e-8)


def test_cells_give_the_answer_of_single_rows():
    incidents, coded, gold, _ = make_tables(n=2_500)
    for clusters in ("auto", None):
        options = {"clusters": clusters, "small_sample": "CR2"}
        cells = risk_factors("~ setting + role", incidents, coded, gold, **options)
        # A column that is nearly a constant makes every row its own cell
        noise = np.random.default_rng(0).normal(size=len(incidents))
        rows = risk_factors(
            "~ setting + role + noise", incidents.assign(noise=noise), coded, gold, **options
        )
        same = rows.term != "noise"
        near = np.abs(rows[same].estimate.to_numpy() - cells.estimate.to_numpy())
        assert (near < 0.6 * cells.std_error).all()
        assert (rows[same].std_error.to_numpy() / cells.std_error).between(0.8, 1.25).all()


@pytest.mark.parametrize("agencies", [25, 700])
def test_aggregation_is_exact(agencies):
    """With 700 agencies cells are too many for their scores, not for the sums without clusters."""
    from boundary_research.inference._fitting import aggregate, fit
    from boundary_research.inference._inputs import Sample
    from boundary_research.inference._variance import SamplingDesign, infer

    generator = np.random.default_rng(1)
    n = 3_000
    X = np.column_stack([np.ones(n), generator.integers(0, 2, (n, 2))]).astype(float)
    truth = (generator.random((n, 2)) < 0.3).astype(float)
    predicted = np.where(generator.random((n, 2)) < 0.2, 1 - truth, truth) * 0.9 + 0.05
    rows = np.flatnonzero(generator.random(n) < 0.2)
    agency = generator.integers(0, agencies, n)
    for labels, sizes in (([], []), ([agency], [agencies])):
        design = SamplingDesign(
            probability=np.where(X[rows, 1] == 1, 0.3, 0.1),
            n_total=n,
            sizes=sizes,
            gold_labels=[codes[rows] for codes in labels],
        )
        sample = Sample(X, predicted, rows, truth[rows], np.ones(n), np.zeros(n), labels, design)
        base = aggregate(sample)
        many = bool(labels) and agencies > 100
        assert len(base.X) == n if many else len(base.X) < 150
        assert (base.coarse is not None) == bool(labels)
        for estimator in ("naive", "dsl", "ppi"):
            results = []
            for own in (None, base):
                fitted = fit(sample, "logit", estimator, base=own)
                uncertainty = infer(
                    fitted.equations,
                    fitted.b,
                    fitted.jacobian,
                    design,
                    small_sample="CR2" if labels else "none",
                    centring=fitted.centring,
                )
                results.append((fitted.b, uncertainty.vcov, uncertainty.df))
            for plain, cells in zip(*results, strict=True):
                np.testing.assert_allclose(cells, plain, rtol=1e-7, atol=1e-12)


# --- thin cells and separation ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def separated(tables):
    """No gold code of the third category is present in towns."""
    incidents, coded, gold, _ = tables
    town = set(incidents[incidents.setting == "town"].incident_id)
    none = gold.incident_id.isin(town) & (gold.category == "third")
    return incidents, coded, gold.assign(present=gold.present & ~none)


def test_separated_codes_get_the_weak_prior(separated):
    table = risk_factors("~ setting", *separated, estimators=["gold_only"], clusters=None)
    row = table[(table.category == "third") & (table.term == "setting[T.town]")].iloc[0]
    assert row.penalty == "logf"
    assert row.n_gold_present == 0
    assert "weak prior" in row.note
    assert -8 < row.estimate < -1.5
    assert 0.8 < row.std_error < 3
    assert (table[table.category == "first"].penalty == "").all()


def test_separated_codes_without_penalty(separated):
    table = risk_factors(
        "~ setting", *separated, estimators=["gold_only"], penalty=None, clusters=None
    )
    assert table[table.category == "third"].estimate.isna().all()
    assert table[table.category == "third"].note.str.contains("separated").all()
    incidents, coded, gold = separated
    same = coded.merge(incidents[["incident_id", "setting"]])
    absent = (same.setting == "town") & (same.category == "third")
    never = coded.assign(
        decision=np.where(absent, "absent", coded.decision),
        probability=np.where(absent, 0.0, coded.probability),
    )
    with pytest.raises(DataError, match="separation"):
        risk_factors("~ setting", incidents, never, gold, penalty=None, clusters=None)


def test_firth_adds_half_a_code_to_each_cell():
    """For a saturated 2 x 2 table the Firth estimate is that of the table with 1/2 in each cell."""
    counts = {("a", 1): 0, ("a", 0): 12, ("b", 1): 9, ("b", 0): 20}
    rows = [key for key, count in counts.items() for _ in range(count)]
    ids = [f"i{i}" for i in range(len(rows))]
    incidents = pd.DataFrame({"incident_id": ids, "place": [place for place, _ in rows]})
    gold = pd.DataFrame(
        {
            "incident_id": ids,
            "category": "only",
            "present": [bool(present) for _, present in rows],
            "inclusion_probability": 1.0,
        }
    )
    coded = gold.assign(probability=gold.present.astype(float), decision="review")
    table = risk_factors(
        "~ place",
        incidents,
        coded,
        gold,
        penalty="firth",
        estimators=["gold_only", "dsl", "naive"],
        contrasts={"place": "b"},
        min_cell=0,
    )
    expected = np.log((0.5 / 12.5) / (9.5 / 20.5))
    estimates = table[table.term == "place[T.a]"].estimate
    np.testing.assert_allclose(estimates, expected, atol=1e-6)


def test_log_f_is_the_penalised_likelihood_of_the_gold_codes():
    """With one probability for all, the weight of the prior is that in a plain analysis."""
    from scipy.optimize import minimize

    generator = np.random.default_rng(3)
    X = np.column_stack([np.ones(60), generator.integers(0, 2, (60, 2))]).astype(float)
    y = (generator.random(60) < 0.3).astype(float)

    def loss(b):
        eta = X @ b
        prior = np.sum(b[1:] / 2 - np.log1p(np.exp(b[1:])))
        return -(y @ eta - np.sum(np.log1p(np.exp(eta)))) - prior

    expected = minimize(loss, np.zeros(3), tol=1e-12).x
    ids = [f"i{i}" for i in range(240)]
    places = np.vstack([X, generator.integers(0, 2, (180, 3)).astype(float)])
    incidents = pd.DataFrame({"incident_id": ids, "a": places[:, 1], "b": places[:, 2]})
    gold = pd.DataFrame(
        {
            "incident_id": ids[:60],
            "category": "only",
            "present": y == 1,
            "inclusion_probability": 0.25,
        }
    )
    coded = pd.DataFrame(
        {"incident_id": ids, "category": "only", "probability": 0.4, "decision": "absent"}
    )
    table = risk_factors(
        "~ a + b", incidents, coded, gold, penalty="logf", estimators=["gold_only"]
    )
    np.testing.assert_allclose(table.estimate, expected, atol=1e-4)


def test_small_levels_are_held_back(tables):
    incidents, coded, gold, _ = tables
    place = incidents.setting.copy()
    drawn = incidents.incident_id.isin(gold.incident_id)
    place[incidents[drawn].index[:3]] = "island"
    table = risk_factors("~ place", incidents.assign(place=place), coded, gold, clusters=None)
    island = table[table.term == "place[T.island]"]
    columns = ["estimate", "conf_low", "p_value", "odds_ratio", "n_level", "difference_points"]
    assert island[columns].isna().all().all()
    assert (island.note == "held back: few incidents").all()
    # one more level is held back, or else the total would give the first away
    assert table[table.level.notna()].groupby("level").n_level.min().isna().sum() == 2


# --- missing attributes -----------------------------------------------------------------------------


def test_complete_case_and_imputation_stand_side_by_side():
    incidents, coded, gold, _ = make_tables(not_stated=0.2)
    table = risk_factors(
        "~ setting + role", incidents, coded, gold, estimators=["dsl"], imputations=4
    )
    assert set(table.missing) == {"complete_case", "multiple_imputation"}
    n_missing = int((incidents.setting == "not_stated").sum())
    assert table.attrs["n_missing"] == n_missing
    complete = table[table.missing == "complete_case"]
    imputed = table[table.missing == "multiple_imputation"]
    assert set(complete.n_total) == {len(incidents) - n_missing}
    assert set(imputed.n_total) == {len(incidents)}
    again = risk_factors(
        "~ setting + role", incidents, coded, gold, estimators=["dsl"], imputations=4
    )
    pd.testing.assert_frame_equal(table, again)


def test_imputation_undoes_selection_on_code_and_attribute():
    """Where stating the place hangs on code and road together, complete cases misjudge the road."""
    incidents, coded, gold, truth = make_tables(seed=5, n=6_000, fraction=0.4, error=0.02)
    generator = np.random.default_rng(5)
    rural = (incidents.setting == "rural").to_numpy()
    road = generator.random(len(rural)) < np.where(rural, 0.8, 0.2)
    gone = generator.random(len(rural)) < np.where(truth["first"] & road, 0.6, 0.05)
    known = incidents.assign(place=np.where(rural, "rural", "other"), road=road.astype(float))
    hidden = known.assign(place=np.where(gone, "not_stated", known.place))
    options = {"estimators": ["dsl"], "clusters": None, "categories": ["first"]}
    whole = risk_factors("~ place + road", known, coded, gold, **options)
    table = risk_factors("~ place + road", hidden, coded, gold, imputations=5, **options)
    target = whole[whole.term == "road"].estimate.iloc[0]
    rows = table[table.term == "road"].set_index("missing").estimate
    assert abs(rows["complete_case"] - target) > 0.4
    assert abs(rows["multiple_imputation"] - target) < 0.15


def test_numbers_are_imputed_too():
    incidents, coded, gold, _ = make_tables(n=800)
    aged = incidents.assign(age=incidents.age.where(np.arange(800) % 5 > 0))
    table = risk_factors(
        "~ age + setting", aged, coded, gold, missing="impute", imputations=3, estimators=["dsl"]
    )
    assert set(table.missing) == {"multiple_imputation"}
    assert table.estimate.notna().all()


def test_missing_exposures_by_setting():
    incidents, *_ = make_tables(not_stated=0.3)
    table = missing_exposures(incidents, ["setting", "role"], by="role")
    assert set(table.columns) == {"variable", "role", "n_total", "n_missing", "share_missing"}
    shares = table[table.variable == "setting"].share_missing
    assert shares.between(0.2, 0.4).all()
    overall = missing_exposures(incidents, ["setting"])
    assert overall.n_missing.iloc[0] == (incidents.setting == "not_stated").sum()


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("~ place", {}, "'place' not found"),
        ("setting +", {}, "cannot be read"),
        ("first ~ setting", {}, "left-hand side"),
        ("~ 1", {}, "names no variable"),
        (3, {}, "must be text"),
        ("~ setting", {"contrasts": {"setting": "island"}}, "'island' not found"),
        ("~ setting", {"contrasts": {"role": "nurse"}}, "'role' not found"),
        ("~ setting", {"family": "probit"}, "'probit' not found"),
        ("~ setting", {"offset": "age"}, "family='poisson'"),
        ("~ setting", {"adjust": "none"}, "'none' not found"),
        ("~ setting", {"estimators": ["rogan_gladen"]}, "not found"),
        ("~ setting", {"clusters": "office"}, "'office' not found"),
        ("~ setting + rural", {}, "redundant"),
        ("~ constant", {}, "only the level"),
        ("~ nothing(age)", {}, "cannot be evaluated|not found"),
        ("~ np.log(age - 1000)", {}, "missing or infinite|cannot be evaluated"),
    ],
)
def test_refusals_say_what_to_do(tables, formula, options, message):
    incidents, coded, gold, _ = tables
    more = incidents.assign(rural=(incidents.setting == "rural").astype(float), constant="same")
    with pytest.raises(DataError, match=message):
        risk_factors(formula, more, coded, gold, **options)


def test_gold_without_probability_is_refused(tables):
    incidents, coded, gold, _ = tables
    with pytest.raises(DataError, match="'inclusion_probability' not found"):
        risk_factors(FORMULA, incidents, coded, gold.drop(columns="inclusion_probability"))


def test_a_setting_that_is_one_agency_is_refused(tables):
    incidents, coded, gold, _ = tables
    number = incidents.agency_id.str.removeprefix("agency").astype(int)
    place = np.where(number == 0, "island", np.where(number % 2, "north", "south"))
    with pytest.raises(DataError, match=r"'island' is one cluster \(clusters a level: .*island 1"):
        risk_factors("~ place", incidents.assign(place=place), coded, gold)
    assert len(risk_factors("~ place", incidents.assign(place=place), coded, gold, clusters=None))


def test_a_level_without_gold_codes_is_refused(tables):
    incidents, coded, gold, _ = tables
    place = incidents.setting.where(incidents.incident_id.isin(gold.incident_id), "elsewhere")
    with pytest.raises(DataError, match="'elsewhere' has no gold codes"):
        risk_factors("~ place", incidents.assign(place=place), coded, gold, clusters=None)


def test_narratives_are_not_needed_and_never_shown(tables):
    incidents, coded, gold, _ = tables
    bare = incidents.drop(columns="narrative")
    table = risk_factors("~ setting", bare, coded, gold, estimators=["dsl"])
    assert "fictional" not in table.to_csv()


def test_augmented_predictions_use_the_attributes(tables):
    incidents, coded, gold, _ = tables
    options = {"estimators": ["dsl"], "random_state": 2}
    plain = risk_factors("~ setting", incidents, coded, gold, **options)
    sharp = risk_factors("~ setting", incidents, coded, gold, predictions="augmented", **options)
    assert (sharp.std_error / plain.std_error).mean() < 1.02
    assert (np.abs(sharp.estimate - plain.estimate) < 2 * plain.std_error).all()


def test_folds_that_split_agencies_are_refused(tables):
    incidents, coded, gold, _ = tables
    split = coded.assign(fold=coded.incident_id.str[-1].astype(int) % 5)
    with pytest.raises(DataError, match="clusters lie in more than one fold"):
        risk_factors("~ setting", incidents, split, gold)


def test_ordered_levels_keep_their_order_without_not_stated():
    from boundary_research.inference._formula import clean_variables

    levels = ["small", "middle", "big", "not_stated"]
    values = ["big", "big", "small", "middle", "not_stated"]
    column = pd.Categorical(values, categories=levels, ordered=True)
    clean = clean_variables(pd.DataFrame({"size": column}), ["size"], None)["size"]
    assert clean.cat.categories.tolist() == ["small", "middle", "big"]
    assert clean.isna().tolist() == [False, False, False, False, True]


def test_predictions_of_another_model_beside_crossfitted_ones_are_refused():
    ids = [f"i{n}" for n in range(40)]
    coded = pd.DataFrame(
        {
            "incident_id": ids,
            "category": "a",
            "probability": 0.5,
            "predicted": [n % 2 == 0 for n in range(40)],
            "decision": "review",
            "fold": [n % 2 if n < 20 else None for n in range(40)],
        }
    )
    gold = pd.DataFrame(
        {"incident_id": ids[:20], "category": "a", "present": True, "inclusion_probability": 0.5}
    )
    incidents = pd.DataFrame({"incident_id": ids, "place": ["x", "y"] * 20})
    with pytest.raises(DataError, match="another model"):
        risk_factors("~ place", incidents, coded, gold, clusters=None)


def test_tuned_correction_is_there_where_the_full_one_has_no_root():
    # Every human code is "absent" but for a few, while the model says "present" in many more of the
    # rows that were not drawn: the corrected share falls below zero, so DSL's equations have no root.
    rng = np.random.default_rng(4)
    n, drawn = 400, 120
    ids = [f"i{i}" for i in range(n)]
    predicted = rng.random(n) < np.where(np.arange(n) < drawn, 0.45, 0.25)
    present = np.zeros(drawn, dtype=bool)
    present[:12] = True
    predicted[:12] = True
    coded = pd.DataFrame(
        {
            "incident_id": ids,
            "category": "a",
            "probability": predicted.astype(float),
            "predicted": predicted,
            "decision": np.where(predicted, "present", "absent"),
        }
    )
    gold = pd.DataFrame(
        {
            "incident_id": ids[:drawn],
            "category": "a",
            "present": present,
            "inclusion_probability": drawn / n,
        }
    )
    incidents = pd.DataFrame({"incident_id": ids, "place": rng.choice(["x", "y"], n)})
    table = risk_factors(
        "~ place", incidents, coded, gold, clusters=None, missing="complete", min_cell=1
    )
    estimate = table[table["term"] != "Intercept"].set_index("estimator")["estimate"]
    assert np.isfinite(estimate["gold_only"])
    assert np.isfinite(estimate["ppi"])
    assert np.isnan(estimate["dsl"])
