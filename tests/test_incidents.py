import json
import random

import docx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boundary_research import DataError, load_incidents

ROWS = [("7", "He came late, “again”."), ("8", "Nobody rang — the file was closed.")]


def write_csv(path, encoding="utf-8", delimiter=",", rows=ROWS):
    frame = pd.DataFrame(rows, columns=["incident_id", "narrative"])
    path.write_bytes(frame.to_csv(index=False, sep=delimiter).encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8 with BOM"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16 (little endian, no BOM)"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_and_named(tmp_path, encoding, named, delimiter):
    loaded = load_incidents(write_csv(tmp_path / "a.csv", encoding, delimiter))
    assert loaded.incidents["narrative"].tolist() == [text for _, text in ROWS]
    assert loaded.source["encoding"] == named
    assert loaded.source["delimiter"] == ("tab" if delimiter == "\t" else delimiter)


def test_every_table_format_gives_the_same_incidents(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["incident_id", "narrative"])
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.tsv", "a.xlsx", "a.parquet", "a.json", "a.jsonl"):
        incidents = load_incidents(tmp_path / name).incidents
        assert incidents.to_numpy().tolist() == frame.to_numpy().tolist(), name


def test_numeric_ids_of_a_workbook_stay_whole_numbers(tmp_path):
    pd.DataFrame({"nr": [1001, 1002], "text": ["a b", "c d"]}).to_excel(
        tmp_path / "a.xlsx", index=False
    )
    loaded = load_incidents(tmp_path / "a.xlsx", id_column="nr", text_column="text")
    assert loaded.incidents["incident_id"].tolist() == ["1001", "1002"]


def test_folder_of_documents_one_file_one_narrative(tmp_path):
    (tmp_path / "one.txt").write_bytes("Le café était fermé.".encode("cp1252"))
    document = docx.Document()
    document.add_paragraph("She never came.")
    document.save(str(tmp_path / "two.docx"))
    (tmp_path / "three.docx").write_bytes(b"not a docx at all")
    (tmp_path / "four.txt").write_text("   ")
    (tmp_path / "five.odt").write_text("x")
    loaded = load_incidents(tmp_path)
    assert dict(loaded.incidents.to_numpy().tolist()) == {
        "one": "Le café était fermé.",
        "two": "She never came.",
    }
    assert set(loaded.rejects["row"]) == {"three.docx", "four.txt", "five.odt"}


def test_pdf_is_read(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.1, 0.5, "The visit was missed.")
    figure.savefig(tmp_path / "page.pdf")
    assert "The visit was missed." in load_incidents(tmp_path).incidents["narrative"][0]


def test_bad_rows_are_set_aside_with_row_and_reason_and_never_the_text(tmp_path):
    secret = "SECRET WORDS"
    rows = [
        ("1", "fine"),
        ("", secret),
        ("3", ""),
        ("1", secret),
        ("5", secret + "\x00"),
        ("6", "ok"),
    ]
    loaded = load_incidents(write_csv(tmp_path / "a.csv", rows=rows))
    assert loaded.incidents["incident_id"].tolist() == ["1", "6"]
    assert loaded.rejects["row"].tolist() == [2, 3, 4, 5]
    assert [reason.split()[0] for reason in loaded.rejects["reason"]] == [
        "no",
        "no",
        "the",
        "control",
    ]
    assert secret not in loaded.rejects.to_csv()


def test_strict_names_the_first_bad_row(tmp_path):
    path = write_csv(tmp_path / "a.csv", rows=[("1", "fine"), ("", "SECRET")])
    with pytest.raises(DataError, match="row 2") as error:
        load_incidents(path, strict=True)
    assert "SECRET" not in str(error.value)


def test_row_with_too_many_cells_and_short_row(tmp_path):
    (tmp_path / "a.csv").write_text("incident_id,narrative,x\n1,a,b,c,d\n2,short\n3,ok,1\n")
    loaded = load_incidents(tmp_path / "a.csv")
    assert loaded.incidents["incident_id"].tolist() == ["2", "3"]
    assert "5 cells where the header has 3" in loaded.rejects["reason"][0]


def test_unclosed_quotation_mark_is_told_and_not_swallowed(tmp_path):
    (tmp_path / "a.csv").write_text('incident_id,narrative\n1,ok\n2,"open\n3,lost\n')
    loaded = load_incidents(tmp_path / "a.csv")
    assert loaded.incidents["incident_id"].tolist() == ["1"]
    assert "never closed" in loaded.rejects["reason"][0]


def test_columns_are_mapped_and_attributes_filled(tmp_path):
    (tmp_path / "a.csv").write_text("nr,story,Agency,place,n\n01,a b,A7,,3\n02,c d,A8,rural,\n")
    loaded = load_incidents(
        tmp_path / "a.csv",
        id_column="nr",
        text_column="story",
        columns={"Agency": "agency_id", "place": "setting"},
        attribute_columns=["setting"],
    )
    incidents = loaded.incidents
    assert incidents["incident_id"].tolist() == ["01", "02"]
    assert incidents["setting"].tolist() == ["not_stated", "rural"]
    assert incidents["agency_id"].tolist() == ["A7", "A8"]
    assert incidents["n"].isna().tolist() == [False, True]


def test_megabyte_narrative(tmp_path):
    text = "word " * 210_000
    loaded = load_incidents(write_csv(tmp_path / "a.csv", rows=[("1", text)]))
    assert len(loaded.incidents["narrative"][0]) == len(text)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\n\n", "is empty"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(50), "is not a text file"),
        (
            "noise.csv",
            bytes(random.Random(1).randrange(1, 32) for _ in range(500)),
            "not a text file",
        ),
        ("word.csv", b"PK\x03\x04" + bytes(50), "zip archive"),
        ("broken.json", b"{", "not valid JSON"),
        ("broken.xlsx", b"hello", "cannot be read as an Excel workbook"),
        ("broken.parquet", b"hello", "cannot be read as Parquet"),
        ("a.sav", b"x", "cannot be read"),
        ("other.csv", b"a,b\n1,2\n", "'incident_id', 'narrative' not found"),
        ("twice.csv", b"incident_id,narrative,narrative\n1,2,3\n", "stands twice"),
    ],
)
def test_unusable_files_give_one_clear_error(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_incidents(tmp_path / name)


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_incidents(tmp_path / "none.csv")
    with pytest.raises(DataError, match="holds no files"):
        load_incidents(tmp_path)


def test_jsonl_lines_that_do_not_parse_are_set_aside(tmp_path):
    good = json.dumps({"incident_id": "1", "narrative": "a"})
    (tmp_path / "a.jsonl").write_text(f"{good}\nnot json\n[1]\n")
    loaded = load_incidents(tmp_path / "a.jsonl")
    assert len(loaded.incidents) == 1
    assert loaded.rejects["row"].tolist() == [2, 3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "1", "2", "3"]),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_row_ends_in_exactly_one_table(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(
        json.dumps([{"incident_id": i, "narrative": t} for i, t in rows]), encoding="utf-8"
    )
    loaded = load_incidents(path)
    assert len(loaded.incidents) + len(loaded.rejects) == len(rows)
    assert not loaded.incidents["incident_id"].duplicated().any()


def test_every_real_row_is_used_or_set_aside_once(real_data):
    path = real_data / "hhs_breach_narratives.csv"
    loaded = load_incidents(path, id_column="breach_id")
    raw = pd.read_csv(path, dtype=str)
    assert len(loaded.incidents) + len(loaded.rejects) == len(raw)
    assert loaded.rejects["reason"].str.startswith("no text").all()
