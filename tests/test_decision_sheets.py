import openpyxl
import pandas as pd
import pytest

from boundary_research._checks import DataError
from boundary_research.coding.adjudication import gold_table
from boundary_research.coding.decision_sheets import (
    disagreement_sheet,
    read_decision_sheet,
    write_decision_sheet,
)

TEXT = "=SUM(1) is how he began 😀.\r\nThen they met for coffee\x0b."
START = TEXT.index("they met")
ROWS = [
    ("2026-11-01", "ana", "dual", True, 2, START, START + 8),
    ("2026-11-01", "ana", "dual", True, 2, 0, 7),
    ("2026-11-01", "ben", "dual", False, None, None, None),
    ("2026-11-01", "ana", "gift", False, None, None, None),
    ("2026-11-01", "ben", "gift", False, None, None, None),
    ("-2", "ana", "gift", True, 0, 1, 3),
    ("-2", "ben", "gift", True, 1, 1, 3),
    ("03", "ana", "gift", True, 1, 1, 3),
]
NAMES = [
    "incident_id",
    "coder_id",
    "category",
    "present",
    "severity",
    "evidence_start",
    "evidence_end",
]
CODINGS = pd.DataFrame(ROWS, columns=NAMES)
INCIDENTS = pd.DataFrame({"incident_id": ["2026-11-01", "-2", "03"], "narrative": [TEXT] * 3})


@pytest.fixture
def sheet():
    return disagreement_sheet(CODINGS, INCIDENTS, unclear=[("03", "ben")])


def test_side_by_side_with_evidence(sheet):
    assert sheet["incident_id"].tolist() == ["2026-11-01", "-2", "03"]
    assert sheet["question"].tolist() == [
        "Present or absent?",
        "Which severity?",
        "Present, or too thin to decide?",
    ]
    told = [set(row) for row in sheet[["Coder A", "Coder B"]].to_numpy()]
    assert told[0] == {"present, severity 2\n“they met”\n“=SUM(1)”", "absent"}
    assert {text.partition("\n")[0] for text in told[1]} == {
        "present, severity 0",
        "present, severity 1",
    }
    assert told[2] == {"present, severity 1\n“SU”", "unclear"}
    assert (sheet[["present", "severity", "reason"]] == "").all(axis=None)
    assert not sheet.map(lambda text: "ana" in text or "ben" in text).any(axis=None)


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_filled_in_and_read_back(sheet, tmp_path, ending):
    path = write_decision_sheet(sheet, tmp_path / f"decisions.{ending}")
    if ending == "xlsx":
        book = openpyxl.load_workbook(path)
        page = book.active
        assert {cell.data_type for cell in page["D"]} == {"s"}  # no formula
        heads = {cell.value: cell.column for cell in page[1]}
        for row, values in ((2, (True, 1, " A tie. ")), (3, ("No ", None, "None of it."))):
            for name, value in zip(("present", "severity", "reason"), values, strict=True):
                page.cell(row=row, column=heads[name], value=value)
        book.save(path)
    else:
        filled = pd.read_csv(path, dtype=str, keep_default_na=False)
        assert filled.loc[0, "narrative"].startswith("'=")
        filled.loc[0, ["present", "severity", "reason"]] = ["TRUE", "1", " A tie. "]
        filled.loc[1, ["present", "reason"]] = ["No ", "None of it."]
        columns = ["Reason ", "severity", *[c for c in filled if c not in ("reason", "severity")]]
        filled.rename(columns={"reason": "Reason "})[columns].to_csv(path, index=False)
    decisions = read_decision_sheet(path, adjudicator_id="pi")
    assert decisions.drop(columns="severity").to_dict("list") == {
        "incident_id": ["2026-11-01", "-2"],
        "category": ["dual", "gift"],
        "present": [True, False],
        "reason": ["A tie.", "None of it."],
        "adjudicator_id": ["pi", "pi"],
    }
    gold = gold_table(CODINGS, None, decisions).set_index(["incident_id", "category"])
    assert gold.loc[("2026-11-01", "dual"), ["present", "severity", "source"]].tolist() == [
        True,
        1,
        "adjudicated",
    ]
    assert gold["source"].tolist() == ["adjudicated", "agreed", "adjudicated", "single"]
    assert disagreement_sheet(CODINGS, INCIDENTS, decisions).empty


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["maybe", "", "x"], "'present' is neither yes nor no in row 3"),
        (["", "1", ""], "'present' is empty beside a severity or reason in row 3"),
        (["yes", "1", " "], "'reason' is empty: say why in row 3"),
        (["yes", "3", "x"], "'severity' is not 0, 1, 2 or empty in row 3"),
        (["no", "1", "x"], "a severity stands beside an absent category in row 3"),
    ],
)
def test_refused_cells_are_named(sheet, tmp_path, values, message):
    sheet.loc[1, ["present", "severity", "reason"]] = values
    path = write_decision_sheet(sheet, tmp_path / "d.csv")
    with pytest.raises(DataError, match=message):
        read_decision_sheet(path)


def test_repeated_rows_missing_columns_and_wrong_files(sheet, tmp_path):
    decided = sheet.assign(present="yes", severity="1", reason="x")
    twice = write_decision_sheet(pd.concat([decided, decided.head(1)]), tmp_path / "twice.csv")
    with pytest.raises(DataError, match="decided a second time in row 5"):
        read_decision_sheet(twice)
    decided.drop(columns="reason").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match="column 'reason' not found"):
        read_decision_sheet(tmp_path / "short.csv")
    (tmp_path / "no.xlsx").write_text("not a workbook")
    with pytest.raises(DataError, match="cannot be read"):
        read_decision_sheet(tmp_path / "no.xlsx")
    with pytest.raises(DataError, match=r"Available: \.csv, \.xlsx"):
        write_decision_sheet(sheet, tmp_path / "d.ods")


def test_a_narrative_that_is_not_there():
    with pytest.raises(DataError, match="1 narratives of the queue are not in it") as refused:
        disagreement_sheet(CODINGS, INCIDENTS.tail(2))
    assert "coffee" not in str(refused.value)
