"""The whole way once, on a study small enough for every run of the tests."""

import functools
import io
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from test_provenance import check_crate, check_prov

from boundary_research import DataError, load_corpus, run_study
from boundary_research.cli import main
from boundary_research.study import _study_steps
from boundary_research.study._code_hashes import own_code
from boundary_research.study.manifest import hash_model
from boundary_research.study.run import preview_run

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
classifier: {train_on: gold, folds: 3, groups: agency_id, parameters: {words: [1, 1], characters: null, cv: 2}}
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
    # The model of so small a study is wrong so often that its own counts lie outside the interval
    # of the gold codes; corrected, they lie inside.
    share = table.pivot(index="category", columns="estimator", values="estimate")
    gold = table[table["estimator"] == "gold_only"].set_index("category")
    gold = gold.loc[share.index]
    for estimator, inside in (("naive", False), ("ppi", True), ("dsl", True)):
        held = share[estimator].between(gold["conf_low"], gold["conf_high"])
        assert (held == inside).all(), estimator


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


def read_outputs(folder):
    """Return the bytes of every results table and of the rest of the results."""
    names = json.loads((folder / "manifest.json").read_text())["outputs"]
    return {name: (folder / name).read_bytes() for name in names}


def test_same_seed_same_bytes_with_and_without_the_cache(run, folder, tmp_path):
    again = run_study(folder / "study.yaml", output=tmp_path / "again", use_cache=False)
    assert not (again.folder / ".cache").exists()
    from_cache = run_study(folder / "study.yaml")
    assert {s.status for s in from_cache.stages} == {"read", "cached"}
    assert read_outputs(run.folder) == read_outputs(again.folder)
    for name, table in run.tables.items():
        for other in (again, from_cache):
            assert other.tables[name].to_csv() == table.to_csv()
    for other in (again, from_cache):
        assert other.loaded.incidents.equals(run.loaded.incidents)
        assert other.coding.coded.equals(run.coding.coded)
        assert other.coding.evidence.equals(run.coding.evidence)
        assert other.model.notes_ == run.model.notes_
        assert list(other.figures) == list(run.figures)


SETTINGS = [
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "1", "LANG": "tr_TR"},
    {"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONHASHSEED": "77", "PYTHONUTF8": "0"},
]


@pytest.mark.parametrize(
    "setting", [SETTINGS[0], pytest.param(SETTINGS[1], marks=pytest.mark.slow)]
)
def test_the_same_bytes_wherever_it_runs(run, folder, tmp_path, setting):
    place = tmp_path / "an other plàce"
    shutil.copytree(folder, place / "study", ignore=shutil.ignore_patterns("output", "other*"))
    script = "from boundary_research import run_study; run_study('../study')"
    (place / "elsewhere").mkdir()
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=place / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(ROOT), **setting},
        check=True,
    )
    assert read_outputs(place / "study/output") == read_outputs(run.folder)
    manifests = [
        json.loads((one / "manifest.json").read_text("utf-8"))
        for one in (run.folder, place / "study/output")
    ]
    for manifest in manifests:
        # The code is that of the checkout, and may be worked on while the tests run.
        for name in ("started", "finished", "stages", "code"):
            del manifest[name]
    assert manifests[0] == manifests[1]


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


# --- stages ------------------------------------------------------------------------------------


@pytest.fixture
def copy(run, folder, tmp_path):
    """A copy of the study after its run, to be changed."""
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("other*", "slip*"))
    return tmp_path / "copy"


def edit(folder, old, new, name="study.yaml"):
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), "utf-8")


def ran(states):
    return {s.stage for s in states if s.status in ("ran", "would run")}


def reason(states, stage):
    return next(state.reason for state in states if state.stage == stage)


def test_a_comment_another_place_and_another_layout_rerun_nothing(copy):
    before = (copy / "output/manifest.json").read_text()
    edit(copy, "seed: 3", "# The seed was chosen before.\nseed:    3   # three")
    stamps = {p: p.stat().st_mtime_ns for p in (copy / "output/tables").iterdir()}
    assert not ran(preview_run(copy))
    again = run_study(copy)
    assert not ran(again.stages)
    assert stamps == {p: p.stat().st_mtime_ns for p in (copy / "output/tables").iterdir()}
    outputs = [json.loads(text)["outputs"] for text in (before, read_manifest_text(copy))]
    assert outputs[0] == outputs[1]


def read_manifest_text(folder):
    return (folder / "output/manifest.json").read_text()


