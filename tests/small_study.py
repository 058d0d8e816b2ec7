"""A study small enough to be run several times in the tests."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from boundary_research import load_corpus, run_study

STUDY = """\
# Comments stay where they are.
title: A small study
notice: The narratives are fictional.
seed: 3
codebook: codebook.yaml
incidents:
  file: ../material/incidents.csv   # outside of the study's folder
  recode:
    community: {from: setting, levels: {large: [urban, suburban, town], small: [rural, small_community_nonrural]}}
gold: {sample: sample.csv, codings: tables/codings.csv, coders: [coder_a, coder_b], gold: ../more/codings.csv}
classifier: {train_on: gold, folds: 2, groups: agency_id}
prevalence: {by: [community], clusters: agency_id}
risk_factors: {formula: ~ community, term: "community[T.small]", clusters: agency_id}
"""
CODEBOOK = """\
id: two
name: Two categories
version: "1"
categories:
  - {id: gifts_favours, label: Gifts, definition: Gifts or favours.}
  - {id: service_inadequate, label: Service, definition: A service was not provided.}
"""


def write_small_study(parent: Path, *, n: int = 128, n_gold: int = 80) -> Path:
    """Write a study into `parent`/study, some of its inputs beside it; return its folder."""
    folder = parent / "study"
    for name in ("study/tables", "material", "more"):
        (parent / name).mkdir(parents=True)
    corpus = load_corpus().split("train")
    ids = corpus.incidents["incident_id"].iloc[:n]
    part = corpus.subset(ids)
    rng = np.random.default_rng(1)
    agencies = rng.choice([f"A{i:02d}" for i in range(25)], n)
    part.incidents.assign(agency_id=agencies).to_csv(parent / "material/incidents.csv", index=False)
    drawn = rng.choice(ids, n_gold, replace=False)
    sample = pd.DataFrame({"incident_id": drawn, "inclusion_probability": n_gold / n})
    sample.to_csv(folder / "sample.csv", index=False)
    part.codings.to_csv(folder / "tables/codings.csv", index=False)
    # Two inputs of one file name, so that an archive has to tell them apart.
    part.gold.to_csv(parent / "more/codings.csv", index=False)
    (folder / "codebook.yaml").write_text(CODEBOOK)
    (folder / "study.yaml").write_text(STUDY)
    return folder


@cache
def small_study_with_results() -> Path:
    """Return the folder of a small study that was run; made once, to be copied and not changed."""
    parent = Path(tempfile.mkdtemp(prefix="small-study-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    folder = write_small_study(parent)
    run_study(folder)
    return folder
