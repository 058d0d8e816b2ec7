import copy
import inspect
import json
import re

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from boundary_research import DataError, NarrativeClassifier, risk_factors
from boundary_research._files import hash_file
from boundary_research.inference.multiple_testing import METHODS
from boundary_research.study._plan_parts import fill_defaults
from boundary_research.study._plan_schema import (
    KEYWORDS,
    check_schema,
    coerce,
    describe_schema,
    read_schema,
)
from boundary_research.study.plan import check_plan, load_plan
from boundary_research.study.plan_description import check_and_describe

GOOD = """\
title: A study
seed: 7
incidents:
  file: incidents.csv
gold:
  sample: sample.csv
  gold: gold.csv
"""
FULL = """\
title: A full study
question: What is reported?
authors: [A. Author]
licence: CC-BY-4.0
notice: Fictional.
seed: 3
codebook: book.yaml
incidents:
  file: incidents.csv
  recode: {size: {from: setting, levels: {small: [village], large: [city, town]}}}
sampling: {design: stratified, n: 4, strata: [size], allocation: equal, seed: 1}
coders:
  - {id: ana, kind: human, training: Two days}
  - {id: gpt, kind: language_model}
  - {id: eva, kind: human, role: adjudicator}
gold: {sample: sample.csv, codings: codings.csv, coders: [ana, gpt], gold: gold.csv}
classifier: {train_on: gold, folds: 3, groups: agency_id, parameters: {C: 2.0, words: [1, 2]}}
prevalence: {by: [size], clusters: agency_id, estimand: Shares of reports}
risk_factors:
  - {name: main, formula: ~ size, contrasts: {size: large}, term: "size[T.small]"}
  - {name: by_role, formula: ~ size + role, family: poisson, missing: complete}
comparisons:
  - {variable: size, level: small, reference: large, analysis: main, description: More.}
negative_control: {category: late, reason: No path.}
multiple_testing: {adjust: holm, family: All, n_tests: 2}
missing_data: Left out.
overturned_by: An interval with 1 in it.
tolerances: {relative: 1e-6}
output: results
"""
BOOK = """\
id: two
name: Two
version: "1"
categories:
  - {id: money, label: Money, definition: Money.}
  - {id: late, label: Late, definition: Late.}
"""
TABLES = {
    "incidents.csv": "incident_id,narrative,setting,role,agency_id\n"
    + "".join(
        f"{i},Text {i}.,{'village' if i % 2 else 'city'},{'nurse' if i < 5 else 'carer'},A{i % 3}\n"
        for i in range(1, 9)
    ).replace("city", "town", 1),
    "sample.csv": "incident_id,inclusion_probability,stratum\n1,0.5,small\n2,0.5,large\n3,0.5,small\n4,0.5,large\n",
    "gold.csv": "incident_id,category,present\n"
    + "".join(f"{i},{c},{i % 2}\n" for i in range(1, 5) for c in ("money", "late")),
    "codings.csv": "incident_id,coder_id,category,present\n"
    + "".join(
        f"{i},{who},{c},{i % 2}\n"
        for i in range(1, 5)
        for who in ("ana", "gpt")
        for c in ("money", "late")
    ),
    "book.yaml": BOOK,
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
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
    assert (plan.risk_factors, plan.analyses) == ({}, ())
    assert load_plan(folder).title == "A study"
    assert set(plan.inputs()) == {"study", "incidents", "sample", "gold"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title: A study\n", ""), "key 'title' is missing. Add it: the study's title"),
        (("seed: 7", "seed: x"), "line 2, key seed: must be a whole number"),
        (("seed: 7", "seed: -1"), "line 2, key seed: must be 0 or more"),
        (("seed: 7", "sead: 7"), "line 2, key sead: unknown key. Did you mean 'seed'?"),
        (("seed: 7", "formula: x"), "line 2, key formula: unknown key. It belongs under risk_fac"),
        (("seed: 7", "notice:"), "line 2, key notice: must be text, but nothing stands there"),
        (("seed: 7", "notice: 3"), "line 2, key notice: must be text. Put it in quotes"),
        (("seed: 7", "authors: me"), "line 2, key authors: must be a list. Put it in square"),
        (
            ("  file: incidents.csv", "  file: other.csv"),
            "line 4, key incidents.file: 'other.csv' does not exist. In that folder there are: book",
        ),
        (
            ("  gold: gold.csv", "  gold: golds.csv"),
            "line 7, key gold.gold: 'golds.csv' does not exist",
        ),
        (("gold: gold.csv", "gold: [gold.csv]"), "line 7, key gold.gold: must be text"),
        (("seed: 7", "seed: 7\nrisk_factors: {family: logit}"), "'formula' is missing"),
        (("seed: 7", "risk_factors: ~ role"), "key risk_factors: must be a mapping .* or a list"),
        (
            ("seed: 7", "multiple_testing: {adjust: holms}"),
            "'holms' not found. Did you mean 'holm'? Allowed: bh, by, holm, bonferroni",
        ),
        (
            ("  file: incidents.csv", "  file: incidents.csv\n  recode: {a: 3}"),
            "line 5, key incidents.recode.a",
        ),
        (("seed: 7", "seed: [7"), "not valid YAML"),
        (("seed: 7", "codebook: gold.csv"), "line 2, key codebook: cannot be used"),
    ],
)
def test_errors_name_the_key_and_the_line(folder, change, said):
    with pytest.raises(DataError, match=said.replace("[", r"\[").replace("?", r"\?")):
        load_plan(write(folder, GOOD.replace(*change)))


