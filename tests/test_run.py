"""The whole way once, on a study small enough for every run of the tests."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError, load_corpus, run_study

STUDY = """\
title: A small study
notice: The narratives are fictional.
seed: 3
codebook: codebook.yaml
incidents:
  file: incidents.csv
  recode:
    community: {from: setting, levels: {large: [urban, suburban, town], small: [rural, small_community_nonrural]}}
gold: {sample: sample.csv, codings: codings.csv, coders: [coder_a, coder_b], gold: gold.csv}
classifier: {train_on: gold, folds: 3, groups: agency_id}
prevalence: {by: [community], clusters: agency_id}
risk_factors: {formula: ~ community, term: "community[T.small]", clusters: agency_id}
"""
CODEBOOK = """\
id: three
name: Three categories
version: "1"
categories:
  - {id: gifts_favours, label: Gifts, definition: Gifts or favours.}
  - {id: service_inadequate, label: Service, definition: A service was not provided.}
  - {id: confidentiality_breach, label: Leak, definition: Information left its place.}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    corpus = load_corpus().split("train")
    ids = corpus.incidents["incident_id"].iloc[:260]
    part = corpus.subset(ids)
    rng = np.random.default_rng(1)
    incidents = part.incidents.assign(
        agency_id=rng.choice([f"A{i:02d}" for i in range(30)], len(ids))
    )
    incidents.to_csv(folder / "incidents.csv", index=False)
    drawn = rng.choice(ids, 150, replace=False)
    sample = pd.DataFrame({"incident_id": drawn, "inclusion_probability": 150 / 260})
    sample.to_csv(folder / "sample.csv", index=False)
    part.gold.to_csv(folder / "gold.csv", index=False)
    part.codings.to_csv(folder / "codings.csv", index=False)
    (folder / "codebook.yaml").write_text(CODEBOOK)
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return run_study(folder / "study.yaml")


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.text, self.alts = [], "", []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[k] for k in ("src", "href") if k in attrs]
        if tag == "img":
            self.alts.append(attrs.get("alt"))

    def handle_data(self, data):
        self.text += data


def test_every_output_is_there_and_in_the_manifest(run):
    manifest = json.loads((run.folder / "manifest.json").read_text())
    wanted = {"coded.csv", "evidence.csv", "rejects.csv", "report.html", "tables/prevalence.csv"}
    wanted |= {"tables/risk_factors.csv", "tables/reliability.csv", "figures/prevalence.png"}
    assert wanted <= set(manifest["outputs"])
    assert manifest["options"]["seed"] == 3
    assert str(run.folder.parent) not in (run.folder / "manifest.json").read_text()


def test_every_incident_is_coded_once_and_gold_rows_out_of_fold(run):
    coded = run.coding.coded
    assert len(coded) == 260 * 3
    assert not coded.duplicated(["incident_id", "category"]).any()
    # Gold and other incidents of a fold are predicted by the same model, which saw neither.
    folds = coded.groupby("fold")["incident_id"].unique()
    assert set(folds.index) == {0, 1, 2}
    drawn = set(run.gold["incident_id"])
    assert all(0 < len(drawn & set(ids)) < len(ids) for ids in folds)
    agency = run.loaded.incidents.set_index("incident_id")["agency_id"]
    assert coded.groupby(coded["incident_id"].map(agency))["fold"].nunique().max() == 1
    assert (coded["decision"] == "present").sum() <= coded["predicted"].sum()


def test_estimates_are_there_for_every_category_and_estimator(run):
    table = run.tables["prevalence"]
    assert set(table["category"]) == {
        "gifts_favours",
        "service_inadequate",
        "confidentiality_breach",
    }
    assert {"naive", "gold_only", "dsl"} <= set(table["estimator"])
    corrected = table[table["estimator"] == "dsl"]
    assert (corrected["conf_low"] < corrected["estimate"]).all()
    assert (corrected["estimate"] < corrected["conf_high"]).all()
    # With a naive interval that ignores the model's errors, the corrected one must be wider.
    width = (
        table.assign(width=table["conf_high"] - table["conf_low"])
        .groupby("estimator")["width"]
        .mean()
    )
    assert width["dsl"] > width["naive"]


def test_report_stands_alone_says_fictional_and_names_the_estimand(run):
    page = Page()
    page.feed((run.folder / "report.html").read_text("utf-8"))
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert all(page.alts)
    assert "Fictional data." in page.text
    assert "share of reported incidents" in page.text
    assert "not a risk" in page.text


def test_no_narrative_text_in_any_output(run, folder):
    narratives = pd.read_csv(folder / "incidents.csv")["narrative"].str[:40]
    for file in run.folder.rglob("*"):
        if file.suffix in (".csv", ".html", ".json"):
            text = file.read_text("utf-8")
            assert not any(start in text for start in narratives), file.name


def test_same_seed_same_tables(run, folder, tmp_path):
    again = run_study(folder / "study.yaml", output=tmp_path / "again")
    first, second = (
        json.loads((r.folder / "manifest.json").read_text())["outputs"] for r in (run, again)
    )
    assert first == second


def test_sample_of_other_incidents_is_refused(folder, tmp_path):
    text = (folder / "study.yaml").read_text().replace("sample: sample.csv", "sample: other.csv")
    pd.DataFrame({"incident_id": ["zz"], "inclusion_probability": [0.5]}).to_csv(
        folder / "other.csv", index=False
    )
    (folder / "other.yaml").write_text(text)
    with pytest.raises(DataError, match="1 drawn incidents are not among the incidents"):
        run_study(folder / "other.yaml", output=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("large: [urban,", "large: [urbn,"), "level 'urbn' does not occur.*urban"),
        (("coder_b]", "coder_z]"), "coder 'coder_z' has no codings.*coder_a, coder_b"),
        (
            ("groups: agency_id", "groups: agency"),
            "key classifier.groups: column 'agency' not found",
        ),
        (("by: [community]", "by: [comunity]"), "key prevalence.by: column 'comunity' not found"),
        (("formula: ~ community", "formula: ~ comunity"), "'comunity'"),
    ],
)
def test_slips_in_the_plan_are_told_before_anything_long_runs(folder, tmp_path, change, said):
    text = (folder / "study.yaml").read_text()
    assert change[0] in text
    (folder / "slip.yaml").write_text(text.replace(*change))
    with pytest.raises(DataError, match=said):
        run_study(folder / "slip.yaml", output=tmp_path)
