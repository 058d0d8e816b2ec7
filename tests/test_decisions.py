import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError, NarrativeClassifier, code, load_incidents, read_coded
from boundary_research.classifier.decisions import locate_evidence


@pytest.fixture
def model(small_codes):
    return NarrativeClassifier().fit(*small_codes)


@pytest.fixture
def incidents():
    texts = ["She lent him money.", "He gossiped about her diagnosis.", "Tea was made.", "x"]
    return pd.DataFrame({"incident_id": list("dcba"), "narrative": texts})


def test_one_row_for_each_incident_and_category(model, incidents):
    coding = code(incidents, model)
    assert len(coding.coded) == 12
    assert coding.coded["incident_id"].drop_duplicates().tolist() == list("dcba")
    wide = coding.wide()
    assert list(wide.columns[:4]) == ["incident_id", "money", "money_probability", "money_decision"]
    assert wide["money"].tolist() == [1, 0, 0, 0]
    assert set(coding.coded["decision"]) <= {"present", "absent", "review"}


def test_chunks_make_no_difference(model, incidents):
    whole = code(incidents, model)
    parts = code(incidents, model, chunk_size=1)
    pd.testing.assert_frame_equal(whole.coded, parts.coded)
    pd.testing.assert_frame_equal(whole.evidence, parts.evidence)


def test_evidence_lies_in_the_text_of_what_is_coded(model, incidents):
    coding = code(incidents, model)
    texts = incidents.set_index("incident_id")["narrative"]
    assert len(coding.evidence)
    for row in coding.evidence.itertuples():
        assert 0 <= row.start < row.end <= len(texts[row.incident_id])
    assert code(incidents, model, evidence=False).evidence.empty


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_written_files_hold_every_row_once(model, tmp_path, format):
    (tmp_path / "a.csv").write_text("incident_id,narrative\n1,She lent him money.\n2,\n3,Tea.\n")
    coding = code(load_incidents(tmp_path / "a.csv"), model)
    (tmp_path / "out").mkdir()
    coding.write(tmp_path / "out", format=format)
    read = pd.read_csv if format == "csv" else pd.read_parquet
    coded, rejects = (read(tmp_path / "out" / f"{name}.{format}") for name in ("coded", "rejects"))
    assert sorted([*coded["incident_id"].astype(str), *rejects["incident_id"].astype(str)]) == [
        "1",
        "2",
        "3",
    ]


def test_no_incidents_at_all(model):
    coding = code(pd.DataFrame({"incident_id": [], "narrative": []}, dtype=str), model)
    assert coding.wide().empty


def test_doubled_ids_are_refused(model, incidents):
    with pytest.raises(DataError, match="row 2 repeat"):
        code(incidents.assign(incident_id=["a", "a", "b", "c"]), model)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_written_codes_are_read_back_as_the_long_table(model, incidents, tmp_path, format):
    coding = code(incidents, model)
    coding.write(tmp_path, format=format)
    back = read_coded(tmp_path / f"coded.{format}")
    pd.testing.assert_frame_equal(back, coding.coded, atol=1e-4, rtol=0)
    (tmp_path / "other.csv").write_text("incident_id,a\n1,2\n")
    with pytest.raises(DataError, match="no columns that end in _decision"):
        read_coded(tmp_path / "other.csv")


def test_ids_keep_their_zeros_in_a_written_file(model, incidents, tmp_path):
    ids = ["007", "010", "1", "2"]
    code(incidents.assign(incident_id=ids), model).write(tmp_path)
    assert read_coded(tmp_path / "coded.csv")["incident_id"].unique().tolist() == ids


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("gift", None, "column 'gift' is missing in row 1"),
        ("gift", "maybe", "column 'gift' has values that are not yes or no in row 1"),
        ("gift_probability", "high", "column 'gift_probability' must hold numbers"),
        (
            "gift_decision",
            "maybe",
            "column 'gift_decision' is none of present, absent, review in row 1",
        ),
    ],
)
def test_a_coded_file_that_was_changed_is_refused_by_column(tmp_path, column, value, said):
    row = {"incident_id": "a", "gift": 1, "gift_probability": 0.3, "gift_decision": "review"}
    pd.DataFrame([row | {column: value}]).to_csv(tmp_path / "coded.csv", index=False)
    with pytest.raises(DataError, match=said):
        read_coded(tmp_path / "coded.csv")


def test_evidence_is_that_of_the_categories_coded_1(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    model.review_low_, model.review_high_ = np.zeros(3), np.full(3, 2.0)
    model.thresholds_ = np.array([2.0, *model.thresholds_[1:]])
    coding = code(pd.DataFrame({"incident_id": range(40), "narrative": texts}), model)
    cells = coding.coded.set_index(["incident_id", "category"])
    assert (cells["decision"] == "review").all()
    found = set(map(tuple, coding.evidence[["incident_id", "category"]].values))
    assert {category for _, category in found} == set(model.classes_[1:])
    assert found == set(cells.index[cells["predicted"]])
    every = locate_evidence(model, texts, list(map(str, range(40))), np.ones((40, 3), dtype=bool))
    assert len({row[:2] for row in every}) > len(found)


@pytest.mark.parametrize("passage", ["=1+1", "+1", "-1", "@x", "He said =1", "'tis so"])
def test_a_passage_that_begins_like_a_formula_is_guarded_in_csv_alone(
    model, incidents, tmp_path, passage
):
    coding = code(incidents, model)
    coding.evidence["passage"] = passage
    coding.write(tmp_path)
    coding.write(tmp_path, format="parquet")
    written = pd.read_csv(tmp_path / "evidence.csv")["passage"].iloc[0]
    assert written == (f"'{passage}" if passage[0] in "=+-@" else passage)
    assert pd.read_parquet(tmp_path / "evidence.parquet")["passage"].iloc[0] == passage
    assert (coding.evidence["passage"] == passage).all()
