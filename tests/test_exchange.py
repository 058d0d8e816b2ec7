"""What goes to another tool comes back, and what another tool wrote is read."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research.codebook.exchange import (
    label_studio_config,
    read_doccano,
    read_label_studio,
    read_qdc,
    read_qdpx,
    write_doccano,
    write_label_studio,
    write_qdc,
    write_qdpx,
)
from boundary_research.codebook.model import Category, Codebook, Family, load_codebook

etree = pytest.importorskip("lxml.etree")

REFERENCE = Path(__file__).parent / "reference"
PROJECT = "{urn:QDA-XML:project:1.0}"
CODEBOOK = "{urn:QDA-XML:codebook:1.0}"
BOOK = Codebook(
    id="small",
    name="Small & plain",
    version="2.0",
    families=(Family("f", "Family", "over"),),
    categories=(
        Category("money", "f", "Money <matters>", "Money changes hands.\n\n---\nnot: kept"),
        Category("gossip", "f", "Gossip", "Talk about a client."),
    ),
)
COLUMNS = [
    "incident_id", "coder_id", "category", "present", "severity", "evidence_start",
    "evidence_end", "note", "coded_at", "codebook_version",
]  # fmt: skip
FORMATS = ["qdpx", "label_studio", "doccano"]


@pytest.fixture
def incidents():
    return pd.DataFrame(
        {
            "incident_id": ["a", "b 1", "c"],
            "narrative": ["One\r\nhas 😀 money 𝒳.\r\n", "Zweiter Text\rmit é & <b>", "Nothing"],
            "setting": ["town", "not_stated", "village"],
            "n": [1, 2, 3],
            "share": [0.1, 1e-9, np.nan],
            "flag": [True, False, True],
        }
    )


def codings_of(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    numbers = ["severity", "evidence_start", "evidence_end"]
    return table.astype(dict.fromkeys(numbers, float))


@pytest.fixture
def codings():
    none = np.nan
    time = "2026-01-02T03:04:05+00:00"
    return codings_of(
        [
            ("a", "Ana B", "money", True, 2, 9, 10, "see\r\nline: 2", time, "2.0"),
            ("a", "Ana B", "money", True, 2, 17, 18, "see\r\nline: 2", time, "2.0"),
            ("a", "Ana B", "gossip", False, none, none, none, None, time, "2.0"),
            ("a", "Bo", "money", True, none, none, none, None, None, "2.0"),
            ("b 1", "Bo", "gossip", True, 0, 13, 16, None, None, None),
            ("c", "Bo", "money", False, none, none, none, None, None, "1.0"),
        ]
    )


def write_and_read(format, folder, incidents, codings, codebook=BOOK):
    folder = Path(folder)
    if format == "qdpx":
        lost = write_qdpx(folder / "p.qdpx", incidents, codings, codebook)
        return lost, read_qdpx(folder / "p.qdpx")
    if format == "label_studio":
        lost = write_label_studio(folder / "p.json", incidents, codings, codebook)
        return lost, read_label_studio(folder / "p.json", codebook)
    lost = write_doccano(folder / "p", incidents, codings, codebook)
    return lost, read_doccano(folder / "p", codebook)


def assert_same_codings(found, expected):
    def ordered(table):
        table = table[COLUMNS].astype({"note": object, "coded_at": object})
        table = table.sort_values([*COLUMNS[:3], "evidence_start"], ignore_index=True)
        return table.astype(object).where(table.notna(), None)

    pd.testing.assert_frame_equal(ordered(found), ordered(expected), check_dtype=False)


@pytest.mark.parametrize("format", FORMATS)
def test_round_trip_loses_nothing(tmp_path, incidents, codings, format):
    lost, back = write_and_read(format, tmp_path, incidents, codings)
    assert lost == []
    assert back.lost == []
    assert_same_codings(back.codings, codings)
    found = back.incidents.set_index("incident_id").loc[incidents["incident_id"]].reset_index()
    pd.testing.assert_frame_equal(found, incidents, check_dtype=False, check_like=True)


def test_project_keeps_types_and_codebook(tmp_path, incidents, codings):
    dated = incidents.assign(
        occurred_on=pd.to_datetime(["2025-01-02", None, "2025-03-04T05:06"], format="ISO8601")
    )
    _, back = write_and_read("qdpx", tmp_path, dated, codings)
    assert back.incidents.dtypes[["n", "share", "flag"]].tolist() == ["int64", "float64", "bool"]
    assert back.incidents["occurred_on"].tolist()[::2] == dated["occurred_on"].tolist()[::2]
    assert back.codebook.content_hash == BOOK.content_hash


@pytest.mark.parametrize("codebook", [BOOK, load_codebook()], ids=["small", "bundled"])
def test_codebook_round_trip_is_exact(tmp_path, codebook):
    assert write_qdc(codebook, tmp_path / "b.qdc") == []
    back, lost = read_qdc(tmp_path / "b.qdc")
    assert lost == []
    assert back.to_dict() == codebook.to_dict()
    assert back.content_hash == codebook.content_hash


def test_codebook_without_families(tmp_path):
    book = Codebook(id="x", name="X", version="1", categories=(Category("c", "", "C", "D"),))
    write_qdc(book, tmp_path / "b.qdc")
    assert read_qdc(tmp_path / "b.qdc")[0].content_hash == book.content_hash


def project_schema():
    folder = resources.files("boundary_research.codebook").joinpath("schemas")
    return etree.XMLSchema(etree.fromstring(folder.joinpath("Project-mrt2019.xsd").read_bytes()))


def test_project_is_valid_by_the_published_schema(tmp_path, incidents, codings):
    write_qdpx(tmp_path / "p.qdpx", incidents, codings, load_codebook_with(BOOK))
    schema = project_schema()
    with zipfile.ZipFile(tmp_path / "p.qdpx") as archive:
        document = etree.fromstring(archive.read("project.qde"))
    assert schema.validate(document), schema.error_log
    # The schema can fail: a selection must have an end
    del next(document.iter(f"{PROJECT}PlainTextSelection")).attrib["endPosition"]
    assert not schema.validate(document)


def load_codebook_with(small):
    """The bundled codebook with the small one's categories, so that every part is written."""
    whole = load_codebook()
    extra = tuple(Category(c.id, "intimacy", c.label, c.definition) for c in small)
    parts = {name: getattr(whole, name) for name in whole.__dataclass_fields__ if name != "_by_id"}
    return Codebook(**(parts | {"categories": whole.categories + extra}))


