"""A plan held against its data: columns, levels, sample and coders, each problem by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from boundary_research._checks import DataError, check_columns
from boundary_research._tables import check_table
from boundary_research._yaml import KeyPath, YamlReader
from boundary_research.coding.sampling import draw_simple, draw_stratified
from boundary_research.corpus.incidents import load_incidents
from boundary_research.inference._formula import NOT_STATED, parse_formula
from boundary_research.study._plan_checks import Problems, read_table
from boundary_research.study.plan import StudyPlan

# Columns with more levels, or longer ones, may be free text, which no message repeats.
MOST_LEVELS = 40
LONGEST_LEVEL = 60


@dataclass
class DataFacts:
    """What the data of a plan hold.

    Attributes
    ----------
    n_read, n_incidents, n_rejects : int
        Narratives in the file, those that are studied, and rows set aside.
    n_sample, n_gold : int or None
        Narratives drawn, and those with gold codes.
    probabilities : (float, float) or None
        Least and largest inclusion probability.
    strata : dict of str to int
        Narratives drawn in each stratum.
    present : dict of str to int
        Gold codes of each category.
    redrawn : bool or None
        Whether the draw can be made again from its seed; None where that cannot be tried.
    problems : list of str
    """

    n_read: int = 0
    n_incidents: int = 0
    n_rejects: int = 0
    n_sample: int | None = None
    n_gold: int | None = None
    probabilities: tuple[float, float] | None = None
    strata: dict[str, int] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    redrawn: bool | None = None
    problems: list[str] = field(default_factory=list)


def examine_data(plan: StudyPlan, reader: YamlReader) -> DataFacts:
    """Return what a plan's data hold, and where plan and data do not fit."""
    problems, facts = Problems(reader), DataFacts()
    incidents = _incidents(plan, problems, facts)
    if incidents is not None:
        _check_columns(plan, incidents, problems)
        _check_levels(plan, incidents, problems)
        wanted = plan.sampling.get("n", 0)
        if isinstance(wanted, int) and wanted > len(incidents):
            problems.note(
                ("sampling", "n"),
                f"{wanted} narratives cannot be drawn from {len(incidents)} usable incidents.",
            )
        if not plan.pending:
            sample = _check_gold(plan, incidents, problems, facts)
            if sample is not None:
                facts.redrawn = _draw_again(plan, incidents, sample)
    if not plan.pending:
        _check_coders(plan, problems)
    facts.problems = problems.messages
    return facts


def _incidents(plan: StudyPlan, problems: Problems, facts: DataFacts) -> pd.DataFrame | None:
    """Return the incidents that are studied, with recoded variables, or None with a problem."""
    part = plan.incidents
    options = {key: part[key] for key in ("id_column", "text_column", "columns") if key in part}
    try:
        loaded = load_incidents(part["file"], **options)
    except DataError as error:
        told = str(error).replace(" (--id-column, --text-column)", " of the part incidents")
        problems.note(("incidents", "file"), f"cannot be used. {told}")
        return None
    incidents = loaded.incidents
    facts.n_read, facts.n_rejects = len(incidents), len(loaded.rejects)
    if "only" in part:
        try:
            listed = read_table(part["only"])
            check_columns(listed.columns, ["incident_id"], source=part["only"].name)
        except DataError as error:
            problems.note(("incidents", "only"), f"cannot be used. {error}")
            return None
        if listed["incident_id"].duplicated().any():
            problems.note(("incidents", "only"), "incident_id must be unique. Remove the repeats.")
            listed = listed.drop_duplicates("incident_id")
        absent = sorted(set(listed["incident_id"].dropna()) - set(incidents["incident_id"]))
        if absent:
            problems.note(
                ("incidents", "only"),
                f"{len(absent)} ids are not among the incidents (the first is {absent[0]!r}). "
                f"List only incidents of the file.",
            )
        new = ["incident_id", *listed.columns.difference(incidents.columns, sort=False)]
        incidents = incidents.merge(listed[new], on="incident_id")
    facts.n_incidents = len(incidents)
    for name, rule in part.get("recode", {}).items():
        path = ("incidents", "recode", name)
        if rule["from"] not in incidents.columns or rule["from"] == "narrative":
            problems.note((*path, "from"), _no_column(rule["from"], incidents))
            continue
        there = set(incidents[rule["from"]])
        for new_level, olds in rule["levels"].items():
            for i, old in enumerate(olds):
                if old not in there:
                    problems.note(
                        (*path, "levels", new_level, i),
                        f"level {old!r} does not occur in column {rule['from']!r}. "
                        f"{tell_levels(incidents[rule['from']])}",
                    )
        levels = {old: str(new) for new, olds in rule["levels"].items() for old in olds}
        incidents[name] = incidents[rule["from"]].map(levels).fillna(NOT_STATED)
    return incidents


def tell_levels(values: pd.Series) -> str:
    """Return the levels of an attribute for a message; never those of a column of free text."""
    levels = sorted({str(value) for value in values.dropna()} - {NOT_STATED})
    if len(levels) > MOST_LEVELS or any(len(level) > LONGEST_LEVEL for level in levels):
        return f"The column has {len(levels)} different values."
    return f"Levels there are: {', '.join(levels)}."


def _no_column(name: str, incidents: pd.DataFrame) -> str:
    there = ", ".join(str(c) for c in incidents.columns if c != "narrative")
    return f"column {name!r} not found. Columns there are: {there[:400]}."


def _analysis_path(plan: StudyPlan, i: int) -> KeyPath:
    several = isinstance(plan.content["risk_factors"], list)
    return ("risk_factors", i) if several else ("risk_factors",)


