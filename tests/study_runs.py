"""Runs of a small study with known tables, made without training a classifier."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml

from boundary_research.classifier.decisions import tabulate
from boundary_research.classifier.evaluation import evaluate
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.codebook.model import load_codebook
from boundary_research.coding.reliability import agreement_table
from boundary_research.corpus.incidents import load_incidents
from boundary_research.inference.plots import plot_forest, plot_prevalence
from boundary_research.inference.risk import risk_factors
from boundary_research.inference.shares import prevalence
from boundary_research.study import plots
from boundary_research.study.plan import load_plan
from boundary_research.study.registration import compare_registration
from boundary_research.study.run import StudyRun
from boundary_research.study.tables import count_cooccurrence, count_decisions

LABELS = {"money": "Money & gifts", "gossip": "Gossip <spread>", "absence": "Absence_of help"}
TERM = "community[T.small]"
N, N_GOLD = 240, 120
PLAN = {
    "title": "A study of three categories",
    "question": "Is more money lent in small places?",
    "authors": ["A. Author", "B. Writer"],
    "seed": 5,
    "codebook": "codebook.yaml",
    "incidents": {"file": "incidents.csv"},
    "sampling": {"design": "stratified", "n": N_GOLD, "strata": ["community"], "seed": 3},
    "coders": [
        {"id": "ann", "kind": "human", "training": "Two days with the codebook"},
        {"id": "bea", "kind": "human", "training": "Two days with the codebook"},
    ],
    "gold": {"sample": "sample.csv", "codings": "codings.csv", "gold": "gold.csv"},
    "classifier": {"train_on": "gold", "folds": 4, "groups": "agency_id"},
    "prevalence": {"by": ["community"], "clusters": "agency_id"},
    "risk_factors": {"formula": "~ community", "term": TERM, "contrasts": {"community": "large"}},
}


def _tables(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Return incidents, sample, gold and codings with a true odds ratio above 1 for `money`."""
    ids = [f"i{i:03d}" for i in range(N)]
    community = rng.choice(["large", "small", "not_stated"], N, p=[0.5, 0.4, 0.1])
    incidents = pd.DataFrame(
        {
            "incident_id": ids,
            "narrative": [f"Secret narrative number {i}." for i in range(N)],
            "community": community,
            "agency_id": rng.choice([f"A{i:02d}" for i in range(30)], N),
        }
    )
    small = community == "small"
    share = np.column_stack([np.where(small, 0.5, 0.2), np.full(N, 0.3), np.full(N, 0.25)])
    truth = rng.random((N, 3)) < share
    parts = []
    for level, part in incidents.groupby("community"):
        chosen = part["incident_id"].sample(len(part) // 2, random_state=1)
        parts.append(
            pd.DataFrame(
                {
                    "incident_id": chosen,
                    "inclusion_probability": len(chosen) / len(part),
                    "stratum": level,
                }
            )
        )
    sample = pd.concat(parts, ignore_index=True)
    place = {name: i for i, name in enumerate(ids)}
    gold, codings = [], []
    for name in sample["incident_id"]:
        for j, category in enumerate(LABELS):
            real = bool(truth[place[name], j])
            gold.append((name, category, real, "agreed"))
            for coder in ("ann", "bea"):
                codings.append((name, coder, category, real ^ (rng.random() < 0.05)))
    return {
        "incidents": incidents,
        "sample": sample,
        "gold": pd.DataFrame(gold, columns=["incident_id", "category", "present", "source"]),
        "codings": pd.DataFrame(
            codings, columns=["incident_id", "coder_id", "category", "present"]
        ),
        "truth": pd.DataFrame(truth, index=ids, columns=list(LABELS)),
    }


def make_run(
    folder: Path, *, drop: tuple[str, ...] = (), register: bool = False, **changes
) -> StudyRun:
    """Return a run in `folder`; `changes` replace keys of the plan, `drop` leaves keys out."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    made = _tables(rng)
    for name in ("incidents", "sample", "gold", "codings"):
        made[name].to_csv(folder / f"{name}.csv", index=False)
    categories = [{"id": k, "label": v, "definition": f"{v}."} for k, v in LABELS.items()]
    book = {"id": "three", "name": "Three", "version": "2", "categories": categories}
    (folder / "codebook.yaml").write_text(yaml.safe_dump(book, sort_keys=False))
    content = {k: v for k, v in (PLAN | changes).items() if k not in drop}
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    if register:
        from boundary_research.study.registration import register_plan

        register_plan(load_plan(folder))
    plan = load_plan(folder)
    output = folder / "output"
    output.mkdir(exist_ok=True)
    loaded = load_incidents(folder / "incidents.csv")
    gold = made["gold"].merge(made["sample"], on="incident_id")
    truth = made["truth"].to_numpy()
    probability = np.clip(np.where(truth, 0.7, 0.2) + rng.normal(0, 0.2, truth.shape), 0.01, 0.99)
    decided = np.where(probability > 0.5, "present", "absent").astype(object)
    ids = list(made["truth"].index)
    coded = tabulate(ids, list(LABELS), probability, probability > 0.5, decided)
    coded["fold"] = np.repeat(pd.factorize(made["incidents"]["agency_id"])[0] % 4, 3)
    model = NarrativeClassifier(random_state=5)
    model.notes_ = {}
    run = StudyRun(
        plan, load_codebook(folder / "codebook.yaml"), output, loaded, gold,
        SimpleNamespace(coded=coded), model, figures={},
    )  # fmt: skip
    _fill_tables(run, made, probability)
    _draw(run)
    return run


_SHARED: dict[bool, StudyRun] = {}


def shared_run(factory, *, register: bool = False) -> StudyRun:
    """Return a run that tests share and must not change; `factory` is pytest's tmp_path_factory."""
    if register not in _SHARED:
        _SHARED[register] = make_run(factory.mktemp("study"), register=register)
    return _SHARED[register]


def _fill_tables(run: StudyRun, made: dict[str, pd.DataFrame], probability: np.ndarray) -> None:
    coded, gold, incidents = run.coding.coded, run.gold, run.loaded.incidents
    shared = {"incidents": incidents, "clusters": run.plan.prevalence.get("clusters")}
    if "codings" in run.plan.gold:
        chance = gold.drop_duplicates("incident_id").set_index("incident_id")
        run.tables["reliability"] = agreement_table(
            made["codings"], inclusion_probability=chance["inclusion_probability"], random_state=1
        )
    drawn = made["truth"].index.isin(gold["incident_id"])
    scores = probability[drawn]
    run.tables["metrics"] = evaluate(made["truth"][drawn], scores, scores > 0.5, random_state=1)
    run.tables["decisions"] = count_decisions(coded)
    run.tables["cooccurrence"] = count_cooccurrence(coded)
    run.tables["prevalence"] = prevalence(coded, gold, **shared)
    for group in run.plan.prevalence["by"]:
        run.tables[f"prevalence_by_{group}"] = prevalence(coded, gold, by=group, **shared)
    for analysis in run.plan.analyses:
        run.tables[analysis["name"]] = risk_factors(
            analysis["formula"], incidents, coded, gold, imputations=3,
            **run.plan.risk_factor_arguments(analysis),
        )  # fmt: skip
    run.tables["registration"] = compare_registration(run.plan, run.tables)


def _draw(run: StudyRun) -> None:
    tables, figures = run.tables, run.figures
    figures["prevalence"] = plot_prevalence(tables["prevalence"])
    figures["classifier_metrics"] = plots.plot_metrics(tables["metrics"])
    figures["cooccurrence"] = plots.plot_cooccurrence(tables["cooccurrence"])
    for group in run.plan.prevalence["by"]:
        figures[f"prevalence_by_{group}"] = plot_prevalence(
            tables[f"prevalence_by_{group}"], by=group, estimator="ppi"
        )
    for analysis in run.plan.analyses:
        figures[analysis["name"]] = plot_forest(tables[analysis["name"]])


def write_figures(run: StudyRun) -> None:
    """Write the pictures that a real run has written before its report."""
    (run.folder / "figures").mkdir(exist_ok=True)
    for name, figure in run.figures.items():
        figure.savefig(run.folder / "figures" / f"{name}.png", dpi=60)