def test_project_without_codings_is_valid_too(tmp_path, incidents):
    empty = codings_of([])
    assert (
        write_qdpx(tmp_path / "p.qdpx", incidents[["incident_id", "narrative"]], empty, BOOK) == []
    )
    with zipfile.ZipFile(tmp_path / "p.qdpx") as archive:
        assert project_schema().validate(etree.fromstring(archive.read("project.qde")))
    assert read_qdpx(tmp_path / "p.qdpx").codings.empty


def test_codebook_has_the_standards_structure(tmp_path):
    """The schema of .qdc has no licence note, so its rules stand here by hand, and the codes are
    also validated inside a project, whose schema declares them alike."""
    write_qdc(load_codebook(), tmp_path / "b.qdc")
    root = ET.fromstring((tmp_path / "b.qdc").read_bytes())
    assert root.tag == f"{CODEBOOK}CodeBook"
    assert [part.tag for part in root] == [f"{CODEBOOK}Codes", f"{CODEBOOK}Sets"]
    guids = []
    for code in root.iter(f"{CODEBOOK}Code"):
        assert (
            {"guid", "name", "isCodable"}
            <= set(code.attrib)
            <= {"guid", "name", "isCodable", "color"}
        )
        names = [part.tag.removeprefix(CODEBOOK) for part in code]
        assert names == ["Description"] + ["Code"] * (len(names) - 1)
        guids.append(code.get("guid"))
    assert len(set(guids)) == len(guids)
    [whole] = root.find(f"{CODEBOOK}Sets")
    assert set(whole.attrib) == {"guid", "name"}
    assert [part.tag.removeprefix(CODEBOOK) for part in whole][:2] == ["Description", "MemberCode"]
    assert {member.get("guid") for member in whole if "guid" in member.attrib} <= set(guids)
    text = ET.tostring(root.find(f"{CODEBOOK}Codes"), encoding="unicode").replace(
        "codebook:1.0", "project:1.0"
    )
    inside = (
        f'<Project xmlns="urn:QDA-XML:project:1.0" name="x"><CodeBook>{text}</CodeBook></Project>'
    )
    schema = project_schema()
    assert schema.validate(etree.fromstring(inside)), schema.error_log


