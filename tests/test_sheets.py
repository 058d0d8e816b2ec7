"""Coding sheets come back as they were filled in, whatever a spreadsheet program does to them."""

from __future__ import annotations

import csv
import datetime

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from boundary_research._checks import DataError
from boundary_research._tables import check_table
from boundary_research.codebook.model import Category, Codebook
from boundary_research.coding.sampling import draw_simple
from boundary_research.coding.sheets import read_sheets, write_sheets

BOOK = Codebook(
    id="small",
    name="Small codebook",
    version="2.0",
    categories=(
        Category("money", "", "Money matters", "Money changes hands.", include=("Loans.",)),
        Category("gossip", "", "Gossip", "Talk about a client."),
    ),
    rules=("Code what is described.",),
    severity_levels=((0, "managed"), (1, "crossing"), (2, "violation")),
)
SECRET = "lent the tenant fifty"


@pytest.fixture
def incidents():
    return pd.DataFrame(
        {
            "incident_id": ["001", "3-4", "n3"],
            "narrative": [
                f"The worker {SECRET} pounds.\r\nShe told the neighbour 😀 about it.",
                "=1+1 began the note; the worker told the neighbour and told the cook.",
                "Nothing of interest.",
            ],
        }
    )


def fill(path, cells, *, rename=None):
    """Write `cells` {(row, header): value} into a workbook that was sent out."""
    book = load_workbook(path)
    page = book["Coding"]
    places = {cell.value: cell.column for cell in page[1]}
    for (row, header), value in cells.items():
        page.cell(row=row, column=places[header]).value = value
    for header, new in (rename or {}).items():
        page.cell(row=1, column=places[header]).value = new
    book.save(path)


def written(tmp_path, incidents, **options):
    return write_sheets(tmp_path / "out", incidents, BOOK, ["Ana"], **options)[0]


def decisions(codings):
    return {
        (row.incident_id, row.coder_id, row.category): row.present for row in codings.itertuples()
    }


def test_workbook_has_lists_tabs_and_texts(tmp_path, incidents):
    path = written(tmp_path, incidents, evidence=True)
    book = load_workbook(path)
    assert book.sheetnames == ["Coding", "Codebook", "Instructions"]
    page = book["Coding"]
    header = [cell.value for cell in page[1]]
    assert header == [
        "incident_id", "coder_id", "narrative", "money", "money severity", "money evidence",
        "gossip", "gossip severity", "gossip evidence", "all_others_absent", "note",
        "codebook_version",
    ]  # fmt: skip
    assert [page.cell(row=r, column=1).value for r in (2, 3, 4)] == ["001", "3-4", "n3"]
    assert page["A2"].number_format == "@"
    assert page["C3"].data_type == "s"  # not a formula
    rules = {str(rule.sqref): rule.formula1 for rule in page.data_validations.dataValidation}
    assert rules == {"D2:D4 G2:G4": '"0,1"', "E2:E4 H2:H4": '"0,1,2"', "J2:J4": '"1"'}
    lines = [row[2].value for row in book["Codebook"].iter_rows()]
    assert "Money changes hands." in lines
    assert "Code what is described." in [row[0].value for row in book["Instructions"].iter_rows()]


@pytest.mark.parametrize("format", ["xlsx", "csv"])
def test_an_untouched_sheet_has_no_codes_and_no_refusals(tmp_path, incidents, format):
    path = written(tmp_path, incidents, format=format)
    codings, refused = read_sheets(path, BOOK, incidents)
    assert codings.empty
    assert refused.empty


def test_absent_and_not_coded_never_mix(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): 1, (3, "gossip"): 0, (4, "all_others_absent"): "x"})
    codings, refused = read_sheets(path.parent, BOOK, incidents)
    assert refused.empty
    assert decisions(codings) == {
        ("001", "Ana", "money"): True,
        ("3-4", "Ana", "gossip"): False,
        ("n3", "Ana", "money"): False,
        ("n3", "Ana", "gossip"): False,
    }
    assert set(codings["codebook_version"]) == {"2.0"}


@pytest.mark.parametrize("value", [1, 1.0, True, "TRUE", " x ", "Yes", "1", "WAHR", "X\xa0"])
def test_every_yes(tmp_path, incidents, value):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): value})
    codings, refused = read_sheets(path, BOOK, incidents)
    assert decisions(codings) == {("001", "Ana", "money"): True}
    assert refused.empty


@pytest.mark.parametrize("value", [0, 0.0, False, "no", "FALSE ", "n"])
def test_every_no(tmp_path, incidents, value):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): value})
    assert decisions(read_sheets(path, BOOK, incidents)[0]) == {("001", "Ana", "money"): False}


