"""Predictions of other coders enter as the coded table, or are refused with what to do."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundary_research import DataError, load_codebook, load_incidents, prevalence
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
        (lambda t: t.assign(decision="maybe"), "is none of present, absent, review"),
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


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
)
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


WIDE = pd.DataFrame({"incident_id": ["a", "b"], "gift": [0.9, 0.2], "debt": [0.4, 0.6]})


@pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1, float("nan"), float("inf"), "half", None])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(DataError, match=r"^threshold must"):
        read_predictions(LONG, threshold=threshold)
    with pytest.raises(DataError, match=r"^threshold of category 'debt' must"):
        read_predictions(LONG, threshold={"gift": 0.5, "debt": threshold})


@pytest.mark.parametrize("table", [LONG, WIDE])
def test_a_name_to_rename_that_is_not_there_is_refused(table):
    with pytest.raises(DataError, match=r"rename has 'gfit', which the source has not.*gift, debt"):
        read_predictions(table, rename={"gfit": "present_given", "gift": "g"})
    renamed = read_predictions(table, rename={"gift": "g"})
    assert renamed["category"].unique().tolist() == ["g", "debt"]


def test_columns_are_renamed_by_their_whole_name_or_without_its_ending():
    table = WIDE.rename(columns={"gift": "gift_probability"})
    for key in ("gift_probability", "gift"):
        coded = read_predictions(table, rename={key: "g"})
        assert coded["category"].unique().tolist() == ["g", "debt"]


def test_with_a_codebook_other_columns_are_refused_by_name():
    book = load_codebook()
    first, second = book.category_ids[:2]
    table = WIDE.rename(columns={"gift": first, "debt": second})
    assert len(read_predictions(table, codebook=book)) == 4
    with pytest.raises(DataError, match="column 'urban', 'note' not found in codebook"):
        read_predictions(table.assign(urban=[0, 1], note="SECRET"), codebook=book)
    with pytest.raises(DataError, match=f"Did you mean '{first}' for '{first}s'"):
        read_predictions(table.rename(columns={first: first + "s"}), codebook=book)


def test_without_a_codebook_a_column_that_predicts_nothing_is_refused_by_name():
    with pytest.raises(DataError) as refused:
        read_predictions(WIDE.assign(note=["SECRET", "SECRET too"]))
    told = str(refused.value)
    assert "column 'note'" in told
    assert "drop 'note'" in told
    assert "codebook=" in told
    assert "predicted" not in told
    assert "SECRET" not in told
    # What the docstring says of columns that cannot be told from a category.
    attribute = read_predictions(WIDE.assign(urban=[0, 1]))
    assert attribute["category"].unique().tolist() == ["gift", "debt", "urban"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([90, 20], "percentages: divide them by 100"),
        (["90%", "20 %"], "percentages: divide them by 100"),
        (["90,5 %", "0.2"], "percentages: divide them by 100"),
        (["0,9", "0,2"], "decimal comma"),
        ([0.9, -0.2], "in row 2"),
    ],
)
def test_numbers_that_are_no_probabilities_are_told_with_column_and_likely_cause(values, said):
    with pytest.raises(DataError, match=f"column 'gift' must hold numbers from 0 to 1.*{said}"):
        read_predictions(WIDE.assign(gift=values))
    long = pd.DataFrame({"incident_id": ["a", "b"], "category": "gift", "probability": values})
    with pytest.raises(DataError, match=f"'probability' must hold numbers from 0 to 1.*{said}"):
        read_predictions(long)


def test_one_probability_above_one_is_not_called_a_percentage():
    with pytest.raises(DataError, match=r"in row 2\. Correct these values"):
        read_predictions(LONG.assign(probability=[0.9, 1.2, 0.3, 0.4]))


def test_columns_of_yes_and_no_stand_beside_columns_of_probabilities():
    coded = read_predictions(WIDE.assign(debt=["yes", "no"]))
    assert coded["probability"].tolist() == [0.9, 1.0, 0.2, 0.0]
    assert coded["predicted"].tolist() == [True, True, False, False]


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_blank_cell_is_a_gap_of_its_column_and_row(blank):
    with pytest.raises(DataError, match="column 'debt' is missing in row 2"):
        read_predictions(WIDE.assign(debt=pd.Series(["yes", blank], dtype=object)))
    long = LONG.assign(predicted=pd.Series([1, 0, blank, 1], dtype=object))
    wanted = pd.DataFrame({"incident_id": ["b"]})
    with pytest.raises(DataError, match="column 'predicted' is missing in row 3"):
        read_predictions(long, incidents=wanted)


def test_what_names_the_ids_is_told():
    with pytest.raises(DataError, match=r"'incident_id' not found.*case, gift.*by id_column="):
        read_predictions(WIDE.rename(columns={"incident_id": "case"}))
    with pytest.raises(DataError, match="'incident_id' beside 'case'"):
        read_predictions(WIDE.assign(case=["a", "b"]), id_column="case")
    with pytest.raises(DataError, match="incidents: column 'incident_id' not found"):
        read_predictions(WIDE, incidents=pd.DataFrame({"id": ["a"]}))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_ids_keep_their_zeros(tmp_path, ending):
    file = tmp_path / f"x{ending}"
    table = WIDE.assign(incident_id=["007", "010"])
    if ending == ".xlsx":
        table.to_excel(file, index=False)
    else:
        table.to_csv(file, index=False, sep="\t" if ending == ".tsv" else ";")
    assert read_predictions(file)["incident_id"].unique().tolist() == ["007", "010"]


def test_incidents_are_taken_as_they_are_loaded(tmp_path):
    (tmp_path / "in.csv").write_text("incident_id,narrative\nb,Tea.\n")
    coded = read_predictions(LONG, incidents=load_incidents(tmp_path / "in.csv"))
    assert coded["incident_id"].unique().tolist() == ["b"]


def test_the_wide_table_of_a_coding_is_read_as_such():
    wide = pd.DataFrame(
        {
            "incident_id": ["a"],
            "gift": [1],
            "gift_probability": [0.3],
            "gift_decision": ["review"],
        }
    )
    coded = read_predictions(wide)
    assert coded.iloc[0].tolist() == ["a", "gift", 0.3, True, "review"]
    with pytest.raises(DataError, match="column 'gift_decision' is missing in row 1"):
        read_predictions(wide.assign(gift_decision=[None]))
