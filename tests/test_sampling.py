"""Draws have the probabilities that they state: by enumeration, by simulation, and as invariants."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research.coding._allocation import allocate
from boundary_research.coding._sample_size import agreement_variance
from boundary_research.coding.sampling import (
    draw_clusters,
    draw_simple,
    draw_stratified,
    draw_two_phase,
    estimate_variances,
    inclusion_probability_matrix,
    joint_inclusion_probability,
    plan_sample,
)


def population(n: int, **columns) -> pd.DataFrame:
    ids = [f"n{i:04d}" for i in range(n)]
    return pd.DataFrame({"incident_id": ids, "narrative": "text", **columns})


def model_codes(incidents: pd.DataFrame, probabilities: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"incident_id": i, "category": c, "probability": p, "decision": "review"}
        for c, values in probabilities.items()
        for i, p in zip(incidents["incident_id"], values, strict=True)
    ]
    return pd.DataFrame(rows)


class EveryChoice(np.random.Generator):
    """A generator that follows a script of choices, so that a design can be enumerated."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))
        self.script, self.options, self.step = [], [], 0

    def choice(self, a, size, replace):
        assert not replace
        ways = list(combinations(a, size))
        if self.step == len(self.script):
            self.script.append(0)
            self.options.append(len(ways))
        self.step += 1
        return np.array(ways[self.script[self.step - 1]])

    def advance(self) -> bool:
        """Go to the next outcome; False after the last."""
        self.step = 0
        while self.script and self.script[-1] + 1 == self.options[-1]:
            self.script.pop()
            self.options.pop()
        if self.script:
            self.script[-1] += 1
        return bool(self.script)


def every_sample(draw):
    """Yield every sample of a design with its probability."""
    rng = EveryChoice()
    while True:
        sample = draw(rng)
        yield sample, 1 / math.prod(rng.options)
        if not rng.advance():
            return


def assert_exact(draw, incidents):
    """Stated first- and second-order probabilities are those of the enumerated design."""
    single, pairs, stated, joint = Counter(), Counter(), {}, {}
    total = 0.0
    for sample, chance in every_sample(draw):
        total += chance
        chosen = list(sample["incident_id"])
        matrix = inclusion_probability_matrix(sample)
        for i in chosen:
            single[i] += chance
        for pair in combinations(chosen, 2):
            pairs[pair] += chance
            joint.setdefault(pair, matrix.loc[pair])
            assert joint[pair] == pytest.approx(matrix.loc[pair], rel=1e-12)
        stated.update(zip(chosen, sample["inclusion_probability"], strict=True))
    assert total == pytest.approx(1)
    assert stated == pytest.approx({i: single[i] for i in incidents["incident_id"]}, rel=1e-9)
    assert joint == pytest.approx(dict(pairs), rel=1e-9)
    return stated, joint


def test_simple_draw_is_exact():
    incidents = population(6)
    stated, joint = assert_exact(lambda rng: draw_simple(incidents, 3, random_state=rng), incidents)
    assert set(stated.values()) == {0.5}
    # 4 of the 20 samples of three out of six hold a given pair
    holding = [s for s in combinations(range(6), 3) if {0, 1} <= set(s)]
    assert joint["n0000", "n0001"] == pytest.approx(len(holding) / math.comb(6, 3))


def test_stratified_draw_is_exact():
    incidents = population(8, setting=list("aaaaabbb"), role=list("xyxyxxyx"))
    assert_exact(
        lambda rng: draw_stratified(
            incidents, 4, strata="setting", allocation="equal", random_state=rng
        ),
        incidents,
    )


@pytest.mark.parametrize("k", [None, 2])
def test_cluster_draw_is_exact(k):
    incidents = population(7, agency_id=list("aaabbcd"))
    assert_exact(
        lambda rng: draw_clusters(incidents, 2, n_per_cluster=k, random_state=rng), incidents
    )


def test_two_phase_draw_is_exact():
    incidents = population(8)
    codes = model_codes(
        incidents, {"common": [0.9] * 5 + [0.1] * 3, "rare": [0.9, 0.9, 0.9] + [0.1] * 5}
    )
    assert_exact(lambda rng: draw_two_phase(incidents, 6, codes, random_state=rng), incidents)


