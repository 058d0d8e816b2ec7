"""A simulated registry has the truth that was asked for."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from boundary_research._checks import DataError
from boundary_research._tables import check_table
from boundary_research.corpus._registry_blocks import BLOCK
from boundary_research.corpus._registry_model import bridge_quantile
from boundary_research.corpus.simulate import (
    ClassifierError,
    Given,
    simulate_registry,
    write_registry,
)

SETTING = {"setting": {"city": 0.6, "village": 0.4}}
CONFOUNDED = {
    "setting": {"city": 0.5, "village": 0.5},
    "supervised": Given(
        "setting", {"city": {"no": 0.2, "yes": 0.8}, "village": {"no": 0.7, "yes": 0.3}}
    ),
}
EFFECTS = {
    "kin": {"setting": {"village": 0.8}, "supervised": {"yes": -0.6}},
    "gift": {"supervised": {"yes": 0.4}},
}


def truth_of(registry, category, level="", column="share"):
    table = registry.truth.prevalence
    return table.query("category == @category and level == @level")[column].item()


def effect_of(registry, category, level, column):
    table = registry.truth.effects
    return table.query("category == @category and level == @level")[column].item()


@pytest.fixture(scope="module")
def confounded():
    return simulate_registry(
        150_000,
        prevalence={"kin": 0.2, "gift": 0.08, "control": 0.1},
        effects=EFFECTS,
        attributes=CONFOUNDED,
        n_agencies=4000,
        icc=0.1,
        practitioner_icc=0.1,
        association=0.1,
        classifier_error={
            "kin": ClassifierError(0.8, 0.95, "setting", {"village": (0.6, 0.9)}),
            "gift": ClassifierError(0.7, 0.99),
            "control": ClassifierError(),
        },
        random_state=11,
    )


def test_prevalence_is_the_one_asked_for(confounded):
    for k, (category, share) in enumerate({"kin": 0.2, "gift": 0.08, "control": 0.1}.items()):
        assert truth_of(confounded, category) == pytest.approx(share, abs=1e-10)
        # Design effect of 40 incidents an agency at a latent ICC of .1 is below 4.
        error = 2 * np.sqrt(share * (1 - share) / len(confounded))
        assert confounded.present[:, k].mean() == pytest.approx(share, abs=4 * error)


def test_a_logistic_regression_finds_the_effects(confounded):
    attributes = confounded.complete
    X = np.column_stack(
        [
            np.ones(len(attributes)),
            attributes["setting"] == "village",
            attributes["supervised"] == "yes",
        ]
    )
    agencies = pd.factorize(confounded.incidents["agency_id"])[0]
    expected = [(0.8, -0.6), (0.0, 0.4), (0.0, 0.0)]
    for k, effects in enumerate(expected):
        fit = sm.GLM(confounded.present[:, k].astype(float), X, family=sm.families.Binomial()).fit(
            cov_type="cluster", cov_kwds={"groups": agencies}
        )
        truth = [confounded.truth.intercepts.iloc[k], *effects]
        assert (np.abs(fit.params - truth) < 4 * fit.bse).all()
        assert fit.bse.max() < 0.06  # the comparison would notice


def test_marginal_differences_hold_the_other_attribute_still(confounded):
    attributes = confounded.complete
    supervised = (attributes["supervised"] == "yes").to_numpy()
    village = (attributes["setting"] == "village").to_numpy()
    kin = confounded.present[:, 0]
    weight = supervised.mean()
    standardised = sum(
        w * (kin[village & s].mean() - kin[~village & s].mean())
        for w, s in [(weight, supervised), (1 - weight, ~supervised)]
    )
    truth = effect_of(confounded, "kin", "village", "marginal_difference")
    assert standardised == pytest.approx(truth, abs=0.012)
    crude = kin[village].mean() - kin[~village].mean()
    assert crude - truth > 0.03  # confounded by supervision, upwards
    assert crude == pytest.approx(
        truth_of(confounded, "kin", "village") - truth_of(confounded, "kin", "city"), abs=0.012
    )


def test_sensitivity_and_specificity_differ_by_level_as_asked(confounded):
    village = (confounded.complete["setting"] == "village").to_numpy()
    kin, said = confounded.present[:, 0], confounded.predicted[:, 0]
    for rows, sensitivity, specificity in [(village, 0.6, 0.9), (~village, 0.8, 0.95)]:
        assert said[rows & kin].mean() == pytest.approx(sensitivity, abs=0.02)
        assert said[rows & ~kin].mean() == pytest.approx(1 - specificity, abs=0.01)
    assert (confounded.predicted[:, 2] == confounded.present[:, 2]).all()
    error = confounded.truth.error.set_index(["category", "level"])
    assert error.loc[("kin", "village"), "sensitivity"] == 0.6


def test_probabilities_are_calibrated(confounded):
    probability, gift = confounded.probability[:, 1], confounded.present[:, 1]
    edges = np.quantile(probability, [0, 0.5, 0.8, 0.9, 0.95, 1])
    for low, high in itertools.pairwise(edges):
        rows = (probability >= low) & (probability <= high)
        assert gift[rows].mean() == pytest.approx(probability[rows].mean(), abs=0.02)


def bridge_density(b, phi):
    return np.sin(phi * np.pi) / (2 * np.pi * (np.cosh(phi * b) + np.cos(phi * np.pi)))


@pytest.mark.parametrize("phi", [0.98, 0.8, 0.3])
def test_bridge_quantiles_invert_the_published_density(phi):
    for u in (0.01, 0.3, 0.5, 0.9):
        b = float(bridge_quantile(np.array(u), phi))
        below, _ = integrate.quad(bridge_density, -60 / phi, b, args=(phi,), limit=500)
        assert below == pytest.approx(u, abs=1e-7)
    eta = 1.3
    mean, _ = integrate.quad(
        lambda b: special.expit(eta + b) * bridge_density(b, phi), -200 / phi, 200 / phi, limit=500
    )
    assert mean == pytest.approx(special.expit(phi * eta), abs=1e-7)


def between_variance(icc, prevalence):
    """Variance of an agency's expected share, by integrating over the published density."""
    phi = np.sqrt(1 - icc)
    eta = special.logit(prevalence) / phi
    square, _ = integrate.quad(
        lambda b: special.expit(eta + b) ** 2 * bridge_density(b, phi), -300, 300, limit=500
    )
    return square - prevalence**2