def test_positions_are_code_points_of_the_text_as_it_is(tmp_path, incidents, codings):
    write_qdpx(tmp_path / "p.qdpx", incidents, codings, BOOK)
    with zipfile.ZipFile(tmp_path / "p.qdpx") as archive:
        root = ET.fromstring(archive.read("project.qde"))
        source = root.find(f".//{PROJECT}TextSource[@name='a']")
        path = source.get("plainTextPath").removeprefix("internal://")
        text = archive.read(f"sources/{path}").decode("utf-8")
    assert text == incidents["narrative"][0]  # \r\n kept
    spans = [
        text[int(s.get("startPosition")) : int(s.get("endPosition"))]
        for s in source.iter(f"{PROJECT}PlainTextSelection")
    ]
    assert spans == ["😀", "𝒳"]


def test_the_same_study_gives_the_same_bytes(tmp_path, incidents, codings):
    for name in ("one", "two"):
        write_qdpx(tmp_path / f"{name}.qdpx", incidents, codings, BOOK, name="study")
    assert (tmp_path / "one.qdpx").read_bytes() == (tmp_path / "two.qdpx").read_bytes()


def other_tool(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(REFERENCE / "refi_qda_other_tool.qde", "project.qde")
        for name, content in members.items():
            archive.writestr(f"Sources/44444444-0000-0000-0000-{name[1:]}.txt", content)
    return path


def test_project_of_another_tool(tmp_path):
    path = other_tool(tmp_path / "o.qdpx", n000000000001=b"\xef\xbb\xbf" + "One 😀 two".encode())
    back = read_qdpx(path)
    assert back.incidents["narrative"].tolist() == ["One 😀 two", "Inline text."]
    assert back.incidents["incident_id"].tolist() == [
        "One",
        "One 44444444-0000-0000-0000-000000000002",
    ]
    assert back.incidents["year"].tolist()[0] == 2024
    book = back.codebook
    assert [(c.id, c.family, c.label, c.definition) for c in book] == [
        ("loan", "money_gifts", "Loan", "Money is lent."),
        ("loan_2", "money_gifts", "Loan", "Loan"),
        ("code_3_visits", "ungrouped", "3 visits", "3 visits"),
    ]
    rows = back.codings[["incident_id", "coder_id", "category", "evidence_start", "evidence_end"]]
    assert rows.astype(object).where(rows.notna(), None).to_numpy().tolist() == [
        ["One", "Ida", "loan", 4, 5],
        ["One", "J", "loan_2", 4, 5],
        ["One 44444444-0000-0000-0000-000000000002", "unknown", "code_3_visits", None, None],
    ]
    assert back.codings["coded_at"][0] == "2026-01-02T03:04:05Z"
    told = " ".join(back.lost)
    for what in (
        "1 codes below the second level",
        "1 selections outside",
        "1 PDF sources",
        "1 notes",
        "1 source names",
    ):
        assert what in told
    # And through our own file it comes back alike
    assert write_qdpx(tmp_path / "again.qdpx", back.incidents, back.codings, book) == []
    again = read_qdpx(tmp_path / "again.qdpx")
    assert again.lost == []
    assert again.codebook.content_hash == book.content_hash
    assert_same_codings(again.codings, back.codings)


def test_work_done_in_the_other_tool_is_seen(tmp_path, incidents, codings):
    """A removed coding, a new one and a renamed code: the file's own state wins, and is told."""
    write_qdpx(tmp_path / "p.qdpx", incidents, codings, BOOK)
    with zipfile.ZipFile(tmp_path / "p.qdpx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = ET.fromstring(members["project.qde"])
    gossip = root.find(f".//{PROJECT}Code[@name='Gossip']")
    gossip.set("name", "Tales")
    removed = root.find(f".//{PROJECT}TextSource[@name='b 1']")
    removed.remove(removed.find(f"{PROJECT}PlainTextSelection"))
    source = root.find(f".//{PROJECT}TextSource[@name='a']")
    coding = ET.Element(f"{PROJECT}Coding", guid="99999999-0000-0000-0000-000000000001",
                        creatingUser=root.find(f".//{PROJECT}User[@name='Ana B']").get("guid"))  # fmt: skip
    ET.SubElement(coding, f"{PROJECT}CodeRef", targetGUID=gossip.get("guid"))
    source.insert(2, coding)
    members["project.qde"] = ET.tostring(root)
    with zipfile.ZipFile(tmp_path / "q.qdpx", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    back = read_qdpx(tmp_path / "q.qdpx")
    assert back.codebook["gossip"].label == "Tales"
    found = {(r.incident_id, r.coder_id, r.category): r.present for r in back.codings.itertuples()}
    assert found["a", "Ana B", "gossip"] is True
    assert ("b 1", "Bo", "gossip") not in found
    assert back.lost == [
        "1 absences that were coded as present in the other tool are not read.",
        "1 decisions whose coding was removed in the other tool are not read.",
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_what_cannot_be_held_is_said(tmp_path, incidents, codings, format):
    more = codings.assign(assisted=False)
    more.loc[2, ["evidence_start", "evidence_end"]] = [0, 1]
    lost, back = write_and_read(format, tmp_path, incidents, more)
    assert lost == [
        "Column 'assisted' of the codings is not written.",
        "1 evidence spans of absent categories are not written.",
    ]
    assert_same_codings(back.codings, codings)


def test_label_studio_tasks(tmp_path, incidents, codings):
    write_label_studio(tmp_path / "p.json", incidents, codings, BOOK)
    text = (tmp_path / "p.json").read_text()
    tasks = json.loads(text, parse_constant=lambda name: pytest.fail(name))  # no NaN
    assert "share" not in tasks[2]["data"]
    span = next(r for r in tasks[0]["annotations"][0]["result"] if r["type"] == "labels")
    assert span["value"] == {"start": 9, "end": 10, "text": "😀", "labels": ["money"]}
    names = {e.get("name") for e in ET.fromstring(label_studio_config(BOOK)).iter()}
    used = {r["from_name"] for t in tasks for a in t["annotations"] for r in a["result"]}
    assert used <= names


def test_label_studio_export_of_others(tmp_path):
    """As the tool exports it: numbers for people, UTF-16 offsets of old versions, plain labels."""
    text = "😀 lent money"
    task = {
        "id": 7,
        "data": {"text": text},
        "predictions": [{}],
        "annotations": [
            {"completed_by": 3, "result": [
                {"from_name": "label", "type": "labels",
                 "value": {"start": 3, "end": 7, "text": "lent", "labels": ["money"]}},
                {"from_name": "label", "type": "labels",
                 "value": {"start": 2, "end": 6, "text": "lent", "labels": ["other"]}},
                {"from_name": "x", "type": "choices", "value": {"choices": ["gossip"]}},
                {"from_name": "r", "type": "rating", "value": {"rating": 3}},
            ]},
            {"completed_by": 4, "was_cancelled": True, "result": []},
        ],
    }  # fmt: skip
    (tmp_path / "e.json").write_text(json.dumps([task]))
    back = read_label_studio(tmp_path / "e.json", BOOK)
    rows = back.codings[["incident_id", "coder_id", "category", "evidence_start", "evidence_end"]]
    assert rows.fillna(-1).to_numpy().tolist() == [
        ["7", "3", "money", 2, 6], ["7", "3", "gossip", -1, -1]
    ]  # fmt: skip
    told = " ".join(back.lost)
    for what in ("skipped annotations", "predictions", "does not hold", "other kinds"):
        assert what in told


def test_doccano_files(tmp_path, incidents, codings):
    write_doccano(tmp_path / "d", incidents, codings, BOOK)
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["Ana_B.jsonl", "Bo.jsonl"]
    [line] = (tmp_path / "d" / "Ana_B.jsonl").read_text().splitlines()
    content = json.loads(line)
    assert content["label"] == [[9, 10, "money"], [17, 18, "money"]]
    assert (content["cats"], content["absent"]) == (["money"], ["gossip"])


def test_doccano_exports_of_others(tmp_path):
    lines = [
        {"id": 1, "text": "lent money", "label": [[0, 4, "money"]], "Comments": ["c"]},
        {"id": 2, "text": "talk", "label": ["gossip", "other"]},
        {"id": 3, "text": "x money", "entities": [{"id": 9, "label": "money", "start_offset": 2, "end_offset": 7}],
         "relations": [{"id": 1}]},
        {"id": 4, "text": "x", "label": [[0, 9, "money"]]},
    ]  # fmt: skip
    (tmp_path / "ida.jsonl").write_text("\n".join(map(json.dumps, lines)))
    back = read_doccano(tmp_path / "ida.jsonl", BOOK)
    rows = back.codings[["incident_id", "coder_id", "category", "evidence_start", "evidence_end"]]
    assert rows.fillna(-1).to_numpy().tolist() == [
        ["1", "ida", "money", 0, 4], ["2", "ida", "gossip", -1, -1],
        ["3", "ida", "money", 2, 7], ["4", "ida", "money", -1, -1],
    ]  # fmt: skip
    told = " ".join(back.lost)
    for what in ("1 comments", "1 relations", "1 labels that", "1 spans outside"):
        assert what in told


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), format=st.sampled_from(FORMATS))
def test_any_text_and_any_span_come_back(tmp_path_factory, data, format):
    text = data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    note = data.draw(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=20)
    )
    coder = data.draw(st.sampled_from(["Ana", "Zoë 😀", "x&<y>"]))
    incidents = pd.DataFrame({"incident_id": ["one"], "narrative": [text]})
    codings = codings_of([("one", coder, "money", True, 1, start, end, note, None, "2.0")])
    folder = tmp_path_factory.mktemp("x")
    lost, back = write_and_read(format, folder, incidents, codings)
    assert lost == back.lost == []
    assert back.incidents["narrative"][0] == text
    assert_same_codings(back.codings, codings)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("zz", "A", "money", True, 0, 0, 1, None, None, None)], "incidents has not"),
        ([("a", "A", "other", True, 0, 0, 1, None, None, None)], "not in the codebook"),
        ([("a", "A", "money", True, 0, 5, 999, None, None, None)], "outside the narrative"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, incidents, rows, message):
    for write in (write_qdpx, write_label_studio, write_doccano):
        with pytest.raises(DataError, match=message):
            write(tmp_path / "x", incidents, codings_of(rows), BOOK)