def test_another_formula_reruns_its_analysis_figures_and_report_only(copy, monkeypatch, capsys):
    edit(copy, "formula: ~ community,", "formula: ~ community + role,")
    assert main(["run", str(copy), "--dry-run"]) == 0
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "would run" in told["risk_factors"]
    assert "study.yaml risk_factors.formula changed" in told["risk_factors"]
    assert "needs risk_factors" in told["figures"]
    for stage in ("model", "coding", "evidence", "metrics", "prevalence", "reliability"):
        assert told[stage].split() == [stage, "cached"]

    for name in ("train_model", "code_crossfitted", "estimate_shares", "measure_agreement"):
        monkeypatch.setattr(_study_steps, name, forbid(getattr(_study_steps, name)))
    again = run_study(copy)
    assert ran(again.stages) == {"risk_factors", "registration", "figures", "report"}
    assert "role[" in " ".join(again.tables["risk_factors"]["term"])
    monkeypatch.undo()
    fresh = run_study(copy, output=copy / "fresh", only="risk_factors", use_cache=False)
    assert fresh.tables["risk_factors"].to_csv() == again.tables["risk_factors"].to_csv()


def forbid(function):
    """Return a function that fails, and is taken for another by name."""

    @functools.wraps(function)
    def fail(**_):
        raise AssertionError(f"{function.__name__} must not run")

    return fail


@pytest.mark.parametrize(
    ("old", "new", "reran", "stage", "why"),
    [
        (
            "small: [rural, small",
            "small: [rural], other: [small",
            {"prevalence", "risk_factors", "registration", "figures", "report"},
            "prevalence",
            "incidents: attributes changed",
        ),
        (
            "by: [community]",
            "by: [community, role]",
            {"prevalence", "registration", "figures", "report"},
            "prevalence",
            "study.yaml prevalence.by changed",
        ),
        (
            "title: A small",
            "title: The small",
            {"registration", "report"},
            "report",
            "title changed",
        ),
        (
            'term: "community[T.small]"',
            'term: "Intercept"',
            {"registration", "figures", "report"},
            "figures",
            "study.yaml risk_factors.term.risk_factors changed",
        ),
        (
            "folds: 3",
            "folds: 4",
            {
                *("coding", "evidence", "metrics", "counts", "prevalence", "risk_factors"),
                *("registration", "figures", "report"),
            },
            "coding",
            "study.yaml classifier.folds changed",
        ),
        (
            "coders: [coder_a, coder_b]",
            "coders: [coder_a, novice]",
            {"reliability", "registration", "figures", "report"},
            "reliability",
            "gold: codings changed",
        ),
    ],
)
def test_a_change_reruns_what_rests_on_it(copy, old, new, reran, stage, why):
    edit(copy, old, new)
    states = preview_run(copy)
    assert ran(states) == reran
    assert why in reason(states, stage)


def test_an_input_that_changed_is_named(copy):
    table = pd.read_csv(copy / "gold.csv")
    first = pd.read_csv(copy / "sample.csv")["incident_id"].iloc[0]
    row = table.index[(table["incident_id"] == first) & (table["category"] == "gifts_favours")][0]
    table.loc[row, "present"] = 1 - int(table.loc[row, "present"])
    table.to_csv(copy / "gold.csv", index=False)
    states = preview_run(copy)
    assert {"model", "coding", "prevalence"} <= ran(states)
    assert reason(states, "coding") == "gold changed"


def test_several_analyses_are_a_stage_each(copy):
    text = (copy / "study.yaml").read_text().splitlines()
    text = [line for line in text if not line.startswith("risk_factors")]
    text += [
        "risk_factors:",
        "  - {name: risk_factors, formula: ~ community, term: 'community[T.small]', clusters: agency_id}",
        "  - {name: by_role, formula: ~ role, clusters: agency_id, missing: complete}",
    ]
    (copy / "study.yaml").write_text("\n".join(text) + "\n")
    states = preview_run(copy)
    # Without a term an analysis has no figure.
    assert ran(states) == {"risk_factors.by_role", "registration", "report"}
    again = run_study(copy, only="risk_factors")
    assert list(again.tables) == ["risk_factors", "by_role"]
    assert set(again.tables["by_role"]["missing"]) == {"complete_case"}
    assert (copy / "output/tables/by_role.csv").exists()


def test_a_model_file_codes_without_cross_fitting(run, copy):
    run.model.save(copy / "model.npz")
    text = (copy / "study.yaml").read_text()
    part = text[text.index("classifier:") : text.index("prevalence:")]
    edit(copy, part, "classifier: {train_on: model.npz}\n")
    again = run_study(copy, only="evidence")
    assert ran(again.stages) == {"model", "coding", "evidence"}
    assert "fold" not in again.coding.coded
    texts = again.loaded.incidents["narrative"].tolist()
    expected = run.model.predict_proba(texts)
    np.testing.assert_allclose(
        again.coding.coded["probability"].to_numpy().reshape(expected.shape), expected, atol=1e-9
    )
    assert set(
        zip(*again.coding.evidence[["incident_id", "category"]].T.to_numpy(), strict=True)
    ) <= {
        (row.incident_id, row.category) for row in again.coding.coded.itertuples() if row.predicted
    }
    assert not ran(preview_run(copy, only="evidence"))
    run.model.__class__.load(copy / "model.npz").set_params(C=2.0).save(copy / "model.npz")
    states = preview_run(copy, only="evidence")
    assert reason(states, "model") == "input file model changed"