def anova_between(values, groups):
    """Between-group variance by the analysis of variance (Searle 1971)."""
    frame = pd.DataFrame({"y": values.astype(float), "g": groups})
    sizes = frame.groupby("g")["y"].agg(["size", "mean"])
    n, count = len(frame), len(sizes)
    between = (sizes["size"] * (sizes["mean"] - frame["y"].mean()) ** 2).sum() / (count - 1)
    within = ((frame["y"] - sizes["mean"].loc[frame["g"]].to_numpy()) ** 2).sum() / (n - count)
    typical = (n - (sizes["size"] ** 2).sum() / n) / (count - 1)
    return (between - within) / typical


@pytest.mark.parametrize("icc", [0.05, 0.3])
def test_agencies_vary_by_the_intraclass_correlation(icc):
    registry = simulate_registry(
        120_000,
        prevalence={"kin": 0.25},
        attributes=SETTING,
        n_agencies=3000,
        icc=icc,
        random_state=3,
    )
    found = anova_between(registry.present[:, 0], registry.incidents["agency_id"].to_numpy())
    assert found == pytest.approx(between_variance(icc, 0.25), rel=0.12)
    assert registry.truth.icc == icc


def test_practitioners_of_an_agency_differ_and_keep_their_level():
    registry = simulate_registry(
        150_000,
        prevalence={"kin": 0.3},
        attributes=SETTING,
        n_agencies=100,
        n_practitioners=15_000,
        practitioner_icc=0.2,
        random_state=4,
    )
    groups = registry.incidents["practitioner_id"].to_numpy()
    assert anova_between(registry.present[:, 0], groups) == pytest.approx(
        between_variance(0.2, 0.3), rel=0.1
    )
    assert registry.incidents.groupby("practitioner_id")["agency_id"].nunique().max() == 1


