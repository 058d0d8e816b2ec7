"""Reading a study's inputs: incidents, and the gold tables that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import check_table
from boundary_research.codebook.model import Codebook
from boundary_research.corpus.incidents import LoadedIncidents, load_incidents
from boundary_research.inference._formula import parse_formula
from boundary_research.study._plan_checks import read_table
from boundary_research.study._plan_data import tell_levels
from boundary_research.study.plan import StudyPlan

_NARRATIVES = ["incident_id", "narrative"]


def read_incidents(*, plan: StudyPlan, **_: Any) -> dict[str, Any]:
    """Return the incidents of a plan in parts, so that each stage depends on what it uses.

    Returns
    -------
    dict
        narratives (incident_id, narrative), attributes (all other columns), groups (the column
        that the folds keep together, where the plan names one), rejects and source.
    """
    loaded = _load(plan)
    incidents = _recode(plan, _select(plan, loaded.incidents))
    _check_plan_columns(plan, incidents)
    parts: dict[str, Any] = {
        "narratives": incidents[_NARRATIVES],
        "attributes": incidents.drop(columns="narrative"),
        "rejects": loaded.rejects,
        "source": loaded.source,
    }
    group = plan.classifier.get("groups")
    return parts | ({"groups": incidents[["incident_id", group]]} if group else {})


def join_incidents(parts: Mapping[str, Any]) -> LoadedIncidents:
    """Return the parts that `read_incidents` gave as what `load_incidents` gives."""
    incidents = parts["attributes"].copy()
    incidents.insert(1, "narrative", parts["narratives"]["narrative"])
    return LoadedIncidents(incidents, parts["rejects"], parts["source"])


def _load(plan: StudyPlan) -> LoadedIncidents:
    options = {
        k: plan.incidents[k] for k in ("id_column", "text_column", "columns") if k in plan.incidents
    }
    return load_incidents(plan.incidents["file"], **options)


def _select(plan: StudyPlan, incidents: pd.DataFrame) -> pd.DataFrame:
    """Return the incidents that the table `only` lists, with its columns."""
    if "only" not in plan.incidents:
        return incidents
    source = plan.incidents["only"]
    listed = read_table(source)
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
    return incidents.merge(listed[new], on="incident_id", how="inner")


def _recode(plan: StudyPlan, incidents: pd.DataFrame) -> pd.DataFrame:
    for name, rule in plan.incidents.get("recode", {}).items():
        check_columns(incidents.columns, [rule["from"]], source="recode in study.yaml")
        levels = {old: new for new, olds in rule["levels"].items() for old in olds}
        unknown = [level for level in levels if level not in set(incidents[rule["from"]])]
        if unknown:
            raise DataError(
                f"Study {plan.file.name}: recode of {name!r}: level {unknown[0]!r} does not "
                f"occur in column {rule['from']!r}. {tell_levels(incidents[rule['from']])}"
            )
        recoded = incidents[rule["from"]].map(levels)
        if pd.api.types.is_numeric_dtype(recoded) and recoded.isna().any():
            # Levels that are numbers (years, say) stand beside the text not_stated.
            recoded = incidents[rule["from"]].map({k: str(v) for k, v in levels.items()})
        incidents[name] = recoded.fillna("not_stated")
    return incidents


def _check_plan_columns(plan: StudyPlan, incidents: pd.DataFrame) -> None:
    """Refuse columns that the plan names and the incidents lack, before anything long is run."""
    named = {
        "classifier.groups": [plan.classifier.get("groups")],
        "prevalence.by": plan.prevalence["by"],
        "prevalence.clusters": [plan.prevalence.get("clusters")],
    }
    for analysis in plan.analyses:
        named[f"{analysis['name']}.clusters"] = [analysis.get("clusters")]
        named[f"{analysis['name']}.offset"] = [analysis.get("offset")]
    for key, columns in named.items():
        wanted = [column for column in columns if column]
        check_columns(incidents.columns, wanted, source=f"Study {plan.file.name}, key {key}")
    for analysis in plan.analyses:
        parse_formula(analysis["formula"], incidents.columns)


def read_gold(
    *, plan: StudyPlan, codebook: Codebook, attributes: pd.DataFrame, **_: Any
) -> dict[str, Any]:
    """Return gold codes of the drawn narratives, and the codings and passages behind them.

    Returns
    -------
    dict
        gold (with the probability of the draw); codings and evidence where the plan names them.
    """
    gold = _read_codes(plan, attributes["incident_id"], codebook)
    drawn = set(gold["incident_id"])
    parts = {"gold": gold}
    if "codings" in plan.gold:
        parts["codings"] = _read_codings(plan, drawn)
    if "evidence" in plan.gold:
        source = plan.gold["evidence"]
        table = read_table(source)
        wanted = ["incident_id", "category", "start", "end"]
        check_columns(table.columns, wanted, source=source.name)
        there = table["incident_id"].isin(drawn) & table["category"].isin(codebook.category_ids)
        parts["evidence"] = table.loc[there, wanted].reset_index(drop=True)
    return parts


def _read_codes(plan: StudyPlan, ids: pd.Series, codebook: Codebook) -> pd.DataFrame:
    source = plan.gold["sample"]
    sample = check_table(read_table(source), "sample", source=source.name)
    gold = check_table(read_table(plan.gold["gold"]), "gold", source=plan.gold["gold"].name)
    lost = sample.loc[~sample["incident_id"].isin(ids), "incident_id"]
    if len(lost):
        raise DataError(
            f"{source.name}: {len(lost)} drawn incidents are not among the incidents "
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


def _read_codings(plan: StudyPlan, drawn: set[str]) -> pd.DataFrame:
    source: Path = plan.gold["codings"]
    codings = check_table(read_table(source), "codings", source=source.name)
    codings = codings[codings["incident_id"].isin(drawn)]
    if plan.gold.get("coders"):
        absent = [name for name in plan.gold["coders"] if name not in set(codings["coder_id"])]
        if absent:
            raise DataError(
                f"Study {plan.file.name}: coder {absent[0]!r} has no codings of the sample. "
                f"Available: {', '.join(sorted(codings['coder_id'].unique()))}."
            )
        codings = codings[codings["coder_id"].isin(plan.gold["coders"])]
    return codings
