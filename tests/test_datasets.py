import hashlib
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundary_research import DataError
from boundary_research._tables import check_table
from boundary_research.coding.sampling import draw_two_phase
from boundary_research.corpus import _dataset_files, _dataset_tables, datasets
from boundary_research.corpus._dataset_cards import CARDS

YAML = """\
- person: 400001
  name: Doe
  text: Doe was [fined by the
    committee](https://example.org/a_(b).html) for a late report.
  allegation: filing [late](https://example.org/x)
  consequences:
  - date: 2019-03-01
    body: House Committee on Ethics
    action: opened an inquiry
  - date: '2019-05'
    body: House Committee on Ethics
    action: fined Doe
    tags: fined
  tags: ethics resolved
- person: 400002
  name: Roe
  text: 'Roe is accused of two things: this, and that.'
  allegation: this and that
  consequences:
  - date: 2009
    text: A newspaper reported it.
  tags: corruption sexual-harassment-abuse unresolved
- person: 400002
  name: Roe
  text: Roe left.
  allegation: leaving
  consequences:
  - date: 2009
    text: Roe left.
    tags: resignation
  tags: resolved
"""
PORTAL = """\
"Name of Covered Entity","State","Covered Entity Type","Individuals Affected","Breach Submission Date","Type of Breach","Location of Breached Information","Business Associate Present","Web Description"
"Riverside Clinic","OH","Healthcare Provider","1,204","03/05/2015","Theft, Loss","Other Portable Electronic Device, Paper/Films","No","A bag with charts was stolen."
"riverside  clinic","OH","Healthcare Provider","600","06/09/2016","Unauthorized Access/Disclosure","Electronic Medical Record","Yes","A clerk opened charts."
"Hill Plan","","Health Plan","900","07/09/2016","Hacking/IT Incident","Network Server","No",""
"Hill Plan","TX","Health Plan","700","08/09/2016","Other","Other","","A letter went astray."
"""
BOARD = """\
Last Name,First Name,Middle Name,Name Suffix,Address,License Number,License Type,Year of Birth,Effective Date,Action,Misconduct Description,Date Updated
Doe,Ann,,,"1 Elm St",012345,MD,1950,03/05/1999,License surrender.,"The physician did not contest having borrowed money from a patient.",03/06/1999
Doe,Ann,,,"1 Elm St",012345,MD,1950,03/05/1999,Fine.,"The physician paid late.",03/06/1999
Roe,Bob,,,"2 Elm St",000000,PA,1960,11/30/2004,Censure.,"Not available to the public in full.",12/06/2004
Poe,Cy,,,"3 Elm St",543210,DO,1961,11/30/2004,Censure.,,12/06/2004
"""
API = """\
"last_name","first_name","licensenum","licensetype","effectivedate","webaction","webnotes"
"Doe","Ann","012345","MD","1999-03-05T00:00:00.000","License surrender.","The physician did not contest having borrowed money from a patient."
"""


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """Neither a folder of data nor a cache."""
    monkeypatch.delenv("BOUNDARY_RESEARCH_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_dataset_files, "cache_folder", lambda: tmp_path / "cache" / "datasets")
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def server():
    """A server on this machine; `pages` are its files, `asked` what was asked of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.command, self.path))
            body = self.server.pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        site.pages, site.asked = {}, []
        site.url = f"http://127.0.0.1:{site.server_port}"
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    """An address at which nobody answers."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as site:
        port = site.server_port
    return f"http://127.0.0.1:{port}"


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def as_upstream_csv(path):
    """The CSV of YAML above, in the form in which GovTrack publishes its own."""
    rows = [
        ["2019-03-01", "2019-05", "400001", "Doe", "filing [late](https://example.org/x)",
         "Doe was [fined by the committee](https://example.org/a_(b).html) for a late report.",
         "", "X", "X", "", "", "X", ""],
        ["2009", "2009", "400002", "Roe", "this and that",
         "Roe is accused of two things: this, and that.", "X", "", "", "X", "X", "", ""],
        ["2009", "2009", "400002", "Roe", "leaving", "Roe left.", "", "", "X", "", "", "", "X"],
    ]  # fmt: skip
    names = "first_date last_date person name allegation text corruption ethics resolved sexual-harassment-abuse unresolved fined resignation"
    pd.DataFrame(rows, columns=names.split()).to_csv(path, index=False, lineterminator="\r\n")
    return path


# GovTrack


def test_govtrack_yaml(tmp_path):
    loaded = datasets.load_govtrack(write(tmp_path, "misconduct.yaml", YAML))
    table = loaded.incidents.set_index("incident_id")
    # Entries are added at the top of the file: the older of two alike has the plain id.
    assert list(table.index) == ["400001-2019-03-01", "400002-2009-2", "400002-2009"]
    assert table["narrative"].iloc[0] == "Doe was fined by the committee for a late report."
    assert table["allegation"].iloc[0] == "filing late"
    assert table["stage"].tolist() == ["finding", "investigation", "not_stated"]
    assert table["first_date"].tolist() == ["2019-03-01", "2009", "2009"]
    assert table["last_date"].iloc[0] == "2019-05"
    assert table["practitioner_id"].tolist() == ["400001", "400002", "400002"]
    assert table["tag_sexual_harassment_abuse"].tolist() == [0, 1, 0]
    assert table["tag_fined"].tolist() == [1, 0, 0]
    assert "name" not in table.columns
    assert loaded.rejects.empty


def test_govtrack_yaml_and_csv_give_the_same_table(tmp_path):
    from_yaml = datasets.load_govtrack(write(tmp_path, "misconduct.yaml", YAML))
    from_csv = datasets.load_govtrack(as_upstream_csv(tmp_path / "misconduct-instances.csv"))
    pd.testing.assert_frame_equal(from_yaml.incidents, from_csv.incidents)
    assert (from_yaml.source["form"], from_csv.source["form"]) == ("yaml", "csv")


def test_govtrack_ids_stay_when_an_entry_is_added_at_the_top(tmp_path):
    old = datasets.load_govtrack(write(tmp_path, "old.yaml", YAML)).incidents
    entry = YAML[YAML.rindex("- person") :].replace("Roe left.", "Roe came back.")
    new = datasets.load_govtrack(write(tmp_path, "new.yaml", entry + YAML)).incidents
    assert new["incident_id"].iloc[0] == "400002-2009-3"
    pd.testing.assert_frame_equal(new.iloc[1:].reset_index(drop=True), old)


def test_govtrack_sets_entries_aside_that_are_not_of_its_form(tmp_path):
    broken = YAML + "- just text\n- person: 7\n  text: ''\n  consequences: []\n"
    loaded = datasets.load_govtrack(write(tmp_path, "misconduct.yaml", broken))
    assert len(loaded.incidents) == 3
    assert loaded.rejects["row"].tolist() == [4, 5]
    assert loaded.rejects["reason"].str.contains("consequences").all()


@pytest.mark.parametrize("text", ["a: 1\n", "", "- [\n", "- !!python/name:os.system\n"])
def test_govtrack_yaml_that_is_no_list_of_cases(tmp_path, text):
    path = write(tmp_path, "misconduct.yaml", text)
    with pytest.raises(DataError, match=r"misconduct\.yaml"):
        datasets.load_govtrack(path)


@given(st.text(alphabet="ab []()", max_size=30))
def test_links_lose_nothing_but_their_address(text):
    shown = _dataset_tables._without_links(text)
    assert _dataset_tables._without_links(f"[x y](http://e.org/q) {text}") == f"x y {shown}"
    assert len(shown) <= len(text)


# HHS


def test_portal_export(tmp_path):
    loaded = datasets.load_hhs_breaches(write(tmp_path, "breach_report.csv", PORTAL))
    table = loaded.incidents
    assert table["submission_date"].tolist() == ["2015-03-05", "2016-06-09", "2016-08-09"]
    assert table["individuals_affected"].tolist() == [1204, 600, 700]
    assert table["business_associate_present"].tolist() == ["no", "yes", "not_stated"]
    assert set(table["stage"]) == {"investigation"}
    # "Other" is no part of "Other Portable Electronic Device".
    assert table["location_other"].tolist() == [0, 0, 1]
    assert table["location_other_portable_electronic_device"].tolist() == [1, 0, 0]
    assert table["location_electronic_medical_record"].tolist() == [0, 1, 0]
    assert table["location_paper"].tolist() == [1, 0, 0]
    assert (table["type_theft"] + table["type_loss"]).tolist() == [2, 0, 0]
    # One organisation, written in two ways, is one agency, and its name is nowhere.
    assert table["agency_id"].nunique() == 2
    assert table["agency_id"].iloc[0] == table["agency_id"].iloc[1]
    assert not table.drop(columns="narrative").astype(str).apply(
        lambda column: column.str.contains("riverside|hill", case=False)
    ).any(axis=None)  # fmt: skip
    assert loaded.rejects["row"].tolist() == [3]
    assert loaded.rejects["reason"].tolist() == ["no text in 'Web Description'"]


def test_portal_ids_do_not_depend_on_the_order_of_rows(tmp_path):
    lines = PORTAL.splitlines()
    lines.append(lines[1].replace("1,204", "888").replace("charts", "books"))
    one = datasets.load_hhs_breaches(write(tmp_path, "a.csv", "\n".join(lines)))
    other = datasets.load_hhs_breaches(
        write(tmp_path, "b.csv", "\n".join([lines[0], *lines[:0:-1]]))
    )
    ids = [
        loaded.incidents.set_index("narrative")["incident_id"].sort_index()
        for loaded in (one, other)
    ]
    pd.testing.assert_series_equal(*ids)
    assert ids[0].is_unique


def test_archive_of_breach_narratives(real_data, monkeypatch):
    if not (real_data / "hhs_breach_narratives.csv").is_file():
        pytest.skip("hhs_breach_narratives.csv not found; set BOUNDARY_RESEARCH_DATA to its folder")
    monkeypatch.setenv("BOUNDARY_RESEARCH_DATA", str(real_data))
    loaded = datasets.load_hhs_breaches()
    table = loaded.incidents
    assert len(table) == 2073
    assert loaded.source["copy"] == "the copy this release was tested with"
    assert loaded.rejects["reason"].tolist() == ["no text in 'narrative'"]
    # Two columns that the archive has right, computed anew here.
    raw = pd.read_csv(real_data / "hhs_breach_narratives.csv", dtype={"breach_id": str})
    raw = raw[raw["narrative"].notna()].reset_index(drop=True)
    for ours, theirs in {
        "location_paper": "lobi_paper",
        "location_laptop": "lobi_laptop",
        "type_theft": "tob_theft",
        "type_unauthorized_access": "tob_unauthorized_access",
    }.items():
        assert (table[ours] == raw[theirs]).all(), ours
    # And three that it has wrong, as the loader's notes say.
    for ours, theirs in {
        "location_electronic_medical_record": "lobi_electronic_medical_record",
        "location_other_portable_electronic_device": "lobi_other_portable_electronic_device",
        "location_other": "lobi_unknown",
    }.items():
        assert (table[ours] <= raw[theirs]).all(), ours
        assert (table[ours] != raw[theirs]).any(), ours
    stated = raw["date"].notna()
    assert (table["submission_date"] == raw["date"])[stated].all()
    assert (table["narrative"] == raw["narrative"]).all()


def test_real_copy_of_govtrack(real_data, monkeypatch):
    if not (real_data / "govtrack_misconduct.csv").is_file():
        pytest.skip("govtrack_misconduct.csv not found; set BOUNDARY_RESEARCH_DATA to its folder")
    monkeypatch.setenv("BOUNDARY_RESEARCH_DATA", str(real_data))
    loaded = datasets.load_dataset("govtrack")
    assert len(loaded.incidents) == 508
    assert loaded.rejects.empty
    assert loaded.incidents.filter(like="tag_").shape[1] == 18
    # Two links of the source are broken (a bracket is missing) and stay as they are.
    raw = pd.read_csv(real_data / "govtrack_misconduct.csv")["text"]
    assert raw.str.contains("http").sum() > 200
    assert loaded.incidents["narrative"].str.contains("http").sum() == 2
    assert loaded.source["copy"] == "the copy this release was tested with"


# New York


def test_board_actions(tmp_path):
    loaded = datasets.load_new_york_physicians(write(tmp_path, "ebmi-8ctw.csv", BOARD))
    table = loaded.incidents
    assert table["effective_date"].tolist() == ["1999-03-05", "1999-03-05", "2004-11-30"]
    assert table["license_type"].tolist() == ["MD", "MD", "PA"]
    assert table["action"].tolist() == ["License surrender.", "Fine.", "Censure."]
    assert set(table["stage"]) == {"finding"}
    assert table["practitioner_id"].nunique() == 2
    first, second = table["incident_id"].iloc[:2]
    assert {first, second} == {second, f"{second}-2"}  # "Fine." sorts before "License"
    assert not {"Last Name", "Address", "Year of Birth", "License Number"} & set(table.columns)
    kept = table.drop(columns="narrative").astype(str).to_csv()
    assert not any(secret in kept for secret in ("Doe", "Elm St", "012345", "1950"))
    assert loaded.rejects["reason"].tolist() == ["no text in 'Misconduct Description'"]
    assert loaded.source["copy"] == "not the copy this release was tested with"


def test_board_actions_of_the_data_interface_have_the_same_ids(tmp_path):
    single = "\n".join(BOARD.splitlines()[:2])
    download = datasets.load_new_york_physicians(write(tmp_path, "a.csv", single)).incidents
    interface = datasets.load_new_york_physicians(write(tmp_path, "b.csv", API)).incidents
    pd.testing.assert_frame_equal(download, interface)


# All of them


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_a_file_of_other_columns_is_refused_with_both_lists(tmp_path, name):
    path = write(tmp_path, "other.csv", "case,story\n1,He came late.\n")
    with pytest.raises(DataError, match="case, story") as error:
        datasets.load_dataset(name, path)
    assert "He came late" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text"), [("hhs_breaches", PORTAL), ("new_york_physicians", BOARD)]
)
def test_a_file_without_a_narrative_is_refused(tmp_path, name, text):
    path = write(tmp_path, "empty.csv", text.splitlines()[0] + "\n")
    with pytest.raises(DataError, match="no narrative that can be used"):
        datasets.load_dataset(name, path)


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("govtrack", "misconduct.yaml", YAML),
        ("hhs_breaches", "breach_report.csv", PORTAL),
        ("new_york_physicians", "new_york_physicians.csv", BOARD),
    ],
)
def test_folder_override_and_card(tmp_path, monkeypatch, name, file, text):
    monkeypatch.setenv("BOUNDARY_RESEARCH_DATA", str(tmp_path))
    assert file in datasets.missing_reason(name)
    write(tmp_path, file, text)
    assert datasets.missing_reason(name) is None
    loaded = datasets.load_dataset(name)
    check_table(loaded.incidents, "incidents")
    card = CARDS[name]
    shown = " ".join(repr(loaded).split())
    for said in (card.licence, card.homepage, card.stage, card.coded_by, *card.cannot_show):
        assert " ".join(said.split()) in shown
    assert f"{len(loaded.incidents)} narratives" in shown
    assert loaded.source["sha256"] == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
    assert max(map(len, repr(loaded).splitlines()[1:])) <= 120
    assert set(loaded.incidents["stage"]) <= {"investigation", "finding", "not_stated"}


