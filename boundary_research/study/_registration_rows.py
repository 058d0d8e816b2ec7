"""What was registered beside what was run, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from boundary_research.study.plan import StudyPlan

SAME = "as registered"
MORE = "more than registered"
FEWER = "fewer than registered"
DIFFERS = "differs"
UNREGISTERED = "not registered"
NOT_RUN = "not run"
VERDICTS = (SAME, MORE, FEWER, DIFFERS, UNREGISTERED, NOT_RUN)
ANALYSIS_COLUMNS = {"term", "category", "estimator", "p_adjusted", "variable", "level"}


class Comparison:
    """Rows of the comparison of a plan with a run."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, item: str, registered: str, run: str, verdict: str = "") -> None:
        """Add a row, unless nothing is known; without a verdict, the two texts are compared."""
        if not registered and not run:
            return
        if not verdict:
            verdict = SAME if registered == run else DIFFERS
            verdict = UNREGISTERED if not registered else NOT_RUN if not run else verdict
        self.rows.append((item, registered or "–", run or "–", verdict))

    def add_number(self, item: str, registered: int | None, run: int | None) -> None:
        """Add a row of two numbers; a number that is not known leaves a dash."""
        verdict = ""
        if registered is not None and run is not None:
            verdict = SAME if registered == run else MORE if run > registered else FEWER
        before, after = ("" if n is None else str(n) for n in (registered, run))
        self.add(item, before, after, verdict)

    def add_lists(self, item: str, unit: str, registered: list[str], run: list[str]) -> None:
        """Add a row of two lists, naming what is more and what is not there."""
        more = [name for name in run if name not in registered]
        lost = [name for name in registered if name not in run]
        told = _counted(run, unit)
        told += f"; not registered: {', '.join(more)}" if more else ""
        told += f"; not run: {', '.join(lost)}" if lost else ""
        verdict = DIFFERS if more and lost else MORE if more else FEWER if lost else SAME
        self.add(item, _counted(registered, unit), told, verdict)


_PLURALS = {"analysis": "analyses", "category": "categories"}


def _counted(names: list[str], unit: str) -> str:
    told = f"{len(names)} {unit if len(names) == 1 else _PLURALS.get(unit, unit + 's')}"
    return told + (f" ({', '.join(names)})" if 0 < len(names) <= 4 else "")


def compare_plans(
    rows: Comparison,
    plan: StudyPlan,
    changed: list[str],
    inputs: Mapping[str, str] | None,
) -> None:
    """Add the rows of the plan itself and, where hashes are given, the input files."""
    kept = plan.registration
    if kept is None:
        rows.add("plan", "", f"{plan.file.name}; no plan was registered before", UNREGISTERED)
        return
    told = f"changed since: {', '.join(changed)}" if changed else "unchanged since"
    rows.add(
        "plan",
        f"{kept.file.name}, {kept.when} (sha256 {kept.sha256[:12]})",
        f"{plan.file.name}, {told}",
        DIFFERS if changed else SAME,
    )
    if inputs is not None and kept.inputs:
        other = [name for name in kept.inputs if inputs.get(name) != kept.inputs[name]]
        told = (
            f"other content: {', '.join(other)}" if other else _counted(list(kept.inputs), "file")
        )
        rows.add("input files", _counted(list(kept.inputs), "file"), told)


def compare_codebook(rows: Comparison, plan: StudyPlan) -> None:
    """Add the rows of the codebook."""

    def told(facts: Mapping[str, Any]) -> str:
        return f"{facts['id']} {facts['version']} (sha256 {facts['sha256'][:12]})" if facts else ""

    kept = plan.registration.codebook if plan.registration else plan.codebook_facts
    rows.add("codebook", told(kept), told(plan.codebook_facts))


