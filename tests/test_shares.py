"""Prevalence from tables."""

import numpy as np
import pandas as pd
import pytest
from simulated_codes import CATEGORIES, make_tables

from boundary_research._checks import DataError
from boundary_research._tables import ESTIMATE_COLUMNS
from boundary_research.corpus.simulate import ClassifierError, simulate_registry
from boundary_research.inference import dsl_mean, hajek_mean, ppi_mean, prevalence


@pytest.fixture(scope="module")
def tables():
    return make_tables()


def arrays(tables, category):
    _, coded, gold, _ = tables
    own = coded[coded.category == category].set_index("incident_id")
    codes = gold[gold.category == category].set_index("incident_id")
    predicted = (own.decision == "present").astype(float)
    return (
        predicted.to_numpy(),
        codes.present.astype(float).reindex(own.index).to_numpy(),
        codes.inclusion_probability.reindex(own.index).to_numpy(),
    )


def test_table_has_the_columns_and_every_estimator(tables):
    _, coded, gold, _ = tables
    table = prevalence(coded, gold)
    assert list(table.columns)[: len(ESTIMATE_COLUMNS)] == ESTIMATE_COLUMNS
    assert len(table) == 4 * len(CATEGORIES)
    assert table.attrs["estimand"] == "share of reported incidents"
    assert (table.conf_low <= table.estimate).all()
    assert (table.estimate <= table.conf_high).all()


@pytest.mark.parametrize("category", CATEGORIES)
def test_agrees_with_the_estimators_on_arrays(tables, category):
    incidents, coded, gold, _ = tables
    table = prevalence(coded, gold, incidents=incidents, small_sample="CR2", categories=[category])
    table = table.set_index("estimator")
    predicted, codes, pi = arrays(tables, category)
    options = {"clusters": incidents.agency_id.to_numpy(), "small_sample": "CR2"}
    for name, result in {
        "gold_only": hajek_mean(codes, pi, **options),
        "dsl": dsl_mean(predicted, codes, pi, **options),
        "ppi": ppi_mean(predicted, codes, pi, **options),
    }.items():
        row = table.loc[name]
        assert row.estimate == pytest.approx(result.estimate, abs=1e-10)
        assert row.std_error == pytest.approx(result.std_error, rel=1e-9)
        assert row.conf_low == pytest.approx(result.conf_low, rel=1e-9)


def test_cells_give_the_answer_of_single_rows():
    """Above 2,000 rows equal rows are held as cells; rows with weights are not."""
    incidents, coded, gold, _ = make_tables(n=2_500)
    for clusters in ("auto", None):
        options = {"incidents": incidents, "clusters": clusters, "small_sample": "CR1"}
        cells = prevalence(coded, gold, **options)
        ones = pd.Series(1.0, index=incidents.incident_id)
        ones.iloc[0] += 1e-9  # not all equal, so that rows stay single
        rows = prevalence(coded, gold, weights=ones, **options)
        for column in ("estimate", "std_error", "conf_low"):
            np.testing.assert_allclose(cells[column], rows[column], rtol=1e-5)


def test_groups_are_subsets(tables):
    incidents, coded, gold, _ = tables
    table = prevalence(coded, gold, by="setting", incidents=incidents)
    assert set(table.setting) == {"rural", "town", "urban"}
    chosen = incidents[incidents.setting == "rural"]
    alone = prevalence(coded, gold, incidents=chosen)
    part = table[table.setting == "rural"]
    np.testing.assert_allclose(part.estimate, alone.estimate)
    np.testing.assert_allclose(part.std_error, alone.std_error)
    series = incidents.set_index("incident_id")["setting"]
    by_series = prevalence(coded, gold, by=series, incidents=incidents)
    np.testing.assert_allclose(by_series.estimate, table.estimate)


def test_small_groups_are_held_back_with_a_second_one(tables):
    incidents, coded, gold, _ = tables
    rare = incidents.assign(place=incidents.setting)
    rare.loc[:2, "place"] = "island"
    table = prevalence(coded, gold, by="place", incidents=rare)
    hidden = table[table.n_total.isna()]
    smallest = rare[rare.place != "island"].place.value_counts().idxmin()
    assert set(hidden.place) == {"island", smallest}
    assert hidden[["estimate", "conf_low", "n_gold", "n_gold_present"]].isna().all().all()
    everyone = prevalence(coded, gold, by="place", incidents=rare, min_cell=0)
    assert everyone.n_total.notna().all()


