"""The steps of a study's run, each a function of tables and settings alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from boundary_research._checks import check_columns
from boundary_research._tables import pivot_categories
from boundary_research.classifier.combined_model import load_classifier
from boundary_research.classifier.decisions import code, locate_evidence, tabulate
from boundary_research.classifier.default_model import default_classifier
from boundary_research.classifier.evaluation import crossfit, evaluate
from boundary_research.classifier.evidence import EVIDENCE_COLUMNS
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.coding.reliability import agreement_table
from boundary_research.inference.risk import risk_factors
from boundary_research.inference.shares import prevalence
from boundary_research.study.registration import compare_registration
from boundary_research.study.report_sections import write_study_report
from boundary_research.study.tables import count_cooccurrence, count_decisions

if TYPE_CHECKING:
    from boundary_research.study.plan import StudyPlan
    from boundary_research.study.run import StudyRun


def measure_agreement(*, codings: pd.DataFrame, gold: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return agreement of the coders on the drawn narratives."""
    probability = gold.drop_duplicates("incident_id").set_index("incident_id")
    table = agreement_table(
        codings,
        inclusion_probability=probability["inclusion_probability"],
        random_state=seed,
    )
    return {"reliability": table}


def _new_model(parameters: dict[str, Any], seed: int) -> NarrativeClassifier:
    return NarrativeClassifier(**{"random_state": seed, **parameters})


def _gold_codes(
    narratives: pd.DataFrame, gold: pd.DataFrame, categories: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return gold codes of all narratives (missing where not drawn), and which were drawn."""
    ids = pd.Index(narratives["incident_id"])
    codes = pivot_categories(gold, "present", ids=ids, categories=categories)
    return codes, ids.isin(gold["incident_id"])


def _owners(groups: pd.DataFrame | None) -> np.ndarray | None:
    return None if groups is None else groups.iloc[:, -1].to_numpy(dtype=object)


def train_model(
    *,
    narratives: pd.DataFrame,
    gold: pd.DataFrame,
    groups: pd.DataFrame | None,
    evidence: pd.DataFrame | None,
    categories: list[str],
    parameters: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Return the classifier trained on all gold narratives."""
    codes, drawn = _gold_codes(narratives, gold, categories)
    owners = _owners(groups)
    model = _new_model(parameters, seed)
    model.fit(
        narratives.loc[drawn, "narrative"].tolist(),
        codes[drawn].astype(bool),
        groups=None if owners is None else owners[drawn].tolist(),
        evidence=evidence,
    )
    return {"model": model}


def load_model(
    *, categories: list[str], model_id: str, model_file: Path | None = None
) -> dict[str, Any]:
    """Return the classifier of a model file, or without one that of the bundled corpus.

    `model_id` tells the bundled model's version.
    """
    model = default_classifier() if model_file is None else load_classifier(model_file)
    check_columns(model.classes_, categories, source="Model of study.yaml")
    return {"model": model}


def code_crossfitted(
    *,
    narratives: pd.DataFrame,
    gold: pd.DataFrame,
    groups: pd.DataFrame | None,
    evidence: pd.DataFrame | None,
    categories: list[str],
    parameters: dict[str, Any],
    folds: int,
    seed: int,
) -> dict[str, Any]:
    """Return all narratives coded, each by a model that has not seen it."""
    codes, _ = _gold_codes(narratives, gold, categories)
    owners = _owners(groups)
    fitted = crossfit(
        _new_model(parameters, seed),
        narratives["narrative"].tolist(),
        codes,
        groups=None if owners is None else owners.tolist(),
        evidence=evidence,
        n_folds=folds,
        random_state=seed,
    )
    coded = tabulate(narratives["incident_id"].tolist(), categories, *fitted[:3])
    coded["fold"] = np.repeat(fitted.fold, len(categories))
    return {"coded": coded}


def code_with_model(
    *, narratives: pd.DataFrame, model: NarrativeClassifier, progress: bool
) -> dict[str, Any]:
    """Return all narratives coded by a finished model."""
    return {"coded": code(narratives, model, evidence=False, progress=progress).coded}


def find_passages(
    *,
    narratives: pd.DataFrame,
    model: NarrativeClassifier,
    coded: pd.DataFrame,
) -> dict[str, Any]:
    """Return where the passages stand that speak for each code, as offsets."""
    ids = pd.Index(narratives["incident_id"])
    names = [str(name) for name in model.classes_]
    predicted = pivot_categories(coded, "predicted", ids=ids, categories=names)
    found = locate_evidence(
        model, narratives["narrative"].tolist(), ids.tolist(), predicted.to_numpy(dtype=bool)
    )
    return {"evidence": pd.DataFrame(found, columns=EVIDENCE_COLUMNS)}


def measure_errors(
    *,
    narratives: pd.DataFrame,
    gold: pd.DataFrame,
    groups: pd.DataFrame | None,
    coded: pd.DataFrame,
    categories: list[str],
    seed: int,
) -> dict[str, Any]:
    """Return the model's errors on the gold narratives."""
    codes, drawn = _gold_codes(narratives, gold, categories)
    probabilities, predicted = (
        pivot_categories(coded, value, ids=codes.index, categories=categories)[drawn]
        for value in ("probability", "predicted")
    )
    owners = _owners(groups)
    metrics = evaluate(
        codes[drawn].astype(bool),
        probabilities.to_numpy(dtype=float),
        predicted.to_numpy(dtype=bool),
        groups=None if owners is None else owners[drawn].tolist(),
        random_state=seed,
    )
    return {"metrics": metrics}


def count_codes(*, coded: pd.DataFrame) -> dict[str, Any]:
    """Return how often the model coded what, and what together."""
    return {"decisions": count_decisions(coded), "cooccurrence": count_cooccurrence(coded)}


def estimate_shares(
    *,
    attributes: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    by: list[str],
    clusters: str | None,
    seed: int,
) -> dict[str, Any]:
    """Return shares of the categories, over all incidents and within groups."""
    shared: dict[str, Any] = {
        "incidents": attributes,
        "clusters": clusters,
        "random_state": seed,
    }
    tables = {"prevalence": prevalence(coded, gold, **shared)}
    for group in by:
        tables[f"prevalence_by_{group}"] = prevalence(coded, gold, by=group, **shared)
    return tables


def estimate_risk_factors(
    *,
    attributes: pd.DataFrame,
    coded: pd.DataFrame,
    gold: pd.DataFrame,
    formula: str,
    arguments: dict[str, Any],
    seed: int,
    name: str,
) -> dict[str, Any]:
    """Return the table of one analysis of risk factors, under its name."""
    return {name: risk_factors(formula, attributes, coded, gold, random_state=seed, **arguments)}


def compare_plan(
    *, plan: StudyPlan, inputs: dict[str, str], facts: dict[str, Any], **tables: Any
) -> dict[str, Any]:
    """Return what was registered beside what was run; `facts` tell all of the plan that counts."""
    found = {name: table for group in tables.values() for name, table in group.items()}
    return {"registration": compare_registration(plan, found, inputs=inputs)}


def write_report(
    *,
    assemble: Callable[[], StudyRun],
    collect: Callable[[], dict[str, dict[str, bytes]]],
    **_: Any,
) -> dict[str, Any]:
    """Return the files that the report consists of, by name below the output folder.

    It is written beside a copy of the tables and figures, so that what it adds can be told from
    them, and from what an earlier run left.
    """
    given = {name: content for made in collect().values() for name, content in made.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, content in given.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        write_study_report(replace(assemble(), folder=folder))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in made.items() if given.get(name) != content}