def test_all_errors_are_told_at_once_by_line(folder):
    text = GOOD.replace("seed: 7", "sead: 7").replace("incidents.csv", "none.csv")
    text += "  coder: [ana]\nclassifier: {folds: 1, traino: gold}\n"
    file = write(folder, text)
    problems = check_plan(file).problems
    lines = [int(re.search(r"line (\d+)", problem)[1]) for problem in problems]
    assert lines == [2, 4, 8, 9, 9]
    assert "Did you mean 'coders'?" in problems[2]
    with pytest.raises(DataError, match=r"line 2, .* And 4 more; boundary-research check-study"):
        load_plan(file)


def test_everything_that_a_plan_may_say_is_read(folder):
    plan = load_plan(write(folder, FULL))
    assert [analysis["name"] for analysis in plan.analyses] == ["main", "by_role"]
    assert plan.risk_factors == plan.analyses[0]
    assert {analysis["adjust"] for analysis in plan.analyses} == {"holm"}
    assert {analysis["clusters"] for analysis in plan.analyses} == {"agency_id"}
    assert plan.classifier["parameters"] == {"C": 2.0, "words": (1, 2)}
    assert plan.tolerances == {"relative": 1e-6, "standard_errors": 1.0, "draws": 3.0}
    assert plan.codebook == folder / "book.yaml"
    assert plan.codebook_facts["categories"] == ["money", "late"]
    assert [coder["role"] for coder in plan.coders] == ["coder", "coder", "adjudicator"]
    assert plan.output == folder / "results"
    assert str(folder) not in json.dumps(plan.to_dict())


