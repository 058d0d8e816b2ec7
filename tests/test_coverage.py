"""Coverage of the intervals, by the simulation of benchmarks/coverage.py."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def coverage():
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(shares, runs):
    """Within 93.5-96.5%, give or take three standard errors of the simulation itself."""
    slack = 3 * np.sqrt(0.95 * 0.05 / runs) if runs < 2_000 else 0.0
    assert ((shares >= 0.935 - slack) & (shares <= 0.965 + slack)).all(), shares


def test_corrected_intervals_cover_and_naive_ones_do_not(coverage):
    runs = 150
    shares, width, f1 = coverage.simulate(runs, agencies=30)
    assert 0.77 < f1 < 0.85
    check(shares["dsl"], runs)
    check(shares["ppi"], runs)
    assert shares["naive"].max() < 0.9
    assert (width["ppi"][1:] < 0.8 * width["gold_only"][1:]).all()


@pytest.mark.slow
def test_coverage_over_two_thousand_runs(coverage):
    shares, width, _ = coverage.simulate(2_000, agencies=30)
    check(shares["dsl"], 2_000)
    check(shares["ppi"], 2_000)
    assert (width["ppi"][1:] < 0.8 * width["gold_only"][1:]).all()
