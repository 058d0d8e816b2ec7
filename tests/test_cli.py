import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from boundary_research import NarrativeClassifier, default_classifier, load_codebook
from boundary_research._files import hash_file
from boundary_research.classifier.default_model import default_model_id
from boundary_research.cli import main


@pytest.fixture
def model_file(small_codes, tmp_path):
    return NarrativeClassifier().fit(*small_codes).save(tmp_path / "model.npz")


@pytest.fixture
def reports(tmp_path):
    path = tmp_path / "my_reports.csv"
    path.write_text("incident_id,narrative\n1,She lent him money.\n2,\n3,He gossiped about her.\n")
    return path


def one_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_code_writes_all_files_and_says_where(reports, model_file, tmp_path, capsys):
    out = tmp_path / "coded"
    assert main(["code", str(reports), "-o", str(out), "--model", str(model_file)]) == 0
    assert "2 incidents coded, 1 row set aside" in capsys.readouterr().out
    names = {"coded.csv", "evidence.csv", "rejects.csv", "unfamiliar.csv"}
    names |= {"manifest.json", "report.html"}
    assert {p.name for p in out.iterdir()} == names
    coded = pd.read_csv(out / "coded.csv")
    assert list(coded.columns[:4]) == [
        "incident_id",
        "money",
        "money_probability",
        "money_decision",
    ]


def test_fast_codes_with_the_n_grams_alone(reports, tmp_path):
    out = tmp_path / "coded"
    assert main(["code", str(reports), "-o", str(out), "--fast", "--quiet"]) == 0
    model = default_classifier(fast=True)
    coded = pd.read_csv(out / "coded.csv")
    expected = model.predict_proba(["She lent him money.", "He gossiped about her."])
    names = [f"{name}_probability" for name in model.classes_]
    np.testing.assert_allclose(coded[names], expected, atol=1e-4)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["options"]["model"] == default_model_id(fast=True)
    assert "the n-gram part of the bundled model" in (out / "report.html").read_text("utf-8")


def test_fast_and_a_model_file_are_refused_together(reports, model_file, tmp_path, capsys):
    arguments = ["-o", str(tmp_path / "out"), "--model", str(model_file), "--fast"]
    assert main(["code", str(reports), *arguments]) == 2
    assert "--fast is about the bundled model" in one_line(capsys)


def test_model_files_of_every_kind_are_taken(reports, tmp_path):
    file = Path(__file__).parent / "reference" / "encoder_tiny.zip"
    out = tmp_path / "coded"
    assert main(["code", str(reports), "-o", str(out), "--model", str(file), "--quiet"]) == 0
    assert list(pd.read_csv(out / "coded.csv")["money"]) == [1, 0]
    inputs = json.loads((out / "manifest.json").read_text("utf-8"))["inputs"]
    assert inputs["model"] == {"file": file.name, "sha256": hash_file(file)}


