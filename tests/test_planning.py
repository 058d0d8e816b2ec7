"""Expected standard errors against what happens when more is coded."""

import numpy as np
import pandas as pd
import pytest
from simulated_codes import CATEGORIES, make_tables

from boundary_research._checks import DataError
from boundary_research.inference import plan_double_coding, prevalence, risk_factors


@pytest.fixture(scope="module")
def tables():
    return make_tables(n=4_000, fraction=0.1)


def draw(tables, count, seed):
    incidents, _, _, truth = tables
    drawn = np.random.default_rng(seed).random(len(incidents)) < count / len(incidents)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "incident_id": incidents.incident_id[drawn],
                    "category": name,
                    "present": truth[name][drawn],
                    "inclusion_probability": count / len(incidents),
                }
            )
            for name in CATEGORIES
        ]
    )


def test_pilot_row_is_the_present_standard_error(tables):
    _, coded, gold, _ = tables
    plan = plan_double_coding(coded, gold, [800])
    pilot = plan[plan.design == "pilot"].set_index("category").std_error
    table = prevalence(coded, gold, estimators=["dsl"], small_sample="none").set_index("category")
    np.testing.assert_allclose(pilot, table.std_error.loc[pilot.index])


@pytest.mark.parametrize("count", [800, 1_600])
def test_expected_error_of_shares_comes_true(tables, count):
    _, coded, gold, _ = tables
    plan = plan_double_coding(coded, gold, [count], designs=["equal"])
    expected = plan[plan.design == "equal"].set_index("category").std_error
    later = prevalence(coded, draw(tables, count, 1), estimators=["dsl"]).set_index("category")
    np.testing.assert_allclose(expected, later.std_error.loc[expected.index], rtol=0.12)


def test_expected_error_of_coefficients_comes_true(tables):
    incidents, coded, gold, _ = tables
    plan = plan_double_coding(
        coded, gold, [1_200], formula="~ setting", incidents=incidents, clusters=None, effect=0.5
    )
    later = risk_factors(
        "~ setting", incidents, coded, draw(tables, 1_200, 2), estimators=["dsl"], clusters=None
    )
    merged = plan[plan.design == "equal"].merge(later, on=["category", "term"])
    np.testing.assert_allclose(merged.std_error_x, merged.std_error_y, rtol=0.2)
    assert plan.power.between(0.05, 1).all()


def test_more_codes_and_better_designs_help(tables):
    _, coded, gold, _ = tables
    plan = plan_double_coding(coded, gold, [300, 600, 1_200, 4_000])
    wide = plan.pivot_table(index=["category", "n_gold"], columns="design", values="std_error")
    equal = wide["equal"].unstack("n_gold")
    assert (np.diff(equal.dropna(axis=1).to_numpy(), axis=1) < 0).all()
    adaptive = wide.dropna(subset=["by_prediction"])
    assert (adaptive.by_prediction <= adaptive.equal * 1.0001).all()
    everything = plan[plan.n_gold == 4_000].groupby("category").std_error
    assert (everything.max() - everything.min() < 1e-6).all()


def test_refusals_say_what_to_do(tables):
    _, coded, gold, _ = tables
    with pytest.raises(DataError, match="between 2 and the 4000 incidents"):
        plan_double_coding(coded, gold, [5_000])
    with pytest.raises(DataError, match="30 or more"):
        plan_double_coding(coded, gold[gold.incident_id.isin(gold.incident_id[:10])], [500])
    with pytest.raises(DataError, match="incidents="):
        plan_double_coding(coded, gold, [500], formula="~ setting")
    with pytest.raises(DataError, match="'best' not found"):
        plan_double_coding(coded, gold, [500], designs=["best"])