def test_two_phase_after_a_first_sample_is_exact():
    """Over both phases expansion estimators hit totals and numbers of pairs exactly."""
    incidents = population(6)
    codes = model_codes(incidents, {"x": [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]})
    y = dict(zip(incidents["incident_id"], [1, 2, 3, 4, 5, 6], strict=True))
    total = weight = pair_weight = 0.0
    for first, chance in every_sample(lambda rng: draw_simple(incidents, 5, random_state=rng)):
        for sample, share in every_sample(
            lambda rng, first=first: draw_two_phase(
                incidents, 4, codes, first_phase=first, random_state=rng
            )
        ):
            pi = sample["inclusion_probability"].to_numpy()
            total += chance * share * (sample["incident_id"].map(y) / pi).sum()
            weight += chance * share * (1 / pi).sum()
            joint = inclusion_probability_matrix(sample, first_phase=first).to_numpy()
            pair_weight += chance * share * (1 / joint[np.triu_indices(len(sample), 1)]).sum()
    assert (total, weight, pair_weight) == pytest.approx((21, 6, 15))


def test_yates_grundy_variance_is_unbiased():
    """The joint probabilities give a variance estimate whose mean is the true variance."""
    incidents = population(7, setting=list("aaaabbb"))
    y = pd.Series(np.arange(7.0) ** 1.5, index=incidents["incident_id"])
    mean = square = variance = 0.0
    for sample, chance in every_sample(
        lambda rng: draw_stratified(incidents, 4, strata="setting", random_state=rng)
    ):
        pi = sample["inclusion_probability"].to_numpy()
        scaled = y[sample["incident_id"]].to_numpy() / pi
        joint = inclusion_probability_matrix(sample).to_numpy()
        gap = (np.outer(pi, pi) - joint) / joint * (scaled[:, None] - scaled[None, :]) ** 2
        mean += chance * scaled.sum()
        square += chance * scaled.sum() ** 2
        variance += chance * gap.sum() / 2
    assert mean == pytest.approx(y.sum())
    assert variance == pytest.approx(square - mean**2)


def test_draws_are_as_frequent_as_stated():
    """The generator's own choices, not only the arithmetic: 200 draws of a stratified design."""
    incidents = population(60, setting=["a"] * 40 + ["b"] * 20)
    rng = np.random.default_rng(3)
    seen = Counter()
    for _ in range(200):
        sample = draw_stratified(
            incidents, 20, strata="setting", allocation="equal", random_state=rng
        )
        seen.update(sample["incident_id"])
    counts = np.array([seen[i] for i in incidents["incident_id"]])
    expected = 200 * np.repeat([0.25, 0.5], [40, 20])
    z = (counts - expected) / np.sqrt(expected * np.repeat([0.75, 0.5], [40, 20]))
    assert np.abs(z).max() < 4
    assert 0.5 < np.mean(z**2) < 1.6


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    share=st.floats(0.05, 1.0),
    allocation=st.sampled_from(["proportional", "equal", "neyman"]),
    seed=st.integers(0, 1000),
)
def test_stratified_invariants(sizes, share, allocation, seed):
    labels = [f"s{h}" for h, size in enumerate(sizes) for _ in range(size)]
    incidents = population(len(labels), setting=labels)
    n = max(len(sizes), int(share * len(labels)))
    variances = {f"s{h}": 0.05 * h for h in range(len(sizes))}
    sample = draw_stratified(
        incidents, n, strata="setting", allocation=allocation, variances=variances,
        random_state=seed,
    )  # fmt: skip
    assert len(sample) == n
    # The weights of a stratum add up to its size, exactly
    totals = (1 / sample["inclusion_probability"]).groupby(sample["stratum"]).sum()
    assert totals.to_dict() == pytest.approx({f"s{h}": s for h, s in enumerate(sizes)})
    again = draw_stratified(
        incidents, n, strata="setting", allocation=allocation, variances=variances,
        random_state=seed,
    )  # fmt: skip
    pd.testing.assert_frame_equal(sample, again)