def test_categories_of_an_incident_go_together():
    options = {"prevalence": {"a": 0.2, "b": 0.2}, "attributes": SETTING, "random_state": 5}
    apart = simulate_registry(60_000, **options).present
    together = simulate_registry(60_000, association=0.3, **options).present
    assert apart.all(axis=1).mean() == pytest.approx(0.04, abs=0.004)
    square = between_variance(0.3, 0.2) + 0.04
    assert together.all(axis=1).mean() == pytest.approx(square, abs=0.005)
    assert together.mean(axis=0) == pytest.approx([0.2, 0.2], abs=0.01)


REPORTING = {
    "setting": {"village": 0.5},
    "severity": {"none": 0.2, 0: 0.4},
    ("setting", "severity"): {("village", 2): 0.7},
    "category": {"gift": 0.8},
    ("setting", "category"): {("village", "kin"): 0.6},
}


def test_the_reported_shares_follow_from_the_filters():
    registry = simulate_registry(
        400_000,
        prevalence={"kin": 0.2, "gift": 0.1},
        effects={"kin": {"setting": {"village": 0.8}}},
        attributes=SETTING,
        association=0.2,
        severity={"kin": (0.5, 0.3, 0.2), "gift": (0.1, 0.2, 0.7)},
        reporting=REPORTING,
        random_state=6,
    )
    assert len(registry) / registry.n_occurred == pytest.approx(registry.truth.reported, abs=0.003)
    for k, category in enumerate(registry.categories):
        for level in ("city", "village"):
            rows = (registry.complete["setting"] == level).to_numpy()
            found = registry.present[rows, k].mean()
            expected = truth_of(registry, category, level, "share_reported")
            assert found == pytest.approx(expected, abs=0.006)
    shift = truth_of(registry, "kin", "", "share_reported") - 0.2
    assert abs(shift) > 0.05  # the filter matters


def test_severity_shares():
    registry = simulate_registry(
        30_000, prevalence={"a": 0.5}, attributes=SETTING, severity=(0.1, 0.3, 0.6), random_state=7
    )
    severity = registry.severity[registry.present]
    assert np.bincount(severity) / len(severity) == pytest.approx([0.1, 0.3, 0.6], abs=0.015)
    assert (registry.severity[~registry.present] == -1).all()


def test_agency_attributes_are_constant_and_every_level_occurs():
    registry = simulate_registry(
        3000,
        prevalence={"a": 0.2},
        attributes=CONFOUNDED,
        agency_attributes=["setting"],
        n_agencies=6,
        random_state=8,
    )
    levels = registry.incidents.groupby("agency_id")["setting"].nunique()
    assert (levels == 1).all()
    assert registry.incidents["setting"].nunique() == 2
    assert registry.incidents.groupby("agency_id")["supervised"].nunique().max() == 2


def test_not_stated_hides_a_share_of_the_levels():
    registry = simulate_registry(
        20_000,
        prevalence={"a": 0.2},
        attributes=SETTING,
        not_stated={"setting": 0.15},
        random_state=9,
    )
    hidden = registry.incidents["setting"] == "not_stated"
    assert hidden.mean() == pytest.approx(0.15, abs=0.01)
    shown = registry.incidents["setting"][~hidden].astype(str)
    assert (shown == registry.complete["setting"][~hidden].astype(str)).all()
    assert list(registry.incidents["setting"].cat.categories) == ["city", "village", "not_stated"]


def test_tables_fit_the_schemas():
    registry = simulate_registry(
        500,
        prevalence={"a": 0.4, "b": 0.1},
        classifier_error=ClassifierError(0.9, 0.9),
        random_state=1,
    )
    check_table(registry.incidents, "incidents")
    gold = check_table(registry.gold, "gold")
    coded = check_table(registry.coded, "coded")
    assert len(gold) == len(coded) == 1000
    assert (gold["present"].to_numpy().reshape(500, 2) == registry.present).all()
    said = (coded["decision"] == "present").to_numpy().reshape(500, 2)
    assert (said == registry.predicted).all()
    assert registry.incidents["occurred_on"].between("2016-01-01", "2025-12-31").all()