def test_unknown_name():
    with pytest.raises(DataError, match="Available: govtrack, hhs_breaches, new_york_physicians"):
        datasets.load_dataset("govtrak")
    with pytest.raises(DataError, match="Available"):
        datasets.missing_reason("govtrak")


def test_hash_of_a_file_of_ones_own(tmp_path):
    path = write(tmp_path, "misconduct.yaml", YAML)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(datasets.load_govtrack(path, sha256=right.upper()).incidents) == 3
    with pytest.raises(DataError, match="another version, or was changed"):
        datasets.load_govtrack(path, sha256="0" * 64)


def test_folder_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("BOUNDARY_RESEARCH_DATA", str(tmp_path / "nowhere"))
    assert "is no folder" in datasets.missing_reason("govtrack")
    with pytest.raises(DataError, match="is no folder"):
        datasets.load_govtrack()


# Downloads


def test_download_once_then_from_the_cache(no_folder, server, monkeypatch):
    said = []
    monkeypatch.setattr(pooch.get_logger(), "handle", said.append)
    server.pages["/misconduct.yaml"] = YAML.encode()
    url, right = f"{server.url}/misconduct.yaml", hashlib.sha256(YAML.encode()).hexdigest()
    first = datasets.load_govtrack(url=url, sha256=right)
    again = datasets.load_govtrack(url=url, sha256=right)
    assert server.asked == [("GET", "/misconduct.yaml")]
    assert first.source["read_from"].startswith("downloaded")
    assert again.source["read_from"].startswith("the cache")
    pd.testing.assert_frame_equal(first.incidents, again.incidents)
    assert not list(no_folder.glob(".new-*"))
    assert said == []


