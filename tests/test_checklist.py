from dataclasses import replace

import pytest
from study_runs import shared_run

from boundary_research.study.checklist import (
    ANSWERED,
    OPEN,
    PARTLY,
    RECORD,
    STATUSES,
    STROBE,
    checklist_section,
    fill_checklist,
)
from boundary_research.study.references import REFERENCES, cite, list_cited
from boundary_research.study.report_sections import build_report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared_run(tmp_path_factory)


def status(run, number, checklist="STROBE"):
    table = fill_checklist(run).set_index(["checklist", "item"])
    return table.loc[(checklist, number), "status"]


def test_every_item_of_both_checklists_is_there_once():
    # The statement's numbering: 22 items, of which 1, 12, 14 and 16 have letters.
    letters = {"1": "ab", "12": "abcde", "14": "ab", "16": "abc"}
    expected = [f"{n}{x}" for n in map(str, range(1, 23)) for x in letters.get(n, [""])]
    assert [item.number for item in STROBE] == expected
    expected = "1.1 1.2 1.3 6.1 6.2 6.3 7.1 12.1 12.2 12.3 13.1 19.1 22.1".split()
    assert [item.number for item in RECORD] == expected


def test_every_answer_has_a_status_and_a_place(run):
    table = fill_checklist(run)
    assert set(table["status"]) <= set(STATUSES)
    assert (table["where"].str.len() > 5).all()
    assert len(table) == len(STROBE) + len(RECORD)


def test_places_named_are_in_the_report(run):
    import re

    report = build_report(run)
    named = {section.title for section in report.sections}
    for section in report.sections:
        named |= {part.text for part in section.paragraphs if part.kind == "heading"}
    for where in fill_checklist(run)["where"]:
        for place in re.findall("“([^”]+)”", where):
            assert place in named, place


def test_what_the_plan_lacks_is_left_to_the_authors(run):
    assert status(run, "3") == ANSWERED
    assert status(replace(run, plan=replace(run.plan, question="")), "3") == OPEN
    assert status(run, "12d") == ANSWERED
    assert status(replace(run, plan=replace(run.plan, sampling={})), "12d") == PARTLY
    assert status(run, "10") == OPEN
    told = {**run.plan.sampling, "description": "For intervals of five points."}
    assert status(replace(run, plan=replace(run.plan, sampling=told)), "10") == PARTLY
    tables = {name: table for name, table in run.tables.items() if name != "reliability"}
    assert status(run, "6.2", "RECORD") == ANSWERED
    assert status(replace(run, tables=tables), "6.2", "RECORD") == PARTLY
    tables = {name: table for name, table in run.tables.items() if name != "risk_factors"}
    assert status(run, "16a") == PARTLY
    assert status(replace(run, tables=tables), "16a") == ANSWERED


def test_section_counts_the_statuses(run):
    section, table = checklist_section(run), fill_checklist(run)
    n = int((table["status"] == OPEN).sum())
    assert f"{n} left to the authors" in section.paragraphs[0].text
    assert len(section.tables[0].rows) == len(table)


def test_references_are_those_that_are_cited():
    entries = list_cited([f"As is known {cite('holm', 'alpha')}."])
    assert [entry.split(" ")[0] for entry in entries] == ["Holm", "Krippendorff"]
    # A short form that is part of another would list a work that nobody cites.
    forms = [short for short, _ in REFERENCES.values()]
    assert not [(a, b) for a in forms for b in forms if a != b and a in b]
    for short, entry in REFERENCES.values():
        assert short.split(",")[0].split(" ")[-1 if short.startswith("van") else 0][:3] in entry
        assert short[-4:] in entry
