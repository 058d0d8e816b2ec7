import pandas as pd
import pytest
import yaml
from test_plan import FULL, TABLES

from boundary_research import DataError
from boundary_research.study.plan import check_plan, load_plan
from boundary_research.study.registration import (
    VERDICTS,
    compare_registration,
    describe_changes,
    read_registration,
    register_plan,
)


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "study.yaml").write_text(FULL)
    return tmp_path


def analysis(*contrasts, categories=("money", "late")):
    rows = [
        {
            "term": f"{variable}[T.{level}]" if level else variable,
            "category": category,
            "estimator": estimator,
            "p_adjusted": 0.5,
            "variable": variable,
            "level": level,
            "reference": reference,
            "n_tests": len(contrasts) * len(categories),
        }
        for variable, level, reference in contrasts
        for category in categories
        for estimator in ("naive", "ppi")
    ]
    first = {"term": "Intercept", "category": categories[0], "estimator": "ppi", "n_tests": 0}
    return pd.DataFrame([first, *rows])


SIZE = ("size", "small", "large")
ROLE = ("role", "nurse", "carer")


def tables(**more):
    shares = pd.DataFrame({"estimator": ["naive", "ppi"], "n_gold": [0, 4]})
    return {
        "prevalence": shares,
        "prevalence_by_size": shares,
        "reliability": pd.DataFrame({"n_coders": [2, 2]}),
        "main": analysis(SIZE),
        "by_role": analysis(SIZE, ROLE),
    } | more


def compared(folder, run, **options):
    table = compare_registration(load_plan(folder), run, **options)
    assert list(table.columns) == ["item", "registered", "run", "verdict"]
    assert set(table["verdict"]) <= set(VERDICTS)
    assert not table["item"].duplicated().any()
    return table.set_index("item")


def test_contrasts_that_were_not_registered_are_named(folder):
    row = compared(folder, tables()).loc["contrasts"]
    assert row["registered"] == "1 contrast (size small against large)"
    assert row["run"] == (
        "2 contrasts (size small against large, role nurse against carer); "
        "not registered: role nurse against carer"
    )
    assert row["verdict"] == "more than registered"


def test_without_a_registered_plan_study_yaml_is_compared(folder):
    table = compared(folder, tables(by_role=analysis(SIZE)))
    assert table.loc["plan", "verdict"] == "not registered"
    for item in ("seed", "codebook", "sampling design", "gold narratives", "coders", "classifier"):
        assert table.loc[item, "verdict"] == "as registered", item
    for item in ("shares by group", "analyses", "contrasts", "categories tested"):
        assert table.loc[item, "verdict"] == "as registered", item
    assert table.loc["tests", ["registered", "run", "verdict"]].tolist() == [
        "2",
        "4",
        "more than registered",
    ]
    assert table.loc["negative control", "run"] == "late"


@pytest.mark.parametrize(
    ("run", "item", "verdict", "said"),
    [
        ({"prevalence": pd.DataFrame({"estimator": ["ppi"], "n_gold": [3]})}, "gold narratives", "fewer than registered", "3"),
        ({"prevalence_by_role": pd.DataFrame()}, "shares by group", "more than registered", "not registered: role"),
        ({"reliability": pd.DataFrame({"n_coders": [3]})}, "coders", "more than registered", "3 coders"),
        ({"extra": analysis(("age", None, None))}, "analyses", "more than registered", "not registered: extra"),
        ({"extra": analysis(("age", None, None))}, "analysis extra", "not registered", "terms age"),
        ({"extra": analysis(("age", None, None))}, "contrasts", "more than registered", "not registered: role nurse against carer, age"),
        ({"main": pd.DataFrame({"term": ["x"]})}, "analysis main", "not run", "–"),
        ({"main": analysis(SIZE, categories=["money"]), "by_role": analysis(SIZE, categories=["money"])}, "categories tested", "fewer than registered", "not run: late"),
        ({"main": analysis(SIZE, categories=["money"]), "by_role": analysis(SIZE, categories=["money"])}, "negative control", "not run", "–"),
        ({"main": analysis(ROLE), "by_role": analysis(ROLE)}, "contrasts", "differs", "not run: size small against large"),
    ],
)  # fmt: skip
def test_every_deviation_is_named(folder, run, item, verdict, said):
    row = compared(folder, tables(**run)).loc[item]
    assert row["verdict"] == verdict
    assert said in row["run"]


def test_tables_read_from_files_compare_alike(folder, tmp_path):
    run, again = tables(extra=analysis(("age", None, None))), {}
    for name, table in run.items():
        table.to_csv(tmp_path / f"{name}.out", index=False)
        again[name] = pd.read_csv(tmp_path / f"{name}.out")
    assert compared(folder, run).equals(compared(folder, again))


