import pandas as pd
import pytest

from boundary_research import DataError, load_codebook, load_corpus
from boundary_research._tables import check_table


@pytest.fixture(scope="module")
def corpus():
    return load_corpus()


def test_tables_fit_their_schemas(corpus):
    check_table(corpus.incidents, "incidents")
    check_table(corpus.gold, "gold")
    check_table(corpus.codings, "codings")


def test_gold_decides_every_category_of_every_narrative(corpus):
    book = load_codebook()
    assert len(corpus.gold) == len(corpus.incidents) * len(book)
    assert set(corpus.gold["category"]) == set(book.category_ids)
    assert corpus.codes.shape == (len(corpus.incidents), len(book))


def test_severity_stands_with_every_present_category(corpus):
    gold = corpus.gold
    assert gold.loc[gold["present"] == 1, "severity"].notna().all()
    assert gold.loc[gold["present"] == 0, "severity"].isna().all()


def test_evidence_lies_inside_its_narrative_and_every_code_has_some(corpus):
    length = corpus.incidents.set_index("incident_id")["narrative"].str.len()
    evidence = corpus.evidence
    assert (evidence["start"] < evidence["end"]).all()
    assert (evidence["end"] <= evidence["incident_id"].map(length)).all()
    present = corpus.gold[corpus.gold["present"] == 1]
    with_evidence = set(zip(evidence["incident_id"], evidence["category"], strict=True))
    wanted = set(zip(present["incident_id"], present["category"], strict=True))
    assert wanted == with_evidence


def test_identifiers_stand_where_they_say(corpus):
    texts = corpus.incidents.set_index("incident_id")["narrative"]
    for row in corpus.identifiers.sample(200, random_state=1).itertuples():
        piece = texts[row.incident_id][row.start : row.end]
        assert piece.strip() == piece
        assert piece
        if row.kind == "email":
            assert "@" in piece
            assert "example" in piece


def test_attributes_use_the_codebooks_levels(corpus):
    for attribute in load_codebook().attributes:
        if attribute.id in corpus.incidents and not attribute.open:
            values = set(corpus.incidents[attribute.id].dropna())
            assert values <= set(attribute.levels), attribute.id


def test_three_coders_decided_every_cell(corpus):
    cells = corpus.codings.drop_duplicates(["incident_id", "coder_id", "category"])
    assert cells["coder_id"].value_counts().to_dict() == dict.fromkeys(
        ["coder_a", "coder_b", "novice"], len(corpus.gold)
    )


def test_agreed_gold_is_what_both_trained_coders_said(corpus):
    cells = corpus.codings.drop_duplicates(["incident_id", "coder_id", "category"])
    wide = cells.pivot(index=["incident_id", "category"], columns="coder_id", values="present")
    gold = corpus.gold.set_index(["incident_id", "category"])
    agreed = gold[gold["source"] == "agreed"]
    for coder in ("coder_a", "coder_b"):
        assert (wide.loc[agreed.index, coder] == agreed["present"]).all()


def test_parts_hold_together(corpus):
    parts = [corpus.split(name) for name in ("train", "development", "test")]
    assert sum(len(p.incidents) for p in parts) == len(corpus.incidents)
    test = parts[2]
    assert set(test.gold["incident_id"]) == set(test.incidents["incident_id"])
    assert test.codes.index.tolist() == test.incidents["incident_id"].tolist()
    with pytest.raises(DataError, match="Available: train, development, test"):
        corpus.split("dev")


def test_datasheet_says_what_wrote_and_coded_it():
    from boundary_research.corpus.bundled import data_folder

    text = " ".join((data_folder() / "corpus" / "DATASHEET.md").read_text("utf-8").split())
    for sentence in ("fictional", "large language model", "not by human"):
        assert sentence in text


def test_corpus_keeps_its_promises():
    from boundary_research.study.corpus_check import check_corpus

    checks = check_corpus()
    assert checks["holds"].all(), checks[~checks["holds"]].to_string()
    assert isinstance(checks, pd.DataFrame)
