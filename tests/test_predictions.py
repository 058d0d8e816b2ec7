"""Predictions of other coders enter as the coded table, or are refused with what to do."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundary_research import DataError, load_codebook, prevalence
from boundary_research.classifier.predictions import read_predictions

LONG = pd.DataFrame(
    {
        "incident_id": ["a", "a", "b", "b"],
        "category": ["gift", "debt"] * 2,
        "probability": [0.9, 0.4, 0.2, 0.6],
    }
)


def test_long_and_wide_give_the_same_table(tmp_path):
    wide = pd.DataFrame({"incident_id": ["a", "b"], "gift": [0.9, 0.2], "debt": [0.4, 0.6]})
    expected = read_predictions(LONG)
    pd.testing.assert_frame_equal(read_predictions(wide), expected)
    for name, write in {
        "x.csv": lambda p: wide.to_csv(p, index=False),
        "x.tsv": lambda p: wide.to_csv(p, index=False, sep="\t"),
        "x.xlsx": lambda p: wide.to_excel(p, index=False),
        "x.parquet": lambda p: wide.to_parquet(p, index=False),
    }.items():
        write(tmp_path / name)
        pd.testing.assert_frame_equal(read_predictions(tmp_path / name), expected)
    assert expected["decision"].tolist() == ["present", "absent", "absent", "present"]


def test_yes_and_no_need_no_probabilities():
    table = pd.DataFrame({"id": [7, 8], "gift": ["yes", "no"], "debt": ["no", "x"]})
    coded = read_predictions(table, id_column="id")
    assert coded["incident_id"].tolist() == ["7", "7", "8", "8"]
    assert coded["predicted"].tolist() == [True, False, False, True]
    assert coded["probability"].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_decisions_keep_their_review(tmp_path):
    table = LONG.assign(decision=["present", "review", "absent", "review"])
    assert read_predictions(table)["decision"].tolist() == table["decision"].tolist()
    with pytest.raises(DataError, match="neither yes nor no"):
        read_predictions(table.drop(columns="probability"))


def test_a_coded_file_of_this_package_is_read_as_such(tmp_path):
    frame = pd.DataFrame(
        {
            "incident_id": ["a"],
            "gift": [1],
            "gift_probability": [0.3],
            "gift_decision": ["review"],
        }
    )
    frame.to_csv(tmp_path / "coded.csv", index=False)
    coded = read_predictions(tmp_path / "coded.csv")
    assert coded.iloc[0].tolist() == ["a", "gift", 0.3, True, "review"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:3], "lack a category"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two predictions"),
        (lambda t: t.assign(probability=[0.1, 1.2, 0.3, 0.4]), "from 0 to 1"),
        (lambda t: t.assign(probability=[0.1, None, 0.3, 0.4]), "not an absence"),
        (lambda t: t.drop(columns="probability"), "column 'probability' not found"),
        (lambda t: t.assign(decision="maybe"), "Available: present, absent, review"),
        (lambda t: t.rename(columns={"incident_id": "id"}), "'incident_id' not found"),
        (lambda t: t.assign(incident_id=[None, "a", "b", "b"]), "missing in row 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        read_predictions(change(LONG))


def test_codebook_names_the_nearest_category_and_rename_maps():
    book = load_codebook()
    first = book.category_ids[0]
    table = pd.DataFrame({"incident_id": ["a"], "category": [first + "s"], "predicted": [1]})
    with pytest.raises(DataError, match=f"Did you mean '{first}'"):
        read_predictions(table, codebook=book)
    coded = read_predictions(table, codebook=book, rename={first + "s": first})
    assert coded["category"].tolist() == [first]


def test_incidents_without_predictions_are_named_and_others_left_out():
    with pytest.raises(DataError, match="'c'"):
        read_predictions(LONG, incidents=pd.DataFrame({"incident_id": ["a", "c"]}))
    assert len(read_predictions(LONG, incidents=pd.DataFrame({"incident_id": ["b"]}))) == 2


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"no workbook")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "x.xlsx")
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(DataError, match="Kind of file"):
        read_predictions(tmp_path / "x.txt")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1))
def test_thresholds_cut_where_they_say(values, cut):
    table = pd.DataFrame(
        {
            "incident_id": [str(i) for i in range(len(values))],
            "category": "x",
            "probability": values,
        }
    )
    coded = read_predictions(table, threshold={"x": cut})
    assert coded["predicted"].tolist() == [value >= cut for value in values]


def test_a_keyword_list_of_anybodys_is_corrected():
    rng = np.random.default_rng(0)
    ids = [f"i{i}" for i in range(2000)]
    truth = rng.random(2000) < 0.2
    guess = np.where(truth, rng.random(2000) < 0.7, rng.random(2000) < 0.2)
    coded = read_predictions(pd.DataFrame({"incident_id": ids, "gift": guess.astype(int)}))
    drawn = rng.choice(2000, 600, replace=False)
    gold = pd.DataFrame(
        {
            "incident_id": [ids[i] for i in drawn],
            "category": "gift",
            "present": truth[drawn],
            "inclusion_probability": 0.3,
        }
    )
    table = prevalence(coded, gold).set_index("estimator")
    assert table.loc["naive", "estimate"] > 0.27
    assert table.loc["ppi", "conf_low"] < truth.mean() < table.loc["ppi", "conf_high"]