def test_wrong_hash_keeps_nothing(no_folder, server):
    server.pages["/misconduct.yaml"] = YAML.encode()
    with pytest.raises(DataError, match="does not have the SHA-256 asked for"):
        datasets.load_govtrack(url=f"{server.url}/misconduct.yaml", sha256="0" * 64)
    assert not [file for file in no_folder.rglob("*") if file.is_file()]


def test_cached_copy_with_another_hash(no_folder, server):
    server.pages["/misconduct.yaml"] = YAML.encode()
    url = f"{server.url}/misconduct.yaml"
    datasets.load_govtrack(url=url)
    with pytest.raises(DataError, match="refresh=True"):
        datasets.load_govtrack(url=url, sha256="0" * 64)


def test_refresh_takes_the_new_file_and_a_failed_one_keeps_the_old(no_folder, server):
    server.pages["/rows.csv"] = BOARD.encode()
    url = f"{server.url}/rows.csv"
    assert len(datasets.load_new_york_physicians(url=url).incidents) == 3
    server.pages["/rows.csv"] = "\n".join(BOARD.splitlines()[:2]).encode()
    assert len(datasets.load_new_york_physicians(url=url).incidents) == 3
    assert len(datasets.load_new_york_physicians(url=url, refresh=True).incidents) == 1
    server.pages.clear()
    with pytest.raises(DataError, match="answered with 404"):
        datasets.load_new_york_physicians(url=url, refresh=True)
    assert len(datasets.load_new_york_physicians(url=url).incidents) == 1


