"""Replication: the same numbers again, and every way in which they can fail to come again."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import small_study_with_results

from boundary_research import DataError
from boundary_research.cli import main
from boundary_research.study._causes import NOTHING_FOUND, compare_manifests, name_causes, redraws
from boundary_research.study._claims import phrase, state_claims
from boundary_research.study._number_origins import find_origins
from boundary_research.study._replication_page import render_replication
from boundary_research.study.replication import compare_results, replicate

ESTIMATES = pd.DataFrame(
    {
        "term": "share",
        "category": ["a", "a", "b", "b"],
        "estimator": ["gold_only", "ppi", "gold_only", "ppi"],
        "estimate": [0.25, 0.2, 0.5, 0.55],
        "std_error": [0.05, 0.04, 0.06, 0.05],
        "conf_low": [0.15, 0.12, 0.38, 0.45],
        "conf_high": [0.35, 0.28, 0.62, 0.65],
        "p_value": [np.nan, 0.03, np.nan, 0.2],
        "n_gold": [100, 100, 100, 100],
        "note": ["", "few", "", ""],
    }
)


def verdicts(before, after, name="prevalence", **options):
    numbers = compare_results({name: before}, {name: after}, **options)
    return numbers.set_index(["row", "column"])["verdict"]


# --- comparing ---------------------------------------------------------------------------------


def test_the_same_tables_are_reproduced_cell_by_cell():
    numbers = compare_results({"prevalence": ESTIMATES}, {"prevalence": ESTIMATES})
    assert set(numbers["verdict"]) == {"reproduced"}
    # Six columns of numbers less two blank p-values; one note, and a term in every row.
    assert (numbers["kind"] != "text").sum() == 4 * 6 - 2
    assert numbers.loc[numbers["kind"] == "text", "column"].value_counts().to_dict() == {
        "term": 4,
        "note": 1,
    }
    assert set(numbers["row"]) == {
        f"category={c}; estimator={e}" for c in "ab" for e in ("gold_only", "ppi")
    }


def test_rows_may_come_in_another_order():
    shuffled = ESTIMATES.sample(frac=1, random_state=1)
    assert set(verdicts(ESTIMATES, shuffled)) == {"reproduced"}


@settings(max_examples=10)
@given(st.integers(0, 3), st.floats(-1e-9, 1e-9))
def test_rounding_is_no_difference(row, relative):
    other = ESTIMATES.copy()
    other.loc[row, "estimate"] *= 1 + relative
    assert set(verdicts(ESTIMATES, other)) == {"reproduced"}


@settings(max_examples=10)
@given(
    st.integers(0, 3),
    st.sampled_from(["estimate", "std_error", "conf_low", "conf_high"]),
    st.floats(1e-6, 10),
)
def test_a_real_difference_is_found_where_it_is(row, column, relative):
    other = ESTIMATES.copy()
    other.loc[row, column] *= 1 + relative
    found = verdicts(ESTIMATES, other)
    odd = found[found != "reproduced"]
    label = f"category={ESTIMATES.category[row]}; estimator={ESTIMATES.estimator[row]}"
    assert odd.to_dict() == {(label, column): "differs"}


def test_counts_and_texts_are_exact():
    other = ESTIMATES.astype({"n_gold": object})
    other.loc[0, "n_gold"] = 101
    other.loc[1, "note"] = "many"
    found = verdicts(ESTIMATES, other)
    assert found["category=a; estimator=gold_only", "n_gold"] == "differs"
    assert found["category=a; estimator=ppi", "note"] == "differs"
    assert (found == "differs").sum() == 2


def test_missing_and_added_rows_columns_and_tables_are_named():
    shorter = ESTIMATES.iloc[1:].drop(columns="p_value").assign(new=1)
    numbers = compare_results(
        {"prevalence": ESTIMATES, "lost": ESTIMATES[["category", "estimate"]].iloc[:1]},
        {"prevalence": shorter, "extra": ESTIMATES},
    )
    gone = numbers[numbers["verdict"] == "missing"]
    row = gone[(gone["table"] == "prevalence") & (gone["row"] == "category=a; estimator=gold_only")]
    assert set(row["column"]) == {
        "term",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "n_gold",
    }
    assert (gone["column"] == "p_value").sum() == 2
    assert (gone["table"] == "lost").sum() == 1
    added = numbers[numbers["verdict"] == "added"]
    assert list(zip(added["table"], added["kind"], strict=True)) == [
        ("prevalence", "column"),
        ("extra", "table"),
    ]
    numbers = compare_results({"prevalence": shorter}, {"prevalence": ESTIMATES})
    added = numbers[(numbers["verdict"] == "added") & (numbers["kind"] == "row")]
    assert added["row"].tolist() == ["category=a; estimator=gold_only"]


def test_rows_of_one_key_are_told_apart_by_their_order():
    plotted = pd.DataFrame({"label": ["a", "a", "b"], "x": [1.5, 2.5, 3.5]})
    other = plotted.assign(x=[1.5, 2.6, 3.5])
    found = verdicts(plotted, other, name="figures/forest")
    assert found[found == "differs"].index.tolist() == [("label=a (2)", "x")]


def test_a_number_that_is_gone_is_missing_and_one_that_is_new_differs():
    other = ESTIMATES.copy()
    other.loc[1, "p_value"] = np.nan
    other.loc[0, "p_value"] = 0.5
    found = verdicts(ESTIMATES, other)
    assert found["category=a; estimator=ppi", "p_value"] == "missing"
    assert found["category=a; estimator=gold_only", "p_value"] == "differs"


# --- numbers that chance moves -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "new", "verdict"),
    [
        ("estimate", 0.239, "within tolerance"),  # one standard error is 0.04
        ("estimate", 0.241, "differs"),
        ("conf_low", 0.159, "within tolerance"),
        ("conf_low", 0.161, "differs"),
        ("std_error", 0.06, "within tolerance"),  # 0.04 / 1.96 = 0.0204
        ("std_error", 0.061, "differs"),
        ("p_value", 0.24, "within tolerance"),  # 2.170 - 1 as a normal deviate is p = 0.242
        ("p_value", 0.245, "differs"),
    ],
)
def test_numbers_behind_folds_may_move_by_one_standard_error(column, new, verdict):
    other = ESTIMATES.copy()
    other.loc[1, column] = new
    key = ("category=a; estimator=ppi", column)
    assert verdicts(ESTIMATES, other, redrawn=True)[key] == verdict
    # With the same draws nothing may move, and a finished model's codes do not hang on the seed.
    assert verdicts(ESTIMATES, other)[key] == "differs"
    assert verdicts(ESTIMATES, other, redrawn=True, crossfitted=False)[key] == "differs"


def test_what_rests_on_gold_codes_alone_has_no_leave_to_move():
    other = ESTIMATES.copy()
    other.loc[0, "estimate"] += 1e-4
    found = verdicts(ESTIMATES, other, redrawn=True)
    assert found["category=a; estimator=gold_only", "estimate"] == "differs"


def test_limits_of_a_wild_bootstrap_move_by_their_monte_carlo_error_only():
    key = ("category=a; estimator=gold_only", "conf_high")
    # Three errors of the difference of two quantiles from 999 draws: 0.36 of 0.2 / 3.92.
    for new, verdict in ((0.35 + 0.017, "within tolerance"), (0.35 + 0.020, "differs")):
        other = ESTIMATES.copy()
        other.loc[0, "conf_high"] = new
        assert verdicts(ESTIMATES, other, redrawn=True)[key] == verdict
        assert verdicts(ESTIMATES, other)[key] == "differs"


def test_ratios_are_compared_as_logarithms():
    table = pd.DataFrame(
        {
            "category": ["a", "b"],
            "estimator": "ppi",
            "odds_ratio": [2.0, 0.5],
            "odds_ratio_low": [1.0, 0.25],
            "odds_ratio_high": [4.0, 1.0],
        }
    )
    step = np.exp(np.log(2) / 1.959964)  # one standard error of the logarithm
    near = table.assign(odds_ratio=[2 * step * 0.999, 0.5 / step * 1.001])
    far = table.assign(odds_ratio=[2 * step * 1.001, 0.5 / step * 0.999])
    assert set(verdicts(table, near, "risk_factors", redrawn=True)) == {
        "reproduced",
        "within tolerance",
    }
    found = verdicts(table, far, "risk_factors", redrawn=True)
    assert (found == "differs").sum() == 2


def test_bootstrap_limits_move_by_their_monte_carlo_error():
    # The sd of the difference of two bootstraps' 2.5 % quantiles, by simulation.
    rng = np.random.default_rng(5)
    draws = rng.normal(0, 0.1, (2, 400, 2_000))
    low = np.quantile(draws, 0.025, axis=2)
    simulated = np.std(low[0] - low[1])
    table = pd.DataFrame(
        {
            "category": ["all"],
            "coefficient": "set alpha",
            "estimate": [0.6],
            "std_error": [0.1],
            "conf_low": [0.4],
            "conf_high": [0.8],
            "interval": "bootstrap",
        }
    )
    numbers = compare_results({"reliability": table}, {"reliability": table}, redrawn=True)
    allowed = numbers.set_index("column").loc["conf_low", "tolerance"]
    assert allowed == pytest.approx(3 * simulated, rel=0.1)
    assert numbers.set_index("column").loc["estimate", "tolerance"] < 1e-8
    closed = table.assign(interval="score")
    numbers = compare_results({"reliability": closed}, {"reliability": closed}, redrawn=True)
    assert (numbers.loc[numbers["kind"] == "estimate", "tolerance"] < 1e-8).all()


def test_imputed_rows_hang_on_draws_and_complete_cases_do_not():
    table = pd.DataFrame(
        {
            "estimator": ["gold_only", "gold_only", "ppi"],
            "missing": ["complete_case", "multiple_imputation", "complete_case"],
            "estimate": "1",
            "n_level": "5",
        }
    )
    assert find_origins("risk_factors", table, "estimate").tolist() == ["inputs", "folds", "folds"]
    assert find_origins("risk_factors", table, "n_level").tolist() == ["inputs", "folds", "inputs"]


# --- causes and claims -------------------------------------------------------------------------

MANIFEST = {
    "started": "2026-01-01",
    "python": "3.11.7",
    "platform": "Linux x86_64",
    "packages": {"numpy": "2.4.6", "pandas": "3.1.1"},
    "inputs": {},
    "options": {"seed": 3, "codebook": {"sha256": "aa"}, "risk_factors": {"formula": "~ setting"}},
    "code": {"sha256": "c0de"},
}


def changed(**parts):
    return MANIFEST | parts


def test_causes_are_read_off_the_manifests():
    other = changed(
        started="2026-02-02",
        seeds={"study": 4},
        packages={"numpy": "2.5.0", "pandas": "3.1.1", "new": "1"},
        options={"seed": 4, "codebook": {"sha256": "ab"}, "risk_factors": {"formula": "~ role"}},
        platform="Darwin arm64",
        code={"sha256": "c0de2"},
    )
    causes = compare_manifests(changed(seeds={"study": 3}), other)
    assert list(zip(causes["kind"], causes["what"], strict=True)) == [
        ("seed", "seed"),
        ("study", "risk_factors.formula"),
        ("codebook", "codebook.sha256"),
        ("version", "numpy"),
        ("code", "code.sha256"),
        ("platform", "platform"),
    ]
    assert redraws(causes)
    assert compare_manifests(MANIFEST, changed(started="2027")).empty
    assert not redraws(compare_manifests(MANIFEST, changed(platform="Darwin")))


def test_the_seed_is_named_only_for_numbers_that_hang_on_it():
    numbers = pd.DataFrame(
        {
            "table": "prevalence",
            "origin": ["folds", "inputs", "folds"],
            "verdict": ["differs", "differs", "reproduced"],
        }
    )
    seed = compare_manifests(MANIFEST, changed(options={"seed": 9}))
    assert name_causes(numbers, seed).tolist() == ["another seed (3, now 9)", NOTHING_FOUND, ""]
    other = compare_manifests(MANIFEST, changed(packages={"numpy": "2.5"}, platform="Darwin"))
    assert set(name_causes(numbers, other)[:2]) == {"other versions (numpy 2.4.6, now 2.5)"}
    platform = compare_manifests(MANIFEST, changed(platform="Darwin"))
    assert "another platform" in name_causes(numbers, platform)[0]


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        (
            "prevalence_by_community",
            {"term": "share", "category": "x", "estimator": "ppi", "community": "small"}
            | {"estimate": "0.123", "conf_low": "0.098", "conf_high": "0.149"},
            "share of x among reported incidents, ppi, small community: 12.3% (9.8–14.9)",
        ),
        (
            "risk_factors",
            {"term": "t", "category": "x", "estimator": "ppi", "missing": "complete_case"}
            | {"estimate": "0.7", "odds_ratio": "2.01", "odds_ratio_low": "1.1"}
            | {"odds_ratio_high": "3.2", "p_value": "0.01", "p_adjusted": "0.0421"},
            "t on x, ppi, complete case: odds ratio 2.01 (1.10–3.20), p adjusted = 0.042",
        ),
        (
            "cooccurrence",
            {"row_category": "x", "column_category": "y", "n_both": "", "n_row": "12.0"},
            "x together with y, model's codes: suppressed of 12",
        ),
        ("tipping", {"(row)": "term=t", "term": "t", "bias": "0.25"}, "tipping, term=t: bias 0.25"),
    ],
)
def test_claims_in_words(name, row, words):
    assert ": ".join(phrase(name, row)) == words


def test_rows_that_were_not_published_make_a_claim_that_differs():
    numbers = compare_results({"prevalence": ESTIMATES.iloc[1:]}, {"prevalence": ESTIMATES})
    claims = state_claims(numbers.assign(cause=""), {"prevalence": ESTIMATES.iloc[1:].astype(str)})
    assert claims["verdict"].tolist() == ["reproduced"] * 3 + ["differs"]
    assert "no row published for category=a; estimator=gold_only" in claims["claim"].iloc[-1]


# --- the whole way -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    return small_study_with_results()


@pytest.fixture
def study(published, tmp_path):
    return shutil.copytree(published.parent, tmp_path / "copy") / "study"


@pytest.fixture
def no_run(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the study was run")

    monkeypatch.setattr("boundary_research.study.run.run_study", refuse)


@pytest.fixture
def same_run(published, monkeypatch):
    """Let a rerun give the published results, with changes made by a test."""
    changes = []

    def run(source, *, output):
        shutil.copytree(published / "output", output)
        for change in changes:
            change(output)

    monkeypatch.setattr("boundary_research.study.run.run_study", run)
    return changes


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.text, self.ids = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[k] for k in ("src", "href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []

    def handle_data(self, data):
        self.text += data


def test_a_study_is_reproduced_and_the_page_says_so(study, tmp_path, capsys):
    (study / "output" / ".cache").mkdir(exist_ok=True)
    (study / "output" / ".cache" / "broken").write_text("not to be used")
    out = tmp_path / "verdict"
    assert main(["replicate", str(study), "-o", str(out)]) == 0
    claims, numbers = (pd.read_csv(out / f"{name}.csv") for name in ("claims", "replication"))
    assert f"All {len(claims):,} claims were reproduced." in capsys.readouterr().out
    assert set(claims["verdict"]) == set(numbers["verdict"]) == {"reproduced"}
    tables = {p.stem for p in (study / "output/tables").glob("*.csv")}
    assert tables <= set(numbers["table"])
    assert (out / "rerun/tables/prevalence.csv").read_bytes() == (
        study / "output/tables/prevalence.csv"
    ).read_bytes()
    page = Page((out / "replication.html").read_text("utf-8"))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "were reproduced" in page.text
    assert "Fictional data." in page.text
    assert "{{" not in page.text
    assert "{%" not in page.text


def test_another_seed_is_within_tolerance_or_named(published, tmp_path):
    result = replicate(published, output=tmp_path, seed=4)
    assert result.causes["kind"].tolist() == ["seed"]
    numbers = result.numbers
    odd = numbers[numbers["verdict"] != "reproduced"]
    assert len(odd)
    assert set(odd["origin"]) <= {"folds", "draws"}
    assert (odd["cause"] == "another seed (3, now 4)").all()
    assert set(numbers.loc[numbers["origin"] == "inputs", "verdict"]) == {"reproduced"}
    assert "within tolerance" in set(odd["verdict"])
    text = Page(render_replication(result)).text
    assert "another seed (3, now 4)" in text
    assert result.holds == (result.counts["differs"] + result.counts["missing"] == 0)


def test_one_digit_of_an_input_is_refused_with_its_name(study, no_run, tmp_path, capsys):
    file = study / "sample.csv"
    text = file.read_text()
    file.write_text(re.sub(r"0\.625", "0.626", text, count=1))
    assert file.read_text() != text
    assert main(["replicate", str(study), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(
        r"sample\.csv is not the file.*sha256 [0-9a-f]{16}… expected [0-9a-f]{16}", said
    )
    assert "line ends" not in said
    assert not (tmp_path / "out").exists()


def test_line_ends_are_named_as_the_difference(study, no_run):
    file = study / "sample.csv"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(DataError, match="only its line ends differ"):
        replicate(study)


def test_a_published_table_that_was_changed_is_found(study, same_run, tmp_path):
    file = study / "output/tables/prevalence.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[0, "estimate"] = "0.987"
    table.to_csv(file, index=False)
    result = replicate(study, output=tmp_path / "out")
    assert not result.holds
    assert result.causes["kind"].tolist() == ["results"]
    failed = result.claims[result.claims["verdict"] != "reproduced"]
    assert failed["cause"].tolist() == ["the published table was changed after its run"]
    assert "98.7%" in failed["claim"].iloc[0]
    assert "changed after the run: tables/prevalence.csv" in result.summary


def test_versions_are_named_for_a_number_that_differs(study, same_run, tmp_path, capsys):
    def change(output):
        manifest = json.loads((output / "manifest.json").read_text())
        manifest["packages"]["pandas"] = "99.0"
        (output / "manifest.json").write_text(json.dumps(manifest))
        file = output / "tables/risk_factors.csv"
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        table.loc[5, "estimate"] = "1.5"
        table.iloc[:-1].to_csv(file, index=False)

    same_run.append(change)
    out = tmp_path / "out"
    assert main(["replicate", str(study), "-o", str(out)]) == 1
    said = capsys.readouterr().out
    assert "1 different, 1 missing" in said
    assert "other versions (pandas " in said
    claims = pd.read_csv(out / "claims.csv")
    odd = claims[claims["verdict"] != "reproduced"]
    assert sorted(odd["verdict"]) == ["differs", "missing"]
    assert odd["cause"].str.contains("pandas .*now 99.0").all()
    assert "pandas" in Page((out / "replication.html").read_text("utf-8")).text


def test_a_changed_plan_is_named(study, same_run, tmp_path):
    file = study / "study.yaml"
    file.write_text(file.read_text() + "# a remark\n")
    result = replicate(study, output=tmp_path / "out")
    assert result.causes[["kind", "what"]].to_numpy().tolist() == [["study", "study.yaml"]]
    assert result.holds


def test_figures_are_compared_by_their_plotted_data(study, same_run, tmp_path):
    for folder in (study / "output",):
        (folder / "figures/added.csv").write_text("label,x\na,1.5\nb,2.5\n")
    same_run.append(lambda out: (out / "figures/added.csv").write_text("label,x\na,1.5\nb,2.6\n"))
    result = replicate(study, output=tmp_path / "out")
    claim = result.claims[result.claims["table"] == "figures/added"].iloc[0]
    assert (claim["verdict"], claim["n_values"], claim["n_differs"]) == ("differs", 2, 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: shutil.rmtree(s / "output"), "manifest.json is not there. Run the study first"),
        (lambda s: (s / "output/manifest.json").write_text("{"), "not valid JSON"),
        (lambda s: (s / "output/manifest.json").write_text("{}"), "names no inputs"),
        (lambda s: shutil.rmtree(s / "output/tables"), "No results table"),
        (lambda s: (s / "replication/rerun").mkdir(parents=True), "not made by a replication"),
    ],
)
def test_what_cannot_be_replicated_says_why(study, no_run, spoil, said):
    if "No results" in said:
        shutil.rmtree(study / "output/figures")
    spoil(study)
    with pytest.raises(DataError, match=said):
        replicate(study)


def test_published_results_are_not_written_over(study, no_run):
    with pytest.raises(DataError, match="published results, which stay"):
        replicate(study, output=study / "output" / "here")