def test_arguments_of_an_analysis_are_those_of_risk_factors(folder):
    plan = load_plan(write(folder, FULL))
    known = set(inspect.signature(risk_factors).parameters)
    first = plan.risk_factor_arguments(plan.analyses[0])
    assert set(first) < known
    assert first["contrasts"] == {"size": "large"}
    assert plan.risk_factor_arguments({"name": "x", "formula": "~ a"}) == {"clusters": None}
    options = read_schema()["$defs"]["analysis"]["properties"]
    assert tuple(options["adjust"]["enum"]) == METHODS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[ana, gpt]", "[ana, ben]"), r"key gold.coders\[2\]: coder 'ben' is not among"),
        (("id: gpt", "id: ana"), "coder 'ana' stands twice"),
        (("n: 4", "n: 5"), "key sampling.n: says 5, but sample.csv has 4 narratives"),
        (("design: stratified", "design: all"), "has probabilities below 1"),
        (("name: by_role, ", ""), r"risk_factors\[2\]: key 'name' is missing"),
        (("name: by_role", "name: main"), "name 'main' is taken"),
        (("name: by_role", "name: metrics"), "name 'metrics' is taken"),
        (("name: by_role", "name: By role"), "does not fit. Name of the analysis"),
        (("term: ", "adjust: bh, term: "), "says 'bh', and multiple_testing.adjust 'holm'"),
        (("{size: large}", "{seize: large}"), "'seize' does not occur in the formula"),
        (("family: poisson", "offset: agency_id"), "goes with family: poisson only"),
        (("analysis: main", "analysis: man"), "'man' not found. Available: main, by_role"),
        (("variable: size", "variable: age"), "'age' occurs in no formula"),
        (("level: small", "level: smal"), "'smal' is no level of 'size'. Available: small, large"),
        (("reference: large", "reference: small"), "says 'small', and contrasts .* 'large'"),
        (("category: late", "category: lte"), "category 'lte' not found. Available: money, late"),
        (("[city, town]", "[city, village]"), "level 'village' stands under 'small', too"),
        (("title:", "sha256: {gold: 12}\ntitle:"), "key sha256.gold: must be text"),
        (("title:", f"sha256: {{gold: '{64 * '0'}'}}\ntitle:"), "gold.csv has sha256 [0-9a-f]{64}"),
        (("title:", f"sha256: {{model: '{64 * '0'}'}}\ntitle:"), "names no such file"),
    ],
)
def test_parts_that_do_not_go_together_are_told(folder, change, said):
    assert change[0] in FULL
    with pytest.raises(DataError, match=said):
        load_plan(write(folder, FULL.replace(*change, 1)))


def test_hashes_of_inputs_are_checked(folder):
    text = f"sha256: {{gold: {hash_file(folder / 'gold.csv')}}}\n" + FULL
    assert load_plan(write(folder, text)).content["sha256"]
    (folder / "gold.csv").write_text(TABLES["gold.csv"].replace("1,money,1", "1,money,0"))
    with pytest.raises(DataError, match=r"line 1, .* not the file that the plan was written for"):
        load_plan(folder)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("incident_id,inclusion_probability\n1,0.5\n2,0.4\n3,0.4\n4,0.4\n", "no column stratum"),
        (TABLES["sample.csv"].replace("1,0.5", "1,0.4"), "probabilities .* differ within"),
        (
            TABLES["sample.csv"].replace("stratum\n", "design\n").replace("small", "simple"),
            "design of sample.csv says",
        ),
        ("incident_id\n1\n", "key gold.sample: cannot be used"),
    ],
)
def test_a_sample_that_was_drawn_otherwise_is_told(folder, sample, said):
    (folder / "sample.csv").write_text(sample.replace("large", "simple"))
    with pytest.raises(DataError, match=said):
        load_plan(write(folder, FULL))


def test_a_plan_can_be_checked_before_anything_is_coded(folder):
    for name in ("sample", "gold", "codings"):
        (folder / f"{name}.csv").unlink()
    checked = check_plan(write(folder, FULL))
    assert checked.problems == []
    assert checked.plan.pending == ("sample", "codings", "gold")
    with pytest.raises(DataError, match=r"key gold.sample: 'sample.csv' does not exist. Code"):
        load_plan(folder)
    _, text, problems = check_and_describe(folder)
    assert problems == []
    assert "still to come: sample (sample.csv)" in text