def test_simultaneous_limits_are_wider(tables):
    incidents, coded, gold, _ = tables
    options = {"incidents": incidents, "small_sample": "CR2"}
    one = prevalence(coded, gold, **options)
    all_at_once = prevalence(coded, gold, simultaneous=True, **options)
    np.testing.assert_allclose(one.estimate, all_at_once.estimate)
    ratio = (all_at_once.conf_high - all_at_once.estimate) / (one.conf_high - one.estimate)
    assert ratio.between(1.05, 1.5).all()  # Bonferroni with 3 categories: 1.22 under normality


def test_no_present_code_gets_an_exact_limit(tables):
    _, coded, gold, _ = tables
    none = gold.assign(present=gold.present & (gold.category != "first"))
    none["inclusion_probability"] = 0.5
    table = prevalence(coded, none, trained_on_gold=False).set_index(["category", "estimator"])
    row = table.loc[("first", "gold_only")]
    count = none.incident_id.nunique()
    assert row.estimate == 0
    assert row.conf_high == pytest.approx(1 - 0.025 ** (1 / count))
    assert "take limits as rough" in row.note


def test_a_stratum_column_is_taken_as_the_design(tables):
    _, coded, gold, _ = tables
    marked = gold.assign(stratum=gold.inclusion_probability.astype(str))
    plain = prevalence(coded, gold, finite_population=True).set_index(["category", "estimator"])
    strata = prevalence(coded, marked, finite_population=True)
    strata = strata.set_index(["category", "estimator"])
    assert strata.loc[("first", "gold_only")].std_error != pytest.approx(
        plain.loc[("first", "gold_only")].std_error
    )


def test_probabilities_can_be_corrected_in_place_of_codes(tables):
    _, coded, gold, _ = tables
    codes = prevalence(coded, gold)
    soft = prevalence(coded, gold, predictions="probability")
    same = codes.estimator.isin(["naive", "gold_only"])
    np.testing.assert_allclose(codes[same].estimate, soft[same].estimate)
    assert not np.allclose(codes[~same].std_error, soft[~same].std_error, rtol=1e-6)


def test_review_is_decided_by_probability_and_predicted_goes_first(tables):
    _, coded, gold, _ = tables
    review = coded.assign(decision="review")
    np.testing.assert_allclose(prevalence(review, gold).estimate, prevalence(coded, gold).estimate)
    flipped = review.assign(predicted=coded.decision == "absent")
    naive = prevalence(flipped, gold, estimators=["naive"]).estimate
    np.testing.assert_allclose(naive, 1 - prevalence(coded, gold, estimators=["naive"]).estimate)


def without(frame, column):
    return frame.drop(columns=column)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c, g: (c, without(g, "inclusion_probability")),
            "'inclusion_probability' not found",
        ),
        (
            lambda c, g: (
                c,
                g.assign(inclusion_probability=g.inclusion_probability.where(g.index > 5)),
            ),
            "missing in rows 1, 2, 3, 4, 5 and 1 more",
        ),
        (lambda c, g: (c, g.assign(inclusion_probability=0.0)), r"must lie in \(0, 1\]"),
        (lambda c, g: (c, g.assign(inclusion_probability=25)), r"must lie in \(0, 1\]"),
        (
            lambda c, g: (c, g.assign(inclusion_probability=np.linspace(0.1, 0.9, len(g)))),
            "differs between rows of one incident",
        ),
        (lambda c, g: (c[c.incident_id != g.incident_id.iloc[0]], g), "not in table coded"),
        (lambda c, g: (c, g.iloc[1:]), "no row for some categories: first"),
        (lambda c, g: (c.iloc[1:], g), "pairs of incident_id and category have no row"),
        (lambda c, g: (pd.concat([c, c.iloc[:2]]), g), "come more than once"),
        (lambda c, g: (c.assign(probability=2.0), g), r"probability must lie in \[0, 1\]"),
        (lambda c, g: (c.assign(decision="maybe"), g), "decision must be one of"),
        (lambda c, g: (without(c, "probability"), g), "'probability' not found"),
        (lambda c, g: (c, g.iloc[:0]), "has no rows"),
        (
            lambda c, g: (c, g[g.category == "first"].assign(category="other")),
            "Categories not found in both",
        ),
        (lambda c, g: (c.assign(in_training=True), g), "the model was trained on"),
        (lambda c, g: (c.assign(fold=0), g), "lie in one fold"),
    ],
)
def test_refusals_say_what_to_do(tables, change, message):
    _, coded, gold, _ = tables
    with pytest.raises(DataError, match=message):
        prevalence(*change(coded, gold))


