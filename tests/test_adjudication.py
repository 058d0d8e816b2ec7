import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research._tables import check_table
from boundary_research.coding.adjudication import adjudicate, find_disagreements, gold_table


def codings(*rows):
    names = ["incident_id", "coder_id", "category", "present", "severity"]
    return pd.DataFrame([(*row, None)[:5] for row in rows], columns=names)


BOTH = codings(
    ("n1", "ana", "x", True, 1),
    ("n1", "ben", "x", True, 1),
    ("n1", "ana", "y", False),
    ("n1", "ben", "y", True, 2),
    ("n2", "ana", "x", True, 0),
    ("n2", "ben", "x", True, 2),
    ("n2", "ana", "y", False),
    ("n2", "ben", "y", False),
    ("n3", "ana", "x", True, 1),
)
DECIDED = pd.DataFrame(
    {
        "incident_id": ["n1", "n2"],
        "category": ["y", "x"],
        "present": [False, True],
        "severity": [None, 1],
        "reason": ["Only quoted.", "It was told at once."],
        "adjudicator_id": "pi",
    }
)
SAMPLE = pd.DataFrame(
    {"incident_id": ["n1", "n2", "n3"], "inclusion_probability": [0.1, 1 / 3, 1.0]}
)


def test_queue_lists_presence_before_severity():
    queue = find_disagreements(BOTH)
    assert queue[["incident_id", "category", "kind"]].to_numpy().tolist() == [
        ["n1", "y", "presence"],
        ["n2", "x", "severity"],
    ]
    assert queue["present_by"].tolist() == [["ben"], ["ana", "ben"]]
    assert queue["absent_by"].tolist() == [["ana"], []]
    assert queue["severities"].tolist() == [[2.0], [0.0, 2.0]]


def test_decided_questions_and_severity_leave_the_queue():
    assert find_disagreements(BOTH, DECIDED).empty
    assert find_disagreements(BOTH, severity=False)["category"].tolist() == ["y"]
    assert find_disagreements(BOTH, DECIDED.head(1))["incident_id"].tolist() == ["n2"]


def test_unclear_puts_what_the_other_found_into_the_queue():
    queue = find_disagreements(BOTH, unclear=[("n3", "ben")])
    assert queue[queue["incident_id"] == "n3"][["kind", "unclear_by"]].to_numpy().tolist() == [
        ["unclear", ["ben"]]
    ]


def test_the_most_even_splits_come_first():
    rows = [("n1", c, "x", c == "a", 1) for c in "abcd"] + [
        ("n2", c, "x", c in "ab", 1) for c in "abcd"
    ]
    assert find_disagreements(codings(*rows))["incident_id"].tolist() == ["n2", "n1"]


def test_gold_table():
    gold = gold_table(BOTH, SAMPLE, DECIDED)
    assert gold.to_dict("list") | {"severity": None} == {
        "incident_id": ["n1", "n1", "n2", "n2", "n3"],
        "category": ["x", "y", "x", "y", "x"],
        "present": [True, False, True, False, True],
        "severity": None,
        "source": ["agreed", "adjudicated", "adjudicated", "agreed", "single"],
        "inclusion_probability": [0.1, 0.1, 1 / 3, 1 / 3, 1.0],
    }
    assert gold["severity"].fillna(-1).tolist() == [1, -1, 1, -1, 1]
    check_table(gold, "gold")


def test_open_disagreements_are_refused_or_left_out():
    with pytest.raises(DataError, match="2 disagreements are not decided, in incidents n1, n2"):
        gold_table(BOTH, SAMPLE)
    dropped = gold_table(BOTH, SAMPLE, unresolved="drop")
    assert dropped[["incident_id", "category"]].to_numpy().tolist() == [
        ["n1", "x"],
        ["n2", "y"],
        ["n3", "x"],
    ]
    kept = gold_table(BOTH, SAMPLE, DECIDED.head(1), severity="missing")
    row = kept[(kept["incident_id"] == "n2") & (kept["category"] == "x")].iloc[0]
    assert row[["present", "source"]].tolist() == [True, "agreed"]
    assert pd.isna(row["severity"])