def test_columns_may_be_moved_renamed_in_case_and_rows_added(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(
        path,
        {(2, "money"): "x", (2, "money severity"): "2.0", (3, "gossip"): "no", (2, "note"): "hm"},
        rename={"incident_id": " Incident ID ", "money": "Money Matters", "gossip": "GOSSIP"},
    )
    book = load_workbook(path)
    rows = [list(row) for row in book["Coding"].iter_rows(values_only=True)]
    moved = Workbook()
    page = moved.active
    page.append([])
    page.append(["somebody's title"])
    for row in rows:
        page.append(row[::-1])
        page.append([None, " "])
    moved.save(path)
    codings, refused = read_sheets(path, BOOK, incidents)
    assert refused.empty
    assert decisions(codings) == {("001", "Ana", "money"): True, ("3-4", "Ana", "gossip"): False}
    first = codings.iloc[0]
    assert (first["severity"], first["note"]) == (2.0, "hm")


def test_refused_cells_are_named_and_their_text_is_not(tmp_path, incidents):
    path = written(tmp_path, incidents, evidence=True)
    fill(
        path,
        {
            (2, "money"): "maybe " + SECRET,
            (2, "gossip"): 0,
            (2, "gossip severity"): 1,
            (3, "money"): 1,
            (3, "money severity"): "high",
            (3, "money evidence"): "told the",
            (4, "gossip"): 1,
            (4, "gossip evidence"): "not there " + SECRET,
        },
    )
    codings, refused = read_sheets(path, BOOK, incidents)
    cells = set(zip(refused["file"], refused["row"], refused["column"], strict=True))
    name = "coding-sheet-Ana.xlsx"
    assert cells == {
        (name, 2, "money"), (name, 2, "gossip severity"), (name, 3, "money severity"),
        (name, 3, "money evidence"), (name, 4, "gossip evidence"),
    }  # fmt: skip
    assert SECRET not in refused.to_csv()
    # What was readable is kept
    assert decisions(codings) == {
        ("001", "Ana", "gossip"): False, ("3-4", "Ana", "money"): True, ("n3", "Ana", "gossip"): True,
    }  # fmt: skip


def test_a_refused_decision_is_not_made_absent_by_the_rest(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): "?", (2, "all_others_absent"): 1, (3, "money severity"): 1,
                (3, "all_others_absent"): 1})  # fmt: skip
    codings, refused = read_sheets(path, BOOK, incidents)
    assert decisions(codings) == {
        ("001", "Ana", "gossip"): False, ("3-4", "Ana", "gossip"): False
    }  # fmt: skip
    assert refused["column"].tolist() == ["money", "money"]


def test_ids_that_excel_changed(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(
        path,
        {
            (2, "incident_id"): 1.0,  # "001", and nothing else can be meant
            (2, "money"): 1,
            (3, "incident_id"): datetime.datetime(2026, 4, 3),  # was "3-4"
            (3, "money"): 1,
            (4, "incident_id"): "N3 ",
            (4, "money"): 0,
        },
    )
    codings, refused = read_sheets(path, BOOK, incidents)
    assert decisions(codings) == {("001", "Ana", "money"): True, ("n3", "Ana", "money"): False}
    assert refused[["row", "column"]].to_numpy().tolist() == [[3, "incident_id"]]
    assert "turned into a date" in refused["reason"][0]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("03-Apr", "looks like a date"),
        ("2026-04-03 00:00:00", "looks like a date"),
        ("1.23457E+11", "turned into a number"),
        (99, "turned into a number"),
        ("unknown", "none of the incidents"),
        (None, "no id"),
    ],
)
def test_ids_that_cannot_be_told(tmp_path, incidents, cell, reason):
    path = written(tmp_path, incidents)
    fill(path, {(3, "incident_id"): cell, (3, "money"): 1})
    codings, refused = read_sheets(path, BOOK, incidents)
    assert codings.empty
    assert reason in refused["reason"][0]


def test_two_ids_that_are_one_number_are_not_guessed(tmp_path):
    incidents = pd.DataFrame({"incident_id": ["01", "1"], "narrative": ["a", "b"]})
    path = written(tmp_path, incidents)
    fill(path, {(2, "incident_id"): "1.0", (2, "money"): 1})
    codings, refused = read_sheets(path, BOOK, incidents)
    assert codings.empty
    assert "leading zeros" in refused["reason"][0]


def test_evidence_becomes_offsets(tmp_path, incidents):
    path = written(tmp_path, incidents, evidence=True)
    fill(
        path,
        {(2, "money"): 1, (2, "money evidence"): f"{SECRET}\npounds. She told", (2, "gossip"): 0},
    )
    codings, refused = read_sheets(path, BOOK, incidents)
    assert refused.empty
    text = incidents["narrative"][0]
    spans = codings[["evidence_start", "evidence_end"]].dropna().astype(int).to_numpy()
    assert [text[a:b] for a, b in spans] == [SECRET, "pounds.\r\nShe told"]
    assert len(codings) == 3