def test_gold_draws_carry_their_inclusion_probability():
    registry = simulate_registry(
        5000,
        prevalence={"a": 0.4, "b": 0.1},
        attributes={"place": {"x": 0.9, "y": 0.1}},
        random_state=1,
    )
    simple = check_table(registry.draw_gold(250, random_state=2), "gold")
    assert simple["incident_id"].nunique() == 250
    assert (simple["inclusion_probability"] == 0.05).all()
    equal = registry.draw_gold(400, by="place", random_state=2)
    first = equal.drop_duplicates("incident_id")
    place = first["incident_id"].map(registry.incidents.set_index("incident_id")["place"])
    assert place.value_counts().to_dict() == {"x": 200, "y": 200}
    assert (1 / first["inclusion_probability"]).sum() == pytest.approx(5000)
    with pytest.raises(DataError, match="between 1 and 5000"):
        registry.draw_gold(6000)


def test_narratives_are_those_with_the_closest_codes():
    texts = pd.DataFrame(
        {
            "narrative": ["neither", "only a", "only b", "another a"],
            "a": [False, True, False, True],
            "b": [False, False, True, False],
        }
    )
    registry = simulate_registry(
        2000, prevalence={"a": 0.4, "b": 0.3}, narratives=texts, random_state=1
    )
    text = registry.incidents["narrative"]
    a, b = registry.present.T
    assert set(text[a & ~b]) == {"only a", "another a"}
    assert set(text[~a & ~b]) == {"neither"}
    assert set(text[a & b]) == {"only a", "only b", "another a"}
    plain = simulate_registry(
        2000, prevalence={"c": 0.4}, narratives=texts[["narrative"]], random_state=1
    )
    assert set(plain.incidents["narrative"]) == set(texts["narrative"])


def test_written_narratives_are_the_same(tmp_path):
    texts = pd.DataFrame({"narrative": ["none here", "kin here", "é, ŋ"], "a": [False, True, True]})
    options = {"prevalence": {"a": 0.4}, "narratives": texts, "random_state": 3}
    write_registry(tmp_path / "registry", BLOCK + 10, chunk_size=1000, **options)
    written = pd.read_parquet(tmp_path / "registry" / "incidents.parquet")["narrative"].astype(str)
    expected = simulate_registry(BLOCK + 10, **options).incidents["narrative"]
    assert (written == expected).all()
    assert set(expected) == set(texts["narrative"])


OPTIONS = {
    "prevalence": {"a": 0.2, "b": 0.1},
    "effects": {"a": {"setting": {"village": 0.5}}},
    "attributes": SETTING,
    "reporting": {"setting": {"village": 0.7}},
    "icc": 0.05,
    "practitioner_icc": 0.1,
    "classifier_error": ClassifierError(0.8, 0.9),
}


@settings(deadline=None, max_examples=6)
@given(chunk_size=st.integers(1000, 200_000))
def test_the_rows_do_not_depend_on_the_chunks(tmp_path_factory, chunk_size):
    n = BLOCK + 500
    registry = simulate_registry(n, random_state=12, **OPTIONS)
    folder = tmp_path_factory.mktemp("chunks") / "registry"
    written = write_registry(folder, n, chunk_size=chunk_size, random_state=12, **OPTIONS)
    assert written.n_reported == len(registry) < n
    incidents = pd.read_parquet(folder / "incidents.parquet")
    coded = pd.read_parquet(folder / "coded.parquet")
    gold = pd.read_parquet(folder / "gold.parquet")
    assert (incidents["incident_id"] == registry.incidents["incident_id"]).all()
    assert (incidents["setting"].astype(str) == registry.incidents["setting"].astype(str)).all()
    assert (incidents["occurred_on"] == registry.incidents["occurred_on"]).all()
    assert (gold["present"].to_numpy() == registry.present.ravel()).all()
    assert np.array_equal(coded["probability"].to_numpy(), registry.probability.ravel())
    groups = pq.ParquetFile(folder / "incidents.parquet").metadata
    assert groups.row_group(0).num_rows == min(chunk_size, len(registry))