def _check_columns(plan: StudyPlan, incidents: pd.DataFrame, problems: Problems) -> None:
    """Note columns that the plan names and the incidents lack."""
    named: list[tuple[KeyPath, str | None]] = [
        (("classifier", "groups"), plan.classifier.get("groups")),
        (("prevalence", "clusters"), plan.prevalence.get("clusters")),
    ]
    named += [(("prevalence", "by", i), name) for i, name in enumerate(plan.prevalence["by"])]
    strata = plan.sampling.get("strata", [])
    named += [(("sampling", "strata", i), name) for i, name in enumerate(strata)]
    for i, analysis in enumerate(plan.analyses):
        path = _analysis_path(plan, i)
        named.append(((*path, "offset"), analysis.get("offset")))
        if analysis.get("clusters") != plan.prevalence.get("clusters"):
            named.append(((*path, "clusters"), analysis["clusters"]))
        try:
            parse_formula(analysis["formula"], incidents.columns)
        except DataError as error:
            problems.note((*path, "formula"), f"cannot be used. {error}")
    for place, column in named:
        if column is not None and column not in incidents.columns:
            problems.note(place, _no_column(column, incidents))


def _check_level(
    level: Any, variable: str, incidents: pd.DataFrame, path: KeyPath, problems: Problems
) -> None:
    if variable not in incidents.columns:
        return
    values = incidents[variable]
    if str(level) not in set(values.dropna().astype(str)) - {NOT_STATED}:
        problems.note(
            path, f"{str(level)!r} is no level of column {variable!r}. {tell_levels(values)}"
        )


def _check_levels(plan: StudyPlan, incidents: pd.DataFrame, problems: Problems) -> None:
    """Note reference levels and compared levels that do not occur."""
    for i, analysis in enumerate(plan.analyses):
        for variable, level in analysis.get("contrasts", {}).items():
            path = (*_analysis_path(plan, i), "contrasts", variable)
            _check_level(level, variable, incidents, path, problems)
    for i, one in enumerate(plan.comparisons):
        for key in ("level", "reference"):
            if key in one:
                path = ("comparisons", i, key)
                _check_level(one[key], one["variable"], incidents, path, problems)


def _check_gold(
    plan: StudyPlan, incidents: pd.DataFrame, problems: Problems, facts: DataFacts
) -> pd.DataFrame | None:
    """Note drawn incidents that are lost or have no gold codes, and return the sample."""
    tables = {}
    for key in ("sample", "gold"):
        file = plan.gold[key]
        try:
            tables[key] = check_table(read_table(file), key, source=file.name)
        except DataError as error:
            problems.note(("gold", key), f"cannot be used. {error}")
            return None
    sample, gold = tables["sample"], tables["gold"]
    drawn = set(sample["incident_id"])
    facts.n_sample = len(sample)
    limits = sample["inclusion_probability"]
    facts.probabilities = (float(limits.min()), float(limits.max()))
    if "stratum" in sample.columns:
        facts.strata = {str(k): int(v) for k, v in sample["stratum"].value_counts().items()}
    lost = drawn - set(incidents["incident_id"])
    if lost:
        problems.note(
            ("gold", "sample"),
            f"{len(lost)} drawn incidents are not among the incidents (the first is "
            f"{min(lost)!r}). Use the sample that was drawn from this file.",
        )
    known = plan.codebook_facts["categories"]
    gold = gold[gold["incident_id"].isin(drawn) & gold["category"].isin(known)]
    facts.n_gold = int(gold["incident_id"].nunique())
    if facts.n_gold < len(sample):
        problems.note(
            ("gold", "gold"),
            f"{len(sample) - facts.n_gold} drawn incidents have no gold codes of this codebook. "
            f"Code them, or draw the sample again.",
        )
    counts = gold[gold["present"]].groupby("category").size()
    facts.present = {name: int(counts.get(name, 0)) for name in known}
    return sample


def _check_coders(plan: StudyPlan, problems: Problems) -> None:
    """Note coders that have no codings."""
    if "codings" not in plan.gold:
        return
    file = plan.gold["codings"]
    try:
        table = check_table(read_table(file), "codings", source=file.name)
    except DataError as error:
        problems.note(("gold", "codings"), f"cannot be used. {error}")
        return
    there = set(table["coder_id"])
    named: list[tuple[KeyPath, str]] = [
        (("gold", "coders", i), name) for i, name in enumerate(plan.gold.get("coders", []))
    ]
    named += [
        (("coders", i, "id"), coder["id"])
        for i, coder in enumerate(plan.coders)
        if coder["role"] == "coder"
    ]
    for path, name in named:
        if name not in there:
            problems.note(
                path,
                f"coder {name!r} has no codings in {file.name}. "
                f"Available: {', '.join(sorted(there))}.",
            )


def _draw_again(plan: StudyPlan, incidents: pd.DataFrame, sample: pd.DataFrame) -> bool | None:
    """Return whether design and seed give the same narratives again."""
    part = plan.sampling
    seed, design = part.get("seed"), part.get("design")
    if seed is None or design not in ("simple", "stratified"):
        return None
    try:
        if design == "simple":
            again = draw_simple(incidents, len(sample), random_state=seed)
        elif "strata" in part and part.get("allocation", "proportional") != "neyman":
            again = draw_stratified(
                incidents,
                len(sample),
                strata=part["strata"],
                allocation=part.get("allocation", "proportional"),
                random_state=seed,
            )
        else:
            return None
    except DataError:
        return False
    return set(again["incident_id"]) == set(sample["incident_id"])