def test_csv_as_a_european_excel_saves_it(tmp_path, incidents):
    path = written(tmp_path, incidents, format="csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[2][2].startswith("'=1+1")  # no formula
    rows[1][rows[0].index("money")] = "WAHR"
    rows[2][rows[0].index("gossip")] = "0"
    rows[1][2] = "é"
    with path.open("w", encoding="cp1252", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(rows)
    codings, refused = read_sheets([path], BOOK, incidents)
    assert refused.empty
    assert decisions(codings) == {("001", "Ana", "money"): True, ("3-4", "Ana", "gossip"): False}


def test_columns_that_are_missing_unknown_or_doubled(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): 1, (2, "note"): "n", (2, "gossip"): 1},
         rename={"note": "remark", "gossip": "money"})  # fmt: skip
    _, refused = read_sheets(path, BOOK, incidents)
    found = dict(zip(refused["column"], refused["reason"], strict=True))
    assert found.keys() == {"money", "column I", "gossip"}
    assert "stands twice" in found["money"]
    assert "missing" in found["gossip"]


def test_a_narrative_is_taken_once_a_coder(tmp_path, incidents):
    path = written(tmp_path, incidents)
    fill(path, {(2, "money"): 1, (3, "incident_id"): "001", (3, "money"): 0, (4, "note"): "alone"})
    codings, refused = read_sheets(path, BOOK, incidents)
    assert decisions(codings) == {("001", "Ana", "money"): True}
    assert "row 2" in refused["reason"][0]
    assert refused["column"][1] == "note"


def test_assignments_sample_and_order(tmp_path, incidents):
    sample = draw_simple(incidents, 2, random_state=1)
    paths = write_sheets(tmp_path, incidents, BOOK, ["A b", "C"], sample=sample, format="csv")
    assert [p.name for p in paths] == ["coding-sheet-A_b.csv", "coding-sheet-C.csv"]
    ids = [pd.read_csv(p, dtype=str)["incident_id"].tolist() for p in paths]
    assert ids == [sample["incident_id"].tolist()] * 2
    many = pd.DataFrame({"incident_id": [f"i{k}" for k in range(40)], "narrative": "t"})
    orders = [
        [pd.read_csv(p)["incident_id"].tolist() for p in write_sheets(
            tmp_path / str(run), many, BOOK, {"A": many["incident_id"], "B": many["incident_id"][:9]},
            format="csv", random_state=4)]
        for run in range(2)
    ]  # fmt: skip
    assert orders[0] == orders[1]
    assert sorted(orders[0][0]) == sorted(many["incident_id"]) != orders[0][0]
    assert set(orders[0][1]) == set(many["incident_id"][:9])


def test_a_filled_sheet_is_never_overwritten(tmp_path, incidents):
    written(tmp_path, incidents)
    with pytest.raises(DataError, match="may hold codes"):
        written(tmp_path, incidents)


@pytest.mark.parametrize(
    ("coders", "message"),
    [
        ("Ana", "list of names"),
        ([], "name of her own"),
        (["A", "A"], "name of her own"),
        (["a b", "A_B"], "same file name"),
        ({"A": ["nobody"]}, "not in the incidents table"),
    ],
)
def test_write_refuses(tmp_path, incidents, coders, message):
    with pytest.raises(DataError, match=message):
        write_sheets(tmp_path, incidents, BOOK, coders)


def test_files_that_are_no_sheets(tmp_path, incidents):
    with pytest.raises(DataError, match=r"No \.xlsx"):
        read_sheets(tmp_path, BOOK, incidents)
    (tmp_path / "a.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(DataError, match="cannot be read"):
        read_sheets(tmp_path, BOOK, incidents)
    (tmp_path / "a.xlsx").unlink()
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="incident_id"):
        read_sheets(tmp_path, BOOK, incidents)


def test_characters_that_a_workbook_cannot_hold(tmp_path):
    incidents = pd.DataFrame({"incident_id": ["a"], "narrative": ["\x00\x0b" + "x" * 40000]})
    path = written(tmp_path, incidents)
    assert len(load_workbook(path)["Coding"]["C2"].value) == 32767


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(
        st.tuples(st.sampled_from([True, False, None]), st.sampled_from([None, 0, 1, 2])),
        min_size=6, max_size=6,
    ),
    format=st.sampled_from(["csv", "xlsx"]),
)  # fmt: skip
def test_round_trip(tmp_path_factory, incidents, cells, format):
    path = written(tmp_path_factory.mktemp("s"), incidents, format=format)
    values, expected = {}, {}
    for place, (present, severity) in enumerate(cells):
        key, category = incidents["incident_id"][place // 2], BOOK.category_ids[place % 2]
        if present is None:
            continue
        values[2 + place // 2, category] = int(present)
        severity = severity if present else None
        if severity is not None:
            values[2 + place // 2, f"{category} severity"] = severity
        expected[key, category] = (present, severity)
    if format == "xlsx":
        fill(path, values)
    else:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        for (row, header), value in values.items():
            frame.loc[row - 2, header] = str(value)
        frame.to_csv(path, index=False)
    codings, refused = read_sheets(path, BOOK, incidents)
    assert refused.empty
    check_table(codings, "codings")
    found = {
        (row.incident_id, row.category): (
            row.present, None if pd.isna(row.severity) else int(row.severity)
        )
        for row in codings.itertuples()
    }  # fmt: skip
    assert found == expected
