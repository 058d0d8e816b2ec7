"""Adjusted p-values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research.inference import adjust_p_values


def test_worked_values():
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06]
    np.testing.assert_allclose(
        adjust_p_values(p, "bh"), [0.006, 0.024, 0.0504, 0.0504, 0.0504, 0.06]
    )
    np.testing.assert_allclose(
        adjust_p_values(p, "holm"), [0.006, 0.04, 0.156, 0.156, 0.156, 0.156]
    )
    np.testing.assert_allclose(adjust_p_values(p, "bonferroni")[:2], [0.006, 0.048])


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=30))
def test_missing_values_are_no_tests(p):
    values = np.array(p)
    for method in ("bh", "by", "holm", "bonferroni", None):
        adjusted = adjust_p_values(p, method)
        np.testing.assert_array_equal(np.isnan(adjusted), np.isnan(values))
        there = ~np.isnan(values)
        assert (adjusted[there] >= values[there] - 1e-12).all()
        np.testing.assert_allclose(
            adjusted[there], adjust_p_values(values[there], method), atol=1e-300
        )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_agrees_with_statsmodels(p):
    from statsmodels.stats.multitest import multipletests

    for method, name in {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm"}.items():
        # Below the smallest normal number there is no relative precision to compare.
        peer = multipletests(p, method=name)[1]
        np.testing.assert_allclose(adjust_p_values(p, method), peer, atol=1e-300)


def test_unknown_method_is_refused():
    with pytest.raises(DataError, match="Available: bh, by, holm, bonferroni"):
        adjust_p_values([0.1], "sidak")