def zip_of(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.qde", content)


def test_files_that_are_no_exchange_files(tmp_path):
    (tmp_path / "a.qdpx").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="no REFI-QDA project"):
        read_qdpx(tmp_path / "a.qdpx")
    zip_of(tmp_path / "b.qdpx", other="x")
    with pytest.raises(DataError, match=r"no project\.qde"):
        read_qdpx(tmp_path / "b.qdpx")
    zip_of(tmp_path / "c.qdpx", project="<Project>")
    with pytest.raises(DataError, match="not well-formed"):
        read_qdpx(tmp_path / "c.qdpx")
    bomb = '<!DOCTYPE a [<!ENTITY b "bbb">]><Project name="x">&b;</Project>'
    zip_of(tmp_path / "d.qdpx", project=bomb)
    with pytest.raises(DataError, match="document type"):
        read_qdpx(tmp_path / "d.qdpx")
    with pytest.raises(DataError, match="plain text of source"):
        read_qdpx(other_tool(tmp_path / "e.qdpx"))
    (tmp_path / "f.qdc").write_text("<Project/>")
    with pytest.raises(DataError, match="no REFI-QDA codebook"):
        read_qdc(tmp_path / "f.qdc")
    (tmp_path / "g.json").write_text("[{}]")
    with pytest.raises(DataError, match="no list of tasks"):
        read_label_studio(tmp_path / "g.json")
    (tmp_path / "h.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"h\.jsonl, line 1"):
        read_doccano(tmp_path / "h.jsonl")