def test_training_on_gold_is_refused_or_done(tables):
    _, coded, gold, truth = tables
    with pytest.raises(DataError, match="no column 'fold'"):
        prevalence(coded, gold, trained_on_gold=True)
    fold = coded.incident_id.str[-1].astype(int) % 5
    done = prevalence(coded.assign(fold=fold), gold, trained_on_gold=True)
    np.testing.assert_array_equal(done.estimate, prevalence(coded, gold).estimate)
    perfect = coded.assign(predicted=np.concatenate([truth[name] for name in CATEGORIES]))
    with pytest.raises(DataError, match="agree with every gold code"):
        prevalence(perfect, gold)
    assert len(prevalence(perfect, gold, trained_on_gold=False))


def test_column_names_need_the_incidents(tables):
    incidents, coded, gold, _ = tables
    with pytest.raises(DataError, match="incidents="):
        prevalence(coded, gold, by="setting")
    with pytest.raises(DataError, match="'place' not found"):
        prevalence(coded, gold, by="place", incidents=incidents)
    with pytest.raises(DataError, match="indexed by incident_id"):
        prevalence(coded, gold, by=incidents["setting"])
    with pytest.raises(DataError, match="not in table coded"):
        prevalence(
            coded[coded.incident_id != "incident00001"],
            gold[gold.incident_id != "incident00001"],
            incidents=incidents,
        )


def test_corrected_shares_are_nearer_to_the_truth_than_naive_ones(tables):
    _, coded, gold, truth = tables
    table = prevalence(coded, gold).set_index(["category", "estimator"])
    for name in CATEGORIES:
        share = truth[name].mean()
        corrected = table.loc[(name, "dsl")]
        assert abs(corrected.estimate - share) < 3 * corrected.std_error
    naive = [abs(table.loc[(name, "naive")].estimate - truth[name].mean()) for name in CATEGORIES]
    assert max(naive) > 3 * table.loc[("first", "naive")].std_error


def test_notes_name_categories_without_gold(tables):
    _, coded, gold, _ = tables
    table = prevalence(coded, gold[gold.category != "third"])
    assert table.attrs["notes"] == ["left out, no gold codes: third"]
    assert set(table.category) == {"first", "second"}


def test_augmented_predictions_shorten_limits_where_probabilities_mislead(tables):
    _, coded, gold, truth = tables
    tilted = coded.assign(probability=np.where(coded.decision == "present", 0.3, 0.2))
    options = {"estimators": ["dsl"], "random_state": 1}
    soft = prevalence(tilted, gold, predictions="probability", **options)
    sharp = prevalence(tilted, gold, predictions="augmented", **options)
    assert (sharp.std_error < 0.95 * soft.std_error).all()
    shares = [truth[name].mean() for name in CATEGORIES]
    assert (np.abs(sharp.estimate - shares) < 3 * sharp.std_error).all()


def test_folds_that_split_clusters_are_refused(tables):
    incidents, coded, gold, _ = tables
    number = incidents.agency_id.str.removeprefix("agency").astype(int)
    by_agency = dict(zip(incidents.incident_id, number % 5, strict=True))
    whole = coded.assign(fold=coded.incident_id.map(by_agency))
    assert len(prevalence(whole, gold, incidents=incidents, trained_on_gold=True))
    split = coded.assign(fold=coded.incident_id.str[-1].astype(int) % 5)
    with pytest.raises(DataError, match="clusters lie in more than one fold"):
        prevalence(split, gold, incidents=incidents, trained_on_gold=True)
    assert len(prevalence(split, gold, incidents=incidents, clusters=None, trained_on_gold=True))