def test_quiet_prints_nothing_and_parquet_is_written(reports, model_file, tmp_path, capsys):
    out = tmp_path / "coded"
    arguments = ["code", str(reports), "-o", str(out), "--model", str(model_file)]
    assert main([*arguments, "--quiet", "--format", "parquet"]) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    assert pd.read_parquet(out / "coded.parquet").shape[0] == 2


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("", [], "is empty"),
        ("a,b\n1,2\n", [], "'incident_id', 'narrative' not found"),
        ("a,b\n1,2\n", [], "--id-column, --text-column"),
        ("incident_id,narrative\n", [], "no rows below the header"),
        ("PK\x03\x04xxxx", [], "not a text file"),
        (
            "incident_id,narrative\n1,x\n",
            ["--format", "xml"],
            "'xml' not found. Available: csv, parquet",
        ),
        ("incident_id,narrative\n1,x\n", ["--nonsense"], "No such option"),
        ("incident_id,narrative\n1,\n", ["--strict"], "row 1"),
        ("incident_id,narrative\n1,x\n", ["--model", "none.npz"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(content, arguments, said, tmp_path, capsys):
    path = tmp_path / "in.csv"
    path.write_text(content)
    assert main(["code", str(path), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert said in one_line(capsys)


def test_output_folder_that_cannot_be_written(reports, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["code", str(reports), "-o", str(tmp_path / "file" / "sub")]) == 2
    assert "cannot be written to" in one_line(capsys)


def test_unreadable_codebook_and_study(tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("id: [")
    assert main(["codebook", "check", str(tmp_path / "bad.yaml")]) == 2
    assert "line 1: not valid YAML" in one_line(capsys)
    assert main(["run", str(tmp_path / "bad.yaml")]) == 2
    assert "not valid YAML" in one_line(capsys)


def test_codebook_is_checked_and_printed(tmp_path, capsys):
    assert main(["codebook", "print", "-o", str(tmp_path / "book.html")]) == 0
    assert "<html" in (tmp_path / "book.html").read_text("utf-8")
    (tmp_path / "own.yaml").write_text(
        "id: own\nname: N\nversion: '1'\ncategories:\n- {id: a, label: A, definition: d}\n"
    )
    assert main(["codebook", "check", str(tmp_path / "own.yaml")]) == 0
    assert "own 1: 1 categories" in capsys.readouterr().out


def test_passages_are_written_only_on_request(reports, model_file, tmp_path):
    arguments = [
        "code",
        str(reports),
        "-o",
        str(tmp_path / "out"),
        "--model",
        str(model_file),
        "-q",
    ]
    assert main(arguments) == 0
    assert "passage" not in pd.read_csv(tmp_path / "out" / "evidence.csv")
    assert main([*arguments, "--show-text"]) == 0
    assert "She lent him money." in set(pd.read_csv(tmp_path / "out" / "evidence.csv")["passage"])


def test_missing_argument_is_one_line(capsys):
    assert main(["code"]) == 2
    assert "Missing argument" in one_line(capsys)


def test_command_is_installed(reports):
    command = Path(sys.executable).parent / "boundary-research"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    for name in ("code", "run", "codebook"):
        assert name in done.stdout


def test_import_is_light():
    script = (
        "import sys, time; import pandas; t = time.perf_counter(); import boundary_research; "
        "print(time.perf_counter() - t); "
        "heavy = {'matplotlib', 'dask', 'jupyter', 'IPython', 'sklearn', 'scipy'} & set(sys.modules); print(heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    seconds, heavy = done.stdout.splitlines()
    assert heavy == "set()"
    assert float(seconds) < 0.3


def test_agreement_of_a_codings_table_is_written(tmp_path, capsys):
    rows = [
        (f"i{n}", coder, category, int((n + (coder == "b") * (n % 7 == 0)) % 3 == 0))
        for n in range(40)
        for coder in "ab"
        for category in ("late", "absent")
    ]
    table = pd.DataFrame(rows, columns=["incident_id", "coder_id", "category", "present"])
    table.to_csv(tmp_path / "codings.csv", index=False)
    assert main(["reliability", str(tmp_path / "codings.csv"), "-o", str(tmp_path / "out")]) == 0
    agreement = pd.read_csv(tmp_path / "out" / "agreement.csv")
    assert {"late", "absent", "(overall)"} <= set(agreement["category"])
    assert (tmp_path / "out" / "agreement.png").stat().st_size > 5000
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    capsys.readouterr()
    assert main(["reliability", str(tmp_path / "bad.csv"), "-o", str(tmp_path / "out")]) == 2
    assert "'incident_id'" in one_line(capsys)


def test_store_for_coding_is_made_with_a_link_for_each_person(reports, tmp_path, capsys):
    store = tmp_path / "study.sqlite"
    arguments = ["new-coding", str(reports), "-o", str(store), "--coders", "ana,ben", "-n", "2"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.count("#key=") == 3
    sample = pd.read_csv(tmp_path / "study.sample.csv", dtype=str)
    assert sample["incident_id"].tolist() == ["1", "3"]
    assert main(["reliability", str(store), "-o", str(tmp_path / "out")]) == 2
    assert "no submitted narrative yet" in capsys.readouterr().err
    assert main(arguments) == 2


def test_gold_of_a_store_is_what_the_correction_needs(tmp_path, capsys):
    from boundary_research import prevalence
    from boundary_research.coding.store import CodingStore

    ids = [f"i{n}" for n in range(12)]
    rows = pd.DataFrame({"incident_id": ids, "narrative": "They met for coffee at weekends."})
    rows.to_csv(tmp_path / "reports.csv", index=False)
    store = tmp_path / "study.sqlite"
    arguments = ["new-coding", str(tmp_path / "reports.csv"), "-o", str(store)]
    assert main([*arguments, "--coders", "ana,ben", "-n", "6"]) == 0
    capsys.readouterr()
    assert main(["gold", str(store), "-o", str(tmp_path / "gold")]) == 2
    assert "no submitted narrative yet" in one_line(capsys)
    tie = {"categories": {"dual_social": {"severity": 1, "spans": [[0, 8]]}}}
    with CodingStore(store) as opened:
        drawn = opened.sample()["incident_id"].tolist()
        for coder in ("ana", "ben"):
            for n, incident in enumerate(drawn):
                content = tie if n < 2 else {"verdict": "none"}
                latest = opened.latest(coder, incident).revision_id
                opened.save(coder, incident, content, state="submitted", expected=latest)
    assert main(["gold", str(store), "-o", str(tmp_path / "gold")]) == 0
    gold = pd.read_csv(tmp_path / "gold" / "gold.csv")
    assert len(gold) == 6 * 14
    assert gold["present"].sum() == 2
    assert (gold["inclusion_probability"] == 0.5).all()
    assert set(gold["source"]) == {"agreed"}
    coded = pd.DataFrame(
        {
            "incident_id": ids,
            "category": "dual_social",
            "probability": 0.5,
            "predicted": [n % 2 == 0 for n in range(12)],
            "decision": "review",
        }
    )
    table = prevalence(coded, gold, categories=["dual_social"]).set_index("estimator")
    assert table.loc["gold_only", "estimate"] == pytest.approx(2 / 6)


def test_what_is_missing_and_what_was_coded_is_counted_in_words(model_file, tmp_path, capsys):
    file = tmp_path / "one.csv"
    file.write_text("id,text\n1,He lent her money.\n", encoding="utf-8")
    assert main(["code", str(file), "-o", str(tmp_path / "a")]) == 2
    assert "columns 'incident_id', 'narrative' not found" in one_line(capsys)
    names = ["--id-column", "id", "--text-column", "text", "--model", str(model_file)]
    assert main(["code", str(file), "-o", str(tmp_path / "b"), *names]) == 0
    assert "1 incident coded, 0 rows set aside" in capsys.readouterr().out


@pytest.fixture
def run_code(reports, model_file, tmp_path):
    """Run `code` on a file into one folder and return the exit code."""
    out = tmp_path / "coded"

    def run(*options, file=reports):
        given = [] if "--fast" in options else ["--model", str(model_file)]
        return main(["code", str(file), "-o", str(out), "-q", *given, *options])

    run.folder = out
    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_codes_of_another_file_are_not_written_over(run_code, tmp_path, capsys):
    other = tmp_path / "other_reports.csv"
    other.write_text("incident_id,narrative\n9,Tea was made.\n")
    assert run_code() == 0
    before = contents(run_code.folder)
    assert run_code(file=other) == 2
    told = one_line(capsys)
    assert "holds the codes of 'my_reports.csv', not of 'other_reports.csv'" in told
    assert "Give another folder with -o, or --replace" in told
    assert contents(run_code.folder) == before
    assert run_code("--replace", file=other) == 0
    assert pd.read_csv(run_code.folder / "coded.csv")["incident_id"].tolist() == [9]
    manifest = json.loads((run_code.folder / "manifest.json").read_text("utf-8"))
    assert manifest["inputs"]["incidents"]["file"] == "other_reports.csv"


def test_another_file_of_the_same_name_is_another_file(run_code, reports, capsys):
    assert run_code() == 0
    reports.write_text("incident_id,narrative\n9,Tea was made.\n")
    assert run_code() == 2
    assert "another file, or an earlier state, of 'my_reports.csv'" in one_line(capsys)


def test_codes_of_the_same_file_are_replaced_with_those_of_another_format(run_code, reports):
    assert run_code() == 0
    (run_code.folder / "notes.csv").write_text("mine")
    renamed = reports.rename(reports.with_name("renamed.csv"))
    assert run_code("--format", "parquet", file=renamed) == 0
    tables = {"coded.parquet", "evidence.parquet", "rejects.parquet", "unfamiliar.parquet"}
    assert set(contents(run_code.folder)) == tables | {"manifest.json", "report.html", "notes.csv"}
    assert "rejects.parquet" in (run_code.folder / "report.html").read_text("utf-8")
    assert run_code("--fast", file=renamed) == 0
    assert not tables & set(contents(run_code.folder))
    manifest = json.loads((run_code.folder / "manifest.json").read_text("utf-8"))
    assert set(manifest["outputs"]) == set(contents(run_code.folder)) - {"manifest.json"}


def test_a_changed_table_of_codes_is_not_written_over(run_code, capsys):
    assert run_code() == 0
    table = run_code.folder / "coded.csv"
    table.write_text(table.read_text().replace("incident_id", "incident_id ", 1))
    before = contents(run_code.folder)
    assert run_code() == 2
    assert "holds coded.csv, added or changed since this file was coded" in one_line(capsys)
    assert contents(run_code.folder) == before
    assert run_code("--replace") == 0


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"name": "another tool"}'])
def test_files_of_unknown_origin_are_not_written_over(run_code, manifest, capsys):
    run_code.folder.mkdir()
    (run_code.folder / "evidence.csv").write_text("mine")
    if manifest is not None:
        (run_code.folder / "manifest.json").write_text(manifest)
    assert run_code("--format", "parquet") == 2
    assert "no manifest says that they are codes of this file" in one_line(capsys)
    assert (run_code.folder / "evidence.csv").read_text() == "mine"
    assert run_code("--format", "parquet", "--replace") == 0
    assert not (run_code.folder / "evidence.csv").exists()


def test_results_of_a_study_and_the_incidents_are_never_written_over(
    run_code, model_file, tmp_path, capsys
):
    run_code.folder.mkdir()
    (run_code.folder / "manifest.json").write_text('{"command": "run"}')
    assert run_code("--replace") == 2
    assert "results of the command 'run'" in one_line(capsys)
    own = tmp_path / "own"
    own.mkdir()
    (own / "coded.csv").write_text("incident_id,narrative\n1,Tea.\n")
    arguments = ["-o", str(own), "--model", str(model_file), "--replace", "-q"]
    assert main(["code", str(own / "coded.csv"), *arguments]) == 2
    assert "which is to be coded" in one_line(capsys)
    assert main(["code", str(own), "-o", str(own / "deep"), *arguments[2:]]) == 2
    assert "lies in the folder of documents" in capsys.readouterr().err


def test_the_report_has_the_labels_of_the_codebook_given(run_code, tmp_path, capsys):
    book = tmp_path / "own.yaml"
    book.write_text(
        "id: own\nname: N\nversion: '1'\ncategories:\n"
        "- {id: money, label: Lending & borrowing, definition: d}\n"
        "- {id: gossip, label: Telling tales, definition: d}\n"
    )
    assert run_code("--codebook", str(book)) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    page = (run_code.folder / "report.html").read_text("utf-8")
    for label in ("Lending &amp; borrowing", "Telling tales", ">absence<"):
        assert label in page
    manifest = json.loads((run_code.folder / "manifest.json").read_text("utf-8"))
    assert manifest["inputs"]["codebook"] == {"file": "own.yaml", "sha256": hash_file(book)}
    assert "Lending" not in (run_code.folder / "coded.csv").read_text("utf-8")


def test_a_codebook_that_lacks_categories_is_noted(reports, model_file, tmp_path, capsys):
    book = tmp_path / "own.yaml"
    book.write_text(
        "id: own\nname: N\nversion: '1'\ncategories:\n- {id: a, label: A, definition: d}\n"
    )
    out = tmp_path / "out"
    arguments = ["code", str(reports), "-o", str(out), "--model", str(model_file)]
    assert main([*arguments, "--codebook", str(book)]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "note:" in line]
    assert len(told) == 1
    assert "'own' lacks 3 of the model's 3 categories (money, gossip, absence)" in told[0]
    assert main([*arguments, "-q", "--codebook", str(tmp_path / "none.yaml")]) == 2
    assert "does not exist" in one_line(capsys)


def test_labels_of_the_bundled_codebook_are_those_of_the_bundled_model_alone(
    small_codes, reports, tmp_path
):
    bundled = load_codebook()
    first = next(iter(bundled))
    texts, codes = small_codes
    codes.columns = [first.id, "own_b", "own_c"]
    model = NarrativeClassifier().fit(texts, codes).save(tmp_path / "m.npz")
    arguments = ["code", str(reports), "-o", str(tmp_path / "a"), "--model", str(model), "-q"]
    assert main(arguments) == 0
    page = (tmp_path / "a" / "report.html").read_text("utf-8")
    assert f">{first.id}<" in page
    assert first.label not in page
    assert main(["code", str(reports), "-o", str(tmp_path / "b"), "--fast", "-q"]) == 0
    assert first.label in (tmp_path / "b" / "report.html").read_text("utf-8")


def test_a_passage_like_a_formula_is_guarded(model_file, tmp_path):
    file = tmp_path / "in.csv"
    file.write_text('incident_id,narrative\n1,"=HYPERLINK(1) She lent him money."\n')
    out = tmp_path / "out"
    arguments = ["code", str(file), "-o", str(out), "--model", str(model_file), "-q"]
    assert main([*arguments, "--show-text"]) == 0
    passages = pd.read_csv(out / "evidence.csv")["passage"]
    assert passages.str.startswith("'=HYPERLINK").any()
    assert not passages.str.startswith("=").any()


def test_a_file_that_is_no_model_is_said_to_be_the_wrong_one(reports, tmp_path, capsys):
    for name in ("renamed.npz", "renamed.zip", "my_reports.csv"):
        (tmp_path / name).write_bytes(reports.read_bytes())
        arguments = ["-o", str(tmp_path / "out"), "--model", str(tmp_path / name)]
        assert main(["code", str(reports), *arguments]) == 2
        told = one_line(capsys)
        assert f"{name!r} is not a model of boundary_research" in told
        assert "perhaps it is the wrong file" in told
        assert ".npz or .zip" in told