def test_a_decision_overrides_agreement_and_may_add_a_question():
    extra = pd.DataFrame(
        {
            "incident_id": ["n2", "n9"],
            "category": ["y", "x"],
            "present": ["yes", "no"],
            "reason": ["a", "b"],
        }
    )
    table = adjudicate(BOTH, extra, unresolved="drop").set_index(["incident_id", "category"])
    assert table.loc[("n2", "y"), ["present", "source"]].tolist() == [True, "adjudicated"]
    assert table.loc[("n9", "x"), ["present", "n_coders"]].tolist() == [False, 0]
    assert table.loc[("n9", "x"), "reason"] == "b"


def test_the_last_of_several_decisions_holds():
    later = pd.concat(
        [DECIDED, DECIDED.head(1).assign(present=True, severity=2, reason="On second thoughts.")]
    )
    gold = gold_table(BOTH, SAMPLE, later)
    row = gold[(gold["incident_id"] == "n1") & (gold["category"] == "y")].iloc[0]
    assert (row["present"], row["severity"]) == (True, 2)


def test_a_decision_without_a_reason_is_refused():
    with pytest.raises(DataError, match="column 'reason' is empty in row 2"):
        gold_table(BOTH, SAMPLE, DECIDED.assign(reason=["ok", " "]))


def test_narratives_outside_the_sample_have_no_probability():
    gold = gold_table(BOTH, SAMPLE.head(2), DECIDED)
    assert gold["inclusion_probability"].isna().tolist() == [False] * 4 + [True]
    assert gold_table(BOTH, None, DECIDED)["inclusion_probability"].isna().all()


def test_several_spans_are_one_decision_and_must_agree():
    spans = pd.concat([BOTH, BOTH.head(1)]).assign(evidence_start=0.0, evidence_end=3.0)
    spans = pd.concat([spans, BOTH.head(1).assign(evidence_start=5.0, evidence_end=9.0)])
    pd.testing.assert_frame_equal(
        gold_table(spans, SAMPLE, DECIDED), gold_table(BOTH, SAMPLE, DECIDED)
    )
    spans.iloc[-1, spans.columns.get_loc("severity")] = 2
    with pytest.raises(DataError, match="coder 'ana' has rows for incident 'n1', category 'x'"):
        gold_table(spans, SAMPLE, DECIDED)


def test_choices_are_checked():
    with pytest.raises(DataError, match="Available: error, drop"):
        adjudicate(BOTH, unresolved="majority")
    with pytest.raises(DataError, match="Available: adjudicate, missing"):
        adjudicate(BOTH, severity="mean")


decision = st.tuples(
    st.sampled_from(["n1", "n2", "n3"]),
    st.sampled_from(["ana", "ben", "cy"]),
    st.sampled_from(["x", "y"]),
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.dictionaries(
        decision, st.tuples(st.booleans(), st.sampled_from([None, 0, 1, 2])), min_size=1
    )
)
def test_every_question_is_settled_or_in_the_queue_and_order_does_not_matter(rows):
    table = codings(
        *[
            (*key, present, severity if present else None)
            for key, (present, severity) in rows.items()
        ]
    )
    settled = adjudicate(table, unresolved="drop")
    queue = find_disagreements(table)
    keys = ["incident_id", "category"]
    asked = set(map(tuple, queue[keys].to_numpy()))
    answered = set(map(tuple, settled[keys].to_numpy()))
    assert not asked & answered
    assert asked | answered == {(i, c) for i, _, c in rows}
    backwards = adjudicate(table.iloc[::-1], unresolved="drop")
    order = {"by": keys, "ignore_index": True}
    pd.testing.assert_frame_equal(settled.sort_values(**order), backwards.sort_values(**order))
    for row in settled.itertuples():
        coders = [
            present
            for (i, _, c), (present, _) in rows.items()
            if (i, c) == (row.incident_id, row.category)
        ]
        assert set(coders) == {row.present}
        assert row.source == ("agreed" if len(coders) > 1 else "single")