@example(sizes=[1, 1, 1], shares=[0.0, 0.0, 5e-324, 0.0, 0.0, 0.0, 0.0, 0.0], fraction=0.0)
@example(sizes=[5, 5, 5], shares=[100.0, 5e-324, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], fraction=1.0)
@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    shares=st.lists(st.floats(0, 100), min_size=8, max_size=8),
    fraction=st.floats(0, 1),
)
def test_allocation_fits(sizes, shares, fraction):
    sizes = np.array(sizes)
    low = np.minimum(sizes, 2)
    n = int(low.sum() + fraction * (sizes.sum() - low.sum()))
    counts = allocate(n, sizes, np.array(shares[: len(sizes)]), least=2, names=["s"] * len(sizes))
    assert counts.sum() == n
    assert (counts >= low).all()
    assert (counts <= sizes).all()


def test_neyman_allocation_by_hand():
    # N_h S_h = 60 * 0.5, 40 * 0.1: 30 to 4, of 34 draws
    labels = ["a"] * 60 + ["b"] * 40
    sample = draw_stratified(
        population(100, setting=labels), 34, strata="setting", allocation="neyman",
        variances={"a": 0.25, "b": 0.01}, random_state=1,
    )  # fmt: skip
    assert sample["stratum"].value_counts().to_dict() == {"a": 30, "b": 4}


def test_variances_from_a_model_and_from_a_pilot():
    incidents = population(4, setting=list("aabb"))
    codes = model_codes(incidents, {"x": [0.2, 0.4, 0.9, 0.9]})
    found = estimate_variances(incidents, codes, strata="setting", category="x")
    assert found.to_dict() == pytest.approx({"a": 0.21, "b": 0.09})
    gold = pd.DataFrame(
        {"incident_id": incidents["incident_id"], "category": "x", "present": [1, 0, 0, 0]}
    )
    found = estimate_variances(incidents, gold, strata="setting", category="x")
    assert found.to_dict() == pytest.approx({"a": 0.25, "b": (0.5 / 3) * (2.5 / 3)})


def test_two_phase_draws_rare_predictions_more_often():
    incidents = population(1000)
    codes = model_codes(
        incidents,
        {"common": [0.9] * 400 + [0.1] * 600, "rare": [0.1] * 380 + [0.9] * 40 + [0.1] * 580},
    )
    sample = draw_two_phase(incidents, 100, codes, random_state=2)
    shares = sample.groupby("stratum")["inclusion_probability"].first()
    assert shares["rare"] > 2 * shares["common"] > 2 * shares["none_predicted"] * 0.9
    sizes = sample.groupby("stratum")["stratum_size"].first().to_dict()
    assert sizes == {"common": 380, "none_predicted": 580, "rare": 40}