def test_a_plan_is_told_in_plain_words(folder):
    _, text, problems = check_and_describe(write(folder, FULL))
    assert problems == []
    told = " ".join(text.split())
    for part in (
        "Incidents 8 from incidents.csv; 0 rows set aside",
        "a stratified random sample by size, equal allocation, n = 4, seed 1",
        "4 narratives drawn, each with probability 0.500; strata: small 2, large 2",
        "rarest category money: under 5",
        "gpt (language model)",
        "size small against large [main]: More.",
        "late: No path.",
        "2 registered; adjusted by Holm",
    ):
        assert part in told
    assert "Text 1" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("from: setting", "from: place"), "line 10, .*column 'place' not found"),
        (("[village]", "[hamlet]"), "level 'hamlet' does not occur in column 'setting'"),
        (("groups: agency_id", "groups: agency"), "key classifier.groups: column 'agency' not"),
        (("by: [size]", "by: [sice]"), r"key prevalence.by\[1\]: column 'sice' not found"),
        (("strata: [size]", "strata: [sice]"), r"key sampling.strata\[1\]"),
        (("formula: ~ size + role", "formula: ~ size + rolle"), r"key risk_factors\[2\].formula"),
        (("id: ana", "id: ann"), "is not among the coders"),
        (("file: incidents.csv", "file: incidents.csv\n  text_column: story"), "'story' not found"),
    ],
)
def test_data_that_do_not_fit_are_told_by_line(folder, change, said):
    assert change[0] in FULL
    _, text, problems = check_and_describe(write(folder, FULL.replace(*change, 1)))
    assert text == ""
    assert any(re.search(said, problem) for problem in problems), problems


@pytest.mark.parametrize("column", ["narrative", "remarks"])
def test_no_message_repeats_free_text(folder, column):
    text = TABLES["incidents.csv"].replace("incident_id,", "incident_id,remarks,")
    long = "She told me at length what had happened, and what she thought of it all. "
    (folder / "incidents.csv").write_text(
        "\n".join(
            line if i == 0 else line.replace(",", f",{long}{i},", 1).replace("Text", long)
            for i, line in enumerate(text.splitlines())
        )
    )
    problems = check_and_describe(write(folder, FULL.replace("from: setting", f"from: {column}")))[
        2
    ]
    assert problems
    assert not any("She told me" in problem for problem in problems)


def test_the_table_of_listed_incidents_is_checked(folder):
    (folder / "only.csv").write_text("incident_id\n1\n2\n3\n4\n4\n77\n")
    text = FULL.replace("file: incidents.csv", "file: incidents.csv\n  only: only.csv")
    problems = check_and_describe(write(folder, text))[2]
    assert len(problems) == 2
    assert "incident_id must be unique" in problems[0]
    assert "1 ids are not among the incidents (the first is '77')" in problems[1]


def test_lost_gold_codes_and_coders_are_told(folder):
    (folder / "gold.csv").write_text("incident_id,category,present\n1,money,1\n")
    text = TABLES["codings.csv"]
    (folder / "codings.csv").write_text(text.replace("gpt", "ben"))
    (folder / "sample.csv").write_text(TABLES["sample.csv"].replace("4,0.5", "99,0.5"))
    problems = check_and_describe(write(folder, FULL))[2]
    said = "\n".join(problems)
    assert "1 drawn incidents are not among the incidents (the first is '99')" in said
    assert "3 drawn incidents have no gold codes" in said
    assert "coder 'gpt' has no codings in codings.csv. Available: ana, ben" in said


# The schema and what reads it.


def subschemas(schema):
    if isinstance(schema, dict):
        yield schema
        for key in ("properties", "$defs"):
            for part in schema.get(key, {}).values():
                yield from subschemas(part)
        for key in ("items", "additionalProperties"):
            yield from subschemas(schema.get(key))
        for part in schema.get("oneOf", []):
            yield from subschemas(part)


def test_schema_is_valid_and_uses_only_what_the_checker_knows():
    Draft202012Validator.check_schema(read_schema())
    assert {key for part in subschemas(read_schema()) for key in part} <= KEYWORDS


def documented(name, part):
    told = part["description"]
    if not all(str(value) in told for value in part.get("enum", [])):
        told += f" One of {', '.join(part['enum'])}."
    default = f"`{json.dumps(part['default'])}`" if "default" in part else ""
    return f"| `{name}` | {told} | {default} |"