def test_attributes_shorten_the_interval_where_the_model_errs_by_setting():
    registry = simulate_registry(
        6_000,
        prevalence={"a": 0.3},
        attributes={"setting": {"urban": 0.6, "rural": 0.4}},
        effects={"a": {"setting": {"rural": 1.0}}},
        classifier_error=ClassifierError(0.9, 0.95, by="setting", levels={"rural": (0.6, 0.7)}),
        random_state=3,
    )
    gold = registry.draw_gold(1_000, random_state=4)
    options = {"incidents": registry.incidents, "clusters": None, "estimators": ["ppi"]}
    plain = prevalence(registry.coded, gold, **options)
    chance = prevalence(registry.coded, gold, predictions="augmented", **options)
    sharper = prevalence(
        registry.coded, gold, predictions="augmented", attributes="setting", **options
    )
    errors = [table.std_error[0] for table in (plain, chance, sharper)]
    assert errors[2] < 0.98 * errors[1]
    assert errors[2] < 0.95 * errors[0]
    assert abs(sharper.estimate[0] - registry.present.mean()) < 4 * errors[2]


def test_attributes_may_be_missing_or_numbers():
    incidents, coded, gold, _ = make_tables(seed=5)
    incidents.loc[:50, "role"] = None
    incidents.loc[:50, "age"] = np.nan
    options = {"incidents": incidents, "predictions": "augmented", "estimators": ["ppi"]}
    table = prevalence(coded, gold, attributes=["role", "age"], **options)
    assert table.std_error.notna().all()
    again = prevalence(coded, gold, attributes=["role", "age"], **options)
    pd.testing.assert_frame_equal(table, again)


def test_attributes_need_augmented_predictions(tables):
    incidents, coded, gold, _ = tables
    with pytest.raises(DataError, match='for predictions="augmented" alone'):
        prevalence(coded, gold, incidents=incidents, attributes="setting")
    with pytest.raises(DataError, match="give the table as incidents="):
        prevalence(coded, gold, attributes="setting", predictions="augmented")


def test_the_target_is_named_and_agencies_count_for_the_process_alone(tables):
    incidents, coded, gold, _ = tables
    process = prevalence(coded, gold, incidents=incidents, clusters=None)
    these = prevalence(coded, gold, incidents=incidents, finite_population=True)
    assert process.attrs["target"].startswith("the process")
    assert these.attrs["target"] == "these reported incidents alone"
    assert these.attrs["estimand"] == "share of these reported incidents"
    np.testing.assert_array_equal(process.estimate, these.estimate)
    human = these.estimator != "naive"
    assert (these.std_error[human] < process.std_error[human]).all()
    alone = prevalence(coded, gold, clusters=None, finite_population=True)
    np.testing.assert_allclose(these.std_error[human], alone.std_error[human])


def test_a_draw_of_whole_agencies_widens_the_error_for_these_reports(tables):
    """Rows of a drawn agency came together; taken as single draws they promise too much."""
    incidents, coded, _, truth = tables
    generator = np.random.default_rng(8)
    lift = incidents.agency_id.map(
        dict(zip(incidents.agency_id.unique(), generator.random(30) < 0.5, strict=True))
    )
    drawn = incidents.agency_id.isin(generator.choice(incidents.agency_id.unique(), 12, False))
    gold = pd.DataFrame(
        {
            "incident_id": incidents.incident_id[drawn],
            "category": "first",
            "present": (truth["first"] | lift.to_numpy())[drawn],
            "inclusion_probability": 0.4,
            "cluster": incidents.agency_id[drawn],
        }
    )
    options = {"incidents": incidents, "finite_population": True, "estimators": ["gold_only"]}
    whole = prevalence(coded, gold, **options)
    single = prevalence(coded, gold.drop(columns="cluster"), **options)
    assert whole.estimate[0] == single.estimate[0]
    assert whole.std_error[0] > 2 * single.std_error[0]