def test_an_interrupted_run_goes_on_where_it_stopped(copy, monkeypatch):
    def stop(**_):
        raise KeyboardInterrupt

    edit(copy, "folds: 3", "folds: 2")
    stop = functools.wraps(_study_steps.estimate_shares)(stop)
    monkeypatch.setattr(_study_steps, "estimate_shares", stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(copy)
    monkeypatch.undo()
    # Of the old results nothing was touched, and of the new ones nothing is lost.
    assert (copy / "output/manifest.json").exists()
    states = {state.stage: state.status for state in preview_run(copy)}
    assert [states[name] for name in ("coding", "evidence", "metrics", "counts")] == ["cached"] * 4
    assert states["prevalence"] == "would run"


def test_from_only_and_force(copy, capsys):
    states = preview_run(copy, start="prevalence")
    assert ran(states) == {"prevalence", "registration", "figures", "report"}
    assert main(["run", str(copy), "--dry-run", "--force"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["read", "read"]
    assert all("would run" in line and "asked for" in line for line in lines[2:])
    assert main(["run", str(copy), "--dry-run", "--no-cache"]) == 0
    assert capsys.readouterr().out.count("no cache") == 11
    states = preview_run(copy, only="metrics")
    assert {s.stage for s in states if s.status != "not needed"} == {
        *("incidents", "gold", "coding", "metrics"),
    }
    assert main(["run", str(copy), "--from", "classify"]) == 2
    said = capsys.readouterr().err
    assert "stage 'classify' not found. Available: incidents, gold, reliability, model" in said
    assert main(["run", str(copy), "--force", "--from", "model"]) == 2


def test_a_partial_run_takes_back_the_manifest_only_if_results_changed(copy):
    run_study(copy, only="reliability")
    assert (copy / "output/manifest.json").exists()
    edit(copy, "coders: [coder_a, coder_b]", "coders: [coder_a, novice]")
    part = run_study(copy, only="reliability")
    assert list(part.tables) == ["reliability"]
    assert part.model is None
    for name in ("manifest.json", "prov.json", "ro-crate-metadata.json"):
        assert not (copy / "output" / name).exists()
    assert "novice" not in repr(part)


def test_a_damaged_cache_gives_the_same_results(run, copy):
    for file in (copy / "output/.cache/objects").glob("*.parquet"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    again = run_study(copy)
    assert ran(again.stages) >= {"coding", "prevalence", "risk_factors", "reliability"}
    assert reason(again.stages, "coding") == "its cache entry is damaged"
    assert read_outputs(again.folder) == read_outputs(run.folder)


def test_a_run_that_fails_leaves_the_results_of_the_one_before(run, copy):
    edit(copy, 'term: "community[T.small]"', 'term: "community[T.smal]"')
    with pytest.raises(DataError, match=r"'community\[T.smal\]' not found. Available: Intercept"):
        run_study(copy)
    assert read_outputs(copy / "output") == read_outputs(run.folder)


def test_results_that_are_no_longer_made_go_unless_somebody_changed_them(copy):
    edit(copy, "by: [community], ", "")
    output = copy / "output"
    own, changed = output / "tables/own.csv", output / "figures/prevalence_by_community.csv"
    own.write_text("a\n1\n")
    changed.write_text(changed.read_text() + "\n")
    run_study(copy)
    assert not (output / "tables/prevalence_by_community.csv").exists()
    assert not (output / "figures/prevalence_by_community.png").exists()
    assert own.exists()
    assert changed.exists()
    assert "tables/own.csv" not in json.loads(read_manifest_text(copy))["outputs"]


def test_levels_that_are_numbers_stand_beside_not_stated(copy):
    edit(copy, "large: [urban, suburban, town], small:", "2019: [urban, suburban], 2020:")
    edit(copy, 'term: "community[T.small]", ', "")
    part = run_study(copy, only="incidents")
    assert set(part.loaded.incidents["community"]) == {"2019", "2020", "not_stated"}


# --- what stands beside the results ------------------------------------------------------------


def test_every_figure_has_its_data_beside_it(run):
    pictures = {p.stem for p in (run.folder / "figures").glob("*.png")}
    assert pictures == {p.stem for p in (run.folder / "figures").glob("*.csv")} == set(run.figures)
    for name in pictures:
        data = pd.read_csv(run.folder / f"figures/{name}.csv")
        assert len(data) > 0
    forest = pd.read_csv(run.folder / "figures/risk_factors.csv")
    assert set(forest["term"]) == {"community[T.small]"}
    whole = pd.read_csv(run.folder / "tables/risk_factors.csv")
    assert set(forest.columns) == set(whole.columns)
    assert len(forest) < len(whole)


def test_the_manifest_says_what_it_was_made_from(run, folder):
    manifest = json.loads((run.folder / "manifest.json").read_text("utf-8"))
    assert manifest["seeds"] == {"run": 3}
    assert manifest["codebook"]["id"] == "three"
    assert manifest["options"]["risk_factors"]["formula"] == "~ community"
    assert manifest["options"]["gold"]["sample"] == "sample.csv"
    assert manifest["code"]["sha256"] == own_code().sources_sha256
    assert manifest["lock"]["file"] == "requirements.lock"
    assert list(manifest["stages"])[:3] == ["incidents", "gold", "reliability"]
    assert all(entry["seconds"] >= 0 for entry in manifest["stages"].values())
    run.model.save(folder / "other.npz")
    assert manifest["model"]["sha256"] == hash_model((folder / "other.npz").read_bytes())


def test_paths_in_the_manifest_are_names_only(copy, tmp_path):
    shutil.move(copy / "gold.csv", tmp_path / "gold.csv")
    edit(copy, "gold: gold.csv", f"gold: {tmp_path / 'gold.csv'}")
    edit(copy, "sample: sample.csv", "sample: ../copy/sample.csv")
    again = run_study(copy)
    assert not ran(again.stages) - {"registration", "report"}
    for name in ("manifest.json", "prov.json", "ro-crate-metadata.json"):
        text = (again.folder / name).read_text("utf-8")
        assert str(tmp_path) not in text
        assert "../" not in text
    options = json.loads(read_manifest_text(copy))["options"]
    assert (options["gold"]["gold"], options["gold"]["sample"]) == ("gold.csv", "sample.csv")


def test_provenance_names_every_file_and_stage(run):
    prov, crate = (
        json.loads((run.folder / name).read_text("utf-8"))
        for name in ("prov.json", "ro-crate-metadata.json")
    )
    manifest = json.loads((run.folder / "manifest.json").read_text("utf-8"))
    check_prov(prov)
    check_crate(crate, run.folder)
    labels = {e["prov:label"]: e["br:sha256"] for e in prov["entity"].values()}
    assert manifest["outputs"].items() <= labels.items()
    for entry in manifest["inputs"].values():
        assert labels[entry["file"]] == entry["sha256"]
    by_stage = {(g["prov:entity"], g["prov:activity"]) for g in prov["wasGeneratedBy"].values()}
    assert ("run:output/tables/risk_factors.csv", "run:stage/risk_factors") in by_stage
    assert ("run:output/coded.csv", "run:stage/coding") in by_stage
    assert ("run:output/report.html", "run:stage/report") in by_stage
    used = {(u["prov:activity"], u["prov:entity"]) for u in prov["used"].values()}
    assert ("run:stage/gold", "run:input/sample") in used
    informed = {(i["prov:informed"], i["prov:informant"]) for i in prov["wasInformedBy"].values()}
    assert ("run:stage/prevalence", "run:stage/coding") in informed
    assert ("run:stage/prevalence", "run:stage/model") not in informed


def test_no_narrative_in_the_cache(run, folder):
    narratives = pd.read_csv(folder / "incidents.csv")["narrative"].str[:40].tolist()
    objects = list((run.folder / ".cache/objects").iterdir())
    assert {p.suffix for p in objects} >= {".parquet", ".npz", ".bin"}
    for file in (run.folder / ".cache").rglob("*"):
        if not file.is_file():
            continue
        if file.suffix == ".parquet":
            text = pd.read_parquet(file).to_csv()
        elif file.suffix == ".npz":
            with np.load(io.BytesIO(file.read_bytes())) as arrays:
                text = " ".join(
                    arrays[name].tobytes().decode("utf-8", "replace") for name in arrays.files
                )
        else:
            text = file.read_bytes().decode("utf-8", "replace")
        assert not any(start in text for start in narratives), file.name


def test_a_run_and_its_figures_show_themselves_in_a_notebook(run):
    shown = run._repr_html_()
    assert "A small study" in shown
    assert "tables['risk_factors']" in shown.replace("&#x27;", "'")
    figure = run.figures["prevalence"]
    assert figure is run.figures["prevalence"]
    assert figure._repr_png_() == (run.folder / "figures/prevalence.png").read_bytes()
    with pytest.raises(KeyError):
        run.figures["nothing"]
    assert run.figures.get("nothing") is None