def test_every_key_is_described_and_explained_in_the_documentation():
    docs = (ROOT / "docs" / "study.md").read_text("utf-8")
    rows = [documented(name, part) for name, part in describe_schema()]
    assert "\n".join(rows) in docs, "docs/study.md, 'Every key', must hold:\n" + "\n".join(rows)
    assert all(part["description"].endswith(".") for _, part in describe_schema())


def test_parameters_of_the_classifier_are_those_of_the_class():
    listed = read_schema()["properties"]["classifier"]["properties"]["parameters"]["properties"]
    assert set(listed) == set(NarrativeClassifier().get_params()) - {"random_state"}


def test_defaults_that_the_schema_tells_editors_are_those_that_are_taken():
    parts = fill_defaults({"risk_factors": {"formula": "~ a"}, "coders": [{"id": "a"}]})
    known = read_schema()["properties"]
    for name in ("seed", "codebook"):
        assert parts[name] == known[name]["default"]
    for name, part in known["tolerances"]["properties"].items():
        assert parts["tolerances"][name] == part["default"]
    for name, part in read_schema()["$defs"]["analysis"]["properties"].items():
        assert name == "formula" or parts["analyses"][0].get(name) == part.get("default"), name


def problems_of(document):
    found = []
    check_schema(document, lambda path, problem, broken=None: found.append((path, problem)))
    return found


PLANS = [yaml.safe_load(GOOD), coerce(yaml.safe_load(FULL))]
VALIDATOR = Draft202012Validator(read_schema())
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.floats(0.25, 2.5).filter(lambda x: not x.is_integer()),
    st.sampled_from(["", "text", "bh", "human", "simple", "gold", "Main"]),
    st.lists(st.sampled_from(["a", "b", 1, 2]), max_size=3),
    st.dictionaries(
        st.sampled_from(["formula", "name", "category", "id"]), st.just("x"), max_size=2
    ),
)


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))
        else:
            yield (*path, key)


@st.composite
def changed_plans(draw):
    document = copy.deepcopy(draw(st.sampled_from(PLANS)))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from([place for place in places(document) if place]))
        part = document
        for key in path[:-1]:
            part = part[key]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            part[path[-1]] = draw(VALUES)
        elif action == "remove":
            del part[path[-1]]
        elif isinstance(part, dict):
            part[draw(st.sampled_from(["name", "folds", "x", "seed", "missing"]))] = draw(VALUES)
    return document


@settings(max_examples=250)
@given(changed_plans())
def test_the_checker_and_json_schema_agree_on_every_document(document):
    assert bool(problems_of(document)) == (not VALIDATOR.is_valid(document))


@pytest.fixture(scope="module")
def tables_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    return folder


@settings(max_examples=120)
@given(document=changed_plans())
def test_no_slip_in_a_plan_ends_in_anything_but_a_message(tables_folder, document):
    file = write(tables_folder, yaml.safe_dump(document, sort_keys=False))
    plan, text, problems = check_and_describe(file)
    assert bool(text) != bool(problems)
    assert all(re.match(r"Study study.yaml, line \d+, key ", problem) for problem in problems)
    assert plan is not None or problems


def test_the_example_fits_the_schema_as_editors_read_it():
    text = (ROOT / "data" / "example_study" / "study.yaml").read_text("utf-8")
    first = text.splitlines()[0]
    schema = ROOT / "data" / "example_study" / re.search(r"\$schema=(\S+)", first)[1]
    content = json.loads(schema.read_text("utf-8"))
    assert not list(Draft202012Validator(content).iter_errors(yaml.safe_load(text)))


def test_numbers_are_read_as_editors_read_them():
    document = coerce({"tolerances": {"relative": "1e-8"}, "seed": 5.0, "title": "1e-8"})
    assert document == {"tolerances": {"relative": 1e-8}, "seed": 5, "title": "1e-8"}
    assert isinstance(document["seed"], int)