def test_joint_probability_of_one_pair():
    sample = draw_clusters(population(4, agency_id=list("aabb")), 1, random_state=0)
    i, j = sample["incident_id"]
    assert joint_inclusion_probability(sample, i, j) == 0.5
    assert joint_inclusion_probability(sample, i, i) == 0.5
    with pytest.raises(DataError, match="is not in the sample"):
        joint_inclusion_probability(sample, i, "other")
    with pytest.raises(DataError, match="rows were taken out"):
        inclusion_probability_matrix(sample.iloc[:1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: draw_simple(d, 0), "between 1 and the 8 incidents, got 0"),
        (lambda d: draw_simple(d, 2.5), "whole number"),
        (lambda d: draw_simple(d, 9), "between 1 and the 8"),
        (lambda d: draw_stratified(d, 4, strata="no"), "'no' not found"),
        (lambda d: draw_stratified(d, 1, strata="setting"), "Draw more"),
        (lambda d: draw_stratified(d, 4, strata="hole"), "not_stated"),
        (lambda d: draw_stratified(d, 4, strata="setting", allocation="x"), "Available"),
        (lambda d: draw_stratified(d, 4, strata="setting", allocation="neyman"), "needs variances"),
        (
            lambda d: draw_stratified(
                d, 4, strata="setting", allocation="neyman", variances={"a": 1}
            ),
            "no value for 'b'",
        ),
        (lambda d: draw_clusters(d, 3, clusters="setting"), "the 2 clusters"),
        (
            lambda d: draw_two_phase(d, 4, model_codes(d.iloc[:5], {"x": [0.5] * 5})),
            "lacks 3 of the 8",
        ),
        (lambda d: draw_simple(d, 2, random_state="x"), "random_state"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    incidents = population(8, setting=list("aaaabbbb"), hole=["x"] * 7 + [None])
    with pytest.raises(DataError, match=message):
        call(incidents)


def test_plan_for_prevalence():
    # 1.96² * .25 / .05² = 384.1; with N = 1000, 384.1 / (1 + 383.1 / 1000) = 277.7 (Cochran, eq. 4.2)
    assert plan_sample("prevalence", 0.05, prevalence=0.5).n == 385
    plan = plan_sample("prevalence", 0.05, prevalence=0.5, n_total=1000)
    assert plan.n == 278
    assert plan.half_width <= 0.05
    # A model whose predictions correlate .8 with the gold codes leaves 36% of the work
    assert plan_sample("prevalence", 0.05, prevalence=0.5, correlation=0.8).n == 139
    assert plan_sample("prevalence", 0.05, prevalence=0.5, design_effect=2).n == 769
    assert "not to be trusted" in plan_sample("prevalence", 0.05, prevalence=0.02).note


def test_plan_for_an_odds_ratio_holds_in_simulation():
    plan = plan_sample("odds_ratio", math.log(2), prevalence=0.2, odds_ratio=2.0, exposed=0.4)
    rng = np.random.default_rng(11)
    exposed = rng.random((2000, plan.n)) < 0.4
    present = rng.random((2000, plan.n)) < np.where(exposed, 0.4 / 1.2, 0.2)
    cells = [
        (exposed & present).sum(1), (exposed & ~present).sum(1),
        (~exposed & present).sum(1), (~exposed & ~present).sum(1),
    ]  # fmt: skip
    a, b, c, d = (cell + 0.5 for cell in cells)
    assert np.std(np.log(a * d / (b * c))) == pytest.approx(plan.std_error, rel=0.05)
    assert plan.half_width <= math.log(2)


@pytest.mark.parametrize(("kappa", "p"), [(0.8, 0.1), (0.6, 0.3), (0.0, 0.5), (0.9, 0.02)])
def test_variance_with_two_coders_is_bloch_and_kraemers(kappa, p):
    published = (1 - kappa) * (
        (1 - kappa) * (1 - 2 * kappa) + kappa * (2 - kappa) / (2 * p * (1 - p))
    )
    assert agreement_variance(kappa, p, 2) == pytest.approx(published)


def test_plan_for_alpha_agrees_with_the_standard_error_of_such_codings():
    """Codings whose counts are as planned for have the planned standard error."""
    from boundary_research.coding.reliability import krippendorff_alpha

    # 1,000 narratives, two coders, p = .2, kappa = .75: 170 both, 60 split, 770 neither
    ratings = np.array([[1, 1]] * 170 + [[1, 0]] * 30 + [[0, 1]] * 30 + [[0, 0]] * 770)
    result = krippendorff_alpha(ratings)
    expected = math.sqrt(agreement_variance(0.8125, 0.2, 2) / 1000)
    assert result.std_error == pytest.approx(expected, rel=0.01)
    assert result.estimate == pytest.approx(0.8125, abs=0.001)


def test_more_coders_need_fewer_narratives():
    two = plan_sample("kappa", 0.1, prevalence=0.2, agreement=0.7)
    four = plan_sample("kappa", 0.1, prevalence=0.2, agreement=0.7, n_coders=4)
    assert four.n < two.n
    assert four.to_dict()["target"] == "kappa"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "mean"}, "Available"),
        ({"half_width": 0}, "half_width"),
        ({"prevalence": 1.5}, "prevalence"),
        ({"correlation": 1}, "correlation"),
        ({"target": "alpha", "n_coders": 1}, "n_coders"),
        ({"n_total": 1}, "n_total"),
    ],
)
def test_plan_refuses(options, message):
    call = {"target": "prevalence", "half_width": 0.05, "prevalence": 0.5} | options
    with pytest.raises(DataError, match=message):
        plan_sample(**call)
