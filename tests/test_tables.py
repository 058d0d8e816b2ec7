import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError
from boundary_research._tables import (
    REQUIRED,
    _schema,
    as_bool,
    check_table,
    pivot_categories,
)
from boundary_research.study.tables import count_cooccurrence, count_decisions, interval, percent


def coded(rows):
    frame = pd.DataFrame(rows, columns=["incident_id", "category", "predicted"])
    return frame.assign(predicted=frame["predicted"].astype(bool))


def test_cooccurrence_counts_and_suppresses_small_cells():
    rows = [
        (f"i{n}", c, c in have)
        for n, have in enumerate([{"a", "b"}] * 6 + [{"a"}] * 4 + [{"c", "a"}] * 2)
        for c in "abc"
    ]
    table = count_cooccurrence(coded(rows)).set_index(["row_category", "column_category"])
    assert table.loc[("a", "b"), "n_both"] == 6
    assert table.loc[("a", "b"), "share"] == pytest.approx(0.5)
    assert table.loc[("b", "a"), "share"] == 1
    assert np.isnan(table.loc[("a", "c"), "n_both"])
    assert table.loc[("b", "c"), "n_both"] == 0


def test_decisions_are_counted_in_the_order_of_the_codebook():
    frame = coded([("1", "z", 1), ("1", "a", 0), ("2", "z", 0), ("2", "a", 0)])
    frame["decision"] = ["present", "absent", "review", "absent"]
    table = count_decisions(frame)
    assert table["category"].tolist() == ["z", "a"]
    assert table.loc[0, ["coded", "present", "review", "absent"]].tolist() == [1, 1, 1, 0]


def test_missing_numbers_are_dashes():
    assert percent(np.nan) == "–"
    assert interval(0.1, np.nan) == "–"
    assert interval(0.123, 0.4, 1, scale=100) == "12.3 to 40.0"


def test_yes_and_no_in_all_spellings():
    values = pd.Series([1, "0", True, "No", "x", None, "TRUE", 0.0], name="present")
    assert as_bool(values, source="t").tolist() == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(DataError, match="row 2"):
        as_bool(pd.Series(["yes", "SECRET"], name="present"), source="t")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inclusion_probability": [0.5, 1.5]}, r"in \(0, 1\] in row 2"),
        ({"inclusion_probability": [0, 0.5]}, "row 1"),
        ({"severity": [1, 3]}, "'severity'.*row 2"),
        ({"incident_id": ["1", "1"]}, "row 2 repeat"),
        ({"present": [1, None]}, "'present' is missing in row 2"),
        ({"source": ["agreed", "guessed"]}, "'source'"),
    ],
)
def test_gold_that_does_not_fit_is_refused(change, said):
    table = pd.DataFrame({"incident_id": ["1", "2"], "category": ["a", "a"], "present": [1, 0]})
    assert check_table(table, "gold")["present"].tolist() == [True, False]
    with pytest.raises(DataError, match=said):
        check_table(table.assign(**change), "gold")


def test_missing_column_lists_what_is_there():
    with pytest.raises(DataError, match=r"'category', 'present' not found.*incident_id"):
        check_table(pd.DataFrame({"incident_id": ["1"]}), "gold")


def test_pivot_leaves_gaps_missing():
    table = pd.DataFrame(
        {"incident_id": ["1", "2"], "category": ["a", "b"], "present": [True, False]}
    )
    wide = pivot_categories(table, "present", ids=pd.Index(["2", "1"]), categories=["a", "b"])
    assert wide.isna().sum().sum() == 2
    assert wide.loc["1", "a"]


def test_what_a_schema_asks_is_said_in_plain_words():
    narratives = pd.DataFrame({"incident_id": ["a", "b"], "narrative": [None, "SECRET"]})
    with pytest.raises(DataError) as refused:
        check_table(narratives, "incidents")
    assert str(refused.value) == (
        "table incidents: column 'narrative' is missing in row 1. Fill these cells in, or leave "
        "those rows out."
    )


GOOD = {
    "incident_id": "a",
    "narrative": "n",
    "coder_id": "c",
    "category": "x",
    "present": 1,
    "severity": 1,
    "evidence_start": 0,
    "evidence_end": 1,
    "start": 0,
    "end": 1,
    "weight": 0.5,
    "inclusion_probability": 0.5,
    "probability": 0.5,
    "decision": "absent",
    "source": "single",
    "estimator": "dsl",
    "term": "share",
    **dict.fromkeys(["estimate", "std_error", "conf_low", "conf_high"], 0.5),
}


@pytest.mark.parametrize("name", sorted(REQUIRED))
@pytest.mark.parametrize("bad", [None, "SECRET", "", -5, 7.5, float("inf"), ["SECRET"]])
def test_no_message_of_any_schema_shows_the_name_of_a_check_or_a_value(name, bad):
    columns = dict.fromkeys([*REQUIRED[name], *_schema(name).columns])
    refused = set()
    for column in columns:
        table = pd.DataFrame({key: [GOOD[key]] for key in columns})
        assert len(check_table(table, name)) == 1
        try:
            check_table(table.assign(**{column: pd.Series([bad], dtype=object)}), name)
        except DataError as error:
            told = str(error)
            assert f"column '{column}' is" in told or f"column '{column}' has" in told
            for word in ("SECRET", "nullable", "coerce", "isin", "str_length", "range", "_equal"):
                assert word not in told
            refused.add(column)
    if bad is None:
        assert "incident_id" in refused or "category" in refused
