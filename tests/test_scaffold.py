import json
import re
import shlex

import nbformat
import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator

from boundary_research import load_corpus
from boundary_research._files import hash_file
from boundary_research.cli import main
from boundary_research.coding.store import CodingStore
from boundary_research.corpus.bundled import data_folder
from boundary_research.study.plan import check_plan, load_plan
from boundary_research.study.pre_analysis_plan import render_pre_analysis_plan
from boundary_research.study.scaffold import create_study

FILES = {
    ".gitignore",
    "README.md",
    "data",
    "notebooks",
    "pre_analysis_plan.md",
    "study.schema.json",
    "study.yaml",
}
HEADINGS = [
    "Question",
    "Estimand in words",
    "Design",
    "Codebook",
    "Coders",
    "Classifier",
    "Formulas",
    "Comparison groups",
    "Negative control",
    "Multiple testing",
    "Missing data",
    "What would overturn the conclusion",
    "Reproducibility",
]
CODEBOOK = """\
id: three
name: Three categories
version: "1"
categories:
  - {id: gifts_favours, label: Gifts, definition: Gifts or favours.}
  - {id: service_inadequate, label: Service, definition: A service was not provided.}
  - {id: confidentiality_breach, label: Leak, definition: Information left its place.}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reports(here):
    rows = [
        (f"R{i}", f"Report number {i}.", f"A{i % 4}", "town" if i % 3 else "village")
        for i in range(30)
    ]
    table = pd.DataFrame(rows, columns=["case", "story", "agency_id", "place"])
    table.to_csv(here / "my reports.csv", index=False)
    return here / "my reports.csv"


def fits_schema(folder):
    schema = json.loads((folder / "study.schema.json").read_text("utf-8"))
    content = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    return not list(Draft202012Validator(schema).iter_errors(content))


def test_a_bare_study_is_valid_and_says_where_incidents_go(here, capsys):
    assert main(["new-study", "bare"]) == 0
    folder = here / "bare"
    assert {path.name for path in folder.iterdir()} == FILES
    assert fits_schema(folder)
    assert (folder / "study.yaml").read_text().startswith("# yaml-language-server: $schema=study.")
    assert "Put your incidents into bare/data/incidents.csv" in capsys.readouterr().out
    assert main(["check-study", "bare"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"line \d+, key incidents.file: cannot be used. .* holds no rows", said)


def test_data_are_never_committed(here):
    create_study("bare")
    rules = (here / "bare" / ".gitignore").read_text("utf-8").splitlines()
    assert {"data/*", "!data/README.md", "output/", "*.sqlite"} <= set(rules)


def test_notebook_is_valid_and_runs_this_study(here):
    create_study("bare")
    notebook = nbformat.read(here / "bare" / "notebooks" / "study.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 'run_study("../study.yaml")' in code[0].source
    assert not any(cell.outputs or cell.execution_count for cell in code)
    for cell in code:
        compile(cell.source.replace("%matplotlib inline", ""), "cell", "exec")


def test_incidents_are_copied_and_their_columns_named(reports, here, capsys):
    arguments = ["new-study", "a study", "--incidents", str(reports)]
    assert main([*arguments, "--id-column", "case", "--text-column", "story"]) == 0
    told = capsys.readouterr().out
    text = (here / "a study" / "study.yaml").read_text("utf-8")
    assert (here / "a study" / "data" / "my reports.csv").read_bytes() == reports.read_bytes()
    assert "# Columns there are: agency_id, place." in text
    plan = check_plan("a study").plan
    assert plan.title == "A study"
    assert plan.prevalence["clusters"] == plan.classifier["groups"] == "agency_id"
    assert plan.sampling == {"design": "simple", "n": 30, "seed": 0}
    assert "#   formula: ~ place" in text
    assert "--id-column case --text-column story" in told
    assert "'a study/data/my reports.csv'" in told
    assert "Report number" not in told + text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["there"], "'there' exists already. Choose another name"),
        (["new", "--incidents", "none.csv"], "'none.csv' does not exist"),
        (["new", "--incidents", "my reports.csv"], "'incident_id', 'narrative' not found"),
        (["new", "--codebook", "my reports.csv"], "Codebook my reports.csv"),
        (["new", "--from-coding", "my reports.csv"], "is not a folder. Write the tables of a store"),
        (["new", "--from-coding", "there"], "sample.csv' does not exist"),
        (["new", "--example", "--incidents", "my reports.csv"], "brings its own data"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_and_nothing_is_left(reports, here, capsys, arguments, said):
    (here / "there").mkdir()
    assert main(["new-study", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == {"there", "my reports.csv"}
    assert list((here / "there").iterdir()) == []


def test_the_example_can_be_copied_anywhere_with_its_data(here, capsys):
    assert main(["new-study", "deep/copy", "--example"]) == 0
    folder = here / "deep" / "copy"
    assert fits_schema(folder)
    plan, original = load_plan(folder), load_plan(data_folder() / "example_study")
    for name, file in plan.inputs().items():
        assert file.parent == (folder if name == "study" else folder / "data"), name
        if name != "study":
            assert hash_file(file) == hash_file(original.inputs()[name]), name
    for part in ("sampling", "analyses", "comparisons", "coders", "seed", "tolerances"):
        assert getattr(plan, part) == getattr(original, part), part
    assert "CC BY" in (folder / "data" / "LICENSE.md").read_text("utf-8")
    capsys.readouterr()
    assert main(["check-study", "deep/copy"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "990 of 1,260 from incidents.csv" in told
    assert "coder_a (language model" in told
    assert "14 registered; adjusted by Benjamini" in told
    assert "community small against large" in told


def test_pre_analysis_plan_has_the_headings_and_what_the_plan_says(here):
    create_study("copy", example=True)
    text = (here / "copy" / "pre_analysis_plan.md").read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == HEADINGS
    for said in (
        "are some kinds a larger part",
        "risk_factors: `~ community`, logit, clusters agency_id, community against large",
        "community small against large",
        "a stratified random sample by community, n = 500",
        "coder_b (language model",
        "14 registered; adjusted by Benjamini",
        "multiply imputed",
        "relative 1e-08",
    ):
        assert said in text, said
    create_study("bare")
    bare = render_pre_analysis_plan(check_plan("bare").plan)
    assert re.findall(r"^## (.+)$", bare, re.M) == HEADINGS
    asked = re.findall(r"\(key `([\w.]+)`\)", bare)
    keys = {"question", "comparisons", "negative_control", "missing_data", "overturned_by"}
    assert keys <= set(asked)


def test_document_registration_and_hashes(here, capsys):
    create_study("copy", example=True)
    arguments = ["check-study", "copy", "--register", "--hashes", "--document", "plan.md"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert (here / "plan.md").read_text() == (here / "copy" / "pre_analysis_plan.md").read_text()
    block = yaml.safe_load(told[told.index("sha256:") : told.index("Wrote")])["sha256"]
    assert block["gold"] == hash_file(here / "copy" / "data" / "gold.csv")
    file = here / "copy" / "study.yaml"
    file.write_text(file.read_text() + yaml.safe_dump({"sha256": block}))
    assert load_plan("copy").registration is not None
    assert main(["check-study", "copy", "--document", "plan.md"]) == 2
    captured = capsys.readouterr()
    assert "unchanged since" in " ".join(captured.out.split())  # hashes are no change of the plan
    assert "'plan.md' exists, and may hold what you wrote" in captured.err


def test_all_problems_are_printed_with_exit_code_two(here, capsys):
    create_study("copy", example=True)
    file = here / "copy" / "study.yaml"
    file.write_text(file.read_text().replace("seed:", "sead:").replace("folds: 5", "folds: five"))
    assert main(["check-study", "copy"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.splitlines()
    assert len(said) == 2
    assert "Did you mean 'seed'?" in said[0]
    assert "key classifier.folds: must be a whole number" in said[1]
    assert main(["check-study", "nowhere"]) == 2
    assert main(["check-study", "."]) == 2
    assert (
        "holds no study.yaml. Make a study with boundary-research new-study"
        in capsys.readouterr().err
    )


@pytest.mark.filterwarnings("ignore::boundary_research.classifier.model.ThinCategoryWarning")
def test_the_printed_commands_lead_from_a_file_to_a_report(here, capsys):
    corpus = load_corpus().split("train")
    part = corpus.subset(corpus.incidents["incident_id"].iloc[:260])
    part.incidents.rename(columns={"incident_id": "case"}).to_csv("reports.csv", index=False)
    (here / "book.yaml").write_text(CODEBOOK)
    arguments = ["new-study", "mine", "--incidents", "reports.csv", "--id-column", "case"]
    assert main([*arguments, "--codebook", "book.yaml"]) == 0
    told = capsys.readouterr().out
    commands = re.findall(r"^  boundary-research (.+)$", told, re.M)
    done = []
    for command in commands:
        words = shlex.split(command)
        done.append(words[0])
        if words[0] == "page":
            code_as_the_corpus_is(words[1], part)
        else:
            assert main(words) == 0, command
    assert done == [
        "check-study",
        "check-study",
        "new-coding",
        "page",
        "gold",
        "check-study",
        "run",
    ]
    told = " ".join(capsys.readouterr().out.split())
    assert "still to come: sample (sample.csv)" in told
    assert "the draw comes out again from its seed" in told
    assert "registered.yaml" in told
    assert (here / "mine" / "output" / "report.html").is_file()
    shares = pd.read_csv(here / "mine" / "output" / "tables" / "prevalence.csv")
    assert set(shares["category"]) == {
        "gifts_favours",
        "service_inadequate",
        "confidentiality_breach",
    }
    # The same codes, brought into another study.
    assert main([*arguments[:1], "other", *arguments[2:], "--from-coding", "mine/data"]) == 0
    plan = load_plan("other")
    assert plan.sampling == {"design": "simple", "n": 200}
    assert [coder["id"] for coder in plan.coders] == ["ana", "ben"]


def code_as_the_corpus_is(store, corpus):
    gold = corpus.gold[corpus.gold["present"].astype(bool)]
    spans = corpus.evidence.groupby(["incident_id", "category"])[["start", "end"]]
    spans = {key: rows.to_numpy().tolist() for key, rows in spans}
    with CodingStore(store) as opened:
        known = set(re.findall(r"id: (\w+), label", CODEBOOK))
        for incident in opened.sample()["incident_id"]:
            found = gold.loc[gold["incident_id"] == incident, "category"]
            present = {name: {"spans": spans[incident, name]} for name in found if name in known}
            content = {"categories": present} if present else {"verdict": "none"}
            for coder in ("ana", "ben"):
                latest = opened.latest(coder, incident).revision_id
                opened.save(coder, incident, content, state="submitted", expected=latest)
