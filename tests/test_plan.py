import pytest

from boundary_research import DataError
from boundary_research.study.plan import load_plan

GOOD = """\
title: A study
seed: 7
incidents:
  file: incidents.csv
gold:
  sample: sample.csv
  gold: gold.csv
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("incidents", "sample", "gold"):
        (tmp_path / f"{name}.csv").write_text("incident_id\n1\n")
    return tmp_path


def write(folder, text):
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def test_paths_are_read_from_the_folder_of_the_file(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    plan = load_plan(write(folder, GOOD))
    assert plan.incidents["file"] == folder / "incidents.csv"
    assert plan.output == folder / "output"
    assert plan.classifier == {"train_on": "gold", "folds": 5}
    assert load_plan(folder).title == "A study"
    assert set(plan.inputs()) == {"study", "incidents", "sample", "gold"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title: A study\n", ""), "key 'title' is missing"),
        (("seed: 7", "seed: x"), "line 2, key seed: must be a whole number"),
        (("seed: 7", "sead: 7"), "line 2, key sead: unknown key. Allowed: title"),
        (
            ("  file: incidents.csv", "  file: other.csv"),
            "line 4, key incidents.file: 'other.csv' does not exist",
        ),
        (("gold: gold.csv", "gold: [gold.csv]"), "line 7, key gold.gold: must be text"),
        (("seed: 7", "seed: 7\nrisk_factors: {family: logit}"), "'formula' is missing"),
        (
            ("  file: incidents.csv", "  file: incidents.csv\n  recode: {a: 3}"),
            "line 5, key incidents.recode.a",
        ),
        (("seed: 7", "seed: [7"), "not valid YAML"),
    ],
)
def test_errors_name_the_key_and_the_line(folder, change, said):
    with pytest.raises(DataError, match=said.replace("[", r"\[")):
        load_plan(write(folder, GOOD.replace(*change)))