def test_written_files(tmp_path):
    folder = tmp_path / "new" / "registry"
    write_registry(folder, 3000, layout="wide", random_state=12, **OPTIONS)
    registry = simulate_registry(3000, random_state=12, **OPTIONS)
    for name, values in [
        ("gold", registry.present),
        ("coded", registry.predicted),
        ("probability", registry.probability),
    ]:
        wide = pd.read_parquet(folder / f"{name}.parquet").set_index("incident_id")
        assert list(wide.columns) == ["a", "b"]
        assert np.array_equal(wide.to_numpy(), values)
    effects = pd.read_csv(folder / "truth_effects.csv")
    assert effects.query("category == 'a'")["log_odds_ratio"].tolist() == [0.5]
    assert json.loads((folder / "registry.json").read_text())["n_reported"] == len(registry)
    assert [p.name for p in folder.parent.iterdir()] == ["registry"]
    with pytest.raises(DataError, match="exists"):
        write_registry(folder, 10, **OPTIONS)
    with pytest.raises(TypeError, match="agencies"):
        write_registry(tmp_path / "other", 10, agencies=3, **OPTIONS)


def test_seeds():
    first, second, other = (
        simulate_registry(500, random_state=s, **OPTIONS).present.sum()
        for s in (1, np.random.default_rng(1), 2)
    )
    assert first == second
    assert first != other


MEMORY = """
import resource, sys
from boundary_research.corpus.simulate import write_registry
write_registry(sys.argv[1], int(sys.argv[2]), prevalence={f"c{k}": 0.1 for k in range(6)},
               practitioner_icc=0.1, layout="wide", chunk_size=65536, random_state=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(n):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path / str(n)), str(n)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        return float(done.stdout)

    few, many = peak(300_000), peak(1_500_000)
    # The rows added weigh more than 250 MiB as a table.
    assert many - few < 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prevalence": {}}, "at least one category"),
        ({"prevalence": {"a": 1.2}}, "prevalence of 'a'"),
        ({"effects": {"zzz": {}}}, "category: 'zzz' not found. Available: a, b"),
        ({"effects": {"a": {"colour": {"red": 1}}}}, "attribute 'colour' not found"),
        (
            {"effects": {"a": {"setting": {"moon": 1}}}},
            "'moon' not found. Available: city, village",
        ),
        (
            {"attributes": {"setting": {"x": 0.2, "y": 0.2}}, "effects": {}, "reporting": {}},
            "sum to 1",
        ),
        ({"icc": 0.7, "practitioner_icc": 0.4}, "less than 1"),
        ({"icc": -0.1}, r"icc must lie in \[0, 1\)"),
        ({"reporting": {("setting", "role"): {}}}, "not understood"),
        ({"reporting": {"severity": {5: 0.5}}}, "5 not found. Available: none, 0, 1, 2"),
        ({"classifier_error": {"a": ClassifierError()}}, "'b' has no entry"),
        ({"classifier_error": ClassifierError(1.5)}, "sensitivity of 'a'"),
        ({"severity": (0.5, 0.5)}, "three shares"),
        ({"n_practitioners": 3}, "at least one an agency"),
        ({"period": ("2020-01-01", "2019-01-01")}, "period"),
        ({"period": ("soon", "later")}, "period"),
        ({"not_stated": {"role": 0.5}}, "'role' not found"),
        ({"agency_attributes": ["role"]}, "'role' not found"),
        ({"narratives": pd.DataFrame({"text": ["x"]})}, "'narrative' not found"),
        ({"reporting": {"setting": {"village": 1e-9, "city": 1e-9}}}, "No incident was reported"),
    ],
)
def test_errors_say_what_is_allowed(change, message):
    with pytest.raises(DataError, match=message):
        simulate_registry(50, random_state=1, **{**OPTIONS, **change})


def test_dependent_attributes_are_checked():
    shares = {"city": {"no": 1.0, "yes": 0.0}, "village": {"no": 0.5, "yes": 0.5}}
    with pytest.raises(DataError, match="must stand before it"):
        simulate_registry(
            50,
            prevalence={"a": 0.1},
            attributes={"supervised": Given("setting", shares), **SETTING},
        )
    with pytest.raises(DataError, match="varies within agencies"):
        simulate_registry(
            50, prevalence={"a": 0.1}, attributes=CONFOUNDED, agency_attributes=["supervised"]
        )
    with pytest.raises(DataError, match="every level of 'setting'"):
        simulate_registry(
            50,
            prevalence={"a": 0.1},
            attributes={**SETTING, "supervised": Given("setting", {"city": shares["city"]})},
        )
