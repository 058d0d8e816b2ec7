"""Intervals of `evaluate` hold the truth as often as they say, with and without agencies."""

import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from boundary_research import evaluate

sys.path.insert(0, str(ROOT / "benchmarks"))
from evaluation_coverage import SCENARIOS, Scenario, cover


@pytest.mark.parametrize("scenario", [Scenario(400, 0.3, 0), Scenario(400, 0.2, 20)], ids=str)
def test_intervals_cover(scenario):
    held, width, _ = cover(scenario, 400, n_boot=200)
    # 400 runs have a standard error of one point.
    assert (held > 0.92).all()
    assert (held < 0.985).all()
    assert (width < 0.25).all()


def test_with_few_agencies_percentiles_of_the_same_draws_do_not():
    held, _, peer = cover(Scenario(400, 0.2, 5), 200, n_boot=200)
    assert (held > 0.9).all()
    assert (peer < 0.89).all()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_intervals_cover_in_every_scenario(scenario):
    held, _, _ = cover(scenario, 2000)
    # Below 93% (docs/benchmarks.md): with 10 agencies of unequal size, and AUC of 20 positives.
    assert (held > (0.905 if scenario.share == 0.05 else 0.92)).all()
    assert (held < 0.985).all()
    assert 0.93 < held.mean() < 0.97


def test_one_group_tells_nothing_of_the_variance():
    rng = np.random.default_rng(0)
    codes = pd.DataFrame({"a": rng.random(50) < 0.4})
    p = rng.random((50, 1))
    table = evaluate(codes, p, p > 0.5, groups=["one"] * 50)
    assert table["estimate"].notna().all()
    assert table[["conf_low", "conf_high"]].isna().all(axis=None)


def test_all_right_is_not_certain():
    codes = pd.DataFrame({"a": [True] * 10 + [False] * 40})
    p = codes.to_numpy() * 0.8 + 0.1
    table = evaluate(codes, p, p > 0.5).set_index(["category", "metric"]).loc["a"]
    recall = table.loc["recall"]
    assert recall["estimate"] == 1
    assert recall["conf_high"] == pytest.approx(1)
    # Ten of ten: Wilson's lower limit with t on 49 degrees of freedom, n / (n + t²).
    assert recall["conf_low"] == pytest.approx(10 / (10 + 2.009575**2), abs=1e-6)
    assert table.loc["auc", "conf_low"] < 0.8