def compare_gold(
    rows: Comparison,
    then: dict[str, Any],
    now: dict[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Add the rows of sample, gold narratives and coders."""
    rows.add("sampling design", _design(then["sampling"]), _design(now["sampling"]))
    drawn = None
    if "prevalence" in tables:
        table = tables["prevalence"]
        counts = table.loc[table["estimator"] != "naive", "n_gold"].dropna()
        drawn = int(counts.max()) if len(counts) else None
    rows.add_number("gold narratives", then["sampling"].get("n"), drawn)
    before, after = _coders(then), _coders(now)
    if "reliability" in tables and len(tables["reliability"]):
        n = int(tables["reliability"]["n_coders"].max())
        verdict = "" if before else UNREGISTERED
        if before and (n != len(before) or before != after):
            verdict = MORE if n > len(before) else FEWER if n < len(before) else DIFFERS
        told = f"{n} coders" + (f" ({', '.join(after)})" if len(after) == n else "")
        rows.add("coders", _counted(before, "coder") if before else "", told, verdict or SAME)
    elif before:
        rows.add("coders", _counted(before, "coder"), "", NOT_RUN)


def _design(sampling: Mapping[str, Any]) -> str:
    if not sampling:
        return ""
    strata = sampling.get("strata", [])
    seed = f", seed {sampling['seed']}" if "seed" in sampling else ""
    how = f", {sampling['allocation']}" if "allocation" in sampling else ""
    return sampling["design"] + (f" by {' × '.join(strata)}" if strata else "") + how + seed


def _coders(parts: Mapping[str, Any]) -> list[str]:
    listed = [coder["id"] for coder in parts["coders"] if coder["role"] == "coder"]
    return list(parts["gold_coders"]) or listed


def describe_training(part: Mapping[str, Any]) -> str:
    """Return how the classifier is trained, in a few words."""
    told = [f"train_on {Path(part['train_on']).name}"]
    if part["train_on"] == "gold":
        told.append(f"{part['folds']} folds")
        told += [f"groups {part['groups']}"] if "groups" in part else []
    told += [f"{key} {value}" for key, value in sorted(part.get("parameters", {}).items())]
    return ", ".join(told)


def _model(analysis: Mapping[str, Any]) -> str:
    told = [f"{analysis['formula']} ({analysis['family']})"]
    told += [f"{key} {analysis[key]}" for key in ("clusters", "offset") if key in analysis]
    told += [f"{name} against {level}" for name, level in analysis.get("contrasts", {}).items()]
    return ", ".join([*told, f"missing {analysis['missing']}", f"adjust {analysis['adjust']}"])


def compare_analyses(
    rows: Comparison,
    then: dict[str, Any],
    now: dict[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Add the rows of the analyses of risk factors and their models."""
    before = {analysis["name"]: analysis for analysis in then["analyses"]}
    after = {analysis["name"]: analysis for analysis in now["analyses"]}
    rows.add_lists("analyses", "analysis", list(before), list(tables))
    for name, analysis in before.items():
        run = _model(after[name]) if name in after and name in tables else ""
        rows.add(f"analysis {name}", _model(analysis), run)
    for name in [name for name in tables if name not in before]:
        run = _model(after[name]) if name in after else f"terms {', '.join(_terms(tables[name]))}"
        rows.add(f"analysis {name}", "", run, UNREGISTERED)


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["term"] != "Intercept"]


def _terms(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(_tested(table)["term"]))


Contrast = tuple[str, str, str]  # variable, level, reference; empty where there is none


def _contrasts(tables: Iterable[pd.DataFrame]) -> list[Contrast]:
    """Return the comparisons that tables make."""
    found = []
    for table in tables:
        for row in _tested(table).drop_duplicates("term").itertuples():
            variable = row.term if pd.isna(row.variable) else row.variable
            others = (row.level, getattr(row, "reference", None))
            level, reference = ("" if pd.isna(other) else str(other) for other in others)
            found.append((str(variable), level, reference))
    return list(dict.fromkeys(found))


def _in_words(contrast: Contrast) -> str:
    variable, level, reference = contrast
    told = variable + (f" {level}" if level else "")
    return told + (f" against {reference}" if reference else "")


def _registered_contrasts(
    comparisons: Iterable[Mapping[str, Any]], run: list[Contrast]
) -> list[str]:
    """Return the registered contrasts in words; what was left open is met by what was run."""
    wanted = []
    for one in comparisons:
        keys = (one["variable"], one.get("level", ""), one.get("reference", ""))
        met = [
            _in_words(contrast)
            for contrast in run
            if all(not key or key == found for key, found in zip(keys, contrast, strict=True))
        ]
        wanted += met or [_in_words(keys)]
    return list(dict.fromkeys(wanted))


def compare_tests(
    rows: Comparison,
    plan: StudyPlan,
    then: dict[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Add the rows of contrasts, categories, tests and negative control."""
    found = _contrasts(tables.values())
    run = [_in_words(contrast) for contrast in found]
    wanted = _registered_contrasts(then["comparisons"], found)
    if wanted:
        rows.add_lists("contrasts", "contrast", wanted, run)
    elif run:
        rows.add("contrasts", "", _counted(run, "contrast"))
    book = plan.registration.codebook if plan.registration else plan.codebook_facts
    categories = list(book.get("categories", []))
    if tables:
        parts = [list(table["category"]) for table in tables.values()]
        tested = list(dict.fromkeys(name for part in parts for name in part))
        rows.add_lists("categories tested", "category", categories, tested)
    planned = then["multiple_testing"].get("n_tests")
    if planned is None and wanted and all("level" in one for one in then["comparisons"]):
        planned = len(wanted) * len(categories)
    count = sum(int(table["n_tests"].max()) for table in tables.values() if "n_tests" in table)
    rows.add_number("tests", planned, count if tables else None)
    control = then["negative_control"].get("category")
    if control:
        there = any((table["category"] == control).any() for table in tables.values())
        rows.add("negative control", control, control if there else "")
