"""A plan in plain words: what goes in, who codes, what is estimated, what is registered."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boundary_research.study._plan_data import DataFacts, examine_data
from boundary_research.study.plan import StudyPlan, check_plan
from boundary_research.study.registration import describe_changes

KINDS = {"human": "human", "language_model": "language model", "other": "neither human nor model"}
DESIGNS = {
    "simple": "a simple random sample",
    "stratified": "a stratified random sample",
    "clusters": "a random sample of clusters",
    "two_phase": "a two-phase sample by model predictions",
    "all": "all narratives, none left out",
    "other": "drawn in another way",
}
ADJUSTMENTS = {
    "bh": "Benjamini–Hochberg (false discovery rate)",
    "by": "Benjamini–Yekutieli (false discovery rate under any dependence)",
    "holm": "Holm (any false positive)",
    "bonferroni": "Bonferroni (any false positive)",
}
RATIOS = {
    "logit": "odds ratios of being in a category, among reported incidents",
    "poisson": "ratios of shares of reported incidents",
    "ols": "differences of shares of reported incidents",
}
MISSING = {
    "complete": "incidents with attributes that are not stated are left out",
    "impute": "attributes that are not stated are multiply imputed",
    "both": "attributes that are not stated: left out, and multiply imputed, side by side",
}
FEWEST = 5  # counts below it are not shown
SHARES = "the share of reported incidents in each category"


def _listed(items: Sequence[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def describe_sampling(plan: StudyPlan) -> str:
    """Return how narratives are drawn for human coding, as the plan says; empty if it does not."""
    part = plan.sampling
    if not part:
        return ""
    told = DESIGNS[part["design"]]
    if part.get("strata"):
        told += f" by {_listed(part['strata'])}"
    if "allocation" in part:
        told += f", {part['allocation']} allocation"
    if "n" in part:
        told += f", n = {part['n']:,}"
    if "seed" in part:
        told += f", seed {part['seed']}"
    return told + (f". {part['description']}" if "description" in part else "")


def describe_coders(plan: StudyPlan) -> list[str]:
    """Return a phrase for each coder: id, kind, role, training."""
    return [
        f"{coder['id']} ({KINDS[coder['kind']]}"
        + (", adjudicator" if coder["role"] == "adjudicator" else "")
        + (f"; {coder['training']}" if "training" in coder else "")
        + ")"
        for coder in plan.coders
    ]


def describe_classifier(plan: StudyPlan) -> str:
    """Return how the classifier is trained and scored."""
    part = plan.classifier
    if part["train_on"] == "bundled":
        return "the bundled model, scored on the gold sample"
    if part["train_on"] != "gold":
        return f"model file {part['train_on'].name}, scored on the gold sample"
    told = f"trained on the gold sample, {part['folds']}-fold cross-fitting"
    told += f" with {part['groups']} on one side of a fold" if "groups" in part else ""
    own = part.get("parameters", {})
    return told + (f"; {', '.join(f'{k} = {v}' for k, v in own.items())}" if own else "")


def describe_analysis(analysis: dict[str, Any]) -> str:
    """Return formula, model, clusters and treatment of missing attributes of one analysis."""
    told = analysis.get("estimand", RATIOS[analysis["family"]]).rstrip(".")
    told = f"{analysis['formula']} ({analysis['family']}): {told}"
    for variable, level in analysis.get("contrasts", {}).items():
        told += f"; {variable} against {level}"
    told += f"; clusters {analysis['clusters']}" if "clusters" in analysis else ""
    return f"{told}; {MISSING[analysis['missing']]}"


def describe_comparison(one: dict[str, Any]) -> str:
    """Return a registered comparison in words."""
    told = str(one["variable"]) + (f" {one['level']}" if "level" in one else "")
    told += f" against {one['reference']}" if "reference" in one else ""
    told += f" [{one['analysis']}]" if "analysis" in one else ""
    return told + (f": {one['description']}" if "description" in one else "")


def describe_tests(plan: StudyPlan) -> str:
    """Return how many tests are registered, and how they are adjusted."""
    if not plan.analyses:
        return "none: no analysis of risk factors is planned"
    part, k = plan.multiple_testing, len(plan.codebook_facts["categories"])
    n = part.get("n_tests")
    if n is None and plan.comparisons:
        n = len(plan.comparisons) * k
        told = f"{n} registered ({len(plan.comparisons)} × {k} categories)"
    else:
        told = f"{n} registered" if n else f"no number registered ({k} categories × terms)"
    used = list(dict.fromkeys(ADJUSTMENTS[one["adjust"]] for one in plan.analyses))
    told += f"; adjusted by {_listed(used)}, each analysis over all its categories and terms"
    return told + (f". Family: {part['family']}" if "family" in part else "")


def describe_registration(plan: StudyPlan) -> str:
    """Return what plan was registered, and what changed since."""
    kept = plan.registration
    if kept is None:
        return "no (check-study --register keeps the plan as it is now)"
    changed = describe_changes(plan)
    since = f"changed since: {', '.join(changed)}" if changed else "unchanged since"
    return f"{kept.file.name}, {kept.when}; {since}"


def _describe_sample(plan: StudyPlan, facts: DataFacts) -> str:
    told = describe_sampling(plan) or "the plan does not say how it was drawn (key sampling)"
    if facts.n_sample is None or facts.probabilities is None:
        return told
    low, high = facts.probabilities
    each = (
        f"each with probability {low:.3f}"
        if low == high
        else f"probabilities {low:.3f} to {high:.3f}"
    )
    told += f"\n{facts.n_sample:,} narratives drawn, {each}"
    if 1 < len(facts.strata) <= 12:
        told += f"; strata: {', '.join(f'{k} {v}' for k, v in facts.strata.items())}"
    if facts.redrawn is not None:
        again = "the draw comes out again from its seed"
        other = (
            "the seed does not give this draw from these incidents (other rows, order or version)"
        )
        told += f"\n{again if facts.redrawn else other}"
    return told


def _describe_gold(plan: StudyPlan, facts: DataFacts) -> str:
    if plan.pending:
        names = ", ".join(f"{key} ({plan.gold[key].name})" for key in plan.pending)
        return f"still to come: {names}"
    told = f"{facts.n_gold:,} narratives"
    if facts.present:
        rarest = min(facts.present, key=lambda name: facts.present[name])
        count = facts.present[rarest]
        told += f"; rarest category {rarest}: {count if count >= FEWEST else f'under {FEWEST}'}"
    few = [name for name, count in facts.present.items() if count < 10]
    if few:
        told += f"\nfewer than 10 gold codes, so estimates will be wide: {', '.join(few)}"
    return told


def describe_plan(plan: StudyPlan, facts: DataFacts) -> list[tuple[str, str]]:
    """Return what a plan says in plain words, as pairs of heading and text."""
    part = plan.incidents
    studied = (
        f"{facts.n_incidents:,} of {facts.n_read:,}" if "only" in part else f"{facts.n_read:,}"
    )
    named = plan.codebook_facts
    rows = [("Question", plan.question or "not stated (key question)")]
    rows.append(
        ("Incidents", f"{studied} from {part['file'].name}; {facts.n_rejects:,} rows set aside")
    )
    rows.append(
        ("Codebook", f"{named['id']} {named['version']}, {len(named['categories'])} categories")
    )
    rows += [("Sample", _describe_sample(plan, facts)), ("Gold codes", _describe_gold(plan, facts))]
    rows.append(("Coders", "\n".join(describe_coders(plan)) or "not described (key coders)"))
    rows.append(("Classifier", describe_classifier(plan)))
    shares = plan.prevalence.get("estimand", SHARES).rstrip(".")
    by = plan.prevalence["by"]
    shares += f"; by {_listed(by)}" if by else ""
    clusters = plan.prevalence.get("clusters")
    rows.append(("Shares", shares + (f"; clusters {clusters}" if clusters else "")))
    for analysis in plan.analyses:
        rows.append((f"Analysis {analysis['name']}", describe_analysis(analysis)))
    told = "\n".join(describe_comparison(one) for one in plan.comparisons)
    rows.append(("Comparisons", told or "none registered (key comparisons)"))
    control = plan.negative_control
    if control:
        reason = f": {control['reason']}" if "reason" in control else ""
        rows.append(("Negative control", control["category"] + reason))
    rows += [("Tests", describe_tests(plan)), ("Registered", describe_registration(plan))]
    return rows


def check_and_describe(path: str | Path) -> tuple[StudyPlan | None, str, list[str]]:
    """Check a study.yaml and its data, and return plan, description and problems.

    Parameters
    ----------
    path : str or pathlib.Path
        study.yaml, or its folder.

    Returns
    -------
    plan : StudyPlan or None
        None where study.yaml itself has problems.
    text : str
        The plan in plain words; empty where there are problems.
    problems : list of str
        All of them, by line; those of the data once study.yaml has none.

    Raises
    ------
    DataError
        If the file is not there or is not YAML.
    """
    checked = check_plan(path)
    if checked.plan is None:
        return None, "", checked.problems
    facts = examine_data(checked.plan, checked.reader)
    if facts.problems:
        return checked.plan, "", facts.problems
    lines = [checked.plan.title, ""]
    rows = describe_plan(checked.plan, facts)
    width = max(len(heading) for heading, _ in rows) + 4
    for heading, text in rows:
        for i, part in enumerate(text.split("\n")):
            start = f"  {heading if i == 0 else ''}".ljust(width)
            indent = " " * width
            lines += textwrap.wrap(
                part, 100, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
            )
    what = "The plan is sound; its gold codes are still to come."
    ready = what if checked.plan.pending else "The plan fits its data and can be run."
    return checked.plan, "\n".join([*lines, "", ready]), []
