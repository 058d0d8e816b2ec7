"""Running a study: from study.yaml to coded incidents, estimates, figures and a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from boundary_research._checks import DataError, check_columns, check_output_folder
from boundary_research._files import write_atomically, write_table
from boundary_research._tables import check_table, pivot_categories
from boundary_research.classifier.decisions import (
    CodedIncidents,
    code,
    locate_evidence,
    tabulate,
)
from boundary_research.classifier.default_model import default_classifier
from boundary_research.classifier.evaluation import crossfit, evaluate
from boundary_research.classifier.evidence import EVIDENCE_COLUMNS
from boundary_research.classifier.model import EVIDENCE_PARAMETERS, NarrativeClassifier
from boundary_research.codebook.model import Codebook, load_codebook
from boundary_research.coding.reliability import agreement_table
from boundary_research.corpus.incidents import LoadedIncidents, load_incidents
from boundary_research.inference._formula import parse_formula
from boundary_research.inference.plots import plot_forest, plot_prevalence
from boundary_research.inference.risk import risk_factors
from boundary_research.inference.shares import prevalence
from boundary_research.study import plots
from boundary_research.study.manifest import write_manifest
from boundary_research.study.plan import StudyPlan, load_plan
from boundary_research.study.report_sections import write_study_report
from boundary_research.study.tables import count_cooccurrence, count_decisions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class StudyRun:
    """What a run made, in memory; the same stands in `folder`."""

    plan: StudyPlan
    codebook: Codebook
    folder: Path
    loaded: LoadedIncidents
    gold: pd.DataFrame
    coding: CodedIncidents
    model: NarrativeClassifier
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _say(progress: bool, text: str) -> None:
    if progress:
        print(text, flush=True)


def _read_incidents(plan: StudyPlan) -> LoadedIncidents:
    options = {
        k: plan.incidents[k] for k in ("id_column", "text_column", "columns") if k in plan.incidents
    }
    loaded = load_incidents(plan.incidents["file"], **options)
    incidents = loaded.incidents
    if "only" in plan.incidents:
        source = plan.incidents["only"]
        listed = _read_table(source)
        check_columns(listed.columns, ["incident_id"], source=source.name)
        if listed["incident_id"].duplicated().any():
            raise DataError(f"{source.name!r}: incident_id must be unique. Remove the repeats.")
        absent = listed.loc[~listed["incident_id"].isin(incidents["incident_id"]), "incident_id"]
        if len(absent):
            raise DataError(
                f"{source.name!r}: {len(absent)} ids are not among the incidents (the first is "
                f"{absent.iloc[0]!r}). List only incidents of the file."
            )
        new = ["incident_id", *listed.columns.difference(incidents.columns, sort=False)]
        incidents = incidents.merge(listed[new], on="incident_id", how="inner")
    for name, rule in plan.incidents.get("recode", {}).items():
        check_columns(incidents.columns, [rule["from"]], source="recode in study.yaml")
        levels = {old: new for new, olds in rule["levels"].items() for old in olds}
        unknown = [level for level in levels if level not in set(incidents[rule["from"]])]
        if unknown:
            there = ", ".join(sorted(incidents[rule["from"]].dropna().astype(str).unique()))
            raise DataError(
                f"Study {plan.file.name}: recode of {name!r}: level {unknown[0]!r} does not "
                f"occur in column {rule['from']!r}. Levels there are: {there}."
            )
        incidents[name] = incidents[rule["from"]].map(levels).fillna("not_stated")
    return loaded._replace(incidents=incidents)


def _check_plan_columns(plan: StudyPlan, incidents: pd.DataFrame) -> None:
    """Refuse columns that the plan names and the incidents lack, before anything long is run."""
    named = {
        "classifier.groups": [plan.classifier.get("groups")],
        "prevalence.by": plan.prevalence["by"],
        "prevalence.clusters": [plan.prevalence.get("clusters")],
        "risk_factors.clusters": [plan.risk_factors.get("clusters")],
    }
    for key, columns in named.items():
        wanted = [column for column in columns if column]
        check_columns(incidents.columns, wanted, source=f"Study {plan.file.name}, key {key}")
    if plan.risk_factors:
        parse_formula(plan.risk_factors["formula"], incidents.columns)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={"incident_id": str}, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path.name!r} cannot be read as a table ({type(error).__name__})."
        ) from None


def _read_gold(plan: StudyPlan, incidents: pd.DataFrame, codebook: Codebook) -> pd.DataFrame:
    """Return gold codes of the drawn narratives with the probability of their draw."""
    sample = check_table(
        _read_table(plan.gold["sample"]), "sample", source=plan.gold["sample"].name
    )
    gold = check_table(_read_table(plan.gold["gold"]), "gold", source=plan.gold["gold"].name)
    lost = sample.loc[~sample["incident_id"].isin(incidents["incident_id"]), "incident_id"]
    if len(lost):
        raise DataError(
            f"{plan.gold['sample'].name}: {len(lost)} drawn incidents are not among the incidents "
            f"(the first is {lost.iloc[0]!r}). Use the sample that was drawn from this file."
        )
    keep = [c for c in ("incident_id", "inclusion_probability", "stratum") if c in sample.columns]
    gold = gold[gold["category"].isin(codebook.category_ids)]
    gold = gold.drop(columns=["inclusion_probability", "stratum"], errors="ignore")
    gold = gold.merge(sample[keep], on="incident_id", how="inner")
    uncoded = set(sample["incident_id"]) - set(gold["incident_id"])
    if uncoded:
        raise DataError(
            f"{plan.gold['gold'].name}: {len(uncoded)} drawn incidents have no gold codes. Code "
            f"them, or draw the sample again."
        )
    return gold.reset_index(drop=True)


def _reliability(plan: StudyPlan, gold: pd.DataFrame) -> pd.DataFrame | None:
    if "codings" not in plan.gold:
        return None
    codings = check_table(
        _read_table(plan.gold["codings"]), "codings", source=plan.gold["codings"].name
    )
    codings = codings[codings["incident_id"].isin(set(gold["incident_id"]))]
    if plan.gold.get("coders"):
        absent = [name for name in plan.gold["coders"] if name not in set(codings["coder_id"])]
        if absent:
            raise DataError(
                f"Study {plan.file.name}: coder {absent[0]!r} has no codings of the sample. "
                f"Available: {', '.join(sorted(codings['coder_id'].unique()))}."
            )
        codings = codings[codings["coder_id"].isin(plan.gold["coders"])]
    probability = gold.drop_duplicates("incident_id").set_index("incident_id")
    return agreement_table(
        codings,
        inclusion_probability=probability["inclusion_probability"],
        random_state=plan.seed,
    )


def _read_evidence(plan: StudyPlan, ids: pd.Index, codebook: Codebook) -> pd.DataFrame | None:
    """Return the passages that show the gold codes, where the study has them."""
    if "evidence" not in plan.gold:
        return None
    source = plan.gold["evidence"]
    table = _read_table(source)
    wanted = ["incident_id", "category", "start", "end"]
    check_columns(table.columns, wanted, source=source.name)
    there = table["incident_id"].isin(ids) & table["category"].isin(codebook.category_ids)
    return table.loc[there, wanted].reset_index(drop=True)


def _classify(
    plan: StudyPlan, incidents: pd.DataFrame, gold: pd.DataFrame, codebook: Codebook, progress: bool
) -> tuple[CodedIncidents, NarrativeClassifier, pd.DataFrame]:
    """Return coded incidents, the model, and its errors on the gold incidents."""
    ids = pd.Index(incidents["incident_id"])
    texts = incidents["narrative"].tolist()
    drawn = ids.isin(gold["incident_id"])
    column = plan.classifier.get("groups")
    if column:
        check_columns(incidents.columns, [column], source="classifier.groups in study.yaml")
    groups = incidents[column].tolist() if column else None
    codes = pivot_categories(gold, "present", ids=ids, categories=codebook.category_ids)
    known = codes[drawn].astype(bool)
    evidence = _read_evidence(plan, ids[drawn], codebook)
    trained_on = plan.classifier["train_on"]
    if trained_on == "gold":
        parameters = {} if evidence is None else EVIDENCE_PARAMETERS
        model = NarrativeClassifier(random_state=plan.seed, **parameters)
        _say(progress, f"  cross-fitting the classifier on {drawn.sum()} gold narratives …")
        folds = plan.classifier["folds"]
        fitted = crossfit(
            model,
            texts,
            codes,
            groups=groups,
            evidence=evidence,
            n_folds=folds,
            random_state=plan.seed,
        )
        owners = [groups[i] for i in np.flatnonzero(drawn)] if groups else None
        model.fit(
            [texts[i] for i in np.flatnonzero(drawn)], known, groups=owners, evidence=evidence
        )
        coded = tabulate(ids, codebook.category_ids, *fitted[:3])
        coded["fold"] = np.repeat(fitted.fold, len(codebook))
        found = locate_evidence(model, texts, ids, fitted.predicted)
        evidence = pd.DataFrame(found, columns=EVIDENCE_COLUMNS)
        coding = CodedIncidents(coded, evidence, pd.DataFrame(), codebook.category_ids)
    else:
        bundled = trained_on == "bundled"
        model = default_classifier() if bundled else NarrativeClassifier.load(trained_on)
        check_columns(model.classes_, codebook.category_ids, source="Model of study.yaml")
        _say(progress, f"  coding {len(incidents)} incidents …")
        coding = code(incidents, model, progress=progress)
    probabilities, predicted = (
        pivot_categories(coding.coded, value, ids=ids, categories=codebook.category_ids)[drawn]
        for value in ("probability", "predicted")
    )
    metrics = evaluate(
        known,
        probabilities.to_numpy(dtype=float),
        predicted.to_numpy(dtype=bool),
        groups=[groups[i] for i in np.flatnonzero(drawn)] if groups else None,
        random_state=plan.seed,
    )
    return coding, model, metrics


def _estimate(run: StudyRun) -> None:
    plan, incidents = run.plan, run.loaded.incidents
    clusters = plan.prevalence.get("clusters")
    shared: dict[str, Any] = {
        "incidents": incidents,
        "clusters": clusters,
        "random_state": plan.seed,
    }
    run.tables["prevalence"] = prevalence(run.coding.coded, run.gold, **shared)
    for group in plan.prevalence["by"]:
        check_columns(incidents.columns, [group], source="prevalence.by in study.yaml")
        run.tables[f"prevalence_by_{group}"] = prevalence(
            run.coding.coded, run.gold, by=group, **shared
        )
    if plan.risk_factors:
        part = plan.risk_factors
        run.tables["risk_factors"] = risk_factors(
            part["formula"],
            incidents,
            run.coding.coded,
            run.gold,
            clusters=part.get("clusters", clusters),
            family=part.get("family", "logit"),
            adjust=part.get("adjust", "bh"),
            random_state=plan.seed,
        )


def _draw(run: StudyRun) -> None:
    labels = {category.id: category.label for category in run.codebook}
    tables, figures = run.tables, run.figures
    figures["prevalence"] = plot_prevalence(
        tables["prevalence"].query("estimator != 'dsl'"), labels=labels
    )
    figures["classifier_metrics"] = plots.plot_metrics(tables["metrics"], labels=labels)
    figures["cooccurrence"] = plots.plot_cooccurrence(tables["cooccurrence"], labels=labels)
    for group in run.plan.prevalence["by"]:
        figures[f"prevalence_by_{group}"] = plot_prevalence(
            tables[f"prevalence_by_{group}"], by=group, estimator="ppi", labels=labels
        )
    term = run.plan.risk_factors.get("term")
    if term:
        table = tables["risk_factors"]
        found = list(dict.fromkeys(table["term"]))
        if term not in found:
            raise DataError(
                f"Study {run.plan.file.name}: risk_factors.term {term!r} not found. "
                f"Available: {', '.join(found)}."
            )
        figures["risk_factors"] = plot_forest(
            table[(table["term"] == term) & (table["estimator"] != "dsl")],
            labels=labels,
            missing="complete_case",
        )


def _write(run: StudyRun, started: datetime) -> None:
    run.coding.write(run.folder)
    tables = check_output_folder(run.folder / "tables")
    pictures = check_output_folder(run.folder / "figures")
    for name, table in run.tables.items():
        write_table(table, tables / name)
    for name, figure in run.figures.items():
        write_atomically(
            pictures / f"{name}.png",
            partial(figure.savefig, dpi=150, metadata={"Software": None}),
        )
    write_study_report(run)
    write_manifest(
        run.folder,
        command="run",
        inputs=run.plan.inputs(),
        options={
            "seed": run.plan.seed,
            "codebook": {"version": run.codebook.version, "sha256": run.codebook.content_hash},
            "classifier": {k: str(v) for k, v in run.plan.classifier.items()},
            "risk_factors": run.plan.risk_factors,
        },
        started=started,
    )


def run_study(
    path: str | Path, *, output: str | Path | None = None, progress: bool = False
) -> StudyRun:
    """Run a study from its study.yaml and write everything into its output folder.

    Incidents and gold sample are read, agreement is measured, the classifier is cross-fitted and
    codes all incidents, shares and risk factors are estimated with the correction for its errors,
    and figures, tables, ``report.html`` and ``manifest.json`` are written.

    Parameters
    ----------
    path : str or pathlib.Path
        study.yaml, or its folder.
    output : str or pathlib.Path, optional
        Another output folder than the plan names.
    progress : bool
        Print what is being done.

    Returns
    -------
    StudyRun

    Raises
    ------
    DataError
        If the plan or a table does not fit; the message says what to do.
    """
    # One BLAS thread: small matrices gain nothing from more, and sums keep their order.
    with threadpool_limits(limits=1):
        return _run(path, output, progress)


def _run(path: str | Path, output: str | Path | None, progress: bool) -> StudyRun:
    started = datetime.now(UTC)
    plan = load_plan(path, output=output)
    folder = check_output_folder(plan.output)
    codebook = load_codebook(plan.codebook)
    _say(progress, f"{plan.title}\n  reading incidents …")
    loaded = _read_incidents(plan)
    _check_plan_columns(plan, loaded.incidents)
    gold = _read_gold(plan, loaded.incidents, codebook)
    agreement = _reliability(plan, gold)
    coding, model, metrics = _classify(plan, loaded.incidents, gold, codebook, progress)
    coding = CodedIncidents(coding.coded, coding.evidence, loaded.rejects, coding.categories)
    run = StudyRun(plan, codebook, folder, loaded, gold, coding, model)
    if agreement is not None:
        run.tables["reliability"] = agreement
    run.tables["metrics"] = metrics
    run.tables["decisions"] = count_decisions(coding.coded)
    run.tables["cooccurrence"] = count_cooccurrence(coding.coded)
    _say(progress, "  estimating shares and risk factors …")
    _estimate(run)
    _draw(run)
    _write(run, started)
    _say(progress, f"  done: {folder / 'report.html'}")
    return run