def test_empty_answer_is_refused(no_folder, server):
    server.pages["/rows.csv"] = b""
    with pytest.raises(DataError, match="empty file"):
        datasets.load_new_york_physicians(url=f"{server.url}/rows.csv")


def test_server_down(no_folder, closed_port):
    with pytest.raises(DataError, match="could not be reached") as error:
        datasets.load_govtrack(url=f"{closed_port}/misconduct.yaml")
    assert "BOUNDARY_RESEARCH_DATA" in str(error.value)
    assert "misconduct.yaml" in str(error.value)


def test_cache_that_cannot_be_written(no_folder, server):
    server.pages["/misconduct.yaml"] = YAML.encode()
    no_folder.parent.parent.mkdir(exist_ok=True)
    no_folder.parent.write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot be kept in"):
        datasets.load_govtrack(url=f"{server.url}/misconduct.yaml")


def test_portal_without_a_file_says_how_to_get_one(no_folder):
    with pytest.raises(DataError, match=r"export as CSV") as error:
        datasets.load_hhs_breaches()
    assert "breach_report.jsf" in str(error.value)
    assert datasets.missing_reason("hhs_breaches") == str(error.value)


def test_missing_reason_asks_the_network_only_when_told_to(
    no_folder, server, closed_port, monkeypatch
):
    def card_at(url):
        from dataclasses import replace

        monkeypatch.setitem(CARDS, "govtrack", replace(CARDS["govtrack"], url=url))

    card_at(f"{server.url}/misconduct.yaml")
    server.pages["/misconduct.yaml"] = YAML.encode()
    assert "Loading it once downloads it" in datasets.missing_reason("govtrack")
    assert server.asked == []
    assert datasets.missing_reason("govtrack", network=True) is None
    assert server.asked == [("HEAD", "/misconduct.yaml")]
    server.pages.clear()
    assert "404" in datasets.missing_reason("govtrack", network=True)
    server.pages["/misconduct.yaml"] = YAML.encode()
    datasets.load_dataset("govtrack")
    card_at(f"{closed_port}/misconduct.yaml")
    assert datasets.missing_reason("govtrack") is None  # in the cache
    (no_folder / CARDS["govtrack"].cache_name).unlink()
    assert "could not be reached" in datasets.missing_reason("govtrack", network=True)


