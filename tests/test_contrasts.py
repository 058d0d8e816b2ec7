import re

import numpy as np
import pandas as pd
import pytest

from boundary_research import load_codebook, load_corpus
from boundary_research.classifier.default_model import build_training_set, default_training_set
from boundary_research.corpus.bundled import data_folder
from boundary_research.corpus.contrasts import intended_codes, load_contrasts


@pytest.fixture(scope="module")
def contrasts():
    return load_contrasts()


@pytest.fixture(scope="module")
def raw():
    folder = data_folder() / "contrasts"
    names = ("narratives", "stories", "codes", "evidence")
    return {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in names}


def test_every_story_has_two_versions_that_differ_in_both_its_categories(contrasts):
    sizes = contrasts.incidents.groupby("pair_id").size()
    assert (sizes == 2).all()
    for _, pair in contrasts.codes.groupby(contrasts.incidents["pair_id"].to_numpy()):
        assert (pair.iloc[0] != pair.iloc[1]).sum() == 2


def test_only_stories_that_author_and_blind_coder_agree_on_are_taken(contrasts, raw):
    every = raw["narratives"].merge(raw["stories"], on="story_id")
    coded = raw["codes"].set_index("incident_id").astype(bool).loc[every["incident_id"]]
    same = (intended_codes(every, list(coded.columns)) == coded).all(axis=1).to_numpy()
    differing = set(every.loc[~same, "story_id"])
    assert differing, "some coder differed; if none did, nothing is left out"
    taken = set(contrasts.incidents["pair_id"])
    assert taken.isdisjoint(differing)
    assert taken | differing == set(raw["stories"]["story_id"])


def test_codes_are_those_of_the_codebook_and_every_category_is_taught(contrasts):
    assert list(contrasts.codes.columns) == load_codebook().category_ids
    assert contrasts.codes.index.tolist() == contrasts.incidents["incident_id"].tolist()
    assert (contrasts.codes.sum() >= 100).all()


def test_every_present_code_has_evidence_inside_its_narrative(contrasts):
    length = contrasts.incidents.set_index("incident_id")["narrative"].str.len()
    evidence = contrasts.evidence
    assert (evidence["start"] < evidence["end"]).all()
    assert (evidence["end"] <= evidence["incident_id"].map(length)).all()
    marked = set(zip(evidence["incident_id"], evidence["category"], strict=True))
    present = contrasts.codes.stack()
    assert marked == set(present[present].index)


def test_versions_differ_in_a_few_words(contrasts):
    shared = []
    for _, pair in contrasts.incidents.groupby("pair_id")["narrative"]:
        one, other = (set(re.findall(r"\w+", text.lower())) for text in pair)
        shared.append(len(one & other) / len(one | other))
    assert np.median(shared) > 0.7


def test_nothing_in_them_looks_like_an_identifier(contrasts):
    text = contrasts.incidents["narrative"]
    assert not text.str.contains(r"@|https?:|\d{3}[-. ]\d{4}|\d{6,}").any()


def test_no_narrative_comes_close_to_one_of_the_test_authors(contrasts):
    def grams(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    owner = {}
    tested = load_corpus().split("test").incidents
    for number, text in enumerate(tested["narrative"]):
        for gram in grams(text):
            owner.setdefault(gram, set()).add(number)
    sizes = [len(grams(text)) for text in tested["narrative"]]
    most = 0.0
    for text in contrasts.incidents["narrative"]:
        own = grams(text)
        common = {}
        for gram in own:
            for number in owner.get(gram, ()):
                common[number] = common.get(number, 0) + 1
        for number, n in common.items():
            most = max(most, n / (len(own) + sizes[number] - n))
    assert most < 0.05


def test_authors_wrote_nothing_in_the_corpus(contrasts):
    assert set(contrasts.incidents["author_id"]).isdisjoint(load_corpus().incidents["author_id"])


def test_a_training_set_marks_contrasts_as_auxiliary(contrasts):
    corpus = load_corpus().split("development")
    both = build_training_set(corpus, contrasts)
    n = len(corpus.incidents)
    assert both.texts[:n] == corpus.incidents["narrative"].tolist()
    assert both.options["auxiliary"] == [False] * n + [True] * len(contrasts.incidents)
    assert both.codes.index.is_unique
    assert len(both.texts) == len(both.codes) == len(both.pairs) == len(both.options["groups"])
    alone = build_training_set(corpus)
    assert alone.codes.equals(corpus.codes)
    assert not any(alone.options["auxiliary"])


def test_the_default_training_set_leaves_the_test_authors_alone():
    test = set(load_corpus().split("test").incidents["author_id"])
    assert test.isdisjoint(default_training_set().options["groups"])