def test_a_registered_plan_stands_against_later_changes(folder):
    file = register_plan(load_plan(folder))
    assert "registered_at" in file.read_text("utf-8")
    assert str(folder) not in file.read_text("utf-8")
    assert compared(folder, tables()).loc["plan", "verdict"] == "as registered"
    changed = FULL.replace("seed: 3", "seed: 4").replace("folds: 3", "folds: 9")
    changed = changed.replace("formula: ~ size + role", "formula: ~ size * role")
    (folder / "study.yaml").write_text("# A comment\n" + changed)
    plan = load_plan(folder)
    assert describe_changes(plan) == ["seed", "classifier.folds", "risk_factors"]
    table = compared(folder, tables())
    assert "changed since: seed, classifier.folds, risk_factors" in table.loc["plan", "run"]
    for item in ("plan", "seed", "classifier", "analysis by_role"):
        assert table.loc[item, "verdict"] == "differs", item
    assert table.loc["seed", ["registered", "run"]].tolist() == ["3", "4"]
    assert table.loc["analysis main", "verdict"] == "as registered"


def test_an_analysis_that_was_dropped_or_added_is_named(folder):
    register_plan(load_plan(folder))
    text = FULL.replace("name: by_role", "name: by_work")
    (folder / "study.yaml").write_text(text)
    run = tables(by_work=analysis(ROLE))
    del run["by_role"]
    table = compared(folder, run)
    assert table.loc["analyses", "verdict"] == "differs"
    assert table.loc["analysis by_role", "verdict"] == "not run"
    assert table.loc["analysis by_work", "verdict"] == "not registered"
    assert table.loc["analysis by_work", "run"].startswith("~ size + role (poisson)")


def test_layout_and_output_folder_are_no_deviation(folder):
    register_plan(load_plan(folder))
    content = yaml.safe_load(FULL) | {"output": "elsewhere"}
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=True))
    assert describe_changes(load_plan(folder)) == []


def test_a_plan_whose_files_were_moved_is_the_same_plan(folder, tmp_path_factory):
    register_plan(load_plan(folder))
    moved = tmp_path_factory.mktemp("moved")
    (moved / "data").mkdir()
    text = FULL
    for name in TABLES:
        (moved / "data" / name).write_text(TABLES[name])
        text = text.replace(f" {name}", f" data/{name}")
    (moved / "study.yaml").write_text(text)
    (moved / "registered.yaml").write_bytes((folder / "registered.yaml").read_bytes())
    assert compared(moved, tables()).equals(compared(folder, tables()))


@pytest.mark.parametrize(
    ("old", "new", "registered", "verdict"),
    [
        ("level: small, reference: large, ", "", "size small against large", "more than registered"),
        ("level: small, ", "", "size small against large", "more than registered"),
        ("level: small, reference: large", "level: large, reference: small", "size large against small", "differs"),
    ],
)  # fmt: skip
def test_what_a_comparison_leaves_open_is_met_by_what_was_run(
    folder, old, new, registered, verdict
):
    text = FULL.replace(old, new).replace("contrasts: {size: large}, ", "")
    (folder / "study.yaml").write_text(text)
    row = compared(folder, tables()).loc["contrasts"]
    assert row["registered"] == f"1 contrast ({registered})"
    assert row["verdict"] == verdict


def test_inputs_that_changed_are_named(folder):
    kept = read_registration(register_plan(load_plan(folder)))
    table = compared(folder, tables(), inputs=kept.inputs | {"study": "0"})
    assert table.loc["input files", "verdict"] == "as registered"
    table = compared(folder, tables(), inputs=kept.inputs | {"gold": "0"})
    assert table.loc["input files", ["run", "verdict"]].tolist() == [
        "other content: gold",
        "differs",
    ]


def test_registration_says_whether_gold_codes_and_results_were_there(folder):
    files = {name: (folder / f"{name}.csv").read_text() for name in ("sample", "gold", "codings")}
    for name in files:
        (folder / f"{name}.csv").unlink()
    kept = read_registration(register_plan(check_plan(folder).plan))
    assert (kept.gold_codes_there, kept.results_there) == (False, False)
    assert kept.when.endswith("before gold codes")
    assert set(kept.inputs) == {"incidents", "codebook"}
    kept.file.unlink()
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "results").mkdir()
    (folder / "results" / "manifest.json").write_text("{}")
    kept = read_registration(register_plan(load_plan(folder)))
    assert kept.when.endswith("after results were there")


def test_a_plan_is_registered_once_and_an_edited_registration_is_refused(folder):
    file = register_plan(load_plan(folder))
    with pytest.raises(DataError, match="a plan is registered once"):
        register_plan(load_plan(folder))
    text = file.read_text("utf-8")
    file.write_text(text.replace("n: 4", "n: 3"), "utf-8")
    with pytest.raises(DataError, match="edited after registration"):
        load_plan(folder)
    file.write_text("title: nothing", "utf-8")
    with pytest.raises(DataError, match=r"is no plan that check-study --register wrote"):
        load_plan(folder)