def test_import_opens_no_connection_and_loads_no_http_library():
    code = (
        "import sys, boundary_research.corpus.datasets; "
        "assert not {'pooch', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The sample of real reports, kept as ids and codes

REPORTS = Path(__file__).resolve().parents[1] / "data" / "real_reports"


def read_report_table(name):
    return pd.read_csv(REPORTS / f"{name}.csv", dtype={"incident_id": str})


def test_real_sample_is_drawn_again_from_its_frame():
    design = json.loads((REPORTS / "design.json").read_text())
    frame = read_report_table("frame")
    calls = frame.drop(columns="medium").melt("incident_id", var_name="category")
    calls["category"] = calls["category"].str.removeprefix("predicted_")
    calls["probability"] = calls.pop("value").astype(float)
    calls["decision"] = calls["probability"].map({0.0: "absent", 1.0: "present"})
    rng = np.random.default_rng(design["random_state"])
    parts = []
    for medium, n in design["n_by_group"].items():
        population = frame.loc[frame["medium"] == medium, ["incident_id"]]
        coded = calls[calls["incident_id"].isin(population["incident_id"])]
        part = draw_two_phase(population, n, coded, random_state=rng)
        part["stratum"] = f"{medium} / " + part["stratum"]
        parts.append(part.assign(medium=medium))
    sample = read_report_table("sample")
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), sample, check_dtype=False)
    assert len(sample) == design["drawn"] >= 150


def test_real_sample_holds_no_text():
    for name in ("frame", "sample"):
        table = read_report_table(name)
        assert table["incident_id"].is_unique
        assert "narrative" not in table.columns
        assert table.astype(str).map(len).to_numpy().max() < 60


def test_real_sample_fits_the_reports(real_data):
    file = real_data / "hhs_breach_narratives.csv"
    if not file.is_file():
        pytest.skip("hhs_breach_narratives.csv not found; set BOUNDARY_RESEARCH_DATA to its folder")
    design = json.loads((REPORTS / "design.json").read_text())
    table = datasets.load_hhs_breaches(file, sha256=design["source_sha256"]).incidents
    frame = read_report_table("frame")
    assert table["incident_id"].tolist() == frame["incident_id"].tolist()
    assert ((frame["medium"] == "paper") == (table["location_paper"] == 1)).all()
